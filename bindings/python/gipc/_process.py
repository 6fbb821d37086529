"""Child processes that run a Python function."""

from __future__ import annotations

import errno
import multiprocessing
import multiprocessing.process
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable, Literal

from . import _exit, _native
from ._any_process import AnyProcess, open_pipes
from ._forked import Forked
from ._options import STREAMS, Start, takes_options
from ._popen import Popen, exit_code
from ._template import Template, template_of_program

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._types import FunctionOptions


class _GProcess(AnyProcess, multiprocessing.Process):
    """A child process, with the API of :class:`multiprocessing.Process`, and
    more of the features of the C library.

    :func:`start_process` returns it started.  Under gevent, ``join`` and the
    other methods that wait block the greenlet, not the thread.
    ``exitcode`` raises :exc:`GIPCStatusLost` if another reaper collected the
    status and the kernel (before Linux 6.15) did not keep it.
    """

    _popen: Popen | None
    _method: str | Template = "fork"
    _start: Start | None = None
    # The names of the streams that were given as options.
    _streams: Iterable[str] = ()
    # In the child: how its target ended.
    _ended = _native.ENDED_EXCEPTION

    def _Popen(self, process: Any) -> Popen:  # type: ignore[override]
        # A child must not have the options, and they cannot be pickled.
        start, self._start = self._start, None
        # The program may have made and started the object itself.
        start = start or _start_of(self, {})
        method, self._method = self._method, "fork"
        return _popen_class(method)(process, start)

    def _get_popen(self) -> Popen:
        self._check_closed()  # type: ignore[attr-defined]
        if self._popen is None:
            raise ValueError("%r is not a child of this process" % self)
        return self._popen

    def run(self) -> None:
        for name in self._streams:
            _follow_stream(name)
        try:
            super().run()
        except SystemExit:
            self._ended = _native.ENDED_EXIT
            raise
        self._ended = _native.ENDED_RETURN

    @property
    def exitcode(self) -> int | None:
        return exit_code(super().exitcode)

    @property
    def sentinel(self) -> int:
        """A descriptor that is readable once the process has ended."""
        fd: int | None = super().sentinel
        if fd is None:
            raise OSError(errno.EOPNOTSUPP, "this system has no pidfd")
        return fd

    def start(self) -> None:
        if self._popen is None:
            _exit.prepare()
            super().start()
        else:
            sys.stderr.write("gipc: %r has been started before\n" % self)


def _follow_stream(name: str) -> None:
    """In a child: makes the Python file use the standard stream.
    multiprocessing has put /dev/null into stdin, and the program, such as a
    test runner, may have replaced the others."""
    number = STREAMS.index(name)
    try:
        if getattr(sys, name).fileno() == number:
            return
    except (AttributeError, OSError, ValueError):
        pass
    setattr(sys, name, open(number, "w" if number else "r", closefd=False))


@takes_options
def start_process(
    target: Callable[..., object],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] = {},
    daemon: bool | None = None,
    name: str | None = None,
    method: Literal["fork", "spawn", "template"] | Template = "fork",
    **options: Unpack[FunctionOptions],
) -> _GProcess:
    """Starts a child process that calls ``target(*args, **kwargs)``.

    Handles among the arguments pass into the child: they are closed in this
    process.  All other handles are closed in the child.  Handles are found in
    lists, tuples, sets, dictionaries, deques, dataclasses and namespaces, and in
    a target that is a ``functools.partial`` or a method of a handle.  A handle
    in any other object stays in this process with method ``'fork'``, as the
    object stays in use; the other methods pickle the object, and it passes.

    :arg method: ``'fork'`` (the default); or ``'spawn'``: a new interpreter,
        which imports the target by its name, as the method of this name of
        multiprocessing does.  Use it in a process with threads.  The call does
        not wait until the interpreter has started.  A :class:`Template`: a fork
        of a small process that has imported what the target needs; what pickle
        does is as with ``'spawn'``.  ``'template'``: the template of this
        program, which the first such call makes.
    :options:

    A child that is not a daemon is joined when this process exits, as
    multiprocessing does.

    The child starts without the loop, greenlets and signal handlers of its
    parent (SIGPIPE is left as it is, and faulthandler stays enabled).  SIGINT
    ends the child as any signal that is not handled does: a child that must
    clean up after Ctrl-C sets a handler.  An exception in the target prints its
    traceback and results in exit code 1, ``sys.exit(n)`` in n.

    :returns: a started :class:`Process`.

    Raises:
        - :exc:`TypeError`, :exc:`ValueError`: of an argument, which they name
        - :exc:`FileNotFoundError` if there is no directory cwd, which is its
          ``filename``
        - :exc:`GIPCClosed`, :exc:`GIPCLocked`: of a handle that is closed, or
          in use
        - :exc:`OSError` if the system cannot start a process
        - with ``'spawn'`` and templates, :exc:`RuntimeError` in a child that
          imports a main module without ``if __name__ == "__main__":``, and what
          pickle raises of an object that it cannot pickle

    In each case no handle was passed.

    >>> def child(writer):
    ...     writer.put("hello")
    >>> with pipe() as (reader, writer):
    ...     p = start_process(child, (writer,))
    ...     reader.get()
    'hello'
    >>> p.join()
    >>> p.exitcode
    0
    """
    check_target(target)
    if not isinstance(args, tuple):
        raise TypeError("`args` must be a tuple.")
    if not isinstance(kwargs, dict):
        raise TypeError("`kwargs` must be a dictionary.")
    _popen_class(method)  # raises for a wrong one, in this call
    p = _GProcess(target=target, name=name, args=args, kwargs=kwargs)
    if daemon is None:
        daemon = options.get("death_signal") is not None or p.daemon
    p.daemon = daemon
    start = _start_of(p, options)
    p._method, p._start = method, start
    if options:
        p._streams = [name for name in STREAMS if name in start.given]
    p.start()
    if options:
        open_pipes(p, p._get_popen()._p, start)
    return p


def _start_of(process: _GProcess, options: Mapping[str, Any]) -> Start:
    if process.daemon:
        options = {"daemon": True, **options}
    return Start("start_process", options, process.name)


def check_target(target: object) -> None:
    if not callable(target):
        raise TypeError("`target` must be callable, not %r" % (target,))


def _popen_class(method: str | Template) -> Callable[[Any, Start], Popen]:
    if method == "fork":
        return Forked
    if method == "spawn":
        from ._spawn import Spawned

        return Spawned
    if method == "template":
        return template_of_program
    if isinstance(method, Template):
        return method.start
    raise ValueError(
        "the method must be 'fork', 'spawn', 'template' or a Template, not %r"
        % (method,)
    )
