"""Pipes and child processes for asyncio, on its own loops and on uvloop's, and
for trio.

The names of :mod:`gipc`, where everything that waits is awaited.  Which of the
libraries runs is found at each call.

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

A task that is cancelled in a get or put, at any byte, leaves the stream in
order: a get loses nothing, a put is withdrawn, or finished in the background
when a part of it has left.
"""

from asyncio import CancelledError as _CancelledError
from sys import version_info as _version_info

from ._adopt import _SAME
from ._aio_handle import Duplex, Reader, Writer, family as _family
from ._aio_process import Process, exec_process, start_process
from ._aio_wait import here as _here
from ._handle import get_all_handles
from ._native import stdio as _stdio
from ._program import inherited as _inherited
from ._wait import deadline_of as _deadline_of
from ._wait_many import Members as _Members
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
    "Process",
    "Reader",
    "Writer",
    "exec_process",
    "get_all_handles",
    "inherit",
    "pipe",
    "start_process",
    "stdio",
    "wait",
    "withdrawn",
]


def pipe(duplex=False, encoder="default", decoder="default"):
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
    return _family.pipe(duplex, encoder, decoder)


def open(read, write=_SAME, encoder="default", decoder="default"):
    """Makes a handle of open streams, as :func:`gipc.open`."""
    return _family.open(read, write, encoder, decoder)


async def wait(objects, timeout=None):
    """Waits until at least one of several handles and processes is ready, as
    :func:`gipc.wait`.

    :returns: those that are ready, in their order; ``[]`` when the time is over.

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
    waits = _here()
    return await waits.call(_wait, _Members(objects), waits, deadline)


async def _wait(members, waits, deadline):
    while True:
        ready = members.ready()
        if ready or members.are_over(deadline):
            return ready
        await waits.any(members.descriptors, members.next_look(deadline))


def inherit(name, encoder="default", decoder="default"):
    """The handle that the parent passed under this name, as
    :func:`gipc.inherit`."""
    return _family.adopt(_inherited(name), encoder, decoder)


def stdio(encoder="msgpack", decoder="msgpack"):
    """The duplex handle over stdin and stdout, as :func:`gipc.stdio`."""
    return _family.adopt(_stdio(), encoder, decoder)


def withdrawn(error):
    """What became of a put that a cancellation or a timeout has ended: True, no
    byte of it was sent, and none will be; False, a part was sent, and the rest
    follows by itself; None, the error does not say.

    The ``withdrawn`` of a :exc:`GIPCTimeout` or a ``CancelledError`` says so
    itself.  ``asyncio.timeout`` and ``asyncio.wait_for`` raise an error of their
    own, in place of the ``CancelledError``; and one that comes before the put
    has begun cannot be given an attribute.  trio's ``Cancelled`` never can.

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
    while error is not None:
        result = getattr(error, "withdrawn", None)
        if result is not None:
            return result
        # Before Python 3.11 an await of a cancelled task raises a new one, with
        # that of the task as its context.
        if isinstance(error, _CancelledError) and (
            _version_info >= (3, 11)
            or not isinstance(error.__context__, _CancelledError)
        ):
            return True  # it came before the put had begun
        error = error.__cause__ or error.__context__
    return None
