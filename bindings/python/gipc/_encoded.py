"""Encoded messages that bring more than their bytes, and their decoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from .errors import GIPCTooBig


class Encoded:
    """An encoded message that brings more than its bytes."""

    def __init__(
        self,
        data: bytes,
        handles: list[Any],
        buffers: Sequence[memoryview] = (),
        inline: Callable[[], bytes] | None = None,
    ):
        """inline: encodes the message with the buffers in it."""
        self.data, self.handles, self.buffers = data, handles, buffers
        self._inline = inline

    def inlined(self) -> bytes:
        return self.data if self._inline is None else self._inline()

    def as_bytes(self) -> bytes:
        """Raises if it has handles."""
        if self.handles:
            raise TypeError(
                "%r cannot be pickled here: pass it in args or kwargs of "
                "start_process(), or put it with put()" % self.handles[0]
            )
        return self.inlined()

    @property
    def size(self) -> int:
        return len(self.data) + sum(buffer.nbytes for buffer in self.buffers)


def check_size(size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        raise GIPCTooBig(
            "message of %d bytes exceeds the limit of %d (set_limit)"
            % (size, limit)
        )


class TakesAttached:
    """A decoder that takes the handles and descriptors of each message; each
    reader makes its own one of the class."""

    #: Descriptors of the last message, which are the program's.
    fds: list[int]

    def __call__(self, data: bytes) -> Any:
        """Decodes a message that came with none."""
        raise NotImplementedError

    def decode(
        self, message: tuple[bytes, list[Any], list[int]], limit: int | None
    ) -> Any:
        """Decodes a message that came with some, within a limit of the size."""
        raise NotImplementedError


class HandleFound(TypeError):
    """A handle is in an object that is pickled."""


#: How functions of codecs are pickled that have no name in a module.
reductions: dict[object, tuple[Any, tuple[object, ...]]] = {}
