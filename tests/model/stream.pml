/* Messages on a socket, its close, and the end of the stream (src/sender.cc,
 * src/receiver.cc, src/inbox.cc, close() and close_within() of src/handle.cc).
 *
 * A message is two units, its header and its payload; the socket has room for
 * CAP units, and each write moves one or more.  A sibling, forked before, has a
 * copy of the writer's end until its own start closes it.  The writer may be
 * killed at any moment; the reader may close.
 *
 * README's promises that it checks:
 *   `whole`    A message arrives whole, once, in order, or the reader gets an
 *              error: GIPC_EOF only between two messages, else GIPC_ETRUNCATED.
 *   `reports`  A close reports what was discarded: after one that returned 0,
 *              all that was put can be read.
 *   `ends`     The reader of a stream whose writer has gone comes to its end.
 *   `fails`    A writer whose reader has closed does not wait for it.
 *
 * FAULT_x: a broken variant; each stands at its place below. */
#ifndef CAP
#define CAP 2
#endif
#define MESSAGES 2
#define UNITS (2 * MESSAGES)
#define EOF 1
#define TRUNCATED 2

chan socket = [CAP] of { byte };
bool w_gone, r_gone;     /* that end is closed by its owner */
bool kill_w;
bool sibling_holds = true;
bool left_unread;        /* what the reader put is not read by the writer */
byte put;                /* units of messages that were accepted */
byte written;            /* units that the socket took */
bool clean, discarded;   /* what the close returned */
byte got;                /* units that the reader took from the socket */
byte end_;

#define OVER (len(socket) == 0 && w_gone && !sibling_holds)

active proctype Killer() { if :: kill_w = true :: skip fi }
active proctype Peer() { if :: left_unread = true :: skip fi }

active proctype Sibling() {
#ifdef FAULT_SIBLING_KEEPS /* what its parent had open while it was forked */
  skip
#else
  sibling_holds = false
#endif
}

active proctype Writer() {
  {
    do
    :: put < UNITS -> put = put + 2 /* queued: no room is needed for that */
    :: atomic { written < put && !r_gone && len(socket) < CAP -> socket ! written; written++ }
    :: written < put && r_gone -> goto w_end
    :: skip -> break
    od;
    /* gipc_close() keeps the handle open while it cannot write the queue;
     * gipc_close_within() waits for a time, and closes in any case. */
    do
    :: atomic { written < put && !r_gone && len(socket) < CAP -> socket ! written; written++ }
    :: written == put -> clean = true; break
    :: written < put && r_gone -> discarded = true; break
    :: written < put -> /* the deadline */
#ifdef FAULT_DISCARDS
       clean = true;
#else
       discarded = true;
#endif
       break
    od;
w_end:
    w_gone = true
  } unless { kill_w && !w_gone -> w_gone = true }
}

active proctype Reader() {
  byte unit;
  do
  :: atomic { len(socket) > 0 -> socket ? unit; assert(unit == got); got++ } /* whole */
#ifdef FAULT_RESET_FIRST /* an error before what can still be read */
  :: w_gone && left_unread -> end_ = EOF; break
#endif
#ifdef FAULT_END_BEFORE_DATA
  :: w_gone && !sibling_holds -> end_ = EOF; break
#endif
  :: OVER -> /* also of a connection that the peer has reset */
#ifdef FAULT_EOF_IN_MESSAGE
     end_ = EOF;
#else
     end_ = (got % 2 == 0 -> EOF : TRUNCATED);
#endif
     break
  :: got % 2 == 0 -> r_gone = true; goto r_end
  od;
  assert(got == written);
  assert((end_ == EOF) == (got % 2 == 0));  /* whole */
  assert(!clean || got == put);             /* reports */
  assert(!discarded || got < put || r_gone);
r_end:
  skip
}

ltl ends { <> (end_ != 0 || r_gone) }
ltl fails { [] (r_gone -> <> w_gone) }
