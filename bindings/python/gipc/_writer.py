"""The end of a pipe that messages are put into."""

from contextlib import suppress
from itertools import islice

from . import _native
from ._handle import Writing
from ._native import (
    DONE,
    LENT,
    LENT_FROM,
    QUEUED,
    WAIT,
    WRITE,
    YIELD,
    Batch,
    Lent,
    Locked,
    begin_put,
    put as _put,
)
from ._wait import (
    await_lock,
    check_timeout,
    current,
    limit,
    note_withdrawn,
    timed_out,
)
from .errors import GIPCError, GIPCTimeout


def _as_bytes(data):
    if data.__class__ is bytes:
        return data
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(
        "a byte string is needed, not %s" % type(data).__name__
    )


def _lendable(data):
    """Bytes, or a view that keeps its memory where it is: large ones are sent
    straight from there."""
    if isinstance(data, (bytearray, memoryview)):
        view = memoryview(data)
        if len(data) >= LENT_FROM and view.c_contiguous:
            return view
    return _as_bytes(data)


def encoded(objects, encode):
    """The next ones of an iterator, as a list of bytes."""
    some = islice(objects, 1024)
    if encode is not None:
        some = map(encode, some)
    return list(map(_as_bytes, some))


_NOT_TAKEN = "the message was not taken in time"


class Progress:
    """A block of put_many: an error in it tells what became of them."""

    def __init__(self):
        self.taken = [0]  # of a list, so that the native call can count

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            with suppress(AttributeError):  # trio's Cancelled has no room
                error.taken = self.taken[0]
                error.withdrawn = self.taken[0] == 0


