"""Waiting under trio: the task waits, the others run."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Callable

import sniffio
import trio

from ._backend import Backend, Result, TaskBackend, Waiting
from ._deadline import time_left
from ._native import READ, WRITE
from ._types import Deadline

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._backend import Arguments


def is_running() -> bool:
    try:
        return sniffio.current_async_library() == "trio"
    except sniffio.AsyncLibraryNotFoundError:
        return False


class TrioBackend(TaskBackend):
    def __init__(self) -> None:
        self.current = trio.lowlevel.current_task

    async def call(
        self,
        body: Callable[[Unpack[Arguments]], Coroutine[Any, Any, Result]],
        *arguments: Unpack[Arguments],
    ) -> Result:
        """Makes the call a checkpoint, whether it waits or not.  It is
        cancelled before it has done anything, or while it waits."""
        await trio.lowlevel.checkpoint_if_cancelled()
        result = await body(*arguments)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return result

    def wait_ready(
        self, handle: Waiting, direction: int, deadline: Deadline
    ) -> Awaitable[bool]:
        handle._stop_background_flush()
        return _wait_for(handle.fd(direction), direction, deadline)

    async def wait_either(self, handle: Waiting, deadline: Deadline) -> bool:
        handle._stop_background_flush()
        return await self.wait_any(
            [(handle.fd(READ), READ), (handle.fd(WRITE), WRITE)], deadline
        )

    async def wait_any(
        self, fds: Iterable[tuple[int, int]], deadline: Deadline
    ) -> bool:
        copies: list[tuple[int, int]] = []
        try:
            for fd, direction in fds:
                # trio lets one task wait for each descriptor and direction.
                copies.append((os.dup(fd), direction))
            return await _until(deadline, _wait_for_any, copies)
        finally:
            for copy, _ in copies:
                os.close(copy)

    async def wait_fd(
        self, fd: int, direction: int, deadline: Deadline
    ) -> bool:
        copy = os.dup(fd)
        try:
            return await _wait_for(copy, direction, deadline)
        finally:
            os.close(copy)

    def flush_in_background(self, handle: Waiting) -> None:
        flush = _BackgroundFlush(handle)
        handle._background_flush = flush
        try:
            trio.lowlevel.spawn_system_task(flush.run)
        except RuntimeError:  # the run has ended
            flush.end()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def yield_(self) -> None:
        await trio.lowlevel.checkpoint()

    def new_event(self) -> _Event:
        return _Event()

    def start_driver(
        self, body: Callable[[Backend], Coroutine[Any, Any, None]]
    ) -> None:
        trio.lowlevel.spawn_system_task(body, self)

    async def shielded(self, body: Callable[[], Awaitable[object]]) -> None:
        with trio.CancelScope(shield=True):
            await body()

    async def open_reader(self, file: Any) -> tuple[Any, Callable[[], object]]:
        stream = trio.lowlevel.FdStream(os.dup(file.fileno()))
        file.close()
        return stream, stream.close

    open_writer = open_reader

    def runner(self) -> Callable[[Coroutine[Any, Any, object]], object]:
        return _run


trio_tasks = TrioBackend()


async def _wait_for(fd: int, direction: int, deadline: Deadline) -> bool:
    return await _until(deadline, _wait_function(direction), fd)


async def _wait_for_any(fds: list[tuple[int, int]]) -> None:
    async def until(wait: Callable[[int], Awaitable[None]], fd: int) -> None:
        await wait(fd)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        if not fds:
            nursery.start_soon(trio.sleep_forever)
        for fd, direction in fds:
            nursery.start_soon(until, _wait_function(direction), fd)


def _wait_function(direction: int) -> Callable[[int], Awaitable[None]]:
    if direction == READ:
        return trio.lowlevel.wait_readable
    return trio.lowlevel.wait_writable


async def _until(
    deadline: Deadline,
    wait: Callable[..., Awaitable[None]],
    *arguments: object,
) -> bool:
    """False when the deadline has passed."""
    if deadline is None:
        await wait(*arguments)
        return True
    with trio.move_on_after(time_left(deadline)):
        await wait(*arguments)
        return True
    return False


class _BackgroundFlush:
    def __init__(self, handle: Waiting):
        self._handle = handle
        # A duplicate descriptor: the cancelled task ends slightly later, and
        # trio allows one waiter for each descriptor and direction.
        self._fd = os.dup(handle.fd(WRITE))
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        try:
            with self._scope:
                while not self._scope.cancel_called:
                    await trio.lowlevel.wait_writable(self._fd)
                    if self._handle._flush_quietly():
                        self._handle._on_background_flush_done()
                        return
        finally:
            self.end()

    def end(self) -> None:
        os.close(self._fd)
        if self._handle._background_flush is self:
            self._handle._background_flush = None

    def close(self) -> None:
        self._scope.cancel()


class _Event:
    """A task waits for another one, which may be of a run in another thread."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def wait(self, deadline: Deadline) -> Awaitable[bool]:
        return _until(deadline, self._event.wait)

    def set(self) -> bool:
        """False if the run has ended, so that nobody waits any more."""
        try:
            if trio.lowlevel.current_trio_token() is self._token:
                self._event.set()
                return True
        except RuntimeError:
            pass  # trio does not run in this thread
        try:
            self._token.run_sync_soon(self._event.set)
        except trio.RunFinishedError:
            return False
        return True


def _run(coroutine: Coroutine[Any, Any, object]) -> object:
    """Runs a coroutine in a child."""

    async def main() -> object:
        return await coroutine

    # Without the protection trio searches the frames below, those of the
    # parent's task among them, for what Ctrl-C may interrupt.
    return trio.lowlevel.enable_ki_protection(trio.run)(main)
