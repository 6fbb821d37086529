"""Waiting under trio: the task waits, the others go on."""

import os

import sniffio
import trio

from ._native import READ, WRITE
from ._wait import time_left


def is_running():
    try:
        return sniffio.current_async_library() == "trio"
    except sniffio.AsyncLibraryNotFoundError:
        return False


class TrioTasks:
    cooperative = True

    def __init__(self):
        # What gives the one that a batch belongs to.
        self.current = trio.lowlevel.current_task

    async def call(self, function, *arguments):
        """As trio asks: whether it has to wait or not, the call is one at which
        tasks are switched; it is cancelled before it has done anything, or
        while it waits."""
        await trio.lowlevel.checkpoint_if_cancelled()
        result = await function(*arguments)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return result

    def ready(self, handle, direction, deadline):
        """As fd_ready, for who has the handle's turn."""
        handle._stop_rest()
        return _ready(handle.fd(direction), direction, deadline)

    async def either(self, handle, deadline):
        """Until it is writable, or readable; for who has the turn to put."""
        handle._stop_rest()
        return await self.any(
            [(handle.fd(READ), READ), (handle.fd(WRITE), WRITE)], deadline
        )

    async def any(self, fds, deadline):
        """Until one of (descriptor, direction) is ready.  Any number may wait
        for each."""
        copies = []
        try:
            for fd, direction in fds:
                # Another task may wait for this one.
                copies.append((os.dup(fd), direction))
            return await _by(deadline, _any, copies)
        finally:
            for copy, _ in copies:
                os.close(copy)

    async def fd_ready(self, fd, direction, deadline):
        """False when the deadline has passed.  Any number may wait for it."""
        copy = os.dup(fd)
        try:
            return await _ready(copy, direction, deadline)
        finally:
            os.close(copy)

    def finish(self, handle):
        """Queued bytes leave in the background."""
        handle.rest = _Rest(handle)
        try:
            trio.lowlevel.spawn_system_task(handle.rest.run)
        except RuntimeError:  # the run is over
            handle.rest.end()

    async def pause(self, seconds):
        await trio.sleep(seconds)

    async def yield_(self):
        await trio.lowlevel.checkpoint()

    def signal(self):
        return _Signal()

    async def shielded(self, function):
        with trio.CancelScope(shield=True):
            await function()

    async def open_reader(self, file):
        """A stream, and what closes it."""
        stream = trio.lowlevel.FdStream(os.dup(file.fileno()))
        file.close()
        return stream, stream.close

    open_writer = open_reader

    def runner(self):
        return _run


trio_tasks = TrioTasks()


async def _ready(fd, direction, deadline):
    return await _by(deadline, _wait_for(direction), fd)


async def _any(fds):
    async def until(wait, fd):
        await wait(fd)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        if not fds:
            nursery.start_soon(trio.sleep_forever)
        for fd, direction in fds:
            nursery.start_soon(until, _wait_for(direction), fd)


def _wait_for(direction):
    if direction == READ:
        return trio.lowlevel.wait_readable
    return trio.lowlevel.wait_writable


async def _by(deadline, wait, *arguments):
    """True, or False when the deadline has passed."""
    if deadline is None:
        await wait(*arguments)
        return True
    with trio.move_on_after(time_left(deadline)):
        await wait(*arguments)
        return True
    return False


class _Rest:
    def __init__(self, handle):
        self._handle = handle
        # Its own: the task goes a little after it was told to, and trio lets
        # one task wait for each.
        self._fd = os.dup(handle.fd(WRITE))
        self._scope = trio.CancelScope()

    async def run(self):
        try:
            with self._scope:
                while not self._scope.cancel_called:
                    await trio.lowlevel.wait_writable(self._fd)
                    if self._handle._flush_quietly():
                        self._handle.rest_has_left()
                        return
        finally:
            self.end()

    def end(self):
        os.close(self._fd)
        if self._handle.rest is self:
            self._handle.rest = None

    def close(self):
        self._scope.cancel()


class _Signal:
    """A task waits for another one, be it in a run of another thread."""

    def __init__(self):
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def wait(self, deadline):
        return _by(deadline, self._event.wait)

    def set(self):
        """False: its run is over, nobody waits any more."""
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


def _run(coroutine):
    """Runs a coroutine in a child."""

    async def main():
        return await coroutine

    # The frames below are the parent's: trio, which asks frame after frame what
    # Ctrl-C may interrupt, must not come to those of the parent's task.
    return trio.lowlevel.enable_ki_protection(trio.run)(main)
