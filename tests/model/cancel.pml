/* A put that is cancelled, by a timeout, gipc_put_cancel(), or the cancellation
 * of its thread, and the end of the process in another thread meanwhile
 * (put_waiting() of src/blocking.cc, cancel_put(), send_waiting() and
 * begin_exit() of src/sender.cc, src/outbox.cc).
 *
 * Message 0 is queued, of one unit; message 1, of SIZE units, is borrowed.  Each
 * write moves any number of units.  What was cancelled before its first byte is
 * put once more.  END: the process ends beside the put.
 *
 * README's promises that it checks:
 *   `whole`  A timeout or cancellation at any byte leaves the stream intact; so
 *            does pthread_cancel.
 *   `once`   The end of a child writes whole messages, once, beside its other
 *            threads.
 *
 * FAULT_x: a broken variant; each stands at its place below. */
#define SIZE 3
#define ALL (1 + SIZE)

byte stream;      /* units on the wire: it is right if each is the next one */
byte queued = 1;  /* units of the queue that were not written */
byte first;       /* the next unit of the queue */
byte borrowed;    /* units of message 1 that were not written; 0: none borrowed */
bool locked;      /* TryLock of the direction */
bool put_ends;    /* the thread puts no more */
bool ended;       /* the process has written its queue */
bool ending;

/* One write of one or more units: all that is there, or a part. */
inline transmit(unit, count) {
  if :: count = 1 :: count > 1 -> skip fi;
  assert(unit == stream); /* whole, once */
  stream = stream + count
}

active proctype Putter() {
  byte tries, count, moved;
  bool cancelled;
again:
  if
  :: atomic { !locked && !ending -> locked = true }
  :: ending -> goto stops
  fi;
  borrowed = SIZE;
  do
  :: queued > 0 ->
     count = queued;
     transmit(first, count);
     queued = queued - count; first = first + count
  :: queued == 0 && borrowed > 0 ->
     count = borrowed;
     transmit(ALL - borrowed, count);
     moved = count;
     /* The thread may be cancelled behind the system call. */
     if
     :: cancelled = true;
#ifdef FAULT_MOVED_IS_LOST
        moved = 0
#endif
     :: skip
     fi;
     borrowed = borrowed - moved;
     if :: cancelled -> break :: else fi
  :: queued == 0 && borrowed == 0 -> break
  :: cancelled = true; break /* the deadline, or an interruption */
  od;
  if
  :: cancelled && borrowed == SIZE -> /* no byte was written */
     borrowed = 0;
     locked = false; cancelled = false; tries++;
     if :: tries < 2 && !ending -> goto again :: else -> goto stops fi
  :: cancelled && borrowed > 0 && borrowed < SIZE ->
#ifdef FAULT_DROPS_REMAINING
     skip;
#else
     /* What is left is copied to the queue. */
     first = (queued == 0 -> ALL - borrowed : first);
     queued = queued + borrowed;
#endif
     borrowed = 0
  :: else
  fi;
  locked = false;
stops:
  put_ends = true
}

/* flush_all(): of this thread, or of another one that ends the process. */
active proctype End() {
  byte count;
#ifndef END
  put_ends;
#endif
  ending = true;
#ifndef FAULT_END_WITHOUT_LOCK
  atomic { !locked -> locked = true };
#endif
  do
  :: queued > 0 ->
     count = queued;
     transmit(first, count);
     queued = queued - count; first = first + count
  :: queued == 0 -> break
  od;
  assert(stream == 1 || stream == ALL); /* whole */
  ended = true
}

ltl ends { <> ended }
