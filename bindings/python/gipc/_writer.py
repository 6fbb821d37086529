"""The end of a pipe that messages are put into."""

from contextlib import contextmanager, suppress
from itertools import islice

from . import _native
from ._handle import Writing
from ._native import LARGE, put as _put
from ._wait import check_timeout, current, limit, timed_out
from .errors import GIPCError


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
        if len(data) > LARGE and view.c_contiguous:
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
        self.taken = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            with suppress(AttributeError):  # trio's Cancelled has no room
                error.taken = self.taken
                error.withdrawn = self.taken == 0


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
            - what the encoder raises; nothing was sent then
        """
        encode = self._codec
        data = o if encode is None else encode(o)
        if data.__class__ is not bytes:
            data = _lendable(data)
        if timeout is not None:
            check_timeout(timeout)
        done = None
        if not self._turn.taken:
            try:
                done = _put(self._h, data, self._batches == 0)
            except (GIPCError, OSError):
                with limit(timeout):
                    self._validate()
                    raise
        if done is not True:
            self._put_waiting(data, done, timeout)
        elif timeout is not None:
            with limit(timeout):
                pass

    def _put_waiting(self, data, done, timeout):
        if done is not None and done is not False:
            # It is under way.  Unless another thread was quicker, this is
            # whose turn it is.
            mine = self._turn.take_at_once()
            try:
                self._finish_put(timeout)
            finally:
                if mine:
                    self._turn.release()
            return
        waits = current()
        with limit(timeout) as deadline, self._turn.mine(
            waits, deadline, withdrawn=True
        ):
            self._validate()
            if done is False:
                waits.yield_()
            while done is not True:
                done = _put(self._h, data, self._batches == 0)
                if done is None:
                    self._drain(waits, deadline)
                elif done is False:
                    waits.yield_()
                elif done is not True:
                    self._finish_put(deadline=deadline)
                    return

    def _finish_put(self, timeout=None, deadline=None):
        """Steps of a put that has begun; its bytes are the caller's."""
        waits = current()
        try:
            with limit(timeout) as end:
                end = deadline if end is None else end
                while True:
                    if not self._writable(waits, end):
                        raise timed_out(_NOT_TAKEN, True)
                    if _native.put_step(self._h) is not None:
                        return
        except BaseException as error:
            self._cancel_put(waits, error)
            raise

    def _cancel_put(self, waits, error):
        try:
            withdrawn = _native.put_cancel(self._h) == 0
        except (GIPCError, OSError):
            return  # the stream has ended: error says why
        error.withdrawn = withdrawn
        if not withdrawn:
            waits.finish(self)

    def _drain(self, waits, deadline):
        """Waits until the queue can take more."""
        if _native.flush_step(self._h) is None:
            if not self._writable(waits, deadline):
                raise timed_out(_NOT_TAKEN, True)

    def flush(self, timeout=None):
        """Waits until all that was put in a batch is with the kernel.

        :arg timeout: as for :meth:`put`.

        Raises :exc:`GIPCTimeout`; the queue leaves with what comes next then.
        """
        self._validate()
        waits = current()
        with limit(timeout) as deadline, self._turn.mine(
            waits, deadline, withdrawn=False
        ):
            self._validate()
            self._flush(waits, deadline)

    def _flush(self, waits, deadline):
        while _native.flush_step(self._h) is None:
            if not self._writable(waits, deadline):
                raise timed_out("the queue did not leave in time", False)

    def put_many(self, objects, timeout=None):
        """Puts every object of an iterable, with as few system calls as they
        fit in; returns when all are with the kernel.

        :arg timeout: as for :meth:`put`, for all of them.

        Raises what :meth:`put` does.  Messages are taken in order, so when it
        fails the reader gets the first ones: ``error.taken`` is their number,
        whatever the error is.  ``withdrawn`` is True where it is 0.
        """
        self._validate()
        waits = current()
        objects = iter(objects)
        progress = Progress()
        with progress, limit(timeout) as deadline:
            with self._turn.mine(waits, deadline):
                self._validate()
                try:
                    self._put_all(objects, waits, deadline, progress)
                    self._flush(waits, deadline)
                except BaseException:
                    if not self._closed:
                        waits.finish(self)
                    raise

    def _put_all(self, objects, waits, deadline, progress):
        while True:
            chunk = encoded(objects, self._codec)
            if not chunk:
                return
            done = 0
            while True:
                before = done
                done = _native.try_put_many(self._h, chunk, done)
                progress.taken += done - before
                if done == len(chunk):
                    break
                if _native.flush_step(self._h) == 0:
                    waits.yield_()
                elif not self._writable(waits, deadline):
                    raise timed_out("not all were taken in time")

    @contextmanager
    def batch(self):
        """A block in which many small puts leave together.

        They are with the kernel when the block is left.

        >>> reader, writer = pipe()
        >>> with writer.batch():
        ...     for i in range(3):
        ...         writer.put(i)
        >>> [reader.get() for _ in range(3)]
        [0, 1, 2]
        """
        self._validate()
        self._batches += 1
        try:
            yield self
        finally:
            self._batches -= 1
            if not self._closed:
                self.flush()
