"""The end of a pipe that messages are put into."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic

from ._backend import run
from ._blocking import current_backend
from ._cargo import Cargo
from ._deadline import check_timeout, limit
from ._encoded import Encoded
from ._handle import BlockingHandle
from ._native import DONE
from ._native import put as _put
from ._types import Descriptor, Put_contra, Timeout
from ._writing import BatchBlock, Writing, lendable
from .errors import GIPCError

if TYPE_CHECKING:
    from typing_extensions import Self


class _GIPCWriter(BlockingHandle, Writing, Generic[Put_contra]):
    """The end of a pipe that messages are put into."""

    def put(
        self,
        o: Put_contra,
        timeout: Timeout = None,
        fds: Iterable[Descriptor] = (),
    ) -> None:
        """Encodes an object and sends it.  Returns when all bytes of the
        message are written, that is, accepted by the kernel, or in a ring,
        which outlives this process.

        :arg timeout: seconds, or a ``gevent.Timeout``; ``None`` (the default)
            or a negative number waits indefinitely.  If the timeout expires
            before a byte of the message is written, the put is cancelled.
            Otherwise the remaining bytes are written before the next message.
            In both cases the stream stays valid.
        :arg fds: up to 253 descriptors, or objects with a ``fileno()`` such as
            sockets.  The peer takes copies of them with ``take_fds()``.  They
            can be closed when the call returns.  Handles among them move to the
            peer, which takes them with ``take_handles()``.

        Up to 7 handles can go with a message: those in an object that is
        pickled, which arrive in it, and those in fds.  They move, as if they
        were passed to a child: here they are closed.  If nothing was sent, they
        are as before.

        Raises:
            - :exc:`GIPCTimeout` if the timeout in seconds expires; its
              ``withdrawn`` is True if the put was cancelled
            - :exc:`BrokenPipeError` if the reader is closed
            - :exc:`TypeError` if the encoder (or, with the encoder None, the
              caller) does not return bytes
            - :exc:`GIPCTooBig` if the message exceeds the limit; nothing was
              sent
            - :exc:`GIPCClosed`; :exc:`GIPCError` in a process that does not own
              the handle
            - :exc:`GIPCLocked` in a signal handler, a generator or a finalizer
              that runs inside a put of this handle; nothing was sent
            - :exc:`OSError`: EOPNOTSUPP if the peer is not known to take
              descriptors; EBUSY if a handle that would move has received or
              queued bytes; nothing was sent
            - what the encoder raises; nothing was sent then

        The handle stays usable whatever exception ends the call, also one that
        a signal handler raises.
        """
        encode = self._codec
        data: Any = o if encode is None else encode(o)
        if data.__class__ is not bytes:
            if data.__class__ is Encoded:
                self._put_with(data, list(fds), timeout)
                return
            data = lendable(data)
        if timeout is not None:
            check_timeout(timeout)
        if fds:
            self._put_with(data, list(fds), timeout)
            return
        try:
            outcome = _put(self._h, data, self._lock)
        except (GIPCError, OSError):
            with limit(timeout):
                self._validate()
                raise
        if outcome != DONE:
            self._put_waiting(data, outcome, timeout)
        elif timeout is not None:
            with limit(timeout):
                pass

    def _put_waiting(self, data: Any, outcome: object, timeout: Timeout) -> None:
        backend = current_backend()
        if timeout is None:
            run(self._send, data, outcome, backend, None)
            return
        with limit(timeout) as deadline:
            run(self._send, data, outcome, backend, deadline)

    def _put_with(
        self, data: Any, fds: list[Descriptor], timeout: Timeout
    ) -> None:
        backend = current_backend()
        with limit(timeout) as deadline:
            cargo = Cargo(self, data, fds)
            run(self._send_with, cargo, backend, deadline)

    def flush(self, timeout: Timeout = None) -> None:
        """Waits until all that was put in a batch is written.

        :arg timeout: as for :meth:`put`.

        Raises :exc:`GIPCTimeout`; the queue is then written in the background
        under gevent, and before the next message elsewhere.
        """
        self._validate()
        backend = current_backend()
        with limit(timeout) as deadline:
            run(self._flush, backend, deadline)

    def put_many(
        self, objects: Iterable[Put_contra], timeout: Timeout = None
    ) -> None:
        """Sends all objects of an iterable, in batches to reduce the number of
        system calls.  Returns when all are written.

        :arg timeout: as for :meth:`put`, for all of them.

        Raises what :meth:`put` does, and what the iterable raises.  Messages
        are accepted in order, so that after an error the reader gets the first
        ones: ``error.accepted`` is their number, whatever the error is.
        ``withdrawn`` is True if that is 0.
        """
        self._validate()
        backend = current_backend()
        iterator = iter(objects)
        with limit(timeout) as deadline:
            run(self._send_many, iterator, backend, deadline)

    def batch(self) -> AbstractContextManager[Self]:
        """A block whose puts are queued, and written together: those of the
        greenlet or thread that runs the block.  What others put is written at
        once, after what is queued.

        At the end of the block everything is written.  If an exception leaves
        the block, bytes that cannot be written at once are treated as those of
        a put that timed out.

        >>> reader, writer = pipe()
        >>> with writer.batch():
        ...     for i in range(3):
        ...         writer.put(i)
        >>> [reader.get() for _ in range(3)]
        [0, 1, 2]
        """
        self._validate()
        return _BatchBlock(self)


class _BatchBlock(BatchBlock):
    def __enter__(self) -> Any:
        self._begin(current_backend())
        return self._writer

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._end()
        if self._writer._closed:
            return
        if kind is None:
            self._writer.flush()
        else:
            self._abandon(current_backend())
