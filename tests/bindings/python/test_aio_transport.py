"""The transports of handles, for tasks: on a ring as on a socket."""

import pytest
import support
from aio_support import raw, result_of, under_all
from gipc import aio
from test_transport import ENOUGH, RING, in_use


async def echo(handle):
    async for message in handle:
        await handle.put(message)


@under_all
async def test_a_pipe_changes_to_a_ring_unless_that_is_refused(tasks):
    for transport, used in ("auto", RING), ("plain", "plain"):
        async with raw(True, transport=transport) as (mine, theirs):
            p = aio.start_process(echo, (theirs,))
            for i in range(ENOUGH):
                await mine.put(b"%d" % i)
                assert await mine.get() == b"%d" % i
            assert in_use(mine) == (used, used)
            mine.close()
            await p.join()
            assert p.exitcode == 0


@under_all
async def test_a_get_on_a_ring_blocks_only_its_caller(tasks):
    async with raw(True, transport="auto") as (a, b):
        for i in range(ENOUGH):
            for one, other in (a, b), (b, a):
                await one.put(b"%d" % i)
                assert await other.get() == b"%d" % i
        assert in_use(a) == in_use(b) == (RING, RING)
        waiting = tasks.spawn(a.get)
        other = tasks.spawn(b.get)
        await tasks.settle()
        await a.put(b"for the other direction")
        assert await result_of(tasks, other) == b"for the other direction"
        assert not waiting.done()
        before = a.stats.bells_in, b.stats.bells_out
        await b.put(b"for the one that waits")
        assert await result_of(tasks, waiting) == b"for the one that waits"
        if RING == "ring":
            assert before[0] > 0
            assert b.stats.bells_out == before[1] + 1


@pytest.mark.skipif(support.PORTABLE, reason="it needs rings")
@under_all
async def test_a_ring_is_left_and_used_again(tasks):
    async with raw(transport="ring") as (r, w):
        for expected in "ring", "plain", "ring":
            if expected != in_use(w)[1]:
                w.set_transport(expected)
            for _ in range(3):
                await w.put(b"message")
                assert await r.get() == b"message"
            assert (in_use(w)[1], in_use(r)[0]) == (expected, expected)


@under_all
async def test_a_message_that_is_in_a_ring_is_waited_for(tasks):
    async with raw(transport="auto") as (r, w):
        for _ in range(ENOUGH):
            await w.put(b"x")
            assert await r.get() == b"x"
        for size in 5, 5000, 100_000:
            await w.put(bytes(size))
            assert await aio.wait([r], support.PATIENCE) == [r]
            assert len(await r.get()) == size
        assert await aio.wait([r], 0) == []


@pytest.mark.skipif(support.PORTABLE, reason="it needs rings")
@under_all
async def test_a_put_waits_for_room_in_a_ring(tasks):
    async with raw(transport="ring") as (r, w):
        for _ in range(3):
            await w.put(b"x")
            assert await r.get() == b"x"
        job = tasks.spawn(w.put_many, [bytes(10_000)] * 200)
        await tasks.settle()
        assert not job.done() and w.stats.stalls_out > 0
        for _ in range(200):
            assert len(await r.get()) == 10_000
        await result_of(tasks, job)
        assert in_use(w)[1] == "ring"
