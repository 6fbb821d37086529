"""Threads and plain scripts: waiting without the interpreter's lock, Ctrl-C,
handles between threads, starts in a process with threads."""

import logging
import logging.handlers
import signal
import socket
import subprocess
import sys
import threading
import time

import gevent
import gipc
import pytest
import support
from gipc import GIPCLocked, GIPCProtocolError, pipe, start_process
from support import Job


def raw():
    return pipe(encoder=None, decoder=None)


def echo(h):
    for o in iter(h.get, None):
        h.put(o)


def test_threads_go_on_while_a_get_waits(way):
    """One of them sees that this one waits, which holds no lock then."""
    me = threading.get_native_id()

    def answer():
        support.wait_until(lambda: support.in_poll(me))
        w.put("at last")

    with pipe() as (r, w):
        job = Job(answer, ())
        assert r.get() == "at last"
        job.get()


def test_threads_count_while_a_get_waits():
    """They see every message pass, and count meanwhile."""
    with pipe() as (r, w):
        get = Job(r.get, ())
        support.wait_until(lambda: support.in_poll(get.native_id))
        begin = time.monotonic()
        for _ in range(1000000):
            pass
        assert not get.ready()
        assert time.monotonic() - begin < 60
        w.put("at last")
        assert get.get() == "at last"


def test_threads_go_on_while_a_put_waits():
    with raw() as (r, w):
        put = Job(w.put, (bytes(1 << 24),))
        support.wait_until(lambda: support.in_poll(put.native_id))
        assert r.get() == bytes(1 << 24)
        put.get()


def test_threads_go_on_while_a_join_waits():
    p = start_process(signal.pause)
    join = Job(p.join, ())
    if not support.PORTABLE:
        support.wait_until(lambda: support.in_poll(join.native_id))
    p.kill()
    join.get()
    assert p.exitcode == -signal.SIGKILL


def test_a_thread_may_get_what_another_puts():
    with raw() as (r, w):
        got = Job(lambda: [r.get() for _ in range(2000)], ())
        for n in range(2000):
            w.put(b"%d" % n)
        assert got.get() == [b"%d" % n for n in range(2000)]


def test_a_get_raises_what_another_thread_found_just_before_its_wait():
    from gipc import _native

    ours, theirs = socket.socketpair()
    with gipc.open(ours, transport="plain") as handle, theirs:
        h = handle.reader._h
        assert _native.take(h) == _native.WAIT
        assert _native.take_after(_native.WAIT, h) == _native.WAIT
        theirs.send(b"\xff\xff\xff\xf0")
        with pytest.raises(GIPCProtocolError):
            _native.take(h)
        with pytest.raises(GIPCProtocolError):
            _native.take_after(_native.WAIT, h)


def test_many_threads_share_a_pipe():  # H100
    """Every message arrives once and whole, whoever puts and gets it."""
    with raw() as (r, w):
        sizes = [0, 10, 5000, 70000]
        puts = [
            Job(lambda n=n: [w.put(b"%d " % n + bytes(s)) for s in sizes * 25], ())
            for n in range(4)
        ]
        gets = [Job(lambda: [r.get() for _ in range(100)], ()) for _ in range(4)]
        messages = [m for get in gets for m in get.get()]
        for put in puts:
            put.get()
        expected = [b"%d " % n + bytes(s) for n in range(4) for s in sizes * 25]
        assert sorted(messages) == sorted(expected)


def test_threads_and_greenlets_share_a_pipe():
    with raw() as (r, w):
        in_threads = [
            Job(lambda: [r.get() for _ in range(50)], ()) for _ in range(2)
        ]
        in_greenlets = [
            gevent.spawn(lambda: [r.get() for _ in range(50)]) for _ in range(2)
        ]
        putting = gevent.spawn(lambda: [w.put(b"%d" % n) for n in range(200)])
        gevent.joinall(in_greenlets, timeout=20)
        putting.get()
        messages = [m for get in in_greenlets + in_threads for m in get.get()]
        assert sorted(messages, key=int) == [b"%d" % n for n in range(200)]


def test_a_handle_that_a_thread_uses_cannot_be_closed_or_given():
    with pipe() as (r, w):
        get = Job(r.get, ())
        support.wait_until(lambda: support.in_poll(get.native_id))
        with pytest.raises(GIPCLocked):
            r.close()
        with pytest.raises(GIPCLocked):
            start_process(echo, (r,))
        w.put(1)
        assert get.get() == 1
    assert support.children() == []


def test_every_thread_may_have_its_hub():
    def talk():
        with pipe(duplex=True) as (a, b):
            other = gevent.spawn(echo, b)
            for n in range(100):
                a.put(n)
                assert a.get() == n
            a.put(None)
            other.get()
        hub = gevent.get_hub()
        gevent.sleep(0)
        hub.destroy(destroy_loop=True)
        return True

    jobs = [Job(talk, ()) for _ in range(3)]
    assert all(job.get() for job in jobs)


