"""Messages through gipc.aio, under asyncio, uvloop and trio."""

import os
import pickle
import struct

import gipc
import pytest
import support
from aio_support import cancel, raw, result_of, under_all
from gipc import GIPCClosed, GIPCTimeout, _native, aio
from support import frame, write_raw

FOR_EVER = (-1, float("-inf"), float("inf"), 1e300)  # as timeouts

# ---- Messages ----------------------------------------------------------------


@under_all
async def test_messages_of_every_size_arrive_whole(tasks):  # H62, H84
    pattern = os.urandom(1 << 16) * 77

    async def put_all(writer):
        for size in support.SIZES:
            await writer.put(pattern[:size])

    async with raw() as (r, w):
        job = tasks.spawn(put_all, w)
        for size in support.SIZES:
            assert await r.get() == pattern[:size]
        await result_of(tasks, job)


@under_all
async def test_a_million_messages_arrive_in_order(tasks):  # H93
    count = 1_000_000 if support.LONG else 50_000

    async def put_all(writer):
        await writer.put_many(struct.pack("I", i) for i in range(count))
        writer.close()

    async with raw() as (r, w):
        job = tasks.spawn(put_all, w)
        for i in range(count):
            assert await r.get() == struct.pack("I", i)
        with pytest.raises(EOFError):
            await r.get()
        await result_of(tasks, job)


@under_all
async def test_the_raw_codec_takes_bytes_only(tasks):
    async with raw() as (r, w):
        for o in ("text", 5, None, [b"x"]):
            with pytest.raises(TypeError):
                await w.put(o)
            with pytest.raises(TypeError):
                await w.put_many([b"x", o])
        await w.put(bytearray(b"bytes"))
        assert await r.get() == b"bytes"


@under_all
async def test_any_object_arrives_by_default(tasks):
    async with aio.pipe() as (r, w):
        for o in (None, b"", {"a": [1, (2,)]}, ValueError):
            assert await w.put(o) is None
            assert await r.get() == o


@under_all
async def test_what_cannot_be_decoded_is_one_message_lost(tasks):
    async with aio.pipe(encoder=None) as (r, w):
        await w.put_many([b"", b"no pickle", pickle.dumps("next")])
        w.close()
        # Not the end of the stream, though pickle calls it so.
        with pytest.raises(EOFError, match="Ran out"):
            await r.__anext__()
        with pytest.raises(pickle.UnpicklingError):
            await r.get()
        assert [message async for message in r] == ["next"]


@under_all
async def test_a_get_that_times_out_loses_nothing(tasks):  # H66, H68
    async with raw() as (r, w):
        for timeout in (0, 0.01):
            with pytest.raises(GIPCTimeout) as caught:
                await r.get(timeout=timeout)
            assert isinstance(caught.value, TimeoutError)
            assert caught.value.withdrawn is None
        for size in (100, 100_000):
            message = os.urandom(size)
            whole = frame(message)
            for start, end in ((0, 2), (2, 4), (4, 50), (50, len(whole) - 1)):
                write_raw(w, whole[start:end])
                with pytest.raises(GIPCTimeout):
                    await r.get(timeout=0.01)
            write_raw(w, whole[-1:])
            assert await r.get(timeout=10) == message


@under_all
async def test_a_put_that_times_out_is_withdrawn(tasks):  # H67
    async with raw() as (r, w):
        taken = 0
        with pytest.raises(GIPCTimeout) as caught:
            while True:
                await w.put(b"%d" % taken, timeout=0.01)
                taken += 1
        assert caught.value.withdrawn
        with pytest.raises(GIPCTimeout) as caught:
            await w.put_many([b"many"] * 10_000_000, timeout=0.01)
        assert caught.value.withdrawn is (caught.value.taken == 0)
        for i in range(taken):
            assert await r.get() == b"%d" % i
        for i in range(caught.value.taken):
            assert await r.get() == b"many"
        await w.put(b"next")
        assert await r.get() == b"next"


@under_all
async def test_wrong_timeouts_are_refused(tasks):
    async with raw() as (r, w):
        for wrong, error in (("1", TypeError), (float("nan"), ValueError)):
            for call in (w.put, w.put_many):
                with pytest.raises(error):
                    await call(b"x", timeout=wrong)
            with pytest.raises(error):
                await w.flush(timeout=wrong)
            await w.put(b"still")  # the first one, and not lost
            for call in (r.get, lambda timeout: r.get_into(bytearray(9), timeout)):
                with pytest.raises(error):
                    await call(timeout=wrong)
            assert await r.get() == b"still"


async def waiting(tasks, call, *arguments):
    job = tasks.spawn(call, *arguments)
    await tasks.settle()
    assert not job.done()
    return job


