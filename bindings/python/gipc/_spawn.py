"""Children that are a fresh interpreter, which imports their target by name.

What multiprocessing's method "spawn" does, with the library's exec, which a
thread of this process cannot disturb, and with handles passed by name.
"""

import os
import signal
import sys
from multiprocessing import context, reduction, spawn, util

from . import _native
from ._end import End
from ._pipe import family, pipe
from ._process import check_passable, handles_among, natives_of
from ._options import words

# The first argument of the child is where it finds this package, which need
# not be on the path of a fresh interpreter.
_COMMAND = (
    "import sys; sys.path.append(sys.argv.pop()); "
    "from gipc._spawn import main; main()"
)
_OWN = "gipc.spawn"


class Spawned(End):
    method = "spawn"

    def __init__(self, process, start):
        handles = handles_among((process._args, process._kwargs))
        check_passable(handles)
        self._names = {}
        options = start.native
        for number, native in enumerate(natives_of(handles)):
            name = "gipc.%d" % number
            _native.options_pass(options, name, native)
            self._names[id(native)] = name
        util._flush_std_streams()
        with pipe(encoder=None, decoder=None) as (reader, writer):
            _native.options_pass(options, _OWN, reader._h)
            # Whatever cannot be pickled shows before there is a child.
            context.set_spawning_popen(self)
            try:
                preparation = reduction.ForkingPickler.dumps(
                    _preparation(process.name, start)
                )
                pickled = reduction.ForkingPickler.dumps(process)
            finally:
                context.set_spawning_popen(None)
            argv = _argv()
            with start.naming_failure(argv):
                native = _native.exec_process(words(argv), options)
            super().__init__(native)
            reader._forget()
            for handle in handles:
                handle._forget()
            try:
                writer.put_many([bytes(preparation), bytes(pickled)])
            except BrokenPipeError:
                pass  # it has ended, which its exit code tells

    def name_of(self, handle):
        return self._names[id(handle._h)]


def _preparation(name, start):
    data = spawn.get_preparation_data(name)
    if "cwd" in start.given:
        data.pop("dir", None)  # where the child would go then
    return data


def _argv():
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [
        spawn.get_executable(),
        *util._args_from_interpreter_flags(),
        "-c",
        _COMMAND,
        package,
    ]


def main():
    """In the child."""
    # As in a child of method 'fork': Python has set a handler of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with family.adopt(_native.inherit(_OWN), None, None) as reader:
        preparation, pickled = reader.get(), reader.get()
    spawn.prepare(reduction.pickle.loads(preparation))
    process = reduction.pickle.loads(pickled)
    _taken.clear()
    sys.exit(process._bootstrap(parent_sentinel=None))


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
