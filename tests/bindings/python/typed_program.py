"""What type checkers know of gipc: checked by mypy --strict, never run.

A "type: ignore" is an error that must be found.
"""

import json
from typing import Any, Dict, List, Optional

from typing_extensions import assert_type

import gipc
import gipc.aio


def encode(counts: Dict[str, int]) -> bytes:
    return json.dumps(counts).encode()


def decode(data: bytes) -> Dict[str, int]:
    counts: Dict[str, int] = json.loads(data)
    return counts


def child(reader: "gipc._GIPCReader[bytes]", times: int) -> None:
    for message in reader:
        assert_type(message, bytes)


with gipc.pipe() as (reader, writer):
    writer.put({"any": "object"}, timeout=0.5)
    assert_type(reader.get(timeout=1), Any)
    assert_type(reader.fileno(), int)

raw_reader, raw_writer = gipc.pipe(encoder=None, decoder=None)
raw_writer.put(b"bytes")
raw_writer.put_many([b"a", bytearray(1), memoryview(b"c")])
raw_writer.put("text")  # type: ignore[arg-type]
assert_type(raw_reader.get(), bytes)
assert_type(raw_reader.get_into(bytearray(100)), int)
assert_type(list(raw_reader), List[bytes])
raw_reader.put(b"x")  # type: ignore[attr-defined]
raw_writer.get()  # type: ignore[attr-defined]

with gipc.pipe(True, encoder=encode, decoder=decode) as (mine, theirs):
    mine.put({"a": 1})
    mine.put({1: "a"})  # type: ignore[dict-item]
    assert_type(theirs.get(), Dict[str, int])
    for counts in theirs.messages():
        assert_type(counts, Dict[str, int])
    with mine.batch() as batch:
        batch.put({"b": 2})
    mine._writer.close()

gipc.pipe(encoder="xml")  # type: ignore[call-overload]
assert_type(gipc.pipe(decoder=None)[0].get(), bytes)

process = gipc.start_process(child, (raw_reader, 3), daemon=True, name="typed")
gipc.start_process(child, [raw_reader])  # type: ignore[arg-type]
process.join(1.0)
assert_type(process.exitcode, Optional[int])

program = gipc.exec_process(["cat", b"-"], handles={"in": raw_reader})
program.join()
assert_type(program.exitcode, Optional[int])
assert_type(gipc.stdio().get(), Any)

try:
    raw_writer.put(b"", timeout=0)
except gipc.GIPCTimeout as error:
    assert_type(error.withdrawn, Optional[bool])
    assert_type(error.taken, Optional[int])


async def answer(reader: "gipc.aio.Reader[bytes]") -> None:
    async for message in reader:
        assert_type(message, bytes)


async def main() -> None:
    async with gipc.aio.pipe(encoder=None, decoder=None) as (reader, writer):
        await writer.put(b"bytes", timeout=1)
        await writer.put("text")  # type: ignore[arg-type]
        assert_type(await reader.get(), bytes)
        async with writer.batch() as batch:
            await batch.put_many([b"a", b"b"])
        task = gipc.aio.start_process(answer, (reader,))
        await task.join(timeout=1)
        assert_type(task.exitcode, Optional[int])
    mine, theirs = gipc.aio.pipe(True, encoder=encode, decoder=decode)
    await mine.put({"a": 1})
    assert_type([message async for message in theirs], List[Dict[str, int]])
    await gipc.aio.exec_process(["true"], handles={"x": mine}).join()
