"""The end of a pipe that messages come out of."""

from . import _native
from ._handle import Reading
from ._native import READ, WAIT, YIELD, Lent, Locked, take as _take
from ._wait import await_lock, check_timeout, current, limit, timed_out
from .errors import GIPCError


class _GIPCReader(Reading):
    """The end of a pipe that messages come out of."""

    def get(self, timeout=None):
        """Returns the next message, decoded; waits for it where need be.

        :arg timeout: ``None``, seconds, or a ``gevent.Timeout``, which is
            cancelled when the message is there.  It covers the whole message.
            0 takes what is there; ``None``, or a negative number, waits for
            it.  What has arrived of it when the time is over is not lost: the
            next get goes on there.

        Raises:
            - :exc:`EOFError` at the end of the stream
            - :exc:`GIPCTimeout` when the seconds are over; a
              ``gevent.Timeout`` raises itself
            - :exc:`GIPCTruncated`, :exc:`GIPCProtocolError`,
              :exc:`GIPCTooBig`: the stream is over, and why
            - :exc:`GIPCClosed`, :exc:`GIPCError` (not this process's handle)
            - :exc:`GIPCLocked` in a signal handler, a generator or a finalizer
              that runs inside of a get of this handle
            - what the decoder raises; the message is taken then

        A message is lost if a signal handler raises just as the get returns.

        >>> reader, writer = pipe()
        >>> writer.put("hello")
        >>> reader.get(timeout=1.0)
        'hello'
        """
        data = self._get_encoded(timeout)
        decode = self._codec
        return data if decode is None else decode(data)

    def _get_encoded(self, timeout=None):
        data = WAIT
        if timeout is not None:
            check_timeout(timeout)
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
                return self._get_in_turn(waits, deadline, data == YIELD)
        return self._get_in_turn(waits, None, data == YIELD)

    def _get_in_turn(self, waits, deadline, yields):
        with Locked(self._turn, waits.signal) as signal:
            if signal is not None:
                await_lock(self, signal, deadline)
            if self._closed:
                self._validate()
            if yields:
                waits.yield_()
            data = waits.receive(self, deadline)
            if data.__class__ is bytes:
                return data
            if data == WAIT:
                raise timed_out("no whole message came in time")
            data = _native.new_bytes(self._h)
            self._fill(data, _native.get_bytes, waits, deadline)
            return data

    def _fill(self, buffer, step, waits, deadline):
        """Receives a message straight into buffer, whose pages see each byte
        once.  An error leaves its bytes for the next get."""
        with Lent(self._h, buffer, READ):
            while True:
                size = step(self._h, buffer)
                if size is not None:
                    return size
                if not waits.ready(self, READ, deadline):
                    raise timed_out("no whole message came in time")

    def get_into(self, buffer, timeout=None):
        """Receives the next message into writable memory of the caller.

        No decoder sees it.  For large messages this spares the pages of a new
        bytes object each time.

        :arg buffer: a bytearray, memoryview, array, mmap ...
        :arg timeout: as for :meth:`get`.
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
        with limit(timeout) as deadline, Locked(
            self._turn, waits.signal
        ) as signal:
            if signal is not None:
                await_lock(self, signal, deadline)
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
