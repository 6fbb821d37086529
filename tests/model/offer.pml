/* The offer of a ring (src/outgoing.cc, src/incoming.cc): it goes with a message
 * on the socket, the reader accepts it in the page, and the writer sends the
 * control frame, behind which the stream is in the ring.
 *
 * The reader may have no place for the ring, and does not answer then.  Another
 * thread of its process may take the place of a ring that is not used yet, and
 * the writer may take its offer back at any time.
 *
 * What it checks, of gipc_frame(5):
 *   `safe`   Both sides change to the ring together: the control frame finds a
 *            reader that waits for it.
 *   `comes`  A reader that has a place, sooner or later, gets a ring.
 *
 * FAULT_x: a broken variant; each stands at its place below. */
#define ROOM_OF_SOCKET 2
#define PATIENCE 3 /* more than the socket holds */
#define PAGES 3    /* in turn: no offer is in the socket when its page comes again */

mtype = { offered, accepted, withdrawn, switched }; /* in the page */
mtype = { message, offer, control };                /* on the socket */
mtype page[PAGES];
chan socket = [ROOM_OF_SOCKET] of { mtype, byte };
bool w_ring, r_ring;    /* that side is in the ring */
bool r_waits;           /* the reader has accepted r_page */
byte r_page;
bool place;             /* a place for a ring is free */

active proctype Writer() {
  byte at, writes;
  bool left;
  do
  :: if :: socket!message(0) :: skip fi;
     at = (at + 1) % PAGES; page[at] = offered;
     socket!offer(at); writes = 0;
stands:
     if
     :: page[at] == accepted ->
#ifdef FAULT_SWITCHES_BY_STORE
        page[at] = switched;
#else
        atomic { if :: page[at] == accepted -> page[at] = switched :: else -> goto write fi };
#endif
        atomic { if :: nfull(socket) -> socket!control(at); w_ring = true; break :: full(socket) fi };
        page[at] = accepted; /* not now */
        nfull(socket);
        goto stands
     :: page[at] == withdrawn -> goto plain
#ifdef FAULT_INSISTS
     :: page[at] == offered
#else
     :: page[at] == offered && writes < PATIENCE
     :: page[at] == offered && writes == PATIENCE ->
        atomic { if :: page[at] == offered -> page[at] = withdrawn; goto plain :: else fi }
#endif
#ifdef LEAVES /* for descriptors, or another ring */
     :: !left -> left = true; page[at] = withdrawn; goto plain
#endif
     fi;
write:
     socket!message(0);
     if :: writes < PATIENCE -> writes++ :: else fi;
     goto stands;
plain:
     skip
  od
}

active proctype Reader() {
  mtype what;
  byte which;
  do
  :: socket?what(which);
     if
     :: what == offer ->
        r_waits = false; /* an earlier one is withdrawn */
        if
        :: place ->
           atomic { if :: page[which] == offered -> page[which] = accepted; r_page = which; r_waits = true :: else fi }
        :: !place
        fi
     :: what == control ->
        assert(r_waits && r_page == which); r_ring = true; break /* safe */
     :: else -> if :: r_waits && page[r_page] == withdrawn -> r_waits = false :: else fi
     fi
  od
}

/* Its new rings take the place, maybe that of the one that waits for the control
 * frame.  Then there are places. */
active proctype Other() {
  if :: place = true :: skip fi;
  atomic {
    place = false;
#ifdef FAULT_BACK_BY_STORE
    if :: r_waits -> page[r_page] = offered; r_waits = false :: else fi
#else
    if
    :: r_waits && page[r_page] == accepted -> page[r_page] = offered; r_waits = false
    :: r_waits && page[r_page] == withdrawn -> r_waits = false
    :: else
    fi
#endif
  };
  place = true
}

ltl comes { <> (w_ring && r_ring) }
