"""The codec 'pickle5': large buffers go beside their message, in sealed memory."""

import asyncio
import errno
import fcntl
import gc
import os
import pickle
import resource
import socket
import struct
from multiprocessing.connection import Connection

import pytest
import support
from gipc import GIPCProtocolError, GIPCTooBig, Pool, _pickle5, aio, pipe, start_process
from gipc import open as adopt

pytestmark = pytest.mark.skipif(
    support.PORTABLE, reason="messages have descriptors on Linux only"
)
LARGE = 64 * 1024
SEALS = (
    fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
    | fcntl.F_SEAL_WRITE
)


def pipe5(**options):
    return pipe(encoder="pickle5", decoder="pickle5", **options)


def mapped():
    """The mappings of memory that peers sent."""
    with open("/proc/self/maps") as maps:
        return sum("/memfd:gipc (" in line for line in maps)


class Array:
    """An object with a buffer, as those of NumPy."""

    def __init__(self, buffer):
        self.buffer = buffer

    def __reduce_ex__(self, protocol):
        return Array, (pickle.PickleBuffer(self.buffer),)


def test_buffers_arrive_mapped_and_as_they_were(way):
    with pipe5() as (r, w):
        before = support.descriptors()
        for size in (0, 1, LARGE - 1, LARGE, LARGE + 1, 3 << 20):
            data = os.urandom(size)
            w.put([Array(data), Array(bytearray(data)), "text"])
            fixed, free, text = r.get()
            assert text == "text"
            for array, is_readonly in ((fixed, True), (free, False)):
                view = memoryview(array.buffer)
                assert view.readonly == is_readonly
                assert view == data
            assert mapped() == (2 if size >= LARGE else 0)
            assert not support.left_since(before)
            if size:
                memoryview(free.buffer)[0] ^= 1
                assert memoryview(free.buffer)[1:] == data[1:]
            del view, array, fixed, free
            gc.collect()
            assert mapped() == 0


def test_a_view_keeps_its_memory(way):
    with pipe5() as (r, w):
        w.put([Array(b"a" * LARGE), Array(b"b" * LARGE)])
        first, second = r.get()
        part = memoryview(second.buffer)[5:7]
        del first, second
        gc.collect()
        assert mapped() == 1 and bytes(part) == b"bb"
    assert bytes(part) == b"bb"
    del part
    assert mapped() == 0


