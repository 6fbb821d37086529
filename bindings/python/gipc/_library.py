"""The library as a whole."""

from . import _native
from ._wait import deadline_of


def version_of_library():
    number = _native.version()
    return "%d.%d.%d" % (number >> 16, number >> 8 & 255, number & 255)


_FEATURES = {
    name[len("FEATURE_") :].lower(): getattr(_native, name)
    for name in dir(_native)
    if name.startswith("FEATURE_")
}


def features():
    """What newer kernels have, and works here, as a frozenset of names.

    ``'pidfd'``: a process has a descriptor; ``'kept_status'``: no exit status is
    lost to another reaper; ``'shared_start'``: a program's start copies no
    memory; ``'close_range'``, ``'wipe_on_fork'``, ``'pipe_read'``,
    ``'pipe_write'``: see gipc_features(3).

    The first call starts and reaps a child.

    Raises :exc:`OSError` when the system has no more descriptors.

    >>> isinstance("pidfd" in features(), bool)
    True
    """
    mask = _native.features()
    return frozenset(name for name, bit in _FEATURES.items() if mask & bit)


def set_exit_timeout(seconds):
    """Sets how long a child that runs a function waits at its end for peers to
    take what it has put.

    :arg seconds: without progress until it gives up, and loses the rest; the
        default is 60.  ``None``, or a negative number: never; 0: at once.

    It holds for this process, where this is such a child, and for those that
    it starts by fork from then on.

    >>> set_exit_timeout(60)
    """
    never = deadline_of(seconds) is None
    _native.set_exit_timeout(-1.0 if never else float(seconds))
