"""How a call waits: for a descriptor, or for another greenlet or thread.

Under gevent only the greenlet waits, otherwise the thread, without the
interpreter's lock.  A *waits* object is one such way; a *deadline* is a time of
time.monotonic(), or None.
"""

import os
import sys
import time
from _thread import TIMEOUT_MAX
from collections import deque
from contextlib import contextmanager
from numbers import Real

from . import _native
from ._native import READ, WRITE
from .errors import GIPCTimeout

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

    def receive(self, handle, deadline):
        """What the native take gives, or None when the deadline has passed."""
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
    __slots__ = ("_lock",)

    def __init__(self, lock):
        self._lock = lock

    def wait(self, deadline):
        return self._lock.acquire(True, time_left(deadline))

    def set(self):
        self._lock.release()


threads = Threads()


def current():
    """The way of this thread: gevent's where it has a hub.  A thread without
    one has no other greenlet that could go on meanwhile."""
    gevent_hub = sys.modules.get("gevent._hub_local")
    if gevent_hub is not None and gevent_hub.get_hub_if_exists() is not None:
        from ._gevent import greenlets

        return greenlets
    return threads


def deadline_of(timeout):
    """The moment at which `timeout` seconds are over.  None, and a number that
    is negative or infinite: never, as in C."""
    if timeout is None:
        return None
    if not isinstance(timeout, Real):
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
    if not is_gevents(timeout):
        deadline_of(timeout)


@contextmanager
def limit(timeout):
    """A block that has `timeout`: None, seconds, or a started
    gevent.Timeout, which is cancelled at its end, as upstream gipc does.  Gives
    the deadline."""
    if not is_gevents(timeout):
        yield deadline_of(timeout)
        return
    # The caller has started it, and it interrupts by itself.
    try:
        yield None
    finally:
        timeout.cancel()


def timed_out(what, withdrawn=None):
    error = GIPCTimeout(what)
    error.withdrawn = withdrawn
    return error


# Of all turns: held for a few instructions, never while something waits.
_guard = _new_lock()


def _new_guard():
    global _guard
    _guard = _new_lock()


# Another thread may hold it when this one forks.
os.register_at_fork(after_in_child=_new_guard)


class Turn:
    """One at a time, in the order of their coming, be they greenlets, threads
    or tasks."""

    __slots__ = ("taken", "_queue")

    def __init__(self):
        self.taken = False
        self._queue = None

    def take(self, waits, deadline, withdrawn=None):
        """Waits until it is the caller's.  withdrawn: of the error."""
        with _guard:
            if not self.taken:
                self.taken = True
                return
            signal = waits.signal()
            if self._queue is None:
                self._queue = deque()
            self._queue.append(signal)
        try:
            in_time = signal.wait(deadline)
        except BaseException:
            self._leave(signal)
            raise
        if not in_time:
            self._leave(signal)
            raise timed_out("others used the handle all the time", withdrawn)

    def take_at_once(self):
        with _guard:
            if self.taken:
                return False
            self.taken = True
            return True

    def release(self):
        with _guard:
            if not self._queue:
                self.taken = False
                return
            successor = self._queue.popleft()
        successor.set()

    def _leave(self, signal):
        with _guard:
            if signal in self._queue:
                self._queue.remove(signal)
                return
        self.release()  # it had come to pass just before

    @contextmanager
    def mine(self, waits, deadline, withdrawn=None):
        self.take(waits, deadline, withdrawn)
        try:
            yield
        finally:
            self.release()