def test_a_greenlet_may_wait_in_the_threadpool():
    with pipe() as (r, w):
        got = gevent.get_hub().threadpool.spawn(r.get)
        gevent.sleep(0)
        w.put("through the pool")
        assert got.get() == "through the pool"


# ---- Starts in a process with threads -------------------------------------------


def test_children_start_from_any_thread():  # H19, H32
    def work(n):
        codes = []
        for i in range(8):
            with pipe(duplex=True) as (mine, its):
                p = start_process(echo, (its,))
                mine.put([n, i])
                assert mine.get() == [n, i]
                mine.put(None)
                p.join()
                codes.append(p.exitcode)
        return codes

    jobs = [Job(work, (n,)) for n in range(4)]
    for job in jobs:
        assert job.get() == [0] * 8


def test_children_start_while_threads_are_busy():  # H1, H34
    """The child does not inherit a lock that nobody will release.  (Python
    itself looks after those of logging, but not those of files.)"""
    stop = threading.Event()
    log = logging.getLogger("busy")
    log.propagate = False
    log.addHandler(logging.handlers.MemoryHandler(10, target=None))

    def busy():
        while not stop.is_set():
            log.warning("%d", len(repr([object() for _ in range(50)])))

    def child():
        for _ in range(20):
            log.warning("from the child")

    jobs = [Job(busy, ()) for _ in range(3)]
    try:
        for _ in range(30):
            p = start_process(child)
            p.join(30)
            assert p.exitcode == 0
    finally:
        stop.set()
        for job in jobs:
            job.get()


def test_the_child_of_a_thread_has_a_main_thread():
    def child(w):
        me = threading.current_thread()
        w.put((me is threading.main_thread(), threading.active_count()))

    def start():
        with pipe() as (r, w):
            p = start_process(child, (w,))
            told = r.get()
            p.join()
            return told

    assert Job(start, ()).get() == (True, 1)


def test_a_daemon_outlives_the_thread_that_started_it():  # H19
    p = Job(lambda: start_process(signal.pause, daemon=True), ()).get()
    p.join(0.1)
    assert p.is_alive()
    p.kill()
    p.join()


# ---- Ctrl-C ---------------------------------------------------------------------

WAITS = {
    "get": "r.get()",
    "get_in_time": "r.get(timeout=1000)",
    "put": "w.put(bytes(1 << 26))",
    "join": "p.join()",
    "join_in_time": "p.join(1000)",
    "get_into": "r.get_into(bytearray(10))",
}


@pytest.mark.parametrize("with_gevent", [False, True])
@pytest.mark.parametrize("wait", list(WAITS))
def test_ctrl_c_interrupts_at_once(tmp_path, wait, with_gevent):
    source = """
        import signal, sys, time, gipc
        %s
        r, w = gipc.pipe(encoder=None, decoder=None)
        p = gipc.start_process(time.sleep, (1000,), daemon=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("waits", flush=True)
        try:
            %s
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        p.kill()
        p.join()
        """ % ("import gevent; gevent.get_hub()" if with_gevent else "", WAITS[wait])
    p = subprocess.Popen(
        [sys.executable, support.write_program(tmp_path, source)],
        stdout=subprocess.PIPE,
    )
    with p:
        try:
            assert p.stdout.readline() == b"waits\n"
            support.wait_until(lambda: support.in_poll(p.pid, p.pid))
            begin = time.monotonic()
            p.send_signal(signal.SIGINT)
            assert p.stdout.readline() == b"interrupted\n"
            assert time.monotonic() - begin < 60
            assert p.wait(60) == 0
        finally:
            p.kill()


def test_a_signal_handler_runs_and_the_get_goes_on(program):  # H60
    assert (
        program(
            """
            import os, signal, threading, gipc
            main = threading.main_thread().ident
            r, w = gipc.pipe()
            count = 0
            def handler(*_):
                global count
                count += 1
                if count == 20:
                    w.put("done")
                else:
                    signal.setitimer(signal.ITIMER_REAL, 0.002)
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            print(r.get(), count)
            """
        )
        == "done 20\n"
    )


def test_a_plain_script_needs_no_gevent(program):
    assert (
        program(
            """
            import sys
            sys.modules["gevent"] = None  # as if it were not installed
            from gipc import pipe, start_process
            def child(h):
                for o in h.get(), h.get():
                    h.put([o])
                sys.exit(3)
            with pipe(True) as (mine, its):
                p = start_process(child, (its,))
                mine.put("a")
                mine.put("b", timeout=10)
                print(mine.get(), mine.get(timeout=10))
                try:
                    mine.get()
                except EOFError:
                    print("end")
                p.join()
            print(p.exitcode, [m for m in sys.modules if m.startswith("gevent.")])
            """
        )
        == "['a'] ['b']\nend\n3 []\n"
    )


def test_waiting_takes_no_processor_time():  # H61
    with pipe() as (r, w):
        get = Job(r.get, ())
        support.wait_until(lambda: support.in_poll(get.native_id))
        p = start_process(time.sleep, (0.3,))
        before = time.process_time()
        p.join()
        assert time.process_time() - before < 0.1
        w.put(None)
        get.get()
