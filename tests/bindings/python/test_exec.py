"""Children that are programs: a function in a fresh interpreter (`spawn`), and
any program at all, with handles passed by name."""

import os
import signal
import subprocess
import sys
import threading

import gevent
import gipc
import pytest
import support
from gipc import GIPCClosed, GIPCLocked, exec_process, pipe, start_process
from support import Job

# ---- Functions in a fresh interpreter -------------------------------------------

SPAWN = """
import os, sys, threading, time
import gipc
from gipc import GIPCClosed, pipe, start_process

def echo(h, *, last):
    assert "gevent" not in sys.modules
    for o in iter(h.get, last):
        h.put([o])

def one_way(r, box):
    box["w"].put(r.get() + 1)
    box["w"].put((r.get(), len(gipc.get_all_handles())))

def fail():
    raise ValueError("of the child")

def main():
    %s

if __name__ == "__main__":
    if "gevent" in sys.argv:
        import gevent
        gevent.sleep(0)
    main()
"""


def spawn_program(program, body, *arguments, **options):
    return program(SPAWN % body.strip(), *arguments, **options)


@pytest.mark.parametrize("loop", ["plain", "gevent"])
def test_a_spawned_child_echoes(program, loop):
    body = """
    with pipe(True) as (mine, its):
        p = start_process(echo, (its,), {"last": "end"}, method="spawn",
                          name="bob")
        assert its._reader._closed and its._writer._closed
        for o in 1, "two", [3] * 100000:
            mine.put(o)
            assert mine.get() == [o]
        mine.put("end")
        p.join()
        print(p.exitcode, p.name)
    """
    assert spawn_program(program, body, loop) == "0 bob\n"


def test_handles_move_into_a_spawned_child(program):
    body = """
    with pipe() as (r, w), pipe() as (r2, w2), pipe() as others:
        p = start_process(one_way, (r, {"w": w2}), method="spawn")
        for h in r, w2:
            try:
                h.close()
            except GIPCClosed:
                print("closed")
        w.put(1)
        w.put("x")
        print(r2.get(), *r2.get())
        try:
            r2.get()
        except EOFError:
            print("end")
        p.join()
        print(p.exitcode)
    """
    assert spawn_program(program, body) == "closed\nclosed\n2 x 2\nend\n0\n"


def test_exit_codes_of_spawned_children_are_exact(program):
    body = """
    for target, args in (sys.exit, (3,)), (os._exit, (7,)), (os.abort, ()):
        p = start_process(target, args, method="spawn")
        p.join()
        print(p.exitcode)
    p = start_process(fail, method="spawn")
    p.join()
    print(p.exitcode, p.is_alive())
    """
    assert (
        spawn_program(program, body, stderr="(?s)Traceback.*in fail.*of the child")
        == "3\n7\n-6\n1 False\n"
    )


def test_what_cannot_be_pickled_starts_no_child(program):
    body = """
    with pipe() as (r, w):
        for args in (lambda: 1,), (r, lambda: 1):
            try:
                start_process(print, args, method="spawn")
            except Exception as error:
                print("error")
        w.put("still here")
        print(r.get(), len(os.listdir("/proc/self/fd")) < 15)
    """
    assert spawn_program(program, body) == "error\nerror\nstill here True\n"


def test_a_spawned_child_starts_beside_busy_threads(program):  # H1
    body = """
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            open("/dev/null", "w").write("x" * 10000)
    threads = [threading.Thread(target=busy) for _ in range(3)]
    for t in threads: t.start()
    for n in range(5):
        p = start_process(sys.exit, (n,), method="spawn")
        p.join()
        print(p.exitcode, end=" ")
    stop.set()
    """
    assert spawn_program(program, body) == "0 1 2 3 4 "


def test_a_spawned_daemon_ends_with_its_parent(program):
    body = """
    p = start_process(time.sleep, (1000,), daemon=True, method="spawn")
    print(p.pid)
    """
    pid = int(spawn_program(program, body))
    support.wait_until(lambda: not support.is_running(pid))


def test_an_unknown_method_is_an_error():
    with pytest.raises(ValueError, match="method"):
        start_process(int, method="forkserver")
    assert support.children() == []


# ---- Any program ----------------------------------------------------------------

ECHO = """
    import sys, gipc
    with gipc.inherit("in") as r, gipc.inherit("out") as w:
        for message in r:
            w.put([message] + sys.argv[1:])
    """


def join(p):
    p.join()
    code = p.exitcode
    p.close()
    return code


def sh(script, *arguments, **options):
    return exec_process(["sh", "-c", script, "sh", *arguments], **options)


def test_an_execd_child_inherits_by_name(way, tmp_path):
    echo = support.write_program(tmp_path, ECHO)
    with pipe() as (r, its_w), pipe() as (its_r, w):
        p = exec_process(
            [sys.executable, echo, "argument"], handles={"in": its_r, "out": its_w}
        )
        assert its_r._closed and its_w._closed
        for o in (1, "two", [3] * 100000):
            w.put(o)
            assert r.get() == [o, "argument"]
        w.close()
        assert join(p) == 0
        with pytest.raises(EOFError):
            r.get()


