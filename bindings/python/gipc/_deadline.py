"""Timeouts and deadlines.

A timeout is a number of seconds, None, or a started gevent.Timeout; a deadline
is a time of time.monotonic(), or None for no limit.
"""

from __future__ import annotations

import sys
import time
from _thread import TIMEOUT_MAX
from numbers import Real
from typing import Any

from ._types import Deadline, Timeout

monotonic = time.monotonic


def original(module: str, name: str) -> Any:
    """A function of the standard library, even if gevent.monkey has replaced
    it."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


def time_left(deadline: Deadline) -> float:
    """The seconds until a deadline; -1 for a call that waits indefinitely."""
    return -1.0 if deadline is None else max(0.0, deadline - monotonic())


# The abstract class Real is slow to ask.
_NUMBERS = frozenset((float, int))


def deadline_of(timeout: float | None) -> Deadline:
    """The deadline of a timeout in seconds.  There is none for None, and for a
    negative or infinite number, as in C."""
    if timeout is None:
        return None
    if timeout.__class__ not in _NUMBERS and not isinstance(timeout, Real):
        raise TypeError(
            "the timeout must be None or a number of seconds, not %r"
            % (timeout,)
        )
    if timeout != timeout:
        raise ValueError("the timeout is not a number")
    # A lock cannot wait for longer than TIMEOUT_MAX, which is centuries.
    if timeout < 0 or timeout > TIMEOUT_MAX:
        return None
    return monotonic() + timeout


def _is_of_gevent(timeout: object) -> bool:
    return (
        timeout.__class__ not in _NUMBERS
        and hasattr(timeout, "start")
        and hasattr(timeout, "cancel")
    )


def check_timeout(timeout: Any) -> None:
    """Raises what limit() would, before a message is got or put."""
    if not _is_of_gevent(timeout):
        deadline_of(timeout)


class limit:
    """A block with a timeout; returns its deadline.  A gevent.Timeout, which
    its owner has started, interrupts the block by itself, and is cancelled at
    the end of the block, as upstream gipc does."""

    __slots__ = ("_timeout",)

    def __init__(self, timeout: Timeout):
        self._timeout: Any = timeout

    def __enter__(self) -> Deadline:
        timeout = self._timeout
        if _is_of_gevent(timeout):
            return None
        self._timeout = None
        return deadline_of(timeout)

    def __exit__(self, *exception: object) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
