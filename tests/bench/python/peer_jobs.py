"""What is measured of the standard library: multiprocessing.Pipe, and asyncio
streams with messages framed as gipc frames them."""

import asyncio
import multiprocessing
import os
import socket
import struct
import time

from transfer import (await_report, parts, rate, receive, round_trip,
                      touch_memory)  # noqa: F401

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
    warm, timed = parts(count)
    await send(warm)
    await_report(reports)
    start = time.perf_counter()  # that of uvloop counts milliseconds
    await send(timed)
    await_report(reports)
    return timed / (time.perf_counter() - start)


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


async def async_round_trip(count, trip):
    """As transfer.round_trip."""
    for part in parts(count):
        start = time.perf_counter()
        for _ in range(part):
            await trip()
    return (time.perf_counter() - start) / count * 1e6


async def stream_echo(end, count):
    reader, writer = await asyncio.open_unix_connection(sock=end)
    for _ in range(sum(parts(count))):
        header = await reader.readexactly(4)
        writer.write(header + await reader.readexactly(*struct.unpack("!i", header)))
        await writer.drain()


async def stream_trips(end, size, count):
    reader, writer = await asyncio.open_unix_connection(sock=end)
    message = struct.pack("!i", size) + bytes(size)

    async def trip():
        writer.write(message)
        await writer.drain()
        await reader.readexactly(*struct.unpack("!i", await reader.readexactly(4)))
    return await async_round_trip(count, trip)


def stream_pingpong(size, count):
    """Microseconds for a round trip."""
    mine, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        mine.close()
        asyncio.run(stream_echo(theirs, count))
        os._exit(0)
    theirs.close()
    figure = asyncio.run(stream_trips(mine, size, count))
    os.waitpid(pid, 0)
    return figure


def use_uvloop():
    import uvloop
    uvloop.install()
    return True


def start_and_join(count):
    """Milliseconds for a child."""
    start = time.perf_counter()
    for _ in range(count):
        child = fork.Process(target=int)
        child.start()
        child.join()
    return (time.perf_counter() - start) / count * 1e3


def pipe_and_close(count):
    """Microseconds for a pipe."""
    start = time.perf_counter()
    for _ in range(count):
        for end in fork.Pipe(duplex=False):
            end.close()
    return (time.perf_counter() - start) / count * 1e6


# ---- Queues: bytes that are pickled, from the first put to the last get -------

def new_queue(kind, size):
    if kind == "faster_fifo":
        import faster_fifo
        return faster_fifo.Queue(max(4 * size, 1 << 20))
    return fork.Queue()


def queue_one_way(kind, size, count):
    """Messages per second."""
    reports, report = os.pipe()
    queue = new_queue(kind, size)
    child = fork.Process(target=receive,
                         args=(lambda: queue.get(timeout=60), count, report))
    child.start()
    os.close(report)
    message = bytes(size)

    def send(count):
        for _ in range(count):
            queue.put(message, timeout=60)
    figure = rate(count, send, reports)
    child.join()
    os.close(reports)
    return figure


# ---- ZeroMQ -------------------------------------------------------------------

def zmq_socket(kind, address, bind):
    import zmq
    socket = zmq.Context().socket(getattr(zmq, kind))
    (socket.bind if bind else socket.connect)(address)
    return socket


def zmq_get_all(address, count, report):
    receive(zmq_socket("PULL", address, False).recv, count, report)
    os._exit(0)


def fresh_address():
    return f"ipc://@bench-{os.getpid()}-{time.monotonic_ns()}"


def zmq_one_way(size, count):
    """Messages per second."""
    reports, report = os.pipe()
    address = fresh_address()
    child = fork.Process(target=zmq_get_all, args=(address, count, report))
    child.start()
    os.close(report)
    socket = zmq_socket("PUSH", address, True)
    message = bytes(size)

    def send(count):
        for _ in range(count):
            socket.send(message)
    figure = rate(count, send, reports)
    child.join()
    socket.close()
    os.close(reports)
    return figure


def zmq_echo(address, count):
    socket = zmq_socket("PAIR", address, False)
    for _ in range(sum(parts(count))):
        socket.send(socket.recv())
    socket.context.destroy()  # which sends the last answer


def zmq_pingpong(size, count):
    """Microseconds for a round trip."""
    address = fresh_address()
    child = fork.Process(target=zmq_echo, args=(address, count))
    child.start()
    socket = zmq_socket("PAIR", address, True)
    message = bytes(size)

    def trip():
        socket.send(message)
        socket.recv()
    figure = round_trip(count, trip)
    child.join()
    socket.close()
    return figure
