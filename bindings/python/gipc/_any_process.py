"""What children that run a function and children that run a program have in
common, in addition to what multiprocessing gives a process."""

from __future__ import annotations

import errno
import os
from signal import SIGCONT, SIGKILL, SIGTERM
from typing import IO, TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from . import _native
from ._backend import Backend, run
from ._blocking import current_backend
from ._deadline import deadline_of, monotonic
from ._native import READ
from ._options import STREAMS, Start
from ._popen import Popen
from ._talk import Talk
from ._types import Deadline, Signal
from ._values import naming, signal_number
from .errors import timed_out

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_STATUS_SOURCES = ("", "wait", "kernel", "reported", "child", "lost")
_ENDED = (
    "unknown",
    "return",
    "exit",
    "exception",
    "unwound",
    "before_start",
    "unsent",
)
_TREES = (None, "cgroup", "subreaper", "session")


class ExitInfo(NamedTuple):
    """How a child ended.  None means unknown."""

    #: The exit code, None if a signal ended it.
    code: Optional[int]
    #: The number of the signal that ended it, or None.
    signal: Optional[int]
    #: Whether a core was dumped.
    core: bool
    #: The source of the status: ``'wait'``; ``'kernel'``, which kept it after
    #: another reaper had collected it; ``'reported'``, a child watcher of
    #: gevent; ``'child'``, which sent it before it exited; ``'lost'``.
    how: str
    #: How the function of a fork ended: ``'return'``; ``'exit'``, by
    #: ``sys.exit``; ``'exception'``; ``'unsent'``, it returned or exited, but
    #: messages could not be written; ``'before_start'``; ``'unknown'``, it was
    #: killed or called ``os._exit``.  For an interpreter or a program:
    #: ``'unknown'``.
    ended: str
    #: Processor seconds in user mode.
    user: Optional[float]
    #: Processor seconds in the kernel.
    system: Optional[float]
    #: The largest resident set, in KiB.
    max_rss: Optional[int]
    #: What kept the processes of a tree (option ``group='tree'``) together:
    #: ``'cgroup'``, ``'subreaper'`` or ``'session'``, from the best to a
    #: process group; see gipc_options(3).  None: it was not a tree.
    tree: Optional[str]
    #: The processes that the child of a tree left when it ended.
    left: Optional[int]
    #: Those of them that were killed.
    killed: Optional[int]


def _known(number: Any) -> Any:
    return None if number < 0 else number


def exit_info_of(info: _native.ExitInfo) -> ExitInfo:
    return ExitInfo(
        _known(info.code),
        info.signal or None,
        bool(info.core),
        _STATUS_SOURCES[info.how],
        _ENDED[info.ended],
        _known(info.user),
        _known(info.system),
        _known(info.max_rss),
        _TREES[info.tree],
        _known(info.left),
        _known(info.killed),
    )


def open_pipes(
    process: AnyProcess, native: _native.Process, start: Start
) -> None:
    """Makes files of the standard streams that are pipes."""
    for which, stream in enumerate(STREAMS):
        if start.is_pipe(stream):
            fd = _native.process_stdio(native, which)
            setattr(process, stream, _file(fd, which, start.given))
    process._text = _text_of(start.given)


