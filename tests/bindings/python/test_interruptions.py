"""Exceptions that come at any instruction, as from a signal handler."""

import os
import socket
import sys
import threading

import gipc
import greenlet
import pytest
import support
from gipc import GIPCClosed, GIPCTimeout, pipe, start_process
from support import frame, read_frame

# An exception may come between the making of a coroutine and its start.  Python
# warns of it, and pytest would keep the warning with all that it refers to.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")

PACKAGE = os.path.dirname(gipc.__file__)
LARGE = os.urandom(600_000)  # more than a socket takes at once
AFTER = b"after"


class Hit(Exception):
    pass


class Interrupt:
    """Raises at the nth instruction that the package executes in a call."""

    def __init__(self, nth, current=greenlet.getcurrent):
        self.left = nth
        self._current, self._me = current, current()

    def call(self, function, *arguments):
        """The error that came out of it, or None."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            function(*arguments)
        except BaseException as error:
            return error
        finally:
            sys.settrace(before)

    async def wait(self, coroutine):
        """The same of a coroutine, in the task that has made this."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            await coroutine
        except BaseException as error:
            return error
        finally:
            sys.settrace(before)

    @property
    def has_come(self):
        return self.left < 0

    def _trace(self, frame, event, argument):
        if frame.f_code.co_filename.startswith(PACKAGE):
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            return self._count

    def _count(self, frame, event, argument):
        if event == "opcode" and self._current() is self._me:
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise Hit
        return self._count


def is_hit(error):
    while error is not None and not isinstance(error, Hit):
        error = error.__context__
    return error is not None


def at_every_instruction(case, way):
    """Runs a case, a generator of a way: it yields a call, which is interrupted, gets the
    error of it, and then checks."""
    nth = 0
    while True:
        interrupt = Interrupt(nth)
        run = case(way)
        error = interrupt.call(*next(run))
        expected = error is None or isinstance(error, GIPCTimeout)
        assert expected or is_hit(error), (nth, repr(error))
        try:
            run.send(error)
        except StopIteration:
            pass
        except BaseException:
            print("instruction", nth)
            raise
        if not interrupt.has_come:
            return
        nth += 1


def raw(duplex=False):
    return pipe(duplex, encoder=None, decoder=None)


class Peer(threading.Thread):
    """Behind a writer: reads what arrives with nothing of the package, once it
    may."""

    def __init__(self, reader, may_begin=lambda: True):
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self._fd = os.dup(reader.fileno())
        self._may_begin = may_begin
        self.messages = []
        self.start()

    def run(self):
        support.wait_until(lambda: self._may_begin() or self.stop.is_set())
        try:
            while True:
                self.messages.append(read_frame(self._fd))
        except AssertionError:
            pass  # the end
        finally:
            os.close(self._fd)

    def all(self, way):
        way.wait_until(lambda: not self.is_alive())
        return self.messages


def check_writer(way, w, peer, error, message):
    """It is usable; what was interrupted arrives whole or not at all."""
    peer.stop.set()
    assert not w._lock.locked and not w._lock.waiting
    w.put(AFTER)
    w.close()
    got = peer.all(way)
    assert got in ([message, AFTER], [AFTER])
    withdrawn = getattr(error, "withdrawn", None)
    assert withdrawn is None or withdrawn == (got == [AFTER])


def interrupted_put(message):
    def case(way):
        with raw() as (r, w):
            peer = Peer(r)
            data = bytearray(message)
            error = yield w.put, data
            data[:] = bytes(len(data))  # the library has let go of it
            check_writer(way, w, peer, error, message)

    return case


def interrupted_put_with_a_timeout(way):
    with raw() as (r, w):
        peer = Peer(r)
        error = yield w.put, LARGE, 1000
        check_writer(way, w, peer, error, LARGE)


def interrupted_put_that_times_out(way):
    """Also while it lets go of what it has lent."""
    with raw() as (r, w):
        data = bytearray(LARGE)
        error = yield w.put, data, 0
        data[:] = bytes(len(data))
        check_writer(way, w, Peer(r), error, LARGE)


def interrupted_put_behind_another(way):
    with raw() as (r, w):
        first = support.Job(w.put, (LARGE,))
        support.wait_until(lambda: w._lock.locked)
        peer = Peer(r, lambda: w._lock.waiting)
        error = yield w.put, b"second"
        peer.stop.set()
        first.get()
        w.put(AFTER)
        w.close()
        got = peer.all(way)
        assert got in ([LARGE, b"second", AFTER], [LARGE, AFTER])
        if hasattr(error, "withdrawn"):
            assert error.withdrawn == (b"second" not in got)


def interrupted_put_before_another(way):
    """What waits for it comes next, whatever interrupts it."""
    with raw() as (r, w):
        ended = []

        def put_behind():
            way.wait_until(lambda: w._lock.locked or ended)
            w.put(b"second")

        peer = Peer(r, lambda: w._lock.waiting)
        second = way.spawn(put_behind)
        error = yield w.put, LARGE
        ended.append(True)
        peer.stop.set()
        second.get()
        w.put(AFTER)
        w.close()
        got = peer.all(way)
        assert got in ([LARGE, b"second", AFTER], [b"second", AFTER])
        if hasattr(error, "withdrawn"):
            assert error.withdrawn == (LARGE not in got)


