"""Handles of descriptors and files that are open already."""

import fcntl
import os

from . import _native
from ._options import descriptor, naming

_SAME = object()


def open(read, write=_SAME, encoder="default", decoder="default"):
    """Makes a handle of open streams: sockets, pipes, terminals; of the
    standard streams of a launcher, such as ssh, behind which a child uses
    :func:`stdio`.

    :arg read: what to get from: a descriptor, or an object with ``fileno`` and
        ``close``; ``None``: nothing.
    :arg write: the same, to put into.  The default is read, in the directions
        that it is open for.
    :arg encoder, decoder: as for :func:`pipe`.

    :returns: a reader, a writer, or a duplex handle.  It owns the descriptors
        from then on: objects are closed, and numbers must not be used any more.

    Raises, and then the streams are as before:
        - :exc:`TypeError`, :exc:`ValueError`: of an argument, which they name
        - :exc:`OSError`: EBADF when a descriptor is not open; EINVAL when it is
          not a stream, or not open for its direction

    >>> import subprocess
    >>> PIPE = subprocess.PIPE
    >>> launcher = exec_process(["cat"], stdin=PIPE, stdout=PIPE)
    >>> with open(launcher.stdout, launcher.stdin) as handle:
    ...     handle.put("there and back")
    ...     handle.get(timeout=20)
    'there and back'
    >>> launcher.wait()
    0
    """
    from ._pipe import family

    return family.open(read, write, encoder, decoder)


def adopted(read, write):
    """The native handle of these streams."""
    streams = read, read if write is _SAME else write
    fds = [-1, -1]
    for number, name in enumerate(("read", "write")):
        if streams[number] is not None:
            with naming(name):
                fds[number] = descriptor(streams[number])
    if fds == [-1, -1]:
        raise ValueError("read, write: one of them is needed")
    if write is _SAME:
        mode = fcntl.fcntl(fds[0], fcntl.F_GETFL) & os.O_ACCMODE
        if mode == os.O_WRONLY:
            fds[0] = -1
        elif mode == os.O_RDONLY:
            fds[1] = -1
    return _moved(streams, fds)


def _moved(streams, fds):
    # An object that is closed closes its own number, so that the handle has
    # another one.
    copies = {}
    for stream, fd in zip(streams, fds):
        if fd >= 0 and not isinstance(stream, int) and fd not in copies:
            copies[fd] = os.dup(fd)
    try:
        native = _native.open(*(copies.get(fd, fd) for fd in fds))
    except BaseException:
        for fd in copies.values():
            os.close(fd)
        raise
    for stream in streams:
        if stream is not None and not isinstance(stream, int):
            stream.close()
    return native
