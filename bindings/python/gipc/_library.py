"""Functions of the library as a whole."""

from __future__ import annotations

from . import _native
from ._deadline import deadline_of


def version_of_library() -> str:
    number = _native.version()
    return "%d.%d.%d" % (number >> 16, number >> 8 & 255, number & 255)


_FEATURES = {
    name[len("FEATURE_") :].lower(): getattr(_native, name)
    for name in dir(_native)
    if name.startswith("FEATURE_")
}


def features() -> frozenset[str]:
    """Returns the features of newer kernels that work on this system, as a
    frozenset of names.

    ``'pidfd'``: a process has a descriptor; ``'kept_status'``: the kernel keeps
    an exit status that another reaper collected; ``'shared_start'``: the start
    of a program copies no memory; ``'close_range'``, ``'wipe_on_fork'``, ``'pipe_read'``,
    ``'pipe_write'``: see gipc_features(3).

    The first call starts and reaps a child.

    Raises :exc:`OSError` if the system has no more descriptors.

    >>> isinstance("pidfd" in features(), bool)
    True
    """
    mask = _native.features()
    return frozenset(name for name, bit in _FEATURES.items() if mask & bit)


def set_exit_timeout(seconds: float | None) -> None:
    """Sets how long a child that runs a function waits at its exit until peers
    have read what it has put.

    :arg seconds: without progress, after which the remaining bytes are dropped;
        the default is 60.  ``None`` or a negative number: the child waits
        indefinitely; 0: it does not wait.

    Applies to this process, if it is such a child, and to the children that it
    forks later.

    >>> set_exit_timeout(60)
    """
    if seconds is None or deadline_of(seconds) is None:
        seconds = -1.0
    _native.set_exit_timeout(float(seconds))
