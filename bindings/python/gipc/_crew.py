"""The driver of a pool: its workers, and their handles."""

from __future__ import annotations

from signal import SIGCONT, SIGTERM
from typing import Any, Callable

from . import _handle, _native
from ._any_process import AnyProcess, exit_info_of
from ._driver import Action, Driver, Seat
from ._native import (
    ACTION_BLOCKED,
    ACTION_DRAINED,
    ACTION_GAVE_UP,
    ACTION_STDIN_CLOSED,
    ACTION_STREAM_ENDED,
    ACTION_WRITTEN,
    READ,
    WHY_GAVE_UP,
    WHY_IDLE,
    WHY_RETIRED,
    WHY_STOPPED,
    WRITE,
)
from ._pipe import adopt_handle, handle_classes
from .errors import GIPCError, PoolBroken, PoolClosed

# Seconds in which a process ends whose stream, or stdin, has ended; then it is
# stopped.
_ENDS_WITHIN = 2.0
_TAILS = 64  # of workers that have ended
# A worker without a task that is stopped for these waits for its stream.
_BY_END_OF_STREAM = (WHY_RETIRED, WHY_IDLE, WHY_STOPPED, WHY_GAVE_UP)


class _Seat(Seat):
    """A worker that was started."""

    def __init__(
        self,
        worker: int,
        process: AnyProcess,
        dump_signal: int,
        handle: _native.Handle,
    ):
        super().__init__(worker, process, dump_signal)
        self.handle = handle
        self.fd = _native.fd(handle, READ)
        # Another one, if the handle is the standard streams of a launcher.
        self.write_fd = _native.fd(handle, WRITE)


class Crew(Driver):
    """The workers of a pool."""

    what = "pool"
    native: _native.Pool

    def __init__(
        self,
        start_worker: Callable[[int, Any], AnyProcess],
        launch: Callable[[], tuple[AnyProcess, _native.Handle]] | None,
        rules: dict[str, float],
        most: int,
        dump_signal: int,
    ):
        super().__init__(
            lambda read, write: _native.Pool(rules, most, read, write)
        )
        self.most = most
        self.broken: PoolBroken | None = None
        self._start_worker, self._launch = start_worker, launch
        self._dump_signal = dump_signal
        self._tails: dict[int, str] = {}
        self._do.update({
            ACTION_DRAINED: lambda action: self._set_events(),
            ACTION_GAVE_UP: self._gave_up,
            ACTION_STREAM_ENDED: self._stream_ended,
            ACTION_STDIN_CLOSED: self._stdin_closed,
            ACTION_BLOCKED: lambda action: self._set_writing(action[1], True),
            ACTION_WRITTEN: lambda action: self._set_writing(action[1], False),
        })

    # ---- What the pool calls -------------------------------------------------

    def submit(self, data: bytes, user: Any, options: tuple[Any, ...]) -> int:
        """The number of the task, or 0: the queue is full.  user.finish() gets
        the action that says how it ended."""
        if self._pid != _handle._pid:
            self.check_process()
        number = self.native.submit(data, user, *options)
        if number < 0:
            raise self.closed()
        return number

    def closed(self) -> PoolClosed:
        if self.broken is None:
            return PoolClosed("the pool is closed")
        error = PoolBroken(*self.broken.args)
        error.exit_info = self.broken.exit_info
        error.__cause__ = self.broken.__cause__
        return error

    def tail(self, worker: int) -> str:
        return self._tails.get(worker, "")

    # ---- Workers ---------------------------------------------------------------

    def _start(self, action: Action) -> None:
        worker = action[1]
        try:
            if self._launch is not None:
                process, handle = self._launch()
            else:
                process, handle = self._start_with_handle(worker)
        except Exception as error:
            self._start_failed(worker, error)
            return
        seat = _Seat(worker, process, self._dump_signal, handle)
        self._seats[worker] = seat
        self.native.started(worker, process._get_popen().pid, handle)
        self._poll.add(seat.fd)
        if seat.write_fd != seat.fd:
            self._poll.add(seat.write_fd)  # readable: nobody reads it any more
        self._watch_process(seat)

    def _start_with_handle(
        self, worker: int
    ) -> tuple[AnyProcess, _native.Handle]:
        handle, theirs = _native.pipe_duplex()
        passed = adopt_handle(handle_classes, theirs, None, None)
        try:
            return self._start_worker(worker, passed), handle
        except BaseException:
            # Now: the error, which may be kept, refers to this frame.
            _native.discard(handle)
            if not passed.closed:
                passed.abort()
            raise

    def _stop(self, action: Action) -> None:
        seat = self._seats.get(action[1])
        if seat is None:
            return
        has_task = action[3]
        try:
            if not has_task and action[2] in _BY_END_OF_STREAM:
                if seat.write_fd != seat.fd:
                    self._poll.remove(seat.write_fd)
                if _native.shutdown(seat.handle) == _native.DONE:
                    return
        except (GIPCError, OSError):
            return  # its stream has ended
        seat.send(SIGTERM)
        seat.send(SIGCONT)  # a stopped process handles SIGTERM once it continues

    def _gave_up(self, action: Action) -> None:
        info = None if action[6] is None else exit_info_of(action[6])
        error = PoolBroken(
            "the pool gave up: its workers %s"
            % (
                "cannot be started: %s" % self._start_error
                if action[5]
                else "end too often"
            )
        )
        error.exit_info = info
        if action[5]:
            error.__cause__ = self._start_error
        self.broken = error

    def _set_writing(self, worker: int, writes: bool) -> None:
        seat = self._seats.get(worker)
        if seat is None:
            return
        self._poll.change(seat.write_fd, READ | WRITE if writes else READ)

    def _stream_ended(self, action: Action) -> None:
        seat = self._seats.get(action[1])
        if seat is not None:
            self._remove_handle(seat)
            if seat.sentinel is not None:
                self._check_after(seat, _ENDS_WITHIN)

    def _stdin_closed(self, action: Action) -> None:
        seat = self._seats.get(action[1])
        if seat is not None:
            self._poll.remove(seat.write_fd)
            if seat.sentinel is not None:
                self._check_after(seat, _ENDS_WITHIN)

    def _remove_handle(self, seat: _Seat) -> None:
        self._poll.remove(seat.fd)
        self._poll.remove(seat.write_fd)

    def _check_seat(self, seat: _Seat) -> None:
        self.native.misbehaved(seat.worker)

    def _ended(self, seat: _Seat, info: _native.ExitInfo | None) -> None:
        self._remove_handle(seat)
        if seat.stderr is not None:
            while len(self._tails) >= _TAILS:
                del self._tails[next(iter(self._tails))]
            self._tails[seat.worker] = seat.tail.decode("utf-8", "replace")
