"""The transports of handles: the socket, and a ring in shared memory."""

import errno
import os
import re
import socket
import sys
from subprocess import PIPE

import gipc
import pytest
import support
from gipc import GIPCClosed, aio, exec_process, pipe, start_process
from support import Job, frame, read_exactly
from test_peer import CONNECTION, stock_peer

TRANSPORTS = ["auto"] if support.PORTABLE else ["auto", "ring"]
RING = "plain" if support.PORTABLE else "ring"
# Messages after which two handles use a ring, and some more.
ENOUGH = 40

# What it inherits under the name given, it echoes.
CHILD = """
import sys
import gipc
with gipc.inherit("echo", None, None, transport=sys.argv[1]) as handle:
    for message in handle:
        handle.put(message)
    print(handle.stats.transport_in, handle.stats.transport_out)
"""


def raw(duplex=False, **options):
    return pipe(duplex, encoder=None, decoder=None, **options)


def in_use(handle):
    return handle.stats.transport_in, handle.stats.transport_out


def echo(handle):
    for message in handle:
        handle.put(message)


def exchange(handle, count=ENOUGH):
    for i in range(count):
        handle.put(b"%d" % i)
        assert handle.get() == b"%d" % i


def test_a_pipe_changes_to_a_ring_unless_that_is_refused(way):
    for transport, used in ("auto", RING), ("plain", "plain"):
        with raw(True, transport=transport) as (mine, theirs):
            p = start_process(echo, (theirs,))
            exchange(mine)
            assert in_use(mine) == (used, used)
            mine.close()
            p.join()
            assert p.exitcode == 0
    # One side is enough to refuse it.
    with raw(True, transport="auto") as (mine, theirs):
        theirs.set_transport("plain")
        p = start_process(echo, (theirs,))
        exchange(mine)
        assert in_use(mine) == ("plain", "plain")
        mine.close()
        p.join()


@pytest.mark.parametrize("transport", ["auto", "plain"])
def test_a_program_chooses_the_transport_of_what_it_inherits(transport):
    with raw(True, transport="auto") as (mine, theirs):
        p = exec_process(
            [sys.executable, "-c", CHILD, transport],
            handles={"echo": theirs},
            stdout=PIPE,
            text=True,
        )
        exchange(mine)
        used = RING if transport == "auto" else "plain"
        assert in_use(mine) == (used, used)
        mine.close()
        assert p.communicate()[0].split() == [used, used]


@pytest.mark.parametrize("transport", [*TRANSPORTS, "plain"])
def test_a_program_that_reads_the_descriptor_gets_every_message(way, transport):
    messages = [b"%d" % i for i in range(2000)] + [bytes(100_000)] * 5
    expected = b"".join(map(frame, messages))
    with raw(transport=transport) as (r, w):
        reading = Job(read_exactly, (r.fileno(), len(expected)))
        for message in messages:
            w.put(message)
        assert reading.get() == expected
        assert in_use(w)[1] == "plain"
        w.close()
        assert os.read(r.fileno(), 1) == b""


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_stock_connection_echoes_many(tmp_path, transport):
    with raw(True, transport=transport) as (mine, its):
        peer = stock_peer(tmp_path, CONNECTION, its)
        its.close()
        exchange(mine, 2000)
        for size in 100_000, 1, 1 << 20:
            mine.put(bytes(size))
            assert mine.get() == bytes(size)
        assert in_use(mine) == ("plain", "plain")
        mine.close()
        assert peer.wait(support.PATIENCE) == 0


@pytest.mark.parametrize("word, used", [("plain", "plain"), ("ring", RING)])
def test_the_environment_has_the_default(program, monkeypatch, word, used):
    monkeypatch.setenv("GIPC_TRANSPORT", word)
    printed = program(
        """
        import gipc
        for transport in None, "auto", "plain":
            with gipc.pipe(transport=transport) as (r, w):
                for i in range(40):
                    w.put(i)
                    r.get()
                print(w.stats.transport_out)
        """
    )
    assert printed.split() == [used, RING, "plain"]


@pytest.mark.skipif(support.PORTABLE, reason="it needs rings")
def test_a_ring_is_left_and_used_again(way):
    with raw(transport="ring") as (r, w):
        for expected in "ring", "plain", "ring":
            if expected != in_use(w)[1]:
                w.set_transport(expected)
            for _ in range(3):
                w.put(b"message")
                assert r.get() == b"message"
            assert (in_use(w)[1], in_use(r)[0]) == (expected, expected)
        # The reader needs the writer for that.
        w.put(b"unread")
        with pytest.raises(OSError, match="Reader.* still uses a ring") as told:
            r.set_transport("plain")
        assert told.value.errno == errno.EBUSY
        assert r.get() == b"unread"


