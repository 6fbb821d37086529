"""What a process has beside multiprocessing's: how it is stopped, how it ended,
what it prints, and waiting for several."""

import os
import signal
import sys
import time

import gevent
import gipc
import pytest
import support
from gipc import GIPCError, GIPCTimeout, exec_process, pipe, start_process
from subprocess import DEVNULL, PIPE

# Each says that it is ready, and ends on a signal or never.
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.01; done"
GENTLE = "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done"
for_ever = 1e6


def shell(script, **options):
    p = exec_process(["sh", "-c", script], stdout=PIPE, text=True, **options)
    assert p.stdout.readline() == "up\n"
    return p


def stubborn(writer):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    writer.put("up")
    gevent.sleep(1000)


def gentle(writer):
    writer.put("up")
    gevent.sleep(1000)


def ready(target, **options):
    with pipe() as (r, w):
        p = start_process(target, (w,), **options)
        assert r.get() == "up"
    return p


# ---- Stopping ----------------------------------------------------------------


def test_a_process_is_stopped_with_a_grace_period(way):
    for p, code in (
        (shell(GENTLE), 7),
        (ready(gentle), -signal.SIGTERM),
        # One that has been stopped by a signal acts on SIGTERM all the same.
        (shell(GENTLE), 7),
    ):
        p.send_signal("STOP")
        p.stop(for_ever)
        assert p.exitcode == code and not p.is_alive()
        p.stop()
        assert p.exitcode == code
    for p in shell(STUBBORN), ready(stubborn):
        p.stop(0.05)
        assert p.exitcode == -signal.SIGKILL
        for wrong in -1, float("nan"):
            with pytest.raises(ValueError, match="not"):
                p.stop(wrong)
        with pytest.raises(TypeError):
            p.stop("soon")


def test_others_go_on_while_a_process_is_stopped(way):
    p = shell(STUBBORN)
    with pipe() as (r, w):
        job = way.spawn(p.stop, for_ever)
        way.let_it_wait(job)
        w.put("others go on")
        assert r.get() == "others go on" and not job.ready()
        p.kill()
        job.get(timeout=support.PATIENCE)
    assert p.exitcode == -signal.SIGKILL


# A leader with a child of its own in its group.
FAMILY = "(trap '' TERM; echo up; while :; do sleep 0.01; done) & %s"


@pytest.mark.parametrize("group", ["new", "session"])
def test_a_group_is_stopped_with_all_of_it(way, group):
    for leader in "wait", "exit 3":
        p = shell(FAMILY % leader, group=group)
        p.stop_group(for_ever if leader == "wait" else 0)
        # Both hold the pipe: its end comes when the last of them is gone.
        assert p.stdout.read() == ""
        assert not p.is_alive()
    p.stop_group()


def test_a_group_gets_a_signal_until_its_leader_is_reaped(way):
    p = shell(FAMILY % "exit 3", group="new")
    look = os.WEXITED | os.WNOHANG | os.WNOWAIT
    way.wait_until(lambda: os.waitid(os.P_PID, p.pid, look))
    p.signal_group(signal.SIGKILL)
    assert p.stdout.read() == ""
    p.join()
    p.signal_group("TERM")  # to nobody
    assert p.exitcode == 3


def test_a_group_that_is_shared_gets_no_signal():
    p = shell(GENTLE)
    for send in (p.stop_group, lambda: p.signal_group("TERM")):
        with pytest.raises(ValueError, match="group='new'"):
            send()
    assert p.is_alive()
    p.kill()
    p.join()


def test_signals_have_names(way):
    for name in "USR1", "SIGUSR1", signal.SIGUSR1, int(signal.SIGUSR1):
        for p in shell(GENTLE), ready(gentle):
            p.send_signal(name)
            p.join()
            assert p.exitcode == -signal.SIGUSR1
            p.send_signal(name)  # to nobody
    p = shell(GENTLE)
    for wrong in "USR3", "usr1", 1000, -1:
        with pytest.raises(ValueError, match=str(wrong)):
            p.send_signal(wrong)
    with pytest.raises(TypeError, match="1.5"):
        p.send_signal(1.5)
    p.kill()
    p.join()


# ---- How it ended ------------------------------------------------------------


def spend():
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    sys.exit(3)


