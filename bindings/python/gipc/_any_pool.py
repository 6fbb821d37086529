"""What the pools of :mod:`gipc` and of :mod:`gipc.aio` have in common."""

from __future__ import annotations

import copy
import os
import pickle
import signal
from collections.abc import Iterable, Iterator, Sequence
from inspect import signature
from itertools import islice
from typing import TYPE_CHECKING, Any, Callable, Literal, NamedTuple, Optional

from . import _codec, _native, _worker
from ._any_process import AnyProcess
from ._backend import Backend
from ._crew import Crew
from ._mapping import Mapping, bar_of
from ._native import WHY_DONE, WHY_FAILED
from ._options import Start, names_of, refuse
from ._outcome import Call, result_of
from ._process import _popen_class, start_process
from ._program import _checked, exec_process, launched
from ._types import Decoder, Encoder, Text
from ._values import integer, naming, sequence

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._template import Template
    from ._types import PoolOptions

_RULES = frozenset(
    "least queue_limit queue_low retire_tasks retire_memory idle ahead poison "
    "prepare_failures ready_within silence dump grace first_delay longest_delay "
    "growth jitter healthy window limit seed".split()
)
_RETRY_FOR = {"died": 1, "timed_out": 2, "failed": 4}
_STATES = "off", "starting", "ready", "silent", "stopping", "killed"

Retry = Literal["died", "timed_out", "failed"]


class WorkerStats(NamedTuple):
    """A worker of a pool."""

    pid: int
    #: ``'starting'``, ``'ready'``, ``'silent'``, ``'stopping'`` or ``'killed'``.
    state: str
    #: The number of tasks that it was sent.
    tasks: int
    #: Seconds that its answered tasks took.
    busy: float
    #: Bytes of its resident set; None where the system does not tell.
    rss: Optional[int]


class PoolStats(NamedTuple):
    """The counters of a pool."""

    #: Tasks that wait for a worker, and that workers have.
    queued: int
    running: int
    #: Tasks that returned, that raised, and that ended in any other way.
    done: int
    failed: int
    lost: int
    #: Executions of tasks after the first.
    retries: int
    #: Workers that were started, and that ended without being asked to.
    starts: int
    failures: int
    workers: tuple[WorkerStats, ...]


