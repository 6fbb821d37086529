"""Cancellations and exceptions that come at any point of what a task does.

Each case gets a function that runs a call, interrupts it, and returns the error
that came out of it, or None; then it checks what is right after that."""

import asyncio
import os
import socket
import threading

import pytest
import support
from aio_support import raw, under, under_all
from gipc import GIPCClosed, GIPCTimeout, GIPCTruncated, aio
from gipc._tasks import running_backend
from support import frame
from test_interruptions import Interrupt, is_hit

LARGE = os.urandom(600_000)  # more than a socket takes at once
HUGE = LARGE * 5  # nor a ring
AFTER = b"after"


class Peer:
    """Behind a writer: reads what arrives with nothing of the package."""

    def __init__(self, reader):
        self._fd = os.dup(reader.fileno())
        self._job = support.Job(self._read, ())

    def _read(self):
        messages = []
        try:
            while True:
                messages.append(support.read_frame(self._fd))
        except AssertionError:
            return messages  # the end
        finally:
            os.close(self._fd)

    async def all(self, writer):
        """After one more."""
        assert not writer._lock.locked and not writer._lock.waiting
        await writer.put(AFTER)
        await writer.aclose()
        return await self.ended()

    async def ended(self):
        # The loop may have to run for the last descriptor to be closed.
        while not self._job.ready():
            await running_backend().sleep(0.001)
        return self._job.get()


def put(message):
    async def case(interrupted):
        async with raw() as (r, w):
            peer = Peer(r)
            data = bytearray(message)
            error = await interrupted(w.put, data)
            data[:] = bytes(len(data))  # the library has let go of it
            got = await peer.all(w)
            assert got in ([message, AFTER], [AFTER])
            assert aio.withdrawn(error) in (None, got == [AFTER])

    return case


async def put_many(interrupted):
    async with raw() as (r, w):
        peer = Peer(r)
        messages = [b"%d" % n + bytes(50_000) for n in range(30)]
        error = await interrupted(w.put_many, messages)
        *got, after = await peer.all(w)
        assert after == AFTER and got == messages[: len(got)]
        if hasattr(error, "taken"):
            assert error.taken == len(got)


async def flush(interrupted):
    async with raw() as (r, w):
        with pytest.raises(GIPCTimeout):
            await w.put(LARGE, timeout=0)
        peer = Peer(r)
        await interrupted(w.flush)
        assert await peer.all(w) == [LARGE, AFTER]


async def batch(interrupted):
    async with raw() as (r, w):

        async def block():
            async with w.batch():
                await w.put(b"1")

        peer = Peer(r)
        await interrupted(block)
        assert await peer.all(w) in ([b"1", AFTER], [AFTER])


async def close(interrupted):
    r, w = raw()
    with pytest.raises(GIPCTimeout):
        await w.put(LARGE, timeout=0)
    peer = Peer(r)
    await interrupted(w.aclose)
    try:
        await w.aclose()
    except GIPCClosed:
        await w._wait_closed(None)
    assert await peer.ended() == [LARGE]
    r.close()


async def close_with_room(interrupted):
    """The second close can write what the first one could not."""
    message = bytes(300_000)
    r, w = raw()
    with pytest.raises(GIPCTimeout):
        await w.put(message, timeout=0)

    async def begin():
        w.close()

    await interrupted(begin)
    got = support.what_is_there(r.fileno())
    try:
        await w.aclose()
    except GIPCClosed:
        await w._wait_closed(None)
    assert got + support.what_is_there(r.fileno()) == frame(message)
    r.close()


