"""A child that is restarted when it dies, and continues where it was."""

import os
import signal

import gipc


def count(writer, first):
    for number in range(first, 7):
        if number == 3 and first < 3:
            raise SystemExit(2)
        if number == 5 and first < 5:
            os.kill(os.getpid(), signal.SIGKILL)
        writer.put(number)


def supervise():
    seen = []
    while True:
        reader, writer = gipc.pipe()
        child = gipc.start_process(count, (writer, len(seen)))
        with reader:
            seen += reader  # until the end of the stream
        child.join()
        if child.exitcode == 0:
            return seen
        print(f"after {len(seen)} numbers: exit code {child.exitcode}, "
              "started again")


print(supervise())
