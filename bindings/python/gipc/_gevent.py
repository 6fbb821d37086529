"""Waiting under gevent: the greenlet waits, the others run."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Callable

import gevent
from gevent._hub_local import get_hub_if_exists as hub_if_exists
from gevent._hub_local import set_hub
from gevent.hub import Waiter, get_hub
from greenlet import getcurrent

from . import _native
from ._backend import Backend, BlockingBackend, Waiting, run
from ._deadline import monotonic
from ._native import DONE, READ, WAIT, WRITE, YIELD, take_after
from ._types import Deadline


class GeventBackend(BlockingBackend):
    def __init__(self) -> None:
        self.current = getcurrent

    def receive_now(
        self, outcome: int, handle: Waiting, deadline: Deadline
    ) -> Any:
        data: Any = outcome
        while True:
            data = take_after(data, handle._h)
            if data.__class__ is not int:
                return data
            if data == WAIT:
                if not _wait_with_watcher(handle, READ, deadline):
                    return WAIT
                data = DONE
            elif data == YIELD:
                _pass_iteration()
            else:
                return data

    async def wait_ready(
        self, handle: Waiting, direction: int, deadline: Deadline
    ) -> bool:
        return _wait_with_watcher(handle, direction, deadline)

    async def wait_either(self, handle: Waiting, deadline: Deadline) -> bool:
        fds = [(handle.fd(direction), direction) for direction in (READ, WRITE)]
        return await self.wait_any(fds, deadline)

    async def wait_any(
        self, fds: Iterable[tuple[int, int]], deadline: Deadline
    ) -> bool:
        hub = get_hub()
        waiter = Waiter(hub)
        watchers = [hub.loop.io(fd, direction) for fd, direction in fds]
        try:
            for watcher in watchers:
                watcher.start(waiter.switch, True)
            return _until(deadline, waiter.get)
        finally:
            for watcher in watchers:
                watcher.stop()
                watcher.close()

    async def wait_fd(
        self, fd: int, direction: int, deadline: Deadline
    ) -> bool:
        hub = get_hub()
        watcher = hub.loop.io(fd, direction)
        try:
            return _until(deadline, hub.wait, watcher)
        finally:
            watcher.close()

    def flush_in_background(self, handle: Waiting) -> None:
        current: Any = handle._background_flush
        if current is not None and current.active:
            return
        watcher = get_hub().loop.io(handle.fd(WRITE), WRITE)

        def step() -> None:
            if handle._flush_quietly():
                watcher.stop()
                watcher.close()
                handle._on_background_flush_done()

        handle._background_flush = watcher
        watcher.start(step)

    async def sleep(self, seconds: float) -> None:
        gevent.sleep(seconds)

    async def yield_(self) -> None:
        _pass_iteration()

    def new_event(self) -> _GreenletEvent:
        return _GreenletEvent()

    @contextmanager
    def waiting_for_thread(self) -> Iterator[None]:
        # A hub raises LoopExit when nothing of it is active.
        watcher = get_hub().loop.async_()
        watcher.start(int)
        try:
            yield
        finally:
            watcher.stop()
            watcher.close()

    def start_driver(
        self, body: Callable[[Backend], Coroutine[Any, Any, None]]
    ) -> None:
        gevent.spawn(run, body, self)


def _pass_iteration() -> None:
    """Lets the loop look at its timers and descriptors.  gevent.sleep(0) only
    runs the other greenlets: the hub resumes up to 50 before it lets the loop
    look at anything else."""
    hub = get_hub()
    timer = hub.loop.timer(0)
    try:
        hub.wait(timer)
    finally:
        timer.close()


def _wait_with_watcher(
    handle: Waiting, direction: int, deadline: Deadline
) -> bool:
    """Waits with the watcher of the handle, which is kept."""
    hub = get_hub()
    kept: Any = handle._watcher
    if kept is not None and kept[0] is hub:
        watcher = kept[1]
    else:
        # The watcher of another thread belongs to the hub of that thread.
        watcher = hub.loop.io(handle.fd(direction), direction)
        handle._watcher = hub, watcher
    return _until(deadline, hub.wait, watcher)


def _until(
    deadline: Deadline, wait: Callable[..., object], *arguments: object
) -> bool:
    if deadline is None:
        wait(*arguments)
        return True
    left = deadline - monotonic()
    if left <= 0:
        return False
    # The clock of gevent is that of the last loop iteration.
    get_hub().loop.update_now()
    timeout = gevent.Timeout.start_new(left)
    try:
        wait(*arguments)
        return True
    except gevent.Timeout as error:
        if error is not timeout:
            raise
        return False
    finally:
        timeout.close()


class _GreenletEvent:
    def __init__(self) -> None:
        self._hub = get_hub()
        self._waiter = Waiter(self._hub)
        self._thread = threading.get_ident()

    async def wait(self, deadline: Deadline) -> bool:
        return _until(deadline, self._waiter.get)

    def set(self) -> None:
        loop = self._hub.loop
        if threading.get_ident() == self._thread:
            loop.run_callback(self._waiter.switch, None)
        else:
            loop.run_callback_threadsafe(self._waiter.switch, None)


greenlets = GeventBackend()


class ChildWatcher:
    """Reports the status of a child to the library.

    libev in gevent collects the status of every child once the program watches
    one of its own.  Linux before 6.15 then has no status for anybody else; a
    watcher of the child gets it.
    """

    def __init__(self, native: _native.Process, pid: int):
        self._native = native
        self._watcher: Any = get_hub().loop.child(pid, ref=False)
        self._watcher.start(self._report)

    @classmethod
    def is_needed(cls) -> bool:
        if not _native.sigchld_is_handled():
            return False
        hub = hub_if_exists()
        return (
            hub is not None
            and hub.loop.default
            and not callable(signal.getsignal(signal.SIGCHLD))
        )

    def _report(self) -> None:
        _native.process_report(self._native, self._watcher.rstatus)
        self.close()

    def settle(self) -> None:
        """After the end of the child: lets the loop call the watcher."""
        for _ in range(3):
            if self._watcher is None:
                return
            gevent.sleep(0)

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None


def leave_in_child() -> None:
    """In a forked child: drops the inherited hub, so that the next use of
    gevent makes a new one."""
    hub = hub_if_exists()
    if hub is None:
        return
    loop = hub.loop
    # A greenlet that is collected runs its finally blocks: those that were
    # about to run here belong to the parent.  References keep all of them.
    _inherited.append((hub, loop, list(getattr(loop, "_callbacks", None) or ())))
    for part in ("_threadpool", "_resolver"):
        _inherited.append(getattr(hub, part, None))
        setattr(hub, part, None)
    replace_hub: Any = set_hub
    replace_hub(None)
    # If gevent uses the same libev as the library, the default loop was already
    # destroyed at the fork.
    if not (loop.default and _shares_libev()):
        loop.destroy()


_inherited: list[Any] = []


def _shares_libev() -> bool:
    core = sys.modules.get("gevent.libev.corecext")
    return core is not None and not core.LIBEV_EMBED
