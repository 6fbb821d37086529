"""Child processes that run a Python function."""

import errno
import multiprocessing
import multiprocessing.process
import os
import sys
import traceback
from collections import deque
from contextlib import contextmanager
from functools import partial
from multiprocessing import util
from types import MethodType, SimpleNamespace

from . import _child, _exit, _native
from ._any_process import AnyProcess, open_pipes
from ._end import End, Lost
from ._handle import _GIPCHandle, arrive_in_child
from ._options import STREAMS, Start, takes_options
from ._pipe import _GIPCDuplexHandle
from ._wait import current
from .errors import GIPCLocked


class _GProcess(AnyProcess, multiprocessing.Process):
    """A child process, with the API of :class:`multiprocessing.Process`, and
    with more of what C has.

    Made by :func:`start_process`, and running from then on.  ``join`` and the
    rest wait for the greenlet, not for the thread, where gevent is in use.
    ``exitcode`` raises :exc:`GIPCStatusLost` where another reaper took the
    status and the kernel (before Linux 6.15) did not keep it.
    """

    _method = "fork"
    _start = None
    _streams = ()  # names of those that were given
    _ended = _native.ENDED_EXCEPTION  # in the child, how its target ended

    def _Popen(self, process):
        # It is not for a child, nor can it be pickled.
        start, self._start = self._start, None
        # Of one that was made and started by hand.
        start = start or _start_of(self, {})
        return _way(self._method)(process, start)

    def _get_end(self):
        self._check_closed()
        if self._popen is None:
            raise ValueError("%r is not a child of this process" % self)
        return self._popen

    def run(self):
        for name in self._streams:
            _follow_stream(name)
        try:
            super().run()
        except SystemExit:
            self._ended = _native.ENDED_EXIT
            raise
        self._ended = _native.ENDED_RETURN

    @property
    def exitcode(self):
        code = super().exitcode
        return code.told() if isinstance(code, Lost) else code

    @property
    def sentinel(self):
        """A descriptor that is readable once the process has ended."""
        fd = super().sentinel
        if fd is None:
            raise OSError(errno.EOPNOTSUPP, "this system has no pidfd")
        return fd

    def start(self):
        if self._popen is None:
            super().start()
        else:
            sys.stderr.write("gipc: %r has been started before\n" % self)


def _follow_stream(name):
    """In a child: makes Python's file one of the standard stream.
    multiprocessing has put /dev/null into stdin, and a test runner, say, what
    it likes into the others."""
    number = STREAMS.index(name)
    try:
        if getattr(sys, name).fileno() == number:
            return
    except (AttributeError, OSError, ValueError):
        pass
    setattr(sys, name, open(number, "w" if number else "r", closefd=False))


def handles_among(objects):
    """The handles among objects, each once: those in what only holds them
    together, as lists and dataclasses do, and in a partial or a method of a
    handle.  An object of the program stays in use here, with what it has."""
    found, seen, rest = [], set(), [objects]
    while rest:
        o = rest.pop()
        if type(o) in _PLAIN or id(o) in seen:
            continue
        seen.add(id(o))
        if isinstance(o, _GIPCHandle):
            found.append(o)
        else:
            rest.extend(_held_by(o))
    return found


# Of which there may be millions.
_PLAIN = frozenset((int, float, str, bytes, bool, type(None)))


def _held_by(o):
    if isinstance(o, _GIPCDuplexHandle):
        return o._reader, o._writer
    if isinstance(o, (list, tuple, set, frozenset, deque)):
        return o
    if isinstance(o, dict):
        return o.values()
    if isinstance(o, partial):
        return o.func, o.args, o.keywords
    if isinstance(o, MethodType):
        handles = _GIPCHandle, _GIPCDuplexHandle
        return (o.__self__,) if isinstance(o.__self__, handles) else ()
    if isinstance(o, SimpleNamespace):
        return vars(o).values()
    fields = getattr(type(o), "__dataclass_fields__", ())
    return [getattr(o, name, None) for name in fields]


def check_passable(handles):
    for handle in handles:
        handle._validate()
        if handle._turn.taken:
            raise GIPCLocked(
                "%r is in use, it cannot be given to a child." % handle
            )


def natives_of(handles):
    """The native handles, each once though both sides of a duplex one have
    it."""
    natives = []
    for handle in handles:
        if not any(handle._h is native for native in natives):
            natives.append(handle._h)
    return natives


