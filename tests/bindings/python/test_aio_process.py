"""Child processes of gipc.aio, under asyncio, uvloop and trio."""

import gc
import os
import signal
import subprocess
import sys

import gipc
import pytest
import support
from aio_support import cancel, raw, result_of, under_all
from gipc import GIPCClosed, GIPCTimeout, aio
from support import frame, write_raw


async def echo(reader, writer):
    async for message in reader:
        await writer.put(message)
    writer.close()


@under_all
async def test_a_child_echoes(tasks):
    async with aio.pipe() as (r, theirs), aio.pipe() as (other, w):
        p = aio.start_process(echo, (other, theirs))
        for message in (1, "a", b"b" * 1_000_000):
            await w.put(message)
            assert await r.get(timeout=30) == message
        w.close()
        with pytest.raises(EOFError):
            await r.get(timeout=30)
        await p.join()
        assert p.exitcode == 0


async def echo_duplex(handle):
    async for message in handle:
        await handle.put(message)


@under_all
async def test_a_child_of_method_spawn_echoes(tasks):
    async with aio.pipe(True) as (mine, theirs):
        p = aio.start_process(echo_duplex, (theirs,), method="spawn")
        await mine.put("hello")
        assert await mine.get(timeout=30) == "hello"
        await mine._writer.aclose()
        await p.join()
        assert p.exitcode == 0


def kinds(writer, *handles):
    writer.put([type(handle).__module__ for handle in handles])


@under_all
async def test_handles_of_both_kinds_arrive_as_what_they_are(tasks):
    for start in (aio.start_process, gipc.start_process):
        for method in ("fork", "spawn"):
            plain, task = gipc.pipe(), aio.pipe()
            duplex, (r, w) = aio.pipe(True), gipc.pipe()
            p = start(
                kinds, (w, plain[0], task[1], duplex[0]), method=method
            )
            assert await tasks.in_thread(r.get) == [
                "gipc._reader",
                "gipc._aio_handle",
                "gipc._aio_pipe",
            ]
            end = p.join()
            if end is not None:
                await end
            assert p.exitcode == 0
            for handle in (plain[1], task[0], duplex[1], r):
                handle.close()


@under_all
async def test_handles_given_move_and_others_are_closed(tasks):  # H12
    def child(given, writer):
        assert set(gipc.get_all_handles()) == {given, writer}
        writer.put("closed" if other[0]._closed else "open")

    given, mine = aio.pipe()
    other = aio.pipe()
    r, w = gipc.pipe()
    p = aio.start_process(child, (given, w))
    assert given._closed and not other[0]._closed
    with pytest.raises(GIPCClosed):
        await given.get()
    assert await tasks.in_thread(r.get) == "closed"
    await p.join()
    assert p.exitcode == 0
    for handle in (mine, *other, r):
        handle.close()


@under_all
async def test_what_a_cancelled_put_left_goes_along(tasks):
    async def child(w):
        await w.put(b"next")
        await w.aclose()

    message = os.urandom(1 << 20)
    async with raw() as (r, w):
        job = tasks.spawn(w.put, message)
        await tasks.settle()
        await cancel(tasks, job)
        with pytest.raises(OSError):  # a program could not be given it
            aio.exec_process([sys.executable, "-c", ""], handles={"w": w})
        with pytest.raises(OSError):
            aio.start_process(exits, (w,), method="spawn")
        p = aio.start_process(child, (w,))
        assert [m async for m in r] == [message, b"next"]
        await p.join()
        assert p.exitcode == 0


@under_all
async def test_a_start_does_not_stop_the_loop(tasks, stopped_interpreter):
    async with aio.pipe() as (r, w):
        p = aio.start_process(length, (w, bytes(3 << 20)), method="spawn")
        await tasks.settle()
        assert p.is_alive()
        stopped_interpreter()
        assert await r.get(timeout=30) == 3 << 20
        await p.join()
        assert p.exitcode == 0


async def length(w, data):
    await w.put(len(data))


@under_all
async def test_a_start_that_fails_leaves_a_flush_in_the_background(tasks):
    message = os.urandom(1 << 20)
    for start in (
        lambda w: aio.exec_process(["/no/such/program"], handles={"w": w}),
        lambda w: aio.start_process(exits, (w,), method="spawn"),
    ):
        async with raw() as (r, w):
            job = tasks.spawn(w.put, message)
            await tasks.settle()
            await cancel(tasks, job)
            with pytest.raises(OSError):
                start(w)
            assert await r.get(timeout=30) == message


