"""Other peers: a stock multiprocessing.connection in a plain Python, the bytes
on the wire, and peers that break them."""

import os
import socket
import struct
import subprocess
import sys

import gipc
import gevent.socket
import pytest
import support
from gipc import GIPCTooBig, GIPCTruncated, pipe
from support import frame, read_frame, write_raw

CONNECTION = """
    import sys
    from multiprocessing.connection import Connection

    connection = Connection(int(sys.argv[1]))
    while True:
        try:
            data = connection.recv_bytes()
        except EOFError:
            break
        connection.send_bytes(data)
    """
OBJECTS = """
    import sys
    from multiprocessing.connection import Connection

    connection = Connection(int(sys.argv[1]))
    connection.send(connection.recv() + ["and back"])
    """


def raw(duplex=False):
    return pipe(duplex, encoder=None, decoder=None)


def stock_peer(folder, source, handle):
    """A plain Python without this package, with a handle's descriptor."""
    fd = handle._reader._fd
    environment = dict(os.environ, PYTHONPATH="")
    return subprocess.Popen(
        [sys.executable, support.write_program(folder, source), str(fd)],
        pass_fds=[fd],
        env=environment,
    )


def test_a_stock_connection_echoes(way, tmp_path):
    with raw(duplex=True) as (mine, its):
        peer = stock_peer(tmp_path, CONNECTION, its)
        its.close()
        for size in (0, 1, 4, 1000, 16384, 16385, 65536, 1 << 20):
            data = os.urandom(size)
            put = way.spawn(mine.put, data)
            assert mine.get() == data
            put.get()
        mine.close()
        assert peer.wait(20) == 0


def test_a_stock_connection_takes_objects(tmp_path):
    with pipe(duplex=True) as (mine, its):
        peer = stock_peer(tmp_path, OBJECTS, its)
        mine.put(["there"])
        assert mine.get() == ["there", "and back"]
        assert peer.wait(20) == 0


def test_the_bytes_on_the_wire(way):
    with raw() as (r, w):
        for payload in (b"", b"a", b"abc" * 1000):
            w.put(payload)
            assert read_frame(r._fd) == payload
        w.put_many([b"1", b"", b"3"])
        assert os.read(r._fd, 100) == frame(b"1") + frame(b"") + frame(b"3")


def test_a_long_form_header_is_understood(way):
    with raw() as (r, w):
        write_raw(w, struct.pack("!iQ", -1, 5) + b"short" + frame(b"next"))
        assert [r.get(), r.get()] == [b"short", b"next"]


@pytest.mark.parametrize("data, error", support.HOSTILE)
def test_a_hostile_peer_is_a_clear_error(way, data, error):  # H63, H64
    with raw() as (r, w):
        before = support.resident()
        write_raw(w, frame(b"good") + data + bytes(1000))
        assert r.get() == b"good"
        for _ in range(3):
            with pytest.raises(error):
                r.get()
        assert support.resident() - before < 50_000_000


def test_memory_grows_with_what_arrives_not_with_what_is_promised(way):  # H63
    with raw() as (r, w):
        before = support.resident()
        write_raw(w, struct.pack("!i", 1 << 30) + bytes(1000))
        with pytest.raises(TimeoutError):
            r.get(timeout=0.01)
        assert support.resident() - before < 10_000_000


def test_a_stream_cut_inside_a_message_is_told(way):  # H65
    for size, cut in support.CUTS:
        r, w = raw()
        with r:
            write_raw(w, frame(b"whole") + frame(bytes(size))[:cut])
            w.close()
            assert r.get() == b"whole"
            for _ in range(2):
                with pytest.raises(GIPCTruncated) as raised:
                    r.get()
            assert isinstance(raised.value, OSError)
            assert not isinstance(raised.value, EOFError)


def test_a_large_message_cut_short_is_told(way):
    r, w = raw()
    with r:
        write_raw(w, frame(bytes(200000))[:100000])
        get = way.spawn(r.get)
        way.let_it_wait(get)
        w.close()
        with pytest.raises(GIPCTruncated):
            get.get()


def test_a_message_over_the_limit_is_refused(way):
    with raw() as (r, w):
        w.set_limit(100)
        w.put(bytes(100))
        with pytest.raises(GIPCTooBig):
            w.put(bytes(101))
        w.put(b"after")
        assert r.get() == bytes(100)
        assert r.get() == b"after"
        r.set_limit(10)
        w.put(bytes(11))
        with pytest.raises(GIPCTooBig):
            r.get()


def test_a_reset_by_the_peer_comes_after_its_messages():  # H76
    with raw(duplex=True) as (a, b):
        a.put(b"never read")
        b.put(b"last words")
        b.close()
        assert a.get() == b"last words"
        with pytest.raises((EOFError, ConnectionError)):
            a.get()


# ---- Ways to send and receive that upstream has not -----------------------------


def test_puts_in_a_batch_leave_together(way):
    with pipe() as (r, w):
        with w.batch():
            for n in range(100):
                w.put(n)
                assert not support.is_readable(r._fd)
        assert support.is_readable(r._fd)
        assert [r.get() for _ in range(100)] == list(range(100))
        w.put("at once again")
        assert support.is_readable(r._fd)
        assert r.get() == "at once again"


