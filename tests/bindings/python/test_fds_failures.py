"""Messages with descriptors that fail: nothing is left open, which a fixture checks
after each test."""

import errno
import multiprocessing
import os
import resource
import signal
import socket

import pytest
import support
from gipc import GIPCProtocolError, GIPCTooBig, GIPCTruncated, launch, pipe
from gipc import open as adopt

pytestmark = pytest.mark.skipif(
    support.PORTABLE, reason="messages have descriptors on Linux only"
)

# One message of one byte, "a", that says how many descriptors it has.
HEADER = b"\x80\0\0%c\0\0\0\1a"


def raw():
    return pipe(encoder=None, decoder=None)


def is_gone(reader):
    """Whether no copy of the writing end is left."""
    os.set_blocking(reader, False)
    try:
        return os.read(reader, 1) == b""
    except BlockingIOError:
        return False


@pytest.fixture
def watched():
    """The reading end of a pipe, and a writing end that a test closes."""
    reader, writer = os.pipe()
    yield reader, writer
    assert is_gone(reader)
    os.close(reader)


@pytest.mark.parametrize("said, sent", [(1, 3), (2, 1), (1, 0)])
def test_a_peer_with_another_number_is_a_protocol_error(way, watched, said, sent):
    peer, ours = socket.socketpair()
    reader, writer = watched
    with peer, adopt(ours.detach(), None, decoder=None) as handle:
        socket.send_fds(peer, [HEADER % said], [writer] * sent)
        os.close(writer)
        with pytest.raises(GIPCProtocolError):
            handle.get(timeout=support.PATIENCE)
        assert is_gone(reader)


def test_a_reader_without_room_is_told(way, watched):
    reader, writer = watched
    with raw() as (r, w):
        w.put(b"a", fds=[writer] * 2)
        w.put(b"b")
        os.close(writer)
        old = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, old[1]))
        try:
            assert r.get() == b"a"
            with pytest.raises(OSError) as caught:
                r.take_fds()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, old)
        assert caught.value.errno == errno.EMFILE
        assert r.get() == b"b"
        assert is_gone(reader)


def test_those_of_a_message_over_the_limit_are_closed(way, watched):
    reader, writer = watched
    with raw() as (r, w):
        r.set_limit(5)
        w.put(b"beyond", fds=[writer])
        os.close(writer)
        with pytest.raises(GIPCTooBig):
            r.get()
        assert is_gone(reader)


def test_a_stream_without_descriptors_refuses_them(way):
    ours, its = multiprocessing.Pipe()
    process, behind = launch(["cat"], encoder=None, decoder=None)
    copy = os.dup(ours.fileno())
    with its, ours, process, behind, adopt(None, copy, encoder=None) as handle:
        for one in handle, behind:
            with pytest.raises(OSError) as caught:
                one.put(b"a", fds=[0])
            assert caught.value.errno == errno.EOPNOTSUPP
            one.put(b"b")
        assert its.recv_bytes() == behind.get(timeout=support.PATIENCE) == b"b"


def test_a_launcher_that_dies_in_a_message_cuts_it(way):
    cut = r"printf '\000\000\000\005ab'; kill -9 $$"
    process, handle = launch(["sh", "-c", cut], decoder=None)
    with handle:
        with pytest.raises(GIPCTruncated):
            handle.get(timeout=support.PATIENCE)
        assert process.wait(support.PATIENCE) == -signal.SIGKILL
