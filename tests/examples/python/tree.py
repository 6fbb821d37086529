"""A child that must end with all that it has started: stop reaches a process that
was forked twice, leads a session of its own and ignores SIGTERM."""

import os
import signal
import time

import gipc


def start_daemon():
    """As daemons are started.  It has the descriptor of the child's pipe."""
    ends, end = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(end, b"x")
        while True:
            signal.pause()
    os.read(ends, 1)


def work(writer):
    start_daemon()
    writer.put("ready")
    time.sleep(3600)


reader, writer = gipc.pipe()
child = gipc.start_process(work, (writer,), group="tree")
print(reader.get())
child.stop(1.0)
print("the child ended by", signal.Signals(-child.exitcode).name)
try:
    reader.get()
except EOFError:  # the last copy of the writer is closed
    print("and all that it has started is gone")
