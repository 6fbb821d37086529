"""How a call waits: the interface of the backends, and what runs on them.

An operation has one body, a coroutine, which awaits its backend.  Tasks of
asyncio and trio await the body.  run() runs it where waiting blocks: in a thread
or, under gevent, in a greenlet; there the methods of the backend return without
having suspended the coroutine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import starmap
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Protocol, TypeVar

from ._native import DONE, READ, WAIT, YIELD, take_after
from ._types import Deadline
from .errors import GIPCLocked, timed_out

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Arguments = TypeVarTuple("Arguments")

Result = TypeVar("Result")

_start = methodcaller("send", None)


def run(
    body: Callable[[Unpack[Arguments]], Coroutine[Any, Any, Result]],
    *arguments: Unpack[Arguments],
) -> Result:
    """Runs a body on a backend that blocks, and returns its result."""
    results: list[Result] = []
    # C code creates and starts the coroutine: the exception of a signal handler
    # cannot come between the two, which would leave one that never ran.
    for _ in map(_start, starmap(_append, ((results, body, arguments),))):
        raise RuntimeError("the backend does not block")
    return results[0]


async def _append(
    results: list[Result],
    body: Callable[..., Coroutine[Any, Any, Result]],
    arguments: Iterable[Any],
) -> None:
    results.append(await body(*arguments))


class Event(Protocol):
    """One caller waits until another one sets it."""

    def wait(self, deadline: Deadline, /) -> Awaitable[bool]:
        """False when the deadline has passed."""
        ...

    @property
    def set(self) -> Callable[[], object]:
        """Returns False if nobody can wait any more, as the loop is closed."""
        ...


class Closable(Protocol):
    @property
    def close(self) -> Callable[[], object]: ...


class BackgroundFlush(Protocol):
    """Writes the remaining bytes of a handle in the background."""

    @property
    def close(self) -> Callable[[], object]: ...


class Waiting(Protocol):
    """What a backend uses of a handle."""

    # None once it is closed.
    _h: Any
    # A loop, and what it watches the descriptor with.
    _watcher: tuple[Any, Closable] | None
    _background_flush: BackgroundFlush | None

    def fd(self, direction: int, /) -> int: ...

    def _stop_watcher(self) -> None: ...

    def _stop_background_flush(self) -> None: ...

    def _flush_quietly(self) -> bool: ...

    def _on_background_flush_done(self) -> None: ...


class Backend(ABC):
    """A way to wait: for descriptors, for the lock of a handle, for a time.

    A wait returns False when its deadline has passed.
    """

    #: Whether other greenlets or tasks of the thread run while one waits.
    cooperative: ClassVar[bool] = True
    #: The exceptions by which tasks are cancelled, if they can have attributes.
    cancelled: ClassVar[tuple[type[BaseException], ...]] = ()
    #: Returns the greenlet or task; None: the thread says enough.
    current: Callable[[], object] | None = None

    async def receive(
        self, outcome: int, handle: Waiting, deadline: Deadline
    ) -> Any:
        """The next message; LENT if it is large; WAIT when the deadline has
        passed.  outcome: that of the native take before it."""
        data: Any = outcome
        while True:
            data = take_after(data, handle._h)
            if data.__class__ is not int:
                return data
            if data == WAIT:
                if not await self.wait_ready(handle, READ, deadline):
                    return WAIT
                data = DONE
            elif data == YIELD:
                await self.yield_()
            else:
                return data

    @abstractmethod
    def wait_ready(
        self, handle: Waiting, direction: int, deadline: Deadline
    ) -> Awaitable[bool]:
        """Waits for a handle; the caller has the lock of its direction."""

    @abstractmethod
    def wait_either(
        self, handle: Waiting, deadline: Deadline
    ) -> Awaitable[bool]:
        """Waits until a duplex handle is readable or writable; the caller has
        the lock to write."""

    @abstractmethod
    def wait_any(
        self, fds: Iterable[tuple[int, int]], deadline: Deadline
    ) -> Awaitable[bool]:
        """Waits until one of (descriptor, direction) is ready.  Any number of
        callers may wait for each."""

    @abstractmethod
    def wait_fd(
        self, fd: int, direction: int, deadline: Deadline
    ) -> Awaitable[bool]:
        """Waits for a descriptor.  Any number of callers may wait for it."""

    @abstractmethod
    def flush_in_background(self, handle: Waiting) -> None:
        """Has the remaining bytes of a handle written while others run."""

    @abstractmethod
    def sleep(self, seconds: float) -> Awaitable[None]: ...

    @abstractmethod
    def yield_(self) -> Awaitable[None]:
        """Lets the other greenlets or tasks run."""

    @abstractmethod
    def new_event(self) -> Event: ...

    def waiting_for_thread(self) -> AbstractContextManager[object]:
        """A block that waits for an event of another thread, which a loop may
        have to be told."""
        return nullcontext()

    @abstractmethod
    def start_driver(
        self, body: Callable[[Backend], Coroutine[Any, Any, None]]
    ) -> None:
        """Runs a body beside its caller: in a thread, greenlet or task."""


class BlockingBackend(Backend):
    """A backend of threads or greenlets."""

    @abstractmethod
    def receive_now(
        self, outcome: int, handle: Waiting, deadline: Deadline
    ) -> Any:
        """As receive(), without a coroutine."""

    async def receive(
        self, outcome: int, handle: Waiting, deadline: Deadline
    ) -> Any:
        return self.receive_now(outcome, handle, deadline)


class TaskBackend(Backend):
    """A backend of coroutines that are tasks."""

    @abstractmethod
    def call(
        self,
        body: Callable[[Unpack[Arguments]], Coroutine[Any, Any, Result]],
        *arguments: Unpack[Arguments],
    ) -> Coroutine[Any, Any, Result]:
        """Runs a body as the library asks of a function that may wait."""

    @abstractmethod
    async def shielded(self, body: Callable[[], Awaitable[object]]) -> None:
        """Runs a body also in a task that is cancelled."""

    @abstractmethod
    async def open_reader(self, file: Any) -> tuple[Any, Callable[[], object]]:
        """A stream of a file, and what closes the stream."""

    @abstractmethod
    async def open_writer(self, file: Any) -> tuple[Any, Callable[[], object]]:
        """A stream of a file, and what closes the stream."""

    @abstractmethod
    def runner(self) -> Callable[[Coroutine[Any, Any, object]], object]:
        """Runs a coroutine in a child, with what runs this task."""


async def wait_for_lock(
    handle: object,
    event: Event | bool,
    deadline: Deadline,
    withdrawn: bool | None = None,
) -> None:
    """Waits for the lock of a handle.  event: what Locked returned; withdrawn:
    what an error says of the put."""
    try:
        if isinstance(event, bool):
            raise GIPCLocked(
                "reentrant call: a caller of this call is using %r" % (handle,)
            )
        if not await event.wait(deadline):
            raise timed_out(
                "timed out waiting for another get or put on this handle to "
                "finish"
            )
    except BaseException as error:
        set_withdrawn(error, withdrawn)
        raise


def set_withdrawn(error: BaseException, withdrawn: bool | None) -> None:
    if withdrawn is not None:
        try:
            error.withdrawn = withdrawn  # type: ignore[attr-defined]
        except AttributeError:
            pass  # trio's Cancelled has no attributes
