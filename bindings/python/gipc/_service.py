"""Services: the processes that a keeper keeps running, and how they are started."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Callable, Literal

from . import _native
from ._any_process import AnyProcess
from ._options import Start, names_of, refuse
from ._passing import handles_among
from ._process import _popen_class, check_target
from ._program import _checked, exec_process
from ._types import Signal, Text
from ._values import boolean, mapping, naming, path, sequence, signal_number
from ._worker import dump_on

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._template import Template
    from ._types import ServiceOptions

_RULES = frozenset(
    "ready_within silence dump grace first_delay longest_delay growth jitter "
    "healthy window limit seed".split()
)
_RESTART = {
    "always": _native.RESTART_ALWAYS,
    "on_failure": _native.RESTART_ON_FAILURE,
    "never": _native.RESTART_NEVER,
}
# Those of this process are for its own supervisor.
_OF_SUPERVISOR = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Service:
    """A process that a keeper keeps running, and the rules of that: a function,
    ``Service(function, args)``, or a program, ``Service(argv=[...])``.

    :arg target: the function, which is called in a new process,
        ``target(*args, **kwargs)``.
    :arg args, kwargs: its arguments.  args may be a function, which is called
        in this process before each start and returns the arguments.  That is
        needed for handles, as they pass into one process.
    :arg argv: instead of a function: a program and its arguments.
    :arg handles: of a program: those that pass into it, by name; or a function
        that returns them, which is called before each start.
    :arg name: the default is the name of the function or program.
    :arg method: as for :func:`start_process`.
    :arg restart: when the process is started again: ``'always'``;
        ``'on_failure'``, unless it ended with exit code 0; ``'never'``.
    :arg notify: whether the service tells when it is ready, by
        :func:`gipc.ready` or any implementation of sd_notify(3).  False: it is
        ready when it has been started.
    :arg ready_within: seconds from the start in which it must be ready; the
        default is no limit.
    :arg silence: seconds after which a service that shows no sign of life
        (:func:`gipc.alive`, sd_notify) is stopped; the default is no limit.
        ``dump`` seconds (5) before it gets the signal ``dump_signal``.
    :arg dump_signal: the default is SIGUSR1 for a function, in whose process
        :mod:`faulthandler` prints the stacks then; for a program none is sent.
        0: none.
    :arg grace: seconds from SIGTERM to SIGKILL (5).
    :arg first_delay, longest_delay, growth, jitter: of the delay before a
        restart: it begins with 0.1 seconds, is doubled (growth) with each
        failure in a row up to 30, and a part of it (0.5) is random.
    :arg healthy: so many seconds after its start (10) a process has not failed:
        the delay begins with the first again.
    :arg limit, window: after so many restarts in so many seconds (60) the
        service is given up; the default is no limit.
    :arg seed: of the random part of the delays.

    All other options are those of :func:`start_process`, or of
    :func:`exec_process` with argv; ``daemon`` is True by default: the service is
    killed when this process ends.

    Raises :exc:`TypeError` or :exc:`ValueError`, which name the option.
    """

    def __init__(
        self,
        target: Callable[..., object] | None = None,
        args: Iterable[Any] | Callable[[], Iterable[Any]] = (),
        kwargs: Mapping[str, Any] = {},
        *,
        argv: Sequence[Text] | None = None,
        handles: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = {},
        name: str | None = None,
        method: Literal["fork", "spawn", "template"] | Template = "fork",
        restart: Literal["always", "on_failure", "never"] = "always",
        notify: bool = False,
        dump_signal: Signal | None = None,
        **options: Unpack[ServiceOptions],
    ):
        if (target is None) == (argv is None):
            raise TypeError("a service has a target, or argv")
        if argv is None:
            check_target(target)
        else:
            argv = _checked(argv)
        self.name = _name(name, target, argv)
        with naming("service %r" % self.name):
            self._options, self.rules = _split(dict(options), argv is not None)
            self.rules["restart"] = _restart_rule(restart)
            with naming("notify"):
                notify = boolean(notify)
            if notify:
                self.rules["notify"] = 1
            _check_rules(self.rules)
            _check_start(self._options, argv is not None)
            _popen_class(method)
            self.dump_signal = _dump_signal(
                dump_signal, argv is None and self._silence > 0
            )
            _check_arguments(argv is None, args, kwargs, handles)
            if restart != "never":
                _check_passes_once(args, kwargs, handles)
        self._target: Any = target
        self._args, self._kwargs = args, kwargs
        self._argv, self._handles, self._method = argv, handles, method

    @property
    def notifies(self) -> bool:
        return "notify" in self.rules

    @property
    def is_program(self) -> bool:
        return self._argv is not None

    @property
    def needs_socket(self) -> bool:
        """Whether the service sends datagrams of sd_notify(3)."""
        return self.notifies or self._silence > 0

    @property
    def is_coroutine(self) -> bool:
        return iscoroutinefunction(self._target)

    @property
    def _silence(self) -> float:
        return float(self.rules.get("silence", 0))

    def start(
        self, start_function: Callable[..., AnyProcess], address: str | None
    ) -> AnyProcess:
        """Starts a process.  address: where it sends its datagrams."""
        options = dict(self._options, name=self.name)
        env = self._environment(options.get("env"), address)
        if env is not None:
            options["env"] = env
        if self._argv is not None:
            return exec_process(self._argv, _called(self._handles), **options)
        target = partial(
            _run, self._target, self.dump_signal, self._silence > 0
        )
        return start_function(
            target, tuple(_called(self._args)), dict(self._kwargs),
            method=self._method, **options,
        )

    def _environment(
        self, given: Mapping[str, str] | None, address: str | None
    ) -> Mapping[str, str] | None:
        """None: that of this process."""
        env: dict[str, str] = dict(os.environ if given is None else given)
        if given is None:
            for name in _OF_SUPERVISOR:
                env.pop(name, None)
            if address is None and len(env) == len(os.environ):
                return None
        if address is not None:
            env["NOTIFY_SOCKET"] = address
            env.pop("WATCHDOG_PID", None)
            if self._silence > 0:
                env["WATCHDOG_USEC"] = "%d" % (self._silence * 1_000_000)
        return env

    def __repr__(self) -> str:
        return "<Service %r>" % self.name


def _run(
    target: Callable[..., object],
    signal: int,
    is_watched: bool,
    *args: Any,
    **kwargs: Any,
) -> object:
    """In the process of a service."""
    dump_on(signal)
    if is_watched:
        _native.report_alive()  # the keeper may send that signal from now on
    return target(*args, **kwargs)


def _called(value: Any) -> Any:
    return value() if callable(value) else value


# ---- Checks --------------------------------------------------------------------


def _name(name: Any, target: Any, argv: list[Any] | None) -> str:
    if name is None and argv is not None:
        name = os.path.basename(os.fsdecode(argv[0]))
    elif name is None:
        name = getattr(target, "__name__", None)
        if name is None:
            raise TypeError("name: %r has none of its own" % (target,))
    with naming("name"):
        if not isinstance(name, str) or not name:
            raise TypeError("expected a string, not %r" % (name,))
        return os.fsdecode(path(name))


def _split(
    given: dict[str, Any], is_program: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of a start, and the rules."""
    start = names_of("exec_process" if is_program else "start_process")
    own = [*signature(Service).parameters, *_RULES, *start]
    own.remove("options")
    for name in given:
        if name not in own:
            refuse(name, "Service", own)
    given.setdefault("daemon", True)
    given = {k: v for k, v in given.items() if v is not None}
    rules = {name: given.pop(name) for name in _RULES if name in given}
    return given, rules


