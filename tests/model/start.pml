/* The start of a function child: the gate, and how the parent learns that the
 * child has begun or could not (src/fork.cc, src/control.cc, and
 * wait_until_begun() of src/status.cc).
 *
 * Beside them: another process, forked at the same time, that may hold the
 * child's end of the control socket open; a reaper of the same program, which
 * reaps any child; and a kill of either at any moment.
 *
 * README's promises that it checks:
 *   `told`     A start that fails in the child is an error of the start.
 *   `signals`  A child does not end by itself before its parent holds a
 *              descriptor of it, whose process ID another may get then.
 *   `returns`  A start returns, whoever dies; `ends`: so does a child at its
 *              gate whose parent has died.
 *
 * FAULT_x: a broken variant; each stands at its place below. */
#define BEGUN 1
#define FAILED 2
#define ENDED 3

chan up = [3] of { byte };      /* records, on the control socket */
bool gate, refused;             /* refused: what the setup failed with */
bool sent_failure;
bool child_gone, reaped, parent_gone;
bool child_holds = true;        /* its end of the control socket */
bool other_holds;               /* a copy of the same */
bool child_has_parents_end;     /* a copy of the parent's end */
bool kill_child, kill_parent;
bool has_descriptor, returned;  /* of the parent */
bool told_failure;

#define HELD (child_holds || other_holds)
#define READABLE (len(up) > 0 || !HELD)
#define EXIT atomic { child_holds = false; child_has_parents_end = false; child_gone = true }

active proctype Killer() { if :: kill_child = true :: kill_parent = true :: skip fi }

/* It may keep the end open indefinitely. */
active proctype Other() { if :: other_holds = true; if :: other_holds = false :: skip fi :: skip fi }

active proctype Reaper() {
  end: if :: atomic { child_gone && !reaped -> reaped = true } fi
}

active proctype Child() {
  {
#ifdef FAULT_KEEPS_PARENTS_END /* so that it does not see its parent's death */
    child_has_parents_end = true;
#endif
    if :: refused = true :: skip fi;
#ifndef FAULT_NO_GATE
    if
    :: gate
    :: parent_gone && !child_has_parents_end -> goto done
    fi;
#endif
    if
    :: refused -> atomic { up ! FAILED; sent_failure = true }; goto done
    :: else -> up ! BEGUN
    fi;
    up ! ENDED;
done:
    assert(has_descriptor || parent_gone); /* signals */
    EXIT
  } unless { kill_child && !child_gone -> EXIT }
}

/* Looks once.  again: there may be more. */
inline read_records() {
  again = false;
  do
  :: atomic { len(up) > 0 -> up ? record; again = true;
       if
       :: record == FAILED -> failure = true
       :: record == BEGUN -> begun = true
       :: else
       fi }
  :: atomic { len(up) == 0 -> if :: HELD -> again = true :: else fi; break }
  od
}

active proctype Parent() {
  byte record;
  bool again, failure, begun;
  {
    atomic { assert(!reaped || kill_child); has_descriptor = true };
    gate = true; /* the gate of a child that is dead is -EPIPE, and no error */
    do
    :: read_records();
#ifdef FAULT_NO_LAST_LOOK /* what came after the look is not read */
       if :: begun || failure || !again || child_gone -> break :: else fi;
#else
       if :: begun || failure || !again -> break :: else fi;
       if
       :: child_gone -> reaped = true; read_records(); break
       :: else
       fi;
#endif
#ifdef FAULT_END_OF_STREAM_ONLY /* not the descriptor of the process */
       READABLE
#else
       if :: READABLE :: child_gone fi
#endif
    od;
    told_failure = failure;
    assert(told_failure == sent_failure); /* told */
    returned = true
  } unless { kill_parent -> parent_gone = true }
}

ltl returns { <> (returned || parent_gone) }
ltl ends { [] (parent_gone -> <> (child_gone || gate)) }
