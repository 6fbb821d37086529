"""Signs of life of a child process, for a pool or for a supervisor."""

from __future__ import annotations

import os
from typing import Any

from . import _native

# The handle of this worker of a pool, and its process.
worker: tuple[Any, int] | None = None


def ready() -> bool:
    """Tells the keeper, or another supervisor that speaks sd_notify(3), such as
    systemd, that this process is ready.

    :returns: False if nobody wants to know: the variable NOTIFY_SOCKET is not
        set.

    Raises :exc:`OSError` if the supervisor cannot be reached.

    >>> ready()
    False
    """
    try:
        _native.report_ready()
    except FileNotFoundError:
        return False
    return True


def alive() -> bool:
    """Shows a sign of life: in a task of a pool, or in a service of a keeper or
    of another supervisor, whose rules have ``silence``.

    :returns: False if nobody wants to know: this process is neither.

    Raises :exc:`OSError` if the supervisor cannot be reached.

    >>> alive()
    False
    """
    if worker is not None and worker[1] == os.getpid():
        try:
            worker[0].put(_native.worker_alive())
        except BrokenPipeError:
            pass  # the pool has ended; so does its worker, after this task
        return True
    try:
        _native.report_alive()
    except FileNotFoundError:
        return False
    return True
