"""What communicate() writes and reads."""

from __future__ import annotations

import io
import os
from typing import Any

from ._backend import Backend
from ._native import READ, WRITE
from ._types import Deadline
from .errors import timed_out


class Talk:
    """The exchange with the standard streams of a child."""

    def __init__(
        self,
        stdin: Any,
        outputs: list[Any],
        text: dict[str, Any] | None,
        input: Any,
    ):
        """text: the arguments of the text files, None for bytes."""
        self._text = text
        if isinstance(input, str):
            if text is None:
                raise TypeError("input must be bytes, not text")
            input = _encoded(input, text)
        self._left = memoryview(input or b"").cast("B")
        if input is not None and stdin is None:
            raise ValueError("there is no stdin to write input to")
        self._stdin = stdin
        self._outputs = outputs
        self._read = [None if f is None else bytearray() for f in outputs]
        for file in (stdin, *outputs):
            if file is not None and not file.closed:
                os.set_blocking(file.fileno(), False)
        if not self._left:
            self._close_stdin()

    async def run(self, backend: Backend, deadline: Deadline) -> None:
        """Until the child has closed its streams.  Can be called again after a
        timeout."""
        while fds := self._fds():
            if not await backend.wait_any(fds, deadline):
                raise timed_out(
                    "timed out before the process closed its streams"
                )
            self._step()

    def result(self) -> tuple[Any, Any]:
        text = self._text
        stdout, stderr = (
            None
            if data is None
            else bytes(data) if text is None else _decoded(data, text)
            for data in self._read
        )
        return stdout, stderr

    def _fds(self) -> list[tuple[int, int]]:
        """Descriptors and directions, until there are none."""
        fds = [(f.fileno(), READ) for f in self._outputs if _is_open(f)]
        if _is_open(self._stdin):
            fds.append((self._stdin.fileno(), WRITE))
        return fds

    def _step(self) -> None:
        if _is_open(self._stdin):
            self._write()
        for file, data in zip(self._outputs, self._read):
            if _is_open(file):
                self._read_from(file, data)

    def _write(self) -> None:
        try:
            done = os.write(self._stdin.fileno(), self._left[:65536])
            self._left = self._left[done:]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if _is_open(self._stdin):
            try:
                self._stdin.close()
            except BrokenPipeError:
                pass

    def _read_from(self, file: Any, data: Any) -> None:
        try:
            some = os.read(file.fileno(), 65536)
        except BlockingIOError:
            return
        data += some
        if not some:
            file.close()


def _is_open(file: Any) -> bool:
    return file is not None and not file.closed


def _encoded(text: str, how: dict[str, Any]) -> bytes:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, newline="", **how) as file:
        file.write(text)
        file.flush()
        return raw.getvalue()


def _decoded(data: bytes | bytearray, how: dict[str, Any]) -> str:
    with io.TextIOWrapper(io.BytesIO(data), **how) as file:
        return file.read()