def get(call, *parts):
    """The first part is there, the others come when the loop waits."""

    async def case(interrupted):
        r, w = raw()
        support.write_raw(w, parts[0])
        end, me = threading.Event(), threading.get_native_id()
        peer = socket.socket(fileno=os.dup(w.fileno()))
        w.close()

        def write():
            with peer:
                for part in parts[1:]:
                    support.wait_until(
                        lambda: end.is_set() or support.in_poll(me)
                    )
                    peer.sendall(part)
                peer.sendall(frame(AFTER))

        job = support.Job(write, ())
        async with r:
            await interrupted(call, r)
            end.set()
            assert not r._lock.locked
            # Only what was being returned can be lost.
            got = [message async for message in r]
            assert got in ([b"".join(parts)[4:], AFTER], [AFTER])
        job.get()

    return case


async def get_one(reader):
    await reader.get()


async def get_in_time(reader):
    await reader.get(timeout=1000)


async def get_into(reader):
    await reader.get_into(bytearray(len(LARGE)))


SMALL = frame(b"small")
WHOLE = frame(LARGE)
CASES = {
    "put": put(b"small"),
    "put_that_waits": put(LARGE),
    "put_many": put_many,
    "flush": flush,
    "batch": batch,
    "close": close,
    "close_with_room": close_with_room,
    "get": get(get_one, SMALL),
    "get_that_waits": get(get_one, SMALL[:6], SMALL[6:]),
    "get_with_a_timeout": get(get_in_time, SMALL[:6], SMALL[6:]),
    "get_of_a_large_one": get(get_one, WHOLE[:50_000], WHOLE[50_000:]),
    "get_into": get(get_into, WHOLE[:50_000], WHOLE[50_000:]),
}


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("case", list(CASES))
@under("asyncio", "uvloop")
async def test_a_handle_is_usable_after_an_exception_at_any_instruction(
    tasks, case
):  # H124
    nth = 0
    while True:
        interrupt = Interrupt(nth, asyncio.current_task)

        async def interrupted(function, *arguments):
            error = await interrupt.wait(function(*arguments))
            assert error is None or is_hit(error), repr(error)
            return error

        try:
            await CASES[case](interrupted)
        except BaseException:
            print("instruction", nth)
            raise
        if not interrupt.has_come:
            return
        nth += 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", list(CASES))
@under_all
async def test_a_handle_is_usable_after_a_cancellation_at_any_switch(
    tasks, case
):  # H124
    for switches in range(40):
        ended = []

        async def interrupted(function, *arguments):
            job = tasks.spawn(function, *arguments)
            for _ in range(switches):
                await tasks.sleep(0)
            ended.append(job.done())
            job.cancel()
            await tasks.ended(job)
            try:
                return None if job.cancelled() else job.result()
            except asyncio.CancelledError as error:
                return error

        await CASES[case](interrupted)
        if ended == [True]:
            return


@under("asyncio")
async def test_an_error_says_nothing_of_an_earlier_put(tasks):
    async with raw() as (_, w):
        with pytest.raises(GIPCTimeout) as raised:
            await w.put(LARGE, timeout=0)
        assert aio.withdrawn(raised.value) is False
        with pytest.raises(KeyError) as later:
            try:
                raise raised.value
            except GIPCTimeout:
                raise KeyError
        assert aio.withdrawn(later.value) is None
        w.abort()


@under("asyncio", "uvloop")
async def test_every_cancelled_put_says_what_became_of_it(tasks):
    async with raw() as (r, w):
        first = tasks.spawn(w.put, HUGE)
        await tasks.settle()
        # It waits behind the first one.
        second = tasks.spawn(w.put, b"second")
        await tasks.settle()
        for job in (second, first):
            job.cancel()
            await tasks.ended(job)
        # It is cancelled before it has begun.
        third = tasks.spawn(w.put, b"third")
        third.cancel()
        await tasks.ended(third)
        assert [await outcome(job) for job in (first, second, third)] == [
            False,
            True,
            True,
        ]
        assert await r.get() == HUGE
        for message in (HUGE, b""):
            fill = tasks.spawn(w.put, HUGE)
            await tasks.settle()
            with pytest.raises(asyncio.TimeoutError) as raised:
                await asyncio.wait_for(w.put(message), 0.01)
            assert aio.withdrawn(raised.value) is True
            assert await r.get() == HUGE
            await fill
        with pytest.raises(asyncio.TimeoutError) as raised:
            await asyncio.wait_for(w.put(HUGE), 0.01)
        assert aio.withdrawn(raised.value) is False
        assert await r.get() == HUGE
        if hasattr(asyncio, "timeout"):  # from Python 3.11 on
            with pytest.raises(asyncio.TimeoutError) as raised:
                async with asyncio.timeout(0.01):
                    await w.put(HUGE)
            assert aio.withdrawn(raised.value) is False
            assert await r.get() == HUGE
        assert aio.withdrawn(ValueError()) is None