async def exits(code):
    sys.exit(code)


async def fails():
    raise ValueError("of the child")


@under_all
async def test_exit_codes_are_exact(tasks):
    for value, code in ((0, 0), (7, 7), (255, 255), (None, 0)):
        p = aio.start_process(exits, (value,))
        await p.join()
        assert p.exitcode == code
    p = aio.start_process(os.abort)
    await p.join()
    assert p.exitcode == -signal.SIGABRT


@under_all
async def test_an_error_in_the_child_prints_its_trace_and_gives_1(tasks, capfd):
    p = aio.start_process(fails)
    await p.join()
    assert p.exitcode == 1
    printed = capfd.readouterr().err
    assert "Traceback" in printed and "ValueError: of the child" in printed


async def for_ever(*handles):
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_DFL
    await handles[0].get()


@under_all
async def test_a_negative_timeout_waits_indefinitely_for_a_child(tasks):
    for timeout in (-1, float("inf")):
        async with aio.pipe() as (r, w):
            p = aio.start_process(for_ever, (r,))
            with pytest.raises(ValueError):
                await p.join(float("nan"))
            join = tasks.spawn(p.join, timeout)
            await tasks.settle()
            assert not join.done() and p.is_alive()
            await w.put("end")
            await result_of(tasks, join)
            assert p.exitcode == 0


@under_all
async def test_a_join_times_out_and_others_go_on(tasks):
    async with aio.pipe() as (r, w):
        p = aio.start_process(for_ever, (r,))
        for timeout in (0, 0.01):
            assert await p.join(timeout) is None
            assert p.is_alive() and p.exitcode is None
        jobs = [tasks.spawn(p.join) for _ in range(5)]
        await tasks.settle()
        await cancel(tasks, jobs.pop(0))
        await w.put("end")
        for job in jobs:
            await result_of(tasks, job)
        await p.join()
        assert p.exitcode == 0 and not p.is_alive()


@under_all
async def test_a_join_needs_no_descriptor(tasks):
    # As where the kernel has no pidfd.
    async with aio.pipe() as (r, w):
        p = aio.start_process(for_ever, (r,))
        p._popen.sentinel = None
        ticks = []

        async def tick():
            while True:
                ticks.append(1)
                await tasks.sleep(0.001)

        ticking = tasks.spawn(tick)
        while len(ticks) < 3:  # the others go on meanwhile
            await p.join(0.01)
        assert p.is_alive()
        await cancel(tasks, ticking)
        job = tasks.spawn(p.join)
        await w.put("end")
        await result_of(tasks, job)
        assert p.exitcode == 0


@under_all
async def test_a_child_can_be_terminated_and_killed(tasks):  # H57
    for stop, number in (("terminate", 15), ("kill", 9)):
        async with aio.pipe() as (r, w):
            p = aio.start_process(for_ever, (r,), daemon=True, name="bob")
            assert p.daemon and p.name == "bob" and "bob" in repr(p)
            getattr(p, stop)()
            await p.join()
            assert p.exitcode == -number
            p.close()
            with pytest.raises(ValueError, match="closed"):
                await p.join()


@under_all
async def test_children_of_children_work(tasks):
    async def grandchild(w):
        await w.put("deep")

    async def child(w):
        p = aio.start_process(grandchild, (w,))
        await p.join()
        sys.exit(p.exitcode + 5)

    async with aio.pipe() as (r, w):
        p = aio.start_process(child, (w,))
        assert await r.get(timeout=30) == "deep"
        await p.join()
        assert p.exitcode == 5


@under_all
async def test_a_child_killed_inside_a_message_is_told(tasks):
    def child(w):
        write_raw(w, frame(b"whole") + frame(bytes(100))[:50])
        os.kill(os.getpid(), signal.SIGKILL)

    async with raw() as (r, w):
        p = aio.start_process(child, (w,))
        assert await r.get(timeout=30) == b"whole"
        with pytest.raises(gipc.GIPCTruncated):
            await r.get(timeout=30)
        await p.join()
        assert p.exitcode == -signal.SIGKILL


@under_all
async def test_a_child_can_be_started_in_a_thread(tasks):
    async with aio.pipe() as (r, theirs), aio.pipe() as (other, w):
        p = await tasks.in_thread(aio.start_process, echo, (other, theirs))
        await w.put("hello")
        assert await r.get(timeout=30) == "hello"
        w.close()
        await p.join()
        assert p.exitcode == 0


