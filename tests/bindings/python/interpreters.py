"""Other interpreters in this process.  Imports nothing of the package."""

import sys
import textwrap

try:
    import _interpreters
except ImportError:
    import _xxsubinterpreters as _interpreters


def new(own_lock=False):
    if sys.version_info >= (3, 13):
        return _interpreters.create("isolated" if own_lock else "legacy")
    return _interpreters.create(isolated=own_lock)


def run_in(interpreter, source):
    """Raises what the source raises there."""
    failure = _interpreters.run_string(interpreter, textwrap.dedent(source))
    if failure is not None:  # of Python 3.13 and later
        raise RuntimeError(failure.formatted)


def destroy(interpreter):
    _interpreters.destroy(interpreter)


USE = """
import gipc
with gipc.pipe() as (reader, writer):
    reader.set_limit(10)
    writer.put(1)
    assert reader.get() == 1
    writer.put("a" * 100)
    try:
        reader.get()
        assert False
    except gipc.GIPCTooBig as error:
        assert type(error) is gipc.GIPCTooBig
p = gipc.exec_process(["sh", "-c", "exit 3"])
p.join()
assert p.exitcode == 3
"""
