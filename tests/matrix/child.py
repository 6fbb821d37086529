"""A child in Python, for a parent in any language; child.c describes its commands."""

import os
import subprocess
import sys

import gipc
from peer import get_stream, put_stream


def inherit(name, codec=None):
    return gipc.inherit(name, codec, codec)


def echo(handle):
    """Until the end of the stream."""
    with handle:
        while True:
            try:
                message = handle.get()
            except EOFError:
                return
            handle.put(message)


def script(code):
    into, out, both = inherit("in"), inherit("out"), inherit("both")
    msgpack, json = inherit("msgpack", "msgpack"), inherit("json", "json")
    for handle in (into, out, *both[:], *msgpack[:], *json[:]):
        assert not os.get_inheritable(handle.fileno()), handle
    assert "GIPC_HANDLES" not in os.environ
    subprocess.run(os.environ["GRANDCHILD"], close_fds=False, check=True)
    try:
        inherit("in")
    except FileNotFoundError:
        pass
    else:
        raise AssertionError("a handle was inherited twice")

    get_stream(into.get)
    put_stream(out.put, seed=2)
    echo(both)
    echo(msgpack)
    echo(json)
    sys.exit(int(code))


def cut():
    out = inherit("out")
    out.put(b"now")
    out.put(bytes(64 << 20))


def end():
    echo(inherit("both"))


def absent():
    inherit("nothing")


word, *arguments = sys.argv[1:]
{"script": script, "cut": cut, "end": end, "absent": absent}[word](*arguments)
