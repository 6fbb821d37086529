"""The process object, which is one of multiprocessing, and what a child knows of
its parent."""

import multiprocessing
import os
import re
import signal
import sys

import gevent
import pytest
import support
from gipc import exec_process, pipe, start_process


def nothing():
    pass


def for_ever():
    gevent.sleep(1000)


def test_it_is_a_process_of_multiprocessing():
    p = start_process(for_ever, name="bob", daemon=True)
    assert isinstance(p, multiprocessing.Process)
    assert (p.name, p.daemon, p.exitcode) == ("bob", True, None)
    assert p.pid == p.ident and p.is_alive()
    if not support.PORTABLE:
        assert isinstance(p.sentinel, int)
    assert p in multiprocessing.active_children()
    assert p._parent_pid == os.getpid()
    assert {p: 1}[p] == 1
    p.name = "rob"
    assert p.name == "rob"
    with pytest.raises(AssertionError):
        p.daemon = False
    p.kill()
    p.join()
    assert multiprocessing.active_children() == []


def test_its_name_is_made_up():
    p, q = start_process(nothing), start_process(nothing)
    assert re.fullmatch(r"_GProcess-\d+", p.name)
    assert p.name != q.name and not p.daemon
    p.join()
    q.join()


def test_it_prints_its_state():
    p = start_process(for_ever, name="bob")
    assert re.fullmatch(r"<_GProcess.*\bbob\b.* started\W*>", repr(p))
    p.terminate()
    p.join()
    assert re.fullmatch(r"<_GProcess.*\bbob\b.* stopped.*-SIGTERM\W*>", str(p))
    p = start_process(for_ever, daemon=True)
    assert re.fullmatch(r"<_GProcess.* started daemon\W*>", repr(p))
    p.kill()
    p.join()
    assert re.fullmatch(r"<_GProcess.* stopped.* daemon\W*>", repr(p))
    p = start_process(sys.exit, (3,))
    p.join()
    assert re.fullmatch(r"<_GProcess.* stopped\D*3\W*>", repr(p))


def test_arguments_are_checked():
    for wrong in ([], "x", None, 1):
        with pytest.raises(TypeError, match="args.* must be a tuple"):
            start_process(nothing, wrong)
    for wrong in ([], "x", None, ()):
        with pytest.raises(TypeError, match="kwargs.* must be a dict"):
            start_process(nothing, kwargs=wrong)
    with pytest.raises(TypeError):
        start_process()
    assert support.children() == []


def test_arguments_arrive_as_they_are():
    made = object()

    def child(a, b=None, *, c):
        os._exit(a is made and b == 2 and c is made)

    p = start_process(child, (made,), {"b": 2, "c": made}, None, "positional")
    p.join()
    assert p.exitcode == 1 and p.name == "positional"


def test_closing_it_while_it_runs_is_an_error():
    p = start_process(for_ever)
    with pytest.raises(ValueError, match="while it is still running"):
        p.close()
    assert p.is_alive()
    p.kill()
    p.join()
    p.close()


def test_a_closed_process_says_so():
    p = start_process(nothing)
    p.join()
    assert p.close() is None
    p.close()
    for use in (p.is_alive, p.join, p.terminate, p.kill):
        with pytest.raises(ValueError, match="process object is closed"):
            use()
    for name in ("exitcode", "pid", "ident", "sentinel"):
        with pytest.raises(ValueError, match="process object is closed"):
            getattr(p, name)
    assert p not in multiprocessing.active_children()


def test_starting_it_again_does_nothing(capfd):
    p = start_process(nothing)
    p.start()
    p.join()
    assert repr(p).split()[0] in capfd.readouterr().err
    assert support.children() == []


# ---- The child's world -------------------------------------------------------


def test_it_is_the_current_process_of_multiprocessing():
    def child(w):
        me = multiprocessing.current_process()
        w.put((me.name, me.daemon, multiprocessing.parent_process().pid))

    with pipe() as (r, w):
        p = start_process(child, (w,), name="bob")
        assert r.get() == ("bob", False, os.getpid())
        p.join()


def test_nothing_is_read_from_the_parents_stdin(program):
    assert (
        program(
            """
            import gipc, sys
            gipc.start_process(lambda: print(repr(sys.stdin.read()))).join()
            """
        )
        == "''\n"
    )


def test_children_of_children_work(way):
    def grandchild(w):
        w.put(os.getppid())

    def child(w):
        p = start_process(grandchild, (w,))
        p.join()
        sys.exit(p.exitcode + 5)

    with pipe() as (r, w):
        p = start_process(child, (w,))
        assert r.get() == p.pid
        p.join()
        assert p.exitcode == 5


def test_a_daemon_has_no_children():
    def child(w):
        try:
            start_process(nothing)
        except AssertionError as error:
            w.put(str(error))

    with pipe() as (r, w):
        p = start_process(child, (w,), daemon=True)
        assert "daemonic processes are not allowed" in r.get()
        p.join()


def test_the_child_knows_nothing_of_the_parents_children():
    other = start_process(for_ever)
    p = start_process(child_of_many, (other,))
    p.join()
    assert p.exitcode == 0
    assert other.is_alive()
    other.kill()
    other.join()


def child_of_many(other):
    assert multiprocessing.active_children() == []
    with pytest.raises(AssertionError):
        other.join()


def test_a_child_killed_inside_a_message_is_told(way):
    def child(w):
        w.put(b"whole")
        support.write_raw(w, support.frame(bytes(100))[:50])
        os.kill(os.getpid(), signal.SIGKILL)

    with pipe(encoder=None, decoder=None) as (r, w):
        p = start_process(child, (w,))
        assert r.get() == b"whole"
        with pytest.raises(OSError):
            r.get()
        p.join()
        assert p.exitcode == -signal.SIGKILL


def test_randomness_is_not_shared():  # H33
    def child(w):
        import random

        w.put((random.random(), repr(pipe()[0])[13:19]))

    seen = set()
    for _ in range(20):
        with pipe() as (r, w):
            p = start_process(child, (w,))
            seen.update(r.get())
            p.join()
    assert len(seen) == 40


def test_programs_and_handles_print_their_state_in_a_fork_too():
    with pipe(duplex=True) as (a, b):
        p = exec_process(["sleep", "60"])
        pid = os.fork()
        if pid == 0:
            os._exit(sum("of another process" not in repr(o) for o in (p, a)))
        assert os.waitpid(pid, 0)[1] == 0
        p.stop(grace=0)
