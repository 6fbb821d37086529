"""Getting: the bodies that the readers of gipc and of gipc.aio have in common."""

from __future__ import annotations

import os
from pickle import loads as _loads
from typing import TYPE_CHECKING, Any, Callable

from . import _native
from ._backend import Backend, wait_for_lock
from ._codec import find
from ._encoded import TakesAttached
from ._handle import _GIPCHandle, handle_of
from ._native import DONE, READ, WAIT, YIELD, Lent, Locked
from ._types import Codec, Deadline, Decoder, Encoder
from .errors import timed_out

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Reading(_GIPCHandle):
    _direction = READ
    # The native handles of a message that was unpickled, but those in its
    # object.
    _natives: list[_native.Handle] = []

    def __init__(self, native: _native.Handle, codec: Codec):
        self._h = native
        self._codec = codec
        self._take_ownership()
        # A reader that unpickles takes the handles: what a new one does.
        if codec is not _loads:
            if isinstance(codec, TakesAttached):
                self._codec = codec.__class__()
                _native.take_with(native, _native.TAKES_ALL)
            else:
                _native.take_with(native, _native.TAKES_NOTHING)

    def _decode_attached(self, message: Any) -> Any:
        """Decodes a message with handles, or with descriptors of the codec."""
        data, self._natives, _ = message
        if isinstance(self._codec, TakesAttached):
            return self._codec.decode(message, self._limit)
        from ._attached import HandleUnpickler

        return HandleUnpickler(data, self._natives).load()

    async def _receive(
        self, outcome: int, backend: Backend, deadline: Deadline
    ) -> Any:
        """The next message.  outcome: that of the native take, if it was
        tried."""
        with Locked(self._lock, backend.new_event) as event:
            if event is not None:
                await wait_for_lock(self, event, deadline)
            if self._closed:
                self._validate()
            if outcome == YIELD:
                await backend.yield_()
            data = await backend.receive(outcome, self, deadline)
            if data.__class__ is int:
                if data == WAIT:
                    raise _no_message()
                data = _native.new_bytes(self._h)
                await self._fill(data, _native.get_bytes, backend, deadline)
                data = _native.attached_to(self._h, data)
            return data

    def take_fds(self) -> list[int]:
        """The descriptors of the message that the last get returned, which the
        caller closes.

        They are in the order of the put, and not inheritable.  Those that are
        not taken are closed with the next get, or with the handle.

        Raises :exc:`OSError` (EMFILE) if they were lost, because this process
        had no descriptors left when they came.
        """
        self._validate()
        if isinstance(self._codec, TakesAttached):
            fds, self._codec.fds = self._codec.fds, []
            return fds
        return _native.take_fds(self._h)

    def take_handles(
        self, encoder: Encoder = "default", decoder: Decoder = "default"
    ) -> list[Any]:
        """The handles that came with the message that the last get returned, in
        the order of the put: readers, writers and duplex handles.  Those in an
        unpickled object are not among them.

        :arg encoder, decoder: as for :func:`pipe`.

        Those that are not taken are closed as descriptors are.  Raises
        :exc:`OSError` (EMFILE) as :meth:`take_fds` does.
        """
        self._validate()
        codecs = find(encoder, 0), find(decoder, 1)
        natives, self._natives = self._natives, []
        return [
            handle_of(self._classes, native, *codecs)
            for native in natives or _native.take_handles(self._h)
        ]

    async def _receive_into(
        self, buffer: Buffer, backend: Backend, deadline: Deadline
    ) -> int:
        with Locked(self._lock, backend.new_event) as event:
            if event is not None:
                await wait_for_lock(self, event, deadline)
            self._validate()
            # Messages that are all there must not keep the others waiting.
            while _native.yields(self._h):
                await backend.yield_()
                self._validate()
            # The view keeps the memory where it is.
            with memoryview(buffer) as view:
                return await self._fill(
                    view, _native.get_into, backend, deadline
                )

    async def _fill(
        self,
        buffer: bytes | memoryview,
        step: Callable[[Any, Any], int | None],
        backend: Backend,
        deadline: Deadline,
    ) -> int:
        """Receives a message straight into a buffer, and returns its size.  An
        error leaves the received bytes for the next get."""
        with Lent(self._h, buffer, READ):
            while True:
                size = step(self._h, buffer)
                if size is not None:
                    return size
                if not await backend.wait_ready(self, READ, deadline):
                    raise _no_message()

    def _close_direction(self, native: Any) -> int:
        # The next put of the peer fails, as on a pipe of one direction.
        shut_down(_native.fd(native, READ), READ)
        return DONE

    def _drop_direction(self, native: Any) -> None:
        self._close_direction(native)


def _no_message() -> BaseException:
    return timed_out("timed out waiting for a message")


def shut_down(fd: int, direction: int) -> None:
    import socket

    how = socket.SHUT_RD if direction == READ else socket.SHUT_WR
    try:
        with socket.socket(fileno=os.dup(fd)) as s:
            s.shutdown(how)
    except OSError:
        pass  # not a socket: the stream ends when the other direction is closed
