"""Waiting under asyncio, on its own loops and on uvloop's: the task waits, the
others go on."""

import asyncio
import os
from asyncio.selector_events import BaseSelectorEventLoop as _Selecting
from contextlib import suppress
from io import FileIO

from ._aio_wait import running_loop
from ._native import READ, WRITE
from ._wait import monotonic


class AsyncioTasks:
    cooperative = True

    def __init__(self):
        # What gives the one that a batch belongs to.
        self.current = asyncio.current_task

    def call(self, function, *arguments):
        return function(*arguments)

    def ready(self, handle, direction, deadline):
        """As fd_ready, for who has the handle's lock."""
        # One callback for each descriptor: another would replace it.
        handle._stop_rest()
        handle._stop_watcher()  # of a call that an exception has ended
        watch = _Watch(running_loop(), handle.fd(direction), direction)
        handle.watcher = None, watch
        return _until(watch, deadline)

    def either(self, handle, deadline):
        """Until it is writable, or readable; for who has the lock to put."""
        handle._stop_rest()
        handle._stop_watcher()
        loop = running_loop()
        # A task that gets may have the callback of the other one.
        readable = _Watch(loop, _copy(handle.fd(READ)), READ)
        watch = _Watch(loop, handle.fd(WRITE), WRITE, readable)
        handle.watcher = None, watch
        return _until(watch, deadline)

    async def any(self, fds, deadline):
        """Until one of (descriptor, direction) is ready.  Any number may wait
        for each."""
        loop = running_loop()
        future = loop.create_future()
        watches = []
        try:
            for fd, direction in fds:
                watch = _Watch(loop, _copy(fd), direction)
                watches.append(watch)
                watch.start(watch.bring, future)
            return await _by(deadline, future)
        finally:
            for watch in watches:
                watch.close()

    def fd_ready(self, fd, direction, deadline):
        """False when the deadline has passed.  Any number may wait for it."""
        watch = _Watch(running_loop(), _copy(fd), direction)
        return _until(watch, deadline)

    def finish(self, handle):
        """Queued bytes leave in the background."""
        loop = running_loop()
        if loop is not None and not loop.is_closed():
            handle._stop_watcher()
            handle.rest = _Rest(loop, handle)
            handle.rest.start()

    async def pause(self, seconds):
        await asyncio.sleep(seconds)

    async def yield_(self):
        await asyncio.sleep(0)

    def signal(self):
        return _Signal(running_loop())

    async def shielded(self, function):
        await function()  # a task is cancelled once at a time

    async def open_reader(self, file):
        """A stream, and what closes it."""
        reader = asyncio.StreamReader()
        transport, _ = await running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        return reader, transport.close

    async def open_writer(self, file):
        loop = running_loop()
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), file
        )
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        return writer, writer.close

    def runner(self):
        loop = running_loop()
        return _Runner(None if isinstance(loop, _Selecting) else type(loop))


asyncio_tasks = AsyncioTasks()


async def _until(watch, deadline):
    future = running_loop().create_future()
    try:
        watch.start(watch.bring, future)
        return await _by(deadline, future)
    finally:
        watch.close()


def _copy(fd):
    """One that is closed when nothing refers to it."""
    return FileIO(os.dup(fd))


class _Watch:
    """Calls when a descriptor, or that of another watch, is ready, until it is
    closed: at any time, also in the middle of its start, and more than once.

    A descriptor is closed after its watch: loops would take the next one of
    this number for it, and never tell that it is ready.  The callback keeps the
    watch, and the watch the file."""

    _also = _file = _remove = None

    def __init__(self, loop, file, direction, also=None):
        self._also = also
        self._file = file
        fd = self._fd = file if isinstance(file, int) else file.fileno()
        # libuv makes the file non-blocking, be it one of other processes too.
        self._restore = not isinstance(loop, _Selecting) and os.get_blocking(fd)
        if direction == READ:
            self._add, self._remove = loop.add_reader, loop.remove_reader
        else:
            self._add, self._remove = loop.add_writer, loop.remove_writer

    def start(self, call, *arguments):
        if self._also is not None:
            self._also.start(call, *arguments)
        self._add(self._fd, call, *arguments)

    def close(self):
        if self._also is not None:
            self._also.close()
        if self._remove is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._remove(self._fd)
            if self._restore:
                os.set_blocking(self._fd, True)
            self._add = self._remove = self._file = None

    def bring(self, future):
        if future.done():
            self.close()  # an exception has ended what waited
        else:
            future.set_result(True)


def _bring(future, result):
    if not future.done():
        future.set_result(result)


async def _by(deadline, future):
    """What the future brings, or False when the deadline has passed."""
    if deadline is None:
        return await future
    timer = future.get_loop().call_later(
        max(0, deadline - monotonic()), _bring, future, False
    )
    try:
        return await future
    finally:
        timer.cancel()


class _Rest:
    def __init__(self, loop, handle):
        self._handle = handle
        self._watch = _Watch(loop, handle.fd(WRITE), WRITE)
        self.close = self._watch.close

    def start(self):
        self._watch.start(self._go_on)

    def _go_on(self):
        if self._handle._flush_quietly():
            self.close()
            self._handle.rest_has_left()


class _Signal:
    """A task waits for another one, be it in a loop of another thread."""

    def __init__(self, loop):
        self._loop = loop
        self._future = loop.create_future()

    def wait(self, deadline):
        return _by(deadline, self._future)

    def set(self):
        """False: its loop has been closed, nobody waits any more."""
        if self._loop.is_closed():
            return False
        if running_loop() is self._loop:
            _bring(self._future, True)
            return True
        try:
            self._loop.call_soon_threadsafe(_bring, self._future, True)
        except RuntimeError:
            return False
        return True


class _Runner:
    """Runs a coroutine in a child, on a loop of the parent's kind.  None: what
    the policy makes."""

    def __init__(self, kind):
        self._kind = kind

    def __call__(self, coroutine):
        if not hasattr(asyncio, "Runner"):  # before Python 3.11
            if self._kind is not None:
                policy = asyncio.DefaultEventLoopPolicy()
                policy.new_event_loop = self._kind
                asyncio.set_event_loop_policy(policy)
            return asyncio.run(coroutine)
        with asyncio.Runner(loop_factory=self._kind) as runner:
            return runner.run(coroutine)
