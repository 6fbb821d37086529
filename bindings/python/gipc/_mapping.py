"""The results of map(): tasks are submitted as the results are taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from ._backend import Backend, Event
from ._crew import Crew
from ._outcome import Call


class Submits(Protocol):
    """What it uses of a pool."""

    _crew: Crew

    async def _submit(
        self, backend: Backend, data: bytes, user: Any, options: tuple[Any, ...]
    ) -> int: ...

    def _result_of(self, action: Any) -> Any: ...


class _Once:
    """An event for any of several tasks."""

    def __init__(self, event: Event):
        self._event: Event | None = event

    def set(self) -> None:
        event, self._event = self._event, None
        if event is not None:
            event.set()


class Mapping:
    """The results of tasks that are submitted as the results are taken: there
    are at most so many of them at a time."""

    def __init__(
        self,
        pool: Submits,
        tasks: Iterator[bytes],
        options: tuple[Any, ...],
        window: int,
        ordered: bool,
        progress: Any,
        has_chunks: bool,
    ):
        """has_chunks: the result of a task is a list of results."""
        self._pool, self._tasks, self._options = pool, tasks, options
        self._window = window
        self._has_chunks = has_chunks
        self._chunk: list[Any] = []  # from the last to the first
        self._ordered = ordered
        self._bar = progress
        self._calls: deque[Call] = deque()
        self._next: bytes | None = None
        self._begun = False

    def __del__(self) -> None:
        self.close()  # it was not iterated to its end

    async def next(self, backend: Backend) -> tuple[Any, ...]:
        """The next result in a tuple; () at the end."""
        if self._chunk:
            return self._counted(self._chunk.pop())
        try:
            await self._fill(backend)
            if not self._calls:
                self.close()
                return ()
            call = await self._ended(backend)
            result = self._pool._result_of(call.action)
        except BaseException:
            self.close()
            raise
        if self._has_chunks:
            self._chunk = result[::-1]
            result = self._chunk.pop()
        return self._counted(result)

    def _counted(self, result: Any) -> tuple[Any]:
        if self._bar is not None:
            self._bar.update(1)
        return (result,)

    async def _fill(self, backend: Backend) -> None:
        pool, crew = self._pool, self._pool._crew
        if not self._begun:
            self._begun = True
            self._next = next(self._tasks, None)
        while self._next is not None and len(self._calls) < self._window:
            call = Call()
            if self._calls:
                # With some to wait for, a full queue is not waited for.
                call.number = crew.submit(self._next, call, self._options)
                if call.number == 0:
                    return
            else:
                call.number = await pool._submit(
                    backend, self._next, call, self._options
                )
            self._calls.append(call)
            self._next = next(self._tasks, None)

    async def _ended(self, backend: Backend) -> Call:
        """Removes one that has ended."""
        if self._ordered:
            first = self._calls[0]
            await first.wait(self._pool._crew, backend)
            if self._calls:  # else it was closed meanwhile
                self._calls.popleft()
            return first
        calls = list(self._calls)
        event = backend.new_event()
        once = _Once(event)
        for call in calls:
            call.event = once
        if all(call.action is None for call in calls):
            await self._pool._crew.wait(event, backend, None)
        ended = next(call for call in calls if call.action is not None)
        if self._calls:
            self._calls.remove(ended)
        return ended

    def close(self) -> None:
        self._next = None
        self._chunk = []
        while self._calls:
            call = self._calls.pop()
            if call.action is None:
                self._pool._crew.native.cancel(call.number)
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _RichBar:
    """A task of a rich.progress.Progress, which stays the caller's."""

    def __init__(self, progress: Any, total: int | None):
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def update(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def close(self) -> None:
        self._progress.stop_task(self._task)


def bar_of(progress: Any, items: object) -> Any:
    """The progress bar of map(): made by tqdm, or by a function with its
    arguments."""
    if not progress:
        return None
    if not isinstance(progress, type):
        if hasattr(progress, "add_task"):
            return _RichBar(progress, _length(items))
        if hasattr(progress, "update"):
            return progress
    if progress is True:
        try:
            from tqdm.auto import tqdm as progress  # type: ignore
        except ImportError:
            from .errors import GIPCError

            raise GIPCError(
                "progress=True needs the package tqdm: pip install tqdm"
            ) from None
    if not callable(progress):
        raise TypeError("expected True, a bar, or a function, not %r" % progress)
    return progress(total=_length(items))


def _length(items: Any) -> int | None:
    return len(items) if hasattr(items, "__len__") else None
