"""What a handle tells of itself, and what can be set of it."""

from typing import NamedTuple

from . import _native
from ._options import integer, naming, tell

_UNLIMITED = 2**64 - 1


class Stats(NamedTuple):
    """What a handle has counted, whole messages and system calls.  Both sides
    of a duplex handle count together."""

    messages_in: int
    #: Put, also those still queued.
    messages_out: int
    #: With the headers, as on the wire.
    bytes_in: int
    bytes_out: int
    reads: int
    writes: int


def size_of(value, name="size"):
    """In bytes, None for no limit."""
    with naming(name):
        size = _UNLIMITED if value is None else integer(value)
        if not 0 <= size <= _UNLIMITED:
            raise ValueError("it must be 0 or more, not %r" % (value,))
    return size


class Settings:
    """Of readers and writers, each of which is one side of its handle."""

    _limit = 1 << 30
    _read_limit = 64 << 20
    _marks = 64 << 10, 256 << 10

    @property
    def closed(self):
        """Whether it was closed, or has moved into a child."""
        return self._closed

    @property
    def events(self):
        """What to wait for on :meth:`fileno`: ``selectors.EVENT_READ`` or
        ``EVENT_WRITE``.

        >>> import selectors
        >>> with pipe() as (reader, writer), selectors.DefaultSelector() as s:
        ...     key = s.register(writer, writer.events)
        ...     [key.fileobj is writer for key, _ in s.select()]
        [True]
        """
        return self._direction

    def _set_both(self, name, value):
        for side in (self, self._other):
            if side is not None:
                setattr(side, name, value)

    @property
    def limit(self):
        """The largest message in bytes, ``None`` for no limit."""
        return self._limit

    def set_limit(self, size):
        """Sets the largest message that this handle takes or puts.

        :arg size: in bytes; ``None`` for no limit.  The default is 1 GiB.
        """
        self._validate()
        _native.set_limit(self._h, size_of(size))
        self._set_both("_limit", size)

    @property
    def read_limit(self):
        """How many bytes are received and kept while a put waits, ``None`` for
        no limit."""
        return self._read_limit

    def set_read_limit(self, size):
        """Sets how much is received and kept while a put waits.

        :arg size: in bytes; ``None`` for no limit, 0 for nothing.  The default
            is 64 MiB.
        """
        self._validate()
        _native.set_read_limit(self._h, size_of(size))
        self._set_both("_read_limit", size)

    @property
    def pending(self):
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
    def stats(self):
        """What it has counted, as a :class:`Stats`.

        >>> with pipe(encoder=None) as (reader, writer):
        ...     writer.put(b"hello")
        ...     writer.stats.messages_out, writer.stats.bytes_out
        (1, 9)
        """
        self._validate()
        stats = _native.handle_stats(self._h)
        return Stats(*(getattr(stats, name) for name in Stats._fields))


class WriterSettings:
    @property
    def marks(self):
        """The water marks (low, high) of the write queue in bytes."""
        return self._marks

    def set_marks(self, low, high):
        """Sets how much a batch queues before its puts wait.

        :arg low: a put that waits goes on at this length of the queue; in
            bytes, the default is 64 KiB.
        :arg high: puts are accepted below this length; above low, the default
            is 256 KiB.
        """
        self._validate()
        marks = size_of(low, "low"), size_of(high, "high")
        with naming("low, high"):
            tell(_native.set_marks, self._h, *marks)
        self._marks = marks


class DuplexSettings:
    """Of a duplex handle, which has a reader and a writer."""

    @property
    def reader(self):
        """Its side that messages come out of."""
        return self._reader

    @property
    def writer(self):
        """Its side that messages are put into."""
        return self._writer

    @property
    def closed(self):
        """Whether both directions were closed, or have moved into a child."""
        return self._closed

    @property
    def limit(self):
        return self._reader.limit

    @property
    def read_limit(self):
        return self._reader.read_limit

    @property
    def marks(self):
        return self._writer.marks

    def set_marks(self, low, high):
        self._writer.set_marks(low, high)

    @property
    def events(self):
        return self._reader.events

    @property
    def pending(self):
        """Of both sides: (received, queued) bytes; 0 for one that is closed."""
        return tuple(0 if side._closed else side.pending
                     for side in (self._reader, self._writer))

    @property
    def stats(self):
        side = self._writer if self._reader._closed else self._reader
        return side.stats

    def shutdown(self):
        """Closes the writing direction: the peer gets what was put, then the
        end of the stream; what it answers still comes.

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
