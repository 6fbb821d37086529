"""What a program has, and what it does: all handles and processes, and events."""

from __future__ import annotations

from typing import Any

from . import _native
from ._types import File

_WORDS = ("kind", "name", "state", "transport_in", "transport_out")
_SECONDS = ("age", "idle")
_FLAGS = ("on_loop", "busy")
_NUMBERS = (
    "id",
    "pair",
    "pid",
    "code",
    "signal",
    "read_fd",
    "write_fd",
    "queued",
    "unread",
    "messages_in",
    "messages_out",
    "bytes_in",
    "bytes_out",
)
_COLUMNS = "id kind name pid state age idle transport queued unread in out".split()


def _record(native: _native.Record) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for key in _WORDS:
        record[key] = _native.record_word(native, key)
    for key in _SECONDS + _NUMBERS + _FLAGS:
        value = _native.record_number(native, key)
        number = value if key in _SECONDS else int(value)
        record[key] = (bool(number) if key in _FLAGS else number) if value >= 0 else None
    directions = int(_native.record_number(native, "directions"))
    if directions >= 0:
        record["directions"] = " ".join(
            name
            for name, bit in (("read", _native.READ), ("write", _native.WRITE))
            if directions & bit
        )
    else:
        record["directions"] = None
    return record


def _row(record: dict[str, Any]) -> list[str]:
    fds = [record[key] for key in ("read_fd", "write_fd") if record[key] is not None]
    transports = dict.fromkeys(
        record[key] for key in ("transport_in", "transport_out") if record[key]
    )
    cells = {
        **record,
        "name": record["name"] or " ".join(["fd", *map(str, fds)] if fds else []),
        "transport": " ".join(transports) or None,
        "in": record["messages_in"],
        "out": record["messages_out"],
    }
    return [
        "-"
        if cells[key] is None or cells[key] == ""
        else "%.1f" % cells[key]
        if key in _SECONDS
        # One row is one line, whatever a name has in it.
        else "".join(c if c.isprintable() else "?" for c in str(cells[key]))
        for key in _COLUMNS
    ]


class Overview(list[dict[str, Any]]):
    """The records of :func:`overview`, a list of dicts; ``str()`` and ``print()``
    show them as a table."""

    def __str__(self) -> str:
        rows = [_COLUMNS, *map(_row, self)]
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join(
            "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows
        )


def overview() -> Overview:
    """Returns all handles and processes of this process, also those of other
    threads and those that nothing refers to any more but that are still there.

    Each is a dict with these keys, whose value is ``None`` where it does not
    apply:

    ``kind``: ``'handle'`` or ``'process'``; ``id``: a number that no other one
    has, or had; ``name`` and ``pid`` of a process; ``state``: ``'open'``,
    ``'ended'``, ``'closing'`` or ``'closed'`` of a handle, ``'running'``,
    ``'ended'`` or ``'reaped'`` of a process; ``age``: seconds; ``idle``: seconds
    since a message was put or got, which is known from the first call of this
    function on; ``transport_in`` and ``transport_out``: ``'socket'``,
    ``'network'``, ``'pipe'`` or ``'ring'``; ``queued``: bytes not yet written;
    ``unread``: bytes not yet got, also in the kernel; ``messages_in``,
    ``messages_out``, ``bytes_in``, ``bytes_out``; ``directions``: ``'read'``,
    ``'write'`` or both; ``read_fd``, ``write_fd``; ``pair``: the same at both
    ends of a pipe of this process; ``on_loop``; ``busy``: an operation is in
    progress; ``code`` and ``signal`` of a process that was reaped.

    Raises :exc:`MemoryError`.

    >>> from gipc import pipe
    >>> with pipe() as (reader, writer):
    ...     writer.put("hello")
    ...     [r["messages_out"] for r in overview() if r["directions"] == "write"]
    [1]
    """
    records = _native.records_new()
    result = Overview()
    while (native := _native.records_at(records, len(result))) is not None:
        result.append(_record(native))
    return result


def trace(file: File) -> None:
    """Writes a line of JSON for each event of this process to a file, from now on.

    :arg file: a descriptor, or an object with ``fileno()``: a file, a pipe or a
        stream socket, of which the trace keeps a copy; its buffer is not used.
        ``None`` ends the trace.

    The events are ``start``, ``end``, ``put``, ``get``, ``stall``, ``bell``,
    ``task``, ``restart`` and ``dropped``: gipc_trace(3) describes them.  Never
    waits: lines that cannot be written are dropped, and a later line counts
    them.  A child writes none, unless it calls this, too.

    Raises :exc:`OSError` if the descriptor is not open for writing, or is a
    socket that keeps message boundaries.

    >>> trace(None)
    """
    if file is None:
        fd = -1
    else:
        fd = file if isinstance(file, int) else file.fileno()
        if isinstance(file, bool) or fd < 0:
            raise ValueError("%r is not a descriptor to write a trace to" % (file,))
    _native.trace(fd)
