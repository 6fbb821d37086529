"""Handles that pass into a child: which, whether they can, and the change of
their owner."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any

from . import _native
from ._handle import _GIPCHandle
from ._pair import AnyDuplex
from .errors import GIPCLocked


def handles_among(objects: object) -> list[_GIPCHandle]:
    """The handles among objects, each once: those in lists, dataclasses and
    other objects that only hold them, and in a partial or a method of a handle.
    Any other object stays in use in this process, with the handles in it."""
    found: list[_GIPCHandle] = []
    seen: set[int] = set()
    stack = [objects]
    while stack:
        o = stack.pop()
        if type(o) in _PLAIN or id(o) in seen:
            continue
        seen.add(id(o))
        if isinstance(o, _GIPCHandle):
            found.append(o)
        else:
            stack.extend(_held_by(o))
    return found


# The types of which there may be millions, and that of most targets.
_PLAIN = frozenset((int, float, str, bytes, bool, type(None), FunctionType))


def _held_by(o: Any) -> Iterable[object]:
    if isinstance(o, AnyDuplex):
        return o._reader, o._writer
    if isinstance(o, (list, tuple, set, frozenset, deque)):
        return o
    if isinstance(o, dict):
        return o.values()
    if isinstance(o, partial):
        return o.func, o.args, o.keywords
    if isinstance(o, MethodType):
        handles = _GIPCHandle, AnyDuplex
        return (o.__self__,) if isinstance(o.__self__, handles) else ()
    if isinstance(o, SimpleNamespace):
        return vars(o).values()
    fields = getattr(type(o), "__dataclass_fields__", ())
    return [getattr(o, name, None) for name in fields]


def check_passable(handles: Iterable[_GIPCHandle]) -> None:
    for handle in handles:
        handle._validate()
        if handle._lock.locked:
            raise GIPCLocked(
                "%r is in use, it cannot be passed to a child." % handle
            )


def natives_of(handles: Iterable[_GIPCHandle]) -> list[_native.Handle]:
    """The native handles, each once: both directions of a duplex handle have
    the same one."""
    natives: list[_native.Handle] = []
    for handle in handles:
        if not any(handle._h is native for native in natives):
            natives.append(handle._h)
    return natives


class passing:
    """A block that passes the handles to a child, or fails."""

    def __init__(self, handles: Iterable[_GIPCHandle]):
        self._handles = handles

    def __enter__(self) -> None:
        # A loop must remove a descriptor before it is closed in this process:
        # the child keeps the file open, and epoll would report it indefinitely.
        self._flushed = [
            handle
            for handle in self._handles
            if handle._background_flush is not None
        ]
        for handle in self._flushed:
            handle._stop_background_flush()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            for handle in self._handles:
                handle._disown()
            return
        for handle in self._flushed:
            handle._current_backend().flush_in_background(handle)
