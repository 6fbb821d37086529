"""The end of a process: multiprocessing waits for the children that are no
daemons.  Those that wait for the end of a stream get it before."""

import multiprocessing
from multiprocessing import util

from ._handle import close_all


def _close_handles():
    if any(not child.daemon for child in multiprocessing.active_children()):
        close_all()


def _register(_=None):
    # After the program's own finalizers with a priority, before the join.
    util.Finalize(None, _close_handles, exitpriority=0)


_register()
# A child begins with no finalizers.
util.register_after_fork(_close_handles, _register)
