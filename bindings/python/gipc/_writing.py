"""Putting: the bodies that the writers of gipc and of gipc.aio have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from . import _native
from ._backend import Backend, set_withdrawn, wait_for_lock
from ._encoded import Encoded
from ._handle import _GIPCHandle
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
)
from ._reading import shut_down
from ._settings import WriterSettings
from ._types import Codec, Deadline
from .errors import GIPCError, GIPCTimeout, timed_out


def as_bytes(data: object) -> bytes:
    if type(data) is bytes:
        return data
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, Encoded):
        return data.as_bytes()
    raise TypeError(
        "a message must be bytes, not %s: use an encoder"
        % type(data).__name__
    )


def lendable(data: object) -> bytes | memoryview:
    """Bytes, or a view that keeps its memory where it is: a large message is
    sent straight from there."""
    if isinstance(data, (bytearray, memoryview)):
        view = memoryview(data)
        if view.nbytes >= LENT_FROM and view.c_contiguous:
            return view
    return as_bytes(data)


def _encoded(objects: Iterator[Any], encode: Codec) -> list[bytes]:
    """The next messages of an iterator."""
    some: Iterator[Any] = islice(objects, 1024)
    if encode is not None:
        some = map(encode, some)
    return list(map(as_bytes, some))


class _Progress:
    """A block of put_many: an error in it says how many were accepted."""

    def __init__(self) -> None:
        # In a list, so that the native call can count.
        self.accepted = [0]

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, kind: object, error: Any, trace: object) -> None:
        if error is not None:
            with suppress(AttributeError):  # trio's Cancelled has no attributes
                error.accepted = error.taken = self.accepted[0]
                error.withdrawn = self.accepted[0] == 0


class Writing(WriterSettings, _GIPCHandle):
    _direction = WRITE
    # Number of messages whose buffers are not to go beside them, because the
    # peer takes no descriptors.
    _inline_puts = 0

    async def _send(
        self,
        data: bytes | memoryview,
        outcome: object,
        backend: Backend,
        deadline: Deadline,
    ) -> None:
        """Puts a message.  outcome: that of the native put, if it was tried."""
        queued = outcome == QUEUED  # the remaining bytes
        with Locked(self._lock, backend.new_event) as event:
            if event is not None:
                await wait_for_lock(self, event, deadline, not queued)
            self._validate()
            try:
                if outcome == YIELD:
                    await backend.yield_()
                if queued:
                    await self._write_queue(backend, deadline)
                else:
                    # An error in the block cancels the put, and gets the
                    # attribute `withdrawn`.
                    with Lent(self._h, data, WRITE):
                        await self._send_lent(data, backend, deadline)
            except BaseException as error:
                if queued:
                    set_withdrawn(error, False)
                elif isinstance(error, backend.cancelled):
                    # Also if it came before the memory was lent.
                    set_withdrawn(error, getattr(error, "withdrawn", True))
                self._flush_remaining(backend)
                raise

    async def _send_lent(
        self, data: bytes | memoryview, backend: Backend, deadline: Deadline
    ) -> None:
        outcome = begin_put(self._h, data, self._lock)
        while outcome != DONE:
            if outcome == LENT:
                return await self._finish_put(backend, deadline)
            if outcome == WAIT:
                await self._drain_queue(backend, deadline)
            else:
                await backend.yield_()
            outcome = begin_put(self._h, data, self._lock)

    async def _finish_put(self, backend: Backend, deadline: Deadline) -> None:
        while await self._wait_writable(backend, deadline):
            if _native.put_step(self._h) == DONE:
                return
        raise _not_accepted()

    async def _send_with(
        self,
        cargo: Any,
        backend: Backend,
        deadline: Deadline,
    ) -> None:
        """Puts a message with handles, buffers and descriptors."""
        with cargo:
            with Locked(self._lock, backend.new_event) as event:
                if event is not None:
                    await wait_for_lock(self, event, deadline)
                self._validate()
                try:
                    await self._send_cargo(cargo, backend, deadline)
                except BaseException as error:
                    if isinstance(error, (GIPCTimeout, backend.cancelled)):
                        set_withdrawn(error, not cargo.is_sent)
                    self._flush_remaining(backend)
                    raise

    async def _send_cargo(
        self, cargo: Any, backend: Backend, deadline: Deadline
    ) -> None:
        while (outcome := cargo.put(self._h)) != DONE:
            if outcome == WAIT:
                await self._drain_queue(backend, deadline)
            else:
                await backend.yield_()
        await self._write_queue(backend, deadline)

    async def _drain_queue(self, backend: Backend, deadline: Deadline) -> None:
        """Waits until the queue can accept more."""
        if _native.flush_step(self._h) == WAIT:
            if not await self._wait_writable(backend, deadline):
                raise _not_accepted()

    async def _flush(self, backend: Backend, deadline: Deadline) -> None:
        with Locked(self._lock, backend.new_event) as event:
            if event is not None:
                await wait_for_lock(self, event, deadline, False)
            self._validate()
            try:
                await self._write_queue(backend, deadline)
            except BaseException:
                self._flush_remaining(backend)
                raise

    async def _write_queue(self, backend: Backend, deadline: Deadline) -> None:
        while _native.flush_step(self._h) == WAIT:
            if not await self._wait_writable(backend, deadline):
                raise timed_out(
                    "timed out before all queued bytes were written", False
                )

    def _flush_remaining(self, backend: Backend) -> None:
        """After an error: writes the remaining bytes at once, or in the
        background."""
        if not self._closed and not self._flush_quietly():
            backend.flush_in_background(self)

    async def _send_many(
        self, objects: Iterator[Any], backend: Backend, deadline: Deadline
    ) -> None:
        with _Progress() as progress, Locked(
            self._lock, backend.new_event
        ) as event:
            if event is not None:
                await wait_for_lock(self, event, deadline)
            self._validate()
            try:
                await self._send_all(
                    objects, progress.accepted, backend, deadline
                )
            except BaseException:
                self._flush_remaining(backend)
                raise

    async def _send_all(
        self,
        objects: Iterator[Any],
        accepted: list[int],
        backend: Backend,
        deadline: Deadline,
    ) -> None:
        try:
            while chunk := _encoded(objects, self._codec):
                await self._send_chunk(chunk, accepted, backend, deadline)
        except GIPCTimeout:
            raise
        except Exception:
            # Of the iterable or the encoder: the messages before it are put.
            with suppress(GIPCError, OSError):
                await self._write_queue(backend, deadline)
            raise
        await self._write_queue(backend, deadline)

    async def _send_chunk(
        self,
        chunk: list[bytes],
        accepted: list[int],
        backend: Backend,
        deadline: Deadline,
    ) -> None:
        before = accepted[0]
        outcome = WAIT
        while outcome != DONE:
            outcome = _native.try_put_many(self._h, chunk, before, accepted)
            if outcome == YIELD:
                await backend.yield_()
            elif outcome == WAIT and _native.flush_step(self._h) == WAIT:
                if not await self._wait_writable(backend, deadline):
                    raise timed_out("timed out after %d messages" % accepted[0])

    async def _wait_writable(
        self, backend: Backend, deadline: Deadline
    ) -> bool:
        """Waits until the descriptor is writable, or something was received
        meanwhile.  False when the deadline has passed."""
        if self._read_ahead():
            return await backend.wait_either(self, deadline)
        return await backend.wait_ready(self, WRITE, deadline)

    def _read_ahead(self) -> bool:
        """Receives what the peer is putting, unless a get does: two peers that
        put at the same time would block each other.  Returns whether there may
        be more to receive."""
        reader = self._other
        if reader is None or reader._closed:
            return False
        if reader._lock.locked:
            return True
        try:
            _native.read_ahead(self._h)
        except (GIPCError, OSError):
            return False  # the limit, or an end that the next get raises
        return True

    def _close_direction(self, native: Any) -> int:
        return _native.shutdown(native)

    def _drop_direction(self, native: Any) -> None:
        # After it a write fails, which empties the queue.
        shut_down(_native.fd(native, WRITE), WRITE)
        _native.shutdown(native)


def _not_accepted() -> GIPCTimeout:
    return timed_out("timed out before the message was written", True)


class BatchBlock:
    """A block in which the puts of one greenlet, thread or task are queued."""

    _batch: Batch

    def __init__(self, writer: Any):
        self._writer = writer

    def _begin(self, backend: Backend) -> None:
        self._batch = Batch(self._writer._lock, backend.current)
        self._batch.__enter__()

    def _end(self) -> None:
        self._batch.__exit__(None, None, None)

    def _abandon(self, backend: Backend) -> None:
        """The end of a block that an error leaves."""
        with Locked(self._writer._lock, None) as refused:
            if refused is None:  # else the call that has the lock flushes
                self._writer._flush_remaining(backend)
