"""The surface for tasks: handles of open streams, waiting for several, and what
processes have."""

import os
import signal
import socket
import sys
import threading

import gipc
import pytest
import support
from aio_support import result_of, under_all
from gipc import GIPCTimeout, aio
from subprocess import DEVNULL, PIPE
from tree_support import check_tree, read_escaped, tree_of_a_program

STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.01; done"
GENTLE = "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done"


def shell(script, **options):
    p = aio.exec_process(["sh", "-c", script], stdout=PIPE, text=True, **options)
    assert p.stdout.readline() == "up\n"
    return p


@under_all
async def test_a_stream_becomes_a_handle(tasks):
    one, other = socket.socketpair()
    async with aio.open(one) as a, aio.open(other.detach()) as b:
        assert type(a) is aio.Duplex and one.fileno() == -1
        await a.put([1])
        assert await b.get() == [1]
        b.shutdown()
        assert [message async for message in a] == []
    r, w = os.pipe()
    async with aio.open(r) as reader, aio.open(None, w) as writer:
        assert (type(reader), type(writer)) == (aio.Reader, aio.Writer)
        await writer.put("x")
        assert await reader.get() == "x"


CHILD = """
import gipc
with gipc.stdio("json", "json") as handle:
    for number in handle:
        handle.put(number * number)
"""


@under_all
async def test_python_is_the_parent_behind_a_launcher(tasks):
    launcher = ["sh", "-c", 'cat | "$@" | cat', "sh", sys.executable, "-c"]
    async with aio.exec_process(
        [*launcher, CHILD], stdin=PIPE, stdout=PIPE
    ) as p:
        async with aio.open(p.stdout, p.stdin, "json", "json") as handle:
            for number in range(5):
                await handle.put(number)
                assert await handle.get(timeout=support.PATIENCE) == number * number
    assert p.exitcode == 0


@under_all
async def test_one_direction_can_be_closed(tasks):
    async with aio.pipe(duplex=True) as (a, b):
        await a.put("question")
        a.shutdown()
        assert [message async for message in b] == ["question"]
        with pytest.raises(TypeError, match="async for"):
            list(b)
        await b.put("answer")
        assert await a.get() == "answer"
        assert a.writer.closed and not a.closed
        assert a.stats.messages_in == 1 and a.limit == 1 << 30


@under_all
async def test_several_handles_and_processes_are_waited_for(tasks):
    async with aio.pipe() as (r, w), aio.pipe(True) as (a, b):
        p = shell(GENTLE)
        everything = [r, a, p]
        assert await aio.wait(everything, 0) == []
        assert await aio.wait(everything, 0.01) == []
        await w.put("first")
        assert await aio.wait(everything) == [r]
        # Another task that gets, and one that waits, may be there.
        getting = tasks.spawn(a.get)
        waiting = tasks.spawn(aio.wait, [a, p])
        await tasks.settle()
        assert not waiting.done()
        await b.put_many(["second", "third"])
        assert await result_of(tasks, getting) == "second"
        assert await result_of(tasks, waiting) == [a]
        assert await a.get() == "third"
        assert await r.get() == "first"
        waiting = tasks.spawn(aio.wait, everything)
        await tasks.settle()
        assert not waiting.done()
        p.terminate()
        assert await result_of(tasks, waiting) == [p]
        assert await aio.wait([w]) == [w]
        assert await p.wait() == 7
        for wrong in 3, [3]:
            with pytest.raises(TypeError, match="objects: "):
                await aio.wait(wrong)
        assert await aio.wait([]) == []


@under_all
async def test_a_wait_for_several_can_be_cancelled(tasks):
    before = support.descriptors()
    async with aio.pipe() as (r, w):
        waiting = tasks.spawn(aio.wait, [r])
        await tasks.settle()
        waiting.cancel()
        await tasks.ended(waiting)
        assert waiting.cancelled()
        await w.put("still in order")
        assert await aio.wait([r]) == [r]
        assert await r.get() == "still in order"
    assert support.left_since(before) == {}


@under_all
async def test_exit_info_says_how_the_status_is_known(tasks):
    p = aio.start_process(divmod, stderr=DEVNULL)
    await p.join()
    info = p.exit_info
    assert (info.code, info.signal, info.ended) == (1, None, "exception")
    assert info.how in ("wait", "kernel", "reported")
    p = aio.exec_process(["sleep", "1000"])
    assert p.exit_info is None
    p.kill()
    await p.join()
    assert p.exit_info[:3] == (None, 9, False)
    p.close()
    with pytest.raises(ValueError, match="closed"):
        p.exit_info


@under_all
async def test_a_name_not_passed_is_a_clear_error(tasks):
    with pytest.raises(FileNotFoundError, match="no handle was passed") as caught:
        aio.inherit("in")
    assert caught.value.filename == "in"


