"""A child that answers every message, and a greenlet that asks while another one waits."""

import gevent

import gipc


def echo(handle):  # in another process, with a hub of its own
    for message in handle.messages():
        handle.put(message)


def ask(handle):
    for message in ("hello", {"a": [1, 2, 3]}, None):
        handle.put(message)


with gipc.pipe(duplex=True) as (mine, theirs):
    child = gipc.start_process(echo, (theirs,))
    gevent.spawn(ask, mine)  # runs when this greenlet waits
    for _ in range(3):
        print(mine.get(timeout=5.0))
child.join()
print("the child ended with", child.exitcode)
