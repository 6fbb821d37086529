/* One direction of a ring (src/ring.h): indices and flags in shared memory, a
 * socket as doorbell.  tests/model/run checks it, and that each rule of ring.h
 * that is broken on purpose is found.
 *
 * The memory is weaker than x86: every variable has its newest value and the
 * one before, and a side may read the older one until its view (a bit for each
 * variable) says otherwise, as in the operational models of C11:
 *   - a release store carries the view of its side, an acquire load joins it;
 *   - a seq_cst fence joins the view of the side and that of all fences;
 *   - exchange and compare-and-swap act on the newest value;
 *   - bytes on the socket carry the view of their sender.  A system call that
 *     moves nothing orders nothing.
 *
 * With STRONG every load gives the newest value: for what does not depend on
 * the memory, but needs a larger ring.
 *
 * -D switches.  Sizes: CAP, UNITS, BIG (puts of one or two units).  What a side
 * may do beside put and get: LEAVE (it leaves the ring), IDLE (another thread
 * of the reader's process leaves the ring for it), PEND (it waits after
 * pending() said that there is nothing, as a loop that adopts a handle does),
 * MOVE (a fork passes the reader on), NOKILL (no side is killed).
 * FAULT_x: a broken variant; each stands at its place below. */
#ifndef CAP
#define CAP 2
#endif
#ifndef UNITS
#define UNITS 3
#endif
#define HEAD 0
#define TAIL 1
#define READER 2 /* 0 awake, 1 asleep, 2 left the ring */
#define WRITER 3 /* 1 waits for room */
#define CLOSED 4 /* the reader was closed */
#define SLOT 5
#define VARIABLES (SLOT + CAP)
#define BIT(v) (1 << (v))
#define ALL ((1 << VARIABLES) - 1)
#if CAP > 3
#define VIEW short
#else
#define VIEW byte
#endif

byte newest[VARIABLES], before[VARIABLES];
VIEW carried[VARIABLES];      /* view that the newest store of each carries */
VIEW carried_before[VARIABLES];
VIEW view_w = ALL, view_r = ALL;
VIEW fenced_w = ALL, fenced_r = ALL; /* views at the last fence */
VIEW fences = ALL;            /* view of all fences */
VIEW on_socket = 0;           /* view that the unread bytes carry */

byte weight;                  /* unread: writable below 2, full from 4 on */
bool mark;                    /* the mark is unread, behind the other bytes */
byte behind;                  /* units of the stream behind it */
bool w_gone, r_gone;          /* that end of the socket is closed */
bool kill_w, kill_r;
bool r_closes;                /* the reader's close has begun */
bool w_quiet;                 /* the writer has put all and does not close */
bool w_waits, r_waits;        /* in poll(2), the reader also in recv(2) */
bool r_stops;                 /* the reader gets no more, and does not close */
bool r_used;                  /* a thread of the reader's process uses the ring */
bool r_left;                  /* it is in the ring no more */
byte accepted;                /* units whose put has returned */
byte taken;                   /* units that the reader has returned */

#define READABLE (weight > 0 || mark || behind > 0 || w_gone)
#define WRITABLE (weight + mark < 2 || r_gone)

inline unsee(v) {
#ifndef STRONG
  fences = fences & (ALL - BIT(v)); on_socket = on_socket & (ALL - BIT(v));
  view_w = view_w & (ALL - BIT(v)); view_r = view_r & (ALL - BIT(v));
  fenced_w = fenced_w & (ALL - BIT(v)); fenced_r = fenced_r & (ALL - BIT(v));
  carried[HEAD] = carried[HEAD] & (ALL - BIT(v));
  carried[TAIL] = carried[TAIL] & (ALL - BIT(v));
  carried[READER] = carried[READER] & (ALL - BIT(v));
  carried_before[HEAD] = carried_before[HEAD] & (ALL - BIT(v));
  carried_before[TAIL] = carried_before[TAIL] & (ALL - BIT(v))
#else
  skip
#endif
}
inline set(view, v, x) {
#ifdef STRONG
  newest[v] = x
#else
  before[v] = newest[v]; newest[v] = x;
  carried_before[v] = carried[v]; unsee(v); view = view | BIT(v)
#endif
}
/* A release store; and a relaxed one, which carries the last fence's view. */
inline store_release(view, v, x) {
  atomic { set(view, v, x); carried[v] = view }
}
inline store(view, fenced, v, x) {
  atomic { set(view, v, x); carried[v] = fenced | BIT(v) }
}
inline load(view, v, x) {
#ifdef STRONG
  x = newest[v]
#else
  atomic {
    if
    :: x = newest[v]; view = view | BIT(v) | (v == HEAD || v == TAIL -> carried[v] : 0)
    :: !(view & BIT(v)) -> x = before[v];
       view = view | (v == HEAD || v == TAIL -> carried_before[v] : 0)
    fi
  }
#endif
}
inline exchange(view, v, x, was) {
  atomic {
    was = newest[v]; view = view | BIT(v) | carried[v];
    set(view, v, x); carried[v] = view
  }
}
inline fence(view, fenced) {
  atomic { fences = fences | view; view = fences; fenced = view }
}

