"""What is measured of gipc: of this package and of upstream's, which runs the
same lines."""

import os
import resource
import time

import gipc

from transfer import parts, rate, receive, round_trip


# ---- Preparations -----------------------------------------------------------

def use_gevent():
    import gevent
    gevent.sleep(0)
    return True


def hold_ten_thousand_handles():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < 10500:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (10500, most))
    global held
    held = [gipc.pipe() for _ in range(5000)]
    return True


# ---- Messages ---------------------------------------------------------------

def codecs(codec):
    return {"encoder": codec, "decoder": codec}


def get_all(reader, count, report):
    receive(reader.get, count, report)


def get_all_into(reader, size, count, report):
    buffer = bytearray(size)
    receive(lambda: reader.get_into(buffer), count, report)


def each(writer, message):
    def send(count):
        put = writer.put
        for _ in range(count):
            put(message)
    return send


def many(writer, message):
    def send(count):
        writer.put_many([message] * count)
    return send


def batch(writer, message):
    def send(count):
        put = writer.put
        with writer.batch():
            for _ in range(count):
                put(message)
    return send


def one_way(size, count, codec=None, way="each", into=False):
    """Messages per second."""
    reports, report = os.pipe()
    reader, writer = gipc.pipe(**codecs(codec))
    if into:
        child = gipc.start_process(get_all_into, (reader, size, count, report))
    else:
        child = gipc.start_process(get_all, (reader, count, report))
    os.close(report)
    figure = rate(count, globals()[way](writer, bytes(size)), reports)
    child.join()
    writer.close()
    os.close(reports)
    return figure


def bytes_one_way(size, **arguments):
    """MB per second."""
    return one_way(size, **arguments) * size / 1e6


def echo(handle, count):
    for _ in range(sum(parts(count))):
        handle.put(handle.get())


def pingpong(size, count):
    """Microseconds for a round trip."""
    mine, theirs = gipc.pipe(duplex=True, **codecs(None))
    child = gipc.start_process(echo, (theirs, count))
    message = bytes(size)

    def trip():
        mine.put(message)
        mine.get()
    figure = round_trip(count, trip)
    child.join()
    mine.close()
    return figure


# ---- Processes and pipes ----------------------------------------------------

def nothing():
    pass


def start_and_join(count):
    """Milliseconds for a child."""
    start = time.perf_counter()
    for _ in range(count):
        gipc.start_process(nothing).join()
    return (time.perf_counter() - start) / count * 1e3


def pipe_and_close(count):
    """Microseconds for a pipe."""
    start = time.perf_counter()
    for _ in range(count):
        reader, writer = gipc.pipe()
        reader.close()
        writer.close()
    return (time.perf_counter() - start) / count * 1e6
