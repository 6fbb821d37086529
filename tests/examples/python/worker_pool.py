"""Greenlets that share a few worker processes.  A worker that ends fails the one
task that it had, and another one takes its place."""

import os

import gevent

import gipc


def work(number):
    if number < 0:
        os._exit(3)  # as a worker that crashes
    return sum(i * i for i in range(number))


with gipc.Pool(work, workers=3) as pool:
    greenlets = [gevent.spawn(pool.call, number) for number in range(1, 101)]
    gevent.joinall(greenlets, raise_error=True)
    print(pool.stats().starts, "workers")
    print(sum(greenlet.value for greenlet in greenlets))

    for task in (-1, 10):
        try:
            print("task", task, "is", pool.call(task))
        except gipc.WorkerDied as error:
            print(f"task {task}: its worker ended with {error.exit_info.code}")
