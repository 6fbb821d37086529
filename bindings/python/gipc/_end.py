"""The end of a child process: waiting for it, signals, its exit code."""

import errno
import sys
from signal import SIGKILL, SIGTERM

from . import _native
from ._native import READ
from ._wait import current, deadline_of, monotonic
from .errors import GIPCStatusLost


class Lost:
    """Stands for an exit code that nobody knows."""

    def __init__(self, error):
        self._error = error

    def told(self):
        raise self._error

    def __repr__(self):
        return "lost"


class End:
    """As a Popen object of multiprocessing has it."""

    def __init__(self, native):
        self._p = native
        self.returncode = None
        self.finalizer = None
        self.pid = _native.process_pid(native)
        try:
            self.sentinel = _native.process_fd(native)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            self.sentinel = None

        self._reaper = None
        self._ask_reaper()

    def _ask_reaper(self):
        gevent = sys.modules.get("gipc._gevent")
        if gevent is not None and self._reaper is None:
            if gevent.Reaper.needed():
                self._reaper = gevent.Reaper(self._p, self.pid)

    def poll(self, flag=None):
        if self.returncode is None and self._p is not None:
            try:
                self.returncode = self._exitcode()
            except GIPCStatusLost as error:
                self.returncode = Lost(error)
            if self.returncode is not None and self._reaper is not None:
                self._reaper.close()
        return self.returncode

    def _exitcode(self):
        try:
            return _native.process_exitcode(self._p)
        except GIPCStatusLost:
            if self._reaper is None:
                raise
            self._reaper.settle()
            return _native.process_exitcode(self._p)

    def wait(self, timeout=None):
        """The exit code, or None when the timeout, in seconds, is over."""
        deadline = deadline_of(timeout)
        pause = 0.001
        self._ask_reaper()
        while self.poll() is None:
            waits = current()
            if self.sentinel is not None:
                if not waits.fd_ready(self.sentinel, READ, deadline):
                    return self.poll()
            elif deadline is not None and monotonic() >= deadline:
                return None
            else:
                # No descriptor tells (no pidfd on this system).
                waits.pause(pause)
                pause = min(2 * pause, 0.05)
        return self.returncode

    async def ended(self, waits, deadline):
        """As wait, for tasks."""
        pause = 0.001
        while self.poll() is None:
            if self.sentinel is not None:
                if not await waits.fd_ready(self.sentinel, READ, deadline):
                    return
            elif deadline is not None and monotonic() >= deadline:
                return
            else:
                await waits.pause(pause)
                pause = min(2 * pause, 0.05)

    def signal(self, number):
        if self._p is not None:
            try:
                _native.process_signal(self._p, number)
            except ProcessLookupError:
                pass  # it has ended

    def terminate(self):
        self.signal(SIGTERM)

    def kill(self):
        self.signal(SIGKILL)

    def close(self):
        if self._reaper is not None:
            self._reaper.close()
        self._p = None
