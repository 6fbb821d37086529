/* Where an exit status comes from (src/status.cc): wait(2); what a reaper of
 * the program reported; what the kernel keeps; what a function child told; and
 * "lost" if none of these.
 *
 * Another reaper may be between the end of the child and the end of its own
 * wait(2) for any time.  KEPT: the kernel keeps the status (Linux 6.15).
 *
 * README's promises that it checks:
 *   `right`  No exit status is invented.
 *   `kept`   Other reapers do not lose an exit status; the result is "lost" only
 *            if the kernel cannot keep it, and nobody else knows it.
 *   `alive`  A child that runs has not ended.
 *   `known`  Never a hang: the end of a child becomes known.
 *
 * FAULT_x: a broken variant; each stands at its place below. */
#define NONE 0
#define CODE 7   /* the child returned it */
#define KILLED 9 /* by a signal */
#define WAIT 1
#define KERNEL 2
#define REPORTED 3
#define CHILD 4
#define LOST 5

byte truth;              /* how it ended: CODE or KILLED; NONE: it runs */
byte record;             /* what it told on the control socket, unread */
bool told;
bool reaping, reaped;    /* by another */
bool taken;              /* by us */
byte report;             /* what the reaper got, and tells us */
byte told_report;
byte value, from;        /* what we know */

active proctype Child() {
  if
  :: atomic { record = CODE; told = true }; truth = CODE
  :: truth = KILLED
  fi
}

/* It gets a child that has ended, at any time, if we have not. */
active proctype Reaper() {
  end: if
  :: atomic { truth != NONE && !taken -> reaping = true }
  fi;
  atomic { reaping = false; reaped = true };
  if :: report = truth :: skip fi
}

inline read_record() {
  atomic { if :: record != NONE -> code = record; record = NONE :: else fi }
}
inline finish(result, source) { value = result; from = source }

active proctype Owner() {
  byte code, tries;
  bool runs, echild;
  do
  :: from != NONE -> break
  :: else ->
     /* A reaper of the program may report what it got. */
     if :: atomic { report != NONE -> told_report = report } :: skip fi;
#ifdef FAULT_READS_BEFORE /* and not once more after the end */
     read_record();
#endif
     echild = false; runs = false;
     atomic {
       if
       :: truth == NONE -> runs = true
       :: truth != NONE && !reaping && !reaped -> taken = true
       :: else -> echild = true
       fi
     };
     if
     :: taken -> finish(truth, WAIT)
     :: runs -> skip
     :: echild ->
#ifdef FAULT_LOST_AT_ONCE
        finish(NONE, LOST);
        goto looked;
#endif
#ifndef FAULT_REPORT_LAST
        if :: told_report != NONE -> finish(told_report, REPORTED); goto looked :: else fi;
#endif
#ifdef KEPT
        tries = 0;
        do
        :: tries < 2 && reaped -> finish(truth, KERNEL); goto looked
        :: tries < 2 && !reaped -> tries++ /* and sleeps a millisecond */
        :: tries == 2 -> break
        od;
#ifndef FAULT_GIVES_UP /* it counts as running, however long that takes */
        goto looked;
#endif
#endif
#ifndef FAULT_READS_BEFORE
        read_record();
#endif
        if
        :: code != NONE -> finish(code, CHILD)
#ifdef FAULT_GUESSES
        :: code == NONE -> finish(CODE, WAIT)
#else
        :: code == NONE -> finish(NONE, LOST)
#endif
        fi
     fi;
looked:
     skip
  od;
  assert(truth != NONE);                                       /* alive */
  assert(from == LOST || value == truth || from == CHILD);     /* right */
  assert(from != CHILD || value == CODE);
  assert(from != LOST || (!told && told_report == NONE));      /* kept */
#ifdef KEPT
  assert(from != LOST && from != CHILD);
#endif
}

ltl known { [] (truth != NONE -> <> (from != NONE)) }
