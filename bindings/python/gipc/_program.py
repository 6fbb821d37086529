"""Children that run any program, and what such a child finds at its start."""

import errno
import os
import subprocess
import sys

from . import _native
from ._end import End, Lost
from ._pipe import family
from ._process import check_passable, handles_among, natives_of
from ._wait import current


def words(items):
    """A list of strings for the library."""
    result = _native.words_new()
    for item in items:
        _native.words_add(result, item)
    return result


class _GProgram:
    """A child process that runs a program, made by :func:`exec_process`.

    Has the methods of a :class:`multiprocessing.Process`, and
    ``stdin``, ``stdout``, ``stderr`` as a :class:`subprocess.Popen` has them.
    """

    def __init__(self, native, pipes):
        self.name = _native.process_name(native)
        self._end = End(native)
        self.pid = self.ident = self._end.pid
        self.stdin, self.stdout, self.stderr = (
            self._file(native, which) if piped else None
            for which, piped in enumerate(pipes)
        )

    def _file(self, native, which):
        fd = _native.process_stdio(native, which)
        mode = "wb" if which == 0 else "rb"
        if current().cooperative:
            from gevent.fileobject import FileObject

            return FileObject(fd, mode)
        # The library's end is one for loops.
        os.set_blocking(fd, True)
        return open(fd, mode)

    def _open(self):
        if self._end is None:
            raise ValueError("process object is closed")
        return self._end

    @property
    def sentinel(self):
        """A descriptor that is readable once the process has ended."""
        fd = self._open().sentinel
        if fd is None:
            raise OSError(errno.EOPNOTSUPP, "this system has no pidfd")
        return fd

    @property
    def exitcode(self):
        """``None`` while it runs; the exit code, or minus the signal that
        ended it.  Raises :exc:`GIPCStatusLost`."""
        code = self._open().poll()
        return code.told() if isinstance(code, Lost) else code

    def is_alive(self):
        return self._open().poll() is None

    def join(self, timeout=None):
        """Waits for its end, or until timeout seconds are over.

        :arg timeout: ``None``, or a negative number, to wait for the end.
        """
        self._open().wait(timeout)

    def terminate(self):
        """Sends SIGTERM; nothing when it has ended."""
        self._open().terminate()

    def kill(self):
        """Sends SIGKILL; nothing when it has ended."""
        self._open().kill()

    def send_signal(self, number):
        """Sends a signal; nothing when it has ended."""
        self._open().signal(number)

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
        code = self._end.poll()
        return "<%s name=%r pid=%d %s>" % (
            type(self).__name__,
            self.name,
            self.pid,
            "started" if code is None else "stopped exitcode=%r" % code,
        )


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
):
    """Runs a program, never through a shell.

    :arg argv: the program and its arguments; a name without a slash is
        searched in the child's PATH.
    :arg handles: those that move into the child, by the name under which
        ``gipc.inherit`` (or ``gipc_inherit()``, in any language) finds them
        there.  No other descriptor reaches it, except 0 to 2.
    :arg env: its whole environment as a dictionary; the default is this one's.
    :arg stdin, stdout, stderr: ``None`` (this process's), a descriptor, an
        object with ``fileno`` (a handle too, which stays open here), or
        ``subprocess.PIPE``, ``DEVNULL``, and for stderr ``STDOUT``.
    :arg daemon: whether it is killed when this process ends.

    :returns: a process object.

    Raises:
        - :exc:`FileNotFoundError`, :exc:`PermissionError` and other
          :exc:`OSError` when the program cannot be run
        - :exc:`GIPCClosed`, :exc:`GIPCLocked`: of a handle that is closed, or
          in use

    In each case no handle has moved and no child is left.

    >>> p = exec_process(["sh", "-c", "exit 3"])
    >>> p.join()
    >>> p.exitcode
    3
    """
    if isinstance(argv, (str, bytes)):
        raise TypeError("argv must be a list, not one string")
    options = _native.options_new()
    given = []
    for key, handle in dict(handles).items():
        sides = handles_among([handle])
        if not sides:
            raise TypeError("%r is not a handle" % (handle,))
        check_passable(sides)
        given += sides
        for native in natives_of(sides):
            _native.options_pass(options, key, native)
    argv = list(argv)
    name = name or os.path.basename(os.fsdecode(argv[0])) if argv else name
    if name:
        _native.options_set_name(options, name)
    if daemon:
        _native.options_set_daemon(options, 1)
    if cwd is not None:
        _native.options_set_cwd(options, cwd)
    if env is not None:
        _native.options_clear_env(options)
        for key, value in env.items():
            _native.options_set_env(options, key, value)
    targets = (stdin, stdout, stderr)
    for which, target in enumerate(targets):
        _native.options_set_stdio(options, which, *_stdio(which, target))
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    native = _native.exec_process(words(argv), options)
    for handle in given:
        handle._forget()
    return _GProgram(native, [t == subprocess.PIPE for t in targets])


def _stdio(which, target):
    if target is None:
        return _native.STDIO_INHERIT, -1
    if target == subprocess.PIPE:
        return _native.STDIO_PIPE, -1
    if target == subprocess.DEVNULL:
        return _native.STDIO_NULL, -1
    if target == subprocess.STDOUT:
        if which != 2:
            raise ValueError("STDOUT is for stderr only")
        return _native.STDIO_STDOUT, -1
    fd = target if isinstance(target, int) else target.fileno()
    return _native.STDIO_FD, fd


def inherit(name, encoder="default", decoder="default"):
    """In a child that was run by ``exec_process``, in any language: the handle
    that the parent passed under this name.

    Raises:
        - :exc:`FileNotFoundError` when nothing was passed under it
        - :exc:`GIPCBadHandles` when the variable GIPC_HANDLES is malformed, or
          not about this process
    """
    return family.adopt(inherited(name), encoder, decoder)


def inherited(name):
    """The native handle."""
    try:
        return _native.inherit(name)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            error.errno, "no handle was passed under the name", name
        ) from None
    finally:
        # The library changes the environment of C.
        _follow_environment("GIPC_HANDLES")


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
