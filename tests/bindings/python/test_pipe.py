"""Messages and the handles of a pipe, under gevent and in plain threads."""

import json
import os
import pickle
import re

import pytest
import support
from gipc import GIPCClosed, GIPCError, GIPCLocked, GIPCTimeout, pipe
from support import frame, write_raw


def raw(duplex=False):
    return pipe(duplex, encoder=None, decoder=None)


# ---- Messages ----------------------------------------------------------------


def test_messages_of_every_size_arrive_whole(way):  # H62, H84
    pattern = os.urandom(1 << 16) * 77
    with raw() as (r, w):
        put = way.spawn(lambda: [w.put(pattern[:size]) for size in support.SIZES])
        for size in support.SIZES:
            assert r.get() == pattern[:size]
        put.get()


def test_any_object_arrives_by_default(way):
    objects = ["", b"", None, True, 0, -1.5, [1, [2]], {"a": (1, 2)}, ValueError]
    objects += [{1, 2}, "\N{SNOWMAN}", 1 << 80, re.compile("x")]
    with pipe() as (r, w):
        for o in objects:
            assert w.put(o) is None
            assert r.get() == o


def test_the_raw_codec_takes_bytes_only(way):
    with raw() as (r, w):
        for o in ("text", 5, None, [b"x"], {}):
            with pytest.raises(TypeError):
                w.put(o)
        w.put(b"bytes")
        assert r.get() == b"bytes"


def test_bytes_like_objects_are_taken_as_bytes(way):
    with raw() as (r, w):
        for o in (bytearray(b"abc"), memoryview(b"abc"), memoryview(b"xabcx")[1:4]):
            w.put(o)
            got = r.get()
            assert got == b"abc" and type(got) is bytes


def test_a_large_view_is_lent_for_as_long_as_the_put(way):
    memory = bytearray(os.urandom(3_000_000))
    views = [memory, memoryview(memory)[1:], memoryview(memory)[::2]]
    with raw() as (r, w):
        for view in views:
            got = way.spawn(r.get)
            w.put(view)
            assert got.get() == bytes(view)
        views.clear()
        del view
        memory.append(0)  # which it may be when nobody has a view of it
        content = bytes(memory)
        with pytest.raises(GIPCTimeout):
            w.put(memory, timeout=0.02)
        memory[:] = bytes(len(memory))  # the rest leaves from a copy
        got = way.spawn(r.get)
        w.flush()
        assert got.get() == content


def test_a_codec_may_be_a_pair_of_functions(way):
    def encode(o):
        return json.dumps(o).encode("ascii")

    def decode(data):
        return json.loads(data.decode("ascii"))

    with pipe(encoder=encode, decoder=decode) as (r, w):
        w.put({"a": [1, None]})
        assert r.get() == {"a": [1, None]}


def test_an_encoder_must_return_bytes(way):
    for made in ("text", 5, None):
        with pipe(encoder=lambda o: made) as (r, w):
            with pytest.raises(TypeError):
                w.put(1)


@pytest.mark.parametrize("codec", [1, "no such codec", b"json", []])
def test_a_codec_that_cannot_be_is_an_error(codec):
    with pytest.raises(GIPCError, match="encoder.* must be callable"):
        pipe(encoder=codec)
    with pytest.raises(GIPCError, match="decoder.* must be callable"):
        pipe(decoder=codec)


def test_each_end_has_its_own_codec(way):
    with pipe(encoder=None) as (r, w):
        w.put(pickle.dumps([1]))
        assert r.get() == [1]
    with pipe(decoder=None) as (r, w):
        w.put([1])
        assert pickle.loads(r.get()) == [1]


def test_what_cannot_be_encoded_leaves_no_trace(way):
    with pipe() as (r, w):
        for o in (lambda: 1, (x for x in ()), open):
            if o is not open:
                with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
                    w.put(o)
        w.put("after")
        assert r.get() == "after"


def test_what_cannot_be_decoded_is_one_message_lost(way):
    with pipe(encoder=None) as (r, w):
        w.put(b"no pickle")
        w.put(pickle.dumps("after"))
        with pytest.raises(pickle.UnpicklingError):
            r.get()
        assert r.get() == "after"


def test_both_ends_of_a_duplex_pipe_read_and_write(way):
    with pipe(duplex=True) as (a, b):
        a.put(1)
        b.put(2)
        assert (b.get(), a.get()) == (1, 2)


def test_both_sides_may_put_much_at_once(way):  # H78
    data = os.urandom(1 << 20) * 8
    with raw(duplex=True) as (a, b):
        puts = [way.spawn(h.put, data) for h in (a, b)]
        gets = [way.spawn(h.get) for h in (a, b)]
        for got in gets:
            assert got.get() == data
        for put in puts:
            put.get()