def test_bytearrays_and_memoryviews_go_beside_it_too(way):
    with pipe5() as (r, w):
        for size in (10, 2 * LARGE):
            data = bytearray(os.urandom(size))
            w.put({"a": data, "v": memoryview(data).toreadonly(),
                   "i": memoryview(bytes(4 * size)).cast("i", [2, size // 2]),
                   "gaps": memoryview(data)[::2]})
            got = r.get()
            assert got["a"] == data and got["v"] == data and got["v"].readonly
            assert (got["i"].format, got["i"].shape) == ("i", (2, size // 2))
            assert got["gaps"] == data[::2]
            got["a"][0] ^= 1
            assert isinstance(got["a"], bytearray if size < LARGE else memoryview)
        assert mapped() > 0
        del got
        w.put(bytes(LARGE))  # of a type that cannot be mapped
        assert r.get() == bytes(LARGE)
        assert mapped() == 0


def test_arrays_of_numpy_are_not_copied(way):
    numpy = pytest.importorskip("numpy")
    with pipe5(duplex=True) as (a, b):
        for array in (
            numpy.arange(LARGE).reshape(4, -1),
            numpy.asfortranarray(numpy.ones((300, 300))),
            numpy.arange(10),
            numpy.arange(2000)[::2],
            numpy.zeros(0),
        ):
            a.put({"x": array})
            got = b.get()["x"]
            assert (got == array).all() and got.dtype == array.dtype
            got[...] = 1
        fixed = numpy.arange(LARGE)
        fixed.setflags(write=False)
        a.put(fixed)
        got = b.get()
        assert not got.flags.writeable and mapped() == 1
        b.put(got)  # back again
        assert (a.get() == fixed).all()


def test_more_buffers_than_descriptors_share_them(way):
    with pipe5() as (r, w):
        arrays = [Array(struct.pack("i", i) * (LARGE // 4 + i)) for i in range(150)]
        w.put(arrays)
        got = r.get()
        assert all(bytes(a.buffer) == b.buffer for a, b in zip(got, arrays))
        del got[1:]
        assert mapped() == 1


def test_descriptors_stay_flat(way):
    with pipe5(duplex=True) as (a, b):
        before = support.descriptors()
        array = Array(bytes(LARGE))
        for i in range(2000 if support.LONG else 200):
            a.put((i, array))
            for _ in range(100):  # and the ring comes back
                a.put(i)
            assert b.get()[0] == i
            assert [b.get() for _ in range(100)] == [i] * 100
        assert not support.left_since(before)
        assert mapped() == 0


def double(h):
    for array in h:
        view = memoryview(array.buffer)
        for i in range(0, len(view), 4096):
            view[i] *= 2
        h.put(array)


def test_a_child_gets_and_returns_buffers(way):
    with pipe5(duplex=True) as (mine, its):
        p = start_process(double, (its,))
        for n in range(10):
            mine.put(Array(bytearray([n]) * LARGE))
            assert memoryview(mine.get().buffer)[4096] == 2 * n
        mine.close()
        p.join()
        assert p.exitcode == 0


def test_descriptors_of_the_program_come_behind_them(way):
    with pipe5() as (r, w):
        for message in ("small", Array(bytes(LARGE))):
            w.put(message, fds=[0, 1])
            got = r.get()
            assert type(got) is type(message)
            fds = r.take_fds()
            assert len(fds) == 2 and r.take_fds() == []
            for fd in fds:
                os.close(fd)
        before = support.descriptors()
        w.put("x", fds=[0, 1])
        w.put("y")
        assert (r.get(), r.get()) == ("x", "y")
        assert not support.left_since(before)
        w.put(Array(b"a" * LARGE), fds=[0] * 253)  # no room beside these
        assert bytes(r.get().buffer) == b"a" * LARGE
        for fd in r.take_fds():
            os.close(fd)


def test_a_connection_gets_the_buffers_in_the_message(way):
    ours, theirs = socket.socketpair()
    job = None
    with Connection(theirs.detach()) as connection:
        with adopt(ours, encoder="pickle5", decoder="pickle5") as h:
            for array in (bytearray(b"a" * LARGE), b"b" * (2 << 20)):
                job = support.Job(connection.recv, ())
                h.put(Array(array))
                assert bytes(job.get().buffer) == array
            job = support.Job(connection.send, (bytearray(b"c" * LARGE),))
            assert h.get() == b"c" * LARGE
            job.get()


def test_without_memory_or_descriptors_they_are_in_the_message(
    way, monkeypatch
):
    def fails(*_):
        raise OSError(errno.ENOSPC, "no space")

    array = Array(b"a" * LARGE)
    with pipe5() as (r, w):
        for name in ("memfd_create", "pwrite"):
            with monkeypatch.context() as m:
                m.setattr(os, name, fails)
                job = way.spawn(w.put, array)
                got = r.get()
                job.get()
            assert bytes(got.buffer) == array.buffer and mapped() == 0
        with monkeypatch.context() as m:
            m.delattr(os, "memfd_create")
            w.put(array)
            assert bytes(r.get().buffer) == array.buffer
        w.put_many([array, 7])
        assert bytes(r.get().buffer) == array.buffer and r.get() == 7
        assert mapped() == 0


def test_a_reader_without_descriptors_left_says_so(way):
    with pipe5() as (r, w):
        w.put(Array(b"a" * LARGE))
        w.put("next")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(OSError) as caught:
                r.get()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert caught.value.errno == errno.EMFILE
        assert r.get() == "next"


def test_the_limit_counts_the_buffers(way):
    with pipe5() as (r, w):
        w.set_limit(LARGE)
        with pytest.raises(GIPCTooBig):
            w.put(Array(bytes(LARGE)))
        w.set_limit(None)
        r.set_limit(LARGE)
        w.put(Array(bytes(LARGE)))
        with pytest.raises(GIPCTooBig):
            r.get()
        w.put(1)
        assert r.get() == 1


# ---- Peers that do not keep to it --------------------------------------------


def memory(size, seals=SEALS, is_written=True):
    fd = os.memfd_create("hostile", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if is_written:
        os.pwrite(fd, bytes(size), 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def message(*entries):
    body = pickle.dumps(
        [pickle.PickleBuffer(b"x") for _ in entries], 5,
        buffer_callback=lambda _: False,
    )
    packed = b"".join(struct.pack("<IQQ?", *entry) for entry in entries)
    return body + packed + struct.pack("<IB", len(entries), 5)


GOOD = (0, 0, LARGE, True)


@pytest.mark.parametrize(
    "entries, make",
    [
        ([(0, 0, LARGE + 1, True)], lambda: memory(LARGE)),
        ([(0, 4096, LARGE, True)], lambda: memory(LARGE)),
        ([(0, 1, LARGE - 1, True)], lambda: memory(LARGE)),
        ([(0, 0, 0, True)], lambda: memory(LARGE)),
        ([(0, 2**64 - 4096, 8192, True)], lambda: memory(LARGE)),
        ([(0, 0, 2**63, True)], lambda: memory(LARGE)),
        ([(1, 0, LARGE, True)], lambda: memory(LARGE)),
        ([(2**32 - 1, 0, 1, True)], lambda: memory(LARGE)),
        ([GOOD], lambda: memory(LARGE, SEALS & ~fcntl.F_SEAL_SHRINK)),
        ([GOOD], lambda: memory(LARGE, SEALS & ~fcntl.F_SEAL_WRITE)),
        ([GOOD], lambda: memory(LARGE, SEALS & ~fcntl.F_SEAL_GROW)),
        ([GOOD], lambda: memory(LARGE, SEALS & ~fcntl.F_SEAL_SEAL)),
        ([GOOD], lambda: memory(LARGE, is_written=False)),
        ([GOOD], lambda: memory(0)),
        ([GOOD], lambda: os.open("/bin/sh", os.O_RDONLY)),
        ([GOOD], lambda: os.open("/dev/zero", os.O_RDWR)),
    ],
)
def test_wrong_memory_is_a_protocol_error(entries, make):
    with pipe(encoder=None, decoder="pickle5") as (r, w):
        before = support.descriptors()
        r.set_limit(None)
        fd = make()
        w.put(message(*entries), fds=[fd])
        os.close(fd)
        with pytest.raises(GIPCProtocolError):
            r.get()
        assert mapped() == 0
        w.put(pickle.dumps("next"))
        assert r.get() == "next"
        assert not support.left_since(before)


def test_missing_descriptors_and_tables_are_protocol_errors():
    with pipe(encoder=None, decoder="pickle5") as (r, w):
        for data in (
            message(GOOD), b"\5", b"\0\0\0\0\4", b"\xff\xff\xff\xff\5",
            b"\1\0\0\0\5",
        ):
            w.put(data)
            with pytest.raises(GIPCProtocolError):
                r.get()
        # Surplus ones are the program's, which does not take them.
        before = support.descriptors()
        fd = memory(LARGE)
        w.put(message(GOOD), fds=[fd] * 5)
        os.close(fd)
        assert bytes(r.get()[0]) == bytes(LARGE)
        w.put(message(GOOD)[:-1])
        with pytest.raises(Exception):
            r.get()
        assert not support.left_since(before)
        # More buffers are needed than came.
        fd = memory(LARGE)
        body = pickle.dumps([pickle.PickleBuffer(b"x")] * 2, 5,
                            buffer_callback=lambda _: False)
        w.put(body + message(GOOD)[-26:], fds=[fd])
        os.close(fd)
        with pytest.raises(pickle.UnpicklingError):
            r.get()


# ---- Elsewhere ---------------------------------------------------------------


def test_tasks_exchange_buffers():
    async def main():
        async with aio.pipe(
            duplex=True, encoder="pickle5", decoder="pickle5"
        ) as (a, b):
            for size in (1, LARGE, 4 << 20):
                await a.put(Array(b"a" * size))
                assert len(memoryview((await b.get()).buffer)) == size
            await a.put(Array(b"a" * LARGE))
            a.shutdown()
            assert [len(memoryview(x.buffer)) async for x in b] == [LARGE]

    asyncio.run(main())


def size_of(array):
    return Array(bytes(memoryview(array.buffer)) * 2)


def test_a_pool_takes_them_in_the_message():
    with Pool(size_of, workers=1, encoder="pickle5", decoder="pickle5") as pool:
        got = pool.call(Array(b"a" * LARGE))
        assert bytes(got.buffer) == b"a" * 2 * LARGE


def test_false_signs_of_a_bytearray_change_nothing():
    data = b"\x96" + (1 << 16).to_bytes(8, "little") + bytes(1 << 17)
    with pipe5() as (r, w):
        w.put({"data": data})
        assert r.get() == {"data": data}
        assert _pickle5._has_large_bytearray(pickle.dumps(data, 5))
