"""What the driver of a pool waits for: many descriptors, by any backend."""

from __future__ import annotations

import select
from typing import Any

from ._backend import Backend, BackgroundFlush, Closable
from ._deadline import monotonic, original
from ._native import READ, WRITE
from ._threads import new_poll
from ._types import Deadline

try:
    _new_epoll: Any = original("select", "epoll")
except AttributeError:
    _new_epoll = None

Ready = list[tuple[int, int]]


def _mask(directions: int) -> int:
    return (select.EPOLLIN if directions & READ else 0) | (
        select.EPOLLOUT if directions & WRITE else 0
    )


class Poll:
    """A set of descriptors, of which the ready ones are found at once.  Where
    there is epoll, its descriptor is the only one that a loop watches."""

    # Of a handle, for Backend.wait_ready.
    _h: Any = None
    _watcher: tuple[Any, Closable] | None = None
    _background_flush: BackgroundFlush | None = None

    def __init__(self) -> None:
        self._fds: dict[int, int] = {}  # directions
        self._epoll = None if _new_epoll is None else _new_epoll()

    def add(self, fd: int, directions: int = READ) -> None:
        self._fds[fd] = directions
        if self._epoll is not None:
            self._epoll.register(fd, _mask(directions))

    def change(self, fd: int, directions: int) -> None:
        if fd in self._fds:
            self._fds[fd] = directions
            if self._epoll is not None:
                self._epoll.modify(fd, _mask(directions))

    def remove(self, fd: int) -> None:
        """Before the descriptor is closed: processes that inherited it keep it
        registered."""
        if self._fds.pop(fd, None) is not None and self._epoll is not None:
            self._epoll.unregister(fd)

    async def wait(self, backend: Backend, deadline: Deadline) -> Ready:
        """The descriptors that are ready; none when the deadline has passed."""
        if self._epoll is None:
            return await self._wait_for_each(backend, deadline)
        if not backend.cooperative:
            left = None if deadline is None else max(0, deadline - monotonic())
            ready: Ready = self._epoll.poll(left)
            return ready
        ready = self._epoll.poll(0)
        if ready:
            await backend.yield_()
            return ready
        if await backend.wait_ready(self, READ, deadline):
            ready = self._epoll.poll(0)
        return ready

    async def _wait_for_each(
        self, backend: Backend, deadline: Deadline
    ) -> Ready:
        fds = [
            (fd, direction)
            for fd, directions in self._fds.items()
            for direction in (READ, WRITE)
            if directions & direction
        ]
        if not await backend.wait_any(fds, deadline):
            return []
        ready: Ready = new_poll(fds).poll(0)
        return ready

    def close(self) -> None:
        self._stop_watcher()
        if self._epoll is not None:
            self._epoll.close()

    def forget(self) -> None:
        """In a forked child."""
        self._watcher = None
        if self._epoll is not None:
            self._epoll.close()

    # ---- Of a handle, for Backend.wait_ready ---------------------------------

    def fd(self, direction: int, /) -> int:
        assert self._epoll is not None
        fd: int = self._epoll.fileno()
        return fd

    def _stop_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher[1].close()
            self._watcher = None

    def _stop_background_flush(self) -> None:
        pass

    def _flush_quietly(self) -> bool:
        return True

    def _on_background_flush_done(self) -> None:
        pass
