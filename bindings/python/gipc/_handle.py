"""The ends of a pipe: readers, writers, and duplex handles, which are both."""

import os
import weakref
from contextlib import contextmanager
from itertools import islice
from multiprocessing import context
from typing import NamedTuple

from . import _codec, _native
from ._native import LARGE, READ, WRITE, put as _put, take as _take
from ._wait import Turn, current, limit, timed_out
from .errors import GIPCClosed, GIPCError, GIPCLocked

# Weak references to the open handles of this process.
_open = set()
# The processes before this one, whose handles are closed here but for those
# that were passed.  To visit each of ten thousand would take longer than a fork.
_ancestors = set()


class _GIPCHandle:
    """What readers and writers have in common.

    A handle belongs to one process; in it, any number of greenlets and threads
    may use it, and take turns.
    """

    _direction = 0
    _turn_type = Turn
    # The native handle, while it waits for the rest of a put to be closed.
    _closing = None

    def __init__(self, native, codec):
        self._h = native
        self._codec = codec
        # The end of the other direction, where both share one native handle.
        self._other = None
        self._arrive()

    def _arrive(self):
        """It is this process's now."""
        self._closed = False
        self._legit_pid = os.getpid()
        self._turn = self._turn_type()
        self.watcher = None  # gevent's, and its hub
        self.rest = None  # what finishes a cancelled put
        self._ref = weakref.ref(self, _open.discard)
        _open.add(self._ref)

    def _forget(self):
        """It is closed, or another process has it."""
        self._closed = True
        self._h = None
        if self.watcher is not None:
            self.watcher[1].close()
            self.watcher = None
        self._stop_rest()
        _open.discard(self._ref)

    def _stop_rest(self):
        if self.rest is not None:
            self.rest.close()
            self.rest = None

    @property
    def _closed(self):
        return self._is_closed or self._legit_pid in _ancestors

    @_closed.setter
    def _closed(self, closed):
        self._is_closed = closed

    def _validate(self):
        if self._closed:
            raise GIPCClosed("%r has been closed before." % self)
        if os.getpid() != self._legit_pid:
            raise GIPCError(
                "%r is not registered for current process %d: it belongs to "
                "process %d." % (self, os.getpid(), self._legit_pid)
            )

    def __reduce__(self):
        """Only into a child of method 'spawn', on its way there."""
        popen = context.get_spawning_popen()
        if popen is None or not hasattr(popen, "name_of"):
            raise TypeError(
                "%r cannot be pickled; give it to start_process." % self
            )
        from ._spawn import take

        codecs = [None, None]  # encoder, decoder
        for side in (self, self._other):
            if side is not None:
                codecs[side._direction == READ] = side._codec
        name = popen.name_of(self)
        return take, (name, self._direction, *codecs, self._family())

    def _family(self):
        return family

    def fd(self, direction):
        return _native.fd(self._h, direction)

    def fileno(self):
        """The descriptor, to wait on with select and the like.

        Readable means that a ``get`` may find more than it did; a message can
        be there already without it, since a get reads ahead.
        """
        self._validate()
        return self.fd(self._direction)

    @property
    def _fd(self):
        return None if self._closed else self.fd(self._direction)

    @property
    def _id(self):
        label = self.__dict__.get("_label")
        if label is None:
            label = self._label = os.urandom(3).hex()
        return label

    def set_limit(self, size):
        """Sets the largest message that this handle takes or puts.

        :arg size: in bytes; ``None`` for no limit.  The default is 1 GiB.
        """
        self._validate()
        _native.set_limit(self._h, 2**64 - 1 if size is None else size)

    def close(self):
        """Closes the handle.  The peer gets what was put, then the end.

        Raises:
            - :exc:`GIPCClosed` when it was closed before
            - :exc:`GIPCLocked` while another greenlet or thread is using it
            - :exc:`GIPCError` in a process that does not own it
        """
        self._validate()
        if not self._turn.take_at_once():
            raise GIPCLocked("%r is in use, it cannot be closed." % self)
        try:
            self._close()
        finally:
            self._turn.release()

    def _close(self):
        if self._other is not None and self._other._closing is not None:
            self._closed, self._h = True, None  # with the other one
            return
        self._stop_rest()
        while self._close_step(self._h) is None:
            waits = self._waits()
            if waits.cooperative:
                waits.finish(self)
                # For everybody else it is closed.
                self._closed, self._h, self._closing = True, None, self._h
                return
            waits.ready(self, WRITE, None)
        self._forget()

    def _waits(self):
        return current()

    def rest_has_left(self):
        """Of a put that was cancelled: in the background, or never will."""
        self.rest = None
        if self._closing is None:
            return
        try:
            self._close_step(self._closing)
        except (GIPCError, OSError):
            pass  # closed all the same
        if self._other is not None and self._other._closed:
            self._other._forget()
        self._forget()
        self._closing = None

    def _close_step(self, native):
        """None: what a put left behind when it was cancelled must leave
        first."""
        try:
            if self._other is not None and not self._other._closed:
                return self._close_direction(native)
            return _native.close(native)
        except BrokenPipeError:
            return 0  # closed all the same, and nobody is there to get it

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            self.close()
        except GIPCClosed:
            pass
        except GIPCLocked:
            raise GIPCLocked(
                "%r is in use outside of the block that closes it." % self
            ) from None

    def __repr__(self):
        return "<%s_%s fd: %s>" % (type(self).__name__, self._id, self._fd)


