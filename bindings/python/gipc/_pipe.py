"""Pipes: pairs of handles, and duplex handles, which are both of a pair."""

from typing import NamedTuple

from . import _codec, _native
from ._adopt import adopted
from ._handle import _GIPCHandle
from ._native import READ, WRITE
from ._reader import _GIPCReader
from ._settings import DuplexSettings
from ._wait import deadline_of
from ._writer import _GIPCWriter
from .errors import GIPCClosed, GIPCLocked


class _PairContext(tuple):
    """Two handles, which leaving the block closes, the second one first."""

    def __enter__(self):
        for handle in self:
            handle.__enter__()
        return self

    def __exit__(self, *exception):
        try:
            self[1].__exit__(*exception)
        finally:
            self[0].__exit__(*exception)


class _GIPCDuplexHandle(DuplexSettings, _PairContext):
    """One end of a pipe that goes both ways: a reader and a writer, each of
    which can be closed alone.

    ``for message in handle`` gives the messages until the end of the stream.
    """

    _reader_type = _GIPCReader
    _writer_type = _GIPCWriter

    def __new__(cls, native, encoder, decoder):
        reader = cls._reader_type(native, decoder)
        writer = cls._writer_type(native, encoder)
        reader._other, writer._other = writer, reader
        return cls._of(reader, writer)

    @classmethod
    def _of(cls, reader, writer):
        self = super().__new__(cls, (reader, writer))
        self._reader, self._writer = reader, writer
        self.get, self.get_into = reader.get, reader.get_into
        self.put, self.put_many = writer.put, writer.put_many
        self.batch, self.flush = writer.batch, writer.flush
        self.set_limit, self.fileno = reader.set_limit, reader.fileno
        self.set_read_limit = reader.set_read_limit
        return self

    def __reduce__(self):
        return type(self)._of, (self._reader, self._writer)

    @property
    def _closed(self):
        return self._reader._closed and self._writer._closed

    def close(self, timeout=None):
        """Closes what is still open of the two directions.

        :arg timeout: as for a writer.

        Raises:
            - :exc:`GIPCClosed` when both were closed before
            - :exc:`GIPCLocked` while one of them is in use; then both stay
            - :exc:`GIPCTimeout` when bytes were dropped; it is closed then
        """
        deadline_of(timeout)  # a wrong one is an error before anything is closed
        for handle in self._to_close():
            _GIPCHandle.close(handle, timeout)

    def abort(self):
        """Closes what is still open of the two directions, at once; queued
        bytes that cannot be written without waiting are dropped.

        Raises what :meth:`close` does, but no :exc:`GIPCTimeout`.
        """
        if self._writer._closing is not None:
            self._writer.abort()
            return
        for handle in self._to_close():
            handle.abort()

    def _to_close(self):
        if self._closed:
            raise GIPCClosed("%r has been closed before." % (self,))
        for handle in (self._writer, self._reader):
            if not handle._closed and handle._turn.taken:
                raise GIPCLocked("%r is in use, it cannot be closed." % (self,))
        if not (self._reader._closed or self._writer._closed):
            self._writer._validate()
            # Whole: to shut down one direction after the other would end the
            # stream for whoever else has the descriptor.
            self._reader._forget()
        return [h for h in (self._writer, self._reader) if not h._closed]

    def __exit__(self, *exception):
        sides = self._reader, self._writer
        if any(side._closed or side._turn.taken for side in sides):
            super().__exit__(*exception)
            return
        for handle in self._to_close():
            handle._leave_block(any(exception))

    def __enter__(self):
        return self

    def __iter__(self):
        """The messages, until the end of the stream.

        >>> with pipe(duplex=True) as (mine, its):
        ...     its.put_many("ab")
        ...     its.close()
        ...     [message for message in mine]
        ['a', 'b']
        """
        return iter(self._reader)

    messages = __iter__

    def __repr__(self):
        name = type(self).__name__
        return "<%s(%r, %r)>" % (name, self._reader, self._writer)

    __str__ = __repr__


def pipe(duplex=False, encoder="default", decoder="default"):
    """Makes a pipe, and returns its two handles.

    :arg duplex: ``False``: (reader, writer).  ``True``: two handles that both
        read and write.
    :arg encoder: what makes bytes of an object that is put: ``'default'``
        (pickle), ``'json'``, ``'msgpack'``, ``None`` (only bytes are put), or
        a function of the object.
    :arg decoder: the same for what is got; a function of the bytes.

    The pair is a context manager that closes both.  Pickle runs code of its
    sender: use msgpack, json or raw bytes with a peer you do not trust.

    Raises:
        - :exc:`GIPCError` when an encoder or decoder is none
        - :exc:`OSError` when the system has no more descriptors

    >>> with pipe() as (reader, writer):
    ...     writer.put({"a": 1})
    ...     reader.get()
    {'a': 1}
    """
    return family.pipe(duplex, encoder, decoder)


class Family(NamedTuple):
    """The classes of handles that belong together."""

    reader: type
    writer: type
    duplex: type
    pair: type

    def pipe(self, duplex, encoder, decoder):
        encoder = _codec.find(encoder, 0)
        decoder = _codec.find(decoder, 1)
        if duplex:
            return self.pair(
                self.duplex(native, encoder, decoder)
                for native in _native.pipe_duplex()
            )
        reader, writer = _native.pipe()
        return self.pair(
            (self.reader(reader, decoder), self.writer(writer, encoder))
        )

    def open(self, read, write, encoder, decoder):
        codecs = _codec.find(encoder, 0), _codec.find(decoder, 1)
        return self._of(adopted(read, write), *codecs)

    def adopt(self, native, encoder, decoder):
        """The handle for a native one, by the directions it is open for."""
        encoder = _codec.find(encoder, 0)
        decoder = _codec.find(decoder, 1)
        return self._of(native, encoder, decoder)

    def _of(self, native, encoder, decoder):
        directions = _native.directions(native)
        if directions == READ:
            return self.reader(native, decoder)
        if directions == WRITE:
            return self.writer(native, encoder)
        return self.duplex(native, encoder, decoder)


family = Family(_GIPCReader, _GIPCWriter, _GIPCDuplexHandle, _PairContext)
