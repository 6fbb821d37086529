"""gipc.aio and what only trio has: checkpoints, cancel scopes, its own clock."""

import gc
import os
import threading

import gipc
import pytest
import support
from aio_support import raw, under
from gipc import GIPCTimeout, aio

trio = pytest.importorskip("trio")
testing = pytest.importorskip("trio.testing")
under_trio = under("trio")


@under_trio
async def test_every_call_is_a_checkpoint(tasks):
    async with raw() as (r, w):
        with testing.assert_checkpoints():
            await w.put(b"x")
        with testing.assert_checkpoints():
            await w.put_many([b"y"] * 3)
        with testing.assert_checkpoints():
            assert await r.get() == b"x"
        with testing.assert_checkpoints():
            assert await r.get_into(bytearray(9)) == 1
        with testing.assert_checkpoints():
            await w.flush()
        with testing.assert_checkpoints():
            assert await r.__anext__() == b"y"
        with testing.assert_checkpoints():
            async with w.batch():
                await w.put(b"z")
        p = aio.start_process(os.getpid)
        with testing.assert_checkpoints():
            await p.join()
        with testing.assert_checkpoints():
            await p.join()
        with testing.assert_checkpoints():
            await w.aclose()


@under_trio
async def test_a_cancelled_call_has_done_nothing(tasks):
    async with raw() as (r, w):
        await w.put(b"first")
        with trio.CancelScope() as scope:
            scope.cancel()
            await w.put(b"no")
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            scope.cancel()
            await w.put_many([b"no"])
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            scope.cancel()
            await r.get()
        assert scope.cancelled_caught
        await w.put(b"second")
        assert await r.get() == b"first"
        assert await r.get() == b"second"


@under_trio
async def test_an_aclose_that_is_cancelled_closes(tasks):
    r, w = raw()
    with trio.CancelScope() as scope:
        scope.cancel()
        await w.aclose()
    assert w._closed and scope.cancelled_caught
    with pytest.raises(EOFError):
        await r.get()
    with trio.CancelScope() as scope:
        scope.cancel()
        async with r:
            pass
    assert r._closed


@under_trio
async def test_cancel_scopes_lose_nothing(tasks):  # H69
    async with raw() as (r, w):
        lost = 0
        for i in range(200):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(put_after, i % 10 * 1e-4, w, b"%d" % i)
                with trio.move_on_after(0.0005) as scope:
                    assert await r.get() == b"%d" % i
            if scope.cancelled_caught:
                lost += 1
                assert await r.get(timeout=10) == b"%d" % i
        assert 0 < lost < 200


async def put_after(seconds, writer, message):
    await trio.sleep(seconds)
    await writer.put(message)


@under_trio
async def test_a_put_takes_over_from_what_goes_on_in_the_background(tasks):
    async with raw() as (r, w):
        with trio.move_on_after(0.01):
            await w.put(bytes(1 << 20))
        assert w._background_flush is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.put, b"next")
            await testing.wait_all_tasks_blocked()
            assert await r.get() == bytes(1 << 20)
            assert await r.get() == b"next"
        assert w._background_flush is None


def test_a_timeout_is_of_trios_clock():
    async def main():
        async with raw() as (r, _):
            with pytest.raises(GIPCTimeout):
                await r.get(timeout=1000)

    trio.run(main, clock=testing.MockClock(autojump_threshold=0))


def test_a_handle_goes_from_run_to_run():
    r, w = raw()

    async def main(i):
        with trio.move_on_after(0.01):
            await w.put(b"%d" % i * (1 << 20))

    async def rest():
        for i in range(2):
            assert await r.get(timeout=10) == b"%d" % i * (1 << 20)

    async def last():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.flush)
            await rest()

    trio.run(main, 0)
    assert w._background_flush is None and not w._lock.locked

    async def second():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.put, b"1" * (1 << 20))
            await rest()

    trio.run(second)
    r.close()
    w.close()


def test_asyncio_goes_on_beside_trio_as_a_guest():
    import asyncio

    async def guest(w):
        for i in range(100):
            await w.put(i)
        await w.aclose()

    async def main():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        async with aio.pipe() as (r, w):
            trio.lowlevel.start_guest_run(
                guest,
                w,
                run_sync_soon_threadsafe=loop.call_soon_threadsafe,
                done_callback=done.set_result,
            )
            assert [i async for i in r] == list(range(100))
            (await done).unwrap()

    asyncio.run(asyncio.wait_for(main(), 30))


