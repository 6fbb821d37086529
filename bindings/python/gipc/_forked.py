"""Children that are a fork of this process."""

from __future__ import annotations

import traceback
from multiprocessing import util
from typing import Any, NoReturn

from . import _child, _life, _native
from ._blocking import current_backend
from ._handle import _GIPCHandle, take_ownership
from ._options import Start
from ._passing import check_passable, handles_among, natives_of, passing
from ._popen import Popen


class Forked(Popen):
    method = "fork"

    def __init__(self, process: Any, start: Start):
        handles = handles_among(
            (process._target, process._args, process._kwargs)
        )
        check_passable(handles)
        for native in natives_of(handles):
            _native.options_pass(start.native, None, native)
        # Import once, in this process, what a child needs at its start.
        current_backend()
        _flush_streams()
        with passing(handles):
            try:
                native = _child.fork(start.native, start.kept_fds)
            except OSError as error:
                start.name_failure(error)
                raise
            if native is None:
                _run(process, start, handles)
        super().__init__(native)


def _run(process: Any, start: Start, handles: list[_GIPCHandle]) -> NoReturn:
    """The whole life of the child."""
    code = 1
    try:
        parent = process._parent_pid
        _child.check_reset()
        start.follow_environment()
        take_ownership(parent, handles)
        code = _life.run(process, _child.parent_sentinel(parent))
    except BaseException:
        traceback.print_exc()
        _flush_streams()
    finally:
        _child.end(code, process._ended)


_flush_streams: Any = getattr(util, "_flush_std_streams")
