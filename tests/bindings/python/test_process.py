"""Children that run a function: how they start, what they are, how they end."""

import atexit
import multiprocessing
import os
import signal
import sys

import gevent
import pytest
import support
from gipc import GIPCClosed, GIPCLocked, exec_process, pipe, start_process
from support import open_handles


def nothing():
    pass


def for_ever():
    gevent.sleep(1000)


def echo(h):
    while True:
        try:
            h.put(h.get())
        except EOFError:
            break


def run(target, *args, **options):
    """The exit code of a child."""
    p = start_process(target, args, **options)
    p.join()
    return p.exitcode


# ---- Messages with a child ---------------------------------------------------


def test_a_child_echoes(way):
    with pipe(duplex=True) as (mine, its):
        p = start_process(echo, (its,))
        for o in (1, "two", [3] * 100000):
            mine.put(o)
            assert mine.get() == o
        mine.close()
        p.join()
        assert p.exitcode == 0


def test_all_that_was_put_arrives_though_the_child_is_gone():  # H53
    def put_and_end(w):
        for n in range(100):
            w.put(n)

    with pipe() as (r, w):
        p = start_process(put_and_end, (w,))
        p.join()
        assert [r.get() for _ in range(100)] == list(range(100))
        with pytest.raises(EOFError):
            r.get()


def test_two_children_talk_to_each_other():
    with pipe() as (r, w), pipe() as (result, tell):
        writer = start_process(lambda w: w.put([1, 2]), (w,))
        reader = start_process(lambda r, tell: tell.put(r.get()), (r, tell))
        assert result.get() == [1, 2]
        for p in (writer, reader):
            p.join()
            assert p.exitcode == 0


def test_what_the_parent_has_read_ahead_goes_along():
    """Messages that came before the handle was passed are not lost."""
    with pipe() as (r, w), pipe() as (result, tell):
        for n in range(5):
            w.put(n)
        assert r.get() == 0
        p = start_process(
            lambda r, tell: tell.put([r.get() for _ in range(5)]), (r, tell)
        )
        w.put(5)
        assert result.get() == [1, 2, 3, 4, 5]
        p.join()


# ---- Handles of a child ------------------------------------------------------


def test_handles_given_move_and_others_are_closed(way):  # H12, H36, H72
    def child(given, key, tell):
        told = {"open": len(open_handles())}
        told["print"] = [repr(given), repr(key)]
        for name, use in (
            ("other", others[0].get),
            ("twin", lambda: w.put(1)),
            ("close", others[1].close),
        ):
            try:
                use()
            except GIPCClosed:
                told[name] = "closed"
        tell.put(told)

    with pipe() as (r, w), pipe() as (r2, w2), pipe() as others:
        with pipe() as (result, tell):
            printed = [repr(r), repr(w2)]
            p = start_process(child, (r,), {"key": w2, "tell": tell})
            for h in (r, w2, tell):
                assert h._closed and h._fd is None
                with pytest.raises(GIPCClosed):
                    h.close()
            assert not any(h._closed for h in (w, r2, *others))
            assert len(open_handles()) == 5
            told = result.get()
            p.join()
    assert told.pop("print") == printed
    assert told == {"open": 3, "other": "closed", "twin": "closed", "close": "closed"}


def test_a_duplex_handle_moves_whole_and_a_half_alone():
    with pipe(duplex=True) as (a, b), pipe(duplex=True) as (c, d):
        p = start_process(lambda h, half: h.put(half.get()), (b, d._reader))
        assert b._reader._closed and b._writer._closed
        assert d._reader._closed and not d._writer._closed
        c.put("across")
        assert a.get() == "across"
        p.join()


def test_a_handle_given_twice_moves_once():
    with pipe() as (r, w), pipe() as (result, tell):
        try:
            p = start_process(lambda a, b, t: t.put(a is b), (r, r, tell))
        except GIPCClosed:  # upstream's answer, with the child running
            pytest.fail("refused")
        assert result.get() is True
        p.join()


def test_handles_inside_of_arguments_move_too():
    def child(box, tell):
        box["pair"][1].put("out")
        tell.put([box["pair"][0].get(), len(open_handles())])

    with pipe() as (r, w), pipe() as (result, tell):
        p = start_process(child, ({"pair": [r, w]}, tell))
        assert result.get() == ["out", 3]
        p.join()
        assert r._closed and w._closed