/* Without space a byte is not sent: the unread ones wake the reader as well. */
inline send(bytes) {
  atomic {
    if
    :: r_gone -> goto w_end
    :: !r_gone && weight + bytes <= 4 ->
       weight = weight + bytes; on_socket = on_socket | view_w
    :: !r_gone && weight + bytes > 4 -> skip
    fi
  }
}
/* One recv(2) of what there is, up to the mark. */
inline drain() {
  atomic {
    if
    :: weight > 0 || mark ->
       view_r = view_r | on_socket; weight = 0; on_socket = 0;
       if :: mark -> mark = false; marked = true :: else fi
    :: else -> if :: w_gone -> over = true; view_r = ALL :: else fi
    fi
  }
}

/* One recv(2) of one byte, which may be a part of a filler.  It carries the view
 * of its sender, who may have sent others since. */
inline take_byte() {
  atomic {
    if
    :: weight > 1 -> if :: weight = weight - 1 :: skip fi
    :: weight == 1 -> view_r = view_r | on_socket; weight = 0; on_socket = 0
    :: weight == 0 && mark ->
       view_r = view_r | on_socket; mark = false; marked = true; on_socket = 0
    :: else -> if :: w_gone -> over = true; view_r = ALL :: else fi
    fi
  }
}

#ifndef NOKILL
active proctype Killer() { if :: kill_w = true :: kill_r = true :: skip fi }
#endif

active proctype Writer() {
  byte head, tail, size, needed, was;
  {
  do
  :: head == UNITS -> break
  :: head < UNITS ->
     if
     :: size = 1
#ifdef BIG
     :: head + 2 <= UNITS -> size = 2
#endif
     fi;
write:
     load(view_w, CLOSED, was);
     if :: was -> assert(r_closes); goto w_end :: else fi;
     if
     :: head - tail == CAP -> load(view_w, TAIL, tail)
     :: else
     fi;
     if :: head - tail < CAP -> goto copy :: else fi;
stall:
     needed = (size > CAP / 2 && CAP > 1 -> CAP / 2 : 1);
     store(view_w, fenced_w, WRITER, 1);
     send(2);
#ifndef FAULT_NO_FENCE_STALL
     fence(view_w, fenced_w);
#endif
     load(view_w, TAIL, tail);
     if
     :: CAP - (head - tail) >= needed -> store(view_w, fenced_w, WRITER, 0); goto copy
     :: else
     fi;
#ifndef FAULT_NO_SECOND_LOOK
     load(view_w, WRITER, was);
     if :: was == 0 -> goto stall :: else fi;
#endif
     w_waits = true;
     if
     :: WRITABLE -> w_waits = false
     :: r_stops && newest[HEAD] - newest[TAIL] > CAP / 2 -> goto w_end
     fi;
     if :: r_gone -> goto w_end :: else -> goto write fi;
copy:
     if :: size > CAP - (head - tail) -> was = CAP - (head - tail) :: else -> was = size fi;
     size = size - was;
#ifdef FAULT_PUBLISH_EARLY
     store_release(view_w, HEAD, head + was);
#endif
     do
     :: was > 0 -> atomic { set(view_w, SLOT + head % CAP, head + 1); head++; was-- }
     :: else -> break
     od;
#if defined(FAULT_RELAXED_HEAD)
     store(view_w, fenced_w, HEAD, head);
#elif !defined(FAULT_PUBLISH_EARLY)
     store_release(view_w, HEAD, head);
#endif
#ifndef FAULT_NO_FENCE_PUT
     fence(view_w, fenced_w);
#endif
     load(view_w, READER, was);
     if
     :: was != 0 ->
        exchange(view_w, READER, 0, was);
        if
        :: was == 1 -> send(1)
        :: was == 2 -> goto left
        :: else
        fi
     :: else
     fi;
     if :: size > 0 -> goto write :: else fi;
     accepted = head;
#ifdef LEAVE
     if
     :: skip
     :: exchange(view_w, READER, 0, was);
        if :: was == 2 -> tail = newest[TAIL] :: else -> tail = head fi;
        goto to_socket
     fi;
#endif
     skip
  od;
  goto finish;
left: /* what the reader did not see is written to the socket instead */
  tail = newest[TAIL];
  assert(tail >= accepted && tail <= head);
to_socket:
  atomic { if :: r_gone -> goto w_end :: else -> mark = true; on_socket = on_socket | view_w fi };
  do
  :: tail < UNITS ->
     atomic { if :: r_gone -> goto w_end :: else -> behind++; tail++ fi };
     if :: tail > accepted -> accepted = tail :: else fi
  :: else -> break
  od;
finish:
  if :: w_gone = true :: w_quiet = true fi;
w_end:
  w_waits = false
  } unless { atomic { kill_w -> w_waits = false; w_gone = true } }
}

