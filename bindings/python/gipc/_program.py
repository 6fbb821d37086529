"""Children that run a program, and the handles that such a child inherits."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from . import _native
from ._any_process import AnyProcess, open_pipes
from ._codec import find
from ._handle import _GIPCHandle
from ._options import Start, argument_vector, takes_options
from ._pair import AnyDuplex
from ._passing import check_passable, handles_among, natives_of
from ._pipe import _GIPCDuplexHandle, adopt_handle, handle_classes
from ._popen import Popen, exit_code
from ._settings import transport_or_default
from ._types import Decoder, Encoder, File, Text, Transport
from ._values import mapping, naming, path, sequence
from .errors import GIPCError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._types import LaunchOptions, ProgramOptions

Result = TypeVar("Result")


class _GProgram(AnyProcess):
    """A child process that runs a program, made by :func:`exec_process`.

    Has the methods of a :class:`multiprocessing.Process`, and those of a
    :class:`subprocess.Popen`: ``stdin``, ``stdout``, ``stderr``,
    ``communicate``, ``wait``, ``returncode``.
    """

    _popen: Popen | None

    def __init__(self, native: _native.Process, start: Start):
        self.name: str = _native.process_name(native)
        self._popen = Popen(native)
        self.pid = self.ident = self._popen.pid
        open_pipes(self, native, start)

    def _get_popen(self) -> Popen:
        if self._popen is None:
            raise ValueError("process object is closed")
        return self._popen

    @property
    def sentinel(self) -> int:
        """A descriptor that is readable once the process has ended."""
        fd = self._get_popen().sentinel
        if fd is None:
            raise OSError(errno.EOPNOTSUPP, "this system has no pidfd")
        return fd

    @property
    def exitcode(self) -> int | None:
        """``None`` while the process runs; then the exit code, or minus the
        number of the signal that ended the process.  Raises
        :exc:`GIPCStatusLost`."""
        return exit_code(self._get_popen().poll())

    def is_alive(self) -> bool:
        return self._get_popen().poll() is None

    def join(self, timeout: float | None = None) -> None:
        """Waits until the process ends, or the timeout expires.

        :arg timeout: seconds; ``None`` (the default) or a negative number waits
            indefinitely.
        """
        self._get_popen().wait(timeout)

    def terminate(self) -> None:
        """Sends SIGTERM; does nothing if the process has ended."""
        self._get_popen().terminate()

    def kill(self) -> None:
        """Sends SIGKILL; does nothing if the process has ended."""
        self._get_popen().kill()

    def close(self) -> None:
        """Releases the resources of the object.  Raises ValueError while the
        process runs."""
        if self._popen is None:
            return
        if self._popen.poll() is None:
            raise ValueError(
                "Cannot close a process while it is still running. "
                "You should first call join() or terminate()."
            )
        self._popen.close()
        self._popen = None

    def __repr__(self) -> str:
        if self._popen is None:
            return "<%s name=%r closed>" % (type(self).__name__, self.name)
        return "<%s name=%r pid=%d %s>" % (
            type(self).__name__,
            self.name,
            self.pid,
            self._state(self._popen),
        )

    def _state(self, popen: Popen) -> str:
        try:
            code = popen.poll()
        except GIPCError:  # in a fork, where it belongs to the parent
            return "of another process"
        return "started" if code is None else "stopped exitcode=%r" % code


@takes_options
def exec_process(
    argv: Sequence[Text],
    handles: Mapping[str, _GIPCHandle | AnyDuplex[Any, Any]] = {},
    env: Mapping[str, str] | None = None,
    cwd: Text | None = None,
    stdin: File = None,
    stdout: File = None,
    stderr: File = None,
    name: str | None = None,
    daemon: bool = False,
    **options: Unpack[ProgramOptions],
) -> _GProgram:
    """Runs a program, never through a shell.

    :arg argv: the program and its arguments.  A name without a slash is
        searched in the PATH of the child.
    :arg handles: the handles that pass into the child, by name.  A program in
        any language inherits them by these names (``gipc.inherit`` in Python,
        ``gipc_inherit()`` in C).  It inherits no other descriptor, except 0 to
        2.
    :options:

    :returns: a :class:`Program`.

    Raises:
        - :exc:`TypeError`, :exc:`ValueError`: of an argument, which they name
        - :exc:`FileNotFoundError`, :exc:`PermissionError` and other
          :exc:`OSError` if the program cannot be run; ``filename`` is the
          program, or the directory cwd
        - :exc:`GIPCClosed`, :exc:`GIPCLocked`: of a handle that is closed, or
          in use

    In each case no handle was passed, and there is no child.

    >>> p = exec_process(["sh", "-c", "exit $1", "sh", "3"], umask=0o077)
    >>> p.join()
    >>> p.exitcode
    3
    """
    given: dict[str, Any] = dict(options)
    given.update(env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
    given.update(name=name, daemon=daemon or None)
    native, start = _start(
        _native.exec_process, "exec_process", argv, handles, given
    )
    return _GProgram(native, start)


@takes_options
def launch(
    argv: Sequence[Text],
    *,
    handles: Mapping[str, _GIPCHandle | AnyDuplex[Any, Any]] = {},
    encoder: Encoder = "msgpack",
    decoder: Decoder = "msgpack",
    **options: Unpack[LaunchOptions],
) -> tuple[_GProgram, _GIPCDuplexHandle[Any, Any]]:
    """Runs a program behind a launcher, such as ssh, srun or podman run -i, or
    without one, and makes a handle of its standard input and output, where the
    program uses :func:`stdio`.

    :arg argv: the launcher, the program and their arguments, as for
        :func:`exec_process`.
    :arg handles: as for :func:`exec_process`; few launchers pass them on.
    :arg encoder, decoder: as for :func:`pipe`, with the defaults of
        :func:`stdio`.
    :options:

    :returns: (process, handle): a :class:`Program`, which is the launcher, and
        a :class:`Duplex`.

    Raises the errors of :func:`exec_process`, and :exc:`GIPCError` if an encoder
    or decoder is not valid.  In each case there is no child.

    >>> process, handle = launch(["env", "-i", "/bin/cat"], encoder="json",
    ...                          decoder="json")
    >>> with handle:
    ...     handle.put("there and back")
    ...     handle.get(timeout=20)
    'there and back'
    >>> process.wait()
    0
    """
    codecs = find(encoder, 0), find(decoder, 1)
    process, native = launched(argv, handles, dict(options))
    return process, adopt_handle(handle_classes, native, *codecs)


def launched(
    argv: Any, handles: object, given: dict[str, Any]
) -> tuple[_GProgram, _native.Handle]:
    """The same with a native handle."""
    (native, handle), start = _start(
        _native.launch, "launch", argv, handles, given
    )
    return _GProgram(native, start), handle


def _start(
    call: Callable[[_native.Words, _native.Options], Result],
    caller: str,
    argv: Any,
    handles: object,
    given: dict[str, Any],
) -> tuple[Result, Start]:
    argv = _checked(argv)
    words = argument_vector(argv)
    name = given.get("name") or os.path.basename(os.fsdecode(argv[0])) or None
    start = Start(caller, {**given, "name": name})
    with naming("handles"):
        passed = _pass(handles, start.native)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    try:
        result = call(words, start.native)
    except OSError as error:
        start.name_failure(error, argv)
        raise
    for handle in passed:
        handle._disown()
    return result, start


def _checked(argv: Any) -> list[Any]:
    if isinstance(argv, (str, bytes)):
        raise TypeError(
            "argv must be a list such as %r, not one string"
            % (argv.split() or ["ls", "-l"],)
        )
    with naming("argv"):
        items = list(sequence(argv))
        if not items:
            raise ValueError("it must begin with the program")
    return items


def _pass(handles: object, options: _native.Options) -> list[_GIPCHandle]:
    passed: list[_GIPCHandle] = []
    for key, handle in mapping(handles):
        sides = handles_among([handle])
        if not sides:
            raise TypeError("%r is not a handle" % (handle,))
        check_passable(sides)
        passed += sides
        for native in natives_of(sides):
            try:
                _native.options_pass(options, path(key), native)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                raise ValueError(
                    "%r must be a name of letters, digits, '_', '-' and '.', "
                    "and its handle be passed once" % (key,)
                ) from None
    return passed


def inherit(
    name: str,
    encoder: Encoder = "default",
    decoder: Decoder = "default",
    *,
    transport: Transport | None = None,
) -> Any:
    """Returns the handle that the parent passed under this name, in a child that
    was started by ``exec_process`` in any language.

    :arg name: the name that the parent gave the handle.
    :arg encoder, decoder, transport: as for :func:`pipe`.

    Raises:
        - :exc:`FileNotFoundError` if no handle was passed under this name
        - :exc:`TypeError`, :exc:`ValueError` if the name is not valid
        - :exc:`GIPCBadHandles` if the variable GIPC_HANDLES is malformed, or
          not about this process
    """
    number = transport_or_default(transport)
    return adopt_handle(
        handle_classes, inherited(name), encoder, decoder, number
    )


def inherited(name: str) -> _native.Handle:
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


def _inherit(name: str | bytes) -> _native.Handle:
    try:
        return _native.inherit(name)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ValueError(
            "%r is not a valid name: use letters, digits, '_', '-' and '.'"
            % (name,)
        ) from None


def _follow_environment(name: str) -> None:
    value = _native.getenv(name)
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def stdio(
    encoder: Encoder = "msgpack",
    decoder: Decoder = "msgpack",
    *,
    transport: Transport | None = None,
) -> _GIPCDuplexHandle[Any, Any]:
    """Returns the duplex handle over stdin and stdout of this process, for a
    child behind ssh and the like.

    Nothing else can use the two streams then: descriptor 0 becomes /dev/null,
    and output of ``print`` goes to stderr, also what is buffered already.

    :arg encoder, decoder, transport: as for :func:`pipe`.

    Raises:
        - :exc:`GIPCClosed` if one of them is /dev/null, as in a second call
        - :exc:`OSError`: EBADF if one of them is closed, EINVAL if stderr is the
          same file as stdout, as on a terminal
    """
    number = transport_or_default(transport)
    handle: _GIPCDuplexHandle[Any, Any] = adopt_handle(
        handle_classes, _native.stdio(), encoder, decoder, number
    )
    return handle
