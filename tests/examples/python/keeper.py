"""Services that are kept running: a store, a program that needs it, and one that
ends too often."""

import sys
import time

import gipc


def store():
    # It reads its files.
    gipc.ready()  # only now the next service is started
    while gipc.alive():  # after 30 seconds of silence it is restarted
        time.sleep(1)


def fails():
    sys.exit(3)


services = [
    gipc.Service(store, notify=True, silence=30),
    gipc.Service(argv=["sleep", "1000"], name="web"),
    gipc.Service(fails, limit=2, first_delay=0.01),
]
with gipc.keep(services) as keeper:
    try:
        keeper.wait()
    except gipc.GaveUp as error:
        print(error)
    print([keeper[name].state for name in keeper])

    before = keeper["web"].pid
    keeper.reload("web")  # the new process is ready before the old one is stopped
    print("reloaded:", keeper["web"].pid != before)
print([keeper[name].state for name in keeper])
