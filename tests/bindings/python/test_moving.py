"""Handles that move in messages."""

import asyncio
import errno
import json
import os
import socket
import threading

import gipc
import pytest
import support
from gipc import GIPCClosed, GIPCLocked, aio, pipe, start_process
from gipc import open as adopt

pytestmark = pytest.mark.skipif(
    support.PORTABLE, reason="messages have descriptors on Linux only"
)


def echo(requests):
    for request in requests:
        with request["reply"] as reply:
            reply.put(request["n"] + 1)
    requests.put("done")


def test_a_child_answers_on_handles_in_objects(way):
    with pipe(duplex=True) as (mine, its):
        p = start_process(echo, (its,))
        before = support.descriptors()
        for n in range(100):
            r, w = pipe()
            mine.put({"n": n, "reply": w})
            assert w.closed
            with pytest.raises(GIPCClosed):
                w.put(1)
            assert r.get(timeout=support.PATIENCE) == n + 1
            with pytest.raises(EOFError):
                r.get(timeout=support.PATIENCE)
            r.close()
        assert not support.left_since(before)
        mine.shutdown()
        assert mine.get() == "done"
        p.join()
        assert p.exitcode == 0
        mine.close()


def test_each_kind_arrives_as_it_was(way):
    with pipe() as (r, w):
        for codec in ("default", "pickle5", "json", None):
            a, b = pipe(encoder=codec, decoder=codec)
            w.put([a, b])
            a, b = r.get()
            value = b"\0bytes" if codec is None else ["text"]
            b.put(value)
            assert a.get() == value
            with pytest.raises(AttributeError):
                a.put(1)
            a.close()
            b.close()

            a, b = pipe(duplex=True, encoder=codec, decoder=codec)
            w.put((a, b.reader, b.writer))
            assert a.closed and b.closed
            a, reader, writer = r.get()
            a.put(value)
            assert reader.get() == value
            writer.put(value)
            assert a.get() == value
            for h in (a, reader, writer):
                h.close()
        a, b = pipe(duplex=True)
        w.put(a.reader)  # one direction brings the stream of both
        assert a.closed
        for h in (r.get(), b):
            h.close()


def test_what_a_reader_has_not_got_arrives_with_it(way):
    with pipe() as (r, w), pipe() as (a, b):
        b.put_many(range(1000))
        w.put(a)
        with r.get() as moved:
            assert [moved.get() for _ in range(1000)] == list(range(1000))


def test_a_handle_that_is_refused_stays(way):
    with pipe() as (r, w):
        a, b = pipe()
        b.put_many(range(3))
        assert a.get() == 0  # the others are read ahead
        with pytest.raises(OSError) as caught:
            w.put({"a": a})
        assert caught.value.errno == errno.EBUSY
        with pytest.raises(OSError) as caught:
            w.put({"r": r})  # nobody could get it
        assert caught.value.errno == errno.EINVAL
        with pytest.raises(ValueError):
            w.put([b, *(h for _ in range(4) for h in pipe())])
        with pytest.raises(TypeError):
            w.put([b, threading.Lock()])
        with pytest.raises(TypeError):
            w.put_many([b])
        w.put("next")
        assert r.get() == "next"
        b.put(3)
        assert [a.get() for _ in range(3)] == [1, 2, 3]
        b.close()
        w.put(a)
        with pytest.raises(GIPCClosed):
            w.put(a)
        with r.get() as a:
            with pytest.raises(EOFError):
                a.get()


def test_a_handle_in_use_is_refused(way):
    with pipe() as (r, w), pipe() as (a, b):
        job = way.spawn(a.get)
        way.wait_until(lambda: a._lock.locked)
        with pytest.raises(GIPCLocked):
            w.put(a)
        b.put("here")
        assert job.get() == "here"


def test_a_peer_that_is_not_a_handle_gets_none(way):
    ours, theirs = socket.socketpair()
    with theirs, adopt(None, ours) as h, pipe() as (a, b):
        with pytest.raises(OSError) as caught:
            h.put(b)
        assert caught.value.errno == errno.EOPNOTSUPP
        b.put(1)
        assert a.get() == 1


def test_any_codec_brings_handles_beside_descriptors(way):
    for codec in (None, "json", "default", "pickle5"):
        with pipe(encoder=codec, decoder=codec) as (r, w):
            a, b = pipe()
            d, e = pipe(duplex=True)
            message = b"take" if codec is None else "take"
            w.put(message, fds=[0, b, e])
            assert b.closed and e.closed
            assert r.get() == message
            (fd,) = r.take_fds()
            os.close(fd)
            b, e = r.take_handles()
            assert r.take_handles() == []
            b.put(1)
            e.put(2)
            assert (a.get(), d.get()) == (1, 2)
            for h in (a, b, d, e):
                h.close()


def test_those_not_taken_are_closed_with_the_next_get(way):
    with pipe(encoder=None, decoder=None) as (r, w), pipe() as (a, b):
        w.put(b"x", fds=[b])
        w.put(b"y")
        r.get()
        r.get()
        assert r.take_handles() == []
        with pytest.raises(EOFError):
            a.get(timeout=support.PATIENCE)


def test_handles_are_not_pickled_elsewhere():
    import pickle

    with pipe() as (r, w):
        with pytest.raises(TypeError):
            pickle.dumps(r)
        with gipc.Pool(workers=1) as pool:
            with pytest.raises(TypeError):
                pool.call(print, w)


def test_a_large_message_brings_its_handle(way):
    with pipe() as (r, w), pipe() as (a, b):
        job = way.spawn(w.put, [b, bytes(3 << 20)])
        b, data = r.get()
        job.get()
        assert len(data) == 3 << 20
        with b:
            b.put(1)
            assert a.get() == 1


def test_tasks_move_handles():
    async def main():
        async with aio.pipe() as (r, w):
            a, b = aio.pipe(encoder="json", decoder="json")
            await w.put({"b": b})
            assert b.closed
            async with a, (await r.get())["b"] as b:
                assert isinstance(b, type(w))
                await b.put(["x"])
                assert await a.get() == ["x"]
            await w.put(7)
            await w.put(aio.pipe(duplex=True)[0])
            w.close()
            got = [o async for o in r]
            assert got[0] == 7
            got[1].close()

    asyncio.run(main())


def test_a_wrong_reference_is_an_error_and_closes_the_handle(way):
    """A peer names a handle that it did not send."""
    import io

    from gipc._attached import HandlePickler

    with pipe() as (r, w), pipe() as (a, b):
        file = io.BytesIO()
        pickler = HandlePickler(file, 5)
        with pipe() as (c, d):
            pickler.dump([c, d])
        with pipe(encoder=None) as (_, raw):
            pass
        w._codec = None
        w.put(file.getvalue(), fds=[b])
        with pytest.raises(Exception, match="missing"):
            r.get()
        r._natives = []
        with pytest.raises(EOFError):
            a.get(timeout=support.PATIENCE)
