"""The life of a forked child: that of any child of multiprocessing, though most
of its steps are left out where they have no effect."""

import multiprocessing
import multiprocessing.process
import os
import signal
import sys
import threading
from multiprocessing import util

import pytest
from gipc import pipe, start_process
from support import is_running, kill


def told(target, *args):
    """What the target returns in a child."""

    def child(writer):
        writer.put(target(*args))

    with pipe() as (reader, writer):
        p = start_process(child, (writer,))
        result = reader.get()
        p.join()
        assert p.exitcode == 0
        return result


# ---- stdin -------------------------------------------------------------------


def what_stdin_is():
    file = sys.stdin
    null = os.stat(os.devnull)
    found = os.fstat(file.fileno())
    return (
        file.read(),
        file.buffer.read(10),
        list(file),
        file.mode,
        file.encoding,
        file.isatty(),
        file.name == file.fileno() > 2,
        (found.st_dev, found.st_ino) == (null.st_dev, null.st_ino),
        os.read(file.fileno(), 10),
    )


AT_ITS_END = ("", b"", [], "r", "utf-8", False, True, True, b"")


def test_stdin_of_a_child_is_at_its_end():
    assert told(what_stdin_is) == AT_ITS_END


def test_stdin_of_a_child_of_a_child_is_at_its_end():
    def close_and_start():
        sys.stdin.close()
        return told(what_stdin_is)

    assert told(told, what_stdin_is) == AT_ITS_END
    assert told(close_and_start) == AT_ITS_END


def test_stdin_of_the_parent_is_closed_in_a_child(tmp_path, monkeypatch):
    path = tmp_path / "typed"
    path.write_text("typed\nmore\n")

    def read(file):
        try:
            return file.readline()
        except ValueError:
            return "closed"

    with open(path) as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert file.readline() == "typed\n"  # "more" is in its buffer
        assert told(read, file) == "closed"
        assert file.readline() == "more\n"


@pytest.mark.parametrize("file", [None, object()])
def test_stdin_of_the_parent_may_be_anything(monkeypatch, file):
    monkeypatch.setattr(sys, "stdin", file)
    expected = None if file is None else ""
    assert told(lambda: sys.stdin and sys.stdin.read()) == expected


# ---- multiprocessing ---------------------------------------------------------


def test_a_child_is_known_to_multiprocessing():
    def who():
        parent = multiprocessing.parent_process()
        me = multiprocessing.current_process()
        return (
            (parent.pid, parent.name, parent.is_alive()),
            (me.pid, me.name),
            multiprocessing.active_children(),
            threading.main_thread().native_id == threading.get_native_id(),
        )

    sibling = start_process(os.getpid)
    parent, me, children, is_main = told(who)
    sibling.join()
    assert parent == (os.getpid(), multiprocessing.current_process().name, True)
    assert me[0] != os.getpid() and me[1].startswith("_GProcess-")
    assert children == [] and is_main


def test_names_in_a_child_begin_anew():
    def names():
        some = [start_process(os.getpid) for _ in range(2)]
        for p in some:
            p.join()
        return multiprocessing.current_process().name, [p.name for p in some]

    name, names = told(names)
    assert names == ["%s:1" % name, "%s:2" % name]


class Counter:
    calls = 0

    def count(self):
        self.calls += 1


def test_functions_for_after_the_fork_and_finalizers_run_in_a_child():
    def child(reports):
        util.Finalize(None, reports.put, ("finalized",), exitpriority=5)
        reports.put(counter.calls)

    counter = Counter()
    util.register_after_fork(counter, Counter.count)
    inherited = util.Finalize(None, print, ("in the child",), exitpriority=5)
    with pipe() as (r, w):
        p = start_process(child, (w,))
        assert (r.get(), r.get()) == (1, "finalized")
        p.join()
        assert p.exitcode == 0 and counter.calls == 0
    inherited.cancel()


def test_a_child_waits_for_its_threads():
    def later(event, writer, what):
        event.wait()
        writer.put(what)

    def child(writer):
        event = threading.Event()
        arguments = event, writer, "of the thread"
        threading.Thread(target=later, args=arguments).start()
        threading.Timer(0.01, event.set).start()

    with pipe() as (r, w):
        p = start_process(child, (w,))
        assert r.get() == "of the thread"
        p.join()
        assert p.exitcode == 0


def test_children_of_a_child_that_read_to_the_end_get_it_at_its_exit():
    def read(reader, writer):
        writer.put(list(reader))

    def child(result):
        global kept
        reader, kept = pipe()
        start_process(read, (reader, result))
        kept.put("said")

    with pipe() as (r, w):
        p = start_process(child, (w,))
        assert r.get() == ["said"]
        p.join()
        assert p.exitcode == 0


def test_a_daemon_of_multiprocessing_ends_with_the_child_that_started_it():
    def child(writer):
        fork = multiprocessing.get_context("fork")
        daemon = fork.Process(target=signal.pause, daemon=True)
        daemon.start()
        writer.put(daemon.pid)

    with pipe() as (r, w):
        p = start_process(child, (w,))
        pid = r.get()
        p.join()
        try:
            assert p.exitcode == 0 and not is_running(pid)
        finally:
            kill(pid)


def test_what_a_child_prints_is_written_at_its_end(tmp_path, monkeypatch):
    path = tmp_path / "printed"
    with open(path, "w") as stdout, open(path, "a") as stderr:
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stderr", stderr)
        start_process(print, ("to a buffer",)).join()
        stderr.write("that is not empty\n")
        start_process(os.getpid).join()
    assert path.read_text() == "to a buffer\nthat is not empty\n"


@pytest.mark.parametrize(
    "code, expected",
    [
        *((None, 0), (0, 0), (7, 7), (True, 1), ("text", 1), (2.5, 1)),
        *(((1, 2), 1), (-1, 255), (256, 255), (2**31, 255), (-(2**70), 255)),
    ],
)
def test_exit_codes_of_a_child(code, expected, capfd):
    p = start_process(sys.exit, (code,))
    p.join()
    assert p.exitcode == expected
    shown = str(code) + "\n" if isinstance(code, (str, float, tuple)) else ""
    assert capfd.readouterr().err == shown


def test_a_tool_that_replaces_the_start_of_processes_is_called(program):
    text = program(
        """
        import sys
        from multiprocessing.process import BaseProcess
        import gipc

        original = BaseProcess._bootstrap

        def bootstrap(self, *args, **kwargs):
            print("measured")
            return original(self, *args, **kwargs)

        BaseProcess._bootstrap = bootstrap

        def child():
            print(repr(sys.stdin.read()))

        gipc.start_process(child).join()
        BaseProcess._bootstrap = original
        gipc.start_process(child).join()
        """
    )
    assert text == "measured\n''\n''\n"


def test_the_log_of_multiprocessing_shows_a_child(program):
    text = program(
        """
        import logging, multiprocessing, sys
        import gipc

        logger = multiprocessing.log_to_stderr(logging.INFO)
        logger.handlers[0].stream = sys.stdout
        gipc.start_process(print, ("hello",)).join()
        logger.setLevel(logging.WARNING)
        """
    )
    assert "child process calling self.run()\nhello\n" in text
    assert "process exiting with exitcode 0\n" in text
