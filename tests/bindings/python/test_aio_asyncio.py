"""gipc.aio and what only asyncio and uvloop have: callbacks of descriptors,
loops that are closed, signal handlers and subprocesses of a loop."""

import asyncio
import gc
import os
import re
import sys
import time

import pytest
import support
from aio_support import WAYS, raw, under
from gipc import GIPCTimeout, aio

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
            assert w.rest is None


@under_both
async def test_the_timeouts_of_asyncio_lose_nothing(tasks):  # H69
    async with raw() as (r, w):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(r.get(), 0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await r.get()
        lost = 0
        for i in range(300):
            # The message comes at about the time that the timer does.
            asyncio.get_running_loop().call_later(i % 10 * 1e-4, put_now, w, i)
            try:
                assert await asyncio.wait_for(r.get(), 0.0005) == b"%d" % i
            except asyncio.TimeoutError:
                lost += 1
                assert await r.get(timeout=10) == b"%d" % i
        assert 0 < lost < 300


def put_now(writer, number):
    with pytest.raises(StopIteration):
        writer.put(b"%d" % number).send(None)


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


def test_a_loop_that_is_closed_leaves_the_handle_usable(new_loop, caplog):
    r, w = raw()
    other, writer = raw()
    loop = new_loop()
    jobs = [loop.create_task(r.get()) for _ in range(2)]  # one has the turn
    jobs.append(loop.create_task(writer.put(bytes(1 << 20))))
    loop.run_until_complete(asyncio.sleep(0.01))
    assert r._turn.taken and writer._turn.taken
    loop.close()
    del jobs[:]
    gc.collect()
    assert not r._turn.taken and not writer._turn.taken
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
    loop.run_until_complete(asyncio.sleep(0.01))
    stuck = other.create_task(r.get())
    other.run_until_complete(asyncio.sleep(0.01))
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


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_an_end_of_the_loop_with_a_rest_is_quiet(program, name):
    pytest.importorskip(name)
    # The put is cancelled by the end of the loop; what is left leaves later.
    program(
        """
        import asyncio, gipc.aio
        from %s import new_event_loop
        def run(coroutine):
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                return runner.run(coroutine)
        r, w = gipc.aio.pipe(encoder=None, decoder=None)
        async def main():
            asyncio.ensure_future(w.put(bytes(1 << 20)))
            await asyncio.sleep(0.01)
        async def rest():
            job = asyncio.ensure_future(w.put(b"next"))
            assert await r.get() == bytes(1 << 20)
            assert await r.get() == b"next"
            await job
        run(main())
        assert w._turn.taken is False
        run(rest())
        """
        % name
    )


# ---- Children beside a loop --------------------------------------------------

HAUNTED = """
import asyncio, gc, gipc, gipc.aio, os, signal, socket, sys
from %(way)s import new_event_loop

def run(coroutine):
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(coroutine)

acted = []

async def haunt(seconds):
    try:
        while True:
            await asyncio.sleep(seconds)
            acted.append(("task", os.getpid()))
    finally:
        os.write(finals[1], b"f")

async def suspended():
    try:
        yield 1
    finally:
        os.write(finals[1], b"g")

def act(name):
    acted.append((name, os.getpid()))

def read_one(sock):
    sock.recv(1)
    act("reader")

def child(w):
    del acted[:]
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise AssertionError("the parent's loop runs")
    assert asyncio.current_task(parents_loop) is None
    assert tuple(sys.get_asyncgen_hooks()) == (None, None)
    generators.clear()
    tasks.clear()
    gc.collect()

    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, act, "child")
        os.kill(os.getpid(), signal.SIGUSR1)
        mine.send(b"x")  # into the reader of the parent
        await asyncio.sleep(0.05)
        shell = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
        assert await shell.wait() == 3
        return [name for name, _ in acted]

    w.put(run(main()))
    gc.collect()

async def coroutine_child(w):
    w.put(type(asyncio.get_running_loop()).__module__)

def garbage():
    try:
        yield
    finally:
        os.write(finals[1], b"c")

async def main():
    global parents_loop
    loop = parents_loop = asyncio.get_running_loop()
    # What the collector would find, in whichever process it runs.
    gc.disable()
    cycle = [garbage()]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    loop.add_signal_handler(signal.SIGUSR1, act, "signal")
    loop.add_reader(theirs, read_one, theirs)
    tasks.extend(asyncio.ensure_future(haunt(0.001)) for _ in range(3))
    generators.append(suspended())
    await generators[0].__anext__()
    lost = suspended()
    await lost.__anext__()
    shell = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
    await asyncio.sleep(0.02)
    for start in (gipc.start_process, gipc.aio.start_process):
        with gipc.pipe() as (r, w):
            p = start(child, (w,))
            got = await loop.run_in_executor(None, r.get)
            assert got == ["child"], got
            ended = p.join()
            if ended is not None:
                await ended
            assert p.exitcode == 0, p.exitcode
    with gipc.pipe() as (r, w):
        p = gipc.aio.start_process(coroutine_child, (w,))
        assert await loop.run_in_executor(None, r.get) == type(loop).__module__
        await p.join()
    assert await shell.wait() == 5
    # The parent's loop goes on, with each event once.
    count = len([name for name, _ in acted if name == "reader"])
    assert count == 2, acted
    for i in range(1, 4):
        os.kill(os.getpid(), signal.SIGUSR1)
        mine.send(b"x")
        while len([1 for name, _ in acted if name == "signal"]) < i or \\
              len([1 for name, _ in acted if name == "reader"]) < 2 + i:
            await asyncio.sleep(0.001)
    before = len(acted)
    await asyncio.sleep(0.02)
    assert len(acted) > before  # the tasks
    names = [name for name, _ in acted]
    assert names.count("signal") == 3 and names.count("reader") == 5, names
    assert {pid for _, pid in acted} == {os.getpid()}
    # No finally block has run anywhere.
    os.set_blocking(finals[0], False)
    try:
        print(os.read(finals[0], 100))
    except BlockingIOError:
        pass
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await generators[0].aclose()
    await lost.aclose()
    gc.collect()
    assert sorted(os.read(finals[0], 100)) == sorted(b"cfffgg")
    loop.remove_reader(theirs)

tasks, generators = [], []
finals = os.pipe()
mine, theirs = socket.socketpair()
run(main())
print("end")
"""


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_nothing_of_the_parents_loop_acts_in_the_child(program, name):
    # H25, H26, H27
    pytest.importorskip(name)
    assert program(HAUNTED % {"way": name}) == "end\n"


@under_both
async def test_the_child_has_a_loop_of_its_own(tasks):
    async def child(w, parents):
        loop = asyncio.get_running_loop()
        assert loop is not parents and type(loop) is type(parents)
        ticks = []
        loop.call_later(0.001, ticks.append, 1)
        await asyncio.sleep(0.01)
        shell = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
        ticks.append(await shell.wait())
        ticks.append(await loop.run_in_executor(None, os.getppid))
        await w.put(ticks)

    async with aio.pipe() as (r, w):
        p = aio.start_process(child, (w, asyncio.get_running_loop()))
        assert await r.get(timeout=30) == [1, 3, os.getpid()]
        await p.join()
        assert p.exitcode == 0


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_loop_that_is_set_outlives_a_child(program, name):
    pytest.importorskip(name)
    program(
        """
        import asyncio, gipc, threading
        from %s import new_event_loop
        asyncio.set_event_loop(new_event_loop())
        p = gipc.start_process(int)
        p.join()
        assert p.exitcode == 0
        async def main():
            # A thread wakes the loop, through what a child shares with it.
            loop = asyncio.get_running_loop()
            woken = loop.create_future()
            threading.Timer(0.1, loop.call_soon_threadsafe,
                            (woken.set_result, 1)).start()
            await asyncio.wait_for(woken, 10)
        loop = asyncio.get_event_loop_policy().get_event_loop()
        loop.run_until_complete(main())
        loop.close()
        """
        % name
    )


def test_ctrl_c_cancels_the_childs_coroutine(program):
    printed = program(
        """
        import asyncio, gipc.aio, os, signal, sys
        async def child(w):
            try:
                await w.put("ready")
                await asyncio.sleep(1000)
            finally:
                await w.put("finally")
        async def main():
            async with gipc.aio.pipe() as (r, w):
                p = gipc.aio.start_process(child, (w,))
                assert await r.get() == "ready"
                os.kill(p.pid, signal.SIGINT)
                print(await r.get())
                await p.join()
                print(p.exitcode)
        asyncio.run(main())
        """,
        stderr="KeyboardInterrupt",
    )
    assert printed == "finally\n1\n"


@under_both
async def test_statuses_are_right_beside_other_reapers(tasks):  # H47
    async def shell(code):
        p = await asyncio.create_subprocess_exec("sh", "-c", "exit %d" % code)
        return await p.wait()

    async def child(code):
        p = aio.start_process(sys.exit, (code,))
        await p.join()
        return p.exitcode

    codes = list(range(20))
    got = await asyncio.gather(*map(shell, codes), *map(child, codes))
    assert got == codes * 2


@under_both
async def test_many_children_at_once(tasks):
    async def one(i):
        async with aio.pipe(True) as (mine, theirs):
            p = aio.start_process(twice, (theirs,))
            await mine.put(i)
            got = await mine.get(timeout=30)
            await p.join(30)
            return got, p.exitcode

    for start in range(0, 200 if support.LONG else 40, 20):
        numbers = range(start, start + 20)
        assert await asyncio.gather(*map(one, numbers)) == [
            (2 * i, 0) for i in numbers
        ]


async def next_of(reader):
    assert [message async for message in reader] == []


async def twice(handle):
    await handle.put(2 * await handle.get())


@under_both
async def test_a_sentinel_that_the_program_watches_stays_watched(tasks):
    if support.PORTABLE:
        pytest.skip("there is no sentinel without pidfd")
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    async with aio.pipe() as (r, w):
        p = aio.start_process(next_of, (r,))
        loop.add_reader(p.sentinel, lambda: ended.done() or ended.set_result(1))
        await p.join(0.01)
        w.close()
        await ended
        await p.join()
        loop.remove_reader(p.sentinel)
