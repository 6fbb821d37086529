"""The codecs for other languages: golden.json tells values and their bytes."""

import os
import sys

import gevent
import pytest
from gipc import pipe

sys.path.append(os.path.join(os.path.dirname(__file__), os.pardir))
import golden

CODECS = ["msgpack", "json"]


@pytest.fixture(params=CODECS)
def codec(request):
    if request.param == "msgpack":
        pytest.importorskip("msgpack")
    return request.param


def encoded(codec, value):
    with pipe(encoder=codec, decoder=None) as (reader, writer):
        writer.put(value)
        return reader.get()


def decoded(codec, data):
    with pipe(encoder=None, decoder=codec) as (reader, writer):
        writer.put(data)
        return reader.get()


def expect_refused(codec, value):
    """Nothing leaves, and the handle goes on."""
    with pipe(encoder=codec, decoder=codec) as (reader, writer):
        with pytest.raises((TypeError, ValueError, OverflowError), match="."):
            writer.put(value)
        writer.put("next")
        assert reader.get() == "next"


def expect_malformed(codec, data):
    with pipe(encoder=None, decoder=codec) as (reader, writer):
        messages = [data, golden.ENTRIES[1].bytes[codec]]
        putting = gevent.spawn(writer.put_many, messages)  # more than fits
        with pytest.raises(ValueError, match="."):
            reader.get()
        assert reader.get() is True
        putting.get()


@pytest.mark.parametrize("entry", golden.ENTRIES, ids=repr)
def test_the_values_of_every_language(codec, entry):
    data = entry.bytes[codec]
    if data is None:
        expect_refused(codec, entry.value)
        return
    assert golden.same(decoded(codec, data), entry.value)
    again = encoded(codec, entry.value)
    assert golden.same(decoded(codec, again), entry.value)
    # JSON leaves it open how a fraction is written.
    assert again == data or (codec, type(entry.value)) == ("json", float)


@pytest.mark.parametrize("digits", golden.TABLE["refused_integers"])
def test_integers_over_64_bits_are_refused(codec, digits):
    expect_refused(codec, [int(digits)])
    if codec == "json":
        expect_malformed("json", digits.encode())


@pytest.mark.parametrize(
    "codec, text",
    [(codec, t) for codec in CODECS for t in golden.TABLE["malformed_" + codec]],
)
def test_a_malformed_message_is_told_and_the_next_one_comes(codec, text):
    if codec == "msgpack":
        pytest.importorskip("msgpack")
    expect_malformed(
        codec, bytes.fromhex(text) if codec == "msgpack" else text.encode()
    )


@pytest.mark.parametrize("value", [{1: 2}, [{None: 1}], {"a": {True: 1}}, b"x"])
def test_json_has_text_for_keys_and_no_bytes(value):
    expect_refused("json", value)


def test_text_is_utf_8(codec):
    not_utf8 = {"msgpack": b"\xa2\xff\xfe", "json": b'"\xff"'}
    expect_malformed(codec, not_utf8[codec])
    expect_refused(codec, "\ud800")  # half of a character


# H110
def test_nesting_has_a_limit(codec):
    levels = 100000
    for data in {
        "msgpack": [b"\x91" * levels, b"\x81\x01" * levels],
        "json": [b"[" * levels, b'{"a":' * levels],
    }[codec]:
        expect_malformed(codec, data)
    deep = []
    for _ in range(levels):
        deep = [deep]
    expect_refused(codec, deep)
    cycle = []
    cycle.append(cycle)
    expect_refused(codec, cycle)
    while deep:  # level by level: its destructor is another recursion
        deep = deep.pop()
