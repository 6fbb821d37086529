"""Much of everything: a million messages, many children, huge messages, and
descriptors and memory that stay flat.  GIPC_TEST_LONG=1 runs the full counts."""

import gc
import mmap
import os
import signal
import sys

import gevent
import gevent.subprocess
import pytest
import support
from gevent.pool import Pool
from gipc import pipe, start_process

MILLION = 1_000_000


@pytest.mark.timeout(120)
def test_a_million_messages_arrive_in_order(way):  # H93
    def write(w):
        w.put_many(b"%d" % n for n in range(MILLION))

    with pipe(encoder=None, decoder=None) as (r, w):
        p = start_process(write, (w,))
        n = -1
        for n, message in enumerate(r):
            if int(message) != n:
                break
        assert n == MILLION - 1
        p.join()
        assert p.exitcode == 0


@pytest.mark.timeout(240)
def test_many_single_puts_arrive_in_order(way):
    count = MILLION if support.LONG else MILLION // 10

    def write(w):
        for n in range(count):
            w.put(n)

    with pipe() as (r, w):
        p = start_process(write, (w,))
        for n in range(count):
            assert r.get() == n
        p.join()
        assert p.exitcode == 0


@pytest.mark.timeout(240)
def test_200_children_while_gevent_subprocess_reaps(program):  # H40, H44
    """In a fresh program, since gevent goes on reaping for good."""
    assert (
        program(
            """
            import sys
            import gevent, gevent.subprocess
            from gevent.pool import Pool
            from gipc import pipe, start_process

            def child(r, w, n):
                w.put(r.get() * 2)
                sys.exit(n % 200)

            def ours(n):
                with pipe() as (r, its_w), pipe() as (its_r, w):
                    p = start_process(child, (its_r, its_w, n))
                    w.put(n)
                    answer = r.get()
                    p.join()
                    return answer == 2 * n and p.exitcode == n % 200

            def theirs(n):
                return gevent.subprocess.call(
                    ["sh", "-c", "exit %d" % (n % 7)]) == n % 7

            pool = Pool(20)
            jobs = [(pool.spawn(ours, n), pool.spawn(theirs, n))
                    for n in range(200)]
            print(sum(job.get() for pair in jobs for job in pair))
            """,
            timeout=200,
        )
        == "400\n"
    )


def test_a_hundred_children_at_once():
    children = []
    for n in range(100):
        mine, its = pipe(duplex=True)
        children.append((start_process(echo_once, (its,)), mine))
    for n, (p, mine) in enumerate(children):
        mine.put(n)
    for n, (p, mine) in enumerate(children):
        assert mine.get() == n
        mine.close()
        p.join()
        assert p.exitcode == 0


def echo_once(h):
    h.put(h.get())


