"""Child processes that tasks start and wait for."""

from functools import partial
from inspect import iscoroutine
from signal import SIGINT, default_int_handler, signal

from ._aio_wait import current, here
from ._process import start_process as _start_process
from ._program import exec_process as _exec_process
from ._wait import deadline_of


class Process:
    """A child process; ``await process.join()`` waits for its end.

    Everything else is as :class:`multiprocessing.Process` has it: ``pid``,
    ``name``, ``daemon``, ``exitcode``, ``is_alive``, ``terminate``, ``kill``,
    ``close``, ``sentinel``; and, of a program, ``stdin``, ``stdout``,
    ``stderr`` and ``send_signal``.
    """

    def __init__(self, process, end):
        self._process = process
        self._end = end

    async def join(self, timeout=None):
        """Waits for its end, or until timeout seconds are over.

        :arg timeout: ``None``, or a negative number, to wait for the end.
        """
        deadline = deadline_of(timeout)
        # Checks that it can be joined, and takes note when it has ended.
        self._process.join(0)
        waits = here()
        await waits.call(self._end.ended, waits, deadline)
        self._process.join(0)

    def __getattr__(self, name):
        return getattr(self._process, name)

    def __repr__(self):
        return repr(self._process)


def start_process(
    target, args=(), kwargs={}, daemon=None, name=None, method="fork"
):
    """Starts a child process that calls ``target(*args, **kwargs)``.

    As :func:`gipc.start_process`, and does not wait either.  Where the target
    is a coroutine function, the child runs it with what runs the caller:
    ``asyncio.run``, under uvloop on a loop of that, or ``trio.run``; with
    ``asyncio.run`` where nothing does.

    Handles of this module and of :func:`gipc.pipe` may be given, and arrive as
    what they are.

    :returns: a :class:`Process`.
    """
    waits = current()
    runner = _asyncio_run if waits is None else waits.runner()
    process = _start_process(
        partial(_call, target, runner), args, kwargs, daemon, name, method
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


def exec_process(argv, *arguments, **options):
    """Runs a program, as :func:`gipc.exec_process`, and does not wait either.

    Its ``stdin``, ``stdout`` and ``stderr`` are files, to be given to
    ``loop.connect_read_pipe`` and the like, or with their ``fileno()`` to
    ``trio.lowlevel.FdStream``.

    :returns: a :class:`Process`.
    """
    program = _exec_process(argv, *arguments, **options)
    return Process(program, program._end)
