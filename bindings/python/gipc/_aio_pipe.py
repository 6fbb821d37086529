"""Pairs of handles and duplex handles, for tasks of asyncio and trio."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic

from ._aio_handle import Block, Reader, Writer
from ._deadline import deadline_of
from ._handle import HandleClasses, close_limit
from ._pair import AnyDuplex, _PairContext
from ._types import Descriptor, First, Got, Put, Second

if TYPE_CHECKING:
    from typing_extensions import Buffer, Never


class Pair(Block, _PairContext[First, Second]):
    """Two handles.  Leaving the block closes both, the second one first."""

    if TYPE_CHECKING:
        __exit__ = _PairContext.__exit__


class Duplex(Block, AnyDuplex["Reader[Got]", "Writer[Put]"], Generic[Got, Put]):
    """One end of a pipe that goes both ways: a reader and a writer, each of
    which can be closed alone."""

    _reader_type = Reader
    _writer_type = Writer

    if TYPE_CHECKING:
        __exit__ = AnyDuplex.__exit__
        async def get(self, timeout: float | None = None) -> Got: ...

        async def get_into(
            self, buffer: Buffer, timeout: float | None = None
        ) -> int: ...

        async def put(
            self,
            o: Put,
            timeout: float | None = None,
            fds: Iterable[Descriptor] = (),
        ) -> None: ...

        async def put_many(
            self, objects: Iterable[Put], timeout: float | None = None
        ) -> None: ...

        def batch(self) -> AbstractAsyncContextManager[Writer[Put]]: ...

        async def flush(self, timeout: float | None = None) -> None: ...

    def close(self) -> None:
        """Closes the directions that are open, and does not wait.

        Raises what that of a writer does; while one of the directions is in use,
        both stay open.
        """
        self._close(close_limit(None))

    async def aclose(self, timeout: float | None = None) -> None:
        """As :meth:`close`, and waits until queued bytes are written.

        :arg timeout: as for a writer.
        """
        deadline = deadline_of(timeout)
        self.close()
        await self._writer._wait_closed(deadline)

    def messages(self) -> Reader[Got]:
        """The messages, for ``async for``."""
        return self._reader

    __aiter__ = messages

    def __iter__(self) -> Never:
        raise TypeError("use 'async for' to iterate over messages")


handle_classes = HandleClasses(Reader, Writer, Duplex, Pair)
Reader._classes = Writer._classes = handle_classes
