"""Pipes and child processes for asyncio, on its own loops and on uvloop's, and
for trio.

The names are those of :mod:`gipc`; everything that waits is awaited.  Each call
finds out which of the libraries runs.

>>> import asyncio, gipc.aio
>>> async def child(reader, writer):
...     async for message in reader:
...         await writer.put(message.upper())
>>> async def main():
...     async with gipc.aio.pipe() as (theirs, writer):
...         async with gipc.aio.pipe() as (reader, mine):
...             process = gipc.aio.start_process(child, (theirs, mine))
...             await writer.put("hello")
...             print(await reader.get(timeout=5.0))
...             writer.close()
...             await process.join()
...             print(process.exitcode)
>>> asyncio.run(main())
HELLO
0

If a task is cancelled in a get or put, the stream stays valid: a get loses
nothing; a put is cancelled, or finished in the background if a part of the
message was written.
"""

from __future__ import annotations

from asyncio import CancelledError as _CancelledError
from asyncio import TimeoutError as _TimeoutError
from collections.abc import Callable as _Callable
from collections.abc import Iterable as _Iterable
from sys import version_info as _version_info
from typing import Any as _Any
from typing import Literal as _Literal
from typing import overload as _overload

from . import _types as _t
from ._adopt import SAME as _SAME
from ._aio_handle import Reader, Writer
from ._aio_keeper import Keeper, keep
from ._aio_pipe import Duplex
from ._aio_pipe import Pair as _Pair
from ._aio_pipe import handle_classes as _handle_classes
from ._aio_pool import Pool
from ._aio_process import Process, exec_process, launch, start_process
from ._deadline import deadline_of as _deadline_of
from ._handle import get_all_handles
from ._native import stdio as _stdio
from ._pipe import adopt_handle as _adopt_handle
from ._pipe import make_pipe as _make_pipe
from ._pipe import open_handle as _open_handle
from ._program import inherited as _inherited
from ._service import Service
from ._settings import transport_or_default as _transport_or_default
from ._tasks import running_backend as _running_backend
from ._wait_many import Members as _Members
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

__all__ = [
    "Duplex",
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
    "Pool",
    "PoolBroken",
    "PoolClosed",
    "Process",
    "Reader",
    "RemoteError",
    "Service",
    "TaskTimeout",
    "WorkerDied",
    "Writer",
    "exec_process",
    "get_all_handles",
    "inherit",
    "keep",
    "launch",
    "pipe",
    "start_process",
    "stdio",
    "wait",
    "withdrawn",
]


_Pipe = _Pair["Reader[_t.Got]", "Writer[_t.Put]"]
_DuplexPipe = _Pair[
    "Duplex[_t.Got, _t.Put]", "Duplex[_t.Got, _t.Put]"
]


@_overload
def pipe(
    duplex: _Literal[False] = False,
    *,
    encoder: None,
    decoder: None,
    transport: _t.Transport | None = None,
) -> _Pipe[bytes, _t.BytesLike]: ...
@_overload
def pipe(
    duplex: _Literal[False] = False,
    *,
    encoder: _Callable[[_t.Put], bytes],
    decoder: _Callable[[bytes], _t.Got],
    transport: _t.Transport | None = None,
) -> _Pipe[_t.Got, _t.Put]: ...
@_overload
def pipe(
    duplex: _Literal[False] = False,
    *,
    encoder: _t.Encoder = "default",
    decoder: None,
    transport: _t.Transport | None = None,
) -> _Pipe[bytes, _Any]: ...
@_overload
def pipe(
    duplex: _Literal[False] = False,
    *,
    encoder: _t.Encoder = "default",
    decoder: _Callable[[bytes], _t.Got],
    transport: _t.Transport | None = None,
) -> _Pipe[_t.Got, _Any]: ...
@_overload
def pipe(
    duplex: _Literal[False] = False,
    encoder: _t.Encoder = "default",
    decoder: _t.CodecName = "default",
    *,
    transport: _t.Transport | None = None,
) -> _Pipe[_Any, _Any]: ...
@_overload
def pipe(
    duplex: _Literal[True],
    *,
    encoder: None,
    decoder: None,
    transport: _t.Transport | None = None,
) -> _DuplexPipe[bytes, _t.BytesLike]: ...
@_overload
def pipe(
    duplex: _Literal[True],
    *,
    encoder: _Callable[[_t.Put], bytes],
    decoder: _Callable[[bytes], _t.Got],
    transport: _t.Transport | None = None,
) -> _DuplexPipe[_t.Got, _t.Put]: ...
@_overload
def pipe(
    duplex: _Literal[True],
    *,
    encoder: _t.Encoder = "default",
    decoder: None,
    transport: _t.Transport | None = None,
) -> _DuplexPipe[bytes, _Any]: ...
@_overload
def pipe(
    duplex: _Literal[True],
    *,
    encoder: _t.Encoder = "default",
    decoder: _Callable[[bytes], _t.Got],
    transport: _t.Transport | None = None,
) -> _DuplexPipe[_t.Got, _Any]: ...
@_overload
def pipe(
    duplex: _Literal[True],
    encoder: _t.Encoder = "default",
    decoder: _t.CodecName = "default",
    *,
    transport: _t.Transport | None = None,
) -> _DuplexPipe[_Any, _Any]: ...
@_overload
def pipe(
    duplex: bool,
    encoder: _t.Encoder = "default",
    decoder: _t.Decoder = "default",
    *,
    transport: _t.Transport | None = None,
) -> _Pair[_Any, _Any]: ...
def pipe(
    duplex: bool = False,
    encoder: _t.Encoder = "default",
    decoder: _t.Decoder = "default",
    *,
    transport: _t.Transport | None = None,
) -> _Pair[_Any, _Any]:
    """Makes a pipe, and returns its two handles, as :func:`gipc.pipe`.

    The pair, and each handle, is an asynchronous context manager that closes.

    >>> import asyncio
    >>> async def main():
    ...     async with pipe(encoder=None, decoder=None) as (reader, writer):
    ...         await writer.put_many([b"a", b"b"])
    ...         writer.close()
    ...         print([message async for message in reader])
    >>> asyncio.run(main())
    [b'a', b'b']
    """
    pair: _Pair[_Any, _Any] = _make_pipe(
        _handle_classes, duplex, encoder, decoder, transport
    )
    return pair


