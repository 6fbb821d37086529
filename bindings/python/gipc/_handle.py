"""What the ends of a pipe have in common, and which of them are open here."""

import os
import weakref

from . import _native
from ._native import DONE, READ, WAIT, WRITE, FairLock, Locked
from ._settings import Settings, WriterSettings
from ._wait import current, deadline_of, timed_out
from .errors import GIPCClosed, GIPCError, GIPCLocked, GIPCTimeout

# This process, as asking the system each time would cost more than the rest.
_pid = os.getpid()


def _note_pid():
    global _pid
    _pid = os.getpid()


os.register_at_fork(after_in_child=_note_pid)

# Seconds without a byte written after which close() gives up, and the end of a
# block.
STALL = 60
GRACE = 1

# Weak references to the open handles of this process.
_open = set()
# The processes before this one, whose handles are closed here but for those
# that were passed.  To visit each of ten thousand would take longer than a fork.
_ancestors = set()


def _no_handle():
    return None


class _GIPCHandle(Settings):
    """What readers and writers have in common.

    A handle belongs to one process; in it, any number of greenlets and threads
    may use it, and take turns.
    """

    _direction = 0
    # The native handle, while it waits for the rest of a put to be closed.
    _closing = None

    def __init__(self, native, codec):
        self._h = native
        self._codec = codec
        self._other_ref = _no_handle
        self._arrive()

    @property
    def _other(self):
        """The handle of the other direction, where both share one native
        handle, and while somebody refers to it.  Weak: a duplex handle is
        closed as soon as nobody refers to it."""
        return self._other_ref()

    @_other.setter
    def _other(self, other):
        self._other_ref = weakref.ref(other)

    def _arrive(self):
        """It is this process's now."""
        self._closed = False
        self._legit_pid = _pid
        self._turn = FairLock()
        self.watcher = None  # the hub, if gevent's, and what watches there
        self.rest = None  # what finishes a cancelled put
        self._ref = weakref.ref(self, _open.discard)
        _open.add(self._ref)

    def _forget(self):
        """It is closed, or another process has it.  May be done again, where an
        exception came between."""
        self._closing = None
        self._stop_watcher()
        self._stop_rest()
        _open.discard(self._ref)
        self._closed = True
        self._h = None

    def _stop_watcher(self):
        if self.watcher is not None:
            self.watcher[1].close()
            self.watcher = None

    def _stop_rest(self):
        if self.rest is not None:
            self.rest.close()
            self.rest = None

    @property
    def _closed(self):
        return self._is_closed or self._legit_pid in _ancestors

    @_closed.setter
    def _closed(self, closed):
        self._is_closed = closed

    def _validate(self):
        if self._is_closed:
            raise GIPCClosed("%r has been closed before." % self)
        if self._closed:
            raise GIPCClosed(
                "%r was not passed to this process, in which it is closed: "
                "give it among the arguments of start_process." % self
            )
        if _pid != self._legit_pid:
            raise GIPCError(
                "%r is not registered for current process %d: it belongs to "
                "process %d." % (self, _pid, self._legit_pid)
            )

    def __reduce__(self):
        """Only a child's start can pass it, in a way of its own."""
        raise TypeError(
            "%r cannot be pickled; give it to start_process." % self
        )

    def _family(self):
        from ._pipe import family

        return family

    def fd(self, direction):
        return _native.fd(self._h, direction)

    def fileno(self):
        """The descriptor, to wait on with select and the like.

        Readable means that a ``get`` may find more than it did; a message can
        be there already without it, since a get reads ahead.
        """
        self._validate()
        return self.fd(self._direction)

    @property
    def _fd(self):
        return None if self._closed else self.fd(self._direction)

    @property
    def _id(self):
        label = self.__dict__.get("_label")
        if label is None:
            label = self._label = os.urandom(3).hex()
        return label

    def close(self, timeout=None):
        """Closes the handle.  The peer gets what was put, then the end.

        Queued bytes, which a put leaves behind that has timed out or was
        interrupted, are written first.

        :arg timeout: seconds to wait for that; then they are dropped, and the
            peer finds a message cut off.  A negative number waits as long as it
            takes.  ``None``: under gevent, the bytes leave in the background;
            elsewhere the call waits, until for 60 seconds the peer has read
            nothing.

        The end of a ``with`` block waits only while the peer reads something
        each second, and not at all if an exception leaves the block; it drops
        the bytes without an error.

        Raises:
            - :exc:`GIPCClosed` when it was closed before
            - :exc:`GIPCLocked` while another greenlet or thread is using it
            - :exc:`GIPCTimeout` when bytes were dropped; it is closed then
            - :exc:`GIPCError` in a process that does not own it

        >>> reader, writer = pipe()
        >>> writer.close(timeout=5.0)
        """
        deadline = deadline_of(timeout)
        self._close_unused(
            _Patience(STALL) if timeout is None else _Limit(deadline)
        )

    def abort(self):
        """Closes the handle at once; queued bytes that cannot be written
        without waiting are dropped, also those of a :meth:`close` that goes on
        in the background.

        Raises what :meth:`close` does, but no :exc:`GIPCTimeout`.

        >>> reader, writer = pipe()
        >>> writer.abort()
        """
        if self._closing is not None:
            self._stop_rest()
            self._discard(self._closing)
            self.rest_has_left()
            return
        self._validate()
        with Locked(self._turn, None) as refused:
            if refused is not None:
                raise self._in_use()
            self._stop_watcher()
            self._stop_rest()
            self._discard(self._h)
            self._forget()

    def _in_use(self):
        return GIPCLocked("%r is in use, it cannot be closed." % self)

    def _close(self, wait):
        """wait: gives the deadline of each wait for bytes to leave."""
        if self._other is not None and self._other._closing is not None:
            self._closed = True  # with the other one
            self._h = None
            return
        self._stop_watcher()
        self._stop_rest()
        while self._close_step(self._h) == WAIT:
            waits = self._waits()
            if waits.cooperative and wait.may_go_on_later:
                waits.finish(self)
                # For everybody else it is closed.
                self._closing = self._h
                self._closed = True
                self._h = None
                return
            if not waits.ready(self, WRITE, wait.deadline()):
                self._discard(self._h)
                self._forget()
                raise timed_out("closed before all bytes were written", False)
        self._forget()

    def _discard(self, native):
        try:
            if self._other is not None and not self._other._closed:
                self._drop_direction(native)
            else:
                _native.discard(native)
        except (GIPCError, OSError):
            pass  # it was closed before, or what is queued was dropped

    def _leave_block(self, failed):
        """As close(), for the end of a block."""
        try:
            self._close_unused(_Patience(0 if failed else GRACE))
        except GIPCTimeout:
            pass

    def _close_unused(self, wait):
        self._validate()
        with Locked(self._turn, None) as refused:
            if refused is not None:
                raise self._in_use()
            self._close(wait)

    def _waits(self):
        return current()

    def rest_has_left(self):
        """Of a put that was cancelled: in the background, or never will."""
        self.rest = None
        if self._closing is None:
            return
        try:
            self._close_step(self._closing)
        except (GIPCError, OSError):
            pass  # closed all the same
        if self._other is not None and self._other._closed:
            self._other._forget()
        self._forget()

    def _close_step(self, native):
        """WAIT: what a put left behind when it was cancelled must leave
        first."""
        try:
            if self._other is not None and not self._other._closed:
                return self._close_direction(native)
            return _native.close(native)
        except (BrokenPipeError, GIPCClosed):
            # Nobody is there to get it; or an exception came just behind it.
            return DONE

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            self._leave_block(any(exception))
        except GIPCClosed:
            pass
        except GIPCLocked:
            raise GIPCLocked(
                "%r is in use outside of the block that closes it." % self
            ) from None

    def __repr__(self):
        try:
            fd = self._fd
        except GIPCError:  # in a fork, where it belongs to the parent
            fd = "of another process"
        return "<%s_%s fd: %s>" % (type(self).__name__, self._id, fd)