def test_a_get_on_a_ring_blocks_only_its_caller(way):
    with raw(True, transport="auto") as (a, b):
        for i in range(ENOUGH):
            for one, other in (a, b), (b, a):
                one.put(b"%d" % i)
                assert other.get() == b"%d" % i
        assert in_use(a) == in_use(b) == (RING, RING)
        waiting = way.spawn(a.get)
        way.let_it_wait(waiting)
        others = [way.spawn(b.get), way.spawn(sum, range(10))]
        assert others[1].get() == 45
        a.put(b"for the other direction")
        assert others[0].get() == b"for the other direction"
        assert not waiting.ready()
        before = a.stats.bells_in, b.stats.bells_out
        b.put(b"for the one that waits")
        assert waiting.get() == b"for the one that waits"
        if RING == "ring":
            assert before[0] > 0
            assert b.stats.bells_out == before[1] + 1


def test_a_message_that_is_in_a_ring_is_waited_for(way):
    # Its put finds the reader awake, so the descriptor is not readable.
    with raw(transport="auto") as (r, w):
        exchange_one_way(r, w, ENOUGH)
        for size in 5, 5000, 100_000:
            w.put(bytes(size))
            assert gipc.wait([r], support.PATIENCE) == [r]
            assert len(r.get()) == size
        assert gipc.wait([r], 0) == []


@pytest.mark.skipif(support.PORTABLE, reason="it needs rings")
def test_a_put_waits_for_room_in_a_ring(way):
    with raw(transport="ring") as (r, w):
        exchange_one_way(r, w, 3)
        job = way.spawn(w.put_many, [bytes(10_000)] * 200)
        way.let_it_wait(job)
        assert not job.ready() and w.stats.stalls_out > 0
        for _ in range(200):
            assert len(r.get()) == 10_000
        job.get()
        assert in_use(w)[1] == "ring"


def exchange_one_way(r, w, count):
    for _ in range(count):
        w.put(b"x")
        assert r.get() == b"x"


def test_an_unknown_or_impossible_transport_is_refused_by_name(way):
    fds = support.descriptors()
    name = r"transport: expected one of \['auto', 'plain', 'ring'\], not "
    one, other = socket.socketpair()
    make = (
        lambda t: pipe(transport=t),
        lambda t: gipc.open(one, transport=t),
        lambda t: gipc.inherit("none", transport=t),
        lambda t: gipc.stdio(transport=t),
        lambda t: aio.pipe(transport=t),
        lambda t: aio.open(one, transport=t),
        lambda t: aio.inherit("none", transport=t),
        lambda t: aio.stdio(transport=t),
    )
    for call in make:
        with pytest.raises(ValueError, match=name + "'fast'"):
            call("fast")
        with pytest.raises((TypeError, ValueError), match="^transport: "):
            call([])
    # A pipe of the kernel has no ring; the descriptors are still the caller's.
    read, write = os.pipe()
    with pytest.raises(OSError, match="these streams .*'ring'.*AF_UNIX") as told:
        gipc.open(read, write, transport="ring")
    assert told.value.errno == errno.EOPNOTSUPP
    os.write(write, support.frame(b"still mine"))
    with gipc.open(read, write, None, None, transport="plain") as handle:
        with pytest.raises(OSError, match=re.escape(repr(handle.reader))):
            handle.set_transport("ring")
        with pytest.raises(ValueError, match=name + "None"):
            handle.set_transport(None)
        assert handle.get() == b"still mine"
    with pytest.raises(GIPCClosed):
        handle.set_transport("auto")
    if support.PORTABLE:
        with pytest.raises(OSError, match="a pipe .*'ring'"):
            pipe(transport="ring")
    else:
        with gipc.open(one, transport="ring") as a, gipc.open(other) as b:
            a.put_many([1, 2])
            assert b.get() == 1 and b.get() == 2
    one.close()
    other.close()
    assert support.left_since(fds) == {}


def test_one_direction_that_is_open_says_and_sets_the_transport():
    with raw(True) as (a, b):
        a.reader.close()
        a.set_transport("plain")
        assert in_use(a) == ("plain", "plain") and a.stats.messages_out == 0
