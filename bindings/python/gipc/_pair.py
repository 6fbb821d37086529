"""Pairs of handles, and duplex handles, each of which has both of a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Tuple, TypeVar

from . import _native
from ._handle import CloseLimit, _GIPCHandle
from ._reading import Reading
from ._settings import DuplexSettings
from ._types import Codec, Decoder, Encoder, First, Second
from ._writing import Writing
from .errors import GIPCClosed, GIPCLocked

if TYPE_CHECKING:
    from typing_extensions import Self


class _PairContext(Tuple[First, Second]):
    """Two handles.  Leaving the block closes both, the second one first."""

    def __enter__(self) -> Self:
        handle: Any
        for handle in tuple.__iter__(self):
            handle.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        first: Any = self[0]
        second: Any = self[1]
        try:
            second.__exit__(*exception)
        finally:
            first.__exit__(*exception)


ReaderType = TypeVar("ReaderType", bound=Reading)
WriterType = TypeVar("WriterType", bound=Writing)


class AnyDuplex(
    DuplexSettings[ReaderType, WriterType],
    _PairContext[ReaderType, WriterType],
):
    """One end of a pipe that goes both ways: a reader and a writer, each of
    which can be closed alone."""

    _reader_type: ClassVar[Any]
    _writer_type: ClassVar[Any]

    def __new__(
        cls, native: _native.Handle, encoder: Codec, decoder: Codec
    ) -> Self:
        reader = cls._reader_type(native, decoder)
        writer = cls._writer_type(native, encoder)
        reader._other, writer._other = writer, reader
        return cls._of(reader, writer)

    @classmethod
    def _of(cls, reader: Any, writer: Any) -> Self:
        self = super().__new__(cls, (reader, writer))
        # In the instance: a method of the class would cost each call another
        # one.
        vars(self).update(
            _reader=reader,
            _writer=writer,
            get=reader.get,
            get_into=reader.get_into,
            take_fds=reader.take_fds,
            take_handles=reader.take_handles,
            put=writer.put,
            put_many=writer.put_many,
            batch=writer.batch,
            flush=writer.flush,
            fileno=reader.fileno,
            set_limit=reader.set_limit,
            set_read_limit=reader.set_read_limit,
        )
        return self

    if TYPE_CHECKING:

        def fileno(self) -> int: ...

        def take_fds(self) -> list[int]: ...

        def take_handles(
            self, encoder: Encoder = "default", decoder: Decoder = "default"
        ) -> list[Any]: ...

        def set_limit(self, size: int | None) -> None: ...

        def set_read_limit(self, size: int | None) -> None: ...

    def __reduce__(self) -> Any:
        return type(self)._of, (self._reader, self._writer)

    @property
    def _closed(self) -> bool:
        return self._reader._closed and self._writer._closed

    def _close(self, limit: CloseLimit) -> None:
        for handle in self._to_close():
            handle._close_unused(limit)

    def abort(self) -> None:
        """Closes the directions that are open, at once.  Queued bytes that
        cannot be written without waiting are dropped.

        Raises what :meth:`close` does, except :exc:`GIPCTimeout`.
        """
        if self._writer._closing is not None:
            self._writer.abort()
            return
        for handle in self._to_close():
            handle.abort()

    def _to_close(self) -> list[_GIPCHandle]:
        if self._closed:
            raise GIPCClosed("%r has been closed before." % (self,))
        sides: tuple[_GIPCHandle, ...] = self._writer, self._reader
        for handle in sides:
            if not handle._closed and handle._lock.locked:
                raise GIPCLocked("%r is in use, it cannot be closed." % (self,))
        if not (self._reader._closed or self._writer._closed):
            self._writer._validate()
            # Close the socket in one step: two shutdown() calls would end the
            # stream for other processes that share the descriptor.
            self._reader._disown()
        return [side for side in sides if not side._closed]

    def __exit__(self, *exception: object) -> None:
        sides: tuple[_GIPCHandle, ...] = self._reader, self._writer
        if any(side._closed or side._lock.locked for side in sides):
            super().__exit__(*exception)
            return
        for handle in self._to_close():
            handle._leave_block(any(exception))

    def __enter__(self) -> Self:
        return self

    def __repr__(self) -> str:
        name = type(self).__name__
        return "<%s(%r, %r)>" % (name, self._reader, self._writer)

    __str__ = __repr__
