"""The kinds of programs that people write with gipc."""

import hashlib
import os
import time

import gevent
import pytest
import support
from gevent.pool import Pool
from gevent.server import StreamServer
from gipc import pipe, start_process


def test_an_echo_pair(way):
    """A child echoes; its end is told by the end of the stream."""

    def echo(r, w):
        with r, w:
            while True:
                try:
                    w.put(r.get())
                except EOFError:
                    break

    with pipe() as (r, its_w), pipe() as (its_r, w):
        p = start_process(echo, (its_r, its_w))
        for n in range(200):
            w.put({"n": n})
            assert r.get() == {"n": n}
        w.close()
        p.join()
        assert p.exitcode == 0
        with pytest.raises(EOFError):
            r.get()


def test_a_stream_server_with_clients_in_a_child():
    served = []

    def serve(sock, address):
        f = sock.makefile("rwb")
        f.write(f.readline())
        f.flush()
        f.close()
        sock.close()
        served.append(address)

    def clients(address, w):
        def client(n):
            s = gevent.socket.create_connection(address)
            f = s.makefile("rwb")
            f.write(b"hello %d\n" % n)
            f.flush()
            answer = f.readline()
            f.close()
            s.close()
            return answer == b"hello %d\n" % n

        w.put(sum(Pool(20).map(client, range(100))))

    import gevent.socket

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    with pipe() as (r, w):
        p = start_process(clients, (server.address, w))
        assert r.get() == 100
        p.join()
        assert p.exitcode == 0
    server.stop()
    assert len(served) == 100


def test_a_web_server_with_a_child_per_request():
    from gevent.pywsgi import WSGIServer

    def answer(w, path):
        w.put(("answer to " + path).encode())

    def application(environ, start_response):
        with pipe() as (r, w):
            p = start_process(answer, (w, environ["PATH_INFO"]))
            body = r.get()
            p.join()
            assert p.exitcode == 0
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    def client(address, w):
        import http.client

        got = []
        for n in range(5):
            c = http.client.HTTPConnection(*address)
            c.request("GET", "/%d" % n)
            got.append(c.getresponse().read())
            c.close()
        w.put(got)

    server = WSGIServer(("127.0.0.1", 0), application, log=None)
    server.start()
    with pipe() as (r, w):
        p = start_process(client, (server.address, w))
        assert r.get() == [b"answer to /%d" % n for n in range(5)]
        p.join()
    server.stop()


def test_a_time_sync_over_a_duplex_pipe(way):
    def child(h):
        with h:
            assert h.get() == "SYN"
            h.put("ACK")
            h.put(time.time())

    with pipe(duplex=True) as (its, mine):
        p = start_process(child, (its,))
        before = time.time()
        mine.put("SYN")
        assert mine.get() == "ACK"
        assert before <= mine.get() <= time.time()
        p.join()
        assert p.exitcode == 0


def test_a_worker_pool_counts_right(way):
    """Greenlets, or threads, feed workers that each have one duplex pipe."""

    def work(h):
        count = 0
        while True:
            job = h.get()
            if job is None:
                h.put(count)
                return
            count += 1
            h.put(job * job)

    workers, free = [], way.Queue()
    for _ in range(4):
        mine, its = pipe(duplex=True)
        workers.append((start_process(work, (its,)), mine))
        free.put(mine)

    def ask(n):
        h = free.get()
        try:
            h.put(n)
            return h.get()
        finally:
            free.put(h)

    feeders = [
        way.spawn(lambda jobs: [ask(n) for n in jobs], range(n, 2000, 50))
        for n in range(50)
    ]
    for n, feeder in enumerate(feeders):
        assert feeder.get() == [n * n for n in range(n, 2000, 50)]
    total = 0
    for p, h in workers:
        h.put(None)
        total += h.get()
        p.join()
        h.close()
        assert p.exitcode == 0
    assert total == 2000


@pytest.mark.timeout(120)
def test_a_raw_transfer_of_500_mb():
    """In messages of 10 MB, with a digest of all; others go on meanwhile."""
    size, count = 10_000_000, 50

    def send(w):
        block = os.urandom(size)
        digest = hashlib.sha1()
        for n in range(count):
            w.put(block)
            digest.update(block[:1000] + block[-1000:])
            block = block[1:] + block[:1]
        w.put(digest.digest())

    with pipe(encoder=None, decoder=None) as (r, w):
        p = start_process(send, (w,))
        ticks = []

        def tick():
            while True:
                ticks.append(1)
                gevent.sleep(0.001)

        ticker = gevent.spawn(tick)
        digest = hashlib.sha1()
        for _ in range(count):
            block = r.get()
            assert len(block) == size
            digest.update(block[:1000] + block[-1000:])
        assert r.get() == digest.digest()
        p.join()
        ticker.kill()
        assert len(ticks) > 20


def test_messages_go_round_through_three_processes():
    def forward(receiver, sender):
        with receiver, sender:
            message = None
            while message != "stop":
                message = receiver.get()
                sender.put(message)

    with pipe(True) as (a, b), pipe(True) as (c, d), pipe(True) as (e, f):
        children = [
            start_process(forward, (b, c)),
            start_process(forward, (d, e)),
        ]
        for n in range(100):
            a.put(n)
            assert f.get() == n
        a.put("stop")
        for p in children:
            p.join()
            assert p.exitcode == 0


def test_a_supervisor_restarts_what_died():
    """A worker that is not alive is replaced; its status says why."""
    statuses = []

    def worker(h):
        job = h.get()
        os.kill(os.getpid(), job) if job else None

    for job in (9, 15, 0):
        mine, its = pipe(duplex=True)
        with mine:
            p = start_process(worker, (its,))
            mine.put(job)
            support.wait_until(lambda: not p.is_alive(), gevent.sleep)
            statuses.append(p.exitcode)
            p.join()
    assert statuses == [-9, -15, 0]
