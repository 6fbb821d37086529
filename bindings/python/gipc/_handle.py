"""What readers and writers have in common, and which handles are open in this
process."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    ClassVar,
    NamedTuple,
    NoReturn,
    Union,
)

from . import _native
from ._backend import Backend, BackgroundFlush, Closable, run
from ._blocking import current_backend
from ._deadline import deadline_of
from ._encoded import HandleFound
from ._native import DONE, READ, WAIT, WRITE, FairLock, Locked
from ._native import close_unused as _close_unused
from ._settings import Settings
from ._types import Codec, Deadline
from .errors import GIPCClosed, GIPCError, GIPCLocked, GIPCTimeout, timed_out

if TYPE_CHECKING:
    from typing_extensions import Self

# The ID of this process; a system call for each use would cost more than the
# rest of a call on a handle.
_pid = os.getpid()


def _note_pid() -> None:
    global _pid
    _pid = os.getpid()


os.register_at_fork(after_in_child=_note_pid)

# Seconds in which the peer reads nothing, after which close() gives up, and the
# end of a block.
STALL = 60
GRACE = 1

# Weak references to the open handles of this process.
_open: set[Any] = set()
_open_in_parent: object = None
# The processes before this one, whose handles are closed here except those that
# were passed.  To visit each of ten thousand would take longer than a fork.
_ancestors: set[int] = set()


class HandleClasses(NamedTuple):
    """The handle classes of one API: blocking (gipc) or asynchronous
    (gipc.aio)."""

    reader: Any
    writer: Any
    duplex: Any
    pair: Any


class _GIPCHandle(Settings):
    """What readers and writers have in common.

    A handle belongs to one process.  There any number of greenlets and threads
    may use it; a lock lets one at a time get, and one put.
    """

    # Set where the classes are complete.
    _classes: ClassVar[HandleClasses]
    _direction = 0
    # The native handle; None once the handle is closed.
    _h: Any
    # The native handle while it is closed in the background, after the
    # remaining bytes of a put are written.
    _closing: Any = None
    _is_closed = False
    _lock: FairLock
    _watcher: tuple[Any, Closable] | None = None
    _background_flush: BackgroundFlush | None = None
    _other_ref: Callable[[], _GIPCHandle | None] | None = None
    _label: str | None = None
    # In the list of open handles.
    _ref: weakref.ReferenceType[Any] | None = None

    def __init__(self, native: _native.Handle, codec: Codec):
        self._h = native
        self._codec = codec
        self._take_ownership()

    @property
    def _other(self) -> _GIPCHandle | None:
        """The handle of the other direction, if both share one native handle.
        The reference is weak: a duplex handle is closed as soon as it is not
        referred to."""
        other = self._other_ref
        return None if other is None else other()

    @_other.setter
    def _other(self, other: _GIPCHandle) -> None:
        self._other_ref = weakref.ref(other)

    def _take_ownership(self) -> None:
        """Makes this process the owner of the handle."""
        self._owner_pid = _pid
        self._lock = FairLock()
        self._ref = ref = weakref.ref(self, _open.discard)
        _open.add(ref)

    def _disown(self) -> None:
        """The handle is closed, or passed to another process.  Can be called
        again if an exception interrupted it."""
        self._closing = None
        self._stop_watcher()
        self._stop_background_flush()
        self._forget()

    def _forget(self) -> None:
        _open.discard(self._ref)
        # Without a reference, Python need not call it for the handle.
        self._ref = None
        self._is_closed = True
        self._h = None

    def _stop_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher[1].close()
            self._watcher = None

    def _stop_background_flush(self) -> None:
        if self._background_flush is not None:
            self._background_flush.close()
            self._background_flush = None

    @property
    def _closed(self) -> bool:
        return self._is_closed or self._owner_pid in _ancestors

    def _validate(self) -> None:
        if self._is_closed or self._owner_pid != _pid:
            self._refuse()

    def _refuse(self) -> NoReturn:
        if self._is_closed:
            raise GIPCClosed("%r has been closed before." % self)
        if self._closed:
            raise GIPCClosed(
                "%r was not passed to this process, where it is closed: pass "
                "it in the arguments of start_process." % self
            )
        raise GIPCError(
            "%r is not registered for current process %d: it belongs to "
            "process %d." % (self, _pid, self._owner_pid)
        )

    def __reduce__(self) -> NoReturn:
        raise HandleFound(
            "%r cannot be pickled: pass it directly in args or kwargs of "
            "start_process(), or inside a list, tuple, set or dictionary "
            "there, or put it with put()." % self
        )

    def fd(self, direction: int) -> int:
        return _native.fd(self._h, direction)

    def fileno(self) -> int:
        """The descriptor, to wait on with select and the like.

        If the descriptor is readable, a ``get`` may receive more.  A message can
        be there although the descriptor is not readable, since a get reads
        ahead.
        """
        self._validate()
        return self.fd(self._direction)

    @property
    def _fd(self) -> int | None:
        return None if self._closed else self.fd(self._direction)

    @property
    def _id(self) -> str:
        if self._label is None:
            self._label = os.urandom(3).hex()
        return self._label

    def close(self) -> None:
        """Closes the handle.  The peer gets all that was put, then the end of
        the stream.  On a loop, queued bytes are written in the background."""
        self._close_unused(close_limit(None))

    def abort(self) -> None:
        """Closes the handle at once.  Queued bytes that cannot be written
        without waiting are dropped, also those of a :meth:`close` that
        continues in the background.

        Raises what :meth:`close` does, except :exc:`GIPCTimeout`.

        >>> reader, writer = pipe()
        >>> writer.abort()
        """
        if self._closing is not None:
            self._stop_background_flush()
            self._discard(self._closing)
            self._on_background_flush_done()
            return
        self._validate()
        with Locked(self._lock, None) as refused:
            if refused is not None:
                raise self._in_use()
            self._stop_watcher()
            self._stop_background_flush()
            self._discard(self._h)
            self._disown()

    def _in_use(self) -> GIPCLocked:
        return GIPCLocked("%r is in use, it cannot be closed." % self)

    def _close_unused(self, limit: CloseLimit) -> None:
        self._validate()
        if not self._close_at_once():
            self._close_locked(limit)

    def _close_at_once(self) -> bool:
        """Closes a handle that no call uses and no loop watches, as most are.
        False: it is open still."""
        if self._other_ref or self._watcher or self._background_flush:
            return False
        try:
            if _close_unused(self._h, self._lock) == WAIT:
                return False
        except (BrokenPipeError, GIPCClosed):
            pass  # as for _close_step()
        self._forget()
        return True

    def _close_locked(self, limit: CloseLimit) -> None:
        with Locked(self._lock, None) as refused:
            if refused is not None:
                raise self._in_use()
            self._close(limit)

    def _close(self, limit: CloseLimit) -> None:
        other = self._other
        if other is not None and other._closing is not None:
            self._is_closed = True  # with the other direction
            self._h = None
            return
        self._stop_watcher()
        self._stop_background_flush()
        if self._close_step(self._h) == WAIT:
            backend = self._current_backend()
            if backend.cooperative and limit.allows_background:
                backend.flush_in_background(self)
                # For all other calls the handle is closed.
                self._closing = self._h
                self._is_closed = True
                self._h = None
                return
            run(self._write_before_close, backend, limit)
        self._disown()

    async def _write_before_close(
        self, backend: Backend, limit: CloseLimit
    ) -> None:
        while await backend.wait_ready(self, WRITE, limit.deadline()):
            if self._close_step(self._h) == DONE:
                return
        self._discard(self._h)
        self._disown()
        raise timed_out(
            "the handle was closed before all bytes were written", False
        )

    def _close_step(self, native: Any) -> int:
        """Closes one direction, or the handle.  WAIT: bytes of a cancelled put
        must be written first."""
        try:
            other = self._other
            if other is not None and not other._closed:
                return self._close_direction(native)
            return _native.close(native)
        except (BrokenPipeError, GIPCClosed):
            # The peer is gone; or an exception interrupted the call before.
            return DONE

    def _discard(self, native: Any) -> None:
        try:
            if self._other is not None and not self._other._closed:
                self._drop_direction(native)
            else:
                _native.discard(native)
        except (GIPCError, OSError):
            pass  # the handle was closed before, or queued bytes were dropped

    def _close_direction(self, native: Any) -> int:
        raise NotImplementedError

    def _drop_direction(self, native: Any) -> None:
        raise NotImplementedError

    def _leave_block(self, failed: bool) -> None:
        """As close(), at the end of a block."""
        try:
            self._close_unused(_StallLimit(0 if failed else GRACE))
        except GIPCTimeout:
            pass

    def _current_backend(self) -> Backend:
        return current_backend()

    def _flush_quietly(self) -> bool:
        """Writes what can be written without waiting; returns whether nothing
        remains to be done."""
        try:
            return _native.flush_step(self._closing or self._h) == DONE
        except (GIPCError, OSError):
            return True  # the next put raises it

    def _on_background_flush_done(self) -> None:
        """Called when the remaining bytes of a cancelled put have been written,
        or can no longer be."""
        self._background_flush = None
        if self._closing is None:
            return
        try:
            self._close_step(self._closing)
        except (GIPCError, OSError):
            pass  # closed all the same
        if self._other is not None and self._other._closed:
            self._other._disown()
        self._disown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._leave_block(any(exception))
        except GIPCClosed:
            pass
        except GIPCLocked:
            raise GIPCLocked(
                "%r is in use outside of the block that closes it." % self
            ) from None

    def __repr__(self) -> str:
        fd: object
        try:
            fd = self._fd
        except GIPCError:  # in a fork, where it belongs to the parent
            fd = "of another process"
        return "<%s_%s fd: %s>" % (type(self).__name__, self._id, fd)


def handle_of(
    classes: HandleClasses,
    native: _native.Handle,
    encoder: Codec,
    decoder: Codec,
) -> Any:
    """The handle of a native one, by the directions that it is open for."""
    directions = _native.directions(native)
    if directions == READ:
        return classes.reader(native, decoder)
    if directions == WRITE:
        return classes.writer(native, encoder)
    return classes.duplex(native, encoder, decoder)


class BlockingHandle(_GIPCHandle):
    """What the readers and writers have in common whose calls block."""

    def close(self, timeout: float | None = None) -> None:
        """Closes the handle.  The peer gets all that was put, then the end of
        the stream.

        Queued bytes, which remain of a put that timed out or was interrupted,
        are written first.

        :arg timeout: seconds to wait until these are written; then they are
            dropped, and the stream of the peer ends inside a message.  A
            negative number waits indefinitely.  ``None``: under gevent, the
            bytes are written in the background; elsewhere the call waits, as
            long as the peer reads something within each 60 seconds.

        The end of a ``with`` block waits only as long as the peer reads
        something within each second, and does not wait if an exception leaves
        the block.  It drops the bytes without an error.

        Raises:
            - :exc:`GIPCClosed` if the handle was closed before
            - :exc:`GIPCLocked` while another greenlet or thread is using it
            - :exc:`GIPCTimeout` if bytes were dropped; the handle is closed
              then
            - :exc:`GIPCError` in a process that does not own the handle

        >>> reader, writer = pipe()
        >>> writer.close(timeout=5.0)
        """
        self._close_unused(close_limit(timeout))


class _TotalLimit:
    """A close waits until a deadline."""

    allows_background = False

    def __init__(self, deadline: Deadline):
        self._deadline = deadline

    def deadline(self) -> Deadline:
        return self._deadline


class _StallLimit:
    """A close waits as long as the peer reads something within each so many
    seconds.  On a loop, the close continues in the background instead."""

    allows_background = True

    def __init__(self, seconds: float):
        self._seconds = seconds

    def deadline(self) -> Deadline:
        return deadline_of(self._seconds)


CloseLimit = Union[_TotalLimit, _StallLimit]


def close_limit(timeout: float | None) -> CloseLimit:
    """How long close() waits until queued bytes are written."""
    if timeout is None:
        return _StallLimit(STALL)
    return _TotalLimit(deadline_of(timeout))


def get_all_handles() -> list[_GIPCHandle]:
    """The open handles of this process, as a list.

    A duplex handle is in it as its reader and its writer.
    """
    return [handle for handle in all_handles() if not handle._closed]


def all_handles() -> list[_GIPCHandle]:
    """Those too that are being closed in the background."""
    handles: Iterable[_GIPCHandle | None] = (ref() for ref in list(_open))
    return [handle for handle in handles if handle is not None]


def close_all() -> None:
    """At the end of the process: closes the handles that are not in use, so
    that the children that it joins get the end of their streams."""
    limit = _StallLimit(GRACE)
    for handle in sorted(get_all_handles(), key=_queued):
        try:
            handle._close_unused(limit)
        except GIPCTimeout:
            limit = _StallLimit(0)  # all of them together wait once
        except (GIPCError, OSError, RuntimeError):
            pass  # it is in use, or on a loop that is closed


def _queued(handle: _GIPCHandle) -> int:
    try:
        return _native.pending(handle._h, WRITE)
    except (GIPCError, OSError):
        return 0


def take_ownership(parent: int, passed: Iterable[_GIPCHandle]) -> None:
    """In a child: makes it the owner of the passed handles.  The others belong
    to the parent: they are not touched, not even to stop a watcher."""
    # Not cleared: that would touch the memory of each.
    global _open, _open_in_parent
    _open_in_parent, _open = _open, set()
    _ancestors.add(parent)
    _ancestors.discard(_pid)
    for handle in passed:
        for side in (handle, handle._other):
            if side is not None and side._h is not None:
                side._is_closed = False
                side._watcher = side._background_flush = None
                side._take_ownership()