HAUNTED = """
import gc, gipc, gipc.aio, os, signal, socket, sys, trio

acted = []

async def haunt():
    try:
        while True:
            await trio.sleep(0.001)
            acted.append(("task", os.getpid()))
    finally:
        os.write(finals[1], b"f")

async def suspended():
    try:
        yield 1
    finally:
        os.write(finals[1], b"g")

async def signals():
    with trio.open_signal_receiver(signal.SIGUSR1) as received:
        async for _ in received:
            acted.append(("signal", os.getpid()))

async def read(sock):
    while True:
        await sock.recv(1)
        acted.append(("reader", os.getpid()))

async def main_of_child(mine):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signals)
        while signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
            await trio.sleep(0.001)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.write(mine, b"x")
        assert await trio.to_thread.run_sync(os.getpid) == os.getpid()
        shell = await trio.run_process(["sh", "-c", "exit 3"], check=False)
        assert shell.returncode == 3
        while not acted:
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    return [name for name, _ in acted]

def child(w, mine):
    del acted[:]
    generators.clear()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    gc.collect()
    w.put(trio.run(main_of_child, mine))
    gc.collect()

async def coroutine_child(w, mine):
    del acted[:]
    got = await main_of_child(mine)
    w.put(got)

def asyncio_child(w, mine):
    import asyncio
    async def main():
        async with gipc.aio.pipe() as (r, other):
            await other.put(["child"])
            os.write(mine, b"x")
            return await r.get()
    w.put(asyncio.run(main()))

async def main():
    mine, theirs = socket.socketpair()
    theirs = trio.socket.from_stdlib_socket(theirs)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(haunt)
        nursery.start_soon(signals)
        nursery.start_soon(read, theirs)
        generators.append(suspended())
        await generators[0].__anext__()
        await trio.to_thread.run_sync(os.getpid)  # leaves an idle thread
        while len(acted) < 3 or signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
            await trio.sleep(0.001)
        starts = ((gipc.start_process, child),
                  (gipc.aio.start_process, child),
                  (gipc.aio.start_process, coroutine_child),
                  (gipc.start_process, asyncio_child))
        for start, target in starts:
            with gipc.pipe() as (r, w):
                p = start(target, (w, mine.fileno()))
                got = await trio.to_thread.run_sync(r.get)
                assert got == [got[0]] and got[0] in ("signal", "child"), got
                ended = p.join()
                if ended is not None:
                    await ended
                assert p.exitcode == 0, p.exitcode
        def count(name):
            return len([1 for n, _ in acted if n == name])
        while count("reader") < 4:
            await trio.sleep(0.001)
        for i in range(1, 4):
            os.kill(os.getpid(), signal.SIGUSR1)
            mine.send(b"x")
            while count("signal") < i or count("reader") < 4 + i:
                await trio.sleep(0.001)
        before = count("task")
        while count("task") == before:
            await trio.sleep(0.001)
        assert count("signal") == 3 and count("reader") == 7
        assert {pid for _, pid in acted} == {os.getpid()}
        os.set_blocking(finals[0], False)
        try:
            print(os.read(finals[0], 100))
        except BlockingIOError:
            pass
        await generators[0].aclose()
        nursery.cancel_scope.cancel()
    assert sorted(os.read(finals[0], 100)) == sorted(b"fffg")

generators = []
finals = os.pipe()
trio.run(main)
print("end")
"""


def test_nothing_of_the_parents_loop_acts_in_the_child_under_trio(program):
    # H25, H26, H27
    assert program(HAUNTED) == "end\n"


@under_trio
async def test_the_child_has_a_loop_of_its_own(tasks):
    async def child(w):
        with trio.move_on_after(0.001):
            await trio.sleep(1000)
        shell = await trio.run_process(["sh", "-c", "exit 3"], check=False)
        await w.put([shell.returncode, os.getppid()])

    async with aio.pipe() as (r, w):
        p = aio.start_process(child, (w,))
        assert await r.get(timeout=30) == [3, os.getpid()]
        await p.join()
        assert p.exitcode == 0


def test_ctrl_c_ends_the_childs_coroutine(program):
    printed = program(
        """
        import gipc.aio, os, signal, trio
        async def child(w):
            try:
                await w.put("ready")
                await trio.sleep(1000)
            finally:
                with trio.CancelScope(shield=True):
                    await w.put("finally")
        async def main():
            async with gipc.aio.pipe() as (r, w):
                p = gipc.aio.start_process(child, (w,))
                assert await r.get() == "ready"
                os.kill(p.pid, signal.SIGINT)
                print(await r.get())
                await p.join()
                print(p.exitcode)
        trio.run(main)
        """,
        stderr="KeyboardInterrupt",
    )
    assert printed == "finally\n1\n"


@under_trio
async def test_statuses_are_right_beside_other_reapers(tasks):  # H47
    async def shell(code):
        p = await trio.run_process(["sh", "-c", "exit %d" % code], check=False)
        assert p.returncode == code

    async def child(code):
        p = aio.start_process(os._exit, (code,))
        await p.join()
        assert p.exitcode == code

    async with trio.open_nursery() as nursery:
        for code in range(20):
            nursery.start_soon(shell, code)
            nursery.start_soon(child, code)
    gc.collect()
    assert support.children() == []


@under_trio
async def test_a_generator_of_the_parent_ends_in_a_child_of_a_busy_thread(tasks):
    """One that had the lock of the parent's loop at the time of the fork."""
    lock = trio._core._run.GLOBAL_RUN_CONTEXT.runner.entry_queue.lock
    held, end = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            end.wait()

    async def generate():
        yield

    generators = [generate()]
    await generators[0].__anext__()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    p = gipc.start_process(generators.clear)
    end.set()
    thread.join()
    p.join(support.PATIENCE / 2)
    assert p.exitcode == 0
    await generators[0].aclose()