def test_a_closed_handle_cannot_be_given():
    with pipe() as (r, w):
        w.close()
        with pytest.raises(GIPCClosed):
            start_process(nothing_of, (w,))
        reap()


def test_a_handle_in_use_cannot_be_given():
    with pipe() as (r, w):
        get = gevent.spawn(r.get)
        gevent.idle()
        with pytest.raises(GIPCLocked):
            start_process(nothing_of, (r,))
        reap()
        w.put("still")
        assert get.get() == "still"


def nothing_of(handle):
    pass


def reap():
    """A start that failed has left no child."""
    for p in multiprocessing.active_children():
        p.join()
    assert support.children() == []


def test_siblings_do_not_hold_each_others_handles():  # H11
    """Else the end of a stream would not come before the last of them ended."""
    pairs = [pipe(duplex=True) for _ in range(10)]
    children = [start_process(echo, (its,)) for _, its in pairs]
    for (mine, _), p in zip(pairs, children):
        mine.close()
        p.join()
        assert p.exitcode == 0


# ---- How it ends -------------------------------------------------------------


@pytest.mark.parametrize(
    "value, code",
    [(0, 0), (1, 1), (3, 3), (255, 255), (256, 255), (300, 255), (-1, 255)]
    + [(None, 0), (True, 1)],
)
def test_exit_codes_are_exact(way, value, code):  # H49
    assert run(sys.exit, value) == code
    if value in range(256):
        assert run(os._exit, value) == code


@pytest.mark.parametrize("number", ["KILL", "TERM", "ABRT", "SEGV", "INT", "HUP"])
def test_exit_codes_are_exact_for_signals(number):
    number = getattr(signal, "SIG" + number)

    def die():
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), number)
        for_ever()

    assert run(die) == -number


def test_a_text_given_to_exit_is_printed(capfd):
    assert run(sys.exit, "farewell") == 1
    assert capfd.readouterr().err == "farewell\n"


