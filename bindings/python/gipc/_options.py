"""The options of a start: one table, for start_process and exec_process, in
:mod:`gipc` and in :mod:`gipc.aio`."""

import codecs
import errno
import inspect
import io
import os
import re
import signal
import subprocess
import textwrap
from contextlib import contextmanager
from operator import index
from typing import Any, Callable, NamedTuple, Optional

from . import _native

STREAMS = ("stdin", "stdout", "stderr")
GROUPS = {
    "inherit": _native.GROUP_INHERIT,
    "new": _native.GROUP_NEW,
    "session": _native.GROUP_SESSION,
}


# ---- Values ------------------------------------------------------------------


def integer(value):
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError("an integer is needed, not %r" % (value,))
    return index(value)


def descriptor(value):
    """The number of a descriptor, or of an object with fileno."""
    fd = value.fileno() if hasattr(value, "fileno") else integer(value)
    if not 0 <= fd < 2**31:
        raise ValueError("%r is not a descriptor" % (value,))
    return fd


def path(value):
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError("a string or a path is needed, not %r" % (value,))
    return os.fspath(value)


def mapping(value):
    if not hasattr(value, "items"):
        raise TypeError("a dictionary is needed, not %r" % (value,))
    return value.items()


def sequence(value):
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise TypeError("a list is needed, not %r" % (value,))
    return value


def signal_number(value):
    """Of a number, a signal.Signals, or a name, such as "TERM" or "SIGTERM"."""
    if not isinstance(value, str):
        number = integer(value)
        if not 0 <= number < signal.NSIG:
            raise ValueError("%r is not a signal" % (value,))
        return number
    name = value if value.startswith("SIG") else "SIG" + value
    try:
        return int(signal.Signals[name])
    except KeyError:
        raise ValueError("%r is not a signal" % value) from None


@contextmanager
def naming(what):
    """A block whose errors say which argument they are about."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        # A subclass may be made of more than a text.
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind("%s: %s" % (what, error)) from None


def tell(setter, options, *values):
    """Calls one of the library's setters."""
    try:
        setter(options, *values)
    except (OSError, OverflowError) as error:
        # SWIG's OverflowError is in terms of C.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        shown = ", ".join(map(repr, values))
        raise ValueError("%s is not valid" % shown) from None


# ---- Setters -----------------------------------------------------------------


def _text(setter):
    return lambda o, value: tell(setter, o, path(value))


def _number(setter):
    return lambda o, value: tell(setter, o, integer(value))


def _flag(setter):
    return lambda o, value: setter(o, 1 if value else 0)


def _signal(setter):
    return lambda o, value: tell(setter, o, signal_number(value))


def _env(o, value):
    _native.options_clear_env(o)
    for key, text in mapping(value):
        key = os.fsencode(path(key))
        if not key or b"=" in key:
            raise ValueError(
                "%r is not the name of a variable" % os.fsdecode(key)
            )
        with naming("the variable %r" % os.fsdecode(key)):
            tell(_native.options_set_env, o, key, path(text))


def _stream(which):
    """A setter for stdin, stdout or stderr."""
    modes = {
        subprocess.PIPE: _native.STDIO_PIPE,
        subprocess.DEVNULL: _native.STDIO_NULL,
        subprocess.STDOUT: _native.STDIO_STDOUT,
    }

    def apply(o, value):
        if isinstance(value, int) and value in modes:
            if value == subprocess.STDOUT and which != 2:
                raise ValueError("STDOUT is for stderr only")
            tell(_native.options_set_stdio, o, which, modes[value], -1)
        else:
            fd = descriptor(value)
            tell(_native.options_set_stdio, o, which, _native.STDIO_FD, fd)

    return apply


def _text_file(look):
    """Checks, before there is a child, what its files are made with."""

    def apply(o, value):
        try:
            look(value)
        except LookupError as error:
            raise ValueError(str(error)) from None

    return apply


def _encoding(value):
    io.TextIOWrapper(io.BytesIO(), encoding=value)


def _map_fds(o, value):
    for number, file in mapping(value):
        fd = descriptor(file)
        tell(_native.options_map_fd, o, fd, integer(number))


def _group(o, value):
    if value not in GROUPS:
        raise ValueError("one of %s is needed, not %r" % (list(GROUPS), value))
    tell(_native.options_set_group, o, GROUPS[value])


def _terminal(o, value):
    tell(_native.options_set_terminal, o, descriptor(value))


