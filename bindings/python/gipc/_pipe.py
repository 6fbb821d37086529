"""Pipes, and the handles of streams that are open already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    overload,
)

from . import _codec, _native
from ._adopt import SAME, adopted
from ._handle import HandleClasses, close_limit, handle_of
from ._pair import AnyDuplex, _PairContext
from ._reader import _GIPCReader
from ._settings import choose_transport, naming_transport, transport_or_default
from ._types import (
    BytesLike,
    Codec,
    CodecName,
    Decoder,
    Descriptor,
    Encoder,
    Got,
    Put,
    Timeout,
    Transport,
)
from ._writer import _GIPCWriter

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _GIPCDuplexHandle(
    AnyDuplex["_GIPCReader[Got]", "_GIPCWriter[Put]"], Generic[Got, Put]
):
    """One end of a pipe that goes both ways: a reader and a writer, each of
    which can be closed alone.

    ``for message in handle`` gets the messages until the end of the stream.
    """

    _reader_type = _GIPCReader
    _writer_type = _GIPCWriter

    if TYPE_CHECKING:
        def get(self, timeout: Timeout = None) -> Got: ...

        def get_into(self, buffer: Buffer, timeout: Timeout = None) -> int: ...

        def put(
            self,
            o: Put,
            timeout: Timeout = None,
            fds: Iterable[Descriptor] = (),
        ) -> None: ...

        def put_many(
            self, objects: Iterable[Put], timeout: Timeout = None
        ) -> None: ...

        def batch(self) -> AbstractContextManager[_GIPCWriter[Put]]: ...

        def flush(self, timeout: Timeout = None) -> None: ...

    def close(self, timeout: float | None = None) -> None:
        """Closes the directions that are open.

        :arg timeout: as for a writer.

        Raises:
            - :exc:`GIPCClosed` if both were closed before
            - :exc:`GIPCLocked` while one of them is in use; both stay open then
            - :exc:`GIPCTimeout` if bytes were dropped; the handle is closed
              then
        """
        self._close(close_limit(timeout))

    def __iter__(self) -> Iterator[Got]:  # type: ignore[override]
        """The messages, until the end of the stream.

        >>> with pipe(duplex=True) as (mine, its):
        ...     its.put_many("ab")
        ...     its.close()
        ...     [message for message in mine]
        ['a', 'b']
        """
        return iter(self._reader)

    messages = __iter__


Pipe = _PairContext["_GIPCReader[Got]", "_GIPCWriter[Put]"]
DuplexPipe = _PairContext[
    "_GIPCDuplexHandle[Got, Put]", "_GIPCDuplexHandle[Got, Put]"
]


@overload
def pipe(
    duplex: Literal[False] = False,
    *,
    encoder: None,
    decoder: None,
    transport: Transport | None = None,
) -> Pipe[bytes, BytesLike]: ...
@overload
def pipe(
    duplex: Literal[False] = False,
    *,
    encoder: Callable[[Put], bytes],
    decoder: Callable[[bytes], Got],
    transport: Transport | None = None,
) -> Pipe[Got, Put]: ...
@overload
def pipe(
    duplex: Literal[False] = False,
    *,
    encoder: Encoder = "default",
    decoder: None,
    transport: Transport | None = None,
) -> Pipe[bytes, Any]: ...
@overload
def pipe(
    duplex: Literal[False] = False,
    *,
    encoder: Encoder = "default",
    decoder: Callable[[bytes], Got],
    transport: Transport | None = None,
) -> Pipe[Got, Any]: ...
@overload
def pipe(
    duplex: Literal[False] = False,
    encoder: Encoder = "default",
    decoder: CodecName = "default",
    *,
    transport: Transport | None = None,
) -> Pipe[Any, Any]: ...
@overload
def pipe(
    duplex: Literal[True],
    *,
    encoder: None,
    decoder: None,
    transport: Transport | None = None,
) -> DuplexPipe[bytes, BytesLike]: ...
@overload
def pipe(
    duplex: Literal[True],
    *,
    encoder: Callable[[Put], bytes],
    decoder: Callable[[bytes], Got],
    transport: Transport | None = None,
) -> DuplexPipe[Got, Put]: ...
@overload
def pipe(
    duplex: Literal[True],
    *,
    encoder: Encoder = "default",
    decoder: None,
    transport: Transport | None = None,
) -> DuplexPipe[bytes, Any]: ...
@overload
def pipe(
    duplex: Literal[True],
    *,
    encoder: Encoder = "default",
    decoder: Callable[[bytes], Got],
    transport: Transport | None = None,
) -> DuplexPipe[Got, Any]: ...
@overload
def pipe(
    duplex: Literal[True],
    encoder: Encoder = "default",
    decoder: CodecName = "default",
    *,
    transport: Transport | None = None,
) -> DuplexPipe[Any, Any]: ...
@overload
def pipe(
    duplex: bool,
    encoder: Encoder = "default",
    decoder: Decoder = "default",
    *,
    transport: Transport | None = None,
) -> _PairContext[Any, Any]: ...
def pipe(
    duplex: bool = False,
    encoder: Encoder = "default",
    decoder: Decoder = "default",
    *,
    transport: Transport | None = None,
) -> _PairContext[Any, Any]:
    """Makes a pipe, and returns its two handles.

    :arg duplex: ``False`` (the default): (reader, writer).  ``True``: two
        handles that both read and write.
    :arg encoder: turns an object that is put into bytes: ``'default'``
        (pickle), ``'pickle5'``, ``'json'``, ``'msgpack'``, ``None`` (only bytes
        are put), or a function of the object.
    :arg decoder: the same for what is got; a function of the bytes.
    :arg transport: ``'auto'``, ``'plain'`` or ``'ring'``, as for
        ``set_transport`` of a handle; ``None`` (the default): that of the
        environment variable ``GIPC_TRANSPORT``, or ``'auto'``.

    With ``'pickle5'`` at both ends, the buffers of 64 KiB and more in an object
    (arrays of NumPy, bytearrays, memoryviews) go beside the message, in sealed
    memory, which is copied once by the put and mapped by the get.  An array
    that was writable is writable, and what is written to it stays in the
    process; it has the memory as long as it exists.  A bytearray of that size
    arrives as a memoryview.  Where descriptors cannot go, and in ``put_many``,
    the buffers are part of the message, which also a ``Connection`` of
    multiprocessing unpickles.  The limit of a message counts its buffers.

    The pair is a context manager that closes both.  Pickle runs code of the
    sender: use msgpack, json or raw bytes with a peer that you do not trust.

    Raises:
        - :exc:`GIPCError` if an encoder or decoder is not valid
        - :exc:`ValueError` if the transport is another word
        - :exc:`OSError` if the system has no more descriptors, or no ring

    >>> with pipe() as (reader, writer):
    ...     writer.put({"a": 1})
    ...     reader.get()
    {'a': 1}
    """
    pair: _PairContext[Any, Any] = make_pipe(
        handle_classes, duplex, encoder, decoder, transport
    )
    return pair


def open(
    read: Any,
    write: Any = SAME,
    encoder: Encoder = "default",
    decoder: Decoder = "default",
    *,
    transport: Transport | None = None,
) -> Any:
    """Makes a handle of open streams: sockets, pipes, terminals, or the standard
    streams of a launcher, such as ssh, behind which a child uses
    :func:`stdio`.

    :arg read: the stream to get from: a descriptor, or an object with
        ``fileno`` and ``close``; ``None``: none.
    :arg write: the stream to put into.  The default is read, in the directions
        that it is open for.
    :arg encoder, decoder, transport: as for :func:`pipe`.

    :returns: a reader, a writer, or a duplex handle, which owns the descriptors:
        objects are closed, and numbers must not be used any more.

    Raises, and then the streams are as before:
        - :exc:`TypeError`, :exc:`ValueError`: of an argument, which they name
        - :exc:`OSError`: EBADF if a descriptor is not open; EINVAL if it is
          not a stream, or not open for its direction; EOPNOTSUPP if it cannot
          use a ring, which is demanded

    >>> import subprocess
    >>> PIPE = subprocess.PIPE
    >>> launcher = exec_process(["cat"], stdin=PIPE, stdout=PIPE)
    >>> with open(launcher.stdout, launcher.stdin) as handle:
    ...     handle.put("there and back")
    ...     handle.get(timeout=20)
    'there and back'
    >>> launcher.wait()
    0
    """
    return open_handle(
        handle_classes, read, write, encoder, decoder, transport
    )


# ---- Of handles of any API ---------------------------------------------------


def make_pipe(
    classes: HandleClasses,
    duplex: bool,
    encoder: Encoder,
    decoder: Decoder,
    transport: Transport | None,
) -> Any:
    encode = _codec.find(encoder, 0)
    decode = _codec.find(decoder, 1)
    number = transport_or_default(transport)
    ends = _native.pipe_duplex() if duplex else _native.pipe()
    if number >= 0:
        for end in ends:
            choose_transport(end, number, "a pipe")
    if duplex:
        return classes.pair(
            classes.duplex(end, encode, decode) for end in ends
        )
    reader, writer = ends
    return classes.pair(
        (classes.reader(reader, decode), classes.writer(writer, encode))
    )


def open_handle(
    classes: HandleClasses,
    read: Any,
    write: Any,
    encoder: Encoder,
    decoder: Decoder,
    transport: Transport | None,
) -> Any:
    codecs = _codec.find(encoder, 0), _codec.find(decoder, 1)
    with naming_transport("a handle of these streams"):
        native = adopted(read, write, transport_or_default(transport))
    return handle_of(classes, native, *codecs)


def adopt_handle(
    classes: HandleClasses,
    native: _native.Handle,
    encoder: Encoder | Codec,
    decoder: Decoder | Codec,
    transport: int = -1,
) -> Any:
    """The handle of a native one, by the directions that it is open for."""
    encode = _codec.find(encoder, 0)
    decode = _codec.find(decoder, 1)
    choose_transport(native, transport, "the handle")
    return handle_of(classes, native, encode, decode)


handle_classes = HandleClasses(
    _GIPCReader, _GIPCWriter, _GIPCDuplexHandle, _PairContext
)
_GIPCReader._classes = _GIPCWriter._classes = handle_classes
