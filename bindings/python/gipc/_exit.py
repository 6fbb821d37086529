"""The exit of the process: multiprocessing joins the children that are not
daemons.  Before that, the children that wait for the end of a stream get it."""

from __future__ import annotations

import multiprocessing
from multiprocessing import util
from typing import Any

from ._handle import close_all

_util: Any = util


def _close_handles() -> None:
    if any(not child.daemon for child in multiprocessing.active_children()):
        close_all()


def _register() -> Any:
    # Runs after the finalizers of the program that have a priority, and before
    # the join.
    return _util.Finalize(None, _close_handles, exitpriority=0)


_finalizer = _register()


def prepare() -> None:
    """Called before this process starts a child.  If it is a child itself, it
    has started without finalizers."""
    global _finalizer
    if not _finalizer.still_active():
        _finalizer = _register()