#ifdef IDLE
#ifdef FAULT_IDLE_IN_USE
#define FREE true
#else
#define FREE !r_used
#endif
#define BEGIN_USE(used) atomic { FREE -> used = true }
#define END_USE r_used = false
#else
#define BEGIN_USE(used) skip
#define END_USE skip
#endif

#ifdef IDLE
/* The thread whose new ring needs the place.  What it has seen the reader sees,
 * and the other way round, because r_used is a lock. */
active proctype Other() {
  byte seen, was;
  {
  BEGIN_USE(r_used);
  if :: r_gone || r_left || r_closes || r_stops -> goto o_end :: else fi;
  store(view_r, fenced_r, READER, 1);
#ifndef FAULT_IDLE_NO_FENCE
  fence(view_r, fenced_r);
#endif
  load(view_r, HEAD, seen);
  if
  :: seen == taken ->
#ifdef FAULT_IDLE_BY_STORE
     store(view_r, fenced_r, READER, 2); r_left = true
#else
     atomic {
       if
       :: newest[READER] == 1 -> exchange(view_r, READER, 2, was); r_left = true
       :: else
       fi
     }
#endif
  :: else ->
#ifdef FAULT_IDLE_LOWERS
     exchange(view_r, READER, 0, was)
#else
     skip
#endif
  fi;
o_end:
  END_USE
  } unless { kill_r || r_gone }
}
#endif

