"""What the drivers of pools and of keepers have in common: they start and stop
processes, as a policy in the library decides, and wait for them on any backend."""

from __future__ import annotations

import atexit
import errno
import os
import weakref
from signal import SIGKILL
from threading import get_ident
from typing import Any, Callable

from . import _handle, _native
from ._any_process import AnyProcess
from ._backend import Backend, Event
from ._deadline import monotonic
from ._native import (
    ACTION_DUMP,
    ACTION_FINISH,
    ACTION_KILL,
    ACTION_READY_FD,
    ACTION_START,
    ACTION_STOP,
    ACTION_STOPPED,
)
from ._poll import Poll
from ._types import Deadline
from .errors import GIPCError, GIPCStatusLost

# Where there are no pidfds: how often the exit status is asked for.
_POLLED_EVERY = 0.01
_TAIL = 4096  # bytes of stderr that are kept

Action = Any  # a tuple, whose first item is its kind; see pool.i
_drivers: weakref.WeakSet[Driver] = weakref.WeakSet()
_is_exiting = False


class Seat:
    """A process that was started."""

    def __init__(self, worker: int, process: AnyProcess, dump_signal: int):
        self.worker = worker
        self.process = process
        self.sentinel = process._get_popen().sentinel
        self.dump_signal = dump_signal
        self.stderr: int | None = None
        self.tail = b""
        self.check_at = 0.0

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