@under_all
async def test_a_negative_timeout_waits_indefinitely(tasks):
    for timeout in FOR_EVER:
        async with raw() as (r, w):
            first = await waiting(tasks, r.get, timeout)
            second = await waiting(tasks, r.get_into, bytearray(9), timeout)
            await w.put(b"first")
            await w.put(b"second")
            assert await result_of(tasks, first) == b"first"
            assert await result_of(tasks, second) == 6
            large = bytes(1 << 22)
            with pytest.raises(GIPCTimeout):
                await w.put(large, timeout=0)
            flush = await waiting(tasks, w.flush, timeout)
            put = await waiting(tasks, w.put, large, timeout)
            many = await waiting(tasks, w.put_many, [large], timeout)
            assert [len(await r.get()) for _ in range(3)] == [len(large)] * 3
            for job in (flush, put, many):
                assert await result_of(tasks, job) is None


@under_all
async def test_a_get_cancelled_at_any_byte_loses_nothing(tasks):  # H66
    async with raw() as (r, w):
        cuts = {4: range(8), 70_000: (0, 3, 4, 5, 32_768, 70_003)}
        for size, places in cuts.items():
            for cut in places:
                message = os.urandom(size)
                whole = frame(message)
                write_raw(w, whole[:cut])
                job = tasks.spawn(r.get)
                await tasks.settle()
                await cancel(tasks, job)
                write_raw(w, whole[cut:])
                assert await r.get(timeout=10) == message


@under_all
async def test_a_get_into_cancelled_at_any_byte_loses_nothing(tasks):
    buffer = bytearray(100_000)
    async with raw() as (r, w):
        for cut in (0, 3, 4, 5, 40_000, 70_003):
            message = os.urandom(70_000)
            whole = frame(message)
            write_raw(w, whole[:cut])
            job = tasks.spawn(r.get_into, buffer)
            await tasks.settle()
            await cancel(tasks, job)
            buffer.extend(b"x")  # it is not held any more
            del buffer[-1:]
            write_raw(w, whole[cut:])
            assert await r.get_into(buffer, timeout=10) == 70_000
            assert buffer[:70_000] == message


@under_all
async def test_a_put_cancelled_at_any_byte_keeps_the_stream_in_order(tasks):
    # H67
    outcomes = set()
    for reads in (0, 1, 3, 4, 5, 6, 7, 100, 5_000, 70_000, 99_000):
        for big in (b"b" * 5_000, b"B" * 300_000):
            async with raw() as (r, w):
                support.shrink(w)
                stream = b""
                fill = tasks.spawn(put_until_full, w)
                await tasks.settle()
                await cancel(tasks, fill)
                job = tasks.spawn(w.put, big)
                await tasks.settle()
                while len(stream) < reads and support.is_readable(r._fd):
                    stream += os.read(r._fd, min(reads - len(stream), 4096))
                    await tasks.settle()
                job.cancel()
                await tasks.ended(job)
                after = tasks.spawn(put_and_close, w)
                while True:
                    await tasks.settle()
                    if support.is_readable(r._fd):
                        data = os.read(r._fd, 65536)
                        if not data:
                            break
                        stream += data
                await result_of(tasks, after)
            sizes = []
            while stream:
                (size,) = struct.unpack("!i", stream[:4])
                assert len(stream) >= 4 + size
                sizes.append(stream[4 : 5].decode() + str(size))
                stream = stream[4 + size :]
            assert sizes.pop() == "n4"
            whole = big[:1].decode() + str(len(big))
            outcomes.add(whole in sizes)
            assert set(sizes) <= {"f1000", whole} and sizes.count(whole) <= 1
            assert whole not in sizes or sizes[-1] == whole
            if not job.cancelled():
                assert whole in sizes
    assert outcomes == {True, False}


async def put_until_full(writer):
    while True:
        await writer.put(b"f" * 1000)


async def put_and_close(writer):
    await writer.put(b"next")
    await writer.aclose()


@under_all
async def test_a_started_message_is_finished_in_the_background(tasks):
    message = os.urandom(1 << 20)
    async with raw() as (r, w):
        for _ in range(3):
            job = tasks.spawn(w.put, message)
            await tasks.settle()
            await cancel(tasks, job)
            # Nothing of w is called any more.
            assert await r.get(timeout=10) == message
            await tasks.settle()
            assert w._background_flush is None
            await w.put(b"next")
            assert await r.get() == b"next"


