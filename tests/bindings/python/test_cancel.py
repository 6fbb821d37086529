"""Timeouts and cancellation: at whatever byte, the stream stays in order."""

import array
import fcntl
import os
import random
import socket
import subprocess
import sys
import termios
import time

import gevent
import gevent.socket
import pytest
import support
from gipc import GIPCError, GIPCLocked, GIPCTimeout, pipe, start_process
from support import frame, read_frame, write_raw

MESSAGE = frame(bytes(range(40)))  # 44 bytes on the wire
LARGE = frame(os.urandom(1 << 20))  # received straight into its bytes object
AFTER = frame(b"after")
CUTS = [(MESSAGE, cut) for cut in range(len(MESSAGE))]
CUTS += [(LARGE, cut) for cut in (0, 1, 3, 4, 5, 40000, 1 << 19, 1 << 20)]
F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)  # Python 3.9 lacks it


def raw(duplex=False):
    return pipe(duplex, encoder=None, decoder=None)


def by_seconds(get):
    with pytest.raises(TimeoutError):
        get(timeout=0.001)


def by_gevent_timeout(get):
    timeout = gevent.Timeout.start_new(0.001)
    with pytest.raises(gevent.Timeout) as raised:
        get(timeout=timeout)
    assert raised.value is timeout


def by_block(get):
    with gevent.Timeout(0.001, False):
        get()
        pytest.fail("it came")


def by_kill(get):
    greenlet = gevent.spawn(get)
    gevent.idle()
    greenlet.kill()
    assert isinstance(greenlet.value, gevent.GreenletExit)


CANCELS = [by_seconds, by_gevent_timeout, by_block, by_kill]


# ---- Gets --------------------------------------------------------------------


@pytest.mark.parametrize("cancel", CANCELS)
def test_a_get_cancelled_at_any_byte_loses_nothing(cancel):  # H58, H66
    with raw() as (r, w):
        for data, cut in CUTS:
            writing = gevent.spawn(write_all, w, data[:cut])
            cancel(r.get)
            while not writing.ready():
                cancel(r.get)
            writing = gevent.spawn(write_all, w, data[cut:] + AFTER)
            assert r.get() == data[4:], cut
            assert r.get() == b"after", cut
            writing.get()


def write_all(writer, data):
    """As write_raw; others go on where the pipe is full."""
    with socket.socket(fileno=os.dup(writer._fd)) as s:
        while data:
            try:
                data = data[s.send(data, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                gevent.socket.wait_write(s.fileno())


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 43])
def test_a_get_that_times_out_loses_nothing(way, cut):  # H68
    """The time covers the whole message, at whatever byte it stalls."""
    with raw() as (r, w):
        write_raw(w, MESSAGE[:cut])
        begin = time.monotonic()
        with pytest.raises(GIPCTimeout) as raised:
            r.get(timeout=0.05)
        assert 0.045 < time.monotonic() - begin < 60
        assert isinstance(raised.value, TimeoutError)
        assert isinstance(raised.value, GIPCError)
        assert raised.value.withdrawn is None
        write_raw(w, MESSAGE[cut:] + AFTER)
        assert r.get(timeout=10) == MESSAGE[4:]
        assert r.get(10) == b"after"


def test_a_get_cancelled_twice_loses_nothing(way):
    with raw() as (r, w):
        for byte in LARGE[:50], LARGE[50:99], LARGE[99:200000]:
            write_raw(w, byte)
            with pytest.raises(TimeoutError):
                r.get(timeout=0.001)
        rest = way.spawn(write_all, w, LARGE[200000:])
        assert r.get() == LARGE[4:]
        rest.get()


def test_a_timeout_of_nothing_takes_what_is_there(way):
    with pipe() as (r, w):
        w.put("there")
        assert r.get(timeout=0.0001) == "there"
        w.put("too")
        w.put("and this")
        assert r.get() == "too"
        assert r.get(timeout=1e-9) == "and this"
        with pytest.raises(TimeoutError):
            r.get(timeout=1e-9)


def test_waiting_for_the_turn_counts(way):
    with pipe() as (r, w):
        first = way.spawn(r.get)
        way.let_it_wait(first)
        with pytest.raises(TimeoutError):
            r.get(timeout=0.02)
        w.put("first")
        assert first.get() == "first"
        w.put("second")
        assert r.get() == "second"


@pytest.mark.parametrize("wrong", ["1", object(), float("nan")])
def test_a_timeout_that_cannot_be_is_an_error(wrong):
    """And nothing has been got or put."""
    with raw() as (r, w):
        w.put(b"first")
        for call, *arguments in (
            (r.get,),
            (r.get_into, bytearray(9)),
            (w.put, b"x"),
            (w.put_many, [b"x"]),
            (w.flush,),
        ):
            with pytest.raises((TypeError, ValueError)):
                call(*arguments, timeout=wrong)
        w.put(b"second")
        assert [r.get(), r.get()] == [b"first", b"second"]


