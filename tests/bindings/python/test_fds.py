"""Messages with descriptors."""

import asyncio
import errno
import os
import socket

import pytest
import support
from gipc import GIPCTimeout, aio, pipe, start_process
from gipc import open as adopt

pytestmark = pytest.mark.skipif(
    support.PORTABLE, reason="messages have descriptors on Linux only"
)


def raw(**options):
    return pipe(encoder=None, decoder=None, **options)


def is_gone(reader):
    """Whether no copy of the writing end is left."""
    os.set_blocking(reader, False)
    try:
        return os.read(reader, 1) == b""
    except BlockingIOError:
        return False


def test_descriptors_come_with_their_message(way):
    ours, theirs = socket.socketpair()
    with ours, theirs, raw() as (r, w):
        for i in range(20):
            w.put(b"%d" % i, fds=[theirs, theirs.fileno()][: i % 3])
        for i in range(20):
            assert r.get() == b"%d" % i
            fds = r.take_fds()
            assert len(fds) == i % 3
            assert r.take_fds() == []
            for fd in fds:
                assert not os.get_inheritable(fd)
                os.write(fd, b"x")
                os.close(fd)
                assert ours.recv(10) == b"x"


@pytest.mark.parametrize("transport", ["ring", "plain"])
def test_descriptors_stay_flat_over_10000_messages(transport):  # H89
    """A third of them comes with one, and every other of these is taken."""
    with open(os.devnull) as null, raw(transport=transport) as (r, w):
        counts = set()
        for i in range(10000):
            w.put(b"x", fds=[null] if i % 3 == 0 else [])
            assert r.get() == b"x"
            if i % 6 == 0:
                os.close(*r.take_fds())
            if i % 99 == 1 and i > 100:
                counts.add(len(support.descriptors()))
        of_ring = transport == "ring"  # its memory, while it is in use
        assert max(counts) - min(counts) <= of_ring


def serve(h):
    for message in h:
        (fd,) = h.take_fds()
        with socket.socket(fileno=fd) as s:
            s.sendall(message)
    h.put(b"done")


def test_a_child_serves_the_sockets_of_a_listener(way):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with raw(duplex=True) as (mine, its):
            p = start_process(serve, (its,))
            for i in range(50):
                with socket.create_connection(listener.getsockname()) as client:
                    with listener.accept()[0] as accepted:
                        mine.put(b"%d" % i, fds=[accepted])
                    assert client.makefile("rb").read() == b"%d" % i
            mine[1].close()
            assert mine.get() == b"done"
            p.join()
            assert p.exitcode == 0
            mine.close()


def test_those_not_taken_are_closed_with_the_next_get(way):
    reader, writer = os.pipe()
    with raw() as (r, w):
        w.put(b"a", fds=[writer])
        w.put(b"b")
        os.close(writer)
        assert r.get() == b"a"
        assert not is_gone(reader)
        assert r.get() == b"b"
        assert is_gone(reader)
    os.close(reader)


def test_a_put_that_times_out_says_what_became_of_it(way):
    reader, writer = os.pipe()
    with raw() as (r, w):
        w.set_marks(1, 2)
        # The second one waits in the queue, and is written later.
        withdrawn = []
        for i in range(3):
            try:
                w.put(b"x" * 300000, fds=[writer], timeout=0.01)
            except GIPCTimeout as error:
                withdrawn.append(error.withdrawn)
        os.close(writer)
        assert withdrawn[0] is False and withdrawn[-1] is True
        count = 3 - withdrawn.count(True)
        for _ in range(count):
            got = start_get(r, w)
            assert len(got) == 300000
            (fd,) = r.take_fds()
            os.close(fd)
        assert is_gone(reader)
    os.close(reader)


def start_get(r, w):
    """Gets a message whose end is still in the queue of the writer."""
    while True:
        try:
            return r.get(timeout=0)
        except GIPCTimeout:
            try:
                w.flush(timeout=0)
            except GIPCTimeout:
                pass


def test_wrong_descriptors_are_refused_and_nothing_is_sent(way):
    with raw() as (r, w):
        with pytest.raises(OSError) as caught:
            w.put(b"a", fds=[999])
        assert caught.value.errno == errno.EBADF
        with pytest.raises(ValueError):
            w.put(b"a", fds=[0] * 254)
        with pytest.raises(TypeError):
            w.put(b"a", fds=["file"])
        w.put(b"b")
        assert r.get() == b"b"
    a, b = socket.socketpair()
    with b, adopt(None, a.detach(), encoder=None) as h:
        with pytest.raises(OSError) as caught:
            h.put(b"a", fds=[0])
        assert caught.value.errno == errno.EOPNOTSUPP


def test_tasks_exchange_descriptors():
    async def main():
        async with aio.pipe(encoder=None, decoder=None) as (r, w):
            for i in range(10):
                await w.put(b"%d" % i, fds=[0] * (i % 3))
                assert await r.get() == b"%d" % i
                fds = r.take_fds()
                assert len(fds) == i % 3
                for fd in fds:
                    os.close(fd)

    asyncio.run(main())
