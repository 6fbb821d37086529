"""Hands arrays to a child, which changes them, without copies in messages."""

import gipc
import numpy


def add(handle):
    for job in handle:
        a, b = job["a"], job["b"]  # mapped, and as long as they are in use
        a += b  # in this process only
        handle.put({"sum": a, "total": a.sum()})


mine, its = gipc.pipe(duplex=True, encoder="pickle5", decoder="pickle5")
child = gipc.start_process(add, (its,))
a = numpy.arange(1 << 20, dtype=float)
mine.put({"a": a, "b": numpy.ones(1 << 20)})
answer = mine.get()
print("%.0f" % answer["total"])
print((answer["sum"] == a + 1).all())
mine.close()
child.join()