FOR_EVER = [-1, float("-inf"), float("inf"), 1e300]


@pytest.mark.parametrize("timeout", FOR_EVER)
def test_a_negative_timeout_waits_indefinitely(way, timeout):
    def waiting(call, *arguments):
        job = way.spawn(call, *arguments)
        way.let_it_wait(job)
        assert not job.ready()
        return job

    with raw() as (r, w):
        first = waiting(r.get, timeout)
        second = way.spawn(r.get_into, bytearray(9), timeout)
        way.wait_until(lambda: second.ready() or r._lock.waiting)
        w.put(b"first")
        assert first.get() == b"first"
        w.put(b"second")
        assert second.get() == 6
        large = bytes(1 << 22)
        for call, argument in ((w.put, large), (w.put_many, [large])):
            job = waiting(call, argument, timeout)
            assert r.get() == large
            assert job.get() is None
        with pytest.raises(TimeoutError):
            w.put(large, timeout=0)
        flush = waiting(w.flush, timeout)
        assert r.get() == large
        flush.get()


# ---- The same with gevent.Timeout, as upstream has it --------------------------


def test_a_started_timeout_raises_itself():
    with pipe() as (r, w):
        timeout = gevent.Timeout.start_new(0.01)
        with pytest.raises(gevent.Timeout) as raised:
            r.get(timeout=timeout)
        assert raised.value is timeout
        with gevent.Timeout(0.01, False) as timeout:
            r.get(timeout=timeout)
            pytest.fail("it came")
        with pytest.raises(KeyError):
            r.get(timeout=gevent.Timeout.start_new(0.01, KeyError))


def test_a_timeout_is_cancelled_by_the_message():
    with pipe() as (r, w):
        with gevent.Timeout(0.02, False) as timeout:
            gevent.spawn(w.put, "in time")
            assert r.get(timeout=timeout) == "in time"
            assert not timeout.pending
            gevent.sleep(0.05)
            timeout.start()
            w.put("already there")
            assert r.get(timeout=timeout) == "already there"
            assert not timeout.pending
            return
    pytest.fail("it struck")


def test_a_timeout_is_cancelled_by_the_end():
    r, w = pipe()
    with r:
        w.close()
        timeout = gevent.Timeout.start_new(60)
        with pytest.raises(EOFError):
            r.get(timeout=timeout)
        assert not timeout.pending


def test_a_timeout_not_started_has_no_effect():
    with pipe() as (r, w):
        timeout = gevent.Timeout(0.001)
        with gevent.Timeout(0.05, False):
            r.get(timeout=timeout)
            pytest.fail("it came")
        w.put(1)
        assert r.get(timeout=timeout) == 1


def test_a_foreign_timeout_around_it_is_not_taken_for_its_own():
    with pipe() as (r, w):
        outer = gevent.Timeout.start_new(0.01)
        with pytest.raises(gevent.Timeout) as raised:
            r.get(timeout=10)
        assert raised.value is outer
        outer.close()


def test_arrival_and_timeout_in_one_turn_lose_nothing():  # H69
    with pipe() as (r, w):
        expected = 0
        for n in range(200):
            gevent.spawn_later(0.001, w.put, n)
            try:
                got = r.get(timeout=0.001)
            except TimeoutError:
                got = r.get()
            assert got == expected
            expected += 1


def test_a_busy_loop_does_not_shorten_the_time():  # H70
    with pipe() as (r, w):
        gevent.sleep(0)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            r.get(timeout=0.1)
        assert time.monotonic() - begin > 0.09


# ---- Puts --------------------------------------------------------------------


def fill(w):
    """Puts until nothing more is taken; how many messages that were."""
    count = 0
    while True:
        try:
            w.put(b"%6d" % count, timeout=0.001)
        except GIPCTimeout as error:
            assert error.withdrawn
            return count
        count += 1


def test_a_put_that_times_out_is_withdrawn(way):  # H67
    with raw() as (r, w):
        support.shrink(w)
        count = fill(w)
        assert count > 1
        with pytest.raises(TimeoutError):
            w.put(b"withdrawn", timeout=0.01)
        assert [r.get() for _ in range(count)] == [b"%6d" % n for n in range(count)]
        w.put(b"after")
        assert r.get() == b"after"


def cancel_put(cancel, w, data):
    if cancel is by_seconds:
        by_seconds(lambda timeout: w.put(data, timeout=timeout))
    elif cancel is by_gevent_timeout:
        by_gevent_timeout(lambda timeout: w.put(data, timeout=timeout))
    else:
        cancel(lambda: w.put(data))