class Reading(_GIPCHandle):
    _direction = READ

    def _close_direction(self, native):
        # The peer's next put fails, as if this were a pipe of its own.
        import socket

        try:
            with socket.socket(fileno=os.dup(_native.fd(native, READ))) as s:
                s.shutdown(socket.SHUT_RD)
        except OSError:
            pass  # no socket: the peer will see when the writer closes
        return 0


class Writing(_GIPCHandle):
    _direction = WRITE
    _batches = 0  # that are open

    def _close_direction(self, native):
        return _native.shutdown(native)

    def _flush_quietly(self):
        """A step; whether there is no more to do."""
        try:
            return _native.flush_step(self._closing or self._h) is not None
        except (GIPCError, OSError):
            return True  # the next put tells

    def _writable(self, waits, deadline):
        self._get_ahead()
        return waits.ready(self, WRITE, deadline)

    def _get_ahead(self):
        """Two peers that put at once would wait for each other: what is being
        put here is received, unless somebody is getting it."""
        reader = self._other
        if reader is None or reader._closed or reader._turn.taken:
            return
        try:
            _native.get_ahead(self._h)
        except (GIPCError, OSError):
            pass  # the next get tells


class _GIPCReader(Reading):
    """The end of a pipe that messages come out of."""

    def get(self, timeout=None):
        """Returns the next message, decoded; waits for it where need be.

        :arg timeout: ``None``, seconds, or a ``gevent.Timeout``, which is
            cancelled when the message is there.  It covers the whole message.
            What has arrived of it when the time is over is not lost: the next
            get goes on there.

        Raises:
            - :exc:`EOFError` at the end of the stream
            - :exc:`GIPCTimeout` when the seconds are over; a
              ``gevent.Timeout`` raises itself
            - :exc:`GIPCTruncated`, :exc:`GIPCProtocolError`,
              :exc:`GIPCTooBig`: the stream is over, and why
            - :exc:`GIPCClosed`, :exc:`GIPCError` (not this process's handle)
            - what the decoder raises; the message is taken then

        >>> reader, writer = pipe()
        >>> writer.put("hello")
        >>> reader.get(timeout=1.0)
        'hello'
        """
        data = self._get_encoded(timeout)
        decode = self._codec
        return data if decode is None else decode(data)

    def _get_encoded(self, timeout=None):
        data = None
        if not self._turn.taken:
            try:
                data = _take(self._h)
            except (GIPCError, EOFError, OSError):
                with limit(timeout):
                    self._validate()
                    raise
        if data.__class__ is not bytes:
            return self._get_waiting(data, timeout)
        if timeout is not None:
            with limit(timeout):
                pass
        return data

    def _get_waiting(self, data, timeout):
        waits = current()
        if timeout is not None:
            with limit(timeout) as deadline:
                return self._get_in_turn(waits, deadline, data is False)
        return self._get_in_turn(waits, None, data is False)

    def _get_in_turn(self, waits, deadline, yields):
        self._turn.take(waits, deadline)
        try:
            if self._closed:
                self._validate()
            if yields:
                waits.yield_()
            data = waits.receive(self, deadline)
            if data is None:
                raise timed_out("no whole message came in time")
            if data.__class__ is bytes:
                return data
            # A large one, of this size.
            data = _native.new_bytes(data)
            self._fill(data, _native.get_bytes, waits, deadline)
            return data
        finally:
            self._turn.release()

    def _fill(self, buffer, step, waits, deadline):
        """Receives a message straight into buffer, whose pages see each byte
        once."""
        while True:
            size = step(self._h, buffer)
            if size is not None:
                return size
            try:
                if not waits.ready(self, READ, deadline):
                    raise timed_out("no whole message came in time")
            except BaseException:
                _native.get_cancel(self._h)  # and the bytes stay for the next
                raise

    def get_into(self, buffer, timeout=None):
        """Receives the next message into writable memory of the caller.

        No decoder sees it.  For large messages this spares the pages of a new
        bytes object each time.

        :arg buffer: a bytearray, memoryview, array, mmap ...
        :returns: the size of the message in bytes.

        Raises what :meth:`get` does; :exc:`GIPCTooBig` when the buffer is too
        small: then the message stays, for a larger one.

        >>> reader, writer = pipe(encoder=None)
        >>> writer.put(b"hello")
        >>> buffer = bytearray(100)
        >>> reader.get_into(buffer)
        5
        """
        self._validate()
        waits = current()
        with limit(timeout) as deadline, self._turn.mine(waits, deadline):
            self._validate()
            # The view keeps the memory where it is.
            with memoryview(buffer) as view:
                return self._fill(view, _native.get_into, waits, deadline)

    def __iter__(self):
        """The messages, until the end of the stream.

        >>> reader, writer = pipe()
        >>> writer.put_many(["a", "b"])
        >>> writer.close()
        >>> list(reader)
        ['a', 'b']
        """
        decode = self._codec
        while True:
            try:
                data = self._get_encoded()
            except EOFError:
                return
            yield data if decode is None else decode(data)


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


