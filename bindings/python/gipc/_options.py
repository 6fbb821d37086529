"""The options of a start: one table, for start_process, exec_process and launch,
in :mod:`gipc` and in :mod:`gipc.aio`."""

from __future__ import annotations

import codecs
import inspect
import io
import os
import re
import subprocess
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, NamedTuple, NoReturn, Optional, TypeVar

from . import _native
from ._types import Text
from ._values import (
    boolean,
    call_setter,
    descriptor,
    integer,
    mapping,
    naming,
    path,
    sequence,
    signal_number,
)

Function = TypeVar("Function", bound=Callable[..., Any])
Apply = Callable[[_native.Options, Any], object]

STREAMS = ("stdin", "stdout", "stderr")
GROUPS = {
    "inherit": _native.GROUP_INHERIT,
    "new": _native.GROUP_NEW,
    "session": _native.GROUP_SESSION,
    "tree": _native.GROUP_TREE,
}


# ---- Setters -----------------------------------------------------------------


def _text(setter: Callable[..., object]) -> Apply:
    return lambda o, value: call_setter(setter, o, path(value))


def _number(setter: Callable[..., object]) -> Apply:
    return lambda o, value: call_setter(setter, o, integer(value))


def _flag(setter: Callable[..., object]) -> Apply:
    return lambda o, value: setter(o, 1 if boolean(value) else 0)


def _signal(setter: Callable[..., object]) -> Apply:
    return lambda o, value: call_setter(setter, o, signal_number(value))


def _env(o: _native.Options, value: Any) -> None:
    _native.options_clear_env(o)
    for key, text in mapping(value):
        key = os.fsencode(path(key))
        if not key or b"=" in key:
            raise ValueError(
                "%r is not a valid name of a variable" % os.fsdecode(key)
            )
        with naming("the variable %r" % os.fsdecode(key)):
            call_setter(_native.options_set_env, o, key, path(text))


def _stream(which: int) -> Apply:
    """A setter for stdin, stdout or stderr."""
    modes = {
        subprocess.PIPE: _native.STDIO_PIPE,
        subprocess.DEVNULL: _native.STDIO_NULL,
        subprocess.STDOUT: _native.STDIO_STDOUT,
    }

    def apply(o: _native.Options, value: Any) -> None:
        if isinstance(value, int) and value in modes:
            if value == subprocess.STDOUT and which != 2:
                raise ValueError("STDOUT is for stderr only")
            call_setter(_native.options_set_stdio, o, which, modes[value], -1)
        else:
            fd = descriptor(value)
            call_setter(_native.options_set_stdio, o, which, _native.STDIO_FD, fd)

    return apply


def _text_file(find: Callable[[str], object]) -> Apply:
    """Checks the arguments of text files before there is a child."""

    def apply(o: _native.Options, value: Any) -> None:
        try:
            find(value)
        except LookupError as error:
            raise ValueError(str(error)) from None

    return apply


def _encoding(value: str) -> None:
    io.TextIOWrapper(io.BytesIO(), encoding=value)


def _map_fds(o: _native.Options, value: Any) -> None:
    for number, file in mapping(value):
        fd = descriptor(file)
        call_setter(_native.options_map_fd, o, fd, integer(number))


def _group(o: _native.Options, value: Any) -> None:
    if value not in GROUPS:
        raise ValueError("expected one of %s, not %r" % (list(GROUPS), value))
    call_setter(_native.options_set_group, o, GROUPS[value])


def _terminal(o: _native.Options, value: Any) -> None:
    call_setter(_native.options_set_terminal, o, descriptor(value))


def _rlimits(o: _native.Options, value: Any) -> None:
    import resource

    for key, limit in mapping(value):
        number = key
        if isinstance(key, str):
            name = key.upper()
            if not name.startswith("RLIMIT_"):
                name = "RLIMIT_" + name
            number = getattr(resource, name, None)
            if number is None:
                raise ValueError("%r is not a valid resource" % key)
        pair = limit if isinstance(limit, (tuple, list)) else (limit, limit)
        with naming(repr(key)):
            soft, hard = (
                2**64 - 1 if n in (None, resource.RLIM_INFINITY) else integer(n)
                for n in pair
            )
            call_setter(_native.options_set_rlimit, o, integer(number), soft, hard)


def _keep_fds(o: _native.Options, value: Any) -> None:
    if value == "all":
        _native.options_keep_all_fds(o)
    else:
        _native.options_keep_fds(o, numbers(value))


def _block_signals(o: _native.Options, value: Any) -> None:
    for one in sequence(value):
        call_setter(_native.options_block_signal, o, signal_number(one))


def numbers(items: Iterable[int]) -> _native.Numbers:
    """A list of integers for the library."""
    result = _native.numbers_new()
    for item in items:
        call_setter(_native.numbers_add, result, item)
    return result


