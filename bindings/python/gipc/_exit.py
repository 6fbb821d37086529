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


def _register(_: object = None) -> None:
    # Runs after the finalizers of the program that have a priority, and before
    # the join.
    _util.Finalize(None, _close_handles, exitpriority=0)


_register()
# A child starts without finalizers.
_util.register_after_fork(_close_handles, _register)
