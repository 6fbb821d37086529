"""A child without gipc: Python's own Connection on the descriptors that
GIPC_HANDLES names; child.c describes its commands."""

import json
import os
import re
import sys
from multiprocessing.connection import Connection

from peer import get_stream, put_stream


def inherit(name):
    """The connections of a handle, by direction."""
    found = {}
    for entry in os.environ["GIPC_HANDLES"].split(","):
        key, fd, direction = re.match(r"(.*)=(\d+)/([rw])@", entry).groups()
        if key == name:
            fd = int(fd)
            # A plain peer has to find plain descriptors.
            assert os.get_blocking(fd), entry
            found[direction] = Connection(
                os.dup(fd), direction == "r", direction == "w"
            )
            os.set_inheritable(fd, False)
    return found


def echo(connections, turn=bytes):
    get, put = connections["r"].recv_bytes, connections["w"].send_bytes
    while True:
        try:
            put(turn(get()))
        except EOFError:
            return


def through_json(data):
    return json.dumps(
        json.loads(data), ensure_ascii=False, separators=(",", ":")
    ).encode()


def script(code):
    get_stream(inherit("in")["r"].recv_bytes)
    put_stream(inherit("out")["w"].send_bytes, seed=2)
    echo(inherit("both"))
    echo(inherit("msgpack"))
    echo(inherit("json"), through_json)
    sys.exit(int(code))


def cut():
    out = inherit("out")["w"]
    out.send_bytes(b"now")
    out.send_bytes(bytes(64 << 20))


def end():
    echo(inherit("both"))


word, *arguments = sys.argv[1:]
{"script": script, "cut": cut, "end": end}[word](*arguments)
