"""A pool of workers for tasks of asyncio and trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from ._any_pool import AnyPool, Retry
from ._mapping import Mapping
from ._tasks import running_backend
from ._types import Descriptor

if TYPE_CHECKING:
    from typing_extensions import Self


class Pool(AnyPool):
    """Worker processes that carry out tasks, as :class:`gipc.Pool`, with the same
    arguments.  Cancelling an ``await pool.call(...)`` stops that task.

    The pool is an asynchronous context manager: the end of the block waits for
    the tasks; if an error or a cancellation leaves the block, they are stopped.
    It ends with its loop.

    >>> import asyncio
    >>> async def main():
    ...     async with Pool(workers=2) as pool:
    ...         print(await pool.call(pow, 2, 10))
    ...         print([result async for result in pool.map(abs, [-1, 2])])
    >>> asyncio.run(main())
    1024
    [1, 2]
    """

    async def call(
        self,
        *args: Any,
        timeout: float | None = None,
        priority: int | None = None,
        retries: int | None = None,
        retry_for: Iterable[Retry] | None = None,
        fds: Iterable[Descriptor] = (),
        **kwargs: Any,
    ) -> Any:
        """Has ``args[0](*args[1:], **kwargs)`` called in a worker, and returns
        its result, as :meth:`gipc.Pool.call`."""
        options: tuple[Any, ...]
        options = self._options(timeout, priority, retries, retry_for)
        if fds:
            options = (*options, list(fds))
        data = self._data(args, kwargs)
        backend = running_backend()
        return await backend.call(self._call, backend, data, options)

    def map(
        self,
        *args: Any,
        ordered: bool = True,
        window: int | None = None,
        progress: Any = None,
        timeout: float | None = None,
        priority: int | None = None,
        retries: int | None = None,
        retry_for: Iterable[Retry] | None = None,
        chunksize: int = 1,
    ) -> AsyncIterator[Any]:
        """Iterates over the results, with ``async for``, as
        :meth:`gipc.Pool.map`."""
        options = self._options(timeout, priority, retries, retry_for)
        return _Results(
            self._mapping(args, chunksize, options, window, ordered, progress)
        )

    async def stop(self, grace: float | None = 0) -> None:
        """Ends the pool, and waits until the workers have ended, as
        :meth:`gipc.Pool.stop`."""
        backend = running_backend()
        await backend.call(self._stop, backend, grace)

    async def __aenter__(self) -> Self:
        self._crew.start(running_backend())
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._crew.is_over:
            return
        if kind is None:
            try:
                await self.stop(None)
                return
            except BaseException:
                await self._stop_shielded()
                raise
        await self._stop_shielded()

    async def _stop_shielded(self) -> None:
        await running_backend().shielded(self.stop)


class _Results:
    """The iterator of map()."""

    def __init__(self, mapping: Mapping):
        self._mapping = mapping

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        backend = running_backend()
        result = await backend.call(self._mapping.next, backend)
        if not result:
            raise StopAsyncIteration
        return result[0]

    async def aclose(self) -> None:
        """Cancels the tasks that have not ended."""
        self._mapping.close()
