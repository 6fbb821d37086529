"""What runs this code, asyncio or trio, and turns that tasks take."""

import sys
from asyncio import _get_running_loop as running_loop
from collections import deque

from . import _wait
from ._wait import Turn, timed_out


def current():
    """How a task waits here: as one of asyncio or of trio.  None: neither
    runs."""
    if "trio" in sys.modules:
        from ._trio import is_running, trio_tasks

        if is_running():
            return trio_tasks
    if running_loop() is not None:
        from ._asyncio import asyncio_tasks

        return asyncio_tasks
    return None


def here():
    waits = current()
    if waits is None:
        raise RuntimeError("neither asyncio nor trio runs here")
    return waits


class TaskTurn(Turn):
    """One task at a time, in the order of their coming."""

    __slots__ = ()

    async def take(self, waits, deadline, withdrawn=None):
        """Waits until it is the caller's.  withdrawn: of the error."""
        with _wait._guard:
            if not self.taken:
                self.taken = True
                return
            signal = waits.signal()
            if self._queue is None:
                self._queue = deque()
            self._queue.append(signal)
        try:
            in_time = await signal.wait(deadline)
        except BaseException:
            self._leave(signal)
            raise
        if not in_time:
            self._leave(signal)
            raise timed_out("others used the handle all the time", withdrawn)

    def release(self):
        """Passes it on, past those whose loop has been closed meanwhile."""
        while True:
            with _wait._guard:
                if not self._queue:
                    self.taken = False
                    return
                successor = self._queue.popleft()
            if successor.set():
                return