def test_exit_info_says_how_the_status_is_known(way):
    p = ready(gentle)
    assert p.exit_info is None
    p.kill()
    p.join()
    info = p.exit_info
    assert (info.code, info.signal, info.core) == (None, signal.SIGKILL, False)
    assert info.how in ("wait", "kernel", "reported")
    assert info.ended == "unknown"
    p = start_process(spend)
    p.join()
    info = p.exit_info
    assert (info.code, info.signal, info.ended) == (3, None, "exit")
    for target, ended in ((int, "return"), (divmod, "exception")):
        p = start_process(target, stderr=DEVNULL)
        p.join()
        assert p.exit_info.ended == ended
    if info.how == "wait":
        assert info.user + info.system >= 0.02 and info.max_rss > 1000
    p = exec_process(["sh", "-c", "exit 4"])
    p.join()
    assert p.exit_info[:3] == (4, None, False) and p.exit_info.ended == "unknown"
    assert p.returncode == 4
    p.close()
    with pytest.raises(ValueError, match="closed"):
        p.exit_info


def test_exit_info_says_that_another_reaper_had_the_status():  # H47
    p = shell(GENTLE)
    p.kill()
    os.waitpid(p.pid, 0)
    p.join()
    if "kept_status" in gipc.features():
        assert p.exit_info.how == "kernel"
        assert p.exit_info.signal == signal.SIGKILL
        assert p.exit_info.user is None and p.exit_info.max_rss is None
    else:
        assert p.exit_info[:4] == (None, None, False, "lost")


def test_wait_gives_the_exit_code_or_says_that_it_runs(way):
    p = shell(GENTLE)
    with pytest.raises(GIPCTimeout, match="running"):
        p.wait(0)
    with pytest.raises(TimeoutError):
        p.wait(timeout=0.01)
    p.terminate()
    assert p.wait() == p.wait(0) == p.returncode == 7


# ---- What it prints ----------------------------------------------------------


def test_communicate_feeds_and_reads_at_once(way):
    big = os.urandom(1 << 20)
    streams = dict(stdin=PIPE, stdout=PIPE, stderr=PIPE)
    with exec_process(["sh", "-c", "tee /dev/stderr"], **streams) as p:
        assert p.communicate(big) == (big, big)
    assert p.communicate() == (big, big)
    # Who does not read, and who closes early.
    p = exec_process(["true"], **streams)
    assert p.communicate(big) == (b"", b"") and p.exitcode == 0
    p = exec_process(["sh", "-c", "exec >&- 2>&-; exit 3"], **streams)
    assert p.communicate() == (b"", b"") and p.exitcode == 3
    p = exec_process(["true"])
    assert p.communicate() == (None, None) and p.exitcode == 0
    p = exec_process(["true"])
    with pytest.raises(ValueError, match="no stdin"):
        p.communicate(b"x")
    with pytest.raises(TypeError, match="bytes"):
        p.communicate("x")
    p.join()
    p.close()


MORE = "import os\nwhile d := os.read(0, 4096): os.write(1, d * 50)"


def test_a_program_may_print_more_than_it_reads(way):
    p = exec_process([sys.executable, "-c", MORE], stdin=PIPE, stdout=PIPE)
    assert p.communicate(bytes(1 << 17))[0] == bytes(50 << 17)


def test_a_communicate_that_times_out_goes_on(way):
    p = exec_process(["sh", "-c", "read x; echo $x; exec sleep 1000"],
                     stdin=PIPE, stdout=PIPE, text=True)
    with pytest.raises(GIPCTimeout, match="streams"):
        p.communicate("hello\n", timeout=0)
    with pytest.raises(ValueError, match="first"):
        p.communicate("more")
    while not p._talk._read[0]:
        with pytest.raises(GIPCTimeout):
            p.communicate(timeout=0.01)
    p.kill()
    assert p.communicate() == ("hello\n", None)


def test_the_block_of_a_process_waits_for_it(way):
    with exec_process(["cat"], stdin=PIPE) as p:
        p.stdin.write(b"its stdin is closed")
    assert p.exitcode == 0 and p.stdin.closed
    with start_process(sys.exit, (3,)) as p:
        pass
    assert p.exitcode == 3
    with pytest.raises(KeyError):
        with ready(gentle) as p:
            raise KeyError
    assert p.exitcode == -signal.SIGTERM


# ---- Ctrl-C ------------------------------------------------------------------

INTERRUPTED = """
import gipc, gipc.aio, os, signal, sys, time
def child(w):
    w.put("ready")
    while True:
        time.sleep(10)
def handles(w):
    signal.signal(signal.SIGINT, lambda *_: sys.exit(9))
    child(w)
if __name__ == "__main__":
    for target in child, handles:
        for module in gipc, gipc.aio:
            for method in "fork", "spawn":
                with gipc.pipe() as (r, w):
                    p = module.start_process(target, (w,), method=method)
                    assert r.get() == "ready"
                    os.kill(p.pid, signal.SIGINT)
                    getattr(p, "_process", p).join()
                    print(p.exitcode, end=" ")
"""


