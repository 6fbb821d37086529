"""A message to a function child and back, which only forks: under qemu-user it
needs nothing else of the machine."""

import platform
import sys

import gipc


def double(handle):
    handle.put(handle.get() * 2)


with gipc.pipe(duplex=True) as (mine, theirs):
    child = gipc.start_process(double, (theirs,))
    mine.put(21)
    answer = mine.get(timeout=60)
child.join(60)
print("Python %s on %s: a child answered %s, exit code %s" % (
    platform.python_version(), platform.machine(), answer, child.exitcode))
sys.exit((answer, child.exitcode) != (42, 0))
