"""What is measured of the standard library: multiprocessing.Pipe, and asyncio
streams with messages framed as gipc frames them."""

import asyncio
import multiprocessing
import os
import socket
import struct

from transfer import await_report, parts, rate, receive, round_trip

fork = multiprocessing.get_context("fork")


# ---- multiprocessing --------------------------------------------------------

def get_all(reader, count, report):
    receive(reader.recv_bytes, count, report)


def one_way(size, count):
    """Messages per second."""
    reports, report = os.pipe()
    reader, writer = fork.Pipe(duplex=False)
    child = fork.Process(target=get_all, args=(reader, count, report))
    child.start()
    os.close(report)
    message = bytes(size)

    def send(count):
        for _ in range(count):
            writer.send_bytes(message)
    figure = rate(count, send, reports)
    child.join()
    os.close(reports)
    return figure


def bytes_one_way(size, count):
    """MB per second."""
    return one_way(size, count) * size / 1e6


def echo(handle, count):
    for _ in range(sum(parts(count))):
        handle.send_bytes(handle.recv_bytes())


def pingpong(size, count):
    """Microseconds for a round trip."""
    mine, theirs = fork.Pipe()
    child = fork.Process(target=echo, args=(theirs, count))
    child.start()
    message = bytes(size)

    def trip():
        mine.send_bytes(message)
        mine.recv_bytes()
    figure = round_trip(count, trip)
    child.join()
    return figure


# ---- asyncio streams --------------------------------------------------------

async def stream_reader(end, count, report):
    reader, _ = await asyncio.open_unix_connection(sock=end)
    for part in parts(count):
        for _ in range(part):
            size, = struct.unpack("!i", await reader.readexactly(4))
            await reader.readexactly(size)
        os.write(report, b".")


async def stream_writer(end, size, count, reports):
    _, writer = await asyncio.open_unix_connection(sock=end)
    message = bytes(size)

    async def send(count):
        for _ in range(count):
            writer.write(struct.pack("!i", size) + message)
            await writer.drain()
        while writer.transport.get_write_buffer_size():
            await asyncio.sleep(0)
    return await async_rate(count, send, reports)


async def async_rate(count, send, reports):
    """As transfer.rate."""
    clock = asyncio.get_running_loop().time
    warm, timed = parts(count)
    await send(warm)
    await_report(reports)
    start = clock()
    await send(timed)
    await_report(reports)
    return timed / (clock() - start)


def stream_one_way(size, count):
    """Messages per second."""
    reports, report = os.pipe()
    mine, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        mine.close()
        asyncio.run(stream_reader(theirs, count, report))
        os._exit(0)
    theirs.close()
    os.close(report)
    figure = asyncio.run(stream_writer(mine, size, count, reports))
    os.waitpid(pid, 0)
    os.close(reports)
    return figure
