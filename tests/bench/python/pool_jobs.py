"""What is measured of pools: calls of a small function by two workers, each of
which has a future; and the time that another worker takes the place of one that was
killed."""

import contextlib
import os
import signal
import socket
import time

WORKERS = 2
WINDOW = 1000  # calls at a time
AHEAD = 20  # tasks that a worker is sent ahead, where it is


def same(data):
    return data


def gipc():
    from gipc import Pool

    pool = Pool(workers=WORKERS, queue_limit=2 * WINDOW)
    return pool, pool.submit


def gipc_ahead():
    from gipc import Pool

    pool = Pool(workers=WORKERS, queue_limit=2 * WINDOW, ahead=AHEAD)
    return pool, pool.submit


def futures():
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(WORKERS)
    return pool, pool.submit


def multiprocessing():
    from multiprocessing import get_context

    pool = get_context("fork").Pool(WORKERS)

    class Result:
        def __init__(self, function, *arguments):
            self.result = pool.apply_async(function, arguments).get
    return pool, Result


def loky():
    from loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(WORKERS)
    return pool, pool.submit


def pebble():
    from pebble import ProcessPool

    pool = ProcessPool(max_workers=WORKERS)

    def submit(function, *arguments):
        return pool.schedule(function, args=arguments)
    return pool, submit


def end(pool):
    if hasattr(pool, "shutdown"):
        pool.shutdown()
    else:
        pool.close()
        pool.join()


def run(submit, count, data):
    left = count
    while left:
        calls = [submit(same, data) for _ in range(min(WINDOW, left))]
        for call in calls:
            call.result()
        left -= len(calls)


def tasks(peer, size, count):
    """Tasks per second."""
    try:
        pool, submit = globals()[peer]()
    except ImportError:
        return None
    data = bytes(size)
    try:
        run(submit, 20, data)  # until both workers run
        start = time.perf_counter()
        run(submit, count, data)
        return count / (time.perf_counter() - start)
    finally:
        end(pool)


# ---- Recovery -----------------------------------------------------------------
# Each generator yields the process ID of a worker that has just done a task, which is
# killed then; it ends the last one itself.

def process_id():
    return os.getpid()


def recovering_gipc():
    from gipc import Pool

    with Pool(workers=1, retries=1) as pool:
        while True:
            yield pool.call(process_id)


def recovering_anew(peer):
    """A pool that is of no more use then, so it is another one."""
    from concurrent.futures.process import BrokenProcessPool

    pool, submit = globals()[peer]()
    try:
        while True:
            try:
                worker = submit(process_id).result()
            except BrokenProcessPool:
                end(pool)
                pool, submit = globals()[peer]()
            else:
                yield worker
    finally:
        end(pool)


def recovering_futures():
    return recovering_anew("futures")


def recovering_pebble():
    return recovering_anew("pebble")


def answer(handle):
    for _ in handle.messages():
        handle.put(b"done")


def recovering_child():
    """A function child, without a pool."""
    import gipc

    while True:
        mine, theirs = gipc.pipe(duplex=True, encoder=None, decoder=None)
        child = gipc.start_process(answer, (theirs,))
        try:
            mine.put(b"task")
            mine.get()
            yield child.pid
        finally:
            mine.close()
            child.join()


def recovering_fork():
    while True:
        mine, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            mine.close()
            while theirs.recv(64):
                theirs.send(b"done")
            os._exit(0)
        theirs.close()
        try:
            mine.send(b"task")
            mine.recv(64)
            yield child
        finally:
            mine.close()
            os.waitpid(child, 0)


def recovery(peer, count):
    """Milliseconds from the kill of a worker to the next task that is done."""
    workers = globals()["recovering_" + peer]()
    try:
        worker = next(workers)
    except ImportError:
        return None
    start = time.perf_counter()
    for _ in range(count):
        with contextlib.suppress(ProcessLookupError):  # of a pool that has broken
            os.kill(worker, signal.SIGKILL)
        worker = next(workers)
    figure = (time.perf_counter() - start) / count * 1e3
    workers.close()
    return figure
