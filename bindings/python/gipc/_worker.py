"""Workers: what a pool calls in its child processes, and how an exception gets
from there to the caller."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Iterable
from typing import Any, Callable

from . import _native, _signs
from ._program import inherit, stdio
from ._types import Codec, Decoder, Encoder
from .errors import GIPCError, RemoteError, RemoteTraceback


def serve(
    work: Callable[[Any], object],
    prepare: Callable[[], object] | None = None,
    *,
    name: str = "worker",
    encoder: Encoder = "default",
    decoder: Decoder = "default",
) -> None:
    """The main function of a worker program: carries out the tasks of the pool
    that has started this program (``Pool(argv=...)``), until the pool closes.
    If no handle was passed, the program is behind a launcher, and uses
    :func:`stdio`.

    :arg work: called with each task; what it returns is the result.
    :arg prepare: called once, before the first task.
    :arg name: the name under which the pool passed the handle.
    :arg encoder, decoder: of results and tasks, as those of the pool.

    >>> import sys
    >>> program = "import gipc; gipc.serve(len, encoder='json', decoder='json')"
    >>> argv = [sys.executable, "-c", program]
    >>> with Pool(argv=argv, workers=1, encoder="json", decoder="json") as pool:
    ...     pool.call([1, 2, 3])
    3
    """
    from ._codec import find, find_plain

    try:
        handle = inherit(name, encoder=None, decoder=None)
    except FileNotFoundError:
        handle = stdio(encoder=None, decoder=None)
    run(handle, work, prepare, find_plain(encoder, 0), find(decoder, 1))


def run(
    handle: Any,
    work: Callable[[Any], object] | None,
    prepare: Callable[[], object] | None,
    encode: Codec,
    decode: Codec,
    dump_signal: int = 0,
) -> None:
    """Carries out tasks until the end of the stream.  work: None: a task is a
    call."""
    dump_on(dump_signal)
    if prepare is not None:
        prepare()
    get, put, native = handle.get, handle.put, handle._reader._h
    put(_native.worker_ready())
    _signs.worker = handle, os.getpid()
    while True:
        try:
            message = get()
        except EOFError:
            break
        task, _, data = _native.worker_task(message)
        try:
            answer = _native.worker_done(task, _done(work, data, encode, decode))
        except Exception as error:
            answer = _failed(task, error)
        # The next task may be long in coming.
        _native.close_fds(native)
        # The next get may last: what a task had is not kept for that long.
        del message, data
        try:
            put(answer)
        except BrokenPipeError:
            break  # the pool has ended
        del answer
    _signs.worker = None
    handle.close()


def take_fds() -> list[int]:
    """In a task of a pool: the descriptors that came with it, see
    :meth:`Pool.call`.  The task closes them.  They are in the order of the call,
    and not inheritable.  Those that a task does not take are closed after it.

    Raises:
        - :exc:`OSError` (EMFILE) if they were lost, because this process had no
          descriptors left when they came
        - :exc:`GIPCError` in a process that is not a worker

    >>> def greet(name):
    ...     for fd in take_fds():
    ...         with open(fd, "w") as file:
    ...             file.write("hello " + name)
    """
    if _signs.worker is None or _signs.worker[1] != os.getpid():
        raise GIPCError("this process is not a worker of a pool")
    fds: list[int] = _signs.worker[0].take_fds()
    return fds


def dump_on(signal: int) -> None:
    """Has this process print the stacks of its threads on a signal.  0: none."""
    if signal:
        import faulthandler

        faulthandler.register(signal, file=2, all_threads=True, chain=False)


def call_each(
    function: Callable[..., object], calls: Iterable[tuple[Any, ...]]
) -> list[Any]:
    """A chunk of a map()."""
    return [function(*arguments) for arguments in calls]


def _done(
    work: Callable[[Any], object] | None,
    data: bytes,
    encode: Codec,
    decode: Codec,
) -> bytes:
    if work is None:
        function, arguments, named = pickle.loads(data)
        result = function(*arguments, **named)
    else:
        result = work(data if decode is None else decode(data))
    return result if encode is None else encode(result)  # type: ignore[no-any-return]


# ---- Exceptions ----------------------------------------------------------------


def _failed(task: int, error: Exception) -> bytes:
    kind = type(error)
    return _native.worker_failed(
        task,
        "%s.%s" % (kind.__module__, kind.__qualname__),
        _text(error),
        _trace(error),
        _encoded(error),
    )


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _text(error: Exception) -> str:
    try:
        return _utf8(str(error))
    except Exception:
        return "(its text cannot be made)"


def _trace(error: Exception) -> str:
    try:
        return _utf8("".join(traceback.format_exception(
            type(error), error, error.__traceback__
        )))
    except Exception:
        return ""


def _encoded(error: Exception) -> bytes:
    """The exception, pickled; what of it can be, if not all; or b""."""
    for make in (_whole, _parts):
        try:
            data = make(error)
            pickle.loads(data)  # that of many classes fails only here
            return data
        except Exception:
            pass
    return b""


def _whole(error: Exception) -> bytes:
    return pickle.dumps(error, pickle.HIGHEST_PROTOCOL)


def _parts(error: Exception) -> bytes:
    arguments = [_or_text(argument) for argument in error.args]
    state = {key: _or_text(value) for key, value in vars(error).items()}
    return pickle.dumps((rebuilt, type(error), arguments, state))


def _or_text(value: object) -> object:
    try:
        pickle.loads(pickle.dumps(value))
        return value
    except Exception:
        return repr(value)


def rebuilt(
    kind: type[Exception], arguments: list[Any], state: dict[str, Any]
) -> Exception:
    """An exception whose class cannot make it of its arguments."""
    error = kind.__new__(kind)
    error.args = tuple(arguments)
    vars(error).update(state)
    return error


def exception_of(
    answer: tuple[str, str, str, bytes] | int, is_pickled: bool
) -> Exception:
    """The exception of a failed task.  What a worker sends is only unpickled if
    its results are.  A number: its descriptors could not be sent."""
    if isinstance(answer, int):
        return OSError(
            answer, "the worker cannot be sent descriptors: " + os.strerror(answer)
        )
    kind, text, trace, data = answer
    error = _decoded(data) if data and is_pickled else None
    if error is None:
        error = RemoteError("%s: %s" % (kind, text))
        error.type, error.text, error.trace = kind, text, trace
    if trace:
        error.__cause__ = RemoteTraceback(trace)
    return error


def _decoded(data: bytes) -> Exception | None:
    try:
        found = pickle.loads(data)
        if isinstance(found, tuple):
            make, *arguments = found
            found = make(*arguments)
    except Exception:
        return None
    return found if isinstance(found, Exception) else None
