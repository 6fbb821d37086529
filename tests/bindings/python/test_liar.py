"""Peers that lie: garbage, lengths of what never comes, shared memory that changes, no
reader, one direction closed.  A get and a put end in a message or an error of gipc, and
memory stays bounded (H63, H64, H79, H88, H111)."""

import asyncio
import os

import gipc
import gipc.aio
import pytest

PROGRAM = os.path.join(os.environ.get("GIPC_TEST_PROGRAMS", ""), "liar")
LONG = os.environ.get("GIPC_TEST_LONG") == "1"
ENDS = (EOFError, gipc.GIPCError, BrokenPipeError, ConnectionResetError)

pytestmark = pytest.mark.skipif(
    os.environ.get("GIPC_TEST_OS") == "posix", reason="rings are on Linux only"
)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def use_until_its_end(handle, child, seconds, wait):
    """Uses the handle while the peer lies, then kills that, and uses it until both
    directions have ended."""
    for i in range(20):
        try:
            if i % 2:
                await wait(handle.put(b"x" * 3000, timeout=seconds))
            else:
                await wait(handle.get(timeout=seconds))
        except ENDS:
            pass  # also a timeout
    child.kill()
    await wait(child.join())
    with pytest.raises(ENDS) as caught:
        while True:
            await wait(handle.get(timeout=60))
    assert not isinstance(caught.value, TimeoutError)
    with pytest.raises(ENDS) as caught:
        while True:
            await wait(handle.put(b"x" * 3000, timeout=60))
    assert not isinstance(caught.value, TimeoutError)
    handle.abort()


async def meet(api, kind, seed, wait):
    transport = "ring" if kind == "ring" else "auto"
    mine, its = api.pipe(duplex=True, encoder=None, decoder=None, transport=transport)
    child = api.exec_process([PROGRAM, kind, str(seed)], handles={"peer": its})
    if kind == "ring":
        for _ in range(40):
            await wait(mine.put(b"hello"))
            assert await wait(mine.get(timeout=60)) == b"hello"
        assert mine.stats.transport_in == mine.stats.transport_out == "ring"
        await wait(mine.put(b"lie"))
    await use_until_its_end(mine, child, 0.001, wait)


async def itself(value):
    return value


async def awaited(value):
    return await value


def run_blocking(coroutine):
    with pytest.raises(StopIteration):
        coroutine.send(None)


@pytest.mark.parametrize("kind", ["garbage", "lengths", "stops", "half", "ring"])
@pytest.mark.parametrize("api", [gipc, gipc.aio], ids=["blocking", "asyncio"])
def test_a_peer_that_lies_ends_its_stream_and_no_more(api, kind):
    before = resident()
    for seed in range(100 if LONG else 3):
        if api is gipc:
            run_blocking(meet(api, kind, seed, itself))
        else:
            asyncio.run(meet(api, kind, seed, awaited))
    assert resident() < before + (24 << 20)
