"""Waiting for several handles and processes at once."""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Any, Union

from . import _native
from ._any_process import AnyProcess
from ._backend import Backend, run
from ._blocking import current_backend
from ._deadline import deadline_of, monotonic
from ._native import READ, WRITE
from ._pair import AnyDuplex
from ._reading import Reading
from ._threads import new_poll
from ._types import Deadline, Member
from ._values import naming, sequence
from ._writing import Writing

# Seconds between two polls of a process without a descriptor.
_PAUSE = 0.02

Part = Union[Reading, Writing, AnyProcess]


def wait(
    objects: Iterable[Member], timeout: float | None = None
) -> list[Member]:
    """Waits until at least one of several handles and processes is ready.

    :arg objects: a list.  A reader or a duplex handle is ready if it holds a
        whole message, if its descriptor is readable (perhaps for a part of a
        message: then a get waits for the remaining part), and at the end of its
        stream; a writer if its descriptor is writable; a process if it has
        ended.  The objects must stay open during the call.
    :arg timeout: seconds; ``None`` (the default) or a negative number waits
        indefinitely.

    :returns: the objects that are ready, in their order; ``[]`` if the timeout
        expires, and if there are no objects.

    Raises :exc:`TypeError` for another object, :exc:`GIPCClosed`, and
    :exc:`GIPCError` (of another process).

    >>> with pipe() as (reader, writer):
    ...     p = exec_process(["sleep", "60"])
    ...     writer.put("hello")
    ...     wait([reader, p], timeout=5) == [reader]
    ...     p.kill()
    ...     reader.get()
    ...     wait([reader, p]) == [p]
    True
    'hello'
    True
    """
    deadline = deadline_of(timeout)
    members = Members(objects)
    ready: list[Member] = run(members.wait, current_backend(), deadline)
    return ready


class Members:
    def __init__(self, objects: Any):
        with naming("objects"):
            self._objects = list(sequence(objects))
            self._parts = [_part(o) for o in self._objects]
        self._fds: list[tuple[int, int]] = []
        # Whether a process without a descriptor is among them.
        self._polls = False
        for part in self._parts:
            fd = _descriptor(part)
            if fd is None:
                self._polls = True
            else:
                self._fds.append((fd, _direction(part)))

    async def wait(self, backend: Backend, deadline: Deadline) -> list[Any]:
        while True:
            ready = self._ready()
            if ready or not self._objects:
                return ready
            if deadline is not None and monotonic() >= deadline:
                return []
            await backend.wait_any(self._fds, self._next_poll(deadline))

    def _ready(self) -> list[Any]:
        found = dict(new_poll(self._fds).poll(0))
        return [
            o
            for o, part in zip(self._objects, self._parts)
            if _is_ready(part, found)
        ]

    def _next_poll(self, deadline: Deadline) -> Deadline:
        if not self._polls:
            return deadline
        soon = monotonic() + _PAUSE
        return soon if deadline is None else min(soon, deadline)


def _part(o: Any) -> Part:
    """A reader, a writer, or a process."""
    o = getattr(o, "_process", o)  # of gipc.aio
    if isinstance(o, AnyDuplex):
        o = o._reader
    if isinstance(o, (Reading, Writing)):
        o._validate()
        return o
    if isinstance(o, AnyProcess):
        o._get_popen()
        return o
    raise TypeError("%r is neither a handle nor a process" % (o,))


def _descriptor(part: Part) -> int | None:
    if isinstance(part, AnyProcess):
        return part._get_popen().sentinel
    return part.fd(part._direction)


def _direction(part: Part) -> int:
    return READ if isinstance(part, AnyProcess) else part._direction


def _is_ready(part: Part, found: dict[int, int]) -> bool:
    if isinstance(part, AnyProcess):
        return part._get_popen().poll() is not None
    part._validate()
    events = found.get(part.fd(part._direction), 0)
    wanted = select.POLLOUT if part._direction == WRITE else select.POLLIN
    if events & (wanted | select.POLLERR | select.POLLHUP):
        return True
    return isinstance(part, Reading) and _has_bytes(part)


def _has_bytes(reader: Reading) -> bool:
    # A get waits for the descriptor: nothing must be received before it looks.
    if reader._lock.locked:
        return False
    return _native.get_would_not_wait(reader._h) != 0