def test_an_execd_child_inherits_a_duplex_handle_and_codecs(tmp_path):
    child = support.write_program(
        tmp_path,
        """
        import gipc
        h = gipc.inherit("both", encoder="json", decoder=None)
        h.put(len(h.get()))
        h.put(h.get().decode())
        """,
    )
    with pipe(duplex=True, encoder=None, decoder="json") as (mine, its):
        p = exec_process([sys.executable, child], {"both": its})
        mine.put(b"12345")
        mine.put(b"text")
        assert mine.get() == 5
        assert mine.get() == "text"
        assert join(p) == 0


def test_messages_that_came_before_are_not_lost():
    """They cannot go along with an exec, so that the start is refused."""
    with pipe() as (r, w):
        w.put_many([1, 2, 3])
        assert r.get() == 1
        with pytest.raises(OSError):
            exec_process(["true"], {"in": r})
        assert [r.get(), r.get()] == [2, 3]
        assert join(exec_process(["true"], {"in": r})) == 0


def test_a_name_not_passed_is_a_clear_error(way, tmp_path):
    child = support.write_program(
        tmp_path,
        """
        import gipc, os
        for name in "other", "in", "in":
            try:
                print(gipc.inherit(name).get())
            except FileNotFoundError as error:
                print(error.filename, "not passed")
        print("GIPC_HANDLES" in os.environ)
        """,
    )
    with pipe() as (r, w):
        w.put("hello")
        p = exec_process(
            [sys.executable, child], {"in": r}, stdout=subprocess.PIPE
        )
        with p.stdout as out:
            told = out.read()
        assert join(p) == 0
    assert told == b"other not passed\nhello\nin not passed\nFalse\n"
    with pytest.raises(FileNotFoundError, match="no handle was passed"):
        gipc.inherit("in")


def test_a_stale_variable_is_a_clear_error(program):  # H94
    assert (
        program(
            """
            import os, gipc
            for value in "nonsense", "in=200/r@1:2", "in=0/r@1:2":
                os.environ["GIPC_HANDLES"] = value
                try:
                    gipc.inherit("in")
                except (FileNotFoundError, gipc.GIPCBadHandles) as error:
                    print("error")
            os.fstat(0)
            """
        )
        == "error\nerror\nerror\n"
    )


def test_a_program_that_is_not_there_is_a_clear_error(way):  # H7
    with pipe() as (r, w):
        with pytest.raises(FileNotFoundError):
            exec_process(["/no/such/program"], {"in": r})
        with pytest.raises(FileNotFoundError):
            exec_process(["no-such-program-anywhere"])
        with pytest.raises(PermissionError):
            exec_process(["/dev/null"])
        with pytest.raises(OSError):
            exec_process(["sh"], cwd="/no/such/folder")
        assert support.children() == []
        w.put("not moved")
        assert r.get() == "not moved"


def test_arguments_of_a_program_are_checked():
    for wrong in ([], "sh -c exit", b"sh", None, [1]):
        with pytest.raises((TypeError, ValueError, OSError)):
            exec_process(wrong)
    with pytest.raises(TypeError):
        exec_process(["true"], {"in": 5})
    with pipe() as (r, w):
        w.close()
        with pytest.raises(GIPCClosed):
            exec_process(["true"], {"out": w})
        get = gevent.spawn(r.get)
        r2, w2 = pipe()
        get2 = gevent.spawn(r2.get)
        gevent.idle()
        with pytest.raises(GIPCLocked):
            exec_process(["true"], {"in": r2})
        for g in (get, get2):
            g.kill()
        r2.close()
        w2.close()
    assert support.children() == []


def test_exit_codes_of_programs_are_exact(way):
    for code in (0, 1, 3, 255):
        assert join(sh("exit %d" % code)) == code
    assert join(sh("kill -9 $$")) == -9


def test_arguments_reach_a_program_as_they_are(tmp_path):  # H16
    strange = ["", " ", "$(touch x)", "`touch x`", "'", '"', "\N{SNOWMAN}", "\\", "*"]
    p = exec_process(
        [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *strange],
        stdout=subprocess.PIPE,
        cwd=str(tmp_path),
    )
    with p.stdout as out:
        assert eval(out.read()) == strange
    assert join(p) == 0 and os.listdir(tmp_path) == []


def test_the_environment_and_folder_of_a_program(tmp_path):
    p = sh("pwd; env", env={"PATH": os.environ["PATH"], "A": "b"}, cwd=str(tmp_path),
           stdout=subprocess.PIPE)
    with p.stdout as out:
        folder, *env = out.read().decode().split()
    assert join(p) == 0
    assert folder == os.path.realpath(tmp_path)
    assert {"A=b", "PATH=" + os.environ["PATH"]} <= set(env)
    # The shell has its own.
    names = {e.partition("=")[0] for e in env}
    assert names <= {"A", "PATH", "PWD", "SHLVL", "_", "OLDPWD"}
    os.environ["GIPC_TEST_MARK"] = "inherited"
    try:
        assert join(sh('test "$GIPC_TEST_MARK" = inherited')) == 0
    finally:
        del os.environ["GIPC_TEST_MARK"]


