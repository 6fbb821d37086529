"""What is measured of gipc.aio."""

import asyncio
import os

import gipc.aio

from peer_jobs import async_rate, async_round_trip
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


async def echo(handle, count):
    for _ in range(sum(parts(count))):
        await handle.put(await handle.get())


async def trips(size, count):
    mine, theirs = gipc.aio.pipe(duplex=True, encoder=None, decoder=None)
    child = gipc.aio.start_process(echo, (theirs, count))
    message = bytes(size)

    async def trip():
        await mine.put(message)
        await mine.get()
    figure = await async_round_trip(count, trip)
    await child.join()
    mine.close()
    return figure


def pingpong(size, count):
    """Microseconds for a round trip."""
    return asyncio.run(trips(size, count))


def one_way(size, count, way="each"):
    """Messages per second."""
    return asyncio.run(transfer(size, count, way))
