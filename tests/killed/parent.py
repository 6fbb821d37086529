"""A parent in Python that starts daemons of every kind, until it is killed.  Prints
a line before each start."""

import itertools
import signal
import sys

import gipc
import killed_child

TREE = ["sh", "-c", "sleep 600 & setsid sleep 600 & (sleep 600 &) & wait"]
SLEEP = ["sleep", "600"]

if __name__ == "__main__":
    template = gipc.Template()
    pool = gipc.Pool(abs, workers=2, least=2)
    keeper = gipc.keep(
        [gipc.Service(killed_child.works, notify=True), gipc.Service(argv=SLEEP)]
    )
    starts = [
        lambda: gipc.start_process(signal.pause, daemon=True),
        lambda: gipc.exec_process(SLEEP, daemon=True),
        lambda: gipc.exec_process(TREE, daemon=True, group="tree"),
        lambda: gipc.start_process(signal.pause, daemon=True, method=template),
    ]
    running = []
    for i, start in enumerate(itertools.cycle(starts)):
        print(i, flush=True)
        if len(running) == 8:
            process = running.pop(0)
            process.kill()
            process.join()
        running.append(start())
