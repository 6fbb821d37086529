"""No harm around it: what importing and using the package leaves as it was, and
what others in the same process do."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest
import support
from gipc import pipe, start_process

# Everything that a module and its classes have, as one comparable thing.
PICTURE = """
import inspect, logging, multiprocessing, multiprocessing.connection
import multiprocessing.popen_fork, multiprocessing.popen_spawn_posix
import multiprocessing.pool, multiprocessing.queues, multiprocessing.util
import os, signal, subprocess, sys, threading, warnings

def picture(*more):
    found = {}
    modules = [m for n, m in sorted(sys.modules.items())
               if n.partition(".")[0] in ("multiprocessing", "gevent")]
    for module in [os, signal, subprocess, threading, sys, *modules, *more]:
        for name, value in vars(module).items():
            if name.startswith("__") or name in ("last_type", "last_value"):
                continue
            found[module.__name__, name] = id(value)
            if inspect.isclass(value):
                for key, member in vars(value).items():
                    if callable(member) or isinstance(member, property):
                        found[module.__name__, name, key] = id(member)
    found["handlers"] = [signal.getsignal(s) for s in signal.valid_signals()]
    found["mask"] = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    found["wakeup"] = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(found["wakeup"])
    found["filters"] = list(warnings.filters)
    found["logging"] = (logging.root.level, list(logging.root.handlers))
    found["start"] = multiprocessing.get_start_method(allow_none=True)
    found["cwd"], found["umask"] = os.getcwd(), os.umask(0o22)
    os.umask(found["umask"])
    found["flags"] = [os.get_blocking(fd) for fd in (0, 1, 2)]
    with open("/proc/self/status") as f:
        kept = "SigBlk", "SigIgn", "SigCgt"
        found["kernel"] = [line for line in f if line.startswith(kept)]
    return found

def changed(before, after):
    return sorted(str(k) for k in before if before[k] != after.get(k))
"""


def test_importing_it_changes_nothing(program):
    assert (
        program(
            PICTURE
            + """
before = picture()
import gipc, gipc.gipc
print(changed(before, picture()))
print("gevent" in sys.modules, "asyncio" in sys.modules)
"""
        )
        == "[]\nFalse False\n"
    )


def test_importing_it_changes_nothing_of_gevent(program):
    assert (
        program(
            PICTURE
            + """
import gevent, gevent.os, gevent.subprocess, gevent.signal, gevent.socket
import gevent.pool, gevent.server
gevent.sleep(0)
before = picture()
import gipc
print(changed(before, picture()))
"""
        )
        == "[]\n"
    )


@pytest.mark.parametrize("with_gevent", [False, True])
def test_using_it_changes_nothing(program, with_gevent):
    assert (
        program(
            PICTURE
            + "import time\n"
            + ("import gevent; gevent.sleep(0)\n" if with_gevent else "")
            + """
import gipc
def child(h): h.put(h.get())
def use():
    with gipc.pipe(True) as (a, b):
        p = gipc.start_process(child, (a,))
        b.put(1)
        assert b.get() == 1
        p.join()
        p = gipc.start_process(time.sleep, (1000,))
        p.terminate()
        p.join(10)
        p.close()
use()
before = picture()
del before["multiprocessing.process", "_process_counter"]
use()
print([c for c in changed(before, picture())
       if not c.startswith("('gevent")])