def test_ctrl_c_ends_a_child_without_a_handler(program):
    # The same way with both methods, and without a traceback.
    assert program(INTERRUPTED) == "-2 -2 -2 -2 9 9 9 9 "


# ---- Waiting for several -----------------------------------------------------


def test_several_handles_and_processes_are_waited_for(way):
    with pipe() as (r, w), pipe(True) as (a, b):
        p, q = shell(GENTLE), ready(gentle)
        everything = [r, a, p, q]
        assert gipc.wait(everything, 0) == gipc.wait(everything, 0.01) == []
        w.put("first")
        assert gipc.wait(everything) == [r]
        b.put("second")
        assert gipc.wait(everything, -1) == [r, a]
        assert gipc.wait([q, a, r]) == [a, r]
        assert (r.get(), a.get()) == ("first", "second")
        for one, code in (q, -signal.SIGTERM), (p, 7):
            job = way.spawn(gipc.wait, everything)
            way.let_it_wait(job)
            assert not job.ready()
            one.terminate()
            assert job.get(timeout=support.PATIENCE) == [one]
            assert one.wait() == code
            everything.remove(one)
        w.close()
        b.close()
        assert gipc.wait(everything) == [r, a]
        with pytest.raises(EOFError):
            r.get()


def test_messages_that_have_been_received_are_ready(way):
    """Their descriptor is quiet then."""
    with pipe(encoder=None, decoder=None) as (r, w):
        w.put_many([b"1", b"2", b"3"])
        for left in 3, 2, 1:
            assert gipc.wait([r], 0) == [r]
            r.get()
        assert gipc.wait([r], 0) == []
        # A part of one is none, once it has been received.
        support.write_raw(w, support.frame(b"parted")[:6])
        with pytest.raises(GIPCTimeout):
            r.get(timeout=0)
        assert gipc.wait([r], 0) == []
        support.write_raw(w, support.frame(b"parted")[6:])
        assert gipc.wait([r], support.PATIENCE) == [r]
        assert r.get() == b"parted"
        support.write_raw(w, b"\xff\xff\xff\xf0")
        assert gipc.wait([r]) == [r]
        with pytest.raises(gipc.GIPCProtocolError):
            r.get()
        assert gipc.wait([r], 0) == [r]


def test_writers_are_ready_when_there_is_room(way):
    with pipe(encoder=None, decoder=None) as (r, w):
        assert gipc.wait([w], 0) == [w]
        support.shrink(w)
        with pytest.raises(GIPCTimeout):
            w.put(bytes(1 << 24), timeout=0)
        job = way.spawn(gipc.wait, [w])
        way.let_it_wait(job)
        assert not job.ready()
        r.close()
        assert job.get(timeout=support.PATIENCE) == [w]


def test_who_waits_disturbs_nobody_who_gets(way):
    with pipe() as (r, w):
        getting = way.spawn(r.get)
        way.let_it_wait(getting)
        waiting = way.spawn(gipc.wait, [r])
        way.let_it_wait(waiting)
        w.put("one")
        assert getting.get(timeout=support.PATIENCE) == "one"
        w.put("two")
        assert waiting.get(timeout=support.PATIENCE) == [r]
        assert r.get() == "two"


def test_what_cannot_be_waited_for_is_refused():
    with pipe() as (r, w):
        w.close()
        with pytest.raises(gipc.GIPCClosed):
            gipc.wait([r, w])
        for wrong in 3, None, "x", [3]:
            with pytest.raises(TypeError, match="objects: .*"):
                gipc.wait(wrong)
        with pytest.raises(TypeError, match="timeout"):
            gipc.wait([r], "soon")
    assert gipc.wait([]) == gipc.wait([], 5) == []
    p = exec_process(["true"])
    p.join()
    p.close()
    with pytest.raises(ValueError, match="closed"):
        gipc.wait([p])


def wait_for_the_parents(p, writer):
    try:
        gipc.wait([p], 0)
    except GIPCError as error:
        writer.put(type(error).__name__)


def test_a_process_of_another_process_says_so():
    p = shell(GENTLE)
    with pipe() as (r, w):
        q = start_process(wait_for_the_parents, (p, w))
        assert r.get() == "GIPCError"
        q.join()
    p.kill()
    p.join()