def interrupted_put_many(way):
    with raw() as (r, w):
        peer = Peer(r)
        messages = [b"%d" % n + bytes(50_000) for n in range(30)]
        error = yield w.put_many, messages
        w.put(AFTER)
        w.close()
        *got, after = peer.all(way)
        assert after == AFTER and got == messages[: len(got)]
        if hasattr(error, "taken"):
            assert error.taken == len(got)


def interrupted_flush(way):
    with raw() as (r, w):
        with pytest.raises(TimeoutError):
            w.put(LARGE, timeout=0)
        peer = Peer(r)
        error = yield w.flush,
        check_writer(way, w, peer, error, LARGE)


def interrupted_batch(way):
    def block():
        with w.batch():
            w.put(b"1")

    with raw() as (r, w):
        peer = Peer(r)
        yield block,
        check_writer(way, w, peer, None, b"1")


def interrupted_close(end):
    def case(way):
        r, w = raw()
        with pytest.raises(TimeoutError):
            w.put(LARGE, timeout=0)
        peer = Peer(r)
        yield end, w
        try:
            w.close()
        except GIPCClosed:
            pass
        assert w._closed
        assert peer.all(way) == [LARGE]
        yield from closed(r)

    return case


def interrupted_abort(way):
    r, w = raw()
    with pytest.raises(TimeoutError):
        w.put(LARGE, timeout=0)
    yield w.abort,
    if not w._closed:
        w.abort()
    yield from closed(r)


def interrupted_close_of_a_duplex(way):
    a, b = raw(True)
    yield a.close,
    try:
        a.close()
    except GIPCClosed:
        pass
    with pytest.raises(EOFError):
        b.get()
    b.close()


def closed(reader):
    reader.close()
    assert support.open_handles() == []
    return
    yield


def leave_block(writer):
    with writer:
        pass


def interrupted_get(call, *parts):
    """The first part is there, the others come when it waits."""

    def case(way):
        with raw() as (r, w):
            support.write_raw(w, parts[0])
            me, end = threading.get_native_id(), threading.Event()

            def write():
                with socket.socket(fileno=os.dup(w.fileno())) as s:
                    for part in parts[1:]:
                        support.wait_until(
                            lambda: end.is_set() or support.in_poll(me)
                        )
                        s.sendall(part)

            writing = support.Job(write, ())
            yield call, r
            end.set()
            assert not r._lock.locked
            message = b"".join(parts)[4:]
            after = support.Job(lambda: (writing.get(), w.put(AFTER)), ())
            got = [r.get()]
            after.get()
            w.close()
            got += r
            # Only what was being returned can be lost.
            assert got in ([message, AFTER], [AFTER])

    return case


def get(reader):
    reader.get()


def get_with_a_timeout(reader):
    reader.get(timeout=1000)


def get_into(reader):
    reader.get_into(bytearray(len(LARGE)))


def iterate(reader):
    next(iter(reader))


SMALL = frame(b"small")
WHOLE = frame(LARGE)
CASES = {
    "put": interrupted_put(b"small"),
    "put_that_waits": interrupted_put(LARGE),
    "put_with_a_timeout": interrupted_put_with_a_timeout,
    "put_that_times_out": interrupted_put_that_times_out,
    "put_behind_another": interrupted_put_behind_another,
    "put_before_another": interrupted_put_before_another,
    "put_many": interrupted_put_many,
    "flush": interrupted_flush,
    "batch": interrupted_batch,
    "close": interrupted_close(lambda w: w.close()),
    "close_within": interrupted_close(lambda w: w.close(timeout=1000)),
    "block": interrupted_close(leave_block),
    "close_of_a_duplex": interrupted_close_of_a_duplex,
    "abort": interrupted_abort,
    "get": interrupted_get(get, SMALL),
    "get_that_waits": interrupted_get(get, SMALL[:6], SMALL[6:]),
    "get_with_a_timeout": interrupted_get(
        get_with_a_timeout, SMALL[:6], SMALL[6:]
    ),
    "get_of_a_large_one": interrupted_get(
        get, WHOLE[:50_000], WHOLE[50_000:70_000], WHOLE[70_000:]
    ),
    "get_that_times_out": interrupted_get(
        lambda reader: reader.get(timeout=0), WHOLE[:50_000], WHOLE[50_000:]
    ),
    "get_into": interrupted_get(get_into, WHOLE[:50_000], WHOLE[50_000:]),
    "iteration": interrupted_get(iterate, SMALL[:6], SMALL[6:]),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", list(CASES))
def test_a_handle_is_usable_after_an_exception_at_any_instruction(way, case):  # H124
    at_every_instruction(CASES[case], way)


@pytest.mark.timeout(300)
def test_a_process_is_usable_after_an_exception_at_any_instruction(way):  # H124
    def case(way):
        with pipe() as (r, w):
            p = start_process(r_get, (r,))
            ending = support.Job(w.put, (None,))
            yield p.join,
            ending.get()
            p.join()
            assert p.exitcode == 0

    at_every_instruction(case, way)


def r_get(reader):
    reader.get()