def _rlimits(o, value):
    import resource

    for key, limit in mapping(value):
        number = key
        if isinstance(key, str):
            name = key.upper()
            if not name.startswith("RLIMIT_"):
                name = "RLIMIT_" + name
            number = getattr(resource, name, None)
            if number is None:
                raise ValueError("%r is not a resource" % key)
        pair = limit if isinstance(limit, (tuple, list)) else (limit, limit)
        with naming(repr(key)):
            soft, hard = (
                2**64 - 1 if n in (None, resource.RLIM_INFINITY) else integer(n)
                for n in pair
            )
            tell(_native.options_set_rlimit, o, integer(number), soft, hard)


def _keep_fds(o, value):
    if value == "all":
        _native.options_keep_all_fds(o)
    else:
        _native.options_keep_fds(o, numbers(value))


def _block_signals(o, value):
    for one in sequence(value):
        tell(_native.options_block_signal, o, signal_number(one))


def numbers(items):
    """Integers for the library."""
    result = _native.numbers_new()
    for item in items:
        tell(_native.numbers_add, result, item)
    return result


def words(items):
    """Strings for the library."""
    result = _native.words_new()
    for number, item in enumerate(items):
        with naming("argv[%d]" % number):
            _native.words_add(result, path(item))
    return result


def _id(database, field, value):
    """The number of a user or a group, which may be given by name."""
    if not isinstance(value, str):
        return integer(value)
    try:
        return database(value)[field]
    except KeyError:
        raise ValueError("%r is not known here" % value) from None


def _set_identity(o, user=None, uid=None, gid=None, groups=None):
    import grp
    import pwd

    if gid is not None:
        gid = _id(grp.getgrnam, 2, gid)
    if uid is not None:
        if user is not None:
            raise ValueError("user and uid contradict each other")
        uid = integer(uid)
    if user is not None:
        get = pwd.getpwnam if isinstance(user, str) else pwd.getpwuid
        try:
            entry = get(user)
        except KeyError:
            raise ValueError("%r is not known here" % (user,)) from None
        uid, gid = entry.pw_uid, entry.pw_gid if gid is None else gid
        if groups is None:
            groups = os.getgrouplist(entry.pw_name, gid)
    if groups is None:
        if uid is not None:
            tell(_native.options_set_uid, o, uid)
        if gid is not None:
            tell(_native.options_set_gid, o, gid)
        return
    if uid is None or gid is None:
        raise ValueError("groups need a user, or uid and gid")
    ids = [_id(grp.getgrnam, 2, group) for group in sequence(groups)]
    tell(lambda *all: _native.options_set_user(*all, numbers(ids)), o, uid, gid)


# ---- The table ---------------------------------------------------------------


class Option(NamedTuple):
    text: str
    apply: Optional[Callable[[Any, Any], None]] = None  # None: see Start
    programs_only: bool = False


_OF_STREAM = (
    "``None`` (this process's), a descriptor, an object with ``fileno`` (a "
    "handle too, which stays open here), or ``subprocess.PIPE``, ``DEVNULL``"
)

OPTIONS = {
    "name": Option(
        "for messages; the default is made up.",
        _text(_native.options_set_name),
    ),
    "daemon": Option(
        "whether it is killed when this process ends, however it ends.",
        _flag(_native.options_set_daemon),
    ),
    "death_signal": Option(
        "the signal that a daemon gets then, instead of SIGKILL; makes it a "
        "daemon.",
        _signal(_native.options_set_death_signal),
    ),
    "env": Option(
        "its whole environment as a dictionary; the default is this process's.",
        _env,
    ),
    "cwd": Option("its working directory.", _text(_native.options_set_cwd)),
    "stdin": Option(_OF_STREAM + ".", _stream(0)),
    "stdout": Option(_OF_STREAM + ".", _stream(1)),
    "stderr": Option(_OF_STREAM + ", ``STDOUT``.", _stream(2)),
    "text": Option(
        "True: the files of pipes are text files, as those of ``subprocess``."
    ),
    "encoding": Option("of these files; implies text.", _text_file(_encoding)),
    "errors": Option(
        "of these files, as for ``open``; implies text.",
        _text_file(codecs.lookup_error),
    ),
    "map_fds": Option(
        "more descriptors that it gets: a dictionary from the number in the "
        "child to a descriptor, or an object with ``fileno``, of this process.",
        _map_fds,
    ),
    "keep_fds": Option(
        "the descriptors that stay open in it, beside 0 to 2, passed handles, "
        "and, with method 'fork', those that Python itself uses: a list of "
        "numbers or objects with ``fileno``, or ``'all'``.  An object whose "
        "descriptor was closed under it must not be used in the child.  The "
        "default is none for a program, and for method 'fork' all that are not "
        "those of handles and processes.",
        _keep_fds,
    ),
    "program": Option(
        "the file to run; argv[0] is then only what the program is told.",
        _text(_native.options_set_program),
        programs_only=True,
    ),
    "group": Option(
        "``'new'``: it leads a process group of its own; ``'session'``: a "
        "session, without a terminal; ``'inherit'``, the default.",
        _group,
    ),
    "terminal": Option(
        "the controlling terminal of a session of its own: a descriptor, or an "
        "object with ``fileno``.",
        _terminal,
    ),
    "umask": Option("as for ``os.umask``.", _number(_native.options_set_umask)),
    "nice": Option(
        "what is added to its nice value.", _number(_native.options_set_nice)
    ),
    "user": Option(
        "the name or number of a user, whose user ID, group and supplementary "
        "groups the child has.  Most often needs the superuser."
    ),
    "uid": Option("its user ID alone."),
    "gid": Option("its group, a name or number; alone, or with user."),
    "groups": Option(
        "its supplementary groups, a list of names and numbers; with user, or "
        "with uid and gid."
    ),
    "rlimits": Option(
        "a dictionary as ``{'nofile': 64, 'core': (0, None)}``: a limit, or the "
        "soft and the hard one, for a name or number of :mod:`resource`; None "
        "is no limit.",
        _rlimits,
    ),
    "no_new_privileges": Option(
        "True: it gains no privileges from programs that it executes (Linux).",
        _flag(_native.options_set_no_new_privileges),
    ),
    "block_signals": Option(
        "a list of signals that are blocked in it at its start: numbers, "
        "``signal.Signals``, or names such as ``'TERM'``.",
        _block_signals,
    ),
}
_IDENTITY = ("user", "uid", "gid", "groups")


