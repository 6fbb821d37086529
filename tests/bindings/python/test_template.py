"""Children from a template: what they have, and the life of the template."""

import os
import pickle
import signal
import subprocess
import sys
import threading

import gevent
import gipc
import pytest
import support
from gipc import pipe, start_process

pytestmark = pytest.mark.skipif(
    support.PORTABLE, reason="the portable half has no templates"
)


def exits(code):
    sys.exit(code)


def tell(writer, *values):
    writer.put((os.getppid(), "wave" in sys.modules, values))


def test_a_child_has_the_imports_done_and_is_one_of_this_process(way):
    assert "wave" not in sys.modules
    with gipc.Template(preload=["wave"]) as template, pipe() as (r, w):
        p = start_process(tell, (w, 1, "two"), method=template)
        answer = r.get(timeout=support.PATIENCE)
        assert answer == (os.getpid(), True, (1, "two"))
        with pytest.raises(EOFError):
            r.get()
        p.join()
        assert p.exitcode == 0
        assert p.exit_info.how == "wait" and p.exit_info.ended == "return"
    assert "wave" not in sys.modules


def fails():
    raise KeyError("of the child")


def test_exit_codes_are_those_of_a_child(way, capfd):
    with gipc.Template() as template:
        for target, args, code, ended in (
            (exits, (7,), 7, "exit"),
            (fails, (), 1, "exception"),
            (os.abort, (), -signal.SIGABRT, "unknown"),
        ):
            p = start_process(target, args, method=template)
            p.join()
            assert p.exitcode == code
        p = start_process(signal.pause, method=template, name="a name")
        assert p.name == "a name" and p.is_alive()
        p.terminate()
        p.join()
        assert p.exitcode == -signal.SIGTERM
    assert "KeyError: 'of the child'" in capfd.readouterr().err


def echo(duplex, writer):
    with duplex, writer:
        writer.put(duplex.get())
        duplex.put("back")


def test_handles_move(way):
    with gipc.Template() as template, pipe() as (r, w):
        with pipe(duplex=True) as (mine, theirs):
            p = start_process(echo, (theirs, w), method=template)
            mine.put("there")
            assert r.get(timeout=support.PATIENCE) == "there"
            assert mine.get(timeout=support.PATIENCE) == "back"
            with pytest.raises(EOFError):
                r.get()
            p.join()
            assert p.exitcode == 0


def length(w, data):
    w.put(len(data))


def test_arguments_of_any_size_arrive(way):
    with gipc.Template() as template:
        for size in 10, 64 << 10, 3 << 20:
            with pipe() as (r, w):
                p = start_process(length, (w, bytes(size)), method=template)
                assert r.get(timeout=support.PATIENCE) == size
                p.join()


def test_what_multiprocessing_passes_moves_too(program):
    assert program(
        """
        import gipc, multiprocessing
        def uses(lock, connection):
            with lock:
                connection.send(connection.recv() + 1)
        if __name__ == "__main__":
            with gipc.Template() as template:
                mine, its = multiprocessing.Pipe()
                lock = multiprocessing.get_context("spawn").Lock()
                p = gipc.start_process(uses, (lock, its), method=template)
                mine.send(1)
                print(mine.recv())
                p.join()
                print(p.exitcode)
        """
    ) == "2\n0\n"


def show():
    print(os.getcwd(), os.environ["A"], "PATH" in os.environ, sys.stdin.read())


