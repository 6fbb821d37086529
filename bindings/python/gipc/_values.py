"""Checks and conversions of the arguments of users."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable
from operator import index
from typing import Any, Callable


def integer(value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError("expected an integer, not %r" % (value,))
    return index(value)


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("expected True or False, not %r" % (value,))
    return value


def descriptor(value: Any) -> int:
    """The number of a descriptor, or of an object with fileno."""
    fd: int = value.fileno() if hasattr(value, "fileno") else integer(value)
    if not 0 <= fd < 2**31:
        raise ValueError("%r is not a valid descriptor" % (value,))
    return fd


def path(value: Any) -> str | bytes:
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError("expected a string or a path, not %r" % (value,))
    return os.fspath(value)


def mapping(value: Any) -> Iterable[tuple[Any, Any]]:
    if not hasattr(value, "items"):
        raise TypeError("expected a dictionary, not %r" % (value,))
    items: Iterable[tuple[Any, Any]] = value.items()
    return items


def sequence(value: Any) -> Iterable[Any]:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise TypeError("expected a list, not %r" % (value,))
    items: Iterable[Any] = value
    return items


def signal_number(value: Any) -> int:
    """The number of a signal: given as a number, as a signal.Signals, or by
    name, such as "TERM" or "SIGTERM"."""
    if not isinstance(value, str):
        number = integer(value)
        if not 0 <= number < signal.NSIG:
            raise ValueError("%r is not a valid signal" % (value,))
        return number
    name = value if value.startswith("SIG") else "SIG" + value
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise ValueError("%r is not a valid signal" % value) from None


class naming:
    """A block whose errors name the argument."""

    __slots__ = ("_what",)

    def __init__(self, what: str):
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, (TypeError, ValueError, OverflowError)):
            # A subclass may need more arguments than a text.
            of_type = isinstance(error, TypeError)
            raise (TypeError if of_type else ValueError)(
                "%s: %s" % (self._what, error)
            ) from None


def call_setter(
    setter: Callable[..., object], target: object, *values: Any
) -> None:
    """Calls a setter of the library."""
    try:
        setter(target, *values)
    except (OSError, OverflowError) as error:
        # The OverflowError of SWIG names a C function.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        shown = ", ".join(map(repr, values))
        raise ValueError("%s is not valid" % shown) from None
