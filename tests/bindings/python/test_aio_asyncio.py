"""gipc.aio and what only asyncio and uvloop have: callbacks of descriptors,
loops that are closed, signal handlers and subprocesses of a loop."""

import asyncio
import gc
import os
import re
import time

import pytest
from aio_support import RUN_ON, WAYS, raw, under
from gipc import GIPCTimeout

under_both = under("asyncio", "uvloop")


def watched(*fds):
    """Those among the descriptors that are in an epoll of this process."""
    found = set()
    for name in os.listdir("/proc/self/fdinfo"):
        try:
            with open("/proc/self/fdinfo/" + name) as f:
                numbers = re.findall(r"^tfd: *(\d+)", f.read(), re.M)
            found.update(map(int, numbers))
        except OSError:
            pass  # that of the listing itself
    return found.intersection(fds)


@pytest.fixture(params=["asyncio", "uvloop"])
def new_loop(request):
    return WAYS[request.param]().new_loop


@under_both
async def test_no_callback_stays_behind(tasks):
    async with raw() as (r, w):
        fds = [r.fileno(), w.fileno()]
        job = tasks.spawn(r.get)
        await tasks.settle()
        assert watched(*fds) == {r.fileno()}
        await w.put(b"x")
        await job
        assert not watched(*fds)
        with pytest.raises(GIPCTimeout):
            await r.get(timeout=0.001)
        assert not watched(*fds)
        for call, *message in ((r.get,), (w.put, bytes(1 << 20))):
            job = tasks.spawn(call, *message)
            await tasks.settle()
            job.cancel()
            await tasks.ended(job)
        # The started put goes on, with one callback, until it has left.
        await tasks.settle()
        assert watched(*fds) == {w.fileno()}
        assert await r.get() == bytes(1 << 20)
        await tasks.settle()
        assert not watched(*fds)
        job = tasks.spawn(w.put, bytes(1 << 20))
        await tasks.settle()
        job.cancel()
        await tasks.ended(job)
        await tasks.settle()
        assert watched(*fds) == {w.fileno()}
        r.close()
        w.close()
        await tasks.settle()
        assert not watched(*fds)


@under_both
async def test_a_put_takes_over_from_what_goes_on_in_the_background(tasks):
    async with raw() as (r, w):
        for last in (b"next", bytes(1 << 20)):
            job = tasks.spawn(w.put, bytes(1 << 20))
            await tasks.settle()
            job.cancel()
            await tasks.ended(job)
            job = tasks.spawn(w.put, last)
            await tasks.settle()
            assert not job.done()
            assert await r.get(timeout=10) == bytes(1 << 20)
            assert await r.get(timeout=10) == last
            await job
            assert w._background_flush is None


@under_both
async def test_the_timeouts_of_asyncio_lose_nothing(tasks):  # H69
    async with raw() as (r, w):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(r.get(), 0.01)
        if hasattr(asyncio, "timeout"):  # from Python 3.11 on
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await r.get()
        lost, loop = 0, asyncio.get_running_loop()
        for i in range(300):
            # The message comes before the timer does, behind it, or in the same
            # iteration of the loop, where either may be first.
            if i % 3 == 0:
                put_now(w, i)
            elif i % 3 == 1:
                # Once the get waits.
                loop.call_soon(loop.call_soon, put_and_expire, w, i)
            try:
                assert await asyncio.wait_for(r.get(), 0.002) == b"%d" % i
                assert i % 3 != 2
            except asyncio.TimeoutError:
                lost += 1
                assert i % 3 != 0
                if i % 3 == 2:
                    put_now(w, i)
                assert await r.get(timeout=10) == b"%d" % i
        assert 100 <= lost <= 200


def put_now(writer, number):
    with pytest.raises(StopIteration):
        writer.put(b"%d" % number).send(None)


def put_and_expire(writer, number):
    put_now(writer, number)
    end = time.monotonic() + 0.004
    while time.monotonic() < end:
        pass


@pytest.mark.skipif(
    not hasattr(asyncio, "TaskGroup"), reason="needs Python 3.11"
)
@under_both
async def test_a_group_that_fails_cancels_its_gets_and_puts(tasks):
    async with raw() as (r, w):
        with pytest.raises(BaseException) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(r.get())
                group.create_task(r.get())
                await tasks.settle()
                raise ValueError
        assert isinstance(caught.value.exceptions[0], ValueError)
        await w.put(b"x")
        assert await r.get() == b"x"


