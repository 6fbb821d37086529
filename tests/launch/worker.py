"""A worker of pool.py, which prints as programs do that know nothing of it."""

import gipc


def work(task):
    print("printed with", len(task), "bytes in hand", flush=True)
    return task.upper()


print("printed before")  # and still in a buffer
gipc.serve(work, encoder=None, decoder=None)