class Driver:
    """The processes of a pool or keeper."""

    #: What it is in the text of an error.
    what: str
    native: Any

    def __init__(self, make: Callable[[int, int], Any]):
        """make: of the policy, with the descriptors of a pipe that wakes."""
        self._poll = Poll()
        self._wake: tuple[int, ...] = os.pipe()
        try:
            for fd in self._wake:
                os.set_blocking(fd, False)
            self._poll.add(self._wake[0])
            self.native = make(*self._wake)
        except BaseException:
            for fd in self._wake:
                os.close(fd)
            raise
        self.is_over = False
        self._seats: dict[int, Any] = {}
        self._to_check: set[Any] = set()  # those that have a check_at
        self._by_fd: dict[int, tuple[Callable[[Any], None], Seat]] = {}
        self._events: set[Event] = set()  # of those that wait for a change
        self._driver: int | None = None  # its thread
        self._greenlet: object = None  # or task
        self._start_error: Exception | None = None
        self._pid = _handle._pid
        self._do: dict[int, Callable[[Action], None]] = {
            ACTION_START: self._start_unless_exiting,
            ACTION_STOP: self._stop,
            ACTION_KILL: lambda action: self._signal(action[1], SIGKILL),
            ACTION_DUMP: self._dump,
            ACTION_STOPPED: self._stopped,
            ACTION_READY_FD: self._ready_fd,
        }
        _drivers.add(self)

    # ---- Of a kind of driver ---------------------------------------------------

    def _start(self, action: Action) -> None:
        raise NotImplementedError

    def _stop(self, action: Action) -> None:
        raise NotImplementedError

    def _check_seat(self, seat: Any) -> None:
        """Its time has come."""

    def _ended(self, seat: Any, info: _native.ExitInfo | None) -> None:
        """After the last look at it, and before the policy is told."""

    # ---- What the program calls ------------------------------------------------

    def start(self, backend: Backend) -> None:
        """Starts the driver, once."""
        self.check_process()
        if self._driver is None and not self.is_over:
            self._driver = 0
            try:
                backend.start_driver(self.drive)
            except BaseException:
                self._driver = None  # so that a stop does not wait for it
                raise

    def check_process(self) -> None:
        if self._pid != _handle._pid:
            raise GIPCError(
                "the %s belongs to process %d, and cannot be used in process "
                "%d" % (self.what, self._pid, _handle._pid)
            )

    def stop(self, grace: float) -> None:
        if not self.is_over and self._pid == _handle._pid:
            self.native.stop(grace)
            if self._driver is None:  # it was never used
                for action in self.native.step([]):
                    self._do[action[0]](action)

    async def wait_until(
        self, condition: Callable[[], object], backend: Backend, deadline: Deadline
    ) -> bool:
        """Waits until a condition, which may change when _set_events() is
        called.  False when the deadline has passed."""
        while not condition():
            event = backend.new_event()
            self._events.add(event)
            try:
                if condition():
                    break
                if not await self.wait(event, backend, deadline):
                    return False
            finally:
                self._events.discard(event)
        return True

    def is_in_callback(self, backend: Backend) -> bool:
        """Whether the driver itself calls, which a callback does."""
        current = backend.current
        return self._driver == get_ident() and (
            current is None or current() is self._greenlet
        )

    def check_waitable(self, backend: Backend) -> None:
        """A callback that waited for its own driver would do so forever."""
        if self.is_in_callback(backend):
            raise GIPCError(
                "a callback would wait for its own %s forever" % self.what
            )

    async def wait(
        self, event: Event, backend: Backend, deadline: Deadline
    ) -> bool:
        """Waits for an event that the driver sets."""
        if self._driver == get_ident():
            self.check_waitable(backend)
            return await event.wait(deadline)
        if not backend.cooperative:
            return await event.wait(deadline)
        with backend.waiting_for_thread():
            return await event.wait(deadline)

    # ---- The driver ------------------------------------------------------------

    async def drive(self, backend: Backend) -> None:
        self._driver = get_ident()
        self._greenlet = backend.current and backend.current()
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
            self._greenlet = None

    def _step(self, ready: list[tuple[int, int]]) -> None:
        step, do = self.native.step, self._do
        if self._to_check:
            self._check()
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

    def _next_time(self) -> float | None:
        time: float | None = self.native.next_time()
        if not self._to_check:
            return time
        times: list[float] = [seat.check_at for seat in self._to_check]
        return min(times if time is None else [time, *times])

    def _abandon(self) -> None:
        """The driver ends before its policy, with its loop."""
        if self.is_over:
            return
        self.native.stop(0)
        while not self.is_over:
            self._step([])
            for seat in list(self._seats.values()):
                seat.send(SIGKILL)
                seat.process.join()
                self._process_ended(seat)

    # ---- Processes ---------------------------------------------------------------

    def _start_unless_exiting(self, action: Action) -> None:
        if _is_exiting:
            self._start_failed(action[1], GIPCError("the program ends"))
        else:
            self._start(action)

    def _start_failed(self, worker: int, error: Exception) -> None:
        self._start_error = error
        number = getattr(error, "errno", None) or errno.EIO
        self.native.start_failed(worker, -number)

    def _watch_process(self, seat: Seat) -> None:
        if seat.sentinel is None:
            self._check_after(seat, _POLLED_EVERY)
        else:
            self._watch(seat.sentinel, self._process_ended, seat)
        if seat.process.stderr is not None:
            seat.stderr = seat.process.stderr.fileno()
            os.set_blocking(seat.stderr, False)
            self._watch(seat.stderr, self._read_stderr, seat)

    def _watch(self, fd: int, call: Callable[[Any], None], seat: Seat) -> None:
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
        seat = self._seats.get(action[1])
        if seat is not None and seat.dump_signal:
            seat.send(seat.dump_signal)

    def _stopped(self, action: Action) -> None:
        self._poll.close()
        # A thread that forks meanwhile must not close these numbers again; one that
        # sees that it is over must find no descriptor of it.
        fds, self._wake = self._wake, ()
        for fd in fds:
            os.close(fd)
        self.is_over = True
        self._set_events()

    def _set_events(self) -> None:
        while self._events:
            self._events.pop().set()

    def _ready_fd(self, action: Action) -> None:
        found = self._by_fd.get(action[1])
        if found is not None:
            call, seat = found
            call(seat)

    def _check_after(self, seat: Seat, seconds: float) -> None:
        seat.check_at = monotonic() + seconds
        self._to_check.add(seat)

    def _check(self) -> None:
        now = monotonic()
        for seat in [s for s in self._to_check if s.check_at <= now]:
            if seat.sentinel is None:
                self._check_after(seat, _POLLED_EVERY)
                self._process_ended(seat)
            else:
                self._to_check.discard(seat)
                self._check_seat(seat)

    def _read_stderr(self, seat: Seat) -> None:
        if not seat.read_stderr():
            self._unwatch(seat.stderr)

    def _process_ended(self, seat: Seat) -> None:
        process = seat.process
        process.join(0)
        popen = process._get_popen()
        if popen.poll() is None:
            return
        try:
            info = _native.process_info(popen._p)
        except (GIPCStatusLost, OSError):
            info = None
        del self._seats[seat.worker]
        self._to_check.discard(seat)
        self._unwatch(seat.sentinel)
        if seat.stderr is not None:
            if seat.stderr in self._by_fd:
                seat.read_stderr()
            self._unwatch(seat.stderr)
        self._ended(seat, info)
        self.native.ended(seat.worker, info)
        process._close_streams()
        # Not process.close(): at the exit of the program multiprocessing may be
        # about to join it in another thread.
        popen.close()

    def wake_fds(self) -> tuple[int, ...]:
        """Those that forget_in_child() closes."""
        return self._wake

    def forget_in_child(self) -> None:
        self._poll.forget()
        for fd in self._wake:
            os.close(fd)


def _forget_in_child() -> None:
    for driver in list(_drivers):
        if not driver.is_over:
            driver.forget_in_child()
            driver.is_over = True
    _drivers.clear()


def _exit() -> None:
    """Before multiprocessing terminates its children and then joins them: one
    that took the place of another in between would be joined forever."""
    global _is_exiting
    _is_exiting = True


atexit.register(_exit)
os.register_at_fork(after_in_child=_forget_in_child)