INHERITS = """
import sys, asyncio, gipc.aio
async def main():
    async with gipc.aio.inherit("talk", None, None) as handle:
        assert type(handle) is gipc.aio.Duplex
        async for message in handle:
            await handle.put(message.upper())
    try:
        gipc.aio.inherit("other")
    except FileNotFoundError:
        sys.exit(3)
asyncio.run(main())
"""


@under_all
async def test_an_execd_child_inherits_by_name(tasks):
    async with raw(True) as (mine, theirs):
        p = aio.exec_process(
            [sys.executable, "-c", INHERITS], handles={"talk": theirs}
        )
        assert theirs._closed
        await mine.put(b"hello")
        assert await mine.get(timeout=30) == b"HELLO"
        await mine._writer.aclose()
        await p.join(30)
        assert p.exitcode == 3
        p.close()


STOCK = """
import os, re
from multiprocessing.connection import Connection
fd = int(re.match("talk=([0-9]+)", os.environ["GIPC_HANDLES"])[1])
with Connection(fd) as c:
    while True:
        try:
            c.send_bytes(c.recv_bytes().upper())
        except EOFError:
            break
"""


@under_all
async def test_a_stock_connection_may_be_the_peer(tasks):
    async with raw(True) as (mine, theirs):
        # A loop that has waited for it must leave it as a plain peer needs it.
        with pytest.raises(GIPCTimeout):
            await theirs.get(timeout=0.01)
        p = aio.exec_process(
            [sys.executable, "-c", STOCK], handles={"talk": theirs}
        )
        for message in (b"hello", b"h" * 1_000_000):
            job = tasks.spawn(mine.put, message)
            assert await mine.get(timeout=30) == message.upper()
            await result_of(tasks, job)
        await mine._writer.aclose()
        await p.join(30)
        assert p.exitcode == 0


@under_all
async def test_a_program_that_is_not_there_is_a_clear_error(tasks):
    async with raw() as (r, w):
        with pytest.raises(FileNotFoundError):
            aio.exec_process(["/no/such/program"], handles={"w": w})
        assert not w._closed


SPEAKS = """
import asyncio, gipc.aio
async def main():
    async with gipc.aio.stdio(None, None) as handle:
        print("to stderr")
        async for message in handle:
            await handle.put(message.upper())
asyncio.run(main())
"""


@under_all
async def test_messages_go_over_stdin_and_stdout(tasks):
    p = aio.exec_process(
        [sys.executable, "-c", SPEAKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with p.stdin, p.stdout:
        p.stdin.write(frame(b"hello"))
        p.stdin.flush()
        while not support.is_readable(p.stdout.fileno()):
            await tasks.sleep(0.001)
        assert support.read_frame(p.stdout.fileno()) == b"HELLO"
        p.stdin.close()
        await p.join(30)
        assert p.exitcode == 0


@under_all
async def test_a_worker_pool_counts_right(tasks):
    async def work(questions):
        async for number in questions:
            await questions.put(number * number)

    async def feed(numbers):
        async with aio.pipe(True) as (mine, theirs):
            p = aio.start_process(work, (theirs,))
            got = 0
            for number in numbers:
                await mine.put(number)
                got += await mine.get(timeout=30)
            await mine._writer.aclose()
            await p.join()
            assert p.exitcode == 0
            return got

    jobs = [tasks.spawn(feed, range(i, 200, 4)) for i in range(4)]
    total = sum([await result_of(tasks, job) for job in jobs])
    assert total == sum(i * i for i in range(200))


@under_all
async def test_descriptors_and_memory_stay_flat(tasks):
    async def one_round():
        async with aio.pipe() as (r, w):
            p = aio.start_process(echo, aio_arguments())
            await p.join()
            assert p.exitcode == 0
            with pytest.raises(GIPCTimeout):
                await r.get(timeout=0)
            await w.put(1)
            await r.get()

    def aio_arguments():
        r, w = aio.pipe()
        w.close()
        other, w = aio.pipe()
        other.close()
        return r, w

    for _ in range(5):
        await one_round()
    gc.collect()
    before, memory = support.descriptors(), support.resident()
    for _ in range(1000 if support.LONG else 40):
        await one_round()
    gc.collect()
    await tasks.settle()
    assert set(support.descriptors()) == set(before)
    assert support.resident() - memory < 4 << 20
