"""The exceptions of the package, and which result of the library raises which.

Errors of the system are OSError and its subclasses; the end of a stream is
EOFError.  Everything else is a GIPCError.
"""

from . import _native


class GIPCError(Exception):
    """The base of all errors of this package."""


class GIPCClosed(GIPCError):
    """An operation on a handle that is closed."""


class GIPCLocked(GIPCError):
    """A handle that is in use cannot be closed, or moved into a child; nor used
    again for the same direction by what the call that uses it has called: a
    signal handler, a generator, a finalizer."""


class GIPCTimeout(GIPCError, TimeoutError):
    """The seconds given as ``timeout`` are over.

    After a put, ``withdrawn`` tells what became of the message: True, no byte
    of it has left, and none will; False, a part has left, the rest follows by
    itself before anything else, so do not put it again.

    After a put_many, ``taken`` is the number of messages, the first ones, that
    are sent or follow by themselves: put only those behind them again.
    ``withdrawn`` is True when there are none, else False.

    After a flush, ``withdrawn`` is False: the queue leaves with what comes next.

    After a close, ``withdrawn`` is False: the handle is closed, and what was
    not sent was dropped.

    After a get, both are None.  It has lost nothing: what has arrived of the
    message waits for the next get.
    """

    withdrawn = None
    taken = None


class GIPCTruncated(GIPCError, OSError):
    """The stream ended inside a message: its sender died, or was cut off."""


class GIPCProtocolError(GIPCError):
    """The peer sent what is not a message.  The handle is of no more use."""


class GIPCTooBig(GIPCError):
    """A message over the limit of the handle (``set_limit``)."""


class GIPCStatusLost(GIPCError):
    """The process has ended, but another reaper took its exit status."""


class GIPCBadHandles(GIPCError):
    """The variable GIPC_HANDLES is malformed, or tells of handles that are
    not open here."""


# In the order of the codes in gipc.h, from GIPC_EOF down: what the functions of
# the native module raise.
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
