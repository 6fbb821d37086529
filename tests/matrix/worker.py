"""A worker in Python, for a pool in any language; worker.c describes it."""

import os
import signal
import sys

import gipc


class Refused(Exception):
    pass


def fail():
    raise Refused("too groß")


def hang():
    while True:
        signal.pause()


WORDS = {
    b"fail": fail,
    b"exit": lambda: os._exit(7),
    b"kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"hang": hang,
}


def reverse(task):
    return WORDS[task]() if task in WORDS else task[::-1]


if sys.argv[1] == "raw":
    gipc.serve(reverse, encoder=None, decoder=None)
else:
    gipc.serve(lambda value: value, encoder="msgpack", decoder="msgpack")