def _split(
    given: dict[str, Any], caller: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of a start by this function, and the rules."""
    start = names_of(caller)
    start.remove("name")
    own = [*signature(AnyPool).parameters, *_RULES, *start]
    own.remove("options")
    for name in given:
        if name not in own:
            refuse(name, "Pool", own)
    given = {k: v for k, v in given.items() if v is not None}
    rules = {name: given.pop(name) for name in _RULES if name in given}
    return given, rules


def _caller(argv: object, launch: object) -> str:
    """The function that starts the workers."""
    if launch is None:
        return "start_process" if argv is None else "exec_process"
    if argv is not None:
        raise TypeError("argv, launch: one of them")
    return "launch"


class _Owner:
    """Stops the workers of a pool that nobody refers to any more."""

    def __init__(self, crew: Crew):
        self._crew = crew

    def __del__(self) -> None:
        self._crew.stop(0)


def _seconds(name: str, timeout: float | None) -> float:
    """For the library, where 0 is no limit."""
    if timeout is None:
        return 0
    with naming(name):
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError("expected a number of seconds, not %r" % (timeout,))
        if not timeout > 0:
            raise ValueError("it must be more than 0, not %r" % (timeout,))
    return timeout


def _mask(retry_for: Iterable[str]) -> int:
    with naming("retry_for"):
        mask = 0
        for name in sequence(retry_for):
            if name not in _RETRY_FOR:
                raise ValueError(
                    "expected some of %s, not %r" % (list(_RETRY_FOR), name)
                )
            mask |= _RETRY_FOR[name]
    return mask


class AnyPool:
    """The workers, and the options of the tasks."""

    def __init__(
        self,
        work: Callable[[Any], object] | None = None,
        workers: int | None = None,
        *,
        argv: Sequence[Text] | None = None,
        launch: Sequence[Text] | Callable[[], Sequence[Text]] | None = None,
        method: Literal["fork", "spawn", "template"] | Template = "fork",
        prepare: Callable[[], object] | None = None,
        timeout: float | None = None,
        priority: int = 0,
        retries: int = 0,
        retry_for: Iterable[Retry] = ("died",),
        encoder: Encoder = "default",
        decoder: Decoder = "default",
        **options: Unpack[PoolOptions],
    ):
        given, rules = _split(dict(options), _caller(argv, launch))
        for name, function in ("work", work), ("prepare", prepare):
            if function is not None and not callable(function):
                raise TypeError(
                    "`%s` must be callable, not %r" % (name, function)
                )
        if launch is not None and rules.get("ahead"):
            raise ValueError(
                "ahead: not with launch, as an answer may be lost in a launcher"
            )
        is_program = argv is not None or launch is not None
        if is_program and (work is not None or prepare is not None):
            raise TypeError(
                "argv, launch: the program has a work and prepare of its own"
            )
        self._defaults = (
            _seconds("timeout", timeout),
            priority,
            retries,
            _mask(retry_for),
        )
        self._check_defaults(self._defaults)
        self._takes_calls = work is None and not is_program
        self._encode = _codec.find(encoder, 0)
        self._decode = _codec.find(decoder, 1)
        self._is_pickled = not is_program or decoder in ("default", "pickle")
        given.setdefault("daemon", True)
        start = _Starter(work, prepare, argv, launch, method, given, rules)
        start.codecs = self._encode, self._decode
        if workers is None:
            workers = os.cpu_count() or 1
        most = _count("workers", workers)
        self._crew = _crew(start, rules, most)
        self._window = max(16, (4 + 2 * rules.get("ahead", 0)) * most)
        self._owner = _Owner(self._crew)

    @staticmethod
    def _check_defaults(defaults: tuple[float, int, int, int]) -> None:
        _, priority, retries, _ = defaults
        with naming("priority"):
            if not -(2**31) <= integer(priority) < 2**31:
                raise ValueError("%r is not valid" % priority)
        with naming("retries"):
            if not 0 <= integer(retries) < 2**31:
                raise ValueError("%r is not valid" % retries)

    def with_options(
        self,
        *,
        timeout: float | None = None,
        priority: int = 0,
        retries: int = 0,
        retry_for: Iterable[Retry] = ("died",),
    ) -> Self:
        """The same pool, with other options of the tasks that are submitted
        through the returned object.

        :arg timeout: seconds in which each attempt must end; then its worker is
            stopped, and the task raises :exc:`TaskTimeout`.
        :arg priority: tasks of a higher one are carried out first.
        :arg retries: how often a task is carried out again.
        :arg retry_for: for what: ``'died'`` (its worker ended), ``'timed_out'``,
            ``'failed'`` (it raised).
        """
        view = copy.copy(self)
        view._defaults = (
            _seconds("timeout", timeout), priority, retries, _mask(retry_for)
        )
        self._check_defaults(view._defaults)
        return view

    def _options(
        self,
        timeout: float | None,
        priority: int | None,
        retries: int | None,
        retry_for: Iterable[str] | None,
    ) -> tuple[float, int, int, int]:
        default = self._defaults
        options = (
            default[0] if timeout is None else _seconds("timeout", timeout),
            default[1] if priority is None else priority,
            default[2] if retries is None else retries,
            default[3] if retry_for is None else _mask(retry_for),
        )
        self._check_defaults(options)
        return options

    def _data(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> bytes:
        """The bytes of a task."""
        if self._takes_calls:
            if not arguments:
                raise TypeError("the function to call is missing")
            function, *rest = arguments
            if not callable(function):
                raise TypeError("%r is not callable" % (function,))
            return pickle.dumps((function, rest, named), pickle.HIGHEST_PROTOCOL)
        if len(arguments) != 1 or named:
            raise TypeError("a task of this pool is one argument")
        encode = self._encode
        data: Any = arguments[0] if encode is None else encode(arguments[0])
        return data if data.__class__ is bytes else bytes(memoryview(data))

    def _tasks(self, arguments: tuple[Any, ...], size: int) -> Iterator[bytes]:
        """The bytes of the tasks of a map(), with `size` calls in each."""
        with naming("chunksize"):
            if integer(size) < 1:
                raise ValueError("it must be 1 or more, not %r" % size)
            if size > 1 and not self._takes_calls:
                raise ValueError("the tasks of this pool are not calls")
        if not self._takes_calls:
            if len(arguments) != 1:
                raise TypeError("map() of this pool needs one iterable")
            return (self._data((item,), {}) for item in arguments[0])
        function, *iterables = arguments or (None,)
        if not iterables:
            raise TypeError("map() needs a function and an iterable")
        if not callable(function):
            raise TypeError("%r is not callable" % (function,))
        calls = zip(*iterables)
        if size == 1:
            return (self._data((function, *items), {}) for items in calls)
        chunks = iter(lambda: list(islice(calls, size)), [])
        each = _worker.call_each
        return (self._data((each, function, chunk), {}) for chunk in chunks)

    def _mapping(
        self,
        arguments: tuple[Any, ...],
        size: int,
        options: tuple[Any, ...],
        window: int | None,
        ordered: bool,
        progress: Any,
    ) -> Mapping:
        """The results of a map()."""
        tasks = self._tasks(arguments, size)
        if window is None:
            window = self._window
        with naming("window"):
            if integer(window) < 1:
                raise ValueError("it must be 1 or more, not %r" % window)
        with naming("progress"):
            bar = bar_of(progress, arguments[-1])
        return Mapping(self, tasks, options, window, ordered, bar, size > 1)

    def stats(self) -> PoolStats:
        """The counters of the pool.

        >>> with Pool(workers=1) as pool:
        ...     pool.call(len, "abc")
        ...     pool.stats().done
        3
        1
        """
        self._crew.check_process()
        queued, running, _, _, _, retries, starts, failures, ends = (
            self._crew.native.stats()
        )
        slots = map(self._crew.native.worker_stats, range(self._crew.most))
        workers = tuple(
            WorkerStats(pid, _STATES[state], tasks, busy, _rss(pid))
            for worker, pid, state, tasks, busy, _, _ in slots
            if worker
        )
        done, failed = ends[WHY_DONE], ends[WHY_FAILED]
        lost = sum(ends) - done - failed
        return PoolStats(
            queued, running, done, failed, lost, retries, starts, failures,
            workers,
        )

    def _driver_backend(self, backend: Backend) -> Backend:
        return backend

    # ---- The bodies of what waits ------------------------------------------------

    async def _submit(
        self, backend: Backend, data: bytes, user: Any, options: tuple[Any, ...]
    ) -> int:
        crew = self._crew
        if crew._driver is None:
            crew.start(self._driver_backend(backend))
        number = crew.submit(data, user, options)
        if number == 0:
            numbers: list[int] = []

            def submitted() -> bool:
                numbers[:] = [crew.submit(data, user, options)]
                return numbers[0] != 0

            await crew.wait_until(submitted, backend, None)
            number = numbers[0]
        return number

    async def _call(
        self, backend: Backend, data: bytes, options: tuple[Any, ...]
    ) -> Any:
        call = Call()
        call.number = await self._submit(backend, data, call, options)
        try:
            action = await call.wait(self._crew, backend)
        except BaseException:
            self._crew.native.cancel(call.number)
            raise
        return self._result_of(action)

    def _result_of(self, action: Any) -> Any:
        return result_of(action, self._crew, self._decode, self._is_pickled)

    async def _stop(self, backend: Backend, grace: float | None) -> None:
        crew = self._crew
        crew.check_process()
        crew.stop(-1 if grace is None else grace)
        await crew.wait_until(lambda: crew.is_over, backend, None)

    def __repr__(self) -> str:
        state = "closed" if self._crew.is_over else "open"
        return "<%s of %d workers, %s>" % (
            type(self).__name__, self._crew.most, state
        )


def _count(name: str, value: Any) -> int:
    with naming(name):
        if not 0 < integer(value) < 2**20:
            raise ValueError("%r is not valid" % (value,))
    return integer(value)


def _rss(pid: int) -> int | None:
    try:
        with open("/proc/%d/statm" % pid) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None


def _crew(start: _Starter, rules: dict[str, Any], most: int) -> Crew:
    for name, value in rules.items():
        with naming(name):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError("expected a number, not %r" % (value,))
    try:
        launch = None if start.launch is None else start.launched
        return Crew(start, launch, rules, most, start.dump_signal)
    except (KeyError, ValueError) as error:
        name = error.args[0]
        raise ValueError(
            "%s: %r is not valid" % (name, rules.get(name))
        ) from None


class _Starter:
    """Starts a worker.  Each error of an option is one of the constructor."""

    codecs: tuple[Any, Any] = (None, None)

    def __init__(
        self,
        work: Any,
        prepare: Any,
        argv: Any,
        launch: Any,
        method: Any,
        options: dict[str, Any],
        rules: dict[str, Any],
    ):
        self._work, self._prepare = work, prepare
        if argv is not None:
            argv = _checked(argv)
        if launch is not None and not callable(launch):
            with naming("launch"):
                launch = _checked(launch)
        self._argv, self._method, self._options = argv, method, options
        self.launch = launch
        checked = Start(_caller(argv, launch), options)
        if checked.is_pipe("stdin") or checked.is_pipe("stdout"):
            raise ValueError(
                "stdin, stdout: nothing would use this pipe; a program behind a "
                "launcher is the option launch"
            )
        _popen_class(method)
        self.dump_signal = int(signal.SIGUSR1) if "silence" in rules else 0

    def launched(self) -> tuple[AnyProcess, _native.Handle]:
        argv = self.launch() if callable(self.launch) else self.launch
        return launched(argv, {}, self._options)

    def __call__(self, worker: int, handle: Any) -> AnyProcess:
        options = self._options
        if self._argv is not None:
            return exec_process(self._argv, {"worker": handle}, **options)
        arguments = (
            handle, self._work, self._prepare, *self.codecs, self.dump_signal
        )
        return start_process(
            _worker.run, arguments, name="gipc-worker-%d" % worker,
            method=self._method, **options,
        )
