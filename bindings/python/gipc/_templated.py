"""A child from a template, and what the template and the child do themselves."""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from io import BytesIO
from multiprocessing import process as current
from multiprocessing import spawn, util
from typing import Any, Callable, NoReturn

from . import _child, _life, _native
from ._options import Start
from ._passing import passing
from ._popen import Popen
from ._program import inherit
from ._spawn import Spawned, forget_inherited, unnamed_file
from .errors import GIPCError

# Of its internal functions, which the children of multiprocessing use, too.
_util: Any = util

# More goes through a file: the library limits what it sends at once.
_MOST_INLINE = 64 * 1024
_INLINE = b"="

# Starts a child from a template.
Fork = Callable[[bytes, _native.Options], _native.Process]


class Templated(Spawned):
    method = "template"

    def __init__(self, process: Any, start: Start, fork: Fork):
        self._options = start.native
        self._copied: dict[int, int] = {}
        self._used = {*start.given.get("map_fds", ()), *(start.kept_fds or ())}
        _util._flush_std_streams()
        with ExitStack() as open_until_the_start:
            data = BytesIO()
            handles = self._pickle(process, start.given.get("env"), data)
            argument = _INLINE + data.getvalue()
            if len(argument) > _MOST_INLINE:
                file = open_until_the_start.enter_context(unnamed_file())
                file.write(data.getvalue())
                file.seek(0)
                argument = b"%d" % self.duplicate_for_child(file.fileno())
            with passing(handles):
                try:
                    native = fork(argument, self._options)
                except OSError as error:
                    start.name_failure(error)
                    raise
        Popen.__init__(self, native)
        del self._options


# ---- In the template ---------------------------------------------------------


def main(fd: int) -> NoReturn:
    # As in a child of method 'fork': Python has set a handler.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.set_inheritable(fd, False)
    ready = inherit("gipc.ready")
    try:
        with open(fd, "rb") as file:
            _prepare(*pickle.load(file))
    except BaseException as error:
        ready.put(_for_parent(error))
        ready.close()
        sys.exit(1)
    ready.put(None)
    ready.close()
    _util._flush_std_streams()
    # A child resets itself as a child of method 'fork' does.
    left = _child.what_to_leave()
    _child._leaving[_child._thread_id()] = (*left, False)
    gc.collect()
    gc.freeze()
    _run(_native.template_serve())


def _prepare(preparation: dict[str, Any], preload: Iterable[str]) -> None:
    # The import of the main module must not make a template, which would make
    # the next one.  multiprocessing checks this attribute.
    starting: Any = current.current_process()
    starting._inheriting = True
    try:
        spawn.prepare(preparation)
    finally:
        del starting._inheriting
    for name in preload:
        importlib.import_module(name)
    _check_threads()


def _check_threads() -> None:
    """A child would have no thread but one.  Libraries such as OpenBLAS end
    theirs before a fork, and start them again when they need them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    if len(os.listdir("/proc/self/task")) > 1:
        names = [one.name for one in threading.enumerate()[1:]]
        raise GIPCError(
            "an import has started threads: %s" % (names or "not of Python")
        )


def _for_parent(error: BaseException) -> BaseException:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        lines = traceback.format_exception_only(type(error), error)
        return GIPCError("".join(lines).strip())
    return error


# ---- In the child ------------------------------------------------------------


def _run(data: bytes) -> NoReturn:
    code, ended = 1, _native.ENDED_EXCEPTION
    try:
        _child.check_reset()
        forget_inherited()
        child = _load(data)
        sentinel = _child.parent_sentinel(child._parent_pid)
        try:
            code = _life.run(child, sentinel)
        finally:
            ended = child._ended
    except BaseException:
        traceback.print_exc()
        _util._flush_std_streams()
    finally:
        _child.end(code, ended)


def _load(data: bytes) -> Any:
    inline = data.startswith(_INLINE)
    with BytesIO(data[1:]) if inline else open(int(data), "rb") as file:
        env = pickle.load(file)
        if env is not None:
            os.environ.clear()
            os.environ.update(
                (os.fsdecode(key), os.fsdecode(text))
                for key, text in env.items()
            )
        return pickle.load(file)
