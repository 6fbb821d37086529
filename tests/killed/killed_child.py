"""A service of parent.py."""

import signal

import gipc


def works():
    gipc.ready()
    signal.pause()