class Start:
    """What the keywords of a start ask for."""

    # Options by what gipc_options_failed() calls them.
    _FAILED = {
        "pass": "handles",
        "stdio": "stdin, stdout, stderr",
        "map_fd": "map_fds",
        "rlimit": "rlimits",
    }

    def __init__(self, caller, given):
        """given: the options.  Each error names the one that it is about."""
        self.native = _native.options_new()
        for name in given:
            _check(name, caller)
        self.given = {k: v for k, v in given.items() if v is not None}
        if self.given.get("keep_fds", "all") != "all":
            with naming("keep_fds"):
                fds = sequence(self.given["keep_fds"])
                self.given["keep_fds"] = list(map(descriptor, fds))
        for name, option in OPTIONS.items():
            if option.apply is not None and name in self.given:
                with naming(name):
                    option.apply(self.native, self.given[name])
        identity = {k: v for k, v in self.given.items() if k in _IDENTITY}
        if identity:
            with naming(", ".join(identity)):
                _set_identity(self.native, **identity)

    def is_pipe(self, stream):
        value = self.given.get(stream)
        return isinstance(value, int) and value == subprocess.PIPE

    @property
    def kept_fds(self):
        """Of the option keep_fds the numbers; None: all that would be kept."""
        fds = self.given.get("keep_fds", "all")
        return None if fds == "all" else fds

    def follow_environment(self):
        """In a child: the library has changed the environment of C."""
        if "env" in self.given:
            os.environ.clear()
            os.environ.update(
                (os.fsdecode(key), os.fsdecode(text))
                for key, text in self.given["env"].items()
            )

    @contextmanager
    def naming_failure(self, argv):
        """A block that starts the child: an error tells what it is about."""
        try:
            yield
        except OSError as error:
            what = _native.options_failed(self.native)
            if what == "program":
                error.filename = self.given.get("program") or os.fspath(argv[0])
            elif what == "cwd":
                error.filename = self.given["cwd"]
            elif what is not None:
                what = self._FAILED.get(what, what)
                error.strerror = "%s (%s)" % (error.strerror, what)
            raise


def _names(caller):
    """Of the options of start_process, or of exec_process."""
    return [
        name
        for name, option in OPTIONS.items()
        if caller == "exec_process" or not option.programs_only
    ]


def _check(name, caller):
    names = _names(caller)
    if name not in names:
        import difflib

        near = difflib.get_close_matches(name, names, 1)
        raise TypeError(
            "%s() has no option %r%s"
            % (caller, name, "".join("; did you mean %r?" % n for n in near))
        )


def takes_options(function):
    """Tells help() and inspect.signature() of the options."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind != p.VAR_KEYWORD]
    names = _names(function.__name__)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        for name in names
        if name not in signature.parameters
    ]
    function.__signature__ = signature.replace(parameters=own + added)
    if function.__doc__:
        # Python 3.13 has taken the indentation away.
        mark = re.search("( *):options:\n", function.__doc__)
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
        function.__doc__ = function.__doc__.replace(mark[0], lines)
    return function