class _GIPCWriter(Writing):
    """The end of a pipe that messages are put into."""

    def put(self, o, timeout=None):
        """Encodes an object and sends it; returns when it is all with the
        kernel.

        :arg timeout: ``None``, seconds, or a ``gevent.Timeout``.  A message of
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
        with limit(timeout) as deadline, self._turn.mine(waits, deadline):
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
                        raise timed_out("the message was not taken in time")
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
                raise timed_out("the message was not taken in time")

    def flush(self, timeout=None):
        """Waits until all that was put in a batch is with the kernel."""
        self._validate()
        waits = current()
        with limit(timeout) as deadline, self._turn.mine(waits, deadline):
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
        fails the reader gets the first ones; ``error.taken`` is their number
        where the time was over.
        """
        self._validate()
        waits = current()
        encode = self._codec
        objects = iter(objects)
        taken = 0
        with limit(timeout) as deadline, self._turn.mine(waits, deadline):
            self._validate()
            try:
                while True:
                    chunk = list(islice(objects, 1024))
                    if not chunk:
                        break
                    if encode is not None:
                        chunk = list(map(encode, chunk))
                    chunk = list(map(_as_bytes, chunk))
                    done = 0
                    while True:
                        before = done
                        done = _native.try_put_many(self._h, chunk, done)
                        taken += done - before
                        if done == len(chunk):
                            break
                        if _native.flush_step(self._h) == 0:
                            waits.yield_()
                        elif not self._writable(waits, deadline):
                            raise timed_out("not all were taken in time")
                self._flush(waits, deadline)
            except BaseException as error:
                error.taken = taken
                if not self._closed:
                    waits.finish(self)
                raise

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


class _PairContext(tuple):
    """Two handles, which leaving the block closes, the second one first."""

    def __enter__(self):
        for handle in self:
            handle.__enter__()
        return self

    def __exit__(self, *exception):
        try:
            self[1].__exit__(*exception)
        finally:
            self[0].__exit__(*exception)