def test_peers_that_put_several_messages_at_once_do_not_lock(way):  # H78
    for plans in support.plans():
        with raw(duplex=True) as ends:

            def talk(handle, mine, others):
                for message in mine:
                    handle.put(message, timeout=support.PATIENCE)
                return [handle.get() == message for message in others]

            jobs = [
                way.spawn(talk, end, *order)
                for end, order in zip(ends, (plans, plans[::-1]))
            ]
            for job in jobs:
                assert all(job.get())


def test_a_put_receives_from_a_peer_that_reads_when_it_has_written(way):  # H78
    with raw(duplex=True) as (a, b):
        peer = support.write_then_read(b, 5_000_000)
        a.put(bytes(5_000_000), timeout=support.PATIENCE)
        assert len(a.get()) == 5_000_000
        way.wait_until(lambda: not peer.is_alive())
        assert peer.get() == 5_000_004


def test_no_more_is_received_ahead_than_the_read_limit(way):  # H79
    with raw(duplex=True) as (a, b):
        for end in (a, b):
            end.set_read_limit(0)
        put = way.spawn(b.put, bytes(1_000_000))
        with pytest.raises(GIPCTimeout):
            a.put(bytes(5_000_000), timeout=0.05)
        a.set_read_limit(None)
        assert len(a.get()) == 1_000_000
        put.get()
        got = way.spawn(b.get)
        a.flush()
        assert len(got.get()) == 5_000_000


def test_a_put_is_with_the_kernel_when_it_returns(way):
    with raw() as (r, w):
        w.put(b"there")
        assert os.read(r._fd, 100) == frame(b"there")


# ---- Its end -----------------------------------------------------------------


def test_the_end_of_the_stream_is_told(way):  # H83
    r, w = pipe()
    w.put("last")
    w.close()
    with r:
        assert r.get() == "last"
        for _ in range(100):
            with pytest.raises(EOFError):
                r.get()


def test_the_end_is_told_to_one_who_waits(way):
    r, w = pipe()
    with r:
        get = way.spawn(r.get)
        way.let_it_wait(get)
        w.close()
        with pytest.raises(EOFError):
            get.get()


def test_a_put_without_a_reader_is_a_broken_pipe(way):  # H75
    r, w = pipe()
    r.close()
    with w:
        for _ in range(3):
            with pytest.raises(BrokenPipeError, match="Broken pipe"):
                w.put(1)


def test_a_put_that_waits_learns_that_the_reader_is_gone(way):
    r, w = raw()
    put = way.spawn(w.put, bytes(1 << 24))
    way.let_it_wait(put)
    r.close()
    with w, pytest.raises(BrokenPipeError):
        put.get()


# ---- Handles -----------------------------------------------------------------


def test_a_closed_handle_says_so(way):  # H96
    r, w = pipe()
    for h, use in ((w, lambda: w.put(1)), (r, r.get)):
        assert not h._closed and isinstance(h._fd, int)
        assert h.close() is None
        assert h._closed and h._fd is None
        for call in (use, h.close, h.close, use):
            with pytest.raises(GIPCClosed, match="closed"):
                call()


def test_a_handle_in_use_cannot_be_closed(way):
    r, w = raw()
    get = way.spawn(r.get)
    way.let_it_wait(get)
    with pytest.raises(GIPCLocked, match=re.escape(repr(r))):
        r.close()
    assert not r._closed
    w.put(b"go on")
    assert get.get() == b"go on"
    put = way.spawn(w.put, bytes(1 << 24))
    way.let_it_wait(put)
    with pytest.raises(GIPCLocked, match=re.escape(repr(w))):
        w.close()
    assert not w._closed
    assert r.get() == bytes(1 << 24)
    put.get()
    w.close()
    r.close()


def test_leaving_the_block_closes(way):
    with pipe() as pair:
        r, w = pair
        with r as same:
            assert same is r
        assert r._closed and not w._closed
    assert w._closed
    with pipe(duplex=True) as (a, b):
        halves = [a._reader, a._writer, b._reader, b._writer]
    assert all(half._closed for half in halves)
    assert support.open_handles() == []


def test_leaving_the_block_of_a_closed_handle_is_no_error(way):
    with pipe() as (r, w):
        r.close()
        w.close()
    with r:
        pass
    with pipe(duplex=True) as (a, b):
        a.close()


def test_leaving_the_block_of_a_handle_in_use_says_so(way):
    r, w = pipe()
    get = way.spawn(r.get)
    way.let_it_wait(get)
    with pytest.raises(GIPCLocked, match=re.escape(repr(r))):
        with r, w:
            pass
    assert w._closed and not r._closed
    with pytest.raises(EOFError):
        get.get()
    r.close()


