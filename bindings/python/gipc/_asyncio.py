"""Waiting under asyncio, on its own loops and on uvloop's: the task waits, the
others run."""

from __future__ import annotations

import asyncio
import os
from asyncio import _get_running_loop as running_loop
from asyncio.selector_events import BaseSelectorEventLoop as _SelectorLoop
from collections.abc import Awaitable, Coroutine, Iterable
from contextlib import suppress
from io import FileIO
from typing import TYPE_CHECKING, Any, Callable

from ._backend import Backend, Result, TaskBackend, Waiting
from ._deadline import monotonic
from ._native import READ, WRITE
from ._types import Deadline

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._backend import Arguments


def _loop() -> asyncio.AbstractEventLoop:
    # As asyncio.get_running_loop(), of which Cython code has other ideas.
    loop = running_loop()
    assert loop is not None
    return loop


class AsyncioBackend(TaskBackend):
    cancelled = (asyncio.CancelledError,)

    def __init__(self) -> None:
        self.current = asyncio.current_task

    def call(
        self,
        body: Callable[[Unpack[Arguments]], Coroutine[Any, Any, Result]],
        *arguments: Unpack[Arguments],
    ) -> Coroutine[Any, Any, Result]:
        return body(*arguments)

    def wait_ready(
        self, handle: Waiting, direction: int, deadline: Deadline
    ) -> Awaitable[bool]:
        # A loop has one callback for each descriptor: another one would replace
        # it.
        handle._stop_background_flush()
        handle._stop_watcher()  # of a call that an exception has ended
        watcher = _Watcher(_loop(), handle.fd(direction), direction)
        handle._watcher = None, watcher
        return _until_ready(watcher, deadline)

    def wait_either(
        self, handle: Waiting, deadline: Deadline
    ) -> Awaitable[bool]:
        handle._stop_background_flush()
        handle._stop_watcher()
        loop = _loop()
        # A task that gets may have the callback of the descriptor to read.
        readable = _Watcher(loop, _copy(handle.fd(READ)), READ)
        watcher = _Watcher(loop, handle.fd(WRITE), WRITE, readable)
        handle._watcher = None, watcher
        return _until_ready(watcher, deadline)

    async def wait_any(
        self, fds: Iterable[tuple[int, int]], deadline: Deadline
    ) -> bool:
        loop = _loop()
        future = loop.create_future()
        watchers = []
        try:
            for fd, direction in fds:
                watcher = _Watcher(loop, _copy(fd), direction)
                watchers.append(watcher)
                watcher.start(watcher.set_ready, future)
            return await _until(deadline, future)
        finally:
            for watcher in watchers:
                watcher.close()

    def wait_fd(
        self, fd: int, direction: int, deadline: Deadline
    ) -> Awaitable[bool]:
        watcher = _Watcher(_loop(), _copy(fd), direction)
        return _until_ready(watcher, deadline)

    def flush_in_background(self, handle: Waiting) -> None:
        loop = running_loop()
        if loop is not None and not loop.is_closed():
            handle._stop_watcher()
            flush = _BackgroundFlush(loop, handle)
            handle._background_flush = flush
            flush.start()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def yield_(self) -> None:
        await asyncio.sleep(0)

    def new_event(self) -> _Event:
        return _Event(_loop())

    def start_driver(
        self, body: Callable[[Backend], Coroutine[Any, Any, None]]
    ) -> None:
        task = _loop().create_task(body(self))
        # A loop has only weak references to its tasks.
        _drivers.add(task)
        task.add_done_callback(_drivers.discard)

    async def shielded(self, body: Callable[[], Awaitable[object]]) -> None:
        await body()  # a task is cancelled once at a time

    async def open_reader(self, file: Any) -> tuple[Any, Callable[[], object]]:
        reader = asyncio.StreamReader()
        transport, _ = await _loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        return reader, transport.close

    async def open_writer(self, file: Any) -> tuple[Any, Callable[[], object]]:
        loop = _loop()
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), file
        )
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        return writer, writer.close

    def runner(self) -> _Runner:
        loop = running_loop()
        return _Runner(None if isinstance(loop, _SelectorLoop) else type(loop))


