"""The handles of gipc.aio, under asyncio, uvloop and trio."""

import os
import select
import threading

import pytest
import support
from aio_support import cancel, raw, result_of, under_all
from gipc import GIPCClosed, GIPCError, GIPCLocked, GIPCTimeout, aio
from support import frame, write_raw


@under_all
async def test_a_closed_handle_says_so(tasks):  # H96
    r, w = raw()
    r.close()
    await w.aclose()
    with pytest.raises(GIPCClosed):
        await w.put(b"x")
    with pytest.raises(GIPCClosed):
        await w.put_many([b"x"])
    for call in (r.get, w.flush, r.aclose, w.aclose):
        with pytest.raises(GIPCClosed):
            await call()
    with pytest.raises(GIPCClosed):
        await r.get_into(bytearray(1))
    with pytest.raises(GIPCClosed):
        async with w.batch():
            pass
    with pytest.raises(GIPCClosed):
        r.close()


@under_all
async def test_a_handle_in_use_cannot_be_closed(tasks):
    async with raw() as (r, w):
        job = tasks.spawn(r.get)
        await tasks.settle()
        with pytest.raises(GIPCLocked):
            r.close()
        with pytest.raises(GIPCLocked):
            await r.aclose()
        with pytest.raises(GIPCLocked, match="outside of the block"):
            async with r:
                pass
        with pytest.raises(GIPCLocked):
            aio.start_process(support.wait_until, (r,))
        await w.put(b"x")
        assert await result_of(tasks, job) == b"x"


@under_all
async def test_a_handle_of_another_process_says_so(tasks):  # H72, H73
    async with aio.pipe() as (r, w), aio.pipe() as (other, _):

        async def child(w):
            for call in (other.get, other.aclose):
                try:
                    await call()
                except GIPCError as error:
                    await w.put(type(error).__name__)

        p = aio.start_process(child, (w,))
        assert [name async for name in r] == ["GIPCClosed"] * 2
        await p.join()


@under_all
async def test_leaving_the_block_closes(tasks):
    async with raw() as (r, w):
        pass
    assert r._closed and w._closed
    async with raw(True) as (a, b):
        async with a:
            pass
        b._reader.close()
    assert a._closed and b._closed
    with pytest.raises(ZeroDivisionError):
        async with raw() as (r, w):
            async with r:
                1 / 0
    assert r._closed and w._closed


@under_all
async def test_leaving_the_block_does_not_wait_for_a_reader(tasks):
    async def put():
        async with raw(duplex) as (a, b):
            await b.put(bytes(1 << 20))

    for duplex in (False, True):
        job = tasks.spawn(put)
        await tasks.settle()
        await cancel(tasks, job)
        await tasks.settle()
        assert support.open_handles() == []


@under_all
async def test_two_waiters_take_turns(tasks):
    async with raw() as (r, w):
        jobs = [tasks.spawn(r.get) for _ in range(5)]
        await tasks.settle()
        await w.put_many([b"%d" % i for i in range(5)])
        assert {await result_of(tasks, job) for job in jobs} == {
            b"%d" % i for i in range(5)
        }
        jobs = [tasks.spawn(w.put, bytes([i]) * 300_000) for i in range(3)]
        got = [await r.get() for _ in range(3)]
        assert sorted(got) == [bytes([i]) * 300_000 for i in range(3)]
        for job in jobs:
            await result_of(tasks, job)


@under_all
async def test_who_is_cancelled_does_not_disturb_the_next(tasks):
    async with raw() as (r, w):
        for unlucky in range(3):
            jobs = []
            for _ in range(3):
                jobs.append(tasks.spawn(r.get))
                await tasks.settle()
            await cancel(tasks, jobs.pop(unlucky))
            await w.put_many([b"a", b"b"])
            assert await result_of(tasks, jobs[0]) == b"a"
            assert await result_of(tasks, jobs[1]) == b"b"


@under_all
async def test_who_waits_for_a_turn_has_a_deadline(tasks):
    async with raw() as (r, w):
        job = tasks.spawn(r.get)
        await tasks.settle()
        with pytest.raises(GIPCTimeout):
            await r.get(timeout=0.01)
        await w.put(b"x")
        assert await result_of(tasks, job) == b"x"
        assert not r._lock.locked


@under_all
async def test_a_turn_that_comes_to_one_who_is_cancelled_goes_on(tasks):
    async with raw() as (r, w):
        for _ in range(2):
            jobs = []
            for _ in range(3):
                jobs.append(tasks.spawn(r.get))
                await tasks.settle()
            await w.put(b"first")
            # In the same turn of the loop: the second one is woken or not.
            jobs[1].cancel()
            assert await result_of(tasks, jobs[0]) == b"first"
            await w.put(b"last")
            assert await result_of(tasks, jobs[2]) == b"last"
            assert jobs[1].cancelled()
            assert not r._lock.locked


