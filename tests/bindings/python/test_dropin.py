"""What programs written for upstream gipc 1.8 rely on: its names, what people
import and touch in the wild, and the state of gevent in a child."""

import multiprocessing
import os
import signal
import sys

import gevent
import gipc
import pytest
import support
from gipc import GIPCClosed, GIPCError, GIPCLocked, pipe, start_process


def tell(function):
    """What a function returns in a child."""
    with pipe() as (r, w):
        p = start_process(lambda w: w.put(function()), (w,))
        try:
            return r.get()
        finally:
            p.join()


# ---- Names -------------------------------------------------------------------


def test_the_names_of_the_package():
    assert issubclass(GIPCClosed, GIPCError) and issubclass(GIPCLocked, GIPCError)
    assert issubclass(GIPCError, Exception)
    assert isinstance(gipc.__version__, str)


def test_the_module_of_the_same_name():
    """`from gipc import gipc`, `gipc.gipc.GIPCClosed` and the like."""
    module = gipc.gipc
    assert sys.modules["gipc.gipc"] is module
    for name in ("pipe", "start_process", "GIPCError", "GIPCClosed", "GIPCLocked"):
        assert getattr(module, name) is getattr(gipc, name)
    with pipe() as (r, w), pipe(duplex=True) as (a, b):
        assert isinstance(r, module._GIPCReader) and isinstance(w, module._GIPCWriter)
        assert isinstance(r, module._GIPCHandle) and isinstance(w, module._GIPCHandle)
        assert isinstance(a, module._GIPCDuplexHandle)
        assert sorted(map(repr, module._get_all_handles())) == sorted(
            map(repr, [r, w, a._reader, a._writer, b._reader, b._writer])
        )
    p = start_process(int)
    assert isinstance(p, module._GProcess)
    p.join()


def test_the_default_encoder_can_be_replaced(monkeypatch):
    """As programs do that send functions by cloudpickle."""
    import pickle

    def encode(o):
        return pickle.dumps(["encoded", o])

    monkeypatch.setattr(gipc.gipc, "_default_encoder", encode)
    with pipe() as (r, w):
        w.put(1)
        assert r.get() == ["encoded", 1]


def test_a_process_can_be_made_and_started_by_hand():
    """As people do who take _GProcess for multiprocessing.Process."""
    p = gipc.gipc._GProcess(target=sys.exit, args=(3,), name="by hand")
    assert p.exitcode is None and p.pid is None
    p.start()
    p.join()
    assert p.exitcode == 3

    class Mine(gipc.gipc._GProcess):
        def run(self):
            sys.exit(4)

    p = Mine()
    p.daemon = True
    p.start()
    p.join()
    assert p.exitcode == 4


# ---- Handles -----------------------------------------------------------------


def test_the_pair_is_a_tuple():
    with pipe() as pair:
        assert isinstance(pair, tuple) and len(pair) == 2
        r, w = pair
        assert pair[0] is r and pair == (r, w)


def test_a_duplex_handle_is_its_reader_and_writer():
    with pipe(duplex=True) as (a, b):
        assert isinstance(a, tuple) and a[:] == (a._reader, a._writer)
        assert a._reader._fd != b._reader._fd
        assert callable(a.put) and callable(a.get) and callable(a.close)


def test_handles_are_keys_and_true():
    with pipe() as (r, w), pipe(duplex=True) as (a, b):
        assert r and a
        assert {r: 1, w: 2, a: 3, b: 4}[b] == 4
        assert r != w and r == r


def test_all_of_pipe_may_be_positional():
    with pipe(True, None, None) as (a, b):
        a.put(b"raw")
        assert b.get() == b"raw"


def test_killing_a_greenlet_frees_its_handle():
    before = support.descriptors()
    with pipe() as (r, w):
        kill_in(r.get, r)
        r.close()
    r, w = pipe()
    kill_in(lambda: w.put(bytes(1 << 24)), w)
    # Though a part of the message has left, and nobody reads the rest.
    with gevent.Timeout(5):
        w.close()
    assert support.open_handles() == [r]
    r.close()
    support.wait_until(lambda: not support.left_since(before), gevent.sleep)


def kill_in(use, handle):
    greenlet = gevent.spawn(use)
    gevent.sleep(0)
    with pytest.raises(GIPCLocked):
        handle.close()
    greenlet.kill(block=False)
    gevent.sleep(-1)


# ---- The child ---------------------------------------------------------------


def test_the_child_has_a_loop_of_its_own():  # H25, H26, H28
    ours = gevent.get_hub()

    def child():
        hub = gevent.get_hub()
        done = []
        gevent.spawn_later(0.01, done.append, "timer")
        support.wait_until(lambda: done, gevent.sleep)
        return [id(hub) != id(ours), hub.loop.default, done]

    assert tell(child) == [True, True, ["timer"]]


def test_nothing_of_the_parents_loop_acts_in_the_child():  # H25, H26, H27
    acted = []

    def haunt():
        while True:
            acted.append(os.getpid())
            gevent.sleep(0)

    greenlets = [gevent.spawn(haunt) for _ in range(3)]
    greenlets.append(gevent.spawn_later(0.01, haunt))
    pair = pipe()
    greenlets.append(gevent.spawn(pair[0].get))
    timer = gevent.get_hub().loop.timer(0.005, 0.005)
    timer.start(haunt_once, acted)
    handler = gevent.signal_handler(signal.SIGUSR1, haunt_once, acted)
    support.wait_until(lambda: len(acted) > 100, gevent.sleep)

    def child():
        del acted[:]
        gevent.sleep(0.1)
        return acted

    assert tell(child) == []
    count = len(acted)
    support.wait_until(lambda: len(acted) > count, gevent.sleep)
    assert set(acted) == {os.getpid()}
    timer.stop()
    timer.close()
    handler.cancel()
    gevent.killall(greenlets)
    for h in pair:
        h.close()


