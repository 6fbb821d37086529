/* gipc_interrupt() and gipc_wait_set_wake(): a byte in a socket, which ends the
 * poll of another thread, and a flag, for calls that do not poll (src/waker.cc,
 * interrupted() and wait() of src/blocking.cc, src/wait_set.cc).
 *
 * WAKES threads wake, one waits, again and again.  Each send may fail, which
 * that wake returns.
 *
 * What it checks, of gipc_wait(3):
 *   `wakes`   A wake that returned 0 ends a wait, whatever becomes of others.
 *   `before`  If it returned before the call, it ends that call.
 *   `once`    Wakes that nobody waited for count as one; without a wake no wait
 *             ends.
 *
 * FAULT_x: a broken variant; each stands at its place below. */
#ifndef WAKES
#define WAKES 3
#endif

bool due;
byte bytes;             /* unread, in the socket */
byte asked;             /* wakes since the last report */
byte reports;           /* waits that ended by a wake */
bool owed;              /* a wake has returned 0 that no wait has reported */
byte ended;             /* wakes */

proctype Wake() {
  byte at;
  bool was;
  at = reports;
#ifdef FAULT_MERGES /* one wake relies on the byte of another, which may fail */
  atomic { was = due; due = true; asked++ };
  if :: was -> goto succeeded :: else fi;
  if
  :: bytes++
  :: due = false; goto w_end
  fi;
#else
  if
  :: atomic { bytes++; asked++ }
  :: goto w_end /* the send fails */
  fi;
  due = true;
#endif
succeeded:
  atomic { if :: reports == at -> owed = true :: else fi };
w_end:
  ended++
}

/* Part of the step in which the wakes are taken. */
inline report() {
  if
  :: woken -> assert(asked > 0); asked = 0; reports++; owed = false /* once */
  :: else
  fi
}

inline consume() {
#if defined(FAULT_MERGES) || defined(FAULT_BY_FLAG)
  bytes = 0;
  atomic { woken = due; due = false; report() }
#elif defined(FAULT_FLAG_LAST)
  atomic { woken = (bytes > 0); bytes = 0; report() };
  due = false
#else
  due = false;
  atomic { woken = (bytes > 0); bytes = 0; report() }
#endif
}

active proctype Waiter() {
  bool woken;
call: /* looks at the flag before it waits */
  atomic { woken = false; if :: due -> woken = true :: else -> assert(!owed) fi }; /* before */
  if
  :: woken -> consume(); if :: woken -> goto call :: else fi
  :: else
  fi;
  do
  :: bytes > 0 -> consume(); if :: woken -> goto call :: else fi
  :: atomic { ended == WAKES && bytes == 0 -> assert(!owed); break } /* wakes */
  od
}

init { atomic { byte i; for (i : 1 .. WAKES) { run Wake() } } }
