"""A worker of the demo in Python; message.h describes the messages."""

import platform

try:
    import gipc
    import msgpack  # noqa: F401, the codec needs it
except ImportError as error:
    raise SystemExit(str(error))

ODD = bytes(set(range(256)) - set(range(0x20, 0x7F)) - set(range(9, 14)))


def kind(byte):
    if not byte:
        return "neither"
    return "space" if byte.isspace() else "word"


def count(chunk, left_out):
    text = chunk.translate(None, left_out)
    return {
        "bytes": len(chunk),
        "lines": text.count(b"\n"),
        "words": len(text.split()),
        "first": kind(text[:1]),
        "last": kind(text[-1:]),
    }


with gipc.inherit("demo", encoder="msgpack", decoder="msgpack") as demo:
    demo.put({"language": "Python " + platform.python_version()})
    messages = demo.messages()
    for rule in messages:
        left_out = b"" if rule["unprintable is word"] else ODD
        for chunk in messages:
            demo.put(count(chunk, left_out))