class Forked(End):
    """The child is a fork of this process."""

    method = "fork"

    def __init__(self, process, start):
        handles = handles_among(
            (process._target, process._args, process._kwargs)
        )
        check_passable(handles)
        for native in natives_of(handles):
            _native.options_pass(start.native, None, native)
        # Whatever the child needs for its start is imported once, here.
        current()
        util._flush_std_streams()
        with moving(handles), start.naming_failure(()):
            native = _child.fork(start.native, start.kept_fds)
            if native is None:
                _run(process, start, handles)
        super().__init__(native)


@contextmanager
def moving(handles):
    """A block that moves them into a child, or fails."""
    # A loop must let go of a descriptor before it is closed here: the child
    # keeps the file open, and epoll would tell of it for ever.
    rests = [handle for handle in handles if handle.rest is not None]
    for handle in rests:
        handle._stop_rest()
    try:
        yield
    except BaseException:
        for handle in rests:
            handle._waits().finish(handle)
        raise
    for handle in handles:
        handle._forget()


def _run(process, start, handles):
    """The whole life of the child."""
    code = 1
    try:
        _child.check_clean()
        start.follow_environment()
        arrive_in_child(process._parent_pid, handles)
        code = process._bootstrap(parent_sentinel=parent_sentinel(process))
    except BaseException:
        traceback.print_exc()
        util._flush_std_streams()
    finally:
        _native.exit_as(code, process._ended)


def parent_sentinel(process):
    """For multiprocessing.parent_process(): readable when the parent ends."""
    try:
        fd = os.pidfd_open(process._parent_pid)
    except (AttributeError, OSError):
        return None
    if os.getppid() != process._parent_pid:
        os.close(fd)  # it has ended; the number may be another's
        return None
    return fd


@takes_options
def start_process(
    target,
    args=(),
    kwargs={},
    daemon=None,
    name=None,
    method="fork",
    **options,
):
    """Starts a child process that calls ``target(*args, **kwargs)``.

    Handles among the arguments move into the child: they are closed here.  All
    others are closed there.  They are found in lists, tuples, sets,
    dictionaries, deques, dataclasses and namespaces, and in a target that is a
    ``functools.partial`` or a method of a handle.  What other objects refer to
    stays here under ``'fork'``, as such an object, whose method may be the
    target, is in use here too; under ``'spawn'``, which pickles it, it moves.

    :arg method: ``'fork'``; or ``'spawn'``: a new interpreter, which imports
        the target by its name, as multiprocessing's method of this name does.
        It is the one to use in a process with threads.  The call does not wait
        for the interpreter to start.
    :options:

    Those that are no daemons are joined when this process exits, as
    multiprocessing does.

    The child starts without the loop, greenlets and signal handlers of its
    parent (SIGPIPE is left as it is, and faulthandler stays enabled).  SIGINT
    ends it as any signal that is not handled does: a child that shall clean up
    after Ctrl-C sets a handler.  An exception in the target prints its traceback
    and gives exit code 1, ``sys.exit(n)`` gives n.

    :returns: a started :class:`Process`.

    Raises:
        - :exc:`TypeError`, :exc:`ValueError`: of an argument, which they name
        - :exc:`FileNotFoundError` when there is no directory cwd, which is
          its ``filename``
        - :exc:`GIPCClosed`, :exc:`GIPCLocked`: of a handle that is closed, or
          in use
        - :exc:`OSError` when the system can make no process
        - with ``'spawn'``, :exc:`RuntimeError` in a child that imports the main
          module, which has no ``if __name__ == "__main__":``, and what pickle
          raises of an object that it cannot pickle

    In each case no handle has moved.

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
    _way(method)  # a wrong one is an error of this call
    p = _GProcess(target=target, name=name, args=args, kwargs=kwargs)
    if daemon is None:
        daemon = options.get("death_signal") is not None or p.daemon
    p.daemon = daemon
    start = _start_of(p, options)
    p._method, p._start = method, start
    p._streams = [name for name in STREAMS if name in start.given]
    p.start()
    open_pipes(p, p._popen._p, start)
    return p


def _start_of(process, options):
    own = {"name": process.name, "daemon": process.daemon}
    return Start("start_process", {**options, **own})


def check_target(target):
    if not callable(target):
        raise TypeError("`target` must be callable, not %r" % (target,))


def _way(method):
    if method == "fork":
        return Forked
    if method == "spawn":
        from ._spawn import Spawned

        return Spawned
    raise ValueError("the method must be 'fork' or 'spawn', not %r" % (method,))