@under_both
async def test_a_cancelled_put_tells_whether_it_is_withdrawn(tasks):
    async with raw() as (r, w):
        for size, withdrawn in ((1 << 20, False), (1 << 20, True)):
            job = asyncio.ensure_future(told(w, bytes(size)))
            await tasks.settle()
            job.cancel()
            assert await job is withdrawn
        assert await r.get() == bytes(1 << 20)
        with pytest.raises(GIPCTimeout):
            await r.get(timeout=0.01)


async def told(writer, message):
    try:
        await writer.put(message)
    except asyncio.CancelledError as error:
        return error.withdrawn


@under_both
async def test_a_timer_is_not_early_after_a_busy_time(tasks):  # H70
    loop = asyncio.get_running_loop()
    async with raw() as (r, _):
        end = loop.time() + 0.2
        await asyncio.sleep(0)
        while loop.time() < end:
            os.getpid()  # the loop's own idea of the time is old now
        start = time.monotonic()
        with pytest.raises(GIPCTimeout):
            await r.get(timeout=0.1)
        assert time.monotonic() - start >= 0.099


@under_both
async def test_the_descriptor_is_left_blocking(tasks):  # H74
    async with raw(True) as (a, b):
        with pytest.raises(GIPCTimeout):
            await a.get(timeout=0.01)
        job = tasks.spawn(a.put, bytes(1 << 20))
        await tasks.settle()
        job.cancel()
        await tasks.ended(job)
        await b.get()
        await tasks.settle()
        assert os.get_blocking(a._reader._fd)
        assert os.get_blocking(a._writer._fd)


def test_a_handle_goes_from_loop_to_loop(new_loop):
    r, w = raw()
    for i in range(3):
        loop = new_loop()
        loop.run_until_complete(w.put(b"%d" % i))
        with pytest.raises(asyncio.TimeoutError):
            loop.run_until_complete(
                asyncio.wait_for(other_end(r, b"%d" % i), 0.01)
            )
        loop.close()
    r.close()
    w.close()


async def other_end(reader, message):
    assert await reader.get() == message
    await reader.get()


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def test_a_loop_that_is_closed_leaves_the_handle_usable(new_loop, caplog):
    r, w = raw()
    other, writer = raw()
    loop = new_loop()
    jobs = [loop.create_task(r.get()) for _ in range(2)]  # one has the turn
    jobs.append(loop.create_task(writer.put(bytes(1 << 20))))
    loop.run_until_complete(until(lambda: r._lock.waiting and writer._lock.locked))
    loop.close()
    del jobs[:]
    gc.collect()
    assert not r._lock.locked and not writer._lock.locked
    loop = new_loop()
    loop.run_until_complete(w.put(b"x"))
    assert loop.run_until_complete(r.get(timeout=10)) == b"x"
    job = loop.create_task(writer.put(b"next"))
    assert loop.run_until_complete(other.get(timeout=10)) == bytes(1 << 20)
    assert loop.run_until_complete(other.get(timeout=10)) == b"next"
    loop.run_until_complete(job)
    loop.close()
    for handle in (r, w, other, writer):
        handle.close()


def test_a_turn_goes_past_tasks_of_a_closed_loop(new_loop):
    r, w = raw()
    loop, other = new_loop(), new_loop()
    first = loop.create_task(r.get())
    loop.run_until_complete(until(lambda: r._lock.locked))
    stuck = other.create_task(r.get())
    other.run_until_complete(until(lambda: r._lock.waiting))
    other.close()
    last = loop.create_task(r.get())
    loop.run_until_complete(w.put_many([b"first", b"last"]))
    assert loop.run_until_complete(first) == b"first"
    assert loop.run_until_complete(asyncio.wait_for(last, 10)) == b"last"
    loop.close()
    del stuck
    gc.collect()
    r.close()
    w.close()


# The put is cancelled by the end of the loop; what is left leaves later.
ENDS_EARLY = """
import asyncio, select, gipc.aio
from %(way)s import new_event_loop
%(run_on)s
r, w = gipc.aio.pipe(encoder=None, decoder=None)
async def main():
    asyncio.ensure_future(w.put(bytes(1 << 20)))
    while not select.select([r], [], [], 0)[0]:
        await asyncio.sleep(0)
async def rest():
    job = asyncio.ensure_future(w.put(b"next"))
    assert await r.get() == bytes(1 << 20)
    assert await r.get() == b"next"
    await job
run_on(new_event_loop, main())
assert w._lock.locked is False
run_on(new_event_loop, rest())
"""


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_an_end_of_the_loop_with_a_rest_is_quiet(program, name):
    pytest.importorskip(name)
    program(ENDS_EARLY % {"way": name, "run_on": RUN_ON})
