"""What children that run a function and children that run a program have in
common, beside what multiprocessing gives a process."""

import errno
import io
import os
from signal import SIGCONT, SIGKILL, SIGTERM
from typing import NamedTuple, Optional

from . import _native
from ._native import READ, WRITE
from ._options import STREAMS, naming, signal_number
from ._wait import current, deadline_of, monotonic, timed_out

_SOURCES = (None, "wait", "kernel", "reported", "child", "lost")
_ENDED = (
    "unknown",
    "return",
    "exit",
    "exception",
    "unwound",
    "before_start",
    "unsent",
)


class ExitInfo(NamedTuple):
    """How a child ended.  None stands for what is not known."""

    #: The exit code, None when a signal ended it.
    code: Optional[int]
    #: The number of the signal that ended it, or None.
    signal: Optional[int]
    #: Whether a core was dumped.
    core: bool
    #: How the status is known: ``'wait'``; ``'kernel'``, which kept it after
    #: another reaper had taken it; ``'reported'`` by gevent's child watcher;
    #: ``'child'``, by itself before its end; ``'lost'``.
    how: str
    #: Of a function in a fork: ``'return'``; ``'exit'``, by ``sys.exit``;
    #: ``'exception'``; ``'unsent'``, it returned or exited, with messages that
    #: could not be written; ``'before_start'``; ``'unknown'``, it was killed or
    #: left by ``os._exit``.  Of an interpreter or program: ``'unknown'``.
    ended: str
    #: Processor seconds in user mode.
    user: Optional[float]
    #: Processor seconds in the kernel.
    system: Optional[float]
    #: The largest resident set, in KiB.
    max_rss: Optional[int]


def _known(number):
    return None if number < 0 else number


def open_pipes(process, native, start):
    """Files for what is a pipe of its standard streams."""
    for which, stream in enumerate(STREAMS):
        if start.is_pipe(stream):
            fd = _native.process_stdio(native, which)
            setattr(process, stream, _file(fd, which, start.given))
    process._text = _text_of(start.given)


def _text_of(given):
    """The arguments of a text file, or None where bytes are wanted."""
    names = ("encoding", "errors")
    if not given.get("text") and not any(name in given for name in names):
        return None
    return {name: given.get(name) for name in names}


def _file(fd, which, given):
    text = _text_of(given)
    mode = ("w" if which == 0 else "r") + ("b" if text is None else "")
    if current().cooperative:
        from gevent.fileobject import FileObject

        return FileObject(fd, mode, **text or {})
    # The library's end is one for loops.
    os.set_blocking(fd, True)
    return open(fd, mode, **text or {})


