"""Waiting in a thread, without the lock of the interpreter."""

from __future__ import annotations

import select
from collections.abc import Coroutine, Iterable
from typing import Any, Callable

from . import _native
from ._backend import Backend, BlockingBackend, Waiting, run
from ._deadline import monotonic, original, time_left
from ._native import READ, WRITE
from ._types import Deadline

_new_lock = original("_thread", "allocate_lock")
_start_new_thread = original("_thread", "start_new_thread")
_sleep = original("time", "sleep")


class ThreadBackend(BlockingBackend):
    cooperative = False

    def receive_now(
        self, outcome: int, handle: Waiting, deadline: Deadline
    ) -> Any:
        return _native.receive(outcome, handle._h, time_left(deadline))

    async def wait_ready(
        self, handle: Waiting, direction: int, deadline: Deadline
    ) -> bool:
        return _native.wait(
            handle.fd(direction), direction, time_left(deadline)
        )

    async def wait_either(self, handle: Waiting, deadline: Deadline) -> bool:
        return _native.wait_either(
            handle.fd(READ), handle.fd(WRITE), time_left(deadline)
        )

    async def wait_any(
        self, fds: Iterable[tuple[int, int]], deadline: Deadline
    ) -> bool:
        poll = new_poll(fds)
        while True:
            left = time_left(deadline)
            if poll.poll(None if left < 0 else min(1000 * left, 1e9)):
                return True
            if deadline is not None and monotonic() >= deadline:
                return False

    async def wait_fd(
        self, fd: int, direction: int, deadline: Deadline
    ) -> bool:
        return _native.wait(fd, direction, time_left(deadline))

    def flush_in_background(self, handle: Waiting) -> None:
        """Does nothing: the next put, flush or close writes the bytes, as the
        thread does not return to a loop."""

    async def sleep(self, seconds: float) -> None:
        _sleep(seconds)

    async def yield_(self) -> None:
        pass

    def new_event(self) -> _ThreadEvent:
        return _ThreadEvent()

    def start_driver(
        self, body: Callable[[Backend], Coroutine[Any, Any, None]]
    ) -> None:
        # The end of the program does not wait for the thread.
        _start_new_thread(run, (body, self))


class _ThreadEvent:
    __slots__ = ("_lock", "set")

    def __init__(self) -> None:
        self._lock = _new_lock()
        self._lock.acquire()
        # A function of C, inside which no exception of a signal handler comes.
        self.set = self._lock.release

    async def wait(self, deadline: Deadline) -> bool:
        acquired: bool = self._lock.acquire(True, time_left(deadline))
        return acquired


def new_poll(fds: Iterable[tuple[int, int]]) -> Any:
    """A poll object, also under gevent, with each descriptor once."""
    events: dict[int, int] = {}
    for fd, direction in fds:
        event = select.POLLIN if direction == READ else select.POLLOUT
        events[fd] = events.get(fd, 0) | event
    poll = original("select", "poll")()
    for fd, mask in events.items():
        poll.register(fd, mask)
    return poll


threads = ThreadBackend()
