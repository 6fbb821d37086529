"""A child that answers every message, and a task that asks while another one waits."""

import asyncio

import gipc.aio


async def echo(handle):  # in another process, in a loop of its own
    async for message in handle:
        await handle.put(message)


async def ask(handle):
    for message in ("hello", {"a": [1, 2, 3]}, None):
        await handle.put(message)


async def main():
    async with gipc.aio.pipe(duplex=True) as (mine, theirs):
        child = gipc.aio.start_process(echo, (theirs,))
        asking = asyncio.create_task(ask(mine))  # runs when this task waits
        for _ in range(3):
            print(await mine.get(timeout=5.0))
        await asking
    await child.join()
    print("the child ended with", child.exitcode)


asyncio.run(main())
