"""Closing: with a deadline, at once, at the end of a block and of a process."""

import gipc._handle
import pytest
import support
from gipc import (
    GIPCClosed,
    GIPCLocked,
    GIPCTimeout,
    GIPCTruncated,
    pipe,
    start_process,
)

LARGE = bytes(1 << 20)  # more than a socket takes at once


def raw(duplex=False):
    return pipe(duplex, encoder=None, decoder=None)


def leave_a_rest(writer):
    with pytest.raises(GIPCTimeout) as raised:
        writer.put(LARGE, timeout=0)
    assert raised.value.withdrawn is False


def check_cut_off(reader):
    with pytest.raises(GIPCTruncated):
        reader.get(timeout=support.PATIENCE)
    reader.close()


def test_a_close_has_a_deadline_and_an_abort_has_none(way):  # H127
    r, w = raw()
    leave_a_rest(w)
    with pytest.raises(GIPCTimeout):
        w.close(timeout=0.01)
    with pytest.raises(GIPCClosed):
        w.close(timeout=0.01)
    check_cut_off(r)
    r, w = raw()
    leave_a_rest(w)
    w.abort()
    for call in (w.abort, w.close):
        with pytest.raises(GIPCClosed):
            call()
    check_cut_off(r)


def test_a_close_of_a_duplex_handle_has_a_deadline(way):  # H127
    a, b = raw(True)
    leave_a_rest(a)
    with pytest.raises(GIPCTimeout):
        a.close(timeout=0.01)
    assert a._closed
    check_cut_off(b)
    a, b = raw(True)
    leave_a_rest(a)
    a.abort()
    with pytest.raises(GIPCClosed):
        a.abort()
    check_cut_off(b)


def test_a_close_with_time_sends_what_is_queued(way):
    with raw() as (r, w):
        leave_a_rest(w)
        job = way.spawn(r.get)
        w.close(timeout=support.PATIENCE)
        assert job.get() == LARGE


@pytest.mark.parametrize("timeout", ["1", object(), float("nan")])
def test_a_close_with_a_wrong_timeout_closes_nothing(timeout):
    with raw() as (r, w), raw(True) as (a, b):
        for handle in (r, w, a):
            with pytest.raises((TypeError, ValueError)):
                handle.close(timeout=timeout)
        w.put(b"open")
        assert r.get() == b"open"
        a.put(b"too")
        assert b.get() == b"too"


def test_one_direction_of_a_duplex_handle_can_be_aborted(way):
    with raw(True) as (a, b):
        b.put(b"unread")
        leave_a_rest(a)
        a._writer.abort()
        with pytest.raises(GIPCTruncated):
            b.get(timeout=support.PATIENCE)
        assert a.get() == b"unread"


def test_an_abort_ends_a_close_in_the_background():
    for duplex in (False, True):
        r, w = raw(duplex)
        leave_a_rest(w)
        w.close()
        assert {*support.open_handles()} == ({*r[:]} if duplex else {r})
        w.abort()
        check_cut_off(r)


def test_a_handle_in_use_cannot_be_aborted(way):
    with raw() as (r, w):
        job = way.spawn(r.get)
        way.wait_until(lambda: r._lock.locked)
        with pytest.raises(GIPCLocked):
            r.abort()
        w.put(b"x")
        assert job.get() == b"x"


def test_a_close_of_what_nobody_reads_gives_up(monkeypatch):  # H127
    monkeypatch.setattr(gipc._handle, "STALL", 0.01)
    r, w = raw()
    leave_a_rest(w)
    with pytest.raises(GIPCTimeout):
        support.Job(w.close, ()).get()
    check_cut_off(r)


@pytest.mark.parametrize("duplex", [False, True])
def test_a_block_left_by_an_exception_does_not_wait_for_the_peer(
    way, duplex
):  # H127
    a, b = raw(duplex)
    with pytest.raises(ZeroDivisionError), b:
        leave_a_rest(b)
        1 / 0
    with pytest.raises(GIPCClosed):
        b.put(b"x")
    a.close()
    with pytest.raises(ZeroDivisionError), raw(duplex) as (a, b):
        with b.batch():
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    while True:
                        b.put(LARGE[:50_000], timeout=0)
            1 / 0
    way.wait_until(nothing_goes_on)


def nothing_goes_on():
    """Under gevent, what is left to write is dropped with the peer."""
    return gipc._handle.all_handles() == []


def test_the_end_of_a_block_does_not_wait_for_a_peer_that_does_not_read(
    way, monkeypatch
):  # H127
    monkeypatch.setattr(gipc._handle, "GRACE", 0.01)
    with raw(True) as (_, b), b:
        leave_a_rest(b)
    way.wait_until(nothing_goes_on)


def test_the_end_of_a_block_waits_for_a_peer_that_reads(way):
    with raw() as (r, w):
        with w:
            leave_a_rest(w)
            job = way.spawn(r.get)  # not before: it could read all of the put
        assert job.get() == LARGE


EXIT = """
    import sys, threading, gipc
    if "gevent" in sys.argv:
        import gevent
        gevent.get_hub()
    method = "spawn" if "spawn" in sys.argv else "fork"

    def echo(handle):
        for message in handle.messages():
            handle.put(message)

    def start_another(handle):
        other, its = gipc.pipe(duplex=True)
        gipc.start_process(echo, (its,), method=method)
        other.put("from the child of the child")
        handle.put(other.get())

    def read_late(reader, writer):
        try:
            writer.get()  # until the parent has closed the other one
        except EOFError:
            pass
        for message in reader:
            pass

    if __name__ == "__main__":
        keep = []
        for target in (echo, start_another):
            mine, its = gipc.pipe(duplex=True)
            gipc.start_process(target, (its,), method=method)
            mine.put("echoed")
            print(mine.get(), flush=True)
            keep.append(mine)
        # A thread gets from it until the end.
        mine, its = gipc.pipe(duplex=True)
        gipc.start_process(echo, (its,), method=method)
        def get():
            try:
                mine.get()
            except EOFError:
                pass
        threading.Thread(target=get, daemon=True).start()
        # Something is left to write.
        reader, writer = gipc.pipe()
        first, second = gipc.pipe()
        gipc.start_process(read_late, (reader, first), method=method)
        try:
            writer.put(bytes(1 << 20), timeout=0)
        except gipc.GIPCTimeout:
            print("left", flush=True)
    """


@pytest.mark.parametrize("option", ["plain", "gevent", "spawn"])
def test_handles_are_closed_before_children_are_joined_at_exit(
    tmp_path, option
):
    printed = support.run_program(tmp_path, EXIT, [option], stderr=None)
    assert printed == "echoed\nfrom the child of the child\nleft\n"


def test_handles_stay_open_at_exit_where_no_child_is_joined(program):
    """A finalizer that comes last may use them."""
    assert program(
        """
        import gipc, signal
        from multiprocessing import util
        reader, writer = gipc.pipe()
        def use():
            writer.put("at exit")
            print(reader.get())
        util.Finalize(None, use, exitpriority=-1)
        util.Finalize(None, use, exitpriority=0)
        p = gipc.start_process(signal.pause, daemon=True)
        """
    ) == "at exit\nat exit\n"
