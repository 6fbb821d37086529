"""What the keepers of :mod:`gipc` and of :mod:`gipc.aio` have in common."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, ClassVar, Literal, Union

from . import _native
from ._any_process import AnyProcess
from ._backend import Backend
from ._deadline import deadline_of
from ._keeping import Change, Keeping, ServiceStats
from ._native import ELOCKED
from ._service import Service
from ._types import Deadline, Signal
from ._values import sequence, signal_number
from .errors import GaveUp, GIPCError, GIPCLocked, timed_out

Strategy = Literal["one_for_one", "rest_for_one", "all_for_one"]
Services = Union[Iterable[Service], Mapping[str, Service]]

_STRATEGIES = {
    "one_for_one": _native.ONE_FOR_ONE,
    "rest_for_one": _native.REST_FOR_ONE,
    "all_for_one": _native.ALL_FOR_ONE,
}


class AnyKeeper:
    """Services that are kept running."""

    _runs_coroutines: ClassVar[bool] = False

    def __init__(
        self,
        services: Services,
        strategy: Strategy,
        on_change: Callable[[Change], object] | None,
        start_function: Callable[..., AnyProcess],
    ):
        if strategy not in _STRATEGIES:
            raise ValueError(
                "strategy: expected one of %s, not %r"
                % (list(_STRATEGIES), strategy)
            )
        if on_change is not None and not callable(on_change):
            raise TypeError("`on_change` must be callable, not %r" % (on_change,))
        named = _named(services)
        for name, service in named.items():
            if service.is_coroutine and not self._runs_coroutines:
                raise TypeError(
                    "service %r: a coroutine function needs gipc.aio.keep" % name
                )
        self._index = {name: index for index, name in enumerate(named)}
        self._keeping = Keeping(
            _STRATEGIES[strategy], list(named.values()), start_function, on_change
        )

    def __getitem__(self, name: str) -> ServiceStats:
        """A service as it is now; KeyError if there is none of this name."""
        self._keeping.check_process()
        return self._keeping.stats(self._index[name])

    def __iter__(self) -> Iterator[str]:
        """The names of the services, in the order of their start."""
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def send_signal(self, name: str, number: Signal) -> None:
        """Sends a signal to the process of a service.

        :arg name: that of the service.
        :arg number: a number, a ``signal.Signals``, or a name such as
            ``'HUP'``.

        Raises:
            - :exc:`KeyError` if there is no such service
            - :exc:`GIPCError` if no process of it runs
            - :exc:`ValueError`, :exc:`TypeError` if the signal is not valid
        """
        self._keeping.check_process()
        index, signal = self._index[name], signal_number(number)
        if not self._keeping.send_signal(index, signal):
            raise GIPCError("service %r has no process" % name)

    def __repr__(self) -> str:
        state = "stopped" if self._keeping.is_over else "running"
        return "<%s of %s, %s>" % (
            type(self).__name__, ", ".join(map(repr, self._index)), state
        )

    # ---- The bodies of what waits ------------------------------------------------

    async def _wait(self, backend: Backend, timeout: float | None) -> None:
        keeping = self._keeping
        deadline = deadline_of(timeout)
        keeping.check_process()
        if not await keeping.wait_until(
            lambda: keeping.is_over or keeping.gave_up is not None,
            backend, deadline,
        ):
            raise timed_out("timed out: %r" % self)
        if keeping.gave_up is not None:
            raise _copy(keeping.gave_up)

    async def _wait_ready(self, backend: Backend, timeout: float | None) -> None:
        keeping = self._keeping
        deadline = deadline_of(timeout)
        keeping.check_process()
        if not await keeping.wait_until(
            lambda: keeping.is_over
            or keeping.gave_up is not None
            or keeping.are_ready(),
            backend, deadline,
        ):
            raise timed_out("timed out: %r" % self)
        if keeping.gave_up is not None:
            raise _copy(keeping.gave_up)
        if not keeping.are_ready():
            raise GIPCError("the keeper was stopped")

    async def _reload(
        self, backend: Backend, name: str, timeout: float | None
    ) -> None:
        keeping = self._keeping
        deadline: Deadline = deadline_of(timeout)
        keeping.check_process()
        keeping.check_waitable(backend)
        index = self._index[name]
        kept = keeping.kept[index]
        before = kept.reloads
        code = -1 if keeping.is_over else keeping.native.reload(index)
        if code == ELOCKED:
            raise GIPCLocked("service %r is being reloaded" % name)
        if code < 0:
            raise GIPCError("service %r has no process to reload" % name)
        if not await keeping.wait_until(
            lambda: keeping.is_over or kept.reloads != before, backend, deadline
        ):
            raise timed_out("timed out: the reload of service %r goes on" % name)
        if kept.reloads == before:
            raise GIPCError("the keeper was stopped")
        if kept.reload_error:
            raise GIPCError(
                "service %r is not reloaded: its new process %s"
                % (name, kept.reload_error)
            )

    async def _stop(self, backend: Backend) -> None:
        keeping = self._keeping
        keeping.check_process()
        keeping.stop(0)
        if not keeping.is_in_callback(backend):
            await keeping.wait_until(lambda: keeping.is_over, backend, None)


def _copy(error: GaveUp) -> GaveUp:
    """To be raised: each one that is has a traceback of its own."""
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied


def _named(services: Any) -> dict[str, Service]:
    if isinstance(services, Mapping):
        services = [_renamed(*item) for item in services.items()]
    named: dict[str, Service] = {}
    for service in sequence(services):
        _check(service)
        if service.name in named:
            raise ValueError("there are two services %r" % service.name)
        named[service.name] = service
    if not named:
        raise ValueError("a keeper needs a service")
    return named


def _renamed(name: Any, service: Any) -> Service:
    _check(service)
    if not isinstance(name, str):
        raise TypeError("the name of a service is a string, not %r" % (name,))
    renamed: Service = copy.copy(service)
    renamed.name = name
    return renamed


def _check(service: object) -> None:
    if not isinstance(service, Service):
        raise TypeError("expected a gipc.Service, not %r" % (service,))
