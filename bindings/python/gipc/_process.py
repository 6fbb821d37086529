"""Child processes that run a Python function."""

import errno
import multiprocessing
import multiprocessing.process
import os
import sys
import traceback
from multiprocessing import util

from . import _child, _exit, _native
from ._end import End, Lost
from ._handle import _GIPCHandle, arrive_in_child
from ._pipe import _GIPCDuplexHandle
from ._wait import current
from .errors import GIPCLocked


class _GProcess(multiprocessing.Process):
    """A child process, with the API of :class:`multiprocessing.Process`.

    Made by :func:`start_process`, and running from then on.  ``join`` and the
    rest wait for the greenlet, not for the thread, where gevent is in use.
    ``exitcode`` raises :exc:`GIPCStatusLost` where another reaper took the
    status and the kernel (before Linux 6.15) did not keep it.
    """

    _method = "fork"

    def _Popen(self, process):
        return _way(self._method)(process)

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


def handles_among(objects):
    """The handles among objects, also inside of lists, tuples, sets and
    dictionaries, each once."""
    found, seen, rest = [], set(), [objects]
    while rest:
        o = rest.pop()
        handle = isinstance(o, _GIPCHandle)
        if not handle and not isinstance(
            o, (list, tuple, set, frozenset, dict)
        ):
            continue
        if id(o) in seen:
            continue
        seen.add(id(o))
        if handle:
            found.append(o)
        elif isinstance(o, _GIPCDuplexHandle):
            rest += (o._reader, o._writer)
        else:
            rest.extend(o.values() if isinstance(o, dict) else o)
    return found


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

    def __init__(self, process):
        handles = handles_among((process._args, process._kwargs))
        check_passable(handles)
        options = _native.options_new()
        _native.options_set_name(options, process.name)
        if process.daemon:
            _native.options_set_daemon(options, 1)
        for native in natives_of(handles):
            _native.options_pass(options, None, native)
        # Whatever the child needs for its start is imported once, here.
        current()
        left = _child.what_to_leave()
        util._flush_std_streams()
        native = _fork(options, handles)
        if native is None:
            _run(process, handles, left)
        super().__init__(native)
        for handle in handles:
            handle._forget()


def _fork(options, handles):
    # A loop must let go of a descriptor before it is closed here: the child
    # keeps the file open, and epoll would tell of it for ever.
    rests = [handle for handle in handles if handle.rest is not None]
    for handle in rests:
        handle._stop_rest()
    try:
        return _native.fork_process(options)
    except BaseException:
        for handle in rests:
            handle._waits().finish(handle)
        raise


def _run(process, handles, left):
    """The whole life of the child."""
    code = 1
    try:
        _child.start_clean(left)
        arrive_in_child(process._parent_pid, handles)
        code = process._bootstrap(parent_sentinel=_parent_sentinel(process))
    except BaseException:
        traceback.print_exc()
        util._flush_std_streams()
    finally:
        _native.exit(code)


def _parent_sentinel(process):
    """For multiprocessing.parent_process(): readable when the parent ends."""
    try:
        fd = os.pidfd_open(process._parent_pid)
    except (AttributeError, OSError):
        return None
    if os.getppid() != process._parent_pid:
        os.close(fd)  # it has ended; the number may be another's
        return None
    return fd


def start_process(
    target, args=(), kwargs={}, daemon=None, name=None, method="fork"
):
    """Starts a child process that calls ``target(*args, **kwargs)``.

    Handles among the arguments (also inside of lists, tuples, sets and
    dictionaries) move into the child: they are closed here.  All others are
    closed there.

    :arg daemon: whether it ends with this process, however that ends; others
        are joined when this process exits, as multiprocessing does.
    :arg name: for messages; the default is made up.
    :arg method: ``'fork'``; or ``'spawn'``: a new interpreter, which imports
        the target by its name, as multiprocessing's method of this name does.
        It is the one to use in a process with threads.

    The child starts without the loop, greenlets and signal handlers of its
    parent (SIGPIPE is left as it is).  An exception in the target prints its
    traceback and gives exit code 1, ``sys.exit(n)`` gives n.

    :returns: a started :class:`multiprocessing.Process`.

    Raises:
        - :exc:`TypeError` when args is no tuple or kwargs no dictionary
        - :exc:`GIPCClosed`, :exc:`GIPCLocked`: of a handle that is closed, or
          in use
        - :exc:`OSError` when the system can make no process

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
    if not isinstance(args, tuple):
        raise TypeError("`args` must be a tuple.")
    if not isinstance(kwargs, dict):
        raise TypeError("`kwargs` must be a dictionary.")
    p = _GProcess(target=target, name=name, args=args, kwargs=kwargs)
    if daemon is not None:
        p.daemon = daemon
    _way(method)  # a wrong one is an error of this call
    p._method = method
    p.start()
    return p


def _way(method):
    if method == "fork":
        return Forked
    if method == "spawn":
        from ._spawn import Spawned

        return Spawned
    raise ValueError("the method must be 'fork' or 'spawn', not %r" % (method,))
