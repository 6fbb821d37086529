"""More than one copy of the package in a process: a second import, and other
interpreters."""

import sys

import gipc
import interpreters
import pytest
from interpreters import USE, run_in

# So that a program finds what this process does.
PATH = "import sys; sys.path[:] = %r\n" % sys.path


@pytest.fixture
def interpreter():
    """One that shares the lock of this one."""
    interpreter = interpreters.new()
    yield interpreter
    interpreters.destroy(interpreter)


def fails_as(error):
    """Handles of the package that this module has imported raise its errors."""
    with gipc.pipe() as (r, w):
        r.set_limit(10)
        w.put("a" * 100)
        with pytest.raises(error) as caught:
            r.get(timeout=60)
        assert caught.type is error


def test_an_exception_keeps_its_class_and_value_beside_another_interpreter(
    interpreter,
):
    run_in(interpreter, USE)
    fails_as(gipc.GIPCTooBig)
    run_in(interpreter, USE)


def test_an_exception_keeps_its_class_and_value_without_the_other_interpreter():
    interpreter = interpreters.new()
    run_in(interpreter, USE)
    interpreters.destroy(interpreter)
    fails_as(gipc.GIPCTooBig)


def test_an_exception_keeps_its_class_and_value_after_a_second_import():
    names = [n for n in sys.modules if n.partition(".")[0] == "gipc"]
    first = {name: sys.modules.pop(name) for name in names}
    try:
        import gipc as second

        assert second is not gipc
        assert second.GIPCTooBig is not gipc.GIPCTooBig
        fails_as(gipc.GIPCTooBig)
        with second.pipe() as (r, w):
            r.set_limit(10)
            w.put("a" * 100)
            with pytest.raises(second.GIPCTooBig):
                r.get(timeout=60)
        p = second.start_process(sys.exit, (3,))
        p.join()
        assert p.exitcode == 3
    finally:
        for name in [n for n in sys.modules if n.partition(".")[0] == "gipc"]:
            del sys.modules[name]
        sys.modules.update(first)


def test_an_exception_keeps_its_class_and_value(way):
    class Odd(Exception):
        pass

    error = Odd("value", 1)

    def fails(_):
        raise error

    with gipc.pipe(encoder=fails) as (r, w):
        with pytest.raises(Odd) as caught:
            w.put(1)
        assert caught.value is error and error.args == ("value", 1)
    with gipc.pipe(decoder=fails) as (r, w):
        w.put(1)
        with pytest.raises(Odd) as caught:
            r.get()
        assert caught.value is error
    with gipc.pipe() as (r, w):
        w.put(error.args)
        with pytest.raises(Odd) as caught, r, w:
            raise error
        assert caught.value is error


def test_only_the_main_interpreter_can_fork(interpreter):
    run_in(
        interpreter,
        """
        import gipc
        with gipc.pipe() as (reader, writer):
            try:
                gipc.start_process(print, (writer,))
                assert False
            except RuntimeError as error:
                assert "method 'spawn'" in str(error)
            writer.put("it has not moved")
            reader.get()
        """,
    )


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="a heap type is not one interpreter's"
)
def test_types_that_all_interpreters_have_are_static_or_immutable():
    immutable, heap = 1 << 8, 1 << 9  # Py_TPFLAGS_...TYPE
    types = {
        each
        for value in vars(gipc._native).values()
        if isinstance(value, type)
        for each in value.__mro__
    }
    assert gipc._native.Locked in types
    assert all(t.__flags__ & (immutable | heap) != heap for t in types), types


def test_the_first_import_can_be_in_another_interpreter(program):
    """Whose end leaves the types of the extension to the main one."""
    program(
        PATH
        + """
import interpreters
for _ in range(3):
    interpreter = interpreters.new()
    interpreters.run_in(interpreter, interpreters.USE)
    interpreters.destroy(interpreter)
exec(interpreters.USE)
p = gipc.start_process(sys.exit, (3,))
p.join()
assert p.exitcode == 3
info = gipc._native.process_info(p._popen._p)
assert info.code == 3
"""
    )


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="it has one lock for all interpreters"
)
def test_an_interpreter_with_a_lock_of_its_own_is_refused():
    interpreter = interpreters.new(own_lock=True)
    try:
        with pytest.raises(Exception, match="gipc._native does not support"):
            run_in(interpreter, "import gipc")
    finally:
        interpreters.destroy(interpreter)