def test_an_error_in_the_child_prints_its_trace_and_gives_1(way, capfd):
    def fail():
        raise ValueError("of the child")

    p = start_process(fail, name="bob")
    p.join()
    assert p.exitcode == 1
    printed = capfd.readouterr().err
    assert "Process bob:" in printed
    assert "Traceback (most recent call last)" in printed
    assert "in fail" in printed and printed.endswith("ValueError: of the child\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt, gevent.GreenletExit])
def test_every_error_in_the_child_gives_1(error, capfd):
    def fail():
        raise error

    assert run(fail) == 1
    assert error.__name__ in capfd.readouterr().err


def test_what_the_child_has_printed_gets_out(capfd):  # H31
    def say():
        print("said by the child")

    sys.stdout.flush()
    assert run(say) == 0
    assert capfd.readouterr().out == "said by the child\n"


def test_exit_handlers_of_the_parent_stay_there(way):  # H30, H35
    with pipe() as (r, w):
        handler = support.tell_at_exit(w)
        try:
            assert run(int) == 0 and run(sys.exit, 7) == 7
        finally:
            atexit.unregister(handler)
        with pytest.raises(TimeoutError):
            r.get(timeout=0)


def test_exit_handlers_of_the_parent_run_once(program):  # H30, H35
    assert (
        program(
            """
            import atexit, gipc, sys
            atexit.register(print, "handler")
            class Last:
                def __del__(self): print("deleted")
            last = Last()
            sys.stdout.write("once ")
            p = gipc.start_process(print, ("child",))
            p.join()
            assert p.exitcode == 0
            try:
                gipc.start_process(sys.exit, (7,)).join()
            finally:
                print("end")
            """
        )
        == "once child\nend\nhandler\ndeleted\n"
    )


# ---- Waiting for it ----------------------------------------------------------


@pytest.mark.parametrize("timeout", [-1, float("inf")])
def test_a_negative_timeout_waits_indefinitely_for_a_child(way, timeout):
    for p in start_process(signal.pause), exec_process(["sleep", "1000"]):
        with pytest.raises(ValueError):
            p.join(float("nan"))
        join = way.spawn(p.join, timeout)
        if not support.PORTABLE:
            way.let_it_wait(join)
        assert not join.ready() and p.is_alive()
        p.kill()
        join.get()
        assert p.exitcode == -signal.SIGKILL


def test_a_join_times_out_and_others_go_on(way):
    with pipe() as (r, w):
        p = start_process(nothing_of_reader, (r,))
        for timeout in (0, 0.01):
            assert p.join(timeout) is None
            assert p.is_alive() and p.exitcode is None
        done = []
        other = way.spawn(lambda: (p.join(0.05), done.append("other")))
        p.join(0.1)
        other.get()
        assert done == ["other"]
        w.put("end")
        p.join()
    assert not p.is_alive() and p.exitcode == 0


def nothing_of_reader(r):
    r.get()


def test_many_may_join(way):  # H56
    with pipe() as (r, w):
        p = start_process(nothing_of_reader, (r,))
        joins = [way.spawn(p.join) for _ in range(10)]
        way.let_it_wait(joins[-1])
        w.put("end")
        for join in joins:
            join.get()
        assert p.exitcode == 0
        assert p.join() is None


def test_a_killed_join_leaves_the_others():
    p = start_process(for_ever)
    joins = [gevent.spawn(p.join) for _ in range(3)]
    gevent.idle()
    joins[0].kill()
    p.kill()
    gevent.joinall(joins, timeout=10)
    assert all(join.ready() for join in joins)
    assert p.exitcode == -signal.SIGKILL


def test_the_exit_code_is_seen_without_a_join(way):  # H51
    p = start_process(sys.exit, (3,))
    way.wait_until(lambda: p.exitcode is not None)
    assert p.exitcode == 3 and not p.is_alive()
    p.join()


def test_a_process_that_ends_is_no_zombie_for_long():
    p = start_process(nothing)
    gevent.sleep(0)
    support.wait_until(lambda: not support.is_running(p.pid), gevent.sleep)
    p.join()
    assert support.children() == []


@pytest.mark.skipif(support.PORTABLE, reason="needs a pidfd")
def test_the_sentinel_can_be_waited_for():
    import multiprocessing.connection

    p = start_process(for_ever)
    assert multiprocessing.connection.wait([p.sentinel], 0) == []
    p.kill()
    assert multiprocessing.connection.wait([p.sentinel], 10) == [p.sentinel]
    p.join()


# ---- Stopping it -------------------------------------------------------------


def test_a_child_can_be_terminated_and_killed(way):  # H57
    p = start_process(for_ever)
    assert p.is_alive()
    assert p.terminate() is None
    p.join()
    assert p.exitcode == -signal.SIGTERM
    p.terminate()
    p.kill()
    p = start_process(for_ever)
    p.kill()
    p.join()
    assert p.exitcode == -signal.SIGKILL
    assert not p.is_alive()


def test_stop_and_continue_are_no_end():  # H50
    p = start_process(for_ever)
    for _ in range(5):
        os.kill(p.pid, signal.SIGSTOP)
        p.join(0.01)
        os.kill(p.pid, signal.SIGCONT)
    assert p.is_alive() and p.exitcode is None
    p.kill()
    p.join()


def test_a_daemon_ends_with_its_parent(way):  # H39
    def parent(w):
        start_process(daemon, (w,), daemon=True)
        signal.pause()

    def daemon(w):
        w.put("up")
        signal.pause()

    with pipe() as (r, w):
        p = start_process(parent, (w,))
        assert r.get(timeout=support.PATIENCE) == "up"
        p.kill()
        p.join()
        with pytest.raises(EOFError):
            r.get(timeout=support.PATIENCE)


def test_a_daemon_ends_when_its_parent_exits(program):  # H39
    pid = int(
        program(
            """
            import gevent, gipc
            p = gipc.start_process(gevent.sleep, (1000,), daemon=True)
            print(p.pid)
            """
        )
    )
    support.wait_until(lambda: not support.is_running(pid))


def test_a_daemon_ends_with_its_parent_however_that_ends(program):  # H39
    pid = int(
        program(
            """
            import gevent, gipc, os
            p = gipc.start_process(gevent.sleep, (1000,), daemon=True)
            print(p.pid, flush=True)
            os.kill(os.getpid(), 9)
            """,
            code=-9,
        )
    )
    support.wait_until(lambda: not support.is_running(pid))


def test_others_are_joined_at_exit(program):
    assert (
        program(
            """
            import gevent, gipc
            def late(r):
                try: r.get()
                except EOFError: pass
                print("child", flush=True)
            r, w = gipc.pipe()
            p = gipc.start_process(late, (r,))
            import atexit
            atexit.register(w.close)
            print("main", flush=True)
            """,
        )
        == "main\nchild\n"
    )
