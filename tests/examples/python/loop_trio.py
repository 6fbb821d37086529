"""A child that answers every message, beside a task that goes on meanwhile."""

import trio

import gipc.aio


async def echo(handle):  # in another process, in a loop of its own
    async for message in handle:
        await handle.put(message)


async def tick(ticks):
    while True:
        ticks.append(1)
        await trio.sleep(0)


async def main():
    ticks = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick, ticks)
        async with gipc.aio.pipe(duplex=True) as (mine, theirs):
            child = gipc.aio.start_process(echo, (theirs,))
            for message in ("hello", {"a": [1, 2, 3]}, None):
                await mine.put(message)
                print(await mine.get(timeout=5.0))
        await child.join()
        nursery.cancel_scope.cancel()
    print("the child ended with", child.exitcode)
    print("the loop went on" if len(ticks) > 1 else "the loop stood still")


trio.run(main)