def open(
    read: _Any,
    write: _Any = _SAME,
    encoder: _t.Encoder = "default",
    decoder: _t.Decoder = "default",
    *,
    transport: _t.Transport | None = None,
) -> _Any:
    """Makes a handle of open streams, as :func:`gipc.open`."""
    return _open_handle(
        _handle_classes, read, write, encoder, decoder, transport
    )


async def wait(
    objects: _Iterable[_t.Member], timeout: float | None = None
) -> list[_t.Member]:
    """Waits until at least one of several handles and processes is ready, as
    :func:`gipc.wait`.

    :returns: the objects that are ready, in their order; ``[]`` if the timeout
        expires.

    >>> import asyncio
    >>> async def main():
    ...     async with exec_process(["sleep", "60"]) as p, pipe() as (r, w):
    ...         await w.put("hello")
    ...         print(await wait([p, r]) == [r])
    ...         p.kill()
    ...         print(await wait([p]) == [p])
    >>> asyncio.run(main())
    True
    True
    """
    deadline = _deadline_of(timeout)
    backend = _running_backend()
    members = _Members(objects)
    return await backend.call(members.wait, backend, deadline)


def inherit(
    name: str,
    encoder: _t.Encoder = "default",
    decoder: _t.Decoder = "default",
    *,
    transport: _t.Transport | None = None,
) -> _Any:
    """Returns the handle that the parent passed under this name, as
    :func:`gipc.inherit`."""
    number = _transport_or_default(transport)
    return _adopt_handle(
        _handle_classes, _inherited(name), encoder, decoder, number
    )


def stdio(
    encoder: _t.Encoder = "msgpack",
    decoder: _t.Decoder = "msgpack",
    *,
    transport: _t.Transport | None = None,
) -> Duplex[_Any, _Any]:
    """Returns the duplex handle over stdin and stdout, as :func:`gipc.stdio`."""
    number = _transport_or_default(transport)
    handle: Duplex[_Any, _Any] = _adopt_handle(
        _handle_classes, _stdio(), encoder, decoder, number
    )
    return handle


def withdrawn(error: BaseException) -> bool | None:
    """What happened to a put that ended with a cancellation or a timeout.  True:
    the put was cancelled; no byte of the message was or will be written.  False:
    a part was written, and the remaining bytes are written in the background.
    None: the error does not say.

    The ``withdrawn`` of a :exc:`GIPCTimeout` or a ``CancelledError`` says so
    itself.  ``asyncio.timeout`` and ``asyncio.wait_for`` raise an error of their
    own instead of the ``CancelledError``.  A ``CancelledError`` that comes
    before the put begins has no such attribute, and the ``Cancelled`` of trio
    cannot have one.

    :arg error: the exception that was caught.

    >>> import asyncio
    >>> async def main():
    ...     async with pipe(encoder=None, decoder=None) as (reader, writer):
    ...         try:
    ...             await asyncio.wait_for(writer.put(bytes(2**22)), 0.01)
    ...         except asyncio.TimeoutError as error:
    ...             print(withdrawn(error))
    ...             writer.abort()
    >>> asyncio.run(main())
    False
    """
    cause: BaseException | None = error
    while cause is not None:
        result: bool | None = getattr(cause, "withdrawn", None)
        if result is not None:
            return result
        if isinstance(cause, _CancelledError):
            # Before Python 3.11 an await of a cancelled task raises a new one,
            # with that of the task as its context.
            if _version_info >= (3, 11) or not isinstance(
                cause.__context__, _CancelledError
            ):
                return True  # it came before the put had begun
            cause = cause.__context__
        elif cause.__class__ in (_TimeoutError, TimeoutError):
            # asyncio.timeout names no cause before Python 3.12.
            cause = cause.__cause__ or cause.__context__
        else:
            # Not the context: the error may have been raised while an earlier
            # one was handled, which tells of another put.
            cause = cause.__cause__
    return None
