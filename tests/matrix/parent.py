"""A parent in Python, for a child in any language.

    parent.py LANGUAGE COMMAND...

COMMAND starts the child.  Each step is named on stdout before it begins.
"""

import json
import os
import select
import signal
import sys

sys.path.append(os.path.join(sys.path[0], "../bindings"))

import gipc
import golden
import msgpack
from peer import get_stream, put_stream

language, *command = sys.argv[1:]
CODE = 7
DECODE = {
    "msgpack": lambda data: msgpack.unpackb(data, strict_map_key=False),
    "json": json.loads,
}


def step(name):
    print(name, flush=True)


def start(*words, **theirs):
    """Starts the child with the handles by their names."""
    return gipc.exec_process([*command, *words], handles=theirs)


def expect_end(process, code):
    process.join()
    assert process.exitcode == code, process.exitcode


def pipe_both(codec=None):
    return gipc.pipe(duplex=True, encoder=codec, decoder=codec)


def pipe_one_way():
    return gipc.pipe(encoder=None, decoder=None)


def expect_echo(handle, message):
    handle.put(message)
    assert handle.get() == message, "the child gave something else back"


def expect_transport(*in_use):
    """Whether many messages went through a ring, which a stock peer does not
    know, the portable half of the library does not have, and machines of other
    orders of bytes (GIPC_TEST_TRANSPORT=plain) do not share."""
    plain = (
        language == "stock"
        or os.environ.get("GIPC_TEST_OS") == "posix"
        or os.environ.get("GIPC_TEST_TRANSPORT") == "plain"
    )
    assert set(in_use) == {"plain" if plain else "ring"}, in_use


def expect_values(handle, codec):
    for entry in golden.ENTRIES:
        if entry.bytes[codec] is None:
            continue
        handle.put(entry.value)
        got = handle.get()
        assert any(
            list(got) == ["refused"]
            if back is None
            else golden.same(got, DECODE[codec](back))
            for back in entry.back_from(language, codec)
        ), (entry, got)


def run_script():
    into, to = pipe_one_way()
    from_, out = pipe_one_way()
    both, their_both = pipe_both()
    packed, their_packed = pipe_both("msgpack")
    text, their_text = pipe_both("json")
    process = start(
        "script",
        str(CODE),
        out=out,
        both=their_both,
        msgpack=their_packed,
        json=their_text,
        **{"in": into},
    )
    put_stream(to.put, seed=1)
    get_stream(from_.get)

    step("transport")
    expect_transport(to.stats.transport_out, from_.stats.transport_in)

    step("large")
    expect_echo(both, b"")
    expect_echo(both, os.urandom(1 << 20) * 64)
    expect_echo(both, b"end")
    both.close()

    step("values")
    expect_values(packed, "msgpack")
    packed.close()
    expect_values(text, "json")
    text.close()

    step("code")
    expect_end(process, CODE)


def kill_inside_a_message():
    from_, out = pipe_one_way()
    process = start("cut", out=out)
    assert from_.get() == b"now"
    select.select([from_], [], [])
    process.kill()
    try:
        from_.get()
    except gipc.GIPCTruncated:
        pass
    else:
        raise AssertionError("a message that was cut is not reported")
    expect_end(process, -signal.SIGKILL)


def close_at_once():
    both, their_both = pipe_both()
    process = start("end", both=their_both)
    both.close()
    expect_end(process, 0)


step("stream")
run_script()
step("cut")
kill_inside_a_message()
step("end")
close_at_once()
