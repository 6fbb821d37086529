"""What type checkers know of gipc: checked by mypy --strict, never run.

A "type: ignore" is an error that must be found.
"""

import json
from typing import Any, Dict, List, Optional

from typing_extensions import Literal, assert_type

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
gipc.pipe(transport="fast")  # type: ignore[call-overload]
assert_type(gipc.pipe(True, transport="ring")[0].get(), Any)
assert_type(
    gipc.pipe(encoder=None, decoder=None, transport="auto")[0].get(), bytes
)
gipc.open(3, encoder=None, decoder=None, transport="plain")
assert_type(gipc.pipe(decoder=None)[0].get(), bytes)

process = gipc.start_process(child, (raw_reader, 3), daemon=True, name="typed")
gipc.start_process(child, [raw_reader])  # type: ignore[arg-type]
process.join(1.0)
assert_type(process.exitcode, Optional[int])
gipc.start_process(child, umask=0o77, cwd="/", rlimits={"nofile": 64})
gipc.start_process(child, umaks=0o77)  # type: ignore[call-arg]
gipc.start_process(child, block_signals="TERM", group="new")
gipc.start_process(child, group="mine")  # type: ignore[arg-type]
process.stop(grace=1)
process.signal_group("TERM")
if process.exit_info is not None:
    assert_type(process.exit_info.how, str)
    assert_type(process.exit_info.max_rss, Optional[int])


def annotated(
    reader: "gipc.Reader[bytes]",
    both: "gipc.Duplex[int, str]",
    process: gipc.Process,
    program: gipc.Program,
) -> None:
    for number in both:
        assert_type(number, int)
    assert_type(both.reader.get(), int)
    if isinstance(both, gipc.Duplex):
        both.shutdown()
    assert_type(both.stats.reads, int)
    assert_type(both.stats.transport_in, Literal["plain", "ring"])
    both.set_transport("auto")
    reader.set_transport("fast")  # type: ignore[arg-type]
    assert_type(both.limit, Optional[int])
    ready = gipc.wait([reader, both, process, program], timeout=1)
    print(len(ready))
    with program as same:
        assert_type(same, gipc.Program)
        assert_type(same.wait(), int)

program = gipc.exec_process(["cat", b"-"], handles={"in": raw_reader})
program.join()
launcher, behind = gipc.launch(["cat"], nice=1, encoder="json", decoder="json")
with launcher, behind:
    behind.put("typed", timeout=1)
with gipc.exec_process(["cat"], program="/bin/cat", user="nobody") as cat:
    cat.communicate(b"input")
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
    async with gipc.aio.exec_process(["cat"], nice=1) as cat:
        stdin, stdout, _ = await cat.open_streams()
        await gipc.aio.wait([cat], 1)
        await cat.stop(0)
    async with gipc.aio.Pool(workers=1) as pool:
        async for result in pool.map(len, ["a"], chunksize=2):
            print(result)
    async with gipc.aio.keep([gipc.Service(main)]) as keeper:
        assert_type(keeper["main"].pid, Optional[int])
        await keeper.reload("main", timeout=1)
        await keeper.wait()


def on_change(change: gipc.Change) -> None:
    assert_type(change.service, str)
    assert_type(change.exit_info, Optional[gipc.ExitInfo])


web = gipc.Service(child, lambda: (raw_reader, 3), notify=True, silence=30)
db = gipc.Service(argv=["db"], restart="on_failure", env={"A": "b"}, limit=5)
gipc.Service(child, restart="sometimes")  # type: ignore[arg-type]
gipc.Service(child, restrat="never")  # type: ignore[call-arg]
gipc.keep([web], "one_for_all")  # type: ignore[arg-type]
with gipc.keep({"db": db, "web": web}, "rest_for_one", on_change) as keeper:
    assert_type(keeper["web"].restarts, int)
    for name in keeper:
        assert_type(name, str)
    keeper.reload("web")
    keeper.wait(timeout=None)
try:
    keeper.wait()
except gipc.GaveUp as given_up:
    assert_type(given_up.service, str)
assert_type(gipc.ready(), bool)
assert_type(gipc.alive(), bool)