class _Limit:
    """How long a close waits: until a deadline."""

    may_go_on_later = False

    def __init__(self, deadline):
        self._deadline = deadline

    def deadline(self):
        return self._deadline


class _Patience:
    """How long a close waits: as long as something is read in each of so many
    seconds.  Where there is a loop, it goes on there instead."""

    may_go_on_later = True

    def __init__(self, seconds):
        self._seconds = seconds

    def deadline(self):
        return deadline_of(self._seconds)


class Reading(_GIPCHandle):
    _direction = READ

    def _drop_direction(self, native):
        self._close_direction(native)

    def _close_direction(self, native):
        # The peer's next put fails, as if this were a pipe of its own.
        _shut_down(_native.fd(native, READ), READ)
        return DONE


def _shut_down(fd, direction):
    import socket

    how = socket.SHUT_RD if direction == READ else socket.SHUT_WR
    try:
        with socket.socket(fileno=os.dup(fd)) as s:
            s.shutdown(how)
    except OSError:
        pass  # no socket: the peer will see when the other direction closes


class Writing(WriterSettings, _GIPCHandle):
    _direction = WRITE

    def _drop_direction(self, native):
        # From then on a write fails, which empties the queue.
        _shut_down(_native.fd(native, WRITE), WRITE)
        _native.shutdown(native)

    def _close_direction(self, native):
        return _native.shutdown(native)

    def _flush_quietly(self):
        """A step; whether there is no more to do."""
        try:
            return _native.flush_step(self._closing or self._h) == DONE
        except (GIPCError, OSError):
            return True  # the next put tells

    def _writable(self, waits, deadline):
        """A step towards it: the descriptor is writable, or something has
        arrived meanwhile.  False when the deadline has passed."""
        if self._receives_ahead():
            return waits.either(self, deadline)
        return waits.ready(self, WRITE, deadline)

    def _receives_ahead(self):
        """Two peers that put at once would wait for each other: what is being
        put here is received, unless somebody is getting it.  Whether there is
        more to receive."""
        reader = self._other
        if reader is None or reader._closed:
            return False
        if reader._turn.taken:
            return True
        try:
            _native.read_ahead(self._h)
        except (GIPCError, OSError):
            return False  # the limit, or the end, which the next get tells
        return True


def get_all_handles():
    """The open handles of this process, as a list.

    A duplex handle is in it as its reader and its writer.
    """
    return [handle for handle in all_handles() if not handle._closed]


def close_all():
    """At the end of the process: closes those that nothing uses, so that the
    children that it waits for see the end of their streams."""
    wait = _Patience(GRACE)
    for handle in sorted(get_all_handles(), key=_queued):
        try:
            handle._close_unused(wait)
        except GIPCTimeout:
            wait = _Patience(0)  # all of them share what it costs
        except (GIPCError, OSError, RuntimeError):
            pass  # it is in use, or on a loop that is closed


def _queued(handle):
    try:
        return _native.pending(handle._h, WRITE)
    except (GIPCError, OSError):
        return 0


def arrive_in_child(parent, passed):
    """Those passed are this process's now, and no other one of its parent's,
    of which nothing may be touched, not even to stop a watcher."""
    _open.clear()
    _ancestors.add(parent)
    _ancestors.discard(_pid)
    for handle in passed:
        for side in (handle, handle._other):
            if side is not None and side._h is not None:
                side._arrive()


def all_handles():
    """Those too that are closed once what is left has left."""
    handles = (ref() for ref in list(_open))
    return [handle for handle in handles if handle is not None]