def haunt_once(acted):
    acted.append(os.getpid())


def test_the_parents_watchers_still_work_after_a_start():  # H25
    def child(go):
        go.get()

    def tick():
        ticks.append(1)
        go.put(None)

    with pipe() as (r, w), pipe() as (its, go):
        get = gevent.spawn(r.get)
        gevent.idle()
        p = start_process(child, (its,))
        ticks = []
        gevent.spawn_later(0.001, tick)
        p.join()
        w.put("arrives")
        assert get.get(timeout=60) == "arrives" and ticks == [1]


def test_signals_have_their_default_in_the_child():  # H5
    numbers = [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGCHLD]
    before = {n: signal.signal(n, lambda *_: None) for n in numbers[:2]}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        def child():
            odd = [
                int(n)
                for n in signal.valid_signals() - {signal.SIGPIPE}
                if signal.getsignal(n) is not signal.SIG_DFL
            ]
            with open("/proc/self/status") as f:
                masks = dict(line.split(":\t") for line in f if ":\t" in line)
            return odd, *[int(masks[m], 16) for m in ("SigIgn", "SigCgt")]

        odd, ignored, caught = tell(child)
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
    assert odd == []
    assert ignored & ~(0xF << 31) == 1 << (signal.SIGPIPE - 1)
    # The C library's own (32, 33), those of a loop and of faulthandler may be
    # there.
    fatal = "SIGSEGV", "SIGFPE", "SIGABRT", "SIGBUS", "SIGILL"
    for name in ("SIGCHLD", *fatal):
        caught &= ~(1 << (getattr(signal, name) - 1))
    assert caught & ~(0xF << 31) == 0


def test_a_signal_of_the_parents_watcher_kills_the_child():
    def handler():
        sys.exit(20)

    watcher = gevent.signal_handler(signal.SIGTERM, handler)

    def child(w):
        w.put("ready")
        gevent.sleep(100)

    try:
        with pipe() as (r, w):
            p = start_process(child, (w,))
            assert r.get() == "ready"
            os.kill(p.pid, signal.SIGTERM)
            p.join()
            assert p.exitcode == -signal.SIGTERM
    finally:
        watcher.cancel()


def test_the_child_handles_signals_with_gevent():
    def child(w):
        got = gevent.event.AsyncResult()
        watcher = gevent.signal_handler(signal.SIGUSR1, got.set, "usr1")
        w.put("ready")
        w.put(got.get(timeout=20))
        watcher.cancel()

    import gevent.event

    with pipe() as (r, w):
        p = start_process(child, (w,))
        assert r.get() == "ready"
        os.kill(p.pid, signal.SIGUSR1)
        assert r.get() == "usr1"
        p.join()
        assert p.exitcode == 0


def test_names_are_resolved_in_the_child():
    import gevent.socket

    gevent.socket.getaddrinfo("localhost", 21)

    def child():
        return [
            gevent.socket.gethostbyname("localhost"),
            gevent.get_hub().threadpool.apply(len, ("abc",)),
        ]

    assert tell(child) == ["127.0.0.1", 3]


def test_server_and_pool_work_in_the_child():
    from gevent.pool import Pool
    from gevent.server import StreamServer

    def serve(sock, address):
        sock.sendall(sock.recv(100))

    def child():
        with_server = []
        server = StreamServer(("127.0.0.1", 0), serve)
        server.start()

        def client(n):
            s = gevent.socket.create_connection(server.address)
            s.sendall(b"%d" % n)
            with_server.append(int(s.recv(100)))
            s.close()

        Pool(3).map(client, range(6))
        server.stop()
        return sorted(with_server)

    assert tell(child) == list(range(6))


def test_gevent_subprocess_works_in_the_child():
    def child():
        import gevent.subprocess

        return gevent.subprocess.check_output(["echo", "hello"])

    assert tell(child) == b"hello\n"


def test_greenlets_talk_in_the_child():
    def child():
        with pipe() as (r, w):
            put = gevent.spawn(lambda: [w.put(n) for n in range(100)])
            got = [r.get() for _ in range(100)]
            put.get()
        return got

    assert tell(child) == list(range(100))


def test_processes_in_greenlets_do_not_wait_for_each_other():
    import gevent.pool

    def one(n):
        with pipe() as (r, w), pipe() as (r2, w2):
            p = start_process(lambda r, w: w.put(r.get()), (r, w2))
            w.put(n)
            got = r2.get()
            p.join()
            return got, p.exitcode

    assert gevent.pool.Pool(10).map(one, range(20)) == [(n, 0) for n in range(20)]


def test_active_children_are_those_that_run():
    assert multiprocessing.active_children() == []
    p = start_process(gevent.sleep, (100,))
    assert multiprocessing.active_children() == [p]
    p.kill()
    p.join()
    assert multiprocessing.active_children() == []
    with pytest.raises(ValueError, match="process object is closed"):
        p.close()
        p.join()