class _GIPCDuplexHandle(_PairContext):
    """One end of a pipe that goes both ways: a reader and a writer, each of
    which can be closed alone."""

    _reader_type = _GIPCReader
    _writer_type = _GIPCWriter

    def __new__(cls, native, encoder, decoder):
        reader = cls._reader_type(native, decoder)
        writer = cls._writer_type(native, encoder)
        reader._other, writer._other = writer, reader
        return cls._of(reader, writer)

    @classmethod
    def _of(cls, reader, writer):
        self = super().__new__(cls, (reader, writer))
        self._reader, self._writer = reader, writer
        self.get, self.get_into = reader.get, reader.get_into
        self.put, self.put_many = writer.put, writer.put_many
        self.batch, self.flush = writer.batch, writer.flush
        self.set_limit, self.fileno = reader.set_limit, reader.fileno
        return self

    def __reduce__(self):
        return type(self)._of, (self._reader, self._writer)

    @property
    def _closed(self):
        return self._reader._closed and self._writer._closed

    def close(self):
        """Closes what is still open of the two directions.

        Raises:
            - :exc:`GIPCClosed` when both were closed before
            - :exc:`GIPCLocked` while one of them is in use; then both stay
        """
        if self._closed:
            raise GIPCClosed("%r has been closed before." % (self,))
        for handle in (self._writer, self._reader):
            if not handle._closed and handle._turn.taken:
                raise GIPCLocked("%r is in use, it cannot be closed." % (self,))
        if not (self._reader._closed or self._writer._closed):
            self._writer._validate()
            # Whole: to shut down one direction after the other would end the
            # stream for whoever else has the descriptor.
            self._reader._forget()
        for handle in (self._writer, self._reader):
            if not handle._closed:
                handle.close()

    def __exit__(self, *exception):
        if any(handle._closed or handle._turn.taken for handle in self):
            super().__exit__(*exception)
        else:
            self.close()

    def messages(self):
        """The messages, until the end of the stream."""
        return iter(self._reader)

    def __repr__(self):
        return "<%s(%r, %r)>" % (type(self).__name__, *self)

    __str__ = __repr__


def pipe(duplex=False, encoder="default", decoder="default"):
    """Makes a pipe, and returns its two handles.

    :arg duplex: ``False``: (reader, writer).  ``True``: two handles that both
        read and write.
    :arg encoder: what makes bytes of an object that is put: ``'default'``
        (pickle), ``'json'``, ``'msgpack'``, ``None`` (only bytes are put), or
        a function of the object.
    :arg decoder: the same for what is got; a function of the bytes.

    The pair is a context manager that closes both.  Pickle runs code of its
    sender: use msgpack, json or raw bytes with a peer you do not trust.

    Raises:
        - :exc:`GIPCError` when an encoder or decoder is none
        - :exc:`OSError` when the system has no more descriptors

    >>> with pipe() as (reader, writer):
    ...     writer.put({"a": 1})
    ...     reader.get()
    {'a': 1}
    """
    return family.pipe(duplex, encoder, decoder)


class Family(NamedTuple):
    """The classes of handles that belong together."""

    reader: type
    writer: type
    duplex: type
    pair: type

    def pipe(self, duplex, encoder, decoder):
        encoder = _codec.find(encoder, 0)
        decoder = _codec.find(decoder, 1)
        if duplex:
            return self.pair(
                self.duplex(native, encoder, decoder)
                for native in _native.pipe_duplex()
            )
        reader, writer = _native.pipe()
        return self.pair(
            (self.reader(reader, decoder), self.writer(writer, encoder))
        )

    def adopt(self, native, encoder, decoder):
        """The handle for a native one, by the directions it is open for."""
        encoder = _codec.find(encoder, 0)
        decoder = _codec.find(decoder, 1)
        directions = _native.directions(native)
        if directions == READ:
            return self.reader(native, decoder)
        if directions == WRITE:
            return self.writer(native, encoder)
        return self.duplex(native, encoder, decoder)


family = Family(_GIPCReader, _GIPCWriter, _GIPCDuplexHandle, _PairContext)


def get_all_handles():
    """The open handles of this process, as a list.

    A duplex handle is in it as its reader and its writer.
    """
    return [handle for handle in all_handles() if not handle._closed]


def arrive_in_child(parent, passed):
    """Those passed are this process's now, and no other one of its parent's,
    of which nothing may be touched, not even to stop a watcher."""
    _open.clear()
    _ancestors.add(parent)
    _ancestors.discard(os.getpid())
    for handle in passed:
        for side in (handle, handle._other):
            if side is not None and side._h is not None:
                side._arrive()


def all_handles():
    """Those too that are closed once what is left has left."""
    handles = (ref() for ref in list(_open))
    return [handle for handle in handles if handle is not None]
