"""gipc.aio and children beside a loop of asyncio or uvloop."""

import asyncio
import atexit
import os
import sys

import gipc
import pytest
import support
from aio_support import RUN_ON, raw, under, under_all
from gipc import GIPCTimeout, aio

under_both = under("asyncio", "uvloop")


HAUNTED = """
import asyncio, gc, gipc, gipc.aio, os, signal, socket, sys
from %(way)s import new_event_loop

%(run_on)s
def run(coroutine):
    return run_on(new_event_loop, coroutine)

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
        while not acted:
            await asyncio.sleep(0.001)
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
    while len(acted) < 3 or shell.returncode is None:
        await asyncio.sleep(0.001)
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
    while len(acted) == before:  # the tasks
        await asyncio.sleep(0.001)
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


@pytest.mark.parametrize("name", support.on_loops("asyncio", "uvloop"))
def test_nothing_of_the_parents_loop_acts_in_the_child(program, name):
    # H25, H26, H27
    pytest.importorskip(name)
    assert program(HAUNTED % {"way": name, "run_on": RUN_ON}) == "end\n"


@under_both
async def test_the_child_has_a_loop_of_its_own(tasks):
    async def child(w, parents):
        loop = asyncio.get_running_loop()
        assert loop is not parents and type(loop) is type(parents)
        ticks = []
        loop.call_later(0.001, ticks.append, 1)
        while not ticks:
            await asyncio.sleep(0.001)
        shell = await asyncio.create_subprocess_exec("sh", "-c", "exit 3")
        ticks.append(await shell.wait())
        ticks.append(await loop.run_in_executor(None, os.getppid))
        await w.put(ticks)

    async with aio.pipe() as (r, w):
        p = aio.start_process(child, (w, asyncio.get_running_loop()))
        assert await r.get(timeout=30) == [1, 3, os.getpid()]
        await p.join()
        assert p.exitcode == 0


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_loop_that_is_set_outlives_a_child(program, name, inside):
    """Also one that is started while another loop runs."""
    pytest.importorskip(name)
    program(
        """
        import gipc, threading
        import asyncio
        from %s import new_event_loop
        asyncio.set_event_loop(new_event_loop())
        async def start():
            p = gipc.start_process(int)
            p.join()
            assert p.exitcode == 0
        if %s:
            other = new_event_loop()
            other.run_until_complete(start())
            other.close()
        else:
            try:
                start().send(None)
            except StopIteration:
                pass
        async def main():
            # A thread wakes the loop, through what a child shares with it.
            loop = asyncio.get_running_loop()
            woken = loop.create_future()
            threading.Timer(0.1, loop.call_soon_threadsafe,
                            (woken.set_result, 1)).start()
            await asyncio.wait_for(woken, 10)
        loop = asyncio.get_event_loop()
        loop.run_until_complete(main())
        loop.close()
        """
        % (name, inside)
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


@under_all
async def test_a_daemon_ends_with_its_parent(tasks):  # H39
    async def parent(w):
        aio.start_process(daemon, (w,), daemon=True)
        await tasks.sleep(1000)

    async def daemon(w):
        await w.put("up")
        await tasks.sleep(1000)

    async with aio.pipe() as (r, w):
        p = aio.start_process(parent, (w,))
        assert await r.get(timeout=support.PATIENCE) == "up"
        p.kill()
        await p.join()
        with pytest.raises(EOFError):
            await r.get(timeout=support.PATIENCE)


@under_all
async def test_exit_handlers_of_the_parent_stay_there(tasks):  # H30, H35
    async with raw() as (r, w):
        handler = support.tell_at_exit(w)
        try:
            for code in (0, 7):
                p = aio.start_process(sys.exit, (code,))
                await p.join()
                assert p.exitcode == code
        finally:
            atexit.unregister(handler)
        with pytest.raises(GIPCTimeout):
            await r.get(timeout=0)


@under_all
async def test_a_child_that_lives_on_keeps_its_runtimes_descriptors(tasks):
    async def child(w):
        for _ in range(3):
            await tasks.sleep(0.001)
            assert await tasks.in_thread(os.getpid) == os.getpid()
            p = aio.start_process(sys.exit, (3,))
            await p.join()
            assert p.exitcode == 3
        await w.put("lived")

    async with aio.pipe() as (r, w):
        p = aio.start_process(child, (w,), keep_fds=[])
        assert await r.get(timeout=support.PATIENCE) == "lived"
        await p.join()
        assert p.exitcode == 0


def still_null(w, numbers):
    null = os.stat(os.devnull).st_rdev
    w.put([os.fstat(fd).st_rdev == null for fd in numbers])


@under_all
async def test_the_next_child_has_the_descriptors_of_one_that_closed_others(tasks):
    """libuv closes some in each child, by the numbers that they had."""

    async def child(w):
        files = [open(os.devnull) for _ in range(100)]
        numbers = [f.fileno() for f in files]
        with gipc.pipe() as (r, its_w):
            p = gipc.start_process(still_null, (its_w, numbers))
            all_are = all(r.get(timeout=support.PATIENCE))
            p.join()
        for f in files:
            f.close()
        await w.put(all_are)

    async with aio.pipe() as (r, w):
        p = aio.start_process(child, (w,), keep_fds=[])
        assert await r.get(timeout=support.PATIENCE) is True
        await p.join()