asyncio_tasks = AsyncioBackend()
_drivers: set[asyncio.Task[None]] = set()


async def _until_ready(watcher: _Watcher, deadline: Deadline) -> bool:
    future = _loop().create_future()
    try:
        watcher.start(watcher.set_ready, future)
        return await _until(deadline, future)
    finally:
        watcher.close()


def _copy(fd: int) -> FileIO:
    """A duplicate that is closed when it is not referred to any more."""
    return FileIO(os.dup(fd))


class _Watcher:
    """Calls a function when a descriptor, or that of a second watcher, is ready.

    It can be closed at any time, also during its start, and more than once.  The
    descriptor is closed after its watcher: a loop would take another one of this
    number for it, and not report that one.  So the callback refers to the
    watcher, and the watcher to the file.
    """

    _also: _Watcher | None = None
    _file: int | FileIO | None = None
    _remove: Callable[[int], object] | None = None

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        file: int | FileIO,
        direction: int,
        also: _Watcher | None = None,
    ):
        self._also = also
        self._file = file
        fd = self._fd = file if isinstance(file, int) else file.fileno()
        # libuv makes the file non-blocking, also for other processes.
        self._restore = (
            not isinstance(loop, _SelectorLoop) and os.get_blocking(fd)
        )
        self._add: Any
        if direction == READ:
            self._add, self._remove = loop.add_reader, loop.remove_reader
        else:
            self._add, self._remove = loop.add_writer, loop.remove_writer

    def start(self, call: Callable[..., object], *arguments: object) -> None:
        if self._also is not None:
            self._also.start(call, *arguments)
        self._add(self._fd, call, *arguments)

    def close(self) -> None:
        if self._also is not None:
            self._also.close()
        if self._remove is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._remove(self._fd)
            if self._restore:
                os.set_blocking(self._fd, True)
            self._add = self._remove = self._file = None

    def set_ready(self, future: asyncio.Future[bool]) -> None:
        if future.done():
            self.close()  # an exception has ended the call that waited
        else:
            future.set_result(True)


def _set_result(future: asyncio.Future[bool], result: bool) -> None:
    if not future.done():
        future.set_result(result)


async def _until(deadline: Deadline, future: asyncio.Future[bool]) -> bool:
    """The result of the future, or False when the deadline has passed."""
    if deadline is None:
        return await future
    timer = future.get_loop().call_later(
        max(0, deadline - monotonic()), _set_result, future, False
    )
    try:
        return await future
    finally:
        timer.cancel()


class _BackgroundFlush:
    def __init__(self, loop: asyncio.AbstractEventLoop, handle: Waiting):
        self._handle = handle
        self._watcher = _Watcher(loop, handle.fd(WRITE), WRITE)
        self.close = self._watcher.close

    def start(self) -> None:
        self._watcher.start(self._step)

    def _step(self) -> None:
        if self._handle._flush_quietly():
            self.close()
            self._handle._on_background_flush_done()


class _Event:
    """A task waits for another one, which may be of a loop in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._future = loop.create_future()

    def wait(self, deadline: Deadline) -> Awaitable[bool]:
        return _until(deadline, self._future)

    def set(self) -> bool:
        """False if the loop is closed, so that nobody waits any more."""
        if self._loop.is_closed():
            return False
        if running_loop() is self._loop:
            _set_result(self._future, True)
            return True
        try:
            self._loop.call_soon_threadsafe(_set_result, self._future, True)
        except RuntimeError:
            return False
        return True


class _Runner:
    """Runs a coroutine in a child, on a loop of the parent's type; None: the
    default type."""

    def __init__(self, loop_type: Any):
        self._loop_type = loop_type

    def __call__(self, coroutine: Coroutine[Any, Any, object]) -> object:
        new_runner: Any = getattr(asyncio, "Runner", None)
        if new_runner is None:  # before Python 3.11
            if self._loop_type is not None:
                policy: Any = asyncio.DefaultEventLoopPolicy()
                policy.new_event_loop = self._loop_type
                asyncio.set_event_loop_policy(policy)
            return asyncio.run(coroutine)
        with new_runner(loop_factory=self._loop_type) as runner:
            result: object = runner.run(coroutine)
            return result
