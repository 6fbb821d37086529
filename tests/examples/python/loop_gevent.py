"""A child that answers every message, beside a greenlet that goes on meanwhile."""

import gevent

import gipc


def echo(handle):  # in another process, with a hub of its own
    for message in handle.messages():
        handle.put(message)


def tick(ticks):
    while True:
        ticks.append(1)
        gevent.sleep(0)


ticks = []
ticker = gevent.spawn(tick, ticks)
with gipc.pipe(duplex=True) as (mine, theirs):
    child = gipc.start_process(echo, (theirs,))
    for message in ("hello", {"a": [1, 2, 3]}, None):
        mine.put(message)
        print(mine.get(timeout=5.0))
child.join()
ticker.kill()
print("the child ended with", child.exitcode)
print("the loop went on" if len(ticks) > 1 else "the loop stood still")
