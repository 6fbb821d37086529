"""A keeper for tasks of asyncio and trio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from ._aio_process import start_process
from ._any_keeper import AnyKeeper, Services, Strategy
from ._any_process import AnyProcess
from ._keeping import Change
from ._tasks import running_backend

if TYPE_CHECKING:
    from typing_extensions import Self


class Keeper(AnyKeeper):
    """Services that are kept running, as :class:`gipc.Keeper`; :func:`keep` makes
    it.

    The keeper is an asynchronous context manager: the end of the block, also by
    a cancellation, stops the services.  They end with the loop.
    """

    _runs_coroutines = True

    async def wait(self, timeout: float | None = None) -> None:
        """Waits until the keeper has stopped, or no service is kept running any
        more, as :meth:`gipc.Keeper.wait`."""
        backend = running_backend()
        await backend.call(self._wait, backend, timeout)

    async def wait_ready(self, timeout: float | None = None) -> None:
        """Waits until each service is ready, or has finished, as
        :meth:`gipc.Keeper.wait_ready`."""
        backend = running_backend()
        await backend.call(self._wait_ready, backend, timeout)

    async def reload(self, name: str, timeout: float | None = None) -> None:
        """Replaces the process of a service, as :meth:`gipc.Keeper.reload`."""
        backend = running_backend()
        await backend.call(self._reload, backend, name, timeout)

    async def stop(self) -> None:
        """Stops the services in reverse order, and waits for that.  It also
        goes on after a cancellation."""
        backend = running_backend()
        await backend.call(self._stop, backend)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._keeping.is_over:
            return
        if kind is None:
            try:
                await self.stop()
                return
            except BaseException:
                await self._stop_shielded()
                raise
        await self._stop_shielded()

    async def _stop_shielded(self) -> None:
        if not self._keeping.is_over:
            await running_backend().shielded(self.stop)


def keep(
    services: Services,
    strategy: Strategy = "one_for_one",
    on_change: Callable[[Change], object] | None = None,
) -> Keeper:
    """Starts services, and keeps them running in a task of the loop that runs.

    As :func:`gipc.keep`, with the same arguments.  A target may be a coroutine
    function: its process runs it with the library that runs here.

    :returns: a :class:`Keeper`.

    >>> import asyncio
    >>> async def serve():
    ...     await asyncio.sleep(60)
    >>> async def main():
    ...     async with keep([Service(serve, grace=60)]) as keeper:
    ...         await keeper.wait_ready(timeout=20)
    ...         print(len(keeper))
    >>> asyncio.run(main())
    1
    """
    backend = running_backend()
    keeper = Keeper(services, strategy, on_change, _start_function)
    keeper._keeping.start(backend)
    return keeper


def _start_function(*arguments: Any, **options: Any) -> AnyProcess:
    return start_process(*arguments, **options)._process
