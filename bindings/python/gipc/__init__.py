"""Child processes and message pipes for programs with an event loop.

:func:`pipe` and :func:`start_process` work under gevent, in threads, and in
plain scripts.  :mod:`gipc.aio` has the same for asyncio and trio.  A program
written for upstream gipc 1.8 runs unchanged.

>>> from gipc import pipe, start_process
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from ._about import warn_if_two as _warn_if_two
from ._any_process import ExitInfo
from ._handle import _GIPCHandle as _GIPCHandle
from ._handle import get_all_handles
from ._library import features, set_exit_timeout, version_of_library
from ._native import VERSION_MAJOR, VERSION_MINOR, VERSION_PATCH
# Two names: that of upstream gipc, and one for annotations.
from ._overview import Overview, overview, trace
from ._pipe import _GIPCDuplexHandle as _GIPCDuplexHandle
from ._pipe import _GIPCDuplexHandle as Duplex
from ._pipe import open as open
from ._pipe import pipe
from ._process import _GProcess as _GProcess
from ._process import _GProcess as Process
from ._process import start_process
from ._program import _GProgram as _GProgram
from ._program import _GProgram as Program
from ._program import exec_process, inherit, launch, stdio
from ._reader import _GIPCReader as _GIPCReader
from ._reader import _GIPCReader as Reader
from ._settings import Stats
from ._signs import alive, ready
from ._template import Template
from ._wait_many import wait
from ._worker import serve, take_fds
from ._writer import _GIPCWriter as _GIPCWriter
from ._writer import _GIPCWriter as Writer
from .errors import (
    GaveUp,
    GIPCBadHandles,
    GIPCClosed,
    GIPCError,
    GIPCLocked,
    GIPCProtocolError,
    GIPCStatusLost,
    GIPCTimeout,
    GIPCTooBig,
    GIPCTruncated,
    PoolBroken,
    PoolClosed,
    RemoteError,
    TaskTimeout,
    WorkerDied,
)

if _TYPE_CHECKING:
    from ._any_pool import PoolStats, WorkerStats
    from ._keeper import Keeper, keep
    from ._keeping import Change, ServiceStats
    from ._pool import Pool
    from ._service import Service

_warn_if_two()

# The version of upstream gipc whose programs run unchanged.
_UPSTREAM = "1.8.0"

__version__ = "%s+libgipc.%d.%d.%d" % (
    _UPSTREAM,
    VERSION_MAJOR,
    VERSION_MINOR,
    VERSION_PATCH,
)

#: The version of the library that is loaded, a string.
version = version_of_library()

# Without open: "from gipc import *" must not replace the built-in function.
__all__ = [
    "Change",
    "Duplex",
    "ExitInfo",
    "GIPCBadHandles",
    "GIPCClosed",
    "GIPCError",
    "GIPCLocked",
    "GIPCProtocolError",
    "GIPCStatusLost",
    "GIPCTimeout",
    "GIPCTooBig",
    "GIPCTruncated",
    "GaveUp",
    "Keeper",
    "Overview",
    "Pool",
    "PoolBroken",
    "PoolClosed",
    "PoolStats",
    "Process",
    "Program",
    "Reader",
    "RemoteError",
    "Service",
    "ServiceStats",
    "Stats",
    "TaskTimeout",
    "Template",
    "WorkerDied",
    "WorkerStats",
    "Writer",
    "alive",
    "exec_process",
    "features",
    "get_all_handles",
    "inherit",
    "keep",
    "launch",
    "overview",
    "pipe",
    "ready",
    "serve",
    "set_exit_timeout",
    "start_process",
    "stdio",
    "take_fds",
    "trace",
    "version",
    "wait",
]

_LATER = {
    "Change": "_keeping",
    "Keeper": "_keeper",
    "Pool": "_pool",
    "PoolStats": "_any_pool",
    "Service": "_service",
    "ServiceStats": "_keeping",
    "WorkerStats": "_any_pool",
    "keep": "_keeper",
}


def __getattr__(name: str) -> _Any:
    # concurrent.futures takes longer to import than all of this package.
    if name not in _LATER:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    from importlib import import_module

    found = getattr(import_module("." + _LATER[name], __name__), name)
    globals()[name] = found
    return found