@pytest.mark.parametrize("cancel", CANCELS)
def test_a_put_cancelled_at_any_byte_keeps_the_stream_in_order(cancel):  # H59, H67
    """Each message arrives whole and once, or not at all; what had begun to
    leave does arrive, without another put."""
    with raw() as (r, w):
        support.shrink(w)
        for size in [*range(1, 60), *range(1000, 20000, 613), 300000]:
            first = size % 3000
            w.put(b"%7d" % size + bytes(first))
            data = b"cut%d" % size + bytes(size * 20)
            cancelled = True
            try:
                cancel_put(cancel, w, data)
            except BaseException:  # it was all taken by the kernel
                cancelled = False
            assert r.get(timeout=10) == b"%7d" % size + bytes(first)
            after = gevent.spawn(w.put, b"after")
            got = r.get(timeout=10)
            if got != b"after":
                assert got == data
                got = r.get(timeout=10)
            else:
                assert cancelled
            assert got == b"after"
            after.get()


def test_what_has_begun_to_leave_arrives_without_another_put():
    with raw() as (r, w):
        support.shrink(w)
        data = os.urandom(1 << 20)
        with pytest.raises(GIPCTimeout) as raised:
            w.put(data, timeout=0.01)
        assert raised.value.withdrawn is False
        assert r.get(timeout=10) == data


def test_closing_sends_the_rest_of_a_cancelled_put(way):
    with raw() as (r, w):
        support.shrink(w)
        data = os.urandom(1 << 20)
        with pytest.raises(TimeoutError):
            w.put(data, timeout=0.01)
        get = way.spawn(r.get)
        close_when_free(way, w)
        assert get.get() == data
        with pytest.raises(EOFError):
            r.get()


def close_when_free(way, w):
    def closed():
        try:
            w.close()
        except GIPCLocked:  # the rest is on its way in the background
            return False
        return True

    way.wait_until(closed)


PUT_AT_EVERY_BYTE = """
    import gipc, sys

    h = gipc.stdio(encoder=None, decoder=None)
    page = 4096
    while True:
        free = int(h.get())
        if free < 0:
            break
        # All of the pipe but `free` bytes.
        h.put(bytes(page - 4 - free))
        try:
            # The kernel fills a page up with what exceeds whole pages.
            h.put(b"x" * (2 * page + free - 4), timeout=0.01)
        except TimeoutError as error:
            print("timed out", flush=True)
            h.put(b"withdrawn" if error.withdrawn else b"begun")
    """


@pytest.mark.parametrize("with_gevent", [False, True])
def test_a_put_cancelled_at_any_byte_of_a_pipe(tmp_path, with_gevent):  # H59
    """Through a pipe of one page, whose free bytes are counted: a message of
    which no byte fitted is withdrawn, any other finishes."""
    source = PUT_AT_EVERY_BYTE
    if with_gevent:
        source = "    import gevent; gevent.get_hub()\n" + source
    out, its_out = os.pipe()
    fcntl.fcntl(out, F_SETPIPE_SZ, 4096)
    p = subprocess.Popen(
        [sys.executable, support.write_program(tmp_path, source)],
        stdin=subprocess.PIPE,
        stdout=its_out,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    os.close(its_out)
    try:
        for free in [*range(12), 100, 4091]:
            p.stdin.write(frame(b"%d" % free))
            # What such a child prints goes to its stderr.
            assert p.stderr.readline() == b"timed out\n"
            # The portable way writes into an empty page only.
            begun = free > 0 and not support.PORTABLE
            assert unread(out) == 4096 - (0 if begun else free)
            assert len(read_frame(out)) == 4096 - 4 - free
            got = read_frame(out)
            if begun:
                assert got == b"x" * (2 * 4096 + free - 4)
                got = read_frame(out)
            assert got == (b"begun" if begun else b"withdrawn")
        p.stdin.write(frame(b"-1"))
        assert p.wait(10) == 0
    finally:
        p.kill()
        p.wait()
        p.stdin.close()
        p.stderr.close()
        os.close(out)


def unread(fd):
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


# ---- With a child ------------------------------------------------------------


def test_gets_cancelled_at_random_while_a_child_writes():
    """As H66; 3,000 messages of random size, a get given up every few of
    them."""
    def write(w, sizes):
        for n, size in enumerate(sizes):
            w.put(b"%5d" % n + bytes(size))

    random.seed(3)
    sizes = [random.choice((0, 10, 1000, 40000, 200000)) for _ in range(3000)]
    cancelled = 0
    with raw() as (r, w):
        p = start_process(write, (w, sizes))
        for n, size in enumerate(sizes):
            while True:
                try:
                    with gevent.Timeout(random.choice((1e-6, 1e-5, 1e-4, 1))):
                        got = r.get()
                    break
                except gevent.Timeout:
                    cancelled += 1
            assert got[:5] == b"%5d" % n and len(got) == 5 + size
        p.join()
    assert cancelled
