"""Children that are a fresh interpreter, which imports their target by name.

What multiprocessing's method "spawn" does, with the library's exec, which a
thread of this process cannot disturb, and with handles passed by name.
"""

import os
import signal
import sys
import tempfile
from multiprocessing import context, popen_spawn_posix, process, reduction
from multiprocessing import spawn, util

from . import _native
from ._end import End
from ._handle import _GIPCHandle
from ._options import words
from ._pipe import family
from ._process import check_passable, moving, parent_sentinel

# The last argument of the child is where it finds this package, which need not
# be on the path of a fresh interpreter.
_COMMAND = (
    "import sys; sys.path.append(sys.argv.pop()); "
    "from gipc._spawn import main; main(int(sys.argv.pop()))"
)


class Spawned(End):
    method = "spawn"
    DupFd = popen_spawn_posix.Popen.DupFd

    def __init__(self, process, start):
        self._options = start.native
        self._copied = {}  # numbers in the child, by the number here
        self._taken = {*start.given.get("map_fds", ()), *(start.kept_fds or ())}
        util._flush_std_streams()
        # The child reads it when it has started, for which nobody waits.
        with _unnamed_file() as file:
            handles = self._pickle(process, start, file)
            fd = self.duplicate_for_child(file.fileno())
            argv = _argv(fd)
            with moving(handles), start.naming_failure(argv):
                native = _native.exec_process(words(argv), self._options)
        super().__init__(native)
        del self._options

    def _pickle(self, process, start, file):
        """Whatever cannot be pickled shows before there is a child.  The
        handles that were found."""
        pickler = _Pickler(file, self._options)
        context.set_spawning_popen(self)
        try:
            reduction.dump(_preparation(process.name, start), file)
            pickler.dump(process)
        finally:
            context.set_spawning_popen(None)
        file.seek(0)  # which the child has in common
        return pickler.handles

    def duplicate_for_child(self, fd):
        """Of multiprocessing's interface, as its Connection calls it."""
        if fd not in self._copied:
            number = fd
            while number in self._taken:
                number += 1
            _native.options_map_fd(self._options, fd, number)
            self._taken.add(number)
            self._copied[fd] = number
        return self._copied[fd]


def _preparation(name, start):
    data = spawn.get_preparation_data(name)
    if "cwd" in start.given:
        data.pop("dir", None)  # where the child would go then
    return data


def _unnamed_file():
    try:
        return open(os.memfd_create("gipc"), "w+b")
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()


class _Pickler(reduction.ForkingPickler):
    """Has the child inherit the handles, wherever in the object they are."""

    def __init__(self, file, options):
        super().__init__(file)
        self._options = options
        self._natives = []  # whose name in the child is their index
        self.handles = []

    def reducer_override(self, o):
        if not issubclass(type(o), _GIPCHandle):
            return NotImplemented
        check_passable([o])
        codecs = [None, None]  # encoder, decoder
        for side in (o, o._other):
            if side is not None:
                codecs[side._direction == _native.READ] = side._codec
        self.handles.append(o)
        return take, (self._pass(o._h), o._direction, *codecs, o._family())

    def _pass(self, native):
        """The name under which the child finds it."""
        for number, known in enumerate(self._natives):
            if known is native:
                return "gipc.%d" % number
        name = "gipc.%d" % len(self._natives)
        _native.options_pass(self._options, name, native)
        self._natives.append(native)
        return name


def _argv(fd):
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [
        spawn.get_executable(),
        *util._args_from_interpreter_flags(),
        "-c",
        _COMMAND,
        str(fd),
        package,
    ]


def main(fd):
    """In the child."""
    # As in a child of method 'fork': Python has set a handler of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.set_inheritable(fd, False)
    # Importing the main module must start no child of this kind: that one would
    # start the next.  multiprocessing's own check.
    starting = process.current_process()
    starting._inheriting = True
    try:
        with open(fd, "rb") as file:
            spawn.prepare(reduction.pickle.load(file))
            child = reduction.pickle.load(file)
    finally:
        del starting._inheriting
    _taken.clear()
    sys.exit(child._bootstrap(parent_sentinel=parent_sentinel(child)))


# Of the handles that this interpreter was given, by name: both sides of a
# duplex one are the same.
_taken = {}


def take(name, direction, encoder, decoder, family):
    """The handle, or the side of a duplex one, for a name."""
    if name not in _taken:
        _taken[name] = family.adopt(
            _native.inherit(name), encoder, decoder
        )
    handle = _taken[name]
    if isinstance(handle, tuple):
        return handle[0] if direction == _native.READ else handle[1]
    return handle