active proctype Reader() {
  byte head, tail, was;
  bool raised, over, marked;
  {
  do
  :: skip;
again:
     BEGIN_USE(r_used);
     if :: r_left -> END_USE; goto socket :: else fi;
     if :: head == tail -> load(view_r, HEAD, head) :: else fi;
     if :: head != tail -> goto take :: else fi;
ended:
     if
     :: over || marked -> /* what was published before the end */
#ifndef FAULT_NO_LAST_LOOK
        load(view_r, HEAD, head);
#endif
        if :: head != tail -> goto take :: else -> goto ring_ends fi
     :: else
     fi;
#ifndef FAULT_NO_DRAIN
     if
     :: raised -> raised = false;
        if
        :: drain()
        :: newest[READER] == 0 -> take_byte()
        fi;
        if :: over || marked -> goto ended :: else fi
     :: else
     fi;
#endif
#ifndef FAULT_NO_FLAG
     store(view_r, fenced_r, READER, 1);
#endif
#ifndef FAULT_NO_FENCE_RAISE
     fence(view_r, fenced_r);
#endif
     raised = true;
#ifndef FAULT_LOOK_BEFORE
     load(view_r, HEAD, head);
#endif
     if
     :: head != tail ->
#ifndef FAULT_STAYS_RAISED
        exchange(view_r, READER, 0, was);
        if :: was == 1 -> raised = false :: else fi;
#endif
        goto take
     :: else
     fi;
     goto would_block;
take:
     atomic {
       if /* the bytes that were published, each once, in order */
       :: was = newest[SLOT + tail % CAP]
#ifndef STRONG
       :: !(view_r & BIT(SLOT + tail % CAP)) -> was = before[SLOT + tail % CAP]
#endif
       fi;
       assert(was == tail + 1); was = 0;
       tail++; taken = tail
     };
     store_release(view_r, TAIL, tail);
#ifndef FAULT_NO_FENCE_TAKE
     fence(view_r, fenced_r);
#endif
     load(view_r, WRITER, was);
     if
     :: was != 0 && head - tail <= CAP / 2 ->
#ifdef FAULT_DRAIN_BEFORE_FLAG
        drain();
        store(view_r, fenced_r, WRITER, 0)
#else
        store(view_r, fenced_r, WRITER, 0);
#ifndef FAULT_NO_FENCE_LOWER
        fence(view_r, fenced_r);
#endif
        drain();
#ifdef FAULT_TAKES_BELL /* the flag counts as raised, though its byte is gone */
        if :: raised -> goto would_block :: else fi
#endif
#endif
     :: else
     fi;
#ifdef MOVE /* the process that passes it on closes its copies */
     if
     :: skip
     :: skip;
#ifdef FAULT_PASS_CLOSES
        store(view_r, fenced_r, CLOSED, 1);
#endif
     fi;
#endif
     END_USE;
     if /* closed, with or without units inside */
     :: skip
     :: r_stops = true; goto r_stopped
     :: r_closes = true; store(view_r, fenced_r, CLOSED, 1); goto r_end
     fi;
#ifdef FAULT_SELECT /* waits without having been told that a get would block */
     if :: goto would_block :: skip fi;
#endif
#ifdef PEND
     if :: head == tail -> goto again :: skip fi;
#endif
     goto again;
would_block:
#ifdef LEAVE
     if
     :: skip
     ::
#ifdef FAULT_LEAVES_BY_STORE
        store(view_r, fenced_r, READER, 2); r_left = true; END_USE; goto socket
#else
        atomic {
          if
          :: newest[READER] == 1 -> exchange(view_r, READER, 2, was)
          :: else -> was = 0
          fi
        };
        if :: was == 1 -> r_left = true; END_USE; goto socket :: else fi
#endif
     fi;
#endif
     END_USE;
     r_waits = true;
     if
     :: READABLE -> r_waits = false /* in poll(2) */
#ifndef FAULT_NO_DRAIN
     :: READABLE -> take_byte(); r_waits = false; /* in recv(2) */
        load(view_r, HEAD, head);
        raised = (head == tail);
#ifdef FAULT_WAITS_AGAIN /* the flag is not raised for the next wait */
        if :: over || marked || head != tail -> skip :: else -> goto would_block fi
#endif
#endif
     :: w_quiet && taken == UNITS && !READABLE -> goto r_end
     fi
  od;
ring_ends:
  r_left = true; END_USE;
  if :: marked -> goto socket :: else fi;
  assert(tail == newest[HEAD] && tail >= accepted);
  goto r_end;
socket: /* skips to the mark, then the stream is here again */
  do
  :: atomic { !marked && (weight > 0 || mark) -> weight = 0;
       if :: mark -> mark = false; marked = true :: else fi }
  :: atomic { marked && behind > 0 -> behind--; tail++; taken = tail }
  :: atomic { !READABLE && !w_gone && w_quiet && taken == UNITS -> break }
  :: atomic { weight == 0 && !mark && behind == 0 && w_gone ->
       assert(tail >= accepted); break }
  od;
r_end:
  r_gone = true;
r_stopped:
  r_waits = false
  } unless { atomic { kill_r -> r_waits = false; r_gone = true } }
}

/* Each wait ends if there is a reason; and a quiet ring keeps nobody busy. */
ltl no_lost_wakeup { [] ((r_waits && newest[HEAD] > taken) -> <> (READABLE || !r_waits)) }
ltl no_stuck_writer { [] ((w_waits && newest[HEAD] - newest[TAIL] <= CAP / 2) -> <> (WRITABLE || !w_waits)) }
ltl all_is_put { <> (accepted == UNITS || kill_w || kill_r || r_gone || r_stops) }
ltl no_busy_poll { [] ((w_quiet && taken == UNITS) -> <> (!READABLE || kill_r || r_gone || r_stops)) }