@under_all
async def test_an_object_that_cannot_be_encoded_is_refused_with_its_place(tasks):
    for codec, wrong in (("default", threading.Lock()), ("json", {1})):
        async with aio.pipe(encoder=codec, decoder=codec) as (r, w):
            with pytest.raises(TypeError, match=r"\(at \['jobs'\]\[1\]\)"):
                await w.put({"jobs": [1, wrong]})
            with pytest.raises(TypeError, match=r"\(at \[1\]\)"):
                await w.put_many([1, [2, wrong]])
            await w.put("good")
            assert await r.get() == "good"


@under_all
async def test_a_process_is_stopped_with_a_grace_period(tasks):
    p = shell(GENTLE)
    p.send_signal("STOP")
    await p.stop(1e6)
    assert p.returncode == 7
    await p.stop()
    p = shell(STUBBORN)
    stopping = tasks.spawn(p.stop, 0.05)
    await tasks.settle()
    assert not stopping.done()  # and others go on
    await tasks.ended(stopping)
    assert p.exit_info.signal == signal.SIGKILL
    with pytest.raises(ValueError, match="-1"):
        await p.stop(-1)
    leader = "(trap '' TERM; echo up; while :; do sleep 0.01; done) & wait"
    p = shell(leader, group="new")
    await p.stop_group(1e6)
    assert p.stdout.read() == "" and not p.is_alive()


@under_all
async def test_a_tree_ends_with_its_child(tasks):
    p, out = tree_of_a_program(aio.exec_process)
    escaped = read_escaped(out)
    await p.stop(1e6)
    assert p.returncode == -signal.SIGTERM
    check_tree(p.exit_info, out, escaped)


@under_all
async def test_wait_gives_the_exit_code_or_says_that_it_runs(tasks):
    p = shell(GENTLE)
    with pytest.raises(GIPCTimeout):
        await p.wait(0.01)
    p.terminate()
    assert await p.wait() == 7


@under_all
async def test_communicate_feeds_and_reads_at_once(tasks):
    big = os.urandom(1 << 20)
    streams = dict(stdin=PIPE, stdout=PIPE, stderr=PIPE)
    async with aio.exec_process(["tee", "/dev/stderr"], **streams) as p:
        assert await p.communicate(big) == (big, big)
    p = aio.exec_process(["cat"], text=True, **streams)
    with pytest.raises(ValueError, match="NaN|nan|number"):
        await p.communicate("x", timeout=float("nan"))
    assert await p.communicate("text") == ("text", "")
    p = aio.exec_process(["sleep", "1000"], stdout=PIPE)
    with pytest.raises(GIPCTimeout):
        await p.communicate(timeout=0.01)
    p.kill()
    assert await p.communicate() == (b"", None)


@under_all
async def test_pipes_of_a_program_are_streams(tasks):
    streams = dict(stdin=PIPE, stdout=PIPE)
    big = os.urandom(1 << 20)
    async with aio.exec_process(["cat"], **streams) as p:
        stdin, stdout, stderr = await p.open_streams()
        assert stderr is None and p.stdin is None
        writing = tasks.spawn(send, stdin, big)
        assert await receive(stdout) == big
        await tasks.ended(writing)
    assert p.exitcode == 0
    # The block closes what is open.
    async with aio.exec_process(["cat"], **streams) as p:
        await p.open_streams()
    assert p.exitcode == 0


async def send(stream, data):
    if hasattr(stream, "send_all"):  # of trio
        await stream.send_all(data)
        await stream.aclose()
        return
    stream.write(data)
    await stream.drain()
    stream.close()
    await stream.wait_closed()


async def receive(stream):
    if not hasattr(stream, "receive_some"):
        return await stream.read()
    data = bytearray()
    async for some in stream:
        data += some
    return data


@under_all
async def test_the_block_of_a_process_waits_for_it(tasks):
    async with aio.start_process(sys.exit, (3,)) as p:
        pass
    assert p.exitcode == 3
    with pytest.raises(KeyError):
        async with shell(GENTLE) as p:
            raise KeyError
    assert p.exitcode == 7

    async def block():
        async with q:
            await tasks.sleep(1000)

    # A cancellation stops it, too, in the block and at its end.
    for body in block, lambda: q.__aexit__(None, None, None):
        q = shell(GENTLE)
        job = tasks.spawn(body)
        await tasks.settle()
        job.cancel()
        await tasks.ended(job)
        assert job.cancelled() and q.exitcode == 7


def test_outside_of_a_loop_it_says_so():
    with gipc.pipe() as (r, w):
        with pytest.raises(RuntimeError, match="neither asyncio nor trio"):
            aio.wait([r]).send(None)
