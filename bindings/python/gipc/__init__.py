"""Child processes and message pipes for programs with an event loop.

Under gevent, in threads, or in plain scripts: :func:`pipe` and
:func:`start_process`.  For asyncio and trio: :mod:`gipc.aio`.  A program
written for upstream gipc 1.8 runs unchanged.

>>> from gipc import pipe, start_process
"""

from ._handle import _GIPCHandle, get_all_handles
from ._native import VERSION_MAJOR, VERSION_MINOR, VERSION_PATCH
from ._pipe import _GIPCDuplexHandle, pipe
from ._process import _GProcess, start_process
from ._program import exec_process, inherit, stdio
from ._reader import _GIPCReader
from ._writer import _GIPCWriter
from .errors import (
    GIPCBadHandles,
    GIPCClosed,
    GIPCError,
    GIPCLocked,
    GIPCProtocolError,
    GIPCStatusLost,
    GIPCTimeout,
    GIPCTooBig,
    GIPCTruncated,
)

# The version of upstream gipc whose programs run unchanged.
_UPSTREAM = "1.8.0"

__version__ = "%s+libgipc.%d.%d.%d" % (
    _UPSTREAM,
    VERSION_MAJOR,
    VERSION_MINOR,
    VERSION_PATCH,
)

__all__ = [
    "GIPCBadHandles",
    "GIPCClosed",
    "GIPCError",
    "GIPCLocked",
    "GIPCProtocolError",
    "GIPCStatusLost",
    "GIPCTimeout",
    "GIPCTooBig",
    "GIPCTruncated",
    "exec_process",
    "get_all_handles",
    "inherit",
    "pipe",
    "start_process",
    "stdio",
]
