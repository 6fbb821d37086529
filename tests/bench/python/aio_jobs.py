"""What is measured of gipc.aio."""

import asyncio
import os

import gipc.aio

from peer_jobs import async_rate
from transfer import parts


async def get_all(reader, count, report):
    for part in parts(count):
        for _ in range(part):
            await reader.get()
        os.write(report, b".")


async def transfer(size, count, way):
    reports, report = os.pipe()
    reader, writer = gipc.aio.pipe(encoder=None, decoder=None)
    child = gipc.aio.start_process(get_all, (reader, count, report))
    os.close(report)
    message = bytes(size)

    async def each(count):
        for _ in range(count):
            await writer.put(message)

    async def batch(count):
        async with writer.batch():
            await each(count)

    async def many(count):
        await writer.put_many([message] * count)

    ways = {"each": each, "batch": batch, "many": many}
    figure = await async_rate(count, ways[way], reports)
    await child.join()
    writer.close()
    os.close(reports)
    return figure


def one_way(size, count, way="each"):
    """Messages per second."""
    return asyncio.run(transfer(size, count, way))