def argument_vector(items: Iterable[Any]) -> _native.Words:
    """A list of strings for the library."""
    result = _native.words_new()
    for number, item in enumerate(items):
        with naming("argv[%d]" % number):
            _native.words_add(result, path(item))
    return result


def _id(database: Callable[[str], Any], field: int, value: Any) -> int:
    """The number of a user or a group, which may be given by name."""
    if not isinstance(value, str):
        return integer(value)
    try:
        number: int = database(value)[field]
        return number
    except KeyError:
        raise ValueError("%r is not known on this system" % value) from None


def _set_identity(
    o: _native.Options,
    user: Any = None,
    uid: Any = None,
    gid: Any = None,
    groups: Any = None,
) -> None:
    import grp
    import pwd

    if gid is not None:
        gid = _id(grp.getgrnam, 2, gid)
    if uid is not None:
        if user is not None:
            raise ValueError("user and uid contradict each other")
        uid = integer(uid)
    if user is not None:
        get: Any = pwd.getpwnam if isinstance(user, str) else pwd.getpwuid
        try:
            entry = get(user)
        except KeyError:
            raise ValueError("%r is not known on this system" % (user,)) from None
        uid, gid = entry.pw_uid, entry.pw_gid if gid is None else gid
        if groups is None:
            groups = os.getgrouplist(entry.pw_name, gid)
    if groups is None:
        if uid is not None:
            call_setter(_native.options_set_uid, o, uid)
        if gid is not None:
            call_setter(_native.options_set_gid, o, gid)
        return
    if uid is None or gid is None:
        raise ValueError("groups need a user, or uid and gid")
    ids = [_id(grp.getgrnam, 2, group) for group in sequence(groups)]
    set_user = _native.options_set_user
    call_setter(set_user, o, uid, gid, numbers(ids))


# ---- The table ---------------------------------------------------------------


class Option(NamedTuple):
    text: str
    apply: Optional[Apply] = None  # None: see Start
    programs_only: bool = False


_OF_STREAM = (
    "``None`` (the stream of this process), a descriptor, an object with "
    "``fileno`` (also a handle, which stays open in this process), or "
    "``subprocess.PIPE``, ``DEVNULL``"
)

OPTIONS = {
    "name": Option(
        "the name in messages; the default is generated.",
        _text(_native.options_set_name),
    ),
    "daemon": Option(
        "whether the child is killed when this process ends, even by SIGKILL.",
        _flag(_native.options_set_daemon),
    ),
    "death_signal": Option(
        "the signal that a daemon gets then, instead of SIGKILL; makes the child "
        "a daemon.",
        _signal(_native.options_set_death_signal),
    ),
    "env": Option(
        "the whole environment as a dictionary; the default is that of this "
        "process.",
        _env,
    ),
    "cwd": Option("the working directory.", _text(_native.options_set_cwd)),
    "stdin": Option(_OF_STREAM + ".", _stream(0)),
    "stdout": Option(_OF_STREAM + ".", _stream(1)),
    "stderr": Option(_OF_STREAM + ", ``STDOUT``.", _stream(2)),
    "text": Option(
        "True: the files of pipes are text files, as those of ``subprocess``.",
        lambda o, value: boolean(value),
    ),
    "encoding": Option("of these files; implies text.", _text_file(_encoding)),
    "errors": Option(
        "of these files, as for ``open``; implies text.",
        _text_file(codecs.lookup_error),
    ),
    "map_fds": Option(
        "more descriptors for the child: a dictionary from the number in the "
        "child to a descriptor, or an object with ``fileno``, of this process.",
        _map_fds,
    ),
    "keep_fds": Option(
        "the descriptors that stay open in the child, in addition to 0 to 2, "
        "passed handles, and, with method 'fork', those that Python itself "
        "uses: a list of numbers or objects with ``fileno``, or ``'all'``.  The "
        "child must not use an object whose descriptor was closed.  The default "
        "is none for a program, and for method 'fork' all except those of "
        "handles and processes.",
        _keep_fds,
    ),
    "program": Option(
        "the file to run; the program then gets argv[0] only as an argument.",
        _text(_native.options_set_program),
        programs_only=True,
    ),
    "group": Option(
        "``'new'``: the child leads a process group of its own; "
        "``'session'``: a session of its own, without a terminal; "
        "``'tree'``: the same, and all that the child starts ends with it; "
        "``'inherit'``, the default.",
        _group,
    ),
    "terminal": Option(
        "the controlling terminal of a session of its own: a descriptor, or an "
        "object with ``fileno``.",
        _terminal,
    ),
    "umask": Option("as for ``os.umask``.", _number(_native.options_set_umask)),
    "nice": Option(
        "what is added to the nice value.", _number(_native.options_set_nice)
    ),
    "user": Option(
        "the name or number of a user, whose user ID, group and supplementary "
        "groups the child gets.  Usually needs the superuser."
    ),
    "uid": Option("the user ID alone."),
    "gid": Option("the group, a name or number; alone, or with user."),
    "groups": Option(
        "the supplementary groups, a list of names and numbers; with user, or "
        "with uid and gid."
    ),
    "rlimits": Option(
        "a dictionary as ``{'nofile': 64, 'core': (0, None)}``: a limit, or the "
        "soft and the hard one, for a name or number of :mod:`resource`; None "
        "is no limit.",
        _rlimits,
    ),
    "no_new_privileges": Option(
        "True: the child gains no privileges from programs that it executes "
        "(Linux).",
        _flag(_native.options_set_no_new_privileges),
    ),
    "block_signals": Option(
        "a list of signals that are blocked in the child at its start: numbers, "
        "``signal.Signals``, or names such as ``'TERM'``.",
        _block_signals,
    ),
}
_IDENTITY = frozenset(("user", "uid", "gid", "groups"))