def _text_of(given: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments of a text file, None for a file of bytes."""
    names = ("encoding", "errors")
    if not given.get("text") and not any(name in given for name in names):
        return None
    return {name: given.get(name) for name in names}


def _file(fd: int, which: int, given: dict[str, Any]) -> Any:
    text = _text_of(given)
    mode = ("w" if which == 0 else "r") + ("b" if text is None else "")
    if current_backend().cooperative:
        from gevent.fileobject import FileObject

        return FileObject(fd, mode, **text or {})
    # The library has made its end non-blocking, for loops.
    os.set_blocking(fd, True)
    return open(fd, mode, **text or {})


class AnyProcess:
    """A child process that runs a function or a program."""

    #: The end of a standard stream that was started as ``subprocess.PIPE``.
    stdin: IO[Any] | None = None
    stdout: IO[Any] | None = None
    stderr: IO[Any] | None = None
    _text: dict[str, Any] | None = None
    _talk: Talk | None = None

    if TYPE_CHECKING:

        @property
        def exitcode(self) -> int | None: ...

        def join(self, timeout: float | None = None) -> None: ...

    def _get_popen(self) -> Popen:
        """Raises ValueError if the object is closed, or not a child."""
        raise NotImplementedError

    def send_signal(self, number: Signal) -> None:
        """Sends a signal; does nothing if the process has ended.

        :arg number: a number, a ``signal.Signals``, or a name such as
            ``'TERM'``.
        """
        number = signal_number(number)
        try:
            self._get_popen().signal(number)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise ValueError("%r is not a valid signal" % (number,)) from None

    def signal_group(self, number: Signal) -> None:
        """Sends a signal to all processes of the group of the child; does
        nothing once the child is reaped.  Raises ValueError if the child has no
        group of its own (option ``group``)."""
        self._signal_group(signal_number(number))

    def _signal_group(self, number: int) -> None:
        native = self._get_popen()._p
        try:
            _native.process_signal_group(native, number)
        except ProcessLookupError:
            pass
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise ValueError(
                "signal %r cannot be sent to a group: the process was not "
                "started with group='new', 'session' or 'tree'" % (number,)
            ) from None

    def stop(self, grace: float | None = 5.0) -> None:
        """Sends SIGTERM, and SIGKILL if the process has not ended when the
        grace period expires; then joins it.

        :arg grace: the grace period in seconds; ``None`` or infinite: no
            SIGKILL is sent.
        """
        send = self._get_popen().signal
        run(self._stop, current_backend(), grace, send)
        self.join()

    def stop_group(self, grace: float | None = 5.0) -> None:
        """As :meth:`stop`, for all processes of the group.  When the child
        itself has ended, the others are killed at once."""
        run(self._stop, current_backend(), grace, self._signal_group)
        self.join()

    async def _stop(
        self,
        backend: Backend,
        grace: float | None,
        send: Callable[[int], object],
    ) -> None:
        """Ends the process, which is not reaped before its group has got the
        last signal."""
        with naming("grace"):
            deadline = deadline_of(grace)
            if grace is not None and grace < 0:
                raise ValueError("it must be 0 or more, not %r" % (grace,))
        send(SIGTERM)
        send(SIGCONT)  # a stopped process handles SIGTERM once it continues
        await self._wait_unreaped(backend, deadline)
        send(SIGKILL)
        await self._wait_unreaped(backend, None)

    async def _wait_unreaped(
        self, backend: Backend, deadline: Deadline
    ) -> None:
        popen = self._get_popen()
        if popen.sentinel is not None:
            await backend.wait_fd(popen.sentinel, READ, deadline)
            return
        while not _has_ended(popen.pid):
            if deadline is not None and monotonic() >= deadline:
                return
            await backend.sleep(0.005)

    @property
    def exit_info(self) -> ExitInfo | None:
        """How the process ended, as an :class:`ExitInfo`; ``None`` while it
        runs.

        >>> p = exec_process(["sh", "-c", "kill -9 $$"])
        >>> p.join()
        >>> p.exit_info.signal, p.exit_info.code, p.exit_info.core
        (9, None, False)
        """
        popen = self._get_popen()
        if popen.poll() is None:
            return None
        return exit_info_of(_native.process_info(popen._p))

    @property
    def returncode(self) -> int | None:
        """The same as ``exitcode``."""
        return self.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until the process ends, and returns the exit code.

        :arg timeout: seconds; ``None`` (the default) or a negative number waits
            indefinitely.

        Raises :exc:`GIPCTimeout` if the timeout expires.

        >>> exec_process(["sh", "-c", "exit 3"]).wait()
        3
        """
        self.join(timeout)
        return self._code_or_timeout()

    def _code_or_timeout(self) -> int:
        code = self.exitcode
        if code is None:
            raise timed_out("timed out: %r is still running" % self)
        return code

    def communicate(
        self, input: Any = None, timeout: float | None = None
    ) -> tuple[Any, Any]:
        """Writes input to the stdin of the process and closes that, reads stdout
        and stderr to their ends, and waits until the process ends.

        :arg input: bytes, or text if the files are text files; ``None`` (the
            default): nothing.
        :arg timeout: seconds for all of it; ``None`` (the default) or a negative
            number waits indefinitely.
        :returns: (stdout, stderr), None for a stream that is not a pipe.

        Raises :exc:`GIPCTimeout` if the timeout expires; a second call then
        continues.

        >>> import subprocess
        >>> PIPE = subprocess.PIPE
        >>> p = exec_process(["tr", "a-z", "A-Z"], stdin=PIPE, stdout=PIPE)
        >>> p.communicate(b"hello")
        (b'HELLO', None)
        """
        deadline = deadline_of(timeout)
        talk = self._begin_talk(input)
        run(talk.run, current_backend(), deadline)
        self.join(None if deadline is None else max(0, deadline - monotonic()))
        self._code_or_timeout()
        return talk.result()

    def _begin_talk(self, input: Any) -> Talk:
        if self._talk is None:
            outputs = [self.stdout, self.stderr]
            self._talk = Talk(self.stdin, outputs, self._text, input)
        elif input is not None:
            raise ValueError("input is given to the first communicate() only")
        return self._talk

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the streams and waits until the process ends; if an error
        leaves the block, stops the process."""
        self._close_streams()
        try:
            if kind is None:
                self.join()
                return
        except BaseException:
            self.stop()
            raise
        self.stop()

    def _close_streams(self) -> None:
        for stream in STREAMS:
            file = getattr(self, stream)
            if file is not None:
                try:
                    file.close()
                except BrokenPipeError:
                    pass  # the peer has closed the pipe


def _has_ended(pid: int) -> bool:
    """Whether the child has ended; it is not reaped."""
    try:
        what = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, pid, what) is not None
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)  # that of a tree is the child of its guard
    except OSError:
        return True
    return False
