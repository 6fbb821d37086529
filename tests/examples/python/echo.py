"""A child that answers every message until its parent closes the pipe."""

import gipc


def echo(handle):
    for message in handle.messages():
        handle.put(message)


with gipc.pipe(duplex=True) as (mine, theirs):
    child = gipc.start_process(echo, (theirs,))
    for message in ("hello", {"a": [1, 2, 3]}, None):
        mine.put(message)
        print(mine.get(timeout=5.0))
child.join()
print("the child ended with", child.exitcode)
