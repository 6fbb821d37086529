"""The backend of a task: that of asyncio or of trio."""

from __future__ import annotations

import sys
from asyncio import _get_running_loop

from ._backend import TaskBackend

# Faster than asyncio.get_running_loop(), which raises if there is no loop.
running_loop = _get_running_loop


def current_backend() -> TaskBackend | None:
    """None if neither asyncio nor trio runs in this thread."""
    if "trio" in sys.modules:
        from ._trio import is_running, trio_tasks

        if is_running():
            return trio_tasks
    if running_loop() is not None:
        from ._asyncio import asyncio_tasks

        return asyncio_tasks
    return None


def running_backend() -> TaskBackend:
    backend = current_backend()
    if backend is None:
        raise RuntimeError("neither asyncio nor trio is running in this thread")
    return backend
