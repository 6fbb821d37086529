"""What the children and the echoing tasks of soak.py do."""

import inspect
import os
import signal

import gipc


async def wait(value):
    """The result of a call that blocks, or of one that is awaited."""
    return await value if inspect.isawaitable(value) else value


def drive(coroutine):
    """Runs a coroutine whose calls block, so that it never waits itself."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a call of a thread is awaited")


async def echo(handle):
    """Answers each message, until the end, or until b"close"."""
    try:
        while (message := await wait(handle.get())) != b"close":
            if isinstance(message, bytes):
                await wait(handle.put(message))
            else:  # a writer that moved
                await wait(message.put(b"moved"))
                message.close()
    except (EOFError, OSError, gipc.GIPCError):
        pass  # closed from the other end, perhaps with messages that it had not got
    try:
        handle.close()
    except OSError:
        pass  # what could not be written was dropped


async def answer_and_end(handle, how, number):
    """Answers three messages, and ends."""
    for _ in range(3):
        await wait(handle.put(await wait(handle.get())))
    if how == "raise":
        raise SystemExit(number)
    if how == "exit":
        os._exit(number)
    if how == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    if how == "killed":
        await wait(handle.put(b"x" * (1 << 20)))  # its reader kills instead of reading
        signal.pause()


def answer_and_end_here(handle, how, number):
    drive(answer_and_end(handle, how, number))