def test_a_batch_larger_than_the_pipe_arrives(way):
    with raw() as (r, w):
        support.shrink(w)

        def put():
            with w.batch():
                for n in range(3000):
                    w.put(b"%d" % n + bytes(n))

        putting = way.spawn(put)
        for n in range(3000):
            assert r.get() == b"%d" % n + bytes(n)
        putting.get()


def test_a_batch_that_fails_sends_what_it_had(way):
    with pipe() as (r, w):
        with pytest.raises(KeyError):
            with w.batch():
                w.put("had")
                raise KeyError
        assert r.get(timeout=10) == "had"


def test_many_are_put_in_order(way):
    with pipe() as (r, w):
        putting = way.spawn(w.put_many, (n for n in range(20000)))
        assert [r.get() for _ in range(20000)] == list(range(20000))
        putting.get()
        w.put_many([])
        w.put_many(iter(["x"]))
        assert r.get() == "x"
        with pytest.raises(TypeError):
            w.put_many(5)


def test_many_that_time_out_say_how_many_were_taken(way):
    with raw() as (r, w):
        support.shrink(w)
        messages = [b"%5d" % n + bytes(5000) for n in range(1000)]
        counts = []
        while counts[-1:] != [0]:
            with pytest.raises(TimeoutError) as raised:
                w.put_many(messages[sum(counts) :], timeout=0.01)
            counts.append(raised.value.taken)
            assert raised.value.withdrawn is (counts[-1] == 0)
        taken = sum(counts)
        assert 0 < taken < 1000
        put = way.spawn(w.put, b"after")
        assert [r.get() for _ in range(taken)] == messages[:taken]
        assert r.get() == b"after"
        put.get()


def test_the_raw_codec_takes_bytes_only_of_many(way):
    with raw() as (r, w):
        with pytest.raises(TypeError):
            w.put_many([b"good", "text"])
        w.put(b"after")
        got = r.get()
        if got == b"good":
            got = r.get()
        assert got == b"after"


def test_messages_arrive_in_the_callers_memory(way):
    with raw() as (r, w):
        buffer = bytearray(100000)
        for size in (0, 1, 100, 40000, 100000):
            data = os.urandom(size)
            w.put(data)
            assert r.get_into(buffer) == size
            assert buffer[:size] == data
        view = memoryview(buffer)
        w.put(b"in the middle")
        assert r.get_into(view[10:30]) == 13
        assert buffer[10:23] == b"in the middle"
        view.release()
        buffer.append(0)  # it is free again


def test_a_buffer_that_is_too_small_loses_nothing(way):
    with raw() as (r, w):
        for size in (11, 100000):
            data = os.urandom(size)
            w.put(data)
            with pytest.raises(GIPCTooBig):
                r.get_into(bytearray(10))
            assert r.get() == data
        w.put(b"x")
        with pytest.raises((TypeError, BufferError)):
            r.get_into(b"read only")
        assert r.get() == b"x"


@pytest.mark.parametrize("size", [30, 1 << 20])
def test_a_get_into_cancelled_loses_nothing(way, size):
    data = os.urandom(size)
    with raw() as (r, w):
        write_raw(w, frame(data)[: min(20, size)])
        buffer = bytearray(size)
        with pytest.raises(TimeoutError):
            r.get_into(buffer, timeout=0.01)
        buffer.append(0)  # it is free again
        rest = way.spawn(write_rest, w, frame(data)[20:])
        assert r.get() == data
        rest.get()


def write_rest(w, data):
    with socket.socket(fileno=os.dup(w._fd)) as s:
        while data:
            try:
                data = data[s.send(data, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                gevent.socket.wait_write(s.fileno())


def test_a_reader_can_be_iterated(way):
    r, w = pipe()
    with r:
        w.put_many(range(10))
        w.close()
        assert list(r) == list(range(10))
        assert list(r) == []


def test_iterating_ends_at_the_end_only(way):
    r, w = raw()
    with r:
        write_raw(w, frame(b"whole") + frame(b"cut")[:5])
        w.close()
        with pytest.raises(GIPCTruncated):
            for message in r:
                assert message == b"whole"
    r, w = pipe(encoder=None)
    with r:
        w.put(b"")  # what pickle answers with an EOFError of its own
        w.close()
        with pytest.raises(Exception) as raised:
            list(r)
        assert raised.type is not StopIteration


@pytest.mark.parametrize("codec", ["json", "msgpack", "pickle"])
def test_codecs_have_names(codec):
    if codec == "msgpack":
        pytest.importorskip("msgpack")
    with pipe(True, encoder=codec, decoder=codec) as (a, b):
        for o in ([1, "\N{SNOWMAN}", None, True, 1.5], {"a": {"b": []}}):
            a.put(o)
            assert b.get() == o
        if codec == "json":
            with pytest.raises(ValueError):
                a.put(float("nan"))
        if codec == "msgpack":
            a.put(b"bytes stay bytes")
            assert b.get() == b"bytes stay bytes"


def test_fileno_is_the_descriptor():
    with pipe() as (r, w):
        assert (r.fileno(), w.fileno()) == (r._fd, w._fd)
    with pytest.raises(gipc.GIPCClosed):
        r.fileno()
