"""The driver of a pool: starts and stops the workers, as the policy in the library
decides, and waits for them on any backend."""

from __future__ import annotations

import errno
import os
import weakref
from signal import SIGKILL, SIGTERM
from threading import get_ident
from typing import Any, Callable

from . import _handle, _native
from ._any_process import AnyProcess
from ._backend import Backend, Event
from ._deadline import monotonic
from ._native import (
    ACTION_BLOCKED,
    ACTION_DRAINED,
    ACTION_DUMP,
    ACTION_FINISH,
    ACTION_GAVE_UP,
    ACTION_KILL,
    ACTION_READY_FD,
    ACTION_START,
    ACTION_STOP,
    ACTION_STOPPED,
    ACTION_STREAM_ENDED,
    ACTION_WRITTEN,
)
from ._pipe import adopt_handle, handle_classes
from ._poll import Poll
from ._types import Deadline
from .errors import GIPCError, GIPCStatusLost, PoolBroken, PoolClosed

# Seconds in which a process ends whose stream has ended; then it is stopped.
_ENDS_WITHIN = 2.0
# Where there are no pidfds: how often the exit status is asked for.
_POLLED_EVERY = 0.01
_TAIL = 4096  # bytes of stderr that are kept
_TAILS = 64  # of workers that have ended

Action = Any  # a tuple, whose first item is its kind; see pool.i
_crews: weakref.WeakSet[Crew] = weakref.WeakSet()


class _Seat:
    """A worker that was started."""

    def __init__(self, worker: int, handle: _native.Handle, process: AnyProcess):
        self.worker = worker
        self.handle = handle
        self.process = process
        self.fd = -1
        self.sentinel = process._get_popen().sentinel
        self.stderr: int | None = None
        self.tail = b""
        self.check_at: float | None = None

    def send(self, number: int) -> None:
        try:
            self.process._get_popen().signal(number)
        except OSError:
            pass  # its user is another one: the next signal is SIGKILL

    def read_stderr(self) -> bool:
        """Keeps its end; False when the stream has ended."""
        assert self.stderr is not None
        try:
            data = os.read(self.stderr, 65536)
        except BlockingIOError:
            return True
        self.tail = (self.tail + data)[-_TAIL:]
        return bool(data)


