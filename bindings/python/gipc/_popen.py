"""The exit of a child process: waiting, signals, the exit code."""

from __future__ import annotations

import errno
import sys
from signal import SIGKILL, SIGTERM
from typing import TYPE_CHECKING, Any, NoReturn

from . import _native
from ._backend import Backend, run
from ._blocking import current_backend
from ._deadline import deadline_of, monotonic
from ._native import READ
from ._types import Deadline
from .errors import GIPCStatusLost

if TYPE_CHECKING:
    from ._gevent import ChildWatcher


class LostStatus:
    """Stored as the returncode if the exit status was lost; reading exitcode
    then raises GIPCStatusLost."""

    def __init__(self, error: GIPCStatusLost):
        self._error = error

    def raise_error(self) -> NoReturn:
        raise self._error

    def __repr__(self) -> str:
        return "lost"


def exit_code(code: Any) -> int | None:
    if isinstance(code, LostStatus):
        code.raise_error()
    result: int | None = code
    return result


class Popen:
    """A child process, with the interface of a Popen object of
    multiprocessing."""

    # None once it is closed.
    _p: Any

    def __init__(self, native: _native.Process):
        self._p = native
        self.returncode: int | LostStatus | None = None
        self.finalizer = None
        self.pid = _native.process_pid(native)
        self.sentinel: int | None
        try:
            self.sentinel = _native.process_fd(native)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self.sentinel = None

        self._watcher: ChildWatcher | None = None
        self._watch_with_gevent()

    def _watch_with_gevent(self) -> None:
        gevent = sys.modules.get("gipc._gevent")
        if gevent is not None and self._watcher is None:
            if gevent.ChildWatcher.is_needed():
                self._watcher = gevent.ChildWatcher(self._p, self.pid)

    def poll(self, flag: object = None) -> int | LostStatus | None:
        if self.returncode is None and self._p is not None:
            try:
                self.returncode = self._exitcode()
            except GIPCStatusLost as error:
                self.returncode = LostStatus(error)
            if self.returncode is not None and self._watcher is not None:
                self._watcher.close()
        return self.returncode

    def _exitcode(self) -> int | None:
        try:
            return _native.process_exitcode(self._p)
        except GIPCStatusLost:
            if self._watcher is None:
                raise
            self._watcher.settle()
            return _native.process_exitcode(self._p)

    def wait(
        self, timeout: float | None = None
    ) -> int | LostStatus | None:
        """The exit code, or None if the timeout, in seconds, expires."""
        deadline = deadline_of(timeout)
        self._watch_with_gevent()
        if self.poll() is None:
            run(self.wait_for_exit, current_backend(), deadline)
        return self.poll()

    async def wait_for_exit(self, backend: Backend, deadline: Deadline) -> None:
        pause = 0.001
        while self.poll() is None:
            if self.sentinel is not None:
                if not await backend.wait_fd(self.sentinel, READ, deadline):
                    return
            elif deadline is not None and monotonic() >= deadline:
                return
            else:
                # Without a pidfd: poll for the exit.
                await backend.sleep(pause)
                pause = min(2 * pause, 0.05)

    def signal(self, number: int) -> None:
        if self._p is not None:
            try:
                _native.process_signal(self._p, number)
            except ProcessLookupError:
                pass  # it has ended

    def terminate(self) -> None:
        self.signal(SIGTERM)

    def kill(self) -> None:
        self.signal(SIGKILL)

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
        self._p = None
