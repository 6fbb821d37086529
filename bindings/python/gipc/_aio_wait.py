"""What runs this code, asyncio or trio, and how tasks wait for a lock."""

import sys
from asyncio import _get_running_loop as running_loop

from ._wait import _IN_USE, note_withdrawn, reentrant, timed_out


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


async def await_lock(handle, signal, deadline, withdrawn=None):
    """Waits until the lock of a handle is the task's.  signal: what Locked gave;
    withdrawn: of the error."""
    try:
        if signal is False:
            raise reentrant(handle)
        if not await signal.wait(deadline):
            raise timed_out(_IN_USE)
    except BaseException as error:
        note_withdrawn(error, withdrawn)
        raise
