"""Children that run any program, and what such a child finds at its start."""

import errno
import os
import sys

from . import _native
from ._any_process import AnyProcess, open_pipes
from ._end import End, Lost
from ._options import (
    Start,
    mapping,
    naming,
    path,
    sequence,
    takes_options,
    words,
)
from ._pipe import family
from ._process import check_passable, handles_among, natives_of
from .errors import GIPCError


class _GProgram(AnyProcess):
    """A child process that runs a program, made by :func:`exec_process`.

    Has the methods of a :class:`multiprocessing.Process`, and those of a
    :class:`subprocess.Popen`: ``stdin``, ``stdout``, ``stderr``,
    ``communicate``, ``wait``, ``returncode``.
    """

    def __init__(self, native, start):
        self.name = _native.process_name(native)
        self._end = End(native)
        self.pid = self.ident = self._end.pid
        open_pipes(self, native, start)

    def _get_end(self):
        if self._end is None:
            raise ValueError("process object is closed")
        return self._end

    @property
    def sentinel(self):
        """A descriptor that is readable once the process has ended."""
        fd = self._get_end().sentinel
        if fd is None:
            raise OSError(errno.EOPNOTSUPP, "this system has no pidfd")
        return fd

    @property
    def exitcode(self):
        """``None`` while it runs; the exit code, or minus the signal that
        ended it.  Raises :exc:`GIPCStatusLost`."""
        code = self._get_end().poll()
        return code.told() if isinstance(code, Lost) else code

    def is_alive(self):
        return self._get_end().poll() is None

    def join(self, timeout=None):
        """Waits for its end, or until timeout seconds are over.

        :arg timeout: ``None``, or a negative number, to wait for the end.
        """
        self._get_end().wait(timeout)

    def terminate(self):
        """Sends SIGTERM; nothing when it has ended."""
        self._get_end().terminate()

    def kill(self):
        """Sends SIGKILL; nothing when it has ended."""
        self._get_end().kill()

    def close(self):
        """Releases what the object holds.  ValueError while it runs."""
        if self._end is None:
            return
        if self._end.poll() is None:
            raise ValueError(
                "Cannot close a process while it is still running. "
                "You should first call join() or terminate()."
            )
        self._end.close()
        self._end = None

    def __repr__(self):
        if self._end is None:
            return "<%s name=%r closed>" % (type(self).__name__, self.name)
        return "<%s name=%r pid=%d %s>" % (
            type(self).__name__,
            self.name,
            self.pid,
            self._state(),
        )

    def _state(self):
        try:
            code = self._end.poll()
        except GIPCError:  # in a fork, where it belongs to the parent
            return "of another process"
        return "started" if code is None else "stopped exitcode=%r" % code


@takes_options
def exec_process(
    argv,
    handles={},
    env=None,
    cwd=None,
    stdin=None,
    stdout=None,
    stderr=None,
    name=None,
    daemon=False,
    **options,
):
    """Runs a program, never through a shell.

    :arg argv: the program and its arguments; a name without a slash is
        searched in the child's PATH.
    :arg handles: those that move into the child, by the name under which
        ``gipc.inherit`` (or ``gipc_inherit()``, in any language) finds them
        there.  No other descriptor reaches it, except 0 to 2.
    :options:

    :returns: a :class:`Program`.

    Raises:
        - :exc:`TypeError`, :exc:`ValueError`: of an argument, which they name
        - :exc:`FileNotFoundError`, :exc:`PermissionError` and other
          :exc:`OSError` when the program cannot be run; ``filename`` is the
          program, or the directory cwd
        - :exc:`GIPCClosed`, :exc:`GIPCLocked`: of a handle that is closed, or
          in use

    In each case no handle has moved and no child is left.

    >>> p = exec_process(["sh", "-c", "exit $1", "sh", "3"], umask=0o077)
    >>> p.join()
    >>> p.exitcode
    3
    """
    argv = _checked(argv)
    native_argv = words(argv)
    options.update(env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
    options["name"] = name or os.path.basename(os.fsdecode(argv[0])) or None
    start = Start("exec_process", {**options, "daemon": daemon or None})
    with naming("handles"):
        given = _pass(handles, start.native)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    with start.naming_failure(argv):
        native = _native.exec_process(native_argv, start.native)
    for handle in given:
        handle._forget()
    return _GProgram(native, start)


def _checked(argv):
    if isinstance(argv, (str, bytes)):
        raise TypeError(
            "argv must be a list such as %r, not one string"
            % (argv.split() or ["ls", "-l"],)
        )
    with naming("argv"):
        argv = list(sequence(argv))
        if not argv:
            raise ValueError("it must have the program at least")
    return argv


def _pass(handles, options):
    given = []
    for key, handle in mapping(handles):
        sides = handles_among([handle])
        if not sides:
            raise TypeError("%r is not a handle" % (handle,))
        check_passable(sides)
        given += sides
        for native in natives_of(sides):
            try:
                _native.options_pass(options, path(key), native)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                raise ValueError(
                    "%r must be a name of letters, digits, '_', '-' and '.', "
                    "and its handle be given once" % (key,)
                ) from None
    return given


def inherit(name, encoder="default", decoder="default"):
    """In a child that was run by ``exec_process``, in any language: the handle
    that the parent passed under this name.

    Raises:
        - :exc:`FileNotFoundError` when nothing was passed under it
        - :exc:`TypeError`, :exc:`ValueError`: of what cannot be a name
        - :exc:`GIPCBadHandles` when the variable GIPC_HANDLES is malformed, or
          not about this process
    """
    return family.adopt(inherited(name), encoder, decoder)


def inherited(name):
    """The native handle."""
    try:
        with naming("name"):
            return _inherit(path(name))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            error.errno, "no handle was passed under the name", name
        ) from None
    finally:
        # The library changes the environment of C.
        _follow_environment("GIPC_HANDLES")


def _inherit(name):
    try:
        return _native.inherit(name)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ValueError(
            "%r is not one of letters, digits, '_', '-' and '.'" % (name,)
        ) from None


def _follow_environment(name):
    value = _native.getenv(name)
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def stdio(encoder="msgpack", decoder="msgpack"):
    """The duplex handle over this process's stdin and stdout, for a child
    behind ssh and the like.

    From then on nothing else reaches them: descriptor 0 is /dev/null, and what
    is printed goes to stderr, also what was printed before and is still
    buffered.

    Raises:
        - :exc:`GIPCClosed` when one of them is /dev/null, as from a second call
        - :exc:`OSError`: EBADF when one of them is closed, EINVAL when stderr
          is the same file as stdout, as on a terminal
    """
    return family.adopt(_native.stdio(), encoder, decoder)
