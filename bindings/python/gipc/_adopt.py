"""Streams that are open already, as native handles."""

from __future__ import annotations

import fcntl
import os
from typing import Any

from . import _native
from ._values import descriptor, naming

#: The default of write: what read is.
SAME: Any = object()


def adopted(read: Any, write: Any, transport: int) -> _native.Handle:
    """The native handle of these streams.  transport: < 0: the default."""
    streams = read, read if write is SAME else write
    fds = [-1, -1]
    for number, name in enumerate(("read", "write")):
        if streams[number] is not None:
            with naming(name):
                fds[number] = descriptor(streams[number])
    if fds == [-1, -1]:
        raise ValueError("read, write: one of them is needed")
    if write is SAME:
        mode = fcntl.fcntl(fds[0], fcntl.F_GETFL) & os.O_ACCMODE
        if mode == os.O_WRONLY:
            fds[0] = -1
        elif mode == os.O_RDONLY:
            fds[1] = -1
    return _moved(streams, fds, transport)


def _moved(
    streams: tuple[Any, Any], fds: list[int], transport: int
) -> _native.Handle:
    # The handle gets a duplicate: an object closes its own descriptor.
    copies: dict[int, int] = {}
    for stream, fd in zip(streams, fds):
        if fd >= 0 and not isinstance(stream, int) and fd not in copies:
            copies[fd] = os.dup(fd)
    try:
        native = _native.open(*(copies.get(fd, fd) for fd in fds), transport)
    except BaseException:
        for fd in copies.values():
            os.close(fd)
        raise
    for stream in streams:
        if stream is not None and not isinstance(stream, int):
            stream.close()
    return native