def test_an_error_in_the_block_gets_out_and_all_is_closed(way):
    with pytest.raises(KeyError):
        with pipe() as (r, w):
            raise KeyError
    assert r._closed and w._closed


def test_the_pair_closes_what_it_can(way):
    with pytest.raises(GIPCLocked):
        with pipe(duplex=True) as (a, b):
            get = way.spawn(b.get)
            way.let_it_wait(get)
    states = [h._closed for h in (a._reader, a._writer, b._writer, b._reader)]
    assert states == [True, True, True, False]
    with pytest.raises(EOFError):
        get.get()
    b.close()
    assert b._reader._closed
    with pytest.raises(GIPCClosed):
        b.close()


def test_each_half_of_a_duplex_handle_closes_alone(way):
    with pipe(duplex=True) as (a, b):
        a._writer.close()
        with pytest.raises(EOFError):
            b.get()
        with pytest.raises(GIPCClosed):
            a.put(1)
        b.put("still")
        assert a.get() == "still"
        a._reader.close()
        with pytest.raises(BrokenPipeError):
            b.put(1)
        with pytest.raises(GIPCClosed):
            a.close()


def test_two_waiters_take_turns(way):
    with raw() as (r, w):
        messages = [bytes([n]) * (1 << 18) for n in range(20)]
        gets = [way.spawn(r.get) for _ in messages]
        puts = [way.spawn(w.put, m) for m in messages]
        got = [get.get() for get in gets]
        assert sorted(got) == messages
        for put in puts:
            put.get()


def test_the_first_who_waits_gets_the_first_message():
    import gevent

    with pipe() as (r, w):
        gets = [gevent.spawn(r.get) for _ in range(10)]
        gevent.idle()
        for n in range(10):
            w.put(n)
        assert [get.get() for get in gets] == list(range(10))


def test_the_descriptor_can_be_polled(way):
    with raw() as (r, w):
        assert r._fd != w._fd
        assert not support.is_readable(r._fd)
        w.put(b"x")
        assert support.is_readable(r._fd)
        assert r.get() == b"x"
        assert not support.is_readable(r._fd)
        w.close()
        assert support.is_readable(r._fd)


def test_others_go_on_while_a_get_waits():
    import gevent

    turns = []

    def count():
        while len(turns) < 20:
            turns.append(1)
            gevent.sleep(0)
        w.put("late")

    with pipe() as (r, w):
        gevent.spawn(count)
        assert r.get() == "late"


def test_a_handle_of_another_process_says_so(way):  # H36, H37, H72, H73
    with pipe() as (r, w):
        errors, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                told = []
                for call in (r.get, lambda: w.put(1), w.close, r.close):
                    try:
                        call()
                    except GIPCError as error:
                        told.append((type(error).__name__, str(error)))
                os.write(tell, repr(told).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        told = eval(os.read(errors, 10000))
        os.close(errors)
        os.close(tell)
        assert [name for name, _ in told] == ["GIPCError"] * 4
        assert all("process" in words for _, words in told)
        w.put("still ours")
        assert r.get() == "still ours"


def test_handles_print_their_kind_and_descriptor():
    with pipe() as (r, w):
        assert re.fullmatch(r"<_GIPCReader_[0-9a-f]{6} fd: %d>" % r._fd, repr(r))
        assert re.fullmatch(r"<_GIPCWriter_[0-9a-f]{6} fd: %d>" % w._fd, str(w))
        assert repr(r)[13:19] != repr(w)[13:19]
    assert re.fullmatch(r"<_GIPCReader_[0-9a-f]{6} fd: None>", repr(r))
    with pipe(duplex=True) as (a, b):
        assert repr(a) == "<_GIPCDuplexHandle(%r, %r)>" % (a._reader, a._writer)


def test_one_direction_each():
    with pipe() as (r, w):
        assert not hasattr(r, "put") and not hasattr(w, "get")


def test_every_open_handle_is_listed():
    assert support.open_handles() == []
    with pipe() as pair, pipe(duplex=True) as (a, b):
        halves = {*pair, a._reader, a._writer, b._reader, b._writer}
        assert set(support.open_handles()) == halves
        pair[0].close()
        assert pair[0] not in support.open_handles()
    assert support.open_handles() == []


def test_many_pipes_leave_no_descriptor():
    for _ in range(300):
        with pipe(duplex=True) as (a, b):
            a.put(1)
            assert b.get() == 1


def test_write_raw_is_seen_by_a_get(way):
    with raw() as (r, w):
        write_raw(w, frame(b"one") + frame(b"") + frame(b"three"))
        assert [r.get() for _ in range(3)] == [b"one", b"", b"three"]
