"""How a call waits: for a descriptor, or for another greenlet or thread.

Under gevent only the greenlet waits, otherwise the thread, without the
interpreter's lock.  A *waits* object is one such way; a *deadline* is a time of
time.monotonic(), or None.
"""

import sys
import time
from _thread import TIMEOUT_MAX
from numbers import Real

from . import _native
from ._native import READ, WRITE
from .errors import GIPCLocked, GIPCTimeout

monotonic = time.monotonic


def _original(module, name):
    """What gevent's monkey has not replaced."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


_new_lock = _original("_thread", "allocate_lock")
_sleep = _original("time", "sleep")


def time_left(deadline):
    """In seconds, for a call that waits for ever at -1."""
    return -1.0 if deadline is None else max(0.0, deadline - monotonic())


class Threads:
    """The calling thread waits."""

    cooperative = False

    def __init__(self):
        # A batch belongs to the thread.
        self.current = None

    def receive(self, handle, deadline):
        """What the native take gives; WAIT: the deadline has passed."""
        return _native.receive(handle._h, time_left(deadline))

    def ready(self, handle, direction, deadline):
        return self.fd_ready(handle.fd(direction), direction, deadline)

    def fd_ready(self, fd, direction, deadline):
        """False when the deadline has passed."""
        return _native.wait(fd, direction, time_left(deadline))

    def either(self, handle, deadline):
        """Until it is writable, or readable.  False when the deadline has
        passed."""
        return _native.wait_either(
            handle.fd(READ), handle.fd(WRITE), time_left(deadline)
        )

    def any(self, fds, deadline):
        """Until one of (descriptor, direction) is ready.  False when the
        deadline has passed."""
        poll = _original("select", "poll")()
        for fd, direction in poll_events(fds):
            poll.register(fd, direction)
        while True:
            left = time_left(deadline)
            if poll.poll(None if left < 0 else min(1000 * left, 1e9)):
                return True
            if deadline is not None and monotonic() >= deadline:
                return False

    def finish(self, handle):
        """Sees to it that queued bytes leave.  No thread is free for that: the
        next put, flush or close does it."""

    def pause(self, seconds):
        _sleep(seconds)

    def yield_(self):
        pass

    def signal(self):
        """A lock, locked: one thread waits for another to release it."""
        lock = _new_lock()
        lock.acquire()
        return _ThreadSignal(lock)


def poll_events(fds):
    """(descriptor, events of poll), each descriptor once."""
    import select

    events = {}
    for fd, direction in fds:
        event = select.POLLIN if direction == READ else select.POLLOUT
        events[fd] = events.get(fd, 0) | event
    return events.items()


class _ThreadSignal:
    __slots__ = ("_lock", "set")

    def __init__(self, lock):
        self._lock = lock
        self.set = lock.release  # no exception comes inside of it

    def wait(self, deadline):
        return self._lock.acquire(True, time_left(deadline))


threads = Threads()


def current():
    """The way of this thread: gevent's where it has a hub.  A thread without
    one has no other greenlet that could go on meanwhile."""
    gevent_hub = sys.modules.get("gevent._hub_local")
    if gevent_hub is not None and gevent_hub.get_hub_if_exists() is not None:
        from ._gevent import greenlets

        return greenlets
    return threads


# A class in it is told from others faster than by its abstract class.
_NUMBERS = frozenset((float, int))


def deadline_of(timeout):
    """The moment at which `timeout` seconds are over.  None, and a number that
    is negative or infinite: never, as in C."""
    if timeout is None:
        return None
    if timeout.__class__ not in _NUMBERS and not isinstance(timeout, Real):
        raise TypeError(
            "the timeout must be None or a number of seconds, not %r"
            % (timeout,)
        )
    if timeout != timeout:
        raise ValueError("the timeout is not a number")
    # No lock waits for longer than TIMEOUT_MAX, which is centuries.
    if timeout < 0 or timeout > TIMEOUT_MAX:
        return None
    return monotonic() + timeout


def is_gevents(timeout):
    return hasattr(timeout, "start") and hasattr(timeout, "cancel")


def check_timeout(timeout):
    """Raises what limit() would: before anything has been got or put."""
    if timeout.__class__ in _NUMBERS or not is_gevents(timeout):
        deadline_of(timeout)


class limit:
    """A block that has `timeout`: None, seconds, or a started
    gevent.Timeout, which is cancelled at its end, as upstream gipc does.  Gives
    the deadline."""

    __slots__ = ("_timeout",)

    def __init__(self, timeout):
        self._timeout = timeout

    def __enter__(self):
        timeout = self._timeout
        if timeout.__class__ in _NUMBERS or not is_gevents(timeout):
            self._timeout = None
            return deadline_of(timeout)
        # The caller has started it, and it interrupts by itself.
        return None

    def __exit__(self, *exception):
        if self._timeout is not None:
            self._timeout.cancel()


def timed_out(what, withdrawn=None):
    error = GIPCTimeout(what)
    error.withdrawn = withdrawn
    return error


def await_lock(handle, signal, deadline, withdrawn=None):
    """Waits until the lock of a handle is the caller's.  signal: what Locked
    gave; withdrawn: of the error."""
    try:
        if signal is False:
            raise reentrant(handle)
        if not signal.wait(deadline):
            raise timed_out(_IN_USE)
    except BaseException as error:
        note_withdrawn(error, withdrawn)
        raise


_IN_USE = "others used the handle all the time"


def reentrant(handle):
    return GIPCLocked(
        "reentrant call: a caller of this call uses %r already" % (handle,)
    )


def note_withdrawn(error, withdrawn):
    if withdrawn is not None:
        try:
            error.withdrawn = withdrawn
        except AttributeError:
            pass  # trio's Cancelled has no room
