"""Greenlets that share a few worker processes.  A worker that ends fails the one
task that it had, and another one takes its place."""

import os

import gevent
from gevent.queue import Queue

import gipc


def work(handle):
    for number in handle.messages():
        if number < 0:
            os._exit(3)  # as a worker that crashes
        handle.put((os.getpid(), sum(i * i for i in range(number))))


class Worker:
    def __init__(self):
        self._handle, theirs = gipc.pipe(duplex=True)
        self.child = gipc.start_process(work, (theirs,))

    def ask(self, number):
        try:
            self._handle.put(number)
            return self._handle.get()
        except BaseException as error:
            # It may be alive, if the caller was killed: its answer would be
            # taken for that of the next task.
            self.child.kill()
            self.child.join()
            if isinstance(error, (EOFError, OSError)):
                code = self.child.exitcode
                raise RuntimeError(
                    f"task {number}: its worker ended with {code}"
                ) from error
            raise

    def close(self):
        self._handle.close()
        self.child.join()


class Pool:
    """A caller waits for a free worker; the others run."""

    def __init__(self, size):
        self._free = Queue()
        for _ in range(size):
            self._free.put(None)  # a worker is started when it is needed
        self._size = size

    def ask(self, number):
        worker = self._free.get()
        try:
            if worker is None or not worker.child.is_alive():
                worker = Worker()
            return worker.ask(number)
        finally:
            self._free.put(worker)

    def close(self):
        for _ in range(self._size):
            worker = self._free.get()
            if worker is not None:
                worker.close()


pool = Pool(3)
greenlets = [gevent.spawn(pool.ask, number) for number in range(1, 101)]
gevent.joinall(greenlets, raise_error=True)
print(len({pid for pid, _ in (g.value for g in greenlets)}), "workers")
print(sum(result for _, result in (g.value for g in greenlets)))

for task in (-1, 10):
    try:
        print("task", task, "is", pool.ask(task)[1])
    except RuntimeError as error:
        print(error)
pool.close()