def test_stdio_of_a_program(way, tmp_path):
    p = sh("cat; echo error >&2", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
           stderr=subprocess.STDOUT)
    p.stdin.write(b"typed ")
    p.stdin.close()
    said = b""
    while True:
        more = p.stdout.read()
        if not more:
            break
        said += more
    p.stdout.close()
    assert said == b"typed error\n" and join(p) == 0
    assert p.stderr is None

    with open(tmp_path / "out", "wb") as out:
        assert join(sh("cat; echo said", stdin=subprocess.DEVNULL, stdout=out)) == 0
        assert join(sh("echo more >&2", stderr=out.fileno())) == 0
    assert (tmp_path / "out").read_bytes() == b"said\nmore\n"


def test_a_program_has_no_descriptor_that_was_not_given():  # H11, H12
    r, w = os.pipe()
    os.set_inheritable(w, True)
    with pipe() as (a, b):
        p = exec_process(
            [sys.executable, "-c", "import os; print(*os.listdir('/proc/self/fd'))"],
            stdout=subprocess.PIPE,
        )
        with p.stdout as out:
            open_there = set(out.read().split())
        assert join(p) == 0
    os.close(r)
    os.close(w)
    # The last one is that of the listing itself.
    assert open_there == {b"0", b"1", b"2", b"3"}


def test_a_program_starts_with_default_signals(program):  # H4, H5
    printed = program(
        """
        import signal, subprocess, gipc
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        p = gipc.exec_process(["grep", "Sig[BI]", "/proc/self/status"])
        p.join()
        """
    )
    blocked, ignored = (int(mask, 16) for mask in printed.split()[1::2])
    # glibc keeps 32 and 33 to itself, and its posix_spawn leaves them ignored
    # in a program: this one may have come with that.
    assert (blocked, ignored & ~(3 << 31)) == (0, 0)


def test_the_process_object_of_a_program():
    p = sh("exec sleep 1000", name="bob")
    assert p.name == "bob" and p.pid == p.ident and p.is_alive()
    assert p.exitcode is None and "bob" in repr(p)
    assert p.join(0.01) is None and p.is_alive()
    with pytest.raises(ValueError, match="while it is still running"):
        p.close()
    p.terminate()
    p.join()
    assert p.exitcode == -signal.SIGTERM and not p.is_alive()
    p.kill()
    p.close()
    p.close()
    for use in (p.join, p.is_alive, p.terminate, p.kill):
        with pytest.raises(ValueError, match="process object is closed"):
            use()
    assert exec_name() == "sleep"


def exec_name():
    p = exec_process(["sleep", "1000"])
    p.kill()
    join(p)
    return p.name


def test_greenlets_go_on_while_a_program_runs():
    ticks = []

    def tick():
        while len(ticks) < 5:
            ticks.append(1)
            gevent.sleep(0.001)
        p.stdin.close()

    p = sh("cat", stdin=subprocess.PIPE)
    gevent.spawn(tick)
    assert join(p) == 0
    assert len(ticks) == 5


def test_a_program_that_is_a_daemon_ends_with_its_parent(program):
    pid = int(
        program(
            """
            import gipc, os
            p = gipc.exec_process(["sleep", "1000"], daemon=True,
                                  stdin=None, stdout=2)
            print(p.pid, flush=True)
            os.kill(os.getpid(), 9)
            """,
            code=-9,
        )
    )
    support.wait_until(lambda: not support.is_running(pid))


def test_programs_start_from_many_threads():  # H11
    def start(n):
        return [join(sh("exit %d" % n)) for _ in range(10)]

    before = threading.active_count()
    jobs = [Job(start, (n,)) for n in range(4)]
    assert [job.get() for job in jobs] == [[n] * 10 for n in range(4)]
    assert threading.active_count() <= before


def test_messages_over_stdin_and_stdout(tmp_path):
    """What a child behind ssh does; what it prints does not get in between."""
    child = support.write_program(
        tmp_path,
        """
        import gipc, os, sys
        h = gipc.stdio(encoder="json", decoder="json")
        print("printed")
        os.system("echo from a program")
        for message in h.messages():
            h.put(message + [sys.stdin.read()])
        """,
    )
    done = subprocess.run(
        [sys.executable, child],
        input=support.frame(b"[1]") + support.frame(b"[2]"),
        capture_output=True,
        timeout=30,
    )
    assert done.stdout == support.frame(b'[1,""]') + support.frame(b'[2,""]')
    assert sorted(done.stderr.split(b"\n")) == [b"", b"from a program", b"printed"]
    assert done.returncode == 0
