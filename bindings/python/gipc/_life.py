"""The life of a forked child, as that of any child of multiprocessing.

A child copies each page of memory that it writes to, and Python writes to each
object that it uses.  BaseProcess._bootstrap() of multiprocessing uses so many
that it doubles the time of a start; the functions here do the same, and omit
what has no effect in most children.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import traceback
from itertools import count
from multiprocessing import process as _process
from multiprocessing import util as _util
from typing import Any

_base: Any = _process
util: Any = _util
_threading: Any = threading
# Of multiprocessing, unless a tool had replaced it before, or this version of
# Python lacks what run() uses.
_bootstrap = _base.BaseProcess._bootstrap
if _bootstrap.__module__ != _base.__name__ or not all(
    hasattr(module, name)
    for module, names in (
        (_base, "_process_counter _children _ParentProcess _parent_process"),
        (_threading, "_active _threading_atexits _shutdown"),
        (_threading, "_HAVE_THREAD_NATIVE_ID"),
        (util, "_finalizer_registry _afterfork_registry _run_after_forkers"),
        (util, "_exit_function _flush_std_streams _logger"),
    )
    for name in names.split()
):
    _bootstrap = None


class _NullInput(io.RawIOBase):
    """The file of a stdin that is at its end, as /dev/null, which it opens when
    it is asked for its descriptor."""

    mode = "rb"
    _fd: int | None = None

    def fileno(self) -> int:
        if self._fd is None:
            self._fd = os.open(os.devnull, os.O_RDONLY)
        return self._fd

    name = property(fileno)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        return 0


def _new_stdin() -> Any:
    file: Any = io.TextIOWrapper(io.BufferedReader(_NullInput()), "utf-8")
    file.mode = "r"
    return file


# For the stdin of a child, made in its parent: to make it in the child copies
# 140 pages.
_stdin = _new_stdin()


def run(process: Any, parent_sentinel: int | None) -> int:
    """Runs a process object of multiprocessing, and returns its exit code."""
    if type(process)._bootstrap is not _bootstrap:
        # A tool such as coverage has replaced it.
        code: int = process._bootstrap(parent_sentinel=parent_sentinel)
        return code
    _begin(process, parent_sentinel)
    code = _run(process)
    if len(_threading._active) > 1 or _threading._threading_atexits:
        _threading._shutdown()
    if util._logger is not None:
        util.info("process exiting with exitcode %d" % code)
    util._flush_std_streams()
    return code


def _begin(process: Any, parent_sentinel: int | None) -> None:
    _base._process_counter = count(1)
    _base._children = set()
    if sys.stdin is not None:
        _replace_stdin()
    _base._current_process = process
    _base._parent_process = _base._ParentProcess(
        process._parent_name, process._parent_pid, parent_sentinel
    )
    if _threading._HAVE_THREAD_NATIVE_ID:
        _threading.main_thread()._set_native_id()
    util._finalizer_registry.clear()
    if util._afterfork_registry.data:
        util._run_after_forkers()


def _replace_stdin() -> None:
    global _stdin
    if sys.stdin is _stdin:  # of a parent that is such a child itself
        _stdin = _new_stdin()
    try:
        # Nobody can read from the file any more; to close all of its layers
        # copies 40 pages.
        getattr(sys.stdin.buffer, "raw", sys.stdin).close()
    except (AttributeError, OSError, ValueError):
        pass
    sys.stdin = _stdin


def _run(process: Any) -> int:
    if util._logger is not None:
        util.info("child process calling self.run()")
    try:
        try:
            process.run()
        finally:
            if util._finalizer_registry or _base._children:
                util._exit_function()
        return 0
    except SystemExit as error:
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code
        sys.stderr.write(str(error.code) + "\n")
    except BaseException:
        sys.stderr.write("Process %s:\n" % process.name)
        traceback.print_exc()
    return 1