def test_options_take_effect(tmp_path):
    with gipc.Template() as template:
        p = start_process(
            show, method=template, cwd=tmp_path, env={"A": "b"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            rlimits={"core": 0}, umask=0o77, keep_fds=[],
        )
        out, _ = p.communicate("in")
        assert out == "%s b False in\n" % tmp_path
        with pytest.raises(OSError, match="keep_fds"):
            start_process(show, method=template, keep_fds="all")
        with pytest.raises(FileNotFoundError) as failed:
            start_process(show, method=template, cwd="/does/not/exist")
        assert failed.value.filename == "/does/not/exist"
        with pipe() as (r, w):
            with pytest.raises((pickle.PicklingError, AttributeError)):
                start_process(tell, (w, lambda: None), method=template)
            w.put("not passed")
            assert r.get() == "not passed"


def sleeps_in_greenlets(w):
    done = []
    gevent.joinall([gevent.spawn(done.append, i) for i in range(3)])
    with gevent.Timeout(support.PATIENCE):
        gevent.sleep(0.001)
    w.put(done)


def test_a_child_has_a_loop_of_its_own(way):
    with gipc.Template(preload=["gevent"]) as template, pipe() as (r, w):
        p = start_process(sleeps_in_greenlets, (w,), method=template)
        assert r.get(timeout=support.PATIENCE) == [0, 1, 2]
        p.join()
        assert p.exitcode == 0


async def put_in_coroutine(writer):
    await writer.put("from a coroutine")


def test_children_of_a_template_may_be_coroutines(program):
    assert program(
        """
        import sys
        sys.path[:] = %r
        import asyncio, gipc, test_template
        from gipc import aio
        async def main():
            with gipc.Template() as template, aio.pipe() as (r, w):
                target = test_template.put_in_coroutine
                p = aio.start_process(target, (w,), method=template)
                print(await r.get())
                await p.join()
                print(p.exitcode)
        if __name__ == "__main__":
            asyncio.run(main())
        """
        % (sys.path,)
    ) == "from a coroutine\n0\n"


# ---- The life of the template ------------------------------------------------


def servers():
    """The template and its spare, once a child has been started."""
    path = "/proc/self/task/%d/children" % os.getpid()
    if not os.path.exists(path):
        pytest.skip("the kernel does not list children")
    with open(path) as file:
        return [int(pid) for pid in file.read().split()]


def run(template, code=3):
    p = start_process(exits, (code,), method=template)
    p.join()
    assert p.exitcode == code


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_killed_template_is_replaced():
    with gipc.Template() as template:
        kill(servers()[0])  # there is no spare yet
        run(template)
        for _ in range(3):
            kill(servers()[0])
            run(template)
        for pid in servers():
            kill(pid)
        run(template)


def test_an_import_that_fails_is_an_error_of_the_constructor(way, tmp_path):
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        gipc.Template(preload=["json", "no_such_module"])
    assert servers() == []  # it is reaped, too


def test_a_template_without_an_answer_is_an_error(program, tmp_path):
    (tmp_path / "ends.py").write_text("import os; os._exit(3)")
    assert program(
        """
        import gipc, sys
        sys.path.append(%r)
        if __name__ == "__main__":
            try:
                gipc.Template(["ends"])
            except gipc.GIPCError as error:
                print(error)
        """
        % str(tmp_path)
    ) == "the template ended during its start\n"


def test_an_import_that_starts_threads_is_refused(program, tmp_path):
    (tmp_path / "starts.py").write_text(
        "import threading; threading.Thread(target=threading.Event().wait,"
        " name='of starts', daemon=True).start()"
    )
    assert program(
        """
        import gipc, sys
        sys.path.append(%r)
        if __name__ == "__main__":
            try:
                gipc.Template(["starts"])
            except gipc.GIPCError as error:
                print(error)
        """
        % str(tmp_path)
    ) == "an import has started threads: ['of starts']\n"


def test_the_template_of_the_program_is_made_once(program):
    assert program(
        """
        import gipc, os
        def child(w):
            w.put(os.getppid())
        if __name__ == "__main__":
            path = "/proc/self/task/%d/children" % os.getpid()
            for _ in range(3):
                with gipc.pipe() as (r, w):
                    p = gipc.start_process(child, (w,), method="template")
                    print(r.get() == os.getpid())
                    p.join()
            print(len(gipc._template._of_program))
        """
    ) == "True\n" * 3 + "1\n"


def test_a_main_module_without_a_guard_is_an_error(program):
    program(
        """
        import gipc
        gipc.Template()
        """,
        code=1,
        stderr="RuntimeError",
    )


def test_a_template_is_closed_and_belongs_to_its_process():
    template = gipc.Template()
    with pytest.raises(TypeError, match="belongs to the process"):
        pickle.dumps(template)
    run(template)
    template.close()
    template.close()
    with pytest.raises(ValueError, match="is closed"):
        run(template)
    with pytest.raises(ValueError, match="the method must be"):
        start_process(print, method="threads")
    with pytest.raises(TypeError, match="list of names"):
        gipc.Template("json")
    with pytest.raises(TypeError, match="not the name"):
        gipc.Template([3])


def test_threads_start_children_from_one_template():
    with gipc.Template() as template:
        failures = []

        def several():
            try:
                for code in range(1, 6):
                    run(template, code)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=several) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                gevent.sleep(0.001)
        assert not failures


def held(w):
    w.put("held")
    signal.pause()


def test_streams_of_the_parent_end():
    with gipc.Template() as template, pipe() as (r, w):
        with pipe() as (told, tells):
            p = start_process(held, (tells,), method=template)
            assert told.get(timeout=support.PATIENCE) == "held"
            w.close()
            with pytest.raises(EOFError):
                r.get(timeout=gevent.Timeout(support.PATIENCE))
            p.kill()
            p.join()
