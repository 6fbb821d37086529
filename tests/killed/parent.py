"""A parent in Python that starts daemons of every kind, until it is killed: parent.py
[threads|gevent|asyncio].  Prints a line before each start."""

import asyncio
import functools
import itertools
import signal
import sys
import threading

import gipc
import gipc.aio
import killed_child

TREE = ["sh", "-c", "sleep 600 & setsid sleep 600 & (sleep 600 &) & wait"]
SLEEP = ["sleep", "600"]


def starts_of(api, template):
    """One of each kind of child."""
    return [
        lambda: api.start_process(signal.pause, daemon=True),
        lambda: api.exec_process(SLEEP, daemon=True),
        lambda: api.exec_process(TREE, daemon=True, group="tree"),
        lambda: api.start_process(signal.pause, daemon=True, method=template),
    ]


def start_all(template, let_others_run=lambda: None):
    running = []
    for i, start in enumerate(itertools.cycle(starts_of(gipc, template))):
        print(i, flush=True)
        if len(running) == 8:
            process = running.pop(0)
            process.kill()
            process.join()
        running.append(start())
        let_others_run()


async def start_all_in_tasks(template):
    running = []
    pool = gipc.aio.Pool(abs, workers=2, least=2)
    keeper = gipc.aio.keep(services())
    for i, start in enumerate(itertools.cycle(starts_of(gipc.aio, template))):
        print(i, flush=True)
        if len(running) == 8:
            process = running.pop(0)
            process.kill()
            await process.join()
        running.append(start())
        await asyncio.sleep(0)
    return pool, keeper


def services():
    return [gipc.Service(killed_child.works, notify=True), gipc.Service(argv=SLEEP)]


def main(mode):
    if mode == "gevent":
        import gevent

        gevent.get_hub()  # without one, the pool and the keeper are in threads
    template = gipc.Template()
    if mode == "asyncio":
        asyncio.run(start_all_in_tasks(template))
    pool, keeper = gipc.Pool(abs, workers=2, least=2), gipc.keep(services())
    if mode == "gevent":
        turn = functools.partial(gevent.sleep, 0.001)  # also of the loop
        beside = gevent.spawn(start_all, template, turn)
        start_all(template, turn)
    elif mode == "threads":
        beside = threading.Thread(target=start_all, args=(template,))
        beside.start()
        start_all(template)
    start_all(template)
    return pool, keeper, beside


if __name__ == "__main__":
    main(*sys.argv[1:] or ["alone"])
