"""Children that are a new interpreter, which imports their target by name.

As the method "spawn" of multiprocessing, but the library executes the
interpreter, undisturbed by threads of this process, and handles are passed by
name.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
from multiprocessing import popen_spawn_posix, process, reduction
from multiprocessing import spawn, util
from multiprocessing.context import set_spawning_popen
from typing import Any

from . import _native
from ._child import parent_sentinel
from ._handle import HandleClasses, _GIPCHandle
from ._options import Start, argument_vector
from ._passing import check_passable, passing
from ._pipe import adopt_handle
from ._popen import Popen
from ._types import Codec

# The last argument of the child is the folder of this package, which need not be
# on the path of a new interpreter.
_COMMAND = (
    "import sys; sys.path.append(sys.argv.pop()); "
    "from gipc._spawn import main; main(int(sys.argv.pop()))"
)

# Of its internal functions, which the children of multiprocessing use, too.
_util: Any = util


class Spawned(Popen):
    method = "spawn"
    DupFd = popen_spawn_posix.Popen.DupFd

    def __init__(self, process: Any, start: Start):
        self._options = start.native
        # Numbers in the child, by the number in this process.
        self._copied: dict[int, int] = {}
        self._used = {*start.given.get("map_fds", ()), *(start.kept_fds or ())}
        _util._flush_std_streams()
        # The child reads the file once it has started; the call does not wait.
        with unnamed_file() as file:
            head = preparation(process.name, start)
            handles = self._pickle(process, head, file)
            fd = self.duplicate_for_child(file.fileno())
            argv = interpreter(_COMMAND, fd)
            words = argument_vector(argv)
            with passing(handles):
                try:
                    native = _native.exec_process(words, self._options)
                except OSError as error:
                    start.name_failure(error, argv)
                    raise
        super().__init__(native)
        del self._options

    def _pickle(
        self, process: Any, head: Any, file: Any
    ) -> list[_GIPCHandle]:
        """Returns the handles that were found.  An object that cannot be pickled
        is an error before there is a child."""
        pickler = _Pickler(file, self._options)
        set_popen: Any = set_spawning_popen
        set_popen(self)
        try:
            reduction.dump(head, file)
            pickler.dump(process)
        finally:
            set_popen(None)
        file.seek(0)  # the child shares the position
        return pickler.handles

    def duplicate_for_child(self, fd: int) -> int:
        """Part of the interface that a Connection of multiprocessing calls."""
        if fd not in self._copied:
            number = fd
            while number in self._used:
                number += 1
            _native.options_map_fd(self._options, fd, number)
            self._used.add(number)
            self._copied[fd] = number
        return self._copied[fd]


def preparation(name: str, start: Start) -> dict[str, Any]:
    data: dict[str, Any] = spawn.get_preparation_data(name)
    if "cwd" in start.given:
        data.pop("dir", None)  # the child would change to that directory
    return data


def unnamed_file() -> Any:
    try:
        return open(os.memfd_create("gipc"), "w+b")
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()


class _Pickler(reduction.ForkingPickler):
    """Passes to the child the handles in an object, wherever they are."""

    def __init__(self, file: Any, options: _native.Options):
        super().__init__(file)
        self._options = options
        # The index of a native handle is part of its name in the child.
        self._natives: list[_native.Handle] = []
        self.handles: list[_GIPCHandle] = []

    def reducer_override(self, o: Any) -> Any:
        if not issubclass(type(o), _GIPCHandle):
            return NotImplemented
        check_passable([o])
        codecs: list[Codec] = [None, None]  # encoder, decoder
        for side in (o, o._other):
            if side is not None:
                codecs[side._direction == _native.READ] = side._codec
        self.handles.append(o)
        name = self._pass(o._h)
        return inherited_handle, (name, o._direction, *codecs, o._classes)

    def _pass(self, native: _native.Handle) -> str:
        """Returns the name of the handle in the child."""
        for number, known in enumerate(self._natives):
            if known is native:
                return "gipc.%d" % number
        name = "gipc.%d" % len(self._natives)
        _native.options_pass(self._options, name, native)
        self._natives.append(native)
        return name


def interpreter(command: str, fd: int) -> list[str]:
    """What runs a command with these two arguments."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [
        spawn.get_executable(),
        *_util._args_from_interpreter_flags(),
        "-c",
        command,
        str(fd),
        package,
    ]


def main(fd: int) -> None:
    """In the child."""
    # As in a child of method 'fork': Python has set a handler.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.set_inheritable(fd, False)
    # The import of the main module must not start a child of this method, which
    # would start the next one.  multiprocessing checks this attribute.
    starting: Any = process.current_process()
    starting._inheriting = True
    try:
        with open(fd, "rb") as file:
            spawn.prepare(pickle.load(file))
            child = pickle.load(file)
    finally:
        del starting._inheriting
    forget_inherited()
    sentinel = parent_sentinel(child._parent_pid)
    sys.exit(child._bootstrap(parent_sentinel=sentinel))


def forget_inherited() -> None:
    _inherited.clear()


# The handles that this interpreter has inherited, by name: both directions of a
# duplex handle have the same name.
_inherited: dict[str, Any] = {}


def inherited_handle(
    name: str,
    direction: int,
    encoder: Codec,
    decoder: Codec,
    classes: HandleClasses,
) -> Any:
    """The handle of this name, or one direction of a duplex handle."""
    if name not in _inherited:
        native = _native.inherit(name)
        _inherited[name] = adopt_handle(classes, native, encoder, decoder)
    handle = _inherited[name]
    if isinstance(handle, tuple):
        return handle[0] if direction == _native.READ else handle[1]
    return handle
