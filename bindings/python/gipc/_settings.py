"""The properties of a handle, and what can be set."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from . import _native
from ._types import Transport, TransportInUse
from ._values import call_setter, integer, naming

_LARGEST = 2**64 - 1
_UNLIMITED = 2 * sys.maxsize + 1  # of a size_t, which may have 32 bits
_TRANSPORTS = {
    "auto": _native.TRANSPORT_AUTO,
    "plain": _native.TRANSPORT_PLAIN,
    "ring": _native.TRANSPORT_RING,
}
_IN_USE: dict[int, TransportInUse] = {
    _native.TRANSPORT_PLAIN: "plain",
    _native.TRANSPORT_RING: "ring",
}
_TRANSPORT_ERRORS = {
    errno.EOPNOTSUPP: "%s cannot use the transport 'ring', which needs Linux "
    "and an AF_UNIX stream socket",
    errno.EBUSY: "%s still uses a ring: get its messages, then set the "
    "transport again",
}


class Stats(NamedTuple):
    """The counters of a handle: whole messages, bytes and system calls.  Both
    directions of a duplex handle count together."""

    messages_in: int
    #: Put, including those that are queued.
    messages_out: int
    #: With headers, as on the wire.
    bytes_in: int
    bytes_out: int
    reads: int
    writes: int
    #: ``'ring'`` while messages go through a ring, or ``'plain'``.
    transport_in: TransportInUse
    transport_out: TransportInUse
    #: How often a get found the ring empty.
    bells_in: int
    #: How often a put woke the peer.
    bells_out: int
    #: How often a put found the ring full.
    stalls_out: int


def _stats_of(native: _native.Handle) -> Stats:
    counters = _native.handle_stats(native)
    stats = Stats(*(getattr(counters, name) for name in Stats._fields))
    return stats._replace(
        transport_in=_IN_USE[counters.transport_in],
        transport_out=_IN_USE[counters.transport_out],
    )


def transport_or_default(transport: Transport | None) -> int:
    """For the library; -1: the default of the program."""
    return -1 if transport is None else transport_number(transport)


def transport_number(transport: Transport) -> int:
    with naming("transport"):
        if transport not in _TRANSPORTS:
            raise ValueError(
                "expected one of %s, not %r" % (list(_TRANSPORTS), transport)
            )
    return _TRANSPORTS[transport]


@contextmanager
def naming_transport(what: str) -> Iterator[None]:
    """A block that chooses the transport of a handle, which its errors name."""
    try:
        yield
    except OSError as error:
        text = _TRANSPORT_ERRORS.get(error.errno or 0)
        if text is None:
            raise
        raise OSError(error.errno, text % what) from None


def choose_transport(native: _native.Handle, number: int, what: str) -> None:
    if number >= 0:
        with naming_transport(what):
            _native.set_transport(native, number)


def size_of(value: object, name: str = "size") -> int:
    """A number of bytes, of which None is the largest."""
    with naming(name):
        size = _UNLIMITED if value is None else integer(value)
        if not 0 <= size <= _LARGEST:
            raise ValueError("it must be 0 or more, not %r" % (value,))
    return min(size, _UNLIMITED)


class Settings:
    """Of readers and writers, each of which is one direction of its handle."""

    if TYPE_CHECKING:
        _h: Any
        _direction: int

        @property
        def _closed(self) -> bool: ...

        @property
        def _other(self) -> Any: ...

        def _validate(self) -> None: ...

        def close(self) -> None: ...

    _limit: int | None = 1 << 30
    _read_limit: int | None = 64 << 20
    _marks = 64 << 10, 256 << 10

    @property
    def closed(self) -> bool:
        """Whether the handle was closed, or passed to a child."""
        return self._closed

    @property
    def events(self) -> int:
        """What to wait for on :meth:`fileno`: ``selectors.EVENT_READ`` or
        ``EVENT_WRITE``.

        >>> import selectors
        >>> with pipe() as (reader, writer), selectors.DefaultSelector() as s:
        ...     key = s.register(writer, writer.events)
        ...     [key.fileobj is writer for key, _ in s.select()]
        [True]
        """
        return self._direction

    def _set_both(self, name: str, value: int | None) -> None:
        for side in (self, self._other):
            if side is not None:
                setattr(side, name, value)

    @property
    def limit(self) -> int | None:
        """The largest message in bytes, ``None`` for no limit."""
        return self._limit

    def set_limit(self, size: int | None) -> None:
        """Sets the largest message that this handle gets or puts.

        :arg size: in bytes; ``None`` for no limit.  The default is 1 GiB.
        """
        self._validate()
        _native.set_limit(self._h, size_of(size))
        self._set_both("_limit", size)

    @property
    def read_limit(self) -> int | None:
        """The largest number of bytes that are read ahead while a put waits,
        ``None`` for no limit."""
        return self._read_limit

    def set_read_limit(self, size: int | None) -> None:
        """Sets how many bytes are read ahead while a put waits.

        :arg size: in bytes; ``None`` for no limit, 0 for nothing.  The default
            is 64 MiB.
        """
        self._validate()
        _native.set_read_limit(self._h, size_of(size))
        self._set_both("_read_limit", size)

    @property
    def pending(self) -> int:
        """The number of bytes, with headers, that a reader has received and not
        yet returned, or that a writer has queued and not yet written.

        >>> with pipe() as (reader, writer):
        ...     writer.put("x")
        ...     reader.pending, writer.pending
        (0, 0)
        """
        self._validate()
        return _native.pending(self._h, self._direction)

    @property
    def stats(self) -> Stats:
        """The counters of the handle, as a :class:`Stats`.

        >>> with pipe(encoder=None) as (reader, writer):
        ...     writer.put(b"hello")
        ...     writer.stats.messages_out, writer.stats.bytes_out
        (1, 9)
        """
        self._validate()
        return _stats_of(self._h)

    def set_transport(self, transport: Transport) -> None:
        """Sets how the bytes get to the peer, in both directions of a duplex
        handle.

        :arg transport: ``'auto'`` (the default): two handles on one machine
            that exchange messages change by themselves from the socket to a
            ring in shared memory, where a put needs no system call; any other
            peer reads every message from the socket.  ``'plain'``: no ring is
            used, and one in use is left.  ``'ring'``: a ring is offered with
            the first message.

        :attr:`stats` says which is in use.  The environment variable
        ``GIPC_TRANSPORT`` sets the default of the program.

        Raises:
            - :exc:`ValueError` for another word
            - :exc:`OSError`: EOPNOTSUPP if this handle or system has no ring;
              EBUSY if the ring has messages, which must be got first

        >>> with pipe(encoder=None) as (reader, writer):
        ...     writer.set_transport("plain")
        ...     writer.put(b"hello")
        ...     writer.stats.transport_out
        'plain'
        """
        self._validate()
        choose_transport(self._h, transport_number(transport), repr(self))


class WriterSettings(Settings):
    @property
    def marks(self) -> tuple[int, int]:
        """The water marks (low, high) of the write queue in bytes."""
        return self._marks

    def set_marks(self, low: int, high: int) -> None:
        """Sets the water marks of the write queue, which holds the puts of a
        batch.

        :arg low: a put that waits continues when the queue has shrunk to this
            many bytes.  The default is 64 KiB.
        :arg high: puts are accepted while the queue is shorter than this many
            bytes; more than low.  The default is 256 KiB.
        """
        self._validate()
        marks = size_of(low, "low"), size_of(high, "high")
        with naming("low, high"):
            call_setter(_native.set_marks, self._h, *marks)
        self._marks = marks


ReaderType = TypeVar("ReaderType", bound=Settings)
WriterType = TypeVar("WriterType", bound=WriterSettings)


class DuplexSettings(Generic[ReaderType, WriterType]):
    """The properties of a duplex handle, which has a reader and a writer."""

    _reader: ReaderType
    _writer: WriterType

    if TYPE_CHECKING:

        @property
        def _closed(self) -> bool: ...

    @property
    def reader(self) -> ReaderType:
        """The direction that messages are got from."""
        return self._reader

    @property
    def writer(self) -> WriterType:
        """The direction that messages are put into."""
        return self._writer

    @property
    def closed(self) -> bool:
        """Whether both directions were closed, or passed to a child."""
        return self._closed

    @property
    def limit(self) -> int | None:
        return self._reader.limit

    @property
    def read_limit(self) -> int | None:
        return self._reader.read_limit

    @property
    def marks(self) -> tuple[int, int]:
        return self._writer.marks

    def set_marks(self, low: int, high: int) -> None:
        self._writer.set_marks(low, high)

    @property
    def events(self) -> int:
        return self._reader.events

    @property
    def pending(self) -> tuple[int, int]:
        """(received, queued) bytes; 0 for a direction that is closed."""
        received, queued = (
            0 if side._closed else side.pending
            for side in (self._reader, self._writer)
        )
        return received, queued

    @property
    def stats(self) -> Stats:
        return self._open_side().stats

    def set_transport(self, transport: Transport) -> None:
        self._open_side().set_transport(transport)

    def _open_side(self) -> Settings:
        return self._writer if self._reader._closed else self._reader

    def shutdown(self) -> None:
        """Closes the writing direction: the peer gets all that was put, then
        the end of the stream.  Its answers can still be got.

        >>> with pipe(duplex=True) as (a, b):
        ...     a.put("question")
        ...     a.shutdown()
        ...     questions = list(b)
        ...     b.put("answer")
        ...     questions, a.get()
        (['question'], 'answer')

        Raises what :meth:`close` of the writer does.
        """
        self._writer.close()