def _restart_rule(restart: Any) -> int:
    if restart not in _RESTART:
        raise ValueError(
            "restart: expected one of %s, not %r" % (list(_RESTART), restart)
        )
    return _RESTART[restart]


def _check_rules(rules: dict[str, Any]) -> None:
    for name, value in rules.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError("%s: expected a number, not %r" % (name, value))
    try:
        _native.check_rules(rules)
    except (KeyError, ValueError) as error:
        name = error.args[0]
        raise ValueError(
            "%s: %r is not valid" % (name, rules.get(name))
        ) from None


def _check_start(options: dict[str, Any], is_program: bool) -> None:
    start = Start("exec_process" if is_program else "start_process", options)
    for name in "stdin", "stdout":
        if start.is_pipe(name):
            raise ValueError("%s: nothing would use this pipe" % name)


def _dump_signal(given: Any, is_default: bool) -> int:
    if given is None:
        return int(signal.SIGUSR1) if is_default else 0
    with naming("dump_signal"):
        return signal_number(given)


def _check_arguments(
    is_function: bool, args: Any, kwargs: Any, handles: Any
) -> None:
    if is_function and handles:
        raise TypeError("handles: those of a function are among its args")
    if not is_function and (args or kwargs):
        raise TypeError("args: those of a program are in argv")
    if not callable(args):
        with naming("args"):
            sequence(args)
    with naming("kwargs"):
        mapping(kwargs)
    if not callable(handles):
        with naming("handles"):
            mapping(handles)


def _check_passes_once(args: Any, kwargs: Any, handles: Any) -> None:
    for name, value in ("args", args), ("kwargs", kwargs), ("handles", handles):
        if not callable(value) and handles_among([value]):
            raise TypeError(
                "%s: a handle passes into one process; give a function that "
                "returns those of each start" % name
            )