@under_all
async def test_each_direction_has_its_own_waiter(tasks):
    # A duplex handle shows two descriptors; a loop knows one callback for each.
    async with raw(True) as (a, b):
        assert a._reader._fd != a._writer._fd
        getting = tasks.spawn(a.get)
        putting = tasks.spawn(a.put, bytes(1 << 20))
        await tasks.settle()
        assert not getting.done() and not putting.done()
        await b.put(b"x")
        assert await result_of(tasks, getting) == b"x"
        assert not putting.done()
        assert await b.get() == bytes(1 << 20)
        await result_of(tasks, putting)


@under_all
async def test_both_sides_may_put_much_at_once(tasks):  # H78
    async with raw(True) as (a, b):

        async def talk(handle):
            putting = tasks.spawn(handle.put, bytes(1 << 22))
            got = len(await handle.get())
            await tasks.ended(putting)
            return got

        jobs = [tasks.spawn(talk, handle) for handle in (a, b)]
        for job in jobs:
            assert await result_of(tasks, job) == 1 << 22


@under_all
async def test_two_who_put_first_do_not_wait_for_each_other(tasks):  # H78
    async with raw(True) as (a, b):

        async def talk(handle):
            await handle.put(bytes(1 << 20))
            return len(await handle.get())

        jobs = [tasks.spawn(talk, handle) for handle in (a, b)]
        for job in jobs:
            assert await result_of(tasks, job) == 1 << 20


@under_all
async def test_peers_that_put_several_messages_at_once_do_not_lock(tasks):
    for plans in support.plans():  # H78
        async with raw(True) as ends:

            async def talk(handle, mine, others):
                for message in mine:
                    await handle.put(message)
                return [await handle.get() == message for message in others]

            jobs = [
                tasks.spawn(talk, end, *order)
                for end, order in zip(ends, (plans, plans[::-1]))
            ]
            for job in jobs:
                assert all(await result_of(tasks, job))


@under_all
async def test_a_put_receives_from_a_peer_that_reads_when_it_has_written(tasks):
    async with raw(True) as (a, b):  # H78
        peer = support.write_then_read(b, 5_000_000)
        await a.put(bytes(5_000_000), timeout=support.PATIENCE)
        assert len(await a.get()) == 5_000_000
        assert peer.get() == 5_000_004


@under_all
async def test_the_descriptor_can_be_polled(tasks):
    async with raw() as (r, w):
        assert not select.select([r], [], [], 0)[0]
        await w.put(b"x")
        assert select.select([r], [], [], 10)[0]
        assert await r.get() == b"x"


@under_all
async def test_others_go_on_while_a_get_waits(tasks):
    async with raw() as (r, w):
        job = tasks.spawn(r.get)
        for _ in range(3):
            await tasks.settle()
        assert not job.done()
        await w.put(b"x")
        assert await result_of(tasks, job) == b"x"


@under_all
async def test_threads_go_on_while_a_get_waits(tasks):
    me = threading.get_native_id()

    def answer():
        support.wait_until(lambda: support.in_poll(me))
        write_raw(w, frame(b"at last"))

    async with raw() as (r, w):
        job = support.Job(answer, ())
        assert await r.get() == b"at last"
        job.get()


@under_all
async def test_who_never_waits_lets_others_run(tasks):  # H81
    ticks = []

    async def tick():
        while True:
            ticks.append(1)
            await tasks.sleep(0)

    async def repeat(count, call, *arguments):
        del ticks[:]
        for _ in range(count):
            await call(*arguments)
        assert len(ticks) >= 3

    async with raw() as (r, w):
        job = tasks.spawn(tick)
        # All of them are there before the first one is asked for.
        write_raw(w, frame(b"") * 25_000)
        await repeat(25_000, r.get)
        write_raw(w, frame(b"") * 25_000)
        await repeat(25_000, r.get_into, bytearray(1))
        await repeat(1, put_and_take, w, r)
        await cancel(tasks, job)


async def put_and_take(writer, reader):
    """Puts, and takes them from the kernel without a checkpoint."""
    for _ in range(250):
        for _ in range(100):
            await writer.put(b"")
        while support.is_readable(reader._fd):
            os.read(reader._fd, 65536)


@under_all
async def test_a_handle_may_be_used_by_loops_of_two_threads(tasks):
    async with raw() as (r, w):
        first = tasks.spawn(r.get)
        await tasks.settle()
        second = tasks.spawn(
            tasks.in_thread, type(tasks)().run, r.get
        )
        while not r._lock.waiting:
            await tasks.sleep(0.001)
        await w.put(b"first")
        assert await result_of(tasks, first) == b"first"
        await w.put(b"second")
        assert await result_of(tasks, second) == b"second"


@under_all
async def test_handles_print_their_kind_and_descriptor(tasks):
    async with raw() as (r, w), raw(True) as (a, _):
        assert repr(r) == "<Reader_%s fd: %d>" % (r._id, r.fileno())
        assert repr(w) == "<Writer_%s fd: %d>" % (w._id, w.fileno())
        assert repr(a) == "<Duplex(%r, %r)>" % (a._reader, a._writer)


def test_a_call_outside_of_any_loop_says_so():
    r, w = raw()
    with pytest.raises(RuntimeError, match="neither asyncio nor trio"):
        w.put(b"x").send(None)
    with pytest.raises(RuntimeError, match="neither asyncio nor trio"):
        r.get().send(None)
    r.close()
    w.close()