@pytest.mark.timeout(900)
def test_descriptors_and_memory_stay_flat(way):
    """Over 10,000 starts and joins, or 500."""
    count = 10000 if support.LONG else 500

    def child(w):
        w.put(b"x" * 1000)

    def rounds(number):
        for _ in range(number):
            with pipe() as (r, w):
                p = start_process(child, (w,))
                assert len(r.get(timeout=30)) == 1000
                p.join(30)
                assert p.exitcode == 0
        del p
        gevent.sleep(0) if way is support.WAYS["gevent"] else None
        gc.collect()
        return support.resident(), len(support.descriptors())

    rounds(count // 10)
    memory, descriptors = rounds(count // 10)
    memory_then, descriptors_then = rounds(count)
    assert descriptors_then == descriptors
    # Less than 100 bytes for each.
    assert memory_then - memory < 100 * count + 300_000


@pytest.mark.timeout(240)
def test_memory_stays_flat_over_messages(way):
    count = MILLION if support.LONG else MILLION // 5
    with pipe(duplex=True) as (a, b):

        def rounds(number):
            for n in range(number):
                a.put([n])
                assert b.get() == [n]
            large = bytes(300000)
            for n in range(number // 1000):
                put = way.spawn(a.put, large)
                assert len(b.get()) > 0
                put.get()
            for n in range(number // 1000):
                with pytest.raises(TimeoutError):
                    b.get(timeout=1e-6)
            gc.collect()
            return support.resident()

        rounds(count // 4)
        before = rounds(count // 4)
        assert rounds(count) - before < 2_000_000


def test_a_slow_reader_does_not_cost_the_writer_memory():  # H79
    """A put waits for the kernel; nothing piles up here."""
    data = bytes(1000)
    with pipe(encoder=None, decoder=None) as (r, w):
        p = start_process(read_all, (r,))
        os.kill(p.pid, signal.SIGSTOP)
        before = support.resident()
        put = gevent.spawn(lambda: [w.put(data) for _ in range(20000)])
        many = gevent.spawn(w.put_many, (data for _ in range(50000)))
        gevent.idle()  # until both wait
        assert not put.ready()
        assert support.resident() - before < 4 << 20
        os.kill(p.pid, signal.SIGCONT)
        put.get()
        many.get()
        w.close()
        p.join()
        assert p.exitcode == 70000 % 251


def read_all(r):
    sys.exit(sum(1 for _ in r) % 251)


def test_a_busy_pipe_does_not_starve_other_greenlets():  # H81
    """What comes without end, and is there already whenever it is got."""

    def write(w):
        while True:
            w.put(1)

    with pipe() as (r, w):
        p = start_process(write, (w,))
        ticks = []
        ticker = gevent.spawn(tick, ticks)
        for n, message in enumerate(r):
            if n == 200000:
                break
        assert len(ticks) > 20
        del ticks[:]
        for _ in range(200000):
            r.get_into(bytearray(20))
        assert len(ticks) > 20
        ticker.kill()
        p.kill()
        p.join()


def tick(ticks):
    while True:
        ticks.append(1)
        gevent.sleep(0)


def test_pools_of_greenlets_in_many_children():
    def child(h):
        with pipe(duplex=True) as (a, b):
            def answer():
                for o in b._reader:
                    b.put(-o)

            answering = gevent.spawn(answer)
            pool = Pool(10)
            h.put(sum(pool.map(lambda n: talk(a, n), range(100))))
            answering.kill()

    def talk(a, n):
        a.put(n)
        return a.get()

    pairs = [pipe(duplex=True) for _ in range(5)]
    children = [start_process(child, (its,)) for _, its in pairs]
    for (mine, _), p in zip(pairs, children):
        assert mine.get() == -sum(range(100))
        mine.close()
        p.join()
        assert p.exitcode == 0


GIB = 1 << 30


def memory_for(size):
    if size > sys.maxsize:
        pytest.skip("needs 64 bits")
    with open("/proc/meminfo") as f:
        available = int(f.read().split("MemAvailable:")[1].split()[0]) * 1024
    if available < size:
        pytest.skip("needs %d GiB of memory" % (size // GIB))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("into", [False, True])
def test_a_message_of_3_gib_arrives_whole(way, into):  # H62
    """Over what one call of the kernel, and the short form of the wire, take;
    it needs a limit to be set."""
    size = 3 * GIB + 5
    if not (support.LONG or into and way is support.WAYS["gevent"]):
        pytest.skip("takes long")
    memory_for(2 * size + GIB)

    def send(w):
        w.set_limit(size)
        w.put(b"".join([b"head", bytes(size - 8), b"tail"]))
        w.put(b"after")

    with pipe(encoder=None, decoder=None) as (r, w):
        p = start_process(send, (w,))
        r.set_limit(None)
        if into:
            got = mmap.mmap(-1, size)
            got.madvise(mmap.MADV_HUGEPAGE)  # less work for the kernel
            assert r.get_into(got) == size
        else:
            got = r.get()
        assert len(got) == size
        assert got[:4] == b"head" and got[-4:] == b"tail"
        assert got[size // 2 : size // 2 + 4] == bytes(4)
        del got
        assert r.get() == b"after"
        p.join()
        assert p.exitcode == 0
