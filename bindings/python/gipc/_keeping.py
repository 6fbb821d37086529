"""The driver of a keeper: its services, and what they report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from signal import SIGCONT, SIGKILL, SIGTERM
from typing import Any, Callable, NamedTuple, Optional

from . import _native
from ._any_process import AnyProcess, ExitInfo, exit_info_of
from ._driver import Action, Driver, Seat
from ._native import (
    ACTION_DUMP,
    ACTION_FINISHED,
    ACTION_GAVE_UP,
    ACTION_KILL,
    ACTION_RELOAD_FAILED,
    ACTION_RELOADED,
    ACTION_STOP,
    NOTIFY_ALIVE,
    NOTIFY_READY,
)
from ._service import Service
from .errors import GaveUp

_WHYS = {
    _native.WHY_SILENT: "silent",
    _native.WHY_NOT_READY: "not_ready",
    _native.WHY_RELOAD: "reload",
    _native.WHY_GROUP: "group",
    _native.WHY_STOPPED: "stopped",
    _native.WHY_GAVE_UP: "gave_up",
}
_STATES = "waiting", "starting", "ready", "silent", "stopping", "killed"
_DATAGRAMS = 1000  # at a time: a process may send them faster than they are read


class Change(NamedTuple):
    """What happened to a service."""

    #: The name of the service.
    service: str
    #: What its process is now: ``'starting'``, ``'ready'``, ``'silent'`` (it
    #: gets the signal for a dump), ``'stopping'``, ``'killed'``, ``'ended'``,
    #: ``'not_started'``; or what became of the service: ``'reloaded'``,
    #: ``'reload_failed'``, ``'finished'`` (it is not restarted), ``'gave_up'``.
    state: str
    #: Why it was stopped: ``''`` (it was not), ``'silent'``, ``'not_ready'``,
    #: ``'reload'``, ``'group'`` (with a service that is restarted),
    #: ``'stopped'`` (the keeper stops), ``'gave_up'``.
    why: str
    #: The process ID; None if it was not started.
    pid: Optional[int]
    #: How the process ended; None while it runs.
    exit_info: Optional[ExitInfo]
    #: Why it could not be started.
    error: Optional[Exception]
    #: The last lines of its stderr, if that is a pipe and the process has ended.
    stderr: str


class ServiceStats(NamedTuple):
    """A service of a keeper."""

    name: str
    #: The process ID; None while no process runs.
    pid: Optional[int]
    #: ``'starting'``, ``'ready'``, ``'silent'``, ``'stopping'``, ``'killed'``;
    #: without a process: ``'waiting'`` (for its start), ``'finished'``,
    #: ``'gave_up'``, ``'stopped'``.
    state: str
    #: How often it was started again.
    restarts: int
    #: How its last process ended, and why it was stopped, as in
    #: :class:`Change`; None and ``''`` before the first end.
    exit_info: Optional[ExitInfo]
    why: str


class _Seat(Seat):
    """The process of a service."""

    def __init__(self, worker: int, process: AnyProcess, kept: _Kept, socket: Any):
        super().__init__(worker, process, kept.service.dump_signal)
        self.kept = kept
        self.socket = socket
        self.fd = -1 if socket is None else _native.notify_socket_fd(socket)
        self.pid = process._get_popen().pid
        self.is_ready = False
        # Until a function has a handler for it, the signal for a dump would end it.
        self.can_dump = kept.service.is_program
        self.why = ""


class _Kept:
    """A service, and what has happened to it."""

    def __init__(self, service: Service):
        self.service = service
        self.running = 0  # its processes
        self.starts = self.restarts = 0
        self.over = ""
        self.start_error: Exception | None = None
        self.exit_info: ExitInfo | None = None
        self.why = ""
        self.stderr = ""
        # Of the reload that ended last: its number, and what went wrong.
        self.reloads = 0
        self.reload_error = ""


class Keeping(Driver):
    """The services of a keeper."""

    what = "keeper"
    native: _native.Keeper

    def __init__(
        self,
        strategy: int,
        services: Sequence[Service],
        start_function: Callable[..., AnyProcess],
        on_change: Callable[[Change], object] | None,
    ):
        rules = [service.rules for service in services]
        super().__init__(
            lambda read, write: _native.Keeper(strategy, rules, read, write)
        )
        self.kept = [_Kept(service) for service in services]
        self.gave_up: GaveUp | None = None
        self._start_function = start_function
        self._on_change = on_change
        self._do.update({
            ACTION_DUMP: self._dump,
            ACTION_STOP: self._stop,
            ACTION_KILL: self._kill,
            ACTION_FINISHED: self._finished,
            ACTION_GAVE_UP: self._gave_up,
            ACTION_RELOADED: self._reloaded,
            ACTION_RELOAD_FAILED: self._reload_failed,
        })

    def stats(self, index: int) -> ServiceStats:
        kept = self.kept[index]
        worker, pid, state, *_ = self.native.worker_stats(index)
        name = _STATES[state]
        if not worker or not state:
            pid = None
            name = kept.over or ("stopped" if self.is_over else "waiting")
        return ServiceStats(
            kept.service.name, pid or None, name, kept.restarts,
            kept.exit_info, kept.why,
        )

    def are_ready(self) -> bool:
        """Whether each service is ready, or was and is silent, or has finished."""
        states = (self.stats(index).state for index in range(len(self.kept)))
        return all(state in ("ready", "silent", "finished") for state in states)

    def send_signal(self, index: int, number: int) -> bool:
        """False if no process of the service runs."""
        worker, *_ = self.native.worker_stats(index)
        seat = self._seats.get(worker)
        if seat is not None:
            seat.process.send_signal(number)
        return seat is not None

    def _report(
        self,
        kept: _Kept,
        state: str,
        why: str = "",
        pid: int | None = None,
        info: ExitInfo | None = None,
        error: Exception | None = None,
        stderr: str = "",
    ) -> None:
        if self._on_change is not None:
            try:
                self._on_change(
                    Change(kept.service.name, state, why, pid, info, error, stderr)
                )
            except Exception as failed:
                sys.excepthook(type(failed), failed, failed.__traceback__)

    # ---- Processes ---------------------------------------------------------------

    def _start(self, action: Action) -> None:
        worker, kept = action[1], self.kept[action[7]]
        service = kept.service
        if kept.running == 0 and kept.starts > 0:
            kept.restarts += 1
        kept.starts += 1
        try:
            socket = address = None
            if service.needs_socket:
                socket = _native.notify_socket_new()
                address = _native.notify_socket_address(socket)
            process = service.start(self._start_function, address)
        except Exception as error:
            socket = None  # the error, which is kept, refers to this frame
            kept.start_error = error
            self._start_failed(worker, error)
            self._report(kept, "not_started", error=error)
            return
        seat = self._seats[worker] = _Seat(worker, process, kept, socket)
        kept.running += 1
        self.native.started(worker, seat.pid)
        if socket is not None:
            self._watch(seat.fd, self._notified, seat)
        self._watch_process(seat)
        self._report(kept, "starting", "", seat.pid)
        if not service.notifies:
            self._set_ready(seat)

    def _notified(self, seat: _Seat) -> None:
        """Receives the datagrams of a service."""
        for _ in range(_DATAGRAMS):
            try:
                got = _native.notify_socket_receive(seat.socket, seat.pid)
            except OSError:
                return
            if got is None:
                return
            seat.can_dump = True
            if got & NOTIFY_READY and seat.kept.service.notifies:
                self.native.ready(seat.worker)
                self._set_ready(seat)
            if got & NOTIFY_ALIVE:
                self.native.alive(seat.worker)

    def _set_ready(self, seat: _Seat) -> None:
        if not seat.is_ready:
            seat.is_ready = True
            self._report(seat.kept, "ready", "", seat.pid)
            self._set_events()

    def _stop(self, action: Action) -> None:
        seat = self._seats.get(action[1])
        if seat is not None:
            seat.why = _WHYS.get(action[2], "")
            seat.send(SIGTERM)
            seat.send(SIGCONT)  # a stopped process handles SIGTERM once it continues
            self._report(seat.kept, "stopping", seat.why, seat.pid)

    def _kill(self, action: Action) -> None:
        seat = self._seats.get(action[1])
        if seat is not None:
            self._report(seat.kept, "killed", seat.why, seat.pid)
            seat.send(SIGKILL)

    def _dump(self, action: Action) -> None:
        seat = self._seats.get(action[1])
        if seat is not None:
            if seat.can_dump:
                super()._dump(action)
            self._report(seat.kept, "silent", "", seat.pid)

    def _ended(self, seat: _Seat, info: _native.ExitInfo | None) -> None:
        if seat.socket is not None:
            self._notified(seat)
            self._unwatch(seat.fd)
            seat.socket = None  # closes it
        kept = seat.kept
        kept.running -= 1
        kept.exit_info = None if info is None else exit_info_of(info)
        kept.why = seat.why
        kept.stderr = seat.tail.decode("utf-8", "replace")
        self._report(
            kept, "ended", seat.why, seat.pid, kept.exit_info, None, kept.stderr
        )

    # ---- Services ------------------------------------------------------------------

    def _finished(self, action: Action) -> None:
        kept = self.kept[action[7]]
        kept.over = "finished"
        self._report(kept, "finished", kept.why, None, kept.exit_info)
        self._set_events()

    def _gave_up(self, action: Action) -> None:
        kept = self.kept[action[7]]
        kept.over = "gave_up"
        failed = kept.start_error if action[5] else None
        error = GaveUp(
            "service %r is given up: it %s"
            % (kept.service.name, _how_it_ended(kept, failed))
        )
        error.service, error.why = kept.service.name, kept.why
        if failed is None:
            error.exit_info, error.stderr = kept.exit_info, kept.stderr
        error.__cause__ = failed
        if self.gave_up is None:
            self.gave_up = error
        self._report(
            kept, "gave_up", kept.why, None, error.exit_info, failed, error.stderr
        )
        self._set_events()

    def _reloaded(self, action: Action) -> None:
        self._end_reload(self.kept[action[7]], "")

    def _reload_failed(self, action: Action) -> None:
        kept = self.kept[action[7]]
        failed = kept.start_error if action[5] else None
        self._end_reload(kept, _how_it_ended(kept, failed))

    def _end_reload(self, kept: _Kept, error: str) -> None:
        kept.reloads += 1
        kept.reload_error = error
        self._report(kept, "reload_failed" if error else "reloaded")
        self._set_events()


def _how_it_ended(kept: _Kept, failed: Exception | None) -> str:
    if failed is not None:
        return "cannot be started: %s" % failed
    if kept.why:
        return "was stopped (%s)" % kept.why
    info = kept.exit_info
    if info is None:
        return "ended"
    if info.signal is not None:
        return "was ended by signal %d" % info.signal
    return "ended with exit code %s" % info.code