async def outcome(job):
    try:
        await job
    except asyncio.CancelledError as error:
        return aio.withdrawn(error)


@under_all
async def test_a_close_has_a_deadline_and_an_abort_has_none(tasks):  # H127
    for end in ("aclose", "abort", "close_and_abort"):
        for duplex in (False, True):
            r, w = raw(duplex)
            with pytest.raises(GIPCTimeout):
                await w.put(LARGE, timeout=0)
            if end == "aclose":
                with pytest.raises(GIPCTimeout):
                    await w.aclose(timeout=0.01)
            else:
                if end == "close_and_abort":
                    w.close()
                w.abort()
            with pytest.raises(GIPCClosed):
                w.close()
            with pytest.raises(GIPCTruncated):
                await r.get(timeout=support.PATIENCE)
            r.close()
            assert support.open_handles() == []


@under_all
async def test_a_block_left_by_an_exception_does_not_wait_for_the_peer(
    tasks,
):  # H127
    for duplex in (False, True):
        a, b = raw(duplex)
        with pytest.raises(ZeroDivisionError):
            async with b:
                with pytest.raises(GIPCTimeout):
                    await b.put(LARGE, timeout=0)
                1 / 0
        with pytest.raises(GIPCClosed):
            await b.put(b"x")
        a.close()


@under_all
async def test_an_exception_keeps_its_class_and_value(tasks):
    class Odd(Exception):
        pass

    error = Odd("value", 1)

    def fails(_):
        raise error

    async with aio.pipe(encoder=fails) as (r, w):
        with pytest.raises(Odd) as caught:
            await w.put(1)
        assert caught.value is error and error.args == ("value", 1)
    async with aio.pipe(decoder=fails) as (r, w):
        await w.put(1)
        with pytest.raises(Odd) as caught:
            await r.get()
        assert caught.value is error
    with pytest.raises(Odd) as caught:
        async with aio.pipe() as (r, w), r, w:
            await w.put(error.args)
            raise error
    assert caught.value is error


@under_all
async def test_a_put_of_others_does_not_wait_for_a_batch(tasks):
    async with raw() as (r, w):
        async with w.batch():
            await w.put(b"queued")
            job = tasks.spawn(w.put, b"of another")
            assert await r.get(timeout=support.PATIENCE) == b"queued"
            assert await r.get(timeout=support.PATIENCE) == b"of another"
            await tasks.ended(job)
            await w.put(b"queued, too")
            with pytest.raises(GIPCTimeout):
                await r.get(timeout=0)
        assert await r.get() == b"queued, too"


@under_all
async def test_a_put_of_many_that_fails_has_put_what_came_before(tasks):
    def fail(size):
        for n in range(1500):
            yield b"%4d" % n + bytes(size)
        raise KeyError("in the iterable")

    for size in (0, 5000):
        async with raw() as (r, w):
            job = tasks.spawn(w.put_many, fail(size))
            got = [await r.get() for _ in range(1024)]
            assert got == [b"%4d" % n + bytes(size) for n in range(1024)]
            await tasks.ended(job)
            with pytest.raises(KeyError) as raised:
                job.result()
            assert raised.value.taken == 1024
            await w.flush(timeout=0)
