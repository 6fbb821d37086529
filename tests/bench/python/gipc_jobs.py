"""What is measured of gipc: of this package and of upstream's, which runs the
same lines."""

import functools
import os
import resource
import time

import gipc

from transfer import parts, rate, receive, round_trip, touch_memory  # noqa: F401


# ---- Preparations -----------------------------------------------------------

def use_gevent():
    global gevent
    import gevent
    gevent.sleep(0)
    return True


def hold_handles(count):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = count + 500
    if most != resource.RLIM_INFINITY and most < enough:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))
    global held
    held = [gipc.pipe() for _ in range(count // 2)]
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


def saturate(writer, size):
    message = bytes(size)
    while True:
        for _ in range(64):
            writer.put(message)
        gevent.sleep(0)


def receive_all(reader):
    try:
        while True:
            reader.get()
    except EOFError:
        pass


def tail(size, count, percent):
    """Microseconds that so many percent of the round trips do not exceed, while
    another pipe of the process is kept full."""
    reader, writer = gipc.pipe(**codecs(None))
    sink = gipc.start_process(receive_all, (reader,))
    mine, theirs = gipc.pipe(duplex=True, **codecs(None))
    child = gipc.start_process(echo, (theirs, count))
    beside = gevent.spawn(saturate, writer, size)
    message, times = bytes(size), []
    for _ in range(sum(parts(count))):
        start = time.perf_counter()
        mine.put(message)
        mine.get()
        times.append(time.perf_counter() - start)
    beside.kill()
    writer.close()
    mine.close()
    child.join()
    sink.join()
    times = sorted(times[-count:])
    return times[(len(times) - 1) * percent // 100] * 1e6


# ---- Processes and pipes ----------------------------------------------------

def nothing():
    pass


@functools.cache
def template():
    """One that has imported what the children run."""
    return gipc.Template(preload=[__name__])


def start_and_join(count, **options):
    """Milliseconds for a child."""
    if options.get("method") == "template":
        options["method"] = template()
    start = time.perf_counter()
    for _ in range(count):
        gipc.start_process(nothing, **options).join()
    return (time.perf_counter() - start) / count * 1e3


def start_many(children, count):
    """Milliseconds for so many that overlap."""
    start = time.perf_counter()
    for _ in range(count):
        for child in [gipc.start_process(nothing) for _ in range(children)]:
            child.join()
    return (time.perf_counter() - start) / count * 1e3


def pipe_and_close(count):
    """Microseconds for a pipe."""
    start = time.perf_counter()
    for _ in range(count):
        reader, writer = gipc.pipe()
        reader.close()
        writer.close()
    return (time.perf_counter() - start) / count * 1e6