class Start:
    """The options of one start."""

    # Options by the names of gipc_options_failed().
    _FAILED = {
        "pass": "handles",
        "stdio": "stdin, stdout, stderr",
        "map_fd": "map_fds",
        "rlimit": "rlimits",
    }

    def __init__(
        self, caller: str, given: Mapping[str, Any], name: str | None = None
    ):
        """given: the options.  Each error names its option."""
        self.native = _native.options_new()
        if name is not None:
            with naming("name"):
                call_setter(_native.options_set_name, self.native, path(name))
        names = names_of(caller)
        for name in given:
            if name not in names:
                refuse(name, caller, names)
        self.given: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        if self.given.get("keep_fds", "all") != "all":
            with naming("keep_fds"):
                fds = sequence(self.given["keep_fds"])
                self.given["keep_fds"] = list(map(descriptor, fds))
        for name, value in self.given.items():
            apply = OPTIONS[name].apply
            if apply is not None:
                with naming(name):
                    apply(self.native, value)
        if not _IDENTITY.isdisjoint(self.given):
            identity = {k: v for k, v in self.given.items() if k in _IDENTITY}
            with naming(", ".join(identity)):
                _set_identity(self.native, **identity)

    def is_pipe(self, stream: str) -> bool:
        value = self.given.get(stream)
        return isinstance(value, int) and value == subprocess.PIPE

    @property
    def kept_fds(self) -> list[int] | None:
        """The descriptors of the option keep_fds; None: all."""
        fds: Any = self.given.get("keep_fds", "all")
        return None if fds == "all" else fds

    def follow_environment(self) -> None:
        """In a child: updates os.environ, as the library has changed the
        environment of C."""
        if "env" in self.given:
            os.environ.clear()
            os.environ.update(
                (os.fsdecode(key), os.fsdecode(text))
                for key, text in self.given["env"].items()
            )

    def name_failure(self, error: OSError, argv: Sequence[Text] = ()) -> None:
        """Adds to the error of a start what has failed."""
        what = _native.options_failed(self.native)
        if what == "program":
            error.filename = self.given.get("program") or os.fspath(argv[0])
        elif what == "cwd":
            error.filename = self.given["cwd"]
        elif what is not None:
            what = self._FAILED.get(what, what)
            error.strerror = "%s (%s)" % (error.strerror, what)


def names_of(caller: str) -> list[str]:
    """The options of start_process, exec_process or launch."""
    return [
        name
        for name, option in OPTIONS.items()
        if not (option.programs_only and caller == "start_process")
        and not (name in ("stdin", "stdout") and caller == "launch")
    ]


def refuse(name: str, caller: str, names: Iterable[str]) -> NoReturn:
    """Raises the error of an option that is not one of these."""
    import difflib

    near = difflib.get_close_matches(name, list(names), 1)
    raise TypeError(
        "%s() has no option %r%s"
        % (caller, name, "".join("; did you mean %r?" % n for n in near))
    )


def takes_options(function: Function) -> Function:
    """Adds the options to help() and inspect.signature()."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind != p.VAR_KEYWORD]
    names = names_of(function.__name__)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        for name in names
        if name not in signature.parameters
    ]
    described: Any = function
    described.__signature__ = signature.replace(parameters=own + added)
    # Python 3.13 has removed the indentation; there is no text with -OO.
    mark = re.search("( *):options:\n", function.__doc__ or "")
    if mark is not None:
        more = mark[1] + "    "
        lines = "".join(
            textwrap.fill(
                "%s:arg %s: %s" % (mark[1], name, OPTIONS[name].text),
                width=79,
                subsequent_indent=more,
                break_on_hyphens=False,
            )
            + "\n"
            for name in names
        )
        described.__doc__ = described.__doc__.replace(mark[0], lines)
    return function
