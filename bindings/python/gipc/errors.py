"""The exceptions of the package.

Errors of the system are OSError and its subclasses; the end of a stream is
EOFError.  Every other error is a GIPCError.
"""

from __future__ import annotations

from typing import Any

from . import _native
from ._about import require_own_package

# Every module of the package imports this one.
require_own_package()


class GIPCError(Exception):
    """The base class of all errors of this package."""


class GIPCClosed(GIPCError):
    """The handle is closed."""


class GIPCLocked(GIPCError):
    """The handle is in use.  It cannot be closed, or passed to a child.  A
    function that a call on the handle runs (a signal handler, a generator, a
    finalizer) cannot use the handle for the same direction."""


class GIPCTimeout(GIPCError, TimeoutError):
    """The timeout expired.

    After a put, ``withdrawn`` is True if the put was cancelled: no byte of the
    message was written.  It is False if a part was written: the remaining bytes
    are written before the next message, so do not put the message again.

    After a put_many, ``accepted`` is the number of messages, from the first on,
    that were written or queued: put only the following ones again.
    ``withdrawn`` is True if there are none, else False.

    After a flush, ``withdrawn`` is False: the queue is written later.

    After a close, ``withdrawn`` is False: the handle is closed, and the bytes
    that were not written are dropped.

    After a get, both are None.  Nothing is lost: the bytes received so far are
    kept for the next get.

    ``taken`` is the name of ``accepted`` before version 0.2.
    """

    withdrawn: bool | None = None
    accepted: int | None = None
    taken: int | None = None


class GIPCTruncated(GIPCError, OSError):
    """The stream ended inside a message: its sender ended, or the connection
    was lost."""


class GIPCProtocolError(GIPCError):
    """The peer sent data that is not a valid frame.  The stream cannot be read
    further; close the handle."""


class GIPCTooBig(GIPCError):
    """The message exceeds the limit of the handle (``set_limit``)."""


class GIPCStatusLost(GIPCError):
    """The process has ended, but another reaper collected its exit status."""


class GIPCBadHandles(GIPCError):
    """The variable GIPC_HANDLES is malformed, or describes handles that are not
    open in this process."""


class PoolClosed(GIPCError, RuntimeError):
    """The pool accepts no task any more, or was stopped before the task had
    been carried out."""


class PoolBroken(PoolClosed):
    """The pool gave up: its workers cannot start, or end too often.

    ``exit_info`` says how the last one ended (:class:`gipc.ExitInfo`, or None);
    ``__cause__`` is the error of a start that failed.
    """

    exit_info: Any = None


class WorkerDied(GIPCError):
    """The worker ended while it had the task.  The pool goes on."""

    #: The number of the task in its pool, and of the attempt, 1 for the first.
    task: int = 0
    attempt: int = 0
    #: The process ID of the worker.
    pid: int = 0
    #: How it ended, a :class:`gipc.ExitInfo`; None: unknown.
    exit_info: Any = None
    #: The last lines of its stderr, if that was started as a pipe.
    stderr: str = ""
    #: Why it was stopped: ``''`` (nobody stopped it), ``'silent'``,
    #: ``'protocol'``; ``'poison'``: the task has ended so many workers that it
    #: is given up.
    why: str = ""


class TaskTimeout(GIPCTimeout):
    """The task took longer than its timeout, and its worker was stopped."""


class GaveUp(GIPCError):
    """A service of a keeper is given up: it ended too often.

    ``__cause__`` is the error of a start that failed.
    """

    #: The name of the service.
    service: str = ""
    #: How its last process ended, a :class:`gipc.ExitInfo`; None: unknown, or it
    #: could not be started.
    exit_info: Any = None
    #: Why that was stopped, as in :class:`gipc.Change`; ``''``: it was not.
    why: str = ""
    #: The last lines of its stderr, if that was started as a pipe.
    stderr: str = ""


class RemoteError(GIPCError):
    """A task failed with an exception that cannot be sent, or of another
    language: ``type`` is its class, ``text`` its message, ``trace`` the stack
    trace of the worker."""

    type: str = ""
    text: str = ""
    trace: str = ""


class RemoteTraceback(Exception):
    """The cause of an exception of a task: its traceback in the worker."""

    def __str__(self) -> str:
        return '\n"""\n%s"""' % (self.args[0],)


def timed_out(what: str, withdrawn: bool | None = None) -> GIPCTimeout:
    error = GIPCTimeout(what)
    error.withdrawn = withdrawn
    return error


# What the functions of the native module raise: in the order of the codes of
# gipc.h, from GIPC_EOF down.
_native.error_classes = (
    EOFError,
    GIPCTruncated,
    GIPCProtocolError,
    GIPCTooBig,
    GIPCClosed,
    GIPCLocked,
    GIPCError,  # the handle belongs to another process
    GIPCError,  # a put on a reader, or a get on a writer
    ProcessLookupError,
    GIPCStatusLost,
    GIPCBadHandles,
)
