"""Child processes that tasks start and wait for."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from inspect import iscoroutine
from signal import SIGINT, default_int_handler, signal
from typing import IO, TYPE_CHECKING, Any, Callable, Literal

from ._aio_pipe import Duplex, handle_classes
from ._any_process import AnyProcess, ExitInfo
from ._codec import find
from ._deadline import deadline_of
from ._handle import _GIPCHandle
from ._options import STREAMS, takes_options
from ._pair import AnyDuplex
from ._pipe import adopt_handle
from ._process import check_target
from ._process import start_process as _start_process
from ._program import exec_process as _exec_process
from ._program import launched
from ._tasks import current_backend, running_backend
from ._types import Deadline, Decoder, Encoder, File, Signal, Text

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ._template import Template
    from ._types import FunctionOptions, LaunchOptions, ProgramOptions


class Process:
    """A child process; ``await process.join()`` waits until it ends.

    The following are those of :class:`gipc.Process` and
    :class:`gipc.Program`: ``pid``, ``name``, ``daemon``, ``exitcode``,
    ``returncode``, ``exit_info``, ``is_alive``, ``send_signal``,
    ``signal_group``, ``terminate``, ``kill``, ``close``, ``sentinel``,
    ``stdin``, ``stdout``, ``stderr``.

    The process is an asynchronous context manager: the end of the block closes
    its streams and waits until it ends; if an error leaves the block, the
    process is stopped.
    """

    if TYPE_CHECKING:
        pid: int
        ident: int
        name: str
        daemon: bool
        stdin: IO[Any] | None
        stdout: IO[Any] | None
        stderr: IO[Any] | None

        @property
        def exitcode(self) -> int | None: ...

        @property
        def returncode(self) -> int | None: ...

        @property
        def exit_info(self) -> ExitInfo | None: ...

        @property
        def sentinel(self) -> int: ...

        def is_alive(self) -> bool: ...

        def terminate(self) -> None: ...

        def kill(self) -> None: ...

        def send_signal(self, number: Signal) -> None: ...

        def signal_group(self, number: Signal) -> None: ...

        def close(self) -> None: ...

    def __init__(self, process: AnyProcess):
        self._process = process
        # Functions that close what open_streams has made.
        self._closers: list[Callable[[], object]] = []

    async def join(self, timeout: float | None = None) -> None:
        """Waits until the process ends, or the timeout expires.

        :arg timeout: seconds; ``None`` (the default) or a negative number waits
            indefinitely.
        """
        await self._join(deadline_of(timeout))

    async def _join(self, deadline: Deadline) -> None:
        # The join of the process checks that it can be joined, and then
        # registers that it has ended.
        self._process.join(0)
        popen = self._process._get_popen()
        backend = running_backend()
        await backend.call(popen.wait_for_exit, backend, deadline)
        self._process.join(0)

    async def wait(self, timeout: float | None = None) -> int:
        """Waits until the process ends, and returns the exit code.

        :arg timeout: as for :meth:`join`.

        Raises :exc:`GIPCTimeout` if the timeout expires.
        """
        await self.join(timeout)
        return self._process._code_or_timeout()

    async def stop(self, grace: float | None = 5.0) -> None:
        """Sends SIGTERM, and SIGKILL if the process has not ended when the
        grace period expires; then joins it.

        :arg grace: the grace period in seconds; ``None`` or infinite: no
            SIGKILL is sent.
        """
        await self._stop(grace, self._process._get_popen().signal)

    async def stop_group(self, grace: float | None = 5.0) -> None:
        """As :meth:`stop`, for all processes of the group.  When the child
        itself has ended, the others are killed at once."""
        await self._stop(grace, self._process._signal_group)

    async def _stop(
        self, grace: float | None, send: Callable[[int], object]
    ) -> None:
        backend = running_backend()
        await backend.call(self._process._stop, backend, grace, send)
        await self.join()

    async def communicate(
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
        """
        deadline = deadline_of(timeout)
        backend = running_backend()
        talk = self._process._begin_talk(input)
        await backend.call(talk.run, backend, deadline)
        await self._join(deadline)
        self._process._code_or_timeout()
        return talk.result()

    async def open_streams(self) -> tuple[Any, Any, Any]:
        """Makes streams of the pipes, of the library that runs: for asyncio a
        ``StreamWriter`` and ``StreamReader``, for trio a ``SendStream`` and
        ``ReceiveStream``, all of bytes.

        :returns: (stdin, stdout, stderr), None for a stream that is not a pipe.
            They replace the files.

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
        backend = running_backend()
        streams: list[Any] = []
        for number, name in enumerate(STREAMS):
            file = getattr(self._process, name)
            if file is None:
                streams.append(None)
                continue
            open_one = backend.open_reader if number else backend.open_writer
            stream, close = await open_one(file)
            streams.append(stream)
            self._closers.append(close)
            setattr(self._process, name, None)
        stdin, stdout, stderr = streams
        return stdin, stdout, stderr

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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

    async def _stop_shielded(self) -> None:
        """Also in a task that is cancelled."""
        try:
            await running_backend().shielded(self.stop)
        except BaseException:
            self.kill()
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)

    def __repr__(self) -> str:
        return repr(self._process)


@takes_options
def start_process(
    target: Callable[..., object],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] = {},
    daemon: bool | None = None,
    name: str | None = None,
    method: Literal["fork", "spawn", "template"] | Template = "fork",
    **options: Unpack[FunctionOptions],
) -> Process:
    """Starts a child process that calls ``target(*args, **kwargs)``.

    As :func:`gipc.start_process`, and does not wait either.  If the target is a
    coroutine function, the child runs it with the library that runs the caller:
    ``asyncio.run``, under uvloop on a loop of uvloop, or ``trio.run``;
    ``asyncio.run`` if neither runs.  SIGINT cancels such a coroutine, as these
    libraries do, and the child ends with KeyboardInterrupt; any other target is
    ended by SIGINT.

    Handles of this module and of :func:`gipc.pipe` can be passed, and keep their
    classes.

    :arg method: ``'fork'`` (the default), ``'spawn'``, ``'template'`` or a
        :class:`gipc.Template`.
    :options:

    :returns: a :class:`Process`.
    """
    check_target(target)
    backend = current_backend()
    runner = _asyncio_run if backend is None else backend.runner()
    return Process(
        _start_process(
            partial(_call, target, runner), args, kwargs, daemon, name, method,
            **options,
        )
    )


def _asyncio_run(coroutine: Coroutine[Any, Any, object]) -> object:
    import asyncio

    return asyncio.run(coroutine)


def _call(
    target: Callable[..., object],
    runner: Callable[[Coroutine[Any, Any, object]], object],
    *args: Any,
    **kwargs: Any,
) -> None:
    """In the child."""
    result = target(*args, **kwargs)
    if iscoroutine(result):
        # asyncio and trio turn Ctrl-C into a cancellation if they find the
        # handler of Python.
        signal(SIGINT, default_int_handler)
        runner(result)


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
) -> Process:
    """Runs a program, as :func:`gipc.exec_process`, and does not wait either.

    ``stdin``, ``stdout`` and ``stderr`` of the process are files, of which
    :meth:`Process.open_streams` makes streams.

    :arg argv: the program and its arguments.
    :arg handles: the handles that pass into the child, by name.
    :options:

    :returns: a :class:`Process`.
    """
    return Process(
        _exec_process(
            argv, handles, env, cwd, stdin, stdout, stderr, name, daemon,
            **options,
        )
    )


@takes_options
def launch(
    argv: Sequence[Text],
    *,
    handles: Mapping[str, _GIPCHandle | AnyDuplex[Any, Any]] = {},
    encoder: Encoder = "msgpack",
    decoder: Decoder = "msgpack",
    **options: Unpack[LaunchOptions],
) -> tuple[Process, Duplex[Any, Any]]:
    """Runs a program behind a launcher, and makes a handle of its standard input
    and output, as :func:`gipc.launch`, and does not wait either.

    :arg argv: the launcher, the program and their arguments.
    :arg handles: the handles that pass into the child, by name.
    :arg encoder, decoder: as for :func:`stdio`.
    :options:

    :returns: (process, handle): a :class:`Process` and a :class:`Duplex`.

    >>> import asyncio
    >>> async def main():
    ...     process, handle = launch(["cat"], encoder="json", decoder="json")
    ...     async with process, handle:
    ...         await handle.put("there and back")
    ...         print(await handle.get(timeout=20))
    >>> asyncio.run(main())
    there and back
    """
    codecs = find(encoder, 0), find(decoder, 1)
    process, native = launched(argv, handles, dict(options))
    return Process(process), adopt_handle(handle_classes, native, *codecs)