@under_all
async def test_puts_in_a_batch_leave_together(tasks):
    async with raw() as (r, w):
        before = _native.handle_stats(w._h).writes
        async with w.batch():
            for i in range(1000):
                await w.put(b"%d" % i)
            async with w.batch():
                await w.put(b"nested")
            await w.put(b"last")
        assert _native.handle_stats(w._h).writes - before <= 10
        for i in range(1000):
            assert await r.get() == b"%d" % i
        assert await r.get() == b"nested"
        assert await r.get() == b"last"
        await w.put(b"alone")
        assert support.is_readable(r._fd)
        assert await r.get() == b"alone"


@under_all
async def test_a_cancelled_batch_loses_nothing(tasks):
    message = bytes(1000)

    async def fill():
        async with w.batch():
            for _ in range(2000):
                await w.put(message)
                done.append(1)

    async with raw() as (r, w):
        done = []
        job = tasks.spawn(fill)
        await tasks.settle()
        await cancel(tasks, job)
        assert 0 < len(done) < 2000
        for _ in range(len(done)):
            assert await r.get(timeout=10) == message
        with pytest.raises(GIPCTimeout):
            await r.get(timeout=0.01)

        async def put_and_wait():
            async with w.batch():
                await w.put_many([b"a", b"b"])
                await w.put(b"c")
                await tasks.sleep(1000)

        job = tasks.spawn(put_and_wait)
        await tasks.settle()
        await cancel(tasks, job)
        for message in (b"a", b"b", b"c"):
            assert await r.get(timeout=10) == message


@under_all
async def test_large_messages_go_into_the_callers_memory(tasks):
    message = os.urandom(1 << 20)
    buffer = bytearray(1 << 20)
    async with raw() as (r, w):
        job = tasks.spawn(w.put, message)
        with pytest.raises(gipc.GIPCTooBig):
            await r.get_into(bytearray(100))
        assert await r.get_into(buffer) == len(message)
        assert buffer == message
        await result_of(tasks, job)
        await w.put(b"small")
        assert await r.get_into(buffer) == 5 and buffer[:5] == b"small"


# ---- The end -----------------------------------------------------------------


@under_all
async def test_the_end_of_the_stream_is_told(tasks):  # H83
    async with raw() as (r, w):
        await w.put(b"last")
        job = tasks.spawn(r.get)
        assert await result_of(tasks, job) == b"last"
        job = tasks.spawn(r.get)
        await tasks.settle()
        w.close()
        await tasks.ended(job)
        with pytest.raises(EOFError):
            job.result()
        for _ in range(3):
            with pytest.raises(EOFError):
                await r.get()
        assert [message async for message in r] == []


@under_all
async def test_a_put_without_a_reader_is_a_broken_pipe(tasks):  # H75
    async with raw() as (r, w):
        job = tasks.spawn(w.put, bytes(1 << 20))
        await tasks.settle()
        r.close()
        await tasks.ended(job)
        with pytest.raises(BrokenPipeError):
            job.result()
        with pytest.raises(BrokenPipeError):
            await w.put(b"x")
        with pytest.raises(BrokenPipeError):
            await w.put_many([b"x"])


@under_all
async def test_a_stream_cut_inside_a_message_is_told(tasks):  # H65
    for size, cut in support.CUTS:
        async with raw() as (r, w):
            await w.put(b"whole")
            write_raw(w, frame(bytes(size))[:cut])
            w.close()
            assert await r.get() == b"whole"
            with pytest.raises(gipc.GIPCTruncated):
                await r.get()


@under_all
async def test_a_hostile_peer_is_a_clear_error(tasks):  # H63, H64
    for data, error in support.HOSTILE:
        async with raw() as (r, w):
            write_raw(w, data)
            with pytest.raises(error):
                await r.get()


@under_all
async def test_a_close_sends_what_a_cancelled_put_left(tasks):
    message = os.urandom(1 << 20)
    for wait in (False, True):
        async with raw() as (r, w):
            job = tasks.spawn(w.put, message)
            await tasks.settle()
            await cancel(tasks, job)
            closing = tasks.spawn(w.aclose) if wait else w.close()
            await tasks.settle()
            with pytest.raises(GIPCClosed):
                await w.put(b"late")
            with pytest.raises(GIPCClosed):
                w.close()
            if wait:
                assert not closing.done()
            assert await r.get(timeout=10) == message
            with pytest.raises(EOFError):
                await r.get(timeout=10)
            if wait:
                await result_of(tasks, closing)


@under_all
async def test_a_duplex_handle_closes_after_what_is_left(tasks):
    message = os.urandom(1 << 20)
    async with raw(True) as (a, b):
        job = tasks.spawn(a.put, message)
        await tasks.settle()
        await cancel(tasks, job)
        a.close()
        assert a._closed
        assert await b.get(timeout=10) == message
        with pytest.raises(EOFError):
            await b.get(timeout=10)
        await tasks.settle()
        assert a._reader._h is None and a._writer._h is None