class _GIPCWriter(Writing):
    """The end of a pipe that messages are put into."""

    def put(self, o, timeout=None):
        """Encodes an object and sends it; returns when it is all with the
        kernel.

        :arg timeout: ``None``, seconds, or a ``gevent.Timeout``; ``None``, or
            a negative number, waits for as long as it takes.  A message of
            which no byte has left when the time is over is withdrawn;
            otherwise its rest follows before anything else.  The stream stays
            in order either way.

        Raises:
            - :exc:`GIPCTimeout` when the seconds are over; its ``withdrawn``
              tells which of the two it was
            - :exc:`BrokenPipeError` when the reader is gone
            - :exc:`TypeError` when the encoder (or, with the encoder None, the
              caller) does not give bytes
            - :exc:`GIPCTooBig`: over the limit; nothing was sent
            - :exc:`GIPCClosed`, :exc:`GIPCError` (not this process's handle)
            - :exc:`GIPCLocked` in a signal handler, a generator or a finalizer
              that runs inside of a put of this handle; nothing was sent
            - what the encoder raises; nothing was sent then

        Whatever exception ends it, also one that a signal handler raises, the
        handle stays usable.
        """
        encode = self._codec
        data = o if encode is None else encode(o)
        if data.__class__ is not bytes:
            data = _lendable(data)
        if timeout is not None:
            check_timeout(timeout)
        try:
            done = _put(self._h, data, self._turn)
        except (GIPCError, OSError):
            with limit(timeout):
                self._validate()
                raise
        if done != DONE:
            self._put_waiting(data, done, timeout)
        elif timeout is not None:
            with limit(timeout):
                pass

    def _put_waiting(self, data, done, timeout):
        """done: what the native put gave."""
        if timeout is None:
            self._put_in_turn(data, done, None)
            return
        with limit(timeout) as deadline:
            self._put_in_turn(data, done, deadline)

    def _put_in_turn(self, data, done, deadline):
        waits = current()
        with Locked(self._turn, waits.signal) as signal:
            if signal is not None:
                await_lock(self, signal, deadline, done != QUEUED)
            self._validate()
            try:
                if done == YIELD:
                    waits.yield_()
                if done == QUEUED:
                    self._flush(waits, deadline)
                else:
                    self._put_locked(data, waits, deadline)
            except BaseException as error:
                if done == QUEUED:
                    note_withdrawn(error, False)
                self._leave_rest(waits)
                raise

    def _put_locked(self, data, waits, deadline):
        # An error in the block cancels the put, and notes in `withdrawn` what
        # became of it.
        with Lent(self._h, data, WRITE):
            done = WAIT
            while done != DONE:
                done = begin_put(self._h, data, self._turn)
                if done == WAIT:
                    self._drain(waits, deadline)
                elif done == YIELD:
                    waits.yield_()
                elif done == LENT:
                    return self._finish_put(waits, deadline)

    def _finish_put(self, waits, deadline):
        while self._writable(waits, deadline):
            if _native.put_step(self._h) == DONE:
                return
        raise timed_out(_NOT_TAKEN, True)

    def _leave_rest(self, waits):
        """What an error has left behind leaves at once, or in the
        background."""
        if not self._closed and not self._flush_quietly():
            waits.finish(self)

    def _drain(self, waits, deadline):
        """Waits until the queue can take more."""
        if _native.flush_step(self._h) == WAIT:
            if not self._writable(waits, deadline):
                raise timed_out(_NOT_TAKEN, True)

    def flush(self, timeout=None):
        """Waits until all that was put in a batch is with the kernel.

        :arg timeout: as for :meth:`put`.

        Raises :exc:`GIPCTimeout`; the queue leaves with what comes next then.
        """
        self._validate()
        waits = current()
        with limit(timeout) as deadline, Locked(
            self._turn, waits.signal
        ) as signal:
            if signal is not None:
                await_lock(self, signal, deadline, False)
            self._validate()
            self._flush(waits, deadline)

    def _flush(self, waits, deadline):
        while _native.flush_step(self._h) == WAIT:
            if not self._writable(waits, deadline):
                raise timed_out("the queue did not leave in time", False)

    def put_many(self, objects, timeout=None):
        """Puts every object of an iterable, with as few system calls as they
        fit in; returns when all are with the kernel.

        :arg timeout: as for :meth:`put`, for all of them.

        Raises what :meth:`put` does, and what the iterable raises.  Messages
        are taken in order, so when it fails the reader gets the first ones:
        ``error.taken`` is their number, whatever the error is.  ``withdrawn``
        is True where it is 0.
        """
        self._validate()
        waits = current()
        objects = iter(objects)
        progress = Progress()
        with progress, limit(timeout) as deadline, Locked(
            self._turn, waits.signal
        ) as signal:
            if signal is not None:
                await_lock(self, signal, deadline)
            self._validate()
            try:
                self._put_all(objects, waits, deadline, progress)
            except BaseException:
                self._leave_rest(waits)
                raise

    def _put_all(self, objects, waits, deadline, progress):
        try:
            while chunk := encoded(objects, self._codec):
                self._put_chunk(chunk, waits, deadline, progress)
        except GIPCTimeout:
            raise
        except Exception:
            # Of the iterable or the encoder: what came before it is put.
            with suppress(GIPCError, OSError):
                self._flush(waits, deadline)
            raise
        self._flush(waits, deadline)

    def _put_chunk(self, chunk, waits, deadline, progress):
        taken = progress.taken
        before = taken[0]
        done = WAIT
        while done != DONE:
            done = _native.try_put_many(self._h, chunk, before, taken)
            if done == YIELD:
                waits.yield_()
            elif done == WAIT and _native.flush_step(self._h) == WAIT:
                if not self._writable(waits, deadline):
                    raise timed_out("not all were taken in time")

    def batch(self):
        """A block in which many small puts leave together: those of the
        greenlet or thread that runs it.  What others put meanwhile leaves at
        once, after what is queued.

        They are with the kernel when the block is left.  If an exception leaves
        it, what cannot be written at once follows as after a put that has timed
        out.

        >>> reader, writer = pipe()
        >>> with writer.batch():
        ...     for i in range(3):
        ...         writer.put(i)
        >>> [reader.get() for _ in range(3)]
        [0, 1, 2]
        """
        self._validate()
        return _BatchBlock(self)


class _BatchBlock:
    def __init__(self, writer):
        self._writer = writer

    def __enter__(self):
        self._batch = Batch(self._writer._turn, current().current)
        self._batch.__enter__()
        return self._writer

    def __exit__(self, kind, error, trace):
        self._batch.__exit__(kind, error, trace)
        writer = self._writer
        if writer._closed:
            return
        if kind is None:
            writer.flush()
            return
        with Locked(writer._turn, None) as refused:
            if refused is None:  # else what has the lock sees to it
                writer._leave_rest(current())
