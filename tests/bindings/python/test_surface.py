"""What of C's surface Python has: its names, what handles tell and can be told,
handles of open streams, and errors of codecs."""

import inspect
import os
import re
import selectors
import socket
import subprocess
import sys
import threading
from pathlib import Path

import gevent
import gipc
import pytest
import support
from gipc import GIPCClosed, GIPCTooBig, aio, exec_process, pipe, start_process
from gipc._options import OPTIONS
from subprocess import PIPE

HERE = Path(__file__).parent
CLASSES = {
    "Handle": [gipc.Reader, gipc.Writer, gipc.Duplex, aio.Reader, aio.Writer,
               aio.Duplex],
    "Reader": [gipc.Reader, gipc.Duplex, aio.Reader, aio.Duplex],
    "Writer": [gipc.Writer, gipc.Duplex, aio.Writer, aio.Duplex],
    "Duplex": [gipc.Duplex, aio.Duplex],
    "Process": [gipc.Process, gipc.Program],
    "Program": [gipc.Program],
    "Keeper": [gipc.Keeper, aio.Keeper],
}


def table():
    """The lines of the table: functions of C, and what Python has for them."""
    for line in (HERE.parent / "surface.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            functions, python = line.split("\t")[:2]
            yield functions, python


def instances():
    """What objects have that their classes do not show."""
    with pipe() as (r, w), pipe(True) as (a, _), aio.pipe() as (ar, aw):
        with aio.pipe(True) as (aa, _):
            found = {type(o): set(dir(o)) for o in (r, w, a, ar, aw, aa)}
    for process in start_process(print), exec_process(["true"]):
        process.join()
        found[type(process)] = set(dir(process))
    return found


def is_there(name, names_of):
    if name.startswith("option "):
        return all(
            name[7:] in inspect.signature(start).parameters
            for module in (gipc, aio)
            for start in (module.exec_process, module.start_process)
            if (name[7:], start.__name__) not in PROGRAMS_ONLY
        )
    owner, _, member = name.rpartition(".")
    if owner in CLASSES:
        return all(
            member in names_of.get(kind, dir(kind)) for kind in CLASSES[owner])
    if owner == "OSError":
        return hasattr(OSError(), member)
    scope = {"gipc": gipc, "gipc.aio": aio, "": gipc}
    return hasattr(scope[owner], member)


PROGRAMS_ONLY = {("handles", "start_process"), ("program", "start_process")}


def test_the_names_of_the_surface_table_are_there():
    names_of = instances()
    absent = [
        name
        for _, names in table()
        if not names.startswith("- ")
        for name in re.findall(r"option \w+|[\w.]+", names)
        if not is_there(name, names_of)
    ]
    assert absent == []
    listed = re.findall(r"option (\w+)", " ".join(names for _, names in table()))
    assert set(OPTIONS) <= set(listed)


def test_no_line_of_the_surface_table_is_empty():
    assert [f for f, names in table() if not re.match(r"- \w+|\w", names)] == []


def test_tasks_have_what_threads_have():
    assert set(gipc.__all__) - set(aio.__all__) == {
        "Change", "ExitInfo", "Overview", "PoolStats", "Program", "ServiceStats",
        "Stats", "Template", "WorkerStats", "alive", "features", "overview",
        "ready", "serve", "set_exit_timeout", "take_fds", "trace", "version"}
    public = {n for n in dir(gipc.Program) if not n.startswith("_")}
    p = exec_process(["true"])
    asynchronous = aio.Process(p)
    if support.PORTABLE:
        public.remove("sentinel")  # an OSError: there is no pidfd
    assert [n for n in public if not hasattr(asynchronous, n)] == []
    p.join()


def test_the_public_names_are_those_of_the_objects():
    with pipe() as (r, w), pipe(True) as (a, b):
        assert (type(r), type(w), type(a)) == (
            gipc.Reader, gipc.Writer, gipc.Duplex)
    p = start_process(print)
    p.join()
    assert type(p) is gipc.Process is gipc.gipc._GProcess
    p = exec_process(["true"])
    p.join()
    assert type(p) is gipc.Program
    import pydoc

    text = pydoc.plain(pydoc.render_doc(gipc))
    for name in "Reader", "Writer", "Duplex", "Process", "Program":
        assert "%s = class _GI" % name in text or "%s = class _GP" % name in text
    assert "ExitInfo" in text and "start_process(" in text


def test_the_library_tells_its_version_and_features(program):
    assert re.fullmatch(r"\d+\.\d+\.\d+", gipc.version)
    known = {"pidfd", "kept_status", "shared_start", "close_range",
             "wipe_on_fork", "pipe_read", "pipe_write"}
    assert gipc.features() <= known
    if not support.PORTABLE:
        assert "pidfd" in gipc.features()


def put_much(writer):
    # Only the end of the process sends it, after the first 100 KiB or so.
    gevent.spawn(writer.put, bytes(1 << 24))
    gevent.sleep(0)


def test_a_child_gives_up_what_nobody_reads():
    gipc.set_exit_timeout(0.05)
    try:
        with pipe() as (r, w):
            # After as much here the next put lets others run first, but not there.
            big = gevent.spawn(w.put, bytes(1 << 20))
            r.get()
            big.join()
            p = start_process(put_much, (w,))
            p.join(support.PATIENCE)
            assert p.exit_info.ended == "unsent"
    finally:
        gipc.set_exit_timeout(60)
    for wrong in "x", [1]:
        with pytest.raises(TypeError):
            gipc.set_exit_timeout(wrong)


# ---- Handles -----------------------------------------------------------------


def test_handles_tell_their_limits_and_counts(way):
    # An offer of a ring ends what one read receives.
    with pipe(True, encoder=None, decoder=None, transport="plain") as (a, b):
        assert (a.limit, a.read_limit, a.marks) == (
            1 << 30, 64 << 20, (64 << 10, 256 << 10))
        a.set_limit(5)
        assert a.limit == a.reader.limit == a.writer.limit == 5
        with pytest.raises(GIPCTooBig):
            a.put(b"123456")
        a.set_limit(None)
        assert a.limit is None
        a.set_read_limit(0)
        assert a.read_limit == 0
        a.set_marks(1, 2)
        assert a.marks == (1, 2)
        for _ in range(3):
            a.put(b"hello")
        assert b.get() == b"hello"
        assert a.stats[1] == a.stats.messages_out == 3
        assert a.stats.bytes_out == 27 and a.stats.writes > 0
        assert b.stats.messages_in == 1 and b.stats.reads > 0
        assert b.pending == (18, 0) and b.reader.pending == 18
        assert not a.closed and not a.reader.closed
    assert a.closed and a.writer.closed
    for get in (lambda: a.reader.stats), (lambda: a.reader.pending):
        with pytest.raises(GIPCClosed):
            get()
    assert a.pending == (0, 0)


def test_marks_say_when_a_batch_waits(way):
    with pipe(encoder=None, decoder=None) as (r, w):
        w.set_marks(1, 2)
        support.shrink(w)
        with w.batch():
            w.put(bytes(1 << 20))
            assert w.pending > 0
            job = way.spawn(w.put, b"after")
            way.let_it_wait(job)
            assert not job.ready()
            r.get()
            job.get()
        assert r.get() == b"after"


def test_the_descriptor_is_told_with_its_direction():
    with pipe() as (r, w), pipe(True) as (a, b):
        assert (r.events, w.events, a.events) == (
            selectors.EVENT_READ, selectors.EVENT_WRITE, selectors.EVENT_READ)
        with selectors.DefaultSelector() as s:
            s.register(a, a.events)
            assert s.select(0) == []
            b.put(1)
            ((key, events),) = s.select(support.PATIENCE)
            assert key.fileobj is a and a.get() == 1


def test_one_direction_can_be_closed(way):
    with pipe(duplex=True) as (a, b):
        a.put("question")
        a.shutdown()
        assert list(b.messages()) == ["question"]
        with pytest.raises(EOFError):
            b.get()
        with pytest.raises(GIPCClosed):
            a.put("more")
        assert a.writer.closed and not a.reader.closed and not a.closed
        b.put("answer")
        assert a.get() == "answer"
        assert a.stats.messages_in == 1 and a.pending == (0, 0)
        with pytest.raises(GIPCClosed):
            a.shutdown()
        # The other one, too.
        a.reader.close()
        assert a.closed
        with pytest.raises(BrokenPipeError):
            for _ in range(100):
                b.put("nobody reads it")


def test_a_duplex_handle_gives_its_messages(way):
    with pipe(duplex=True) as (a, b):
        a.put_many("abc")
        a.shutdown()
        got = []
        for message in b:
            got.append(message)
        assert got == ["a", "b", "c"]
        assert b[0] is b.reader and b[1] is b.writer and len(b) == 2


# ---- Handles of open streams -------------------------------------------------


def connected():
    """A socket for each end; closed where a handle has not taken them."""
    return socket.socketpair()


def test_a_socket_becomes_a_handle(way):
    one, other = connected()
    with gipc.open(one) as a, gipc.open(other.detach()) as b:
        assert type(a) is type(b) is gipc.Duplex and one.fileno() == -1
        a.put({"any": "object"})
        assert b.get() == {"any": "object"}
        b.put_many([1, 2])
        b.shutdown()
        assert list(a) == [1, 2]


def test_descriptors_and_files_become_handles(way):
    r, w = os.pipe()
    writer = os.fdopen(w, "wb")
    with gipc.open(r, decoder=None) as reader, gipc.open(
        None, writer, encoder=None
    ) as writing:
        assert (type(reader), type(writing)) == (gipc.Reader, gipc.Writer)
        assert reader.fileno() == r and writer.closed
        writing.put(b"raw")
        assert reader.get() == b"raw"
        writing.close()
        assert list(reader) == []


def test_a_stream_that_cannot_be_one_stays_as_it_was(tmp_path):
    (tmp_path / "file").write_text("x")
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with open(tmp_path / "file") as file, datagrams:
        before = support.descriptors()
        with pytest.raises(OSError, match="Errno 22"):
            gipc.open(datagrams)
        with pytest.raises(OSError, match="Errno 22"):
            gipc.open(None, file)
        assert datagrams.fileno() >= 0 and file.read() == "x"
        with pytest.raises(TypeError, match="read: .*'/dev/null'"):
            gipc.open("/dev/null")
        with pytest.raises(TypeError, match="write: .*1.5"):
            gipc.open(None, 1.5)
        with pytest.raises(ValueError, match="one of them is needed"):
            gipc.open(None)
        with pytest.raises(gipc.GIPCError, match="encoder"):
            gipc.open(file, encoder="xml")
        with pytest.raises(OSError, match="Errno 9"):
            gipc.open(987)
        assert support.left_since(before) == {}


CHILD = """
import gipc
with gipc.stdio() as handle:
    for number in handle:
        handle.put([number, number * number])
"""


def test_python_is_the_parent_behind_a_launcher(way):
    """As srun and ssh are: a program that carries stdin and stdout."""
    launcher = ["sh", "-c", 'cat | "$@" | cat', "sh"]

    def ask(numbers):
        with exec_process(
            [*launcher, sys.executable, "-c", CHILD], stdin=PIPE, stdout=PIPE
        ) as p:
            with gipc.open(p.stdout, p.stdin, "msgpack", "msgpack") as handle:
                found = []
                for number in numbers:
                    handle.put(number)
                    found.append(handle.get(timeout=support.PATIENCE))
        assert p.exitcode == 0
        return found

    jobs = [way.spawn(ask, range(n, 9, 3)) for n in range(3)]
    found = sum((job.get(timeout=support.PATIENCE) for job in jobs), [])
    assert sorted(found) == [[n, n * n] for n in range(9)]


# ---- Codecs ------------------------------------------------------------------


@pytest.mark.parametrize("codec, wrong, kind", [
    ("default", threading.Lock(), TypeError),
    ("json", {1}, TypeError),
    ("json", {2: 3}, TypeError),
    ("json", float("nan"), ValueError),
    ("json", "\ud800", UnicodeEncodeError),
    ("msgpack", {1}, TypeError),
    ("msgpack", 2**65, OverflowError),
])
def test_an_object_that_cannot_be_encoded_is_refused_with_its_place(
    way, codec, wrong, kind
):
    if codec == "msgpack":
        pytest.importorskip("msgpack")
    with pipe(encoder=codec, decoder=codec) as (r, w):
        good = {"a": 1}
        o = {"jobs": [good, {"arguments": [good, wrong]}]}
        with pytest.raises(kind) as caught:
            w.put(o)
        place = "['jobs'][1]['arguments'][1]"
        assert "(at %s)" % place in str(caught.value)
        with pytest.raises(kind, match=r"\(at \[1\]\)"):
            w.put_many([good, [good, wrong]])
        # It is the whole object.
        with pytest.raises(kind) as caught:
            w.put(wrong)
        assert "(at" not in str(caught.value)
        w.put(good)
        assert r.get() == good


def test_an_object_that_is_its_own_part_is_an_error():
    o = []
    o.append(o)
    with pipe(encoder="json") as (r, w):
        with pytest.raises(ValueError, match="Circular"):
            w.put(o)
