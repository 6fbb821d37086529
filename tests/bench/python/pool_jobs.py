"""What is measured of pools: calls of a small function by two workers, each of
which has a future."""

import time

WORKERS = 2
WINDOW = 1000  # calls at a time


def same(data):
    return data


def gipc():
    from gipc import Pool

    pool = Pool(workers=WORKERS, queue_limit=2 * WINDOW)
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
