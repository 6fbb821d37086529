"""Greenlets that share a few worker processes.  A task that ends its worker, takes
too long or raises fails alone."""

import os
import time

import gevent

import gipc


def work(number):
    if number == -1:
        os._exit(3)  # as a worker that crashes
    if number == -2:
        time.sleep(3600)
    if number < 0:
        raise ValueError("less than 0")
    return number * number


with gipc.Pool(work, workers=3) as pool:
    greenlets = [gevent.spawn(pool.call, number) for number in range(100)]
    gevent.joinall(greenlets, raise_error=True)
    print(sum(greenlet.value for greenlet in greenlets))

    for number, timeout in (-1, None), (-2, 0.1), (-3, None):
        try:
            pool.call(number, timeout=timeout)
        except gipc.WorkerDied as error:
            print(f"{number}: its worker ended with {error.exit_info.code}")
        except gipc.TaskTimeout:
            print(f"{number}: it took too long")
        except ValueError as error:
            print(f"{number}: {error}")
