"""Batches belong to their block; puts of many that fail."""

import os

import pytest
import support
from gipc import GIPCTimeout, exec_process, pipe, start_process


def raw(duplex=False):
    return pipe(duplex, encoder=None, decoder=None)


def test_a_put_of_others_does_not_wait_for_a_batch(way):
    with raw() as (r, w):
        with w.batch():
            w.put(b"queued")
            assert not support.is_readable(r.fileno())
            way.spawn(w.put, b"of another").get()
            assert [r.get(), r.get()] == [b"queued", b"of another"]
            with pytest.raises(TimeoutError):
                r.get(timeout=0)
            w.put(b"queued, too")
            assert not support.is_readable(r.fileno())
        assert r.get() == b"queued, too"


def test_batches_may_be_inside_of_each_other(way):
    with raw() as (r, w):
        with w.batch():
            with w.batch():
                w.put(b"1")
            assert r.get() == b"1"
            w.put(b"2")
            assert not support.is_readable(r.fileno())
            way.spawn(put_in_a_batch, w, b"3").get()
            assert [r.get(), r.get()] == [b"2", b"3"]
            w.put(b"4")
            assert not support.is_readable(r.fileno())
        assert r.get() == b"4"


def put_in_a_batch(writer, message):
    with writer.batch():
        writer.put(message)


def talk(handle):
    handle.put(b"ready")
    handle.put(b"got " + handle.get(timeout=support.PATIENCE))


@pytest.mark.parametrize("queued", [False, True])
def test_a_batch_does_not_go_into_a_child(way, queued):  # H125
    """Its puts leave at once, behind what is queued."""
    with raw(True) as (mine, its):
        with its.batch():
            if queued:
                its.put(b"queued")
            p = start_process(talk, (its,))
        if queued:
            assert mine.get(timeout=support.PATIENCE) == b"queued"
        assert mine.get(timeout=support.PATIENCE) == b"ready"
        mine.put(b"work")
        assert mine.get() == b"got work"
        p.join()
        assert p.exitcode == 0


def test_a_batch_does_not_go_into_a_spawned_child(way):  # H125
    with raw(True) as (mine, its):
        with its.batch():
            p = start_process(talk, (its,), method="spawn")
        assert mine.get(timeout=support.PATIENCE) == b"ready"
        mine.put(b"work")
        assert mine.get() == b"got work"
        p.join()
        assert p.exitcode == 0


def test_the_end_of_a_batch_is_quiet_when_its_handle_has_moved(way):
    r, w = raw()
    with r:
        with w.batch():
            p = exec_process(["true"], handles={"w": w})
        with w.batch() if not w._closed else r:
            pass
        p.join()


def test_a_put_of_many_that_fails_has_put_what_came_before(way):
    """Before the call has ended, whatever their size."""

    def fail(size):
        for n in range(1500):
            yield b"%4d" % n + bytes(size)
        raise KeyError("in the iterable")

    for size in (0, 5000):
        with raw() as (r, w):
            messages = list(zip(range(2000), fail_quietly(fail(size))))
            job = way.spawn(lambda: [r.get() for _ in range(1024)])
            with pytest.raises(KeyError) as raised:
                w.put_many(fail(size))
            assert raised.value.taken == 1024
            assert raised.value.withdrawn is False
            # Nothing is left to write.
            w.flush(timeout=0)
            assert job.get() == [m for _, m in messages[:1024]]


def fail_quietly(messages):
    try:
        yield from messages
    except KeyError:
        pass


def test_a_put_of_many_that_times_out_says_how_many_were_taken(way):
    with raw() as (r, w):
        messages = [os.urandom(100_000) for _ in range(100)]
        with pytest.raises(GIPCTimeout) as raised:
            w.put_many(messages, timeout=0.01)
        taken = raised.value.taken
        assert 0 < taken < 100
        assert raised.value.withdrawn is False
        job = way.spawn(w.put, b"after")
        assert [r.get() for _ in range(taken)] == messages[:taken]
        assert r.get() == b"after"
        job.get()