"""
        )
        == "[]\n"
    )


def test_multiprocessing_works_beside_it(program):
    """Upstream's import makes a plain join return at once."""
    assert (
        program(
            """
            import multiprocessing, sys, time
            import gipc
            def square(n): return n * n
            def slow(q):
                time.sleep(0.1)
                q.put("done")
                sys.exit(5)
            if __name__ == "__main__":
                q = multiprocessing.SimpleQueue()
                p = multiprocessing.Process(target=slow, args=(q,))
                p.start()
                other = gipc.start_process(sys.exit, (3,))
                other.join()
                p.join()
                print(p.exitcode, q.get(), other.exitcode)
                with multiprocessing.Pool(2) as pool:
                    print(pool.map(square, range(5)))
                p = multiprocessing.Process(target=time.sleep, args=(1000,))
                p.start()
                p.join(0.01)
                print(p.exitcode, p.is_alive())
                p.terminate()
                p.join()
                print(p.exitcode)
                p.close()
            """
        )
        == "5 done 3\n[0, 1, 4, 9, 16]\nNone True\n-15\n"
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_it_works_whatever_the_start_method_is(program, method):
    assert (
        program(
            """
            import multiprocessing, sys
            if __name__ == "__main__":
                multiprocessing.set_start_method(%r)
            from gipc import pipe, start_process
            with pipe() as (r, w):
                captured = []
                p = start_process(lambda w: w.put(["child", captured]), (w,))
                print(r.get())
                p.join()
                print(p.exitcode, multiprocessing.get_start_method())
            """
            % method
        )
        == "['child', []]\n0 %s\n" % method
    )


@pytest.mark.parametrize("order", ["before", "after"])
def test_it_works_when_gevent_has_patched_everything(program, order):
    patch = "from gevent import monkey; monkey.patch_all()"
    assert (
        program(
            """
            %s
            from gipc import pipe, start_process
            %s
            import os, subprocess, sys, threading, time, gevent
            def child(h):
                h.get()
                gevent.spawn(h.put, "from a greenlet").get()
                thread = threading.Thread(target=h.put, args=("from a thread",))
                thread.start()
                thread.join()
                h.put(subprocess.check_output(["echo", "x"]))
                sys.exit(3)
            ticks = []
            def tick():
                while True:
                    ticks.append(1)
                    time.sleep(0.001)
            gevent.spawn(tick)
            def go():
                while len(ticks) <= 5: # which a get that blocked would prevent
                    time.sleep(0.001)
                mine.put("go")
            with pipe(True) as (mine, its):
                p = start_process(child, (its,))
                gevent.spawn(go)
                print(*[mine.get() for _ in range(3)])
                p.join()
                print(p.exitcode, len(ticks) > 5)
                reader = threading.Thread(target=mine.get, kwargs={"timeout": 0.05})
                threading.excepthook = lambda error: print(error.exc_type.__name__)
                reader.start()
                reader.join()
            print(subprocess.call(["sh", "-c", "exit 9"]))
            pid = os.fork()
            if pid == 0:
                os._exit(4)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            """
            % ((patch, "") if order == "before" else ("", patch)),
            stderr=None,
        )
        == "from a greenlet from a thread b'x\\n'\n3 True\nEOFError\n9\n4\n"
    )


# ---- Other reapers ------------------------------------------------------------


def test_statuses_are_right_beside_other_reapers(program):  # H40, H43, H101
    """gevent.subprocess makes gevent reap every child there is, with a libev of
    its own where it comes from the package index.  In a program
    of its own: other loops, when they end, take gevent's SIGCHLD away."""
    assert (
        program(
            """
            import sys, gevent, gevent.subprocess, gipc
            def has_ended(p):
                try:
                    with open("/proc/%d/stat" % p.pid) as f:
                        return f.read().rpartition(")")[2].split()[0] == "Z"
                except OSError:
                    return True  # reaped
            others = [gevent.subprocess.Popen(["sh", "-c", "exit 9"])
                      for _ in range(5)]
            ours = [gipc.start_process(sys.exit, (n,)) for n in range(10)]
            killed = gipc.start_process(gevent.sleep, (1000,))
            killed.kill()
            while not all(map(has_ended, [*ours, killed])):
                gevent.sleep(0.001)
            for p in ours + [killed]:
                p.join()
            print([p.exitcode for p in ours], killed.exitcode)
            print([p.wait() for p in others])
            """
        )
        == "%s -9\n%s\n" % (list(range(10)), [9] * 5)
    )


def test_statuses_are_right_beside_other_reapers_under_plain():  # H40, H43
    others = [subprocess.Popen(["sh", "-c", "exit 9"]) for _ in range(5)]
    ours = [start_process(sys.exit, (n,)) for n in range(10)]
    assert [p.wait() for p in others] == [9] * 5
    for p in ours:
        p.join()
    assert [p.exitcode for p in ours] == [*range(10)]


def keeps_statuses():
    """Whether the kernel keeps the status of a process that others reaped."""
    release = tuple(map(int, os.uname().release.split(".")[:2]))
    return release >= (6, 15) and not support.PORTABLE


@pytest.mark.skipif(not keeps_statuses(), reason="needs Linux 6.15")
def test_statuses_are_right_beside_other_reapers_of_any_child(program):  # H41
    assert (
        program(
            """
            import os, signal, threading, time, gipc
            stop = threading.Event()
            def thief():
                while not stop.is_set():
                    try:
                        os.waitpid(-1, os.WNOHANG)
                    except ChildProcessError:
                        time.sleep(0.0001)
            threading.Thread(target=thief).start()
            wrong = []
            for n in range(100):
                p = gipc.start_process(os._exit, (n,))
                p.join()
                if p.exitcode != n:
                    wrong.append((n, p.exitcode))
            p = gipc.start_process(signal.pause)
            p.kill()
            p.join()
            stop.set()
            print(wrong, p.exitcode)
            """
        )
        == "[] -9\n"
    )


@pytest.mark.skipif(not keeps_statuses(), reason="needs Linux 6.15")
def test_statuses_are_right_though_children_are_ignored(program):  # H42
    assert (
        program(
            """
            import os, signal, gipc
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            for n in 0, 7:
                p = gipc.start_process(os._exit, (n,))
                p.join()
                print(p.exitcode)
            print(signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN)
            """
        )
        == "0\n7\nTrue\n"
    )


@pytest.mark.parametrize("with_gevent", [False, True])
def test_the_programs_own_children_stay_its_own(program, with_gevent):  # H43
    assert (
        program(
            """
            import os, subprocess, sys, gipc
            %s
            pids = []
            for n in range(20):
                pid = os.fork()
                if pid == 0:
                    os._exit(n)
                pids.append(pid)
                p = gipc.start_process(sys.exit, (3,))
                p.join()
                assert p.exitcode == 3
            print([os.waitpid(pid, 0)[1] >> 8 for pid in pids] == list(range(20)))
            p = subprocess.Popen(["sh", "-c", "exit 9"])
            gipc.start_process(int).join()
            print(p.wait())
            """
            % ("import gevent; gevent.sleep(0)" if with_gevent else "")
        )
        == "True\n9\n"
    )


def test_no_handler_for_sigchld_is_needed_or_set(program):
    assert (
        program(
            """
            import signal, gipc
            called = []
            signal.signal(signal.SIGCHLD, lambda *_: called.append(1))
            p = gipc.start_process(int)
            p.join()
            handler = signal.getsignal(signal.SIGCHLD)
            print(p.exitcode, handler is not signal.SIG_DFL, len(called))
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
            p = gipc.start_process(exit, (3,))
            p.join()
            print(p.exitcode, signal.sigpending())
            """
        )
        == "0 True 1\n3 {<Signals.SIGCHLD: 17>}\n"
    )


# ---- Descriptors ----------------------------------------------------------------


def test_handles_do_not_reach_programs_that_others_run():  # H11
    with pipe() as (r, w):
        assert not os.get_inheritable(r._fd) and not os.get_inheritable(w._fd)
        listing = subprocess.check_output(
            ["ls", "-l", "/proc/self/fd"], close_fds=False, text=True
        )
        links = [os.readlink("/proc/self/fd/%d" % h._fd) for h in (r, w)]
        assert not any(link in listing for link in links)


def test_blocking_flags_of_foreign_descriptors_stay(program):  # H21, H74
    assert (
        program(
            """
            import os, gipc
            r, w = os.pipe()
            before = [os.get_blocking(fd) for fd in (0, 1, 2, r, w)]
            p = gipc.start_process(int)
            p.join()
            print(before == [os.get_blocking(fd) for fd in (0, 1, 2, r, w)])
            """
        )
        == "True\n"
    )


def test_the_end_comes_though_a_foreign_child_has_a_copy():
    """As when a thread forks by itself just then: no end, but the exit is
    told (H54)."""
    with pipe() as (r, w):
        p = start_process(lambda w: os.fork() or signal.pause(), (w,))
        p.join(20)
        assert p.exitcode == 0
        for pid in orphans_with(r):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(EOFError):
            r.get(timeout=20)


def orphans_with(reader):
    """The processes in our group that are no children of ours."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == os.getpgrp() and int(fields[1]) == 1:
            found.append(int(name))
    return found


def test_unclosed_handles_go_with_their_objects():
    before = support.descriptors()
    for _ in range(50):
        pipe()
    assert support.left_since(before) == {}
    for _ in range(50):
        pipe(duplex=True)
    gc.collect()
    assert support.left_since(before) == {}


def test_nothing_is_printed(capfd):  # H104
    with pipe(duplex=True) as (a, b):
        p = start_process(lambda h: h.get(), (b,))
        a.put(1)
        p.join()
        with pytest.raises((EOFError, ConnectionError)):
            a.get()
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_start_leaves_signals_unblocked_and_threads_alone():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    count = threading.active_count()
    p = start_process(int)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    assert threading.active_count() == count
    p.join()
    assert multiprocessing.active_children() == []
