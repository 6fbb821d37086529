"""The handles for tasks of asyncio and trio."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Generic

from ._backend import Backend, Event
from ._cargo import Cargo
from ._deadline import deadline_of
from ._encoded import Encoded
from ._handle import _GIPCHandle
from ._native import DONE, WAIT
from ._native import put as _put
from ._native import take as _take
from ._reading import Reading
from ._tasks import current_backend, running_backend, running_loop
from ._threads import threads
from ._types import Descriptor, Got_co, Put_contra
from ._writing import BatchBlock, Writing, lendable
from .errors import GIPCError, timed_out

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self


class Block:
    """An ``async with`` block whose end closes, and does not wait until
    remaining bytes are written: what reads them may come after the block."""

    if TYPE_CHECKING:
        __exit__: Callable[..., object]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.__exit__(*exception)
        await running_backend().yield_()


class _Handle(Block, _GIPCHandle):
    if TYPE_CHECKING:
        __exit__ = _GIPCHandle.__exit__

    # Of the tasks that wait until it is closed.
    _closers: tuple[Event, ...] = ()

    def _current_backend(self) -> Backend:
        return current_backend() or threads

    def close(self) -> None:
        """Closes the handle, and does not wait: queued bytes, which remain of a
        put that timed out or was cancelled, are written in the background.

        Raises:
            - :exc:`GIPCClosed` if the handle was closed before
            - :exc:`GIPCLocked` while another task is using it
            - :exc:`GIPCError` in a process that does not own it
        """
        super().close()

    async def aclose(self, timeout: float | None = None) -> None:
        """As :meth:`close`, and waits until queued bytes are written.

        :arg timeout: seconds; ``None`` (the default) or a negative number waits
            indefinitely.

        Raises also :exc:`GIPCTimeout`: bytes were dropped, and the stream of the
        peer ends inside a message.
        """
        deadline = deadline_of(timeout)
        self.close()
        await self._wait_closed(deadline)

    async def _wait_closed(self, deadline: float | None) -> None:
        backend = running_backend()
        for side in (self, self._other):
            if isinstance(side, _Handle) and side._closing is not None:
                closed = backend.new_event()
                side._closers += (closed,)
                if not await closed.wait(deadline):
                    side.abort()
                    raise timed_out(
                        "the handle was closed before all bytes were written",
                        False,
                    )
                return
        await backend.yield_()

    def _on_background_flush_done(self) -> None:
        super()._on_background_flush_done()
        for closer in self._closers:
            closer.set()


class Reader(_Handle, Reading, Generic[Got_co]):
    """The end of a pipe that messages are got from.  Any number of tasks may
    get from it; a fair lock lets one at a time.

    ``async for message in reader`` gets the messages until the end of the
    stream.
    """

    async def get(self, timeout: float | None = None) -> Got_co:
        """Waits for the next message, decodes it, and returns the object.

        :arg timeout: seconds for the whole message.  0 does not wait; ``None``
            (the default) or a negative number waits indefinitely.  If the
            timeout expires, or the task is cancelled, the bytes received so far
            are kept, and the next get continues with them.

        Raises:
            - :exc:`EOFError` at the end of the stream
            - :exc:`GIPCTimeout` if the timeout expires
            - :exc:`GIPCTruncated`, :exc:`GIPCProtocolError`,
              :exc:`GIPCTooBig`: the stream has ended with an error
            - :exc:`GIPCClosed`; :exc:`GIPCError` in a process that does not own
              the handle
            - what the decoder raises; the message is consumed then
        """
        if timeout is not None:
            deadline_of(timeout)  # raises for a wrong one, before any message
        data: Any = DONE
        # As _take_buffered(), without the call.
        if not self._lock.locked and running_loop() is not None:
            try:
                data = _take(self._h)
            except (GIPCError, OSError):
                self._validate()
                raise
        if data.__class__ is not bytes:
            data = await self._get_waiting(data, timeout)
            if data.__class__ is tuple:
                return self._decode_attached(data)  # type: ignore[no-any-return]
        decode = self._codec
        return data if decode is None else decode(data)  # type: ignore[no-any-return]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Got_co:
        try:
            data = self._take_buffered()
            if data.__class__ is not bytes:
                data = await self._get_waiting(data, None)
        except EOFError:
            raise StopAsyncIteration from None
        if data.__class__ is tuple:
            return self._decode_attached(data)  # type: ignore[no-any-return]
        decode = self._codec
        return data if decode is None else decode(data)  # type: ignore[no-any-return]

    def _take_buffered(self) -> Any:
        """The outcome of the native take; DONE if another task gets, and under
        trio, where a call is a checkpoint too: it was not tried."""
        if self._lock.locked or running_loop() is None:
            return DONE
        try:
            return _take(self._h)
        except (GIPCError, OSError):
            self._validate()
            raise

    async def _get_waiting(
        self, outcome: int, timeout: float | None
    ) -> Any:
        if outcome.__class__ is tuple:
            return outcome
        deadline = deadline_of(timeout)
        self._validate()
        backend = running_backend()
        return await backend.call(self._receive, outcome, backend, deadline)

    async def get_into(
        self, buffer: Buffer, timeout: float | None = None
    ) -> int:
        """Receives the next message into writable memory of the caller.

        The message is not decoded.  For large messages this avoids allocating a
        new bytes object.

        :arg buffer: a bytearray, memoryview, array, mmap ...
        :arg timeout: as for :meth:`get`.
        :returns: the size of the message in bytes.

        Raises what :meth:`get` does; :exc:`GIPCTooBig` if the buffer is too
        small: the message is kept then, for a larger buffer.
        """
        deadline = deadline_of(timeout)
        self._validate()
        backend = running_backend()
        return await backend.call(
            self._receive_into, buffer, backend, deadline
        )


class Writer(_Handle, Writing, Generic[Put_contra]):
    """The end of a pipe that messages are put into.  Any number of tasks may put
    into it; a fair lock lets one at a time."""

    async def put(
        self,
        o: Put_contra,
        timeout: float | None = None,
        fds: Iterable[Descriptor] = (),
    ) -> None:
        """Encodes an object and sends it.  Returns when all bytes of the
        message are written, that is, accepted by the kernel, or in a ring,
        which outlives this process.

        :arg timeout: seconds; ``None`` (the default) or a negative number waits
            indefinitely.  If the timeout expires, or the task is cancelled,
            before a byte of the message is written, the put is cancelled.
            Otherwise the remaining bytes are written in the background, before
            the next message.  In both cases the stream stays valid.
        :arg fds: up to 253 descriptors, or objects with a ``fileno()`` such as
            sockets.  The peer takes copies of them with ``take_fds()``.  They
            can be closed when the call returns.  Handles among them move to the
            peer, which takes them with ``take_handles()``.

        Up to 7 handles can go with a message: those in an object that is
        pickled, which arrive in it, and those in fds.  They move, as if they
        were passed to a child: here they are closed.  If nothing was sent, they
        are as before.

        Raises:
            - :exc:`GIPCTimeout` if the timeout expires; its ``withdrawn`` is
              True if the put was cancelled, as is that of the
              ``CancelledError`` of asyncio
            - :exc:`BrokenPipeError` if the reader is closed
            - :exc:`TypeError` if the encoder (or, with the encoder None, the
              caller) does not return bytes
            - :exc:`GIPCTooBig` if the message exceeds the limit; nothing was
              sent
            - :exc:`GIPCClosed`; :exc:`GIPCError` in a process that does not own
              the handle
            - :exc:`OSError`: EOPNOTSUPP if the peer is not known to take
              descriptors; EBUSY if a handle that would move has received or
              queued bytes; nothing was sent
            - what the encoder raises; nothing was sent then
        """
        encode = self._codec
        data: Any = o if encode is None else encode(o)
        if data.__class__ is not bytes:
            if data.__class__ is Encoded:
                await self._put_with(data, list(fds), timeout)
                return
            data = lendable(data)
        if timeout is not None:
            deadline_of(timeout)  # raises for a wrong one, before any message
        if fds:
            await self._put_with(data, list(fds), timeout)
            return
        outcome: object = WAIT
        if running_loop() is not None:
            try:
                outcome = _put(self._h, data, self._lock)
            except (GIPCError, OSError):
                self._validate()
                raise
        if outcome != DONE:
            await self._put_waiting(data, outcome, timeout)

    async def _put_with(
        self, data: Any, fds: list[Descriptor], timeout: float | None
    ) -> None:
        deadline = deadline_of(timeout)
        self._validate()
        backend = running_backend()
        cargo = Cargo(self, data, fds)
        await backend.call(self._send_with, cargo, backend, deadline)

    async def _put_waiting(
        self, data: Any, outcome: object, timeout: float | None
    ) -> None:
        deadline = deadline_of(timeout)
        self._validate()
        backend = running_backend()
        await backend.call(self._send, data, outcome, backend, deadline)

    async def flush(self, timeout: float | None = None) -> None:
        """Waits until all that was put in a batch is written.

        :arg timeout: as for :meth:`put`.

        Raises :exc:`GIPCTimeout`; the queue is then written in the background.
        """
        deadline = deadline_of(timeout)
        self._validate()
        backend = running_backend()
        await backend.call(self._flush, backend, deadline)

    async def put_many(
        self, objects: Iterable[Put_contra], timeout: float | None = None
    ) -> None:
        """Sends all objects of an iterable, in batches to reduce the number of
        system calls.  Returns when all are written.

        :arg timeout: as for :meth:`put`, for all of them.

        Raises what :meth:`put` does.  Messages are accepted in order, so that
        after an error or a cancellation the reader gets the first ones:
        ``error.accepted`` is their number, whatever the error is (except the
        ``Cancelled`` of trio, which cannot have attributes).  ``withdrawn`` is
        True if that is 0.
        """
        deadline = deadline_of(timeout)
        self._validate()
        backend = running_backend()
        iterator = iter(objects)
        await backend.call(self._send_many, iterator, backend, deadline)

    def batch(self) -> AbstractAsyncContextManager[Self]:
        """A block (``async with``) whose puts are queued, and written together:
        those of the task that runs the block.  What others put is written at
        once, after what is queued.

        At the end of the block everything is written.  If an error or a
        cancellation leaves the block, it is written in the background.
        """
        return _BatchBlock(self)


class _BatchBlock(BatchBlock):
    async def __aenter__(self) -> Any:
        self._writer._validate()
        self._begin(running_backend())
        return self._writer

    async def __aexit__(
        self, kind: object, error: object, trace: object
    ) -> None:
        self._end()
        if self._writer._closed:
            return
        if kind is None:
            await self._writer.flush()
        else:
            self._abandon(running_backend())
