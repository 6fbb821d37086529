"""The end of a pipe that messages are got from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic

from ._backend import BlockingBackend, run
from ._blocking import current_backend
from ._deadline import check_timeout, limit
from ._handle import BlockingHandle
from ._native import DONE, WAIT, Locked
from ._native import take as _take
from ._reading import Reading
from ._types import Got_co, Timeout
from .errors import GIPCError

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _GIPCReader(BlockingHandle, Reading, Generic[Got_co]):
    """The end of a pipe that messages are got from."""

    def get(self, timeout: Timeout = None) -> Got_co:
        """Waits for the next message, decodes it, and returns the object.

        :arg timeout: seconds for the whole message, or a ``gevent.Timeout``,
            which is cancelled when the call returns.  0 does not wait; ``None``
            (the default) or a negative number waits indefinitely.  If the
            timeout expires, the bytes received so far are kept, and the next
            get continues with them.

        Raises:
            - :exc:`EOFError` at the end of the stream
            - :exc:`GIPCTimeout` if the timeout in seconds expires; a
              ``gevent.Timeout`` raises itself
            - :exc:`GIPCTruncated`, :exc:`GIPCProtocolError`,
              :exc:`GIPCTooBig`: the stream has ended with an error
            - :exc:`GIPCClosed`; :exc:`GIPCError` in a process that does not own
              the handle
            - :exc:`GIPCLocked` in a signal handler, a generator or a finalizer
              that runs inside a get of this handle
            - what the decoder raises; the message is consumed then

        A message is lost if a signal handler raises just as the get returns.

        >>> reader, writer = pipe()
        >>> writer.put("hello")
        >>> reader.get(timeout=1.0)
        'hello'
        """
        # Most gets, without the call of _get_encoded().
        if timeout is None and not self._lock.locked:
            try:
                data = _take(self._h)
            except (GIPCError, EOFError, OSError):
                self._validate()
                raise
            if data.__class__ is not bytes:
                data = self._get_waiting(data, None)
                if data.__class__ is tuple:
                    return self._decode_attached(data)  # type: ignore[no-any-return]
        else:
            data = self._get_encoded(timeout)
            if data.__class__ is tuple:
                return self._decode_attached(data)  # type: ignore[no-any-return]
        decode = self._codec
        return data if decode is None else decode(data)  # type: ignore[no-any-return]

    def _get_encoded(self, timeout: Timeout = None) -> Any:
        data: Any = DONE  # not tried
        if timeout is not None:
            check_timeout(timeout)
        if not self._lock.locked:
            try:
                data = _take(self._h)
            except (GIPCError, EOFError, OSError):
                with limit(timeout):
                    self._validate()
                    raise
        if data.__class__ is not bytes and data.__class__ is not tuple:
            return self._get_waiting(data, timeout)
        if timeout is not None:
            with limit(timeout):
                pass
        return data

    def _get_waiting(self, outcome: Any, timeout: Timeout) -> Any:
        if outcome.__class__ is tuple:
            return outcome
        backend = current_backend()
        if timeout is None:
            if outcome == WAIT:
                outcome = self._receive_now(backend)
                if outcome.__class__ is not int:
                    return outcome
            return run(self._receive, outcome, backend, None)
        with limit(timeout) as deadline:
            return run(self._receive, outcome, backend, deadline)

    def _receive_now(self, backend: BlockingBackend) -> Any:
        """As _receive(), where nobody else has the lock: most gets that wait.
        The message, or an outcome."""
        with Locked(self._lock, backend.new_event) as event:
            if event is not None:
                return DONE  # not tried
            if self._is_closed:
                self._validate()
            return backend.receive_now(WAIT, self, None)

    def get_into(self, buffer: Buffer, timeout: Timeout = None) -> int:
        """Receives the next message into writable memory of the caller.

        The message is not decoded.  For large messages this avoids allocating a
        new bytes object.

        :arg buffer: a bytearray, memoryview, array, mmap ...
        :arg timeout: as for :meth:`get`.
        :returns: the size of the message in bytes.

        Raises what :meth:`get` does; :exc:`GIPCTooBig` if the buffer is too
        small: the message is kept then, for a larger buffer.

        >>> reader, writer = pipe(encoder=None)
        >>> writer.put(b"hello")
        >>> buffer = bytearray(100)
        >>> reader.get_into(buffer)
        5
        """
        self._validate()
        backend = current_backend()
        with limit(timeout) as deadline:
            return run(self._receive_into, buffer, backend, deadline)

    def __iter__(self) -> Iterator[Got_co]:
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
            if data.__class__ is tuple:
                yield self._decode_attached(data)
            else:
                yield data if decode is None else decode(data)
