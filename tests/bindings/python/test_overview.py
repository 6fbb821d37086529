"""All handles and processes of a program, and the trace of its events."""

import json
import os
import subprocess
import sys

import pytest

import gipc


@pytest.fixture
def traced(tmp_path):
    """A function that ends the trace and returns its events."""
    with open(tmp_path / "trace", "w+b") as file:
        gipc.trace(file)

        def end():
            gipc.trace(None)
            with open(tmp_path / "trace", "rb") as lines:
                return [json.loads(line) for line in lines]

        try:
            yield end
        finally:
            gipc.trace(None)


def records(kind):
    return [record for record in gipc.overview() if record["kind"] == kind]


def test_handles_are_records_until_they_are_closed():
    before = {record["id"] for record in records("handle")}
    with gipc.pipe() as (reader, writer):
        gipc.overview()
        writer.put(b"x" * 100)
        new = [r for r in records("handle") if r["id"] not in before]
        by_direction = {record["directions"]: record for record in new}
        assert sorted(by_direction) == ["read", "write"]
        write, read = by_direction["write"], by_direction["read"]
        assert write["messages_out"] == 1 and write["messages_in"] == 0
        assert write["pair"] == read["pair"] > 0
        assert read["unread"] == write["bytes_out"] > 100
        assert write["idle"] is not None and read["idle"] is None
        assert read["transport_in"] in ("socket", "ring")
        assert read["transport_out"] is None and read["read_fd"] == reader.fileno()
        assert read["state"] == "open" and not read["busy"]
        assert read["pid"] is None and read["name"] is None
        reader.get()
    assert {record["id"] for record in records("handle")} == before


def test_processes_are_records_and_a_table_has_a_line_for_each():
    # A name may have any character: a row stays a line.
    child = gipc.exec_process([sys.executable, "-c", "input()"], name="a\nchild",
                              stdin=subprocess.PIPE)
    try:
        (record,) = [r for r in records("process") if r["pid"] == child.pid]
        assert record["name"] == "a\nchild"
        assert record["state"] == "running" and record["age"] >= 0
        assert record["code"] is None and record["signal"] is None
        all_of_them = gipc.overview()
        lines = str(all_of_them).splitlines()
        assert len(lines) == len(all_of_them) + 1
        assert lines[0].split() == ["id", "kind", "name", "pid", "state", "age", "idle",
                                    "transport", "queued", "unread", "in", "out"]
        assert any("a?child" in line and " %d " % child.pid in line for line in lines)
    finally:
        child.kill()
        child.join()
    assert {r["state"] for r in records("process") if r["pid"] == child.pid} <= {"reaped"}


def test_events_are_json(traced):
    with gipc.pipe() as (reader, writer):
        writer.put("hello")
        assert reader.get() == "hello"
    child = gipc.exec_process([sys.executable, "-c", "raise SystemExit(3)"],
                              name='a "child" \u20ac')
    child.join()
    events = traced()
    assert [e["event"] for e in events] == ["put", "get", "start", "end"]
    assert {e["pid"] for e in events} == {os.getpid()}
    put, get, start, end = events
    assert put["size"] == get["size"] > 0
    assert start["name"] == 'a "child" \u20ac'
    assert start["child"] == end["child"] == child.pid and end["code"] == 3
    assert [e["time"] for e in events] == sorted(e["time"] for e in events)


def test_a_pool_reports_its_tasks(traced):
    with gipc.Pool(str.upper, workers=1) as pool:
        assert pool.submit("a").result() == "A"
    tasks = [e for e in traced() if e["event"] == "task"]
    assert [e["what"] for e in tasks] == ["send", "finish"]
    assert tasks[1]["why"] == "done"


@pytest.mark.parametrize("wrong", [-1, -5, True])
def test_what_is_no_descriptor_is_refused(wrong):
    with pytest.raises(ValueError, match="trace"):
        gipc.trace(wrong)


def test_a_descriptor_that_cannot_be_written_is_refused():
    with pytest.raises(OSError):
        gipc.trace(1 << 20)
    with open(os.devnull, "rb") as file, pytest.raises(OSError):
        gipc.trace(file)