class AnyProcess:
    """A child process: what both kinds of it have."""

    #: Its end of a standard stream that was started as ``subprocess.PIPE``.
    stdin = stdout = stderr = None
    _text = None
    _talk = None

    def _get_end(self):
        """Raises ValueError for one that is closed, or is not a child."""
        raise NotImplementedError

    def send_signal(self, number):
        """Sends a signal; nothing when it has ended.

        :arg number: a number, a ``signal.Signals``, or a name such as
            ``'TERM'``.
        """
        number = signal_number(number)
        try:
            self._get_end().signal(number)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise ValueError("%r is not a signal" % (number,)) from None

    def signal_group(self, number):
        """Sends a signal to all processes of its group; nothing once it has
        been reaped.  ValueError when it has no group of its own (the option
        ``group``)."""
        self._signal_group(signal_number(number))

    def _signal_group(self, number):
        native = self._get_end()._p
        try:
            _native.process_signal_group(native, number)
        except ProcessLookupError:
            pass
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise ValueError(
                "signal %r cannot be sent to a group: the process was not "
                "started with group='new' or 'session'" % (number,)
            ) from None

    def stop(self, grace=5.0):
        """Asks it to end (SIGTERM), kills it when it still runs after a while,
        and waits for its end.

        :arg grace: seconds until SIGKILL; ``None`` or infinite: never.
        """
        for deadline in self._stop_steps(grace, self._get_end().signal):
            self._wait_unreaped(deadline)
        self.join()

    def stop_group(self, grace=5.0):
        """The same for all processes of its group.  When it has ended itself,
        those that are left are killed at once."""
        for deadline in self._stop_steps(grace, self._signal_group):
            self._wait_unreaped(deadline)
        self.join()

    def _stop_steps(self, grace, send):
        """Gives the deadline of each wait for its end.  It is not reaped
        before its group has got its last signal."""
        with naming("grace"):
            deadline = deadline_of(grace)
            if grace is not None and grace < 0:
                raise ValueError("it must be 0 or more, not %r" % (grace,))
        send(SIGTERM)
        send(SIGCONT)  # a stopped process acts on it only once it goes on
        yield deadline
        send(SIGKILL)
        yield None

    def _wait_unreaped(self, deadline):
        end = self._get_end()
        waits = current()
        if end.sentinel is not None:
            waits.fd_ready(end.sentinel, READ, deadline)
            return
        while not is_over(self.pid, deadline):
            waits.pause(0.005)

    @property
    def exit_info(self):
        """How it ended, an :class:`ExitInfo`; ``None`` while it runs.

        >>> p = exec_process(["sh", "-c", "kill -9 $$"])
        >>> p.join()
        >>> p.exit_info.signal, p.exit_info.code, p.exit_info.core
        (9, None, False)
        """
        end = self._get_end()
        if end.poll() is None:
            return None
        info = _native.process_info(end._p)
        return ExitInfo(
            _known(info.code),
            info.signal or None,
            bool(info.core),
            _SOURCES[info.how],
            _ENDED[info.ended],
            _known(info.user),
            _known(info.system),
            _known(info.max_rss),
        )

    @property
    def returncode(self):
        """As ``exitcode``."""
        return self.exitcode

    def wait(self, timeout=None):
        """Waits for its end, and returns its exit code.  Raises
        :exc:`GIPCTimeout` when it runs after timeout seconds.

        >>> exec_process(["sh", "-c", "exit 3"]).wait()
        3
        """
        self.join(timeout)
        return self._code_or_timeout()

    def _code_or_timeout(self):
        code = self.exitcode
        if code is None:
            raise timed_out("the process still runs")
        return code

    def communicate(self, input=None, timeout=None):
        """Writes input to its stdin and closes that, reads its stdout and
        stderr until their end, and waits for its end.

        :arg input: bytes, or text where its files are text files; ``None``:
            nothing.
        :returns: what it printed: (stdout, stderr), None for what is no pipe.

        Raises :exc:`GIPCTimeout` after timeout seconds; a second call goes on
        there.

        >>> import subprocess
        >>> PIPE = subprocess.PIPE
        >>> p = exec_process(["tr", "a-z", "A-Z"], stdin=PIPE, stdout=PIPE)
        >>> p.communicate(b"hello")
        (b'HELLO', None)
        """
        deadline = deadline_of(timeout)
        talk = self._begin_talk(input)
        while talk.waits_for():
            if not current().any(talk.waits_for(), deadline):
                raise timed_out("the process has not closed its streams")
            talk.step()
        self.join(None if deadline is None else max(0, deadline - monotonic()))
        self._code_or_timeout()
        return talk.printed()

    def _begin_talk(self, input):
        if self._talk is None:
            self._talk = Talk(self, input)
        elif input is not None:
            raise ValueError("input is given to the first communicate() only")
        return self._talk

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        """Waits for its end, with its streams closed; where an error leaves the
        block, stops it."""
        self._close_streams()
        try:
            if kind is None:
                self.join()
                return
        except BaseException:
            self.stop()
            raise
        self.stop()

    def _close_streams(self):
        for stream in STREAMS:
            file = getattr(self, stream)
            if file is not None:
                try:
                    file.close()
                except BrokenPipeError:
                    pass  # nobody reads what was written


def is_over(pid, deadline):
    """Whether the child has ended, and is not reaped; or the time is over."""
    try:
        what = os.WEXITED | os.WNOHANG | os.WNOWAIT
        if os.waitid(os.P_PID, pid, what) is not None:
            return True
    except ChildProcessError:
        return True
    return deadline is not None and monotonic() >= deadline


class Talk:
    """What communicate() writes and reads, a step at a time."""

    def __init__(self, process, input):
        self._text = process._text
        if isinstance(input, str):
            if self._text is None:
                raise TypeError("input must be bytes, not text")
            input = _encoded(input, self._text)
        self._left = memoryview(input or b"").cast("B")
        if input is not None and process.stdin is None:
            raise ValueError("there is no stdin to write input to")
        self._stdin = process.stdin
        self._outputs = [process.stdout, process.stderr]
        self._read = [None if f is None else bytearray() for f in self._outputs]
        for file in (self._stdin, *self._outputs):
            if file is not None and not file.closed:
                os.set_blocking(file.fileno(), False)
        if not self._left:
            self._close_stdin()

    def waits_for(self):
        """Descriptors and directions, until there are none."""
        fds = [(f.fileno(), READ) for f in self._outputs if is_open(f)]
        if is_open(self._stdin):
            fds.append((self._stdin.fileno(), WRITE))
        return fds

    def step(self):
        if is_open(self._stdin):
            self._write()
        for file, data in zip(self._outputs, self._read):
            if is_open(file):
                self._read_from(file, data)

    def _write(self):
        try:
            done = os.write(self._stdin.fileno(), self._left[:65536])
            self._left = self._left[done:]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._close_stdin()

    def _close_stdin(self):
        if is_open(self._stdin):
            try:
                self._stdin.close()
            except BrokenPipeError:
                pass

    def _read_from(self, file, data):
        try:
            some = os.read(file.fileno(), 65536)
        except BlockingIOError:
            return
        data += some
        if not some:
            file.close()

    def printed(self):
        if self._text is None:
            return tuple(None if d is None else bytes(d) for d in self._read)
        return tuple(
            None if d is None else _decoded(d, self._text) for d in self._read
        )


def is_open(file):
    return file is not None and not file.closed


def _encoded(text, how):
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, newline="", **how) as file:
        file.write(text)
        file.flush()
        return raw.getvalue()


def _decoded(data, how):
    with io.TextIOWrapper(io.BytesIO(data), **how) as file:
        return file.read()
