"""The values of golden.json, as Python has them.

    golden.py LANGUAGE

prints for each of them and each codec that has it: the codec, its bytes, and
other bytes that a child of this language may give back, "-" if it may refuse.
"""

import json
import os
import struct
import sys

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")

_KINDS = {
    "nil": lambda: None,
    "bool": bool,
    "int": int,
    "float": lambda text: struct.unpack(">d", bytes.fromhex(text))[0],
    "str": str,
    "bin": bytes.fromhex,
    "list": lambda items: [_value(item) for item in items],
    "map": lambda pairs: {_value(key): _value(v) for key, v in pairs},
}


_FAMILIES = {
    "lua5.5": ["lua"],
    "lua5.4": ["lua"],
    "lua5.3": ["lua"],
    "lua5.2": ["lua51", "lua"],
    "lua5.1": ["lua51", "lua"],
    "luajit": ["lua51", "lua"],
}


def _value(description):
    kind, *content = description
    return _KINDS[kind](*content)


class Entry:
    """A value with its bytes in each codec: None where that cannot carry it."""

    def __init__(self, entry):
        self.name = entry["name"]
        self.value = _value(entry["value"])
        self._entry = entry
        self.bytes = {
            "msgpack": self._in("msgpack", entry),
            "json": self._in("json", entry),
        }

    def _in(self, codec, entry):
        text = entry[codec]
        if text is None:
            return None
        return bytes.fromhex(text) if codec == "msgpack" else text.encode()

    def back_from(self, language, codec):
        """What may come back from a language: the bytes, and others where it
        has fewer kinds of values; None if it may refuse."""
        found = [self.bytes[codec]]
        for family in _FAMILIES.get(language, []):
            if codec in self._entry.get(family, {}):
                found.append(self._in(codec, self._entry[family]))
                break
        return found

    def __repr__(self):
        return self.name


def _read():
    with open(_PATH, encoding="utf-8") as file:
        return json.load(file)


TABLE = _read()
ENTRIES = [Entry(entry) for entry in TABLE["values"]]


def same(a, b):
    """Whether a is b in all that another language could see."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a != a and b != b or struct.pack(">d", a) == struct.pack(">d", b)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a), list(b)) and all(same(a[k], b[k]) for k in a)
    return a == b


if __name__ == "__main__":
    for entry in ENTRIES:
        for codec, data in entry.bytes.items():
            if data is not None:
                back = entry.back_from(sys.argv[1], codec)[-1]
                print(codec, data.hex(), "-" if back is None else back.hex())
