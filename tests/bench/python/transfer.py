"""Times a transfer: a child receives, and reports when it has the part that
warms up, and the part that counts."""

import os
import time


def parts(count):
    return count // 10 + 1, count


def rate(count, send, reports):
    """Messages per second: send(n) sends n of them."""
    warm, timed = parts(count)
    send(warm)
    await_report(reports)
    start = time.perf_counter()
    send(timed)
    await_report(reports)
    return timed / (time.perf_counter() - start)


def await_report(reports):
    if not os.read(reports, 1):
        raise EOFError("the receiver has ended")


def receive(get, count, report):
    """In the child: get() receives a message."""
    for part in parts(count):
        for _ in range(part):
            get()
        os.write(report, b".")


def round_trip(count, trip):
    """Microseconds for one: trip() is a put and a get."""
    for part in parts(count):
        start = time.perf_counter()
        for _ in range(part):
            trip()
    return (time.perf_counter() - start) / count * 1e6
