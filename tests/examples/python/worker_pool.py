"""Greenlets that share a few worker processes."""

import os

import gevent
from gevent.queue import Queue

import gipc


def work(handle):
    for number in handle.messages():
        handle.put((os.getpid(), sum(i * i for i in range(number))))


class Pool:
    """Whoever asks waits for a worker that is free; the others go on."""

    def __init__(self, size):
        self._free = Queue()
        self._children = []
        for _ in range(size):
            mine, theirs = gipc.pipe(duplex=True)
            self._children.append(gipc.start_process(work, (theirs,)))
            self._free.put(mine)

    def ask(self, number):
        handle = self._free.get()
        try:
            handle.put(number)
            return handle.get()
        finally:
            self._free.put(handle)

    def close(self):
        for _ in self._children:
            self._free.get().close()
        for child in self._children:
            child.join()


pool = Pool(3)
greenlets = [gevent.spawn(pool.ask, number) for number in range(1, 101)]
gevent.joinall(greenlets, raise_error=True)
pool.close()
print(len({pid for pid, _ in (g.value for g in greenlets)}), "workers")
print(sum(result for _, result in (g.value for g in greenlets)))
