"""The codec 'pickle5': large buffers go beside the message, in sealed memory."""

from __future__ import annotations

import fcntl
import io
import mmap
import os
import pickle
import re
import struct
from collections.abc import Sequence
from typing import Any

from . import _native
from ._attached import HandlePickler, HandleUnpickler, close_fds
from ._encoded import Encoded, TakesAttached, check_size
from .errors import GIPCProtocolError

#: Smaller buffers are part of the message.
LEAST = 64 * 1024
#: More buffers than this share descriptors.
MOST_FDS = 32

# Behind the pickled object, whose last byte is a full stop: for each buffer the
# number of its descriptor, offset, size and whether it is read-only, the number
# of buffers, and a byte that is not a full stop.
_ENTRY = struct.Struct("<IQQ?")
_COUNT = struct.Struct("<IB")
_END = 5

# ---- Encoding ----------------------------------------------------------------

# The begin of a bytearray in a pickled object, which may also be other bytes.
_bytearrays = re.compile(rb"\x96(.{4}\0{4})", re.DOTALL)


class _Pickler(HandlePickler):
    """Takes also bytearrays, which pickle copies, and memoryviews, which it
    does not have."""

    def __init__(self, file: Any, buffers: list[memoryview] | None):
        """buffers: None: they are part of the message."""
        self._is_inline = buffers is None
        keep = None if buffers is None else _keeper_of(buffers)
        super().__init__(file, 5, buffer_callback=keep)

    def persistent_id(self, o: Any) -> Any:
        if type(o) is bytearray and len(o) >= LEAST and not self._is_inline:
            return "buffer", pickle.PickleBuffer(o)
        return super().persistent_id(o)

    def reducer_override(self, o: Any) -> Any:
        if type(o) is not memoryview:
            return super().reducer_override(o)
        if not o.c_contiguous:
            o = memoryview(o.tobytes()).cast("B").cast(o.format, o.shape)
        return _view, (pickle.PickleBuffer(o), o.format, o.shape)


def _view(buffer: Any, kind: str, shape: tuple[int, ...]) -> memoryview:
    view = memoryview(buffer).cast("B")
    if 0 in shape:
        return view
    return view.cast(kind, shape)  # type: ignore[call-overload, no-any-return]


def _keeper_of(buffers: list[memoryview]) -> Any:
    def keep(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes >= LEAST:
            buffers.append(view)
        return view.nbytes < LEAST

    return keep


def _has_large_bytearray(data: bytes) -> bool:
    return len(data) >= LEAST and any(
        LEAST <= int.from_bytes(match[1], "little") < len(data)
        for match in _bytearrays.finditer(data)
    )


def encode(o: object) -> bytes | Encoded:
    buffers: list[memoryview] = []
    try:
        data = pickle.dumps(o, 5, buffer_callback=_keeper_of(buffers))
    except TypeError:  # a handle, or a memoryview
        return _encode_all(o)
    if _has_large_bytearray(data):
        return _encode_all(o)
    if not buffers:
        return data
    return Encoded(data, [], buffers, lambda: pickle.dumps(o, 5))


def _encode_all(o: object) -> bytes | Encoded:
    file, buffers = io.BytesIO(), []
    pickler = _Pickler(file, buffers)
    pickler.dump(o)
    if not (buffers or pickler.handles):
        return file.getvalue()

    def inline() -> bytes:
        file = io.BytesIO()
        _Pickler(file, None).dump(o)
        return file.getvalue()

    return Encoded(file.getvalue(), pickler.handles, buffers, inline)


# ---- Memory ------------------------------------------------------------------


def _page_end(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def into_memory(buffers: Sequence[memoryview]) -> tuple[list[int], bytes]:
    """Copies the buffers to memory with descriptors; returns these and what is
    appended to the message."""
    fds: list[int] = []
    entries: list[bytes] = []
    each = -(-len(buffers) // MOST_FDS)
    try:
        for first in range(0, len(buffers), each):
            fd = os.memfd_create("gipc", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            fds.append(fd)
            offset = 0
            for view in buffers[first : first + each]:
                _write(fd, view, offset)
                entry = len(fds) - 1, offset, view.nbytes, view.readonly
                entries.append(_ENTRY.pack(*entry))
                offset = _page_end(offset + view.nbytes)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        close_fds(fds)
        raise
    return fds, b"".join(entries) + _COUNT.pack(len(entries), _END)


def _write(fd: int, view: memoryview, offset: int) -> None:
    view = view.cast("B")
    while view:
        size = os.pwrite(fd, view, offset)
        view, offset = view[size:], offset + size


_SEALS = 0
if hasattr(os, "memfd_create"):
    _SEALS = (
        fcntl.F_SEAL_SEAL
        | fcntl.F_SEAL_SHRINK
        | fcntl.F_SEAL_GROW
        | fcntl.F_SEAL_WRITE
    )

# ---- Decoding ----------------------------------------------------------------


class Decoder(TakesAttached):
    """Of one reader.  Keeps the descriptors that the program of the peer has
    put with the message."""

    def __init__(self) -> None:
        self.fds: list[int] = []

    def __reduce__(self) -> Any:
        return Decoder, ()

    def __del__(self) -> None:
        close_fds(self.fds)

    def __call__(self, data: bytes) -> Any:
        if not data.endswith(b"."):
            return self.decode((data, [], []), None)
        close_fds(self.fds)
        return pickle.loads(data)

    def decode(
        self,
        message: tuple[bytes, list[_native.Handle], list[int]],
        limit: int | None,
    ) -> Any:
        """Decodes a message with handles and descriptors.  limit: of its size
        with all buffers."""
        data, natives, fds = message
        close_fds(self.fds)
        self.fds = fds
        buffers = _buffers(data, fds, limit)
        return _Unpickler(data, natives, buffers=buffers).load()


class _Unpickler(HandleUnpickler):
    def persistent_load(self, identity: Any) -> Any:
        if identity[0] == "buffer":
            return memoryview(identity[1])
        return super().persistent_load(identity)


def _buffers(
    data: bytes, fds: list[int], limit: int | None
) -> list[memoryview]:
    """Maps the buffers of a message, and closes their descriptors, which are
    the first ones."""
    entries = _entries(data)
    size = len(data) + sum(entry[2] for entry in entries)
    check_size(size, limit)
    count = max((entry[0] + 1 for entry in entries), default=0)
    if count > len(fds):
        raise GIPCProtocolError("descriptors of the message are missing")
    try:
        return [
            memoryview(_native.Mapped(fds[number], *what))
            for number, *what in entries
        ]
    except ValueError as error:
        raise GIPCProtocolError("a descriptor is %s" % error) from None
    finally:
        own = fds[:count]
        del fds[:count]
        close_fds(own)


def _entries(data: bytes) -> list[tuple[int, int, int, bool]]:
    if data.endswith(b"."):
        return []
    end = len(data) - _COUNT.size
    if end >= 0:
        count, kind = _COUNT.unpack_from(data, end)
        begin = end - count * _ENTRY.size
        if kind == _END and begin >= 0:
            return list(_ENTRY.iter_unpack(data[begin:end]))
    raise GIPCProtocolError("the message is not of the codec 'pickle5'")

