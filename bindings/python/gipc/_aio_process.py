"""Child processes that tasks start and wait for."""

from functools import partial
from inspect import iscoroutine
from signal import SIGINT, default_int_handler, signal

from ._aio_wait import current, here
from ._any_process import is_over
from ._native import READ
from ._options import STREAMS, takes_options
from ._process import check_target, start_process as _start_process
from ._program import exec_process as _exec_process
from ._wait import deadline_of, timed_out


class Process:
    """A child process; ``await process.join()`` waits for its end.

    Everything else is as :class:`gipc.Process` and :class:`gipc.Program` have
    it: ``pid``, ``name``, ``daemon``, ``exitcode``, ``returncode``,
    ``exit_info``, ``is_alive``, ``send_signal``, ``signal_group``,
    ``terminate``, ``kill``, ``close``, ``sentinel``, ``stdin``, ``stdout``,
    ``stderr``.

    It is an asynchronous context manager: the end of the block closes its
    streams and waits for its end; where an error leaves it, it is stopped.
    """

    def __init__(self, process, end):
        self._process = process
        self._end = end
        self._closers = []  # of what open_streams has made

    async def join(self, timeout=None):
        """Waits for its end, or until timeout seconds are over.

        :arg timeout: ``None``, or a negative number, to wait for the end.
        """
        await self._join(deadline_of(timeout))

    async def _join(self, deadline):
        # Checks that it can be joined, and takes note when it has ended.
        self._process.join(0)
        waits = here()
        await waits.call(self._end.ended, waits, deadline)
        self._process.join(0)

    async def wait(self, timeout=None):
        """Waits for its end, and returns its exit code.  Raises
        :exc:`GIPCTimeout` when it runs after timeout seconds."""
        await self.join(timeout)
        return self._process._code_or_timeout()

    async def stop(self, grace=5.0):
        """Asks it to end (SIGTERM), kills it when it still runs after a while,
        and waits for its end.

        :arg grace: seconds until SIGKILL; ``None`` or infinite: never.
        """
        await self._stop(grace, self._process._get_end().signal)

    async def stop_group(self, grace=5.0):
        """The same for all processes of its group.  When it has ended itself,
        those that are left are killed at once."""
        await self._stop(grace, self._process._signal_group)

    async def _stop(self, grace, send):
        waits = here()
        for deadline in self._process._stop_steps(grace, send):
            await waits.call(self._wait_unreaped, waits, deadline)
        await self.join()

    async def _wait_unreaped(self, waits, deadline):
        if self._end.sentinel is not None:
            await waits.fd_ready(self._end.sentinel, READ, deadline)
            return
        while not is_over(self.pid, deadline):
            await waits.pause(0.005)

    async def communicate(self, input=None, timeout=None):
        """Writes input to its stdin and closes that, reads its stdout and
        stderr until their end, and waits for its end.

        :arg input: bytes, or text where its files are text files; ``None``:
            nothing.
        :returns: what it printed: (stdout, stderr), None for what is no pipe.

        Raises :exc:`GIPCTimeout` after timeout seconds; a second call goes on
        there.
        """
        deadline = deadline_of(timeout)
        waits = here()
        talk = self._process._begin_talk(input)
        await waits.call(self._communicate, talk, waits, deadline)
        await self._join(deadline)
        self._process._code_or_timeout()
        return talk.printed()

    async def _communicate(self, talk, waits, deadline):
        while talk.waits_for():
            if not await waits.any(talk.waits_for(), deadline):
                raise timed_out("the process has not closed its streams")
            talk.step()

    async def open_streams(self):
        """Makes streams of its pipes, of the kind of the library that runs: for
        asyncio a ``StreamWriter`` and ``StreamReader``, for trio a
        ``SendStream`` and ``ReceiveStream``, all of bytes.

        :returns: (stdin, stdout, stderr), None for what is no pipe.  They
            replace the files.

        >>> import asyncio, subprocess
        >>> PIPE = subprocess.PIPE
        >>> async def main():
        ...     async with exec_process(["cat"], stdin=PIPE, stdout=PIPE) as p:
        ...         stdin, stdout, _ = await p.open_streams()
        ...         stdin.write(b"hello")
        ...         stdin.close()
        ...         print(await stdout.read())
        >>> asyncio.run(main())
        b'hello'
        """
        waits = here()
        streams = []
        for number, name in enumerate(STREAMS):
            file = getattr(self._process, name)
            if file is None:
                streams.append(None)
                continue
            open_one = waits.open_reader if number else waits.open_writer
            stream, close = await open_one(file)
            streams.append(stream)
            self._closers.append(close)
            setattr(self._process, name, None)
        return tuple(streams)

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, trace):
        for close in self._closers:
            close()
        self._process._close_streams()
        try:
            if kind is None:
                await self.join()
                return
        except BaseException:
            await self._stop_shielded()
            raise
        await self._stop_shielded()

    async def _stop_shielded(self):
        """Also in a task that is cancelled."""
        try:
            await here().shielded(self.stop)
        except BaseException:
            self.kill()
            raise

    def __getattr__(self, name):
        return getattr(self._process, name)

    def __repr__(self):
        return repr(self._process)


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

    As :func:`gipc.start_process`, and does not wait either.  Where the target
    is a coroutine function, the child runs it with what runs the caller:
    ``asyncio.run``, under uvloop on a loop of that, or ``trio.run``; with
    ``asyncio.run`` where nothing does.  SIGINT cancels such a coroutine, as
    these do it, and the child ends with KeyboardInterrupt; it ends any other
    target.

    Handles of this module and of :func:`gipc.pipe` may be given, and arrive as
    what they are.

    :arg method: ``'fork'`` or ``'spawn'``.
    :options:

    :returns: a :class:`Process`.
    """
    check_target(target)
    waits = current()
    runner = _asyncio_run if waits is None else waits.runner()
    process = _start_process(
        partial(_call, target, runner), args, kwargs, daemon, name, method,
        **options,
    )
    return Process(process, process._popen)


def _asyncio_run(coroutine):
    import asyncio

    return asyncio.run(coroutine)


def _call(target, runner, *args, **kwargs):
    """In the child."""
    result = target(*args, **kwargs)
    if iscoroutine(result):
        # Both want to turn Ctrl-C into a cancellation, and do if they find
        # Python's own handler.
        signal(SIGINT, default_int_handler)
        runner(result)


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
    """Runs a program, as :func:`gipc.exec_process`, and does not wait either.

    Its ``stdin``, ``stdout`` and ``stderr`` are files, of which
    :meth:`Process.open_streams` makes streams.

    :arg argv: the program and its arguments.
    :arg handles: those that move into the child, by name.
    :options:

    :returns: a :class:`Process`.
    """
    options.update(env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
    program = _exec_process(argv, handles, name=name, daemon=daemon, **options)
    return Process(program, program._end)