class Crew:
    """The workers of a pool."""

    def __init__(
        self,
        start_worker: Callable[[int, Any], AnyProcess],
        rules: dict[str, float],
        most: int,
        dump_signal: int,
    ):
        self._wake = os.pipe()
        try:
            for fd in self._wake:
                os.set_blocking(fd, False)
            self.native = _native.Pool(rules, most, *self._wake)
        except BaseException:
            for fd in self._wake:
                os.close(fd)
            raise
        self.most = most
        self.broken: PoolBroken | None = None
        self.is_over = False
        self._start_worker = start_worker
        self._dump_signal = dump_signal
        self._poll = Poll()
        self._poll.add(self._wake[0])
        self._seats: dict[int, _Seat] = {}
        self._by_fd: dict[int, tuple[Callable[[_Seat], None], _Seat]] = {}
        self._tails: dict[int, str] = {}
        self._events: set[Event] = set()  # of those that wait for the pool
        self._driver: int | None = None  # its thread
        self._start_error: Exception | None = None
        self._pid = _handle._pid
        self._do: dict[int, Callable[[Action], None]] = {
            ACTION_START: self._start,
            ACTION_STOP: self._stop,
            ACTION_KILL: lambda action: self._signal(action[1], SIGKILL),
            ACTION_DUMP: self._dump,
            ACTION_DRAINED: lambda action: self._set_events(),
            ACTION_GAVE_UP: self._gave_up,
            ACTION_STOPPED: self._stopped,
            ACTION_STREAM_ENDED: self._stream_ended,
            ACTION_READY_FD: self._ready_fd,
            ACTION_BLOCKED: lambda action: self._set_writing(action[1], True),
            ACTION_WRITTEN: lambda action: self._set_writing(action[1], False),
        }
        _crews.add(self)

    # ---- What the pool calls -------------------------------------------------

    def start(self, backend: Backend) -> None:
        """Starts the driver, once."""
        self.check_process()
        if self._driver is None and not self.is_over:
            self._driver = 0
            backend.start_driver(self.drive)

    def check_process(self) -> None:
        if self._pid != _handle._pid:
            raise GIPCError(
                "the pool belongs to process %d, and cannot be used in process "
                "%d" % (self._pid, _handle._pid)
            )

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

    def stop(self, grace: float) -> None:
        if not self.is_over and self._pid == _handle._pid:
            self.native.stop(grace)
            if self._driver is None:  # it was never used
                for action in self.native.step([]):
                    self._do[action[0]](action)

    async def wait_until(
        self, condition: Callable[[], object], backend: Backend, deadline: Deadline
    ) -> bool:
        """Waits until a condition, which may change with the room in the queue
        and at the end of the pool.  False when the deadline has passed."""
        while not condition():
            event = backend.new_event()
            self._events.add(event)
            try:
                if condition():
                    break
                if self._driver == get_ident() and not backend.cooperative:
                    raise GIPCError(
                        "a callback of a task would wait for the pool forever"
                    )
                if not await self.wait(event, backend, deadline):
                    return False
            finally:
                self._events.discard(event)
        return True

    async def wait(
        self, event: Event, backend: Backend, deadline: Deadline
    ) -> bool:
        """Waits for an event that the driver sets."""
        if not backend.cooperative or self._driver == get_ident():
            return await event.wait(deadline)
        with backend.waiting_for_thread():
            return await event.wait(deadline)

    def tail(self, worker: int) -> str:
        return self._tails.get(worker, "")

    # ---- The driver ------------------------------------------------------------

    async def drive(self, backend: Backend) -> None:
        self._driver = get_ident()
        ready: list[tuple[int, int]] = []
        try:
            while not self.is_over:
                self._step(ready)
                if self.is_over:
                    break
                ready = await self._poll.wait(backend, self._next_time())
        finally:
            if self._pid == _handle._pid:
                self._abandon()

    def _step(self, ready: list[tuple[int, int]]) -> None:
        step, do = self.native.step, self._do
        actions = step(ready)
        while actions:
            for action in actions:
                if action[0] == ACTION_FINISH:
                    action[1].finish(action)
                else:
                    do[action[0]](action)
            actions = None  # what it refers to is not kept
            if self.is_over:
                return
            actions = step([])
        if any(seat.check_at is not None for seat in self._seats.values()):
            self._check()

    def _next_time(self) -> float | None:
        times = [
            seat.check_at
            for seat in self._seats.values()
            if seat.check_at is not None
        ]
        time = self.native.next_time()
        if time is not None:
            times.append(time)
        return min(times, default=None)

    def _abandon(self) -> None:
        """The driver ends before the pool, with its loop."""
        if self.is_over:
            return
        self.native.stop(0)
        while not self.is_over:
            self._step([])
            for seat in list(self._seats.values()):
                seat.send(SIGKILL)
                seat.process.join()
                self._process_ended(seat)

    # ---- Actions -----------------------------------------------------------------

    def _start(self, action: Action) -> None:
        worker = action[1]
        handle, theirs = _native.pipe_duplex()
        passed = adopt_handle(handle_classes, theirs, None, None)
        try:
            process = self._start_worker(worker, passed)
        except Exception as error:
            self._start_error = error
            number = getattr(error, "errno", None) or errno.EIO
            self.native.start_failed(worker, -number)
            if not passed.closed:
                passed.abort()
            return
        seat = self._seats[worker] = _Seat(worker, handle, process)
        seat.fd = self.native.started(worker, process._get_popen().pid, handle)
        self._poll.add(seat.fd)
        if seat.sentinel is None:
            seat.check_at = monotonic() + _POLLED_EVERY
        else:
            self._watch(seat.sentinel, self._process_ended, seat)
        if process.stderr is not None:
            seat.stderr = process.stderr.fileno()
            os.set_blocking(seat.stderr, False)
            self._watch(seat.stderr, self._read_stderr, seat)

    def _watch(
        self, fd: int, call: Callable[[_Seat], None], seat: _Seat
    ) -> None:
        self._by_fd[fd] = call, seat
        self._poll.add(fd)

    def _unwatch(self, fd: int | None) -> None:
        if fd is not None and self._by_fd.pop(fd, None) is not None:
            self._poll.remove(fd)

    def _signal(self, worker: int, number: int) -> None:
        seat = self._seats.get(worker)
        if seat is not None:
            seat.send(number)

    def _dump(self, action: Action) -> None:
        if self._dump_signal:
            self._signal(action[1], self._dump_signal)

    def _stop(self, action: Action) -> None:
        seat = self._seats.get(action[1])
        if seat is None:
            return
        has_task = action[3]
        try:
            if not has_task and _native.shutdown(seat.handle) == _native.DONE:
                return
        except (GIPCError, OSError):
            return  # its stream has ended
        seat.send(SIGTERM)

    def _gave_up(self, action: Action) -> None:
        from ._any_process import exit_info_of

        info = None if action[6] is None else exit_info_of(action[6])
        error = PoolBroken(
            "the pool gave up: its workers %s"
            % ("cannot be started" if info is None else "end too often")
        )
        error.exit_info = info
        if action[5]:
            error.__cause__ = self._start_error
        self.broken = error

    def _stopped(self, action: Action) -> None:
        self.is_over = True
        self._poll.close()
        for fd in self._wake:
            os.close(fd)
        self._set_events()

    def _set_events(self) -> None:
        while self._events:
            self._events.pop().set()

    def _set_writing(self, worker: int, writes: bool) -> None:
        seat = self._seats.get(worker)
        if seat is not None:
            self._poll.set_writing(seat.fd, writes)

    def _stream_ended(self, action: Action) -> None:
        seat = self._seats.get(action[1])
        if seat is not None:
            self._poll.remove(seat.fd)
            if seat.sentinel is not None:
                seat.check_at = monotonic() + _ENDS_WITHIN

    def _ready_fd(self, action: Action) -> None:
        found = self._by_fd.get(action[1])
        if found is not None:
            call, seat = found
            call(seat)

    def _check(self) -> None:
        now = monotonic()
        for seat in list(self._seats.values()):
            if seat.check_at is None or seat.check_at > now:
                continue
            if seat.sentinel is None:
                seat.check_at = now + _POLLED_EVERY
                self._process_ended(seat)
            else:
                seat.check_at = None
                self.native.misbehaved(seat.worker)

    def _read_stderr(self, seat: _Seat) -> None:
        if not seat.read_stderr():
            self._unwatch(seat.stderr)

    def _process_ended(self, seat: _Seat) -> None:
        process = seat.process
        process.join(0)
        popen = process._get_popen()
        if popen.poll() is None:
            return
        try:
            info = _native.process_info(popen._p)
        except (GIPCStatusLost, OSError):
            info = None
        self._forget(seat)
        self.native.ended(seat.worker, info)
        process._close_streams()
        process.close()  # type: ignore[attr-defined]

    def _forget(self, seat: _Seat) -> None:
        del self._seats[seat.worker]
        self._poll.remove(seat.fd)
        self._unwatch(seat.sentinel)
        if seat.stderr is not None:
            if seat.stderr in self._by_fd:
                seat.read_stderr()
            self._unwatch(seat.stderr)
            while len(self._tails) >= _TAILS:
                del self._tails[next(iter(self._tails))]
            self._tails[seat.worker] = seat.tail.decode("utf-8", "replace")

    def forget_in_child(self) -> None:
        self._poll.forget()
        for fd in self._wake:
            os.close(fd)


def _forget_in_child() -> None:
    for crew in list(_crews):
        if not crew.is_over:
            crew.forget_in_child()
            crew.is_over = True
    _crews.clear()


os.register_at_fork(after_in_child=_forget_in_child)
