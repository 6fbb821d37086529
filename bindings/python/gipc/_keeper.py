"""A keeper for greenlets, threads and plain scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from ._any_keeper import AnyKeeper, Services, Strategy
from ._backend import run
from ._blocking import current_backend
from ._keeping import Change
from ._process import start_process
from ._tasks import current_backend as task_backend
from ._threads import threads

if TYPE_CHECKING:
    from typing_extensions import Self


class Keeper(AnyKeeper):
    """Services that are kept running; :func:`keep` makes it.

    ``keeper["web"]`` is a :class:`ServiceStats`; the iteration is over the names.
    The keeper is a context manager: the end of the block stops the services.
    Otherwise they run until :meth:`stop`, or the end of this process.
    """

    def wait(self, timeout: float | None = None) -> None:
        """Waits until the keeper has stopped, or no service is kept running any
        more.

        :arg timeout: seconds; ``None`` (the default) or a negative number waits
            indefinitely.

        Raises:
            - :exc:`GaveUp` when a service is given up
            - :exc:`GIPCTimeout` if the timeout expires
        """
        run(self._wait, current_backend(), timeout)

    def wait_ready(self, timeout: float | None = None) -> None:
        """Waits until each service is ready, or has finished.

        :arg timeout: as for :meth:`wait`.

        Raises:
            - :exc:`GaveUp` when a service is given up
            - :exc:`GIPCError` if the keeper is stopped
            - :exc:`GIPCTimeout` if the timeout expires
        """
        run(self._wait_ready, current_backend(), timeout)

    def reload(self, name: str, timeout: float | None = None) -> None:
        """Replaces the process of a service: starts another one, and when that
        is ready, stops the first one.  Returns when the new one is ready.

        :arg name: that of the service.
        :arg timeout: seconds, as for :meth:`wait`.  The reload itself has the
            rule ``ready_within``.

        Raises:
            - :exc:`GIPCError` if the new process ended before it was ready, and
              the first one runs on; or if no process runs
            - :exc:`GIPCLocked` if it is being reloaded already
            - :exc:`KeyError` if there is no such service
            - :exc:`GIPCTimeout` if the timeout expires; the reload goes on
        """
        run(self._reload, current_backend(), name, timeout)

    def stop(self) -> None:
        """Stops the services in reverse order, each when those after it have
        ended, and waits for that; but in ``on_change`` it does not wait."""
        run(self._stop, current_backend())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if not self._keeping.is_over:
            self.stop()


def keep(
    services: Services,
    strategy: Strategy = "one_for_one",
    on_change: Callable[[Change], object] | None = None,
) -> Keeper:
    """Starts services, and keeps them running in the background: in a greenlet
    under gevent, else in a thread.

    A service is started when those before it are ready.  If its process ends,
    it is started again, after a delay that grows with each failure in a row.

    :arg services: an iterable of :class:`Service` in the order of their start;
        or a dictionary of them by name.
    :arg strategy: what is restarted with a service that ended:
        ``'one_for_one'``, no other one; ``'rest_for_one'``, those after it;
        ``'all_for_one'``.
    :arg on_change: called with a :class:`Change` when something happens to a
        service, in the greenlet or thread of the keeper: it may call
        :meth:`~Keeper.stop`, but must not wait for the keeper.  What it raises goes to ``sys.excepthook``.

    :returns: a :class:`Keeper`.

    Raises :exc:`TypeError` or :exc:`ValueError` if an argument is not valid.

    >>> import time
    >>> web = Service(time.sleep, (60,), name="web", grace=60)
    >>> with keep([web]) as keeper:
    ...     keeper.wait_ready(timeout=20)
    ...     keeper["web"].restarts
    0
    >>> keeper["web"].state, keeper["web"].exit_info.signal
    ('stopped', 15)
    """
    keeper = Keeper(services, strategy, on_change, start_process)
    backend = current_backend()
    # Under asyncio and trio no other greenlet of the thread runs.
    keeper._keeping.start(backend if task_backend() is None else threads)
    return keeper
