"""Waiting for several handles and processes at once."""

import select

from . import _native
from ._any_process import AnyProcess
from ._handle import Reading, Writing
from ._native import READ, WRITE
from ._options import naming, sequence
from ._pipe import _GIPCDuplexHandle
from ._wait import (
    _original,
    current,
    deadline_of,
    monotonic,
    poll_events,
)
from .errors import GIPCError, GIPCLocked

# Seconds between two looks at a process that has no descriptor.
_PAUSE = 0.02


def wait(objects, timeout=None):
    """Waits until at least one of several handles and processes is ready.

    :arg objects: a list.  A reader or a duplex handle is ready when it holds a
        whole message, when its descriptor is readable (perhaps for a part of a
        message: then a get waits for the rest), and at the end of its stream;
        a writer when its descriptor is writable; a process when it has ended.
        They must stay open meanwhile.
    :arg timeout: ``None``, or a negative number, to wait indefinitely; or
        seconds.

    :returns: those that are ready, in their order; ``[]`` when the time is over,
        and when there are no objects.

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
    while True:
        ready = members.ready()
        if ready or members.are_over(deadline):
            return ready
        current().any(members.descriptors, members.next_look(deadline))


class Members:
    def __init__(self, objects):
        with naming("objects"):
            self._objects = list(sequence(objects))
            self._parts = [_part(o) for o in self._objects]
        self.descriptors = []
        self._looks = False  # whether some has no descriptor
        for part in self._parts:
            fd = _descriptor(part)
            if fd is None:
                self._looks = True
            else:
                self.descriptors.append((fd, _direction(part)))

    def ready(self):
        poll = _original("select", "poll")()
        for fd, events in poll_events(self.descriptors):
            poll.register(fd, events)
        found = dict(poll.poll(0))
        return [
            o
            for o, part in zip(self._objects, self._parts)
            if _is_ready(part, found)
        ]

    def are_over(self, deadline):
        return not self._objects or (
            deadline is not None and monotonic() >= deadline
        )

    def next_look(self, deadline):
        if not self._looks:
            return deadline
        soon = monotonic() + _PAUSE
        return soon if deadline is None else min(soon, deadline)


def _part(o):
    """A reader, a writer, or a process."""
    o = getattr(o, "_process", o)  # of gipc.aio
    if isinstance(o, _GIPCDuplexHandle):
        o = o._reader
    if isinstance(o, (Reading, Writing)):
        o._validate()
    elif isinstance(o, AnyProcess):
        o._get_end()
    else:
        raise TypeError("%r is neither a handle nor a process" % (o,))
    return o


def _descriptor(part):
    if isinstance(part, AnyProcess):
        return part._get_end().sentinel
    return part.fd(part._direction)


def _direction(part):
    return READ if isinstance(part, AnyProcess) else part._direction


def _is_ready(part, found):
    if isinstance(part, AnyProcess):
        return part._get_end().poll() is not None
    part._validate()
    events = found.get(part.fd(part._direction), 0)
    wanted = select.POLLOUT if part._direction == WRITE else select.POLLIN
    if events & (wanted | select.POLLERR | select.POLLHUP):
        return True
    return part._direction == READ and _holds_message(part)


def _holds_message(reader):
    # Whoever is getting waits for the descriptor, and nothing must be received
    # behind its back.
    if reader._turn.taken:
        return False
    try:
        size = _native.next_size(reader._h)
    except GIPCLocked:
        return False
    except (GIPCError, EOFError, OSError):
        return True  # which the next get tells
    if size is None:
        return False
    header = 4 if size < 2**31 else 12
    return _native.pending(reader._h, READ) >= header + size
