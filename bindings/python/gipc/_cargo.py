"""Putting messages with what goes beside them: handles, buffers, descriptors."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

from . import _native
from ._attached import close_fds
from ._encoded import Encoded, check_size
from ._handle import _GIPCHandle
from ._native import DONE
from ._pair import AnyDuplex
from ._passing import check_passable, handles_among, natives_of, passing
from ._types import Descriptor


class _Waits(Exception):
    """The outcome of a put that is not done."""


class Cargo:
    """A message, and what goes with it.  A block, at the end of which the
    descriptors of its buffers are closed."""

    def __init__(self, writer: Any, message: Any, given: Iterable[Descriptor]):
        """given: descriptors, and handles."""
        self.is_sent = False
        self._writer = writer
        self._own: list[int] = []  # of the buffers
        self._fds: list[Descriptor] = []
        handles: list[_GIPCHandle] = []
        for one in given:
            if isinstance(one, (_GIPCHandle, AnyDuplex)):
                handles += handles_among(one)
            else:
                self._fds.append(one)
        if not isinstance(message, Encoded):
            message = Encoded(message, [])
        check_size(message.size, writer._limit)
        self._message, self._data = message, message.data
        # The first ones are those that the message refers to by number.
        self._handles = _with_others(message.handles + handles)
        self._natives = natives_of(self._handles)

    def __enter__(self) -> Cargo:
        if self._message.buffers:
            self._load()
        return self

    def __exit__(self, *_: object) -> None:
        close_fds(self._own)

    def _load(self) -> None:
        """Copies the buffers to memory with descriptors, if that is possible."""
        from ._pickle5 import into_memory

        writer = self._writer
        if writer._inline_puts > 0:
            writer._inline_puts -= 1
            self._data = self._message.inlined()
            return
        try:
            self._own, table = into_memory(self._message.buffers)
            self._data = self._message.data + table
        except (OSError, AttributeError):  # of a system without such memory
            self._data = self._message.inlined()

    def put(self, native: _native.Handle) -> int:
        """The outcome of a step: DONE, and then the handles are closed."""
        if not self._handles:
            outcome = self._put(native)
        else:
            try:
                check_passable(self._handles)
                with passing(self._handles):
                    outcome = self._put(native)
                    if outcome != DONE:
                        raise _Waits(outcome)
            except _Waits as waits:
                outcome = waits.args[0]
        self.is_sent = outcome == DONE
        return outcome

    def _put(self, native: _native.Handle) -> int:
        try:
            fds = [*self._own, *self._fds]
            return _native.put_with(native, self._data, self._natives, fds)
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", 0)
            if self._natives and number == errno.EBUSY:
                raise OSError(errno.EBUSY, _BUSY) from None
            if not self._own or number not in _WITHOUT_BUFFERS:
                raise
        if number == errno.EOPNOTSUPP:
            self._writer._inline_puts = 100
        close_fds(self._own)
        self._data = self._message.inlined()
        return self._put(native)


# Errors of a put after which the buffers can be part of the message; 0: there
# are too many descriptors.
_WITHOUT_BUFFERS = (0, errno.EOPNOTSUPP, errno.EMFILE, errno.ETOOMANYREFS)
_BUSY = (
    "a handle has received or queued bytes, which a message cannot bring: get "
    "its messages, or flush it"
)


def _with_others(handles: list[_GIPCHandle]) -> list[_GIPCHandle]:
    """Each once, and with the other direction of the same stream."""
    others = [handle._other for handle in handles]
    both = [*handles, *(o for o in others if o is not None and not o._closed)]
    return list(dict.fromkeys(both))
