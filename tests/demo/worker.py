"""A worker of the demo in Python; message.h describes the messages."""

import os
import platform

try:
    import gipc
    import msgpack  # noqa: F401, the codec needs it
except ImportError as error:
    raise SystemExit(str(error))

LANGUAGE = "Python " + platform.python_version()
ODD = bytes(set(range(256)) - set(range(0x20, 0x7F)) - set(range(9, 14)))
LEFT_OUT = b"" if "UNPRINTABLE_IS_WORD" in os.environ else ODD


def kind(byte):
    if not byte:
        return "neither"
    return "space" if byte.isspace() else "word"


def count(chunk):
    text = chunk.translate(None, LEFT_OUT)
    return {
        "language": LANGUAGE,
        "bytes": len(chunk),
        "lines": text.count(b"\n"),
        "words": len(text.split()),
        "first": kind(text[:1]),
        "last": kind(text[-1:]),
    }


gipc.serve(count, encoder="msgpack", decoder="msgpack")
