"""The options of a start: each takes effect, in a function and in a program, and
what is wrong with one is told by its name."""

import inspect
import json
import os
import pwd
import resource
import signal
import subprocess
import sys
from pathlib import Path

import gipc
import options_child
import pytest
import support
from gipc import _types, aio, exec_process, pipe, start_process
from gipc._options import OPTIONS
from subprocess import DEVNULL, PIPE, STDOUT

CHILD = Path(options_child.__file__).read_text()
root = pytest.mark.skipif(os.geteuid() != 0, reason="it needs the superuser")
linux = pytest.mark.skipif(support.PORTABLE, reason="it reads /proc of Linux")
ways = pytest.mark.parametrize("method", ["exec", "fork", "spawn"])


def see(method, **options):
    """What a child sees of its options: the report."""
    options.setdefault("stdout", PIPE)
    if method == "exec":
        # From its text: another user may not come to this folder.
        p = exec_process([sys.executable, "-c", CHILD, "x"], **options)
    else:
        p = start_process(options_child.say, (1,), method=method, **options)
    out = p.communicate(timeout=support.PATIENCE)[0]
    assert p.exitcode == 0
    return json.loads(out)


def bit(number):
    return 1 << number - 1


# Options that the child sees in itself, and what it sees then.
SEEN = {
    "umask": (0o027, lambda seen: seen["umask"] == 0o027),
    "nice": (3, lambda seen: seen["nice"] == os.nice(0) + 3),
    "cwd": ("/usr", lambda seen: seen["cwd"] == "/usr"),
    "rlimits": (
        {"nofile": (77, 88)}, lambda seen: seen["files"] == ["77", "88"]
    ),
    "no_new_privileges": (True, lambda seen: seen["privileges"] == "1"),
    "block_signals": (
        ["TERM", signal.SIGUSR1, int(signal.SIGUSR2), "SIGHUP"],
        lambda seen: seen["blocked"]
        == sum(map(bit, (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
                         signal.SIGHUP))),
    ),
}
GROUPS = {
    "inherit": lambda group, sid, pid: (group, sid)
    == (os.getpgid(0), os.getsid(0)),
    "new": lambda group, sid, pid: group == pid and sid == os.getsid(0),
    "session": lambda group, sid, pid: group == sid == pid,
}
# Those that have tests of their own, below.
OTHERS = set(
    "name daemon death_signal env stdin stdout stderr text encoding errors "
    "map_fds keep_fds program group terminal user uid gid groups".split()
)


@linux
@ways
@pytest.mark.parametrize("option", SEEN)
def test_every_option_of_a_start_takes_effect(method, option):
    assert not SEEN[option][1](see(method))
    value, is_seen = SEEN[option]
    assert is_seen(see(method, **{option: value}))


def test_every_option_has_a_test():
    assert set(SEEN) | OTHERS == set(OPTIONS)


@linux
@ways
def test_the_environment_is_the_one_given(method):
    path = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    assert see(method)["variables"] == ["HOME"]
    seen = see(method, env={"OPTION": "given", **path})
    assert (seen["env"], seen["variables"]) == ("given", ["OPTION"])


@linux
@ways
@pytest.mark.parametrize("group", GROUPS)
def test_a_group_or_session_of_its_own(method, group):
    assert GROUPS[group](*see(method, group=group)["group"])


@linux
@ways
def test_a_terminal_is_the_controlling_one(method):
    ours, its = os.openpty()
    try:
        seen = see(method, terminal=its)
        assert seen["terminal"] == os.fstat(its).st_rdev
        assert GROUPS["session"](*seen["group"])
    finally:
        os.close(ours)
        os.close(its)


@root
@linux
@pytest.mark.parametrize("method", ["exec", "fork"])
def test_another_user(method):
    it = pwd.getpwnam("nobody")
    own = list(map(str, os.getgrouplist(it.pw_name, it.pw_gid)))
    uid, gid = str(it.pw_uid), str(it.pw_gid)

    def seen(**options):
        if method == "fork":
            found = see(method, **options)
            return found["uid"], found["gid"], found["groups"]
        # One that another user may run, wherever this interpreter is.
        p = exec_process(["cat", "/proc/self/status"], stdout=PIPE, text=True,
                         **options)
        found = dict(line.split(":", 1) for line in
                     p.communicate()[0].splitlines())
        uid, gid, groups = (found[k].split() for k in ("Uid", "Gid", "Groups"))
        return uid[0], gid[0], groups

    unchanged = seen()[2]
    assert seen(user="nobody") == (uid, gid, own)
    assert seen(user=it.pw_uid) == (uid, gid, own)
    assert seen(user="nobody", groups=[7, "daemon"]) == (uid, gid, ["1", "7"])
    assert seen(user="nobody", gid=5, groups=[]) == (uid, "5", [])
    assert seen(uid=5, gid="daemon", groups=[9]) == ("5", "1", ["9"])
    assert seen(gid=5) == ("0", "5", unchanged)
    assert seen(uid=5) == ("5", "0", unchanged)


def test_a_program_instead_of_the_first_argument():
    p = exec_process(
        ["told", "-c", "echo $0"], program="/bin/sh", stdout=PIPE, text=True
    )
    assert p.communicate() == ("told\n", None)


@ways
def test_a_name(method):
    if method == "exec":
        p = exec_process(["true"], name="given")
    else:
        p = start_process(print, name="given", method=method)
    assert p.name == "given"
    p.join()


# ---- Streams and descriptors -------------------------------------------------


def copy(method, **options):
    if method == "exec":
        command = "tr a-z A-Z; echo error >&2"
        return exec_process(["sh", "-c", command], **options)
    return start_process(options_child.copy_stdin, method=method, **options)


@ways
def test_standard_streams_can_be_pipes(method):
    streams = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
    p = copy(method, **streams)
    assert p.communicate(b"hello\n") == (b"HELLO\n", b"error\n")
    p = copy(method, text=True, **streams)
    assert p.communicate("hello\n") == ("HELLO\n", "error\n")
    p = copy(method, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    assert p.communicate() == (b"error\n", None)


@ways
def test_standard_streams_can_be_files(method, tmp_path):
    (tmp_path / "in").write_text("hello\n")
    with open(tmp_path / "in") as i, open(tmp_path / "out", "w") as o:
        p = copy(method, stdin=i, stdout=o.fileno(), stderr=o)
        p.join()
    assert (tmp_path / "out").read_text() == "HELLO\nerror\n"


def test_files_of_pipes_can_be_text():
    options = dict(stdin=PIPE, stdout=PIPE, encoding="latin-1")
    with exec_process(["cat"], **options) as p:
        p.stdin.write("\xe4\n")
        p.stdin.close()
        assert p.stdout.read() == "\xe4\n"
    p = exec_process(["printf", "\\344"], stdout=PIPE, encoding="utf-8",
                     errors="replace")
    assert p.communicate() == ("\ufffd", None)


@ways
def test_descriptors_can_be_mapped_and_kept(method):
    r, w = os.pipe()
    before = support.descriptors()
    numbers = [40, 41, r, w]

    def seen(**options):
        if method == "exec":
            code = CHILD.replace("say(1)", "open_numbers(%r)" % (numbers,))
            p = exec_process([sys.executable, "-c", code], stdout=PIPE, **options)
        else:
            p = start_process(options_child.open_numbers, (numbers,),
                              method=method, stdout=PIPE, **options)
        return json.loads(p.communicate()[0])

    try:
        everything = [r, w] if method == "fork" else []
        assert seen() == everything
        assert seen(map_fds={40: w, 41: r}) == [40, 41] + everything
        assert seen(keep_fds=[w]) == [w]
        assert seen(keep_fds=[]) == []
        os.set_inheritable(r, True)
        assert r in seen(keep_fds="all")
        assert support.left_since(before) == {}
    finally:
        os.close(r)
        os.close(w)


def test_no_number_of_a_spawned_child_is_taken_by_its_own_file():
    r, w = os.pipe()
    free = [n for n in range(3, 50) if n not in support.descriptors()]
    try:
        p = start_process(options_child.print_inodes, (free,), method="spawn",
                          stdout=PIPE, map_fds=dict.fromkeys(free, w))
        seen = json.loads(p.communicate()[0])
        assert set(seen) == {os.fstat(w).st_ino}
    finally:
        os.close(r)
        os.close(w)


PARENT = """
import gipc, os, signal, sys, time
SHELL = "trap 'echo TERM; exit' TERM; echo up >&2; while :; do sleep 0.1; done"
def child():
    signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"TERM\\n"), os._exit(0)))
    os.write(2, b"up\\n")
    while True:
        time.sleep(10)
if __name__ == "__main__":
    method, = sys.argv[1:]
    r, w = os.pipe()
    options = {"death_signal": "TERM", "stderr": w}
    if method == "exec":
        gipc.exec_process(["sh", "-c", SHELL], **options)
    else:
        p = gipc.start_process(child, method=method, **options)
        assert p.daemon
    assert os.read(r, 3) == b"up\\n"
    os.kill(os.getpid(), signal.SIGKILL)
"""


@ways
def test_a_daemon_gets_the_death_signal(method, program):
    assert program(PARENT, method, code=-signal.SIGKILL) == "TERM\n"


# ---- Errors ------------------------------------------------------------------


def starts(name, value, **others):
    """The calls with one option, for each way of starting a child."""
    options = {name: value, **others}
    for module in gipc, aio:
        yield lambda: module.exec_process(["true"], **options)
        if name != "program":
            yield lambda: module.start_process(print, **options)
            yield lambda: module.start_process(
                print, method="spawn", **options
            )


WRONG = [
    ("name", 3, "name: .*not 3"),
    ("name", "a\0b", "name: .*null"),
    ("env", {"A=1"}, "env: expected a dictionary, not {'A=1'}"),
    ("env", {"A=1": "x"}, "env: 'A=1' is not a valid name of a variable"),
    ("env", {"": "x"}, "env: '' is not a valid name of a variable"),
    ("env", {"A": 1}, "env: the variable 'A': .*not 1"),
    ("cwd", "", "cwd: '' is not valid"),
    ("cwd", 3, "cwd: .*not 3"),
    ("stdin", 1.5, "stdin: .*not 1.5"),
    ("stdin", STDOUT, "stdin: STDOUT is for stderr only"),
    ("stdout", True, "stdout: .*not True"),
    ("stderr", "file", "stderr: .*not 'file'"),
    ("encoding", "morse", "encoding: unknown encoding: morse"),
    ("encoding", "base64", "encoding: 'base64' is not a text encoding"),
    ("encoding", 3, "encoding: .*not int"),
    ("errors", "sigh", "errors: unknown error handler name 'sigh'"),
    ("errors", 3, "errors: .*not int"),
    ("text", "yes", "text: expected True or False, not 'yes'"),
    ("no_new_privileges", 1, "no_new_privileges: .*not 1"),
    ("map_fds", [1], r"map_fds: .*not \[1\]"),
    ("map_fds", {-1: 1}, "map_fds: .*-1"),
    ("keep_fds", 3, "keep_fds: .*not 3"),
    ("keep_fds", "some", "keep_fds: .*not 'some'"),
    ("keep_fds", [-4], "keep_fds: -4"),
    ("keep_fds", [2**31], "keep_fds: 2147483648 is not a valid descriptor"),
    ("program", "", "program: '' is not valid"),
    ("group", "mine", "group: .*not 'mine'"),
    ("terminal", "tty", "terminal: .*not 'tty'"),
    ("umask", 0o1000, "umask: 512 is not valid"),
    ("umask", "077", "umask: .*not '077'"),
    ("nice", 100, "nice: 100 is not valid"),
    ("nice", 2**32, "nice: 4294967296 is not valid"),
    ("user", "nobody at all", "user: 'nobody at all' is not known"),
    ("uid", "nobody", "uid: .*not 'nobody'"),
    ("uid", 2**32, "uid: 4294967296 is not valid"),
    ("gid", "no group", "gid: 'no group' is not known"),
    ("groups", [1], "groups: groups need a user, or uid and gid"),
    ("rlimits", {"nofiles": 3}, "rlimits: 'nofiles' is not a valid resource"),
    ("rlimits", {"nofile": (9, 5)}, "rlimits: 'nofile': "),
    ("rlimits", {"nofile": "9"}, "rlimits: 'nofile': .*not '9'"),
    ("rlimits", 5, "rlimits: .*not 5"),
    ("block_signals", ["TEMR"], "block_signals: 'TEMR' is not a valid signal"),
    ("block_signals", "TERM", "block_signals: expected a list, not 'TERM'"),
    ("block_signals", [0], "block_signals: 0 is not valid"),
    ("death_signal", "FOO", "death_signal: 'FOO' is not a valid signal"),
    ("umsak", 1, "has no option 'umsak'; did you mean 'umask'"),
    ("zzzzz", None, r"has no option 'zzzzz'$"),
]


@pytest.mark.parametrize("name, value, message", WRONG, ids=[
    "%s=%r" % (name, str(value)) for name, value, _ in WRONG])
def test_an_unknown_option_or_a_wrong_type_is_refused_by_name(
    name, value, message
):
    for start in starts(name, value):
        with pytest.raises((TypeError, ValueError), match=message):
            start()


@pytest.mark.parametrize("module", [gipc, aio])
def test_wrong_arguments_of_a_start_are_refused_by_name(module):
    def refused(message, start, *arguments, **options):
        with pytest.raises((TypeError, ValueError), match=message):
            start(*arguments, **options)

    run = module.exec_process
    refused(r"argv .*such as \['ls', '-l'\]", run, "ls -l")
    refused("argv: .*the program", run, [])
    refused("argv: .*not 3", run, 3)
    refused(r"argv\[1\]: .*not 3", run, ["true", 3])
    refused(r"argv\[0\]: .*null", run, ["tr\0ue"])
    refused("handles: .*not 3", run, ["true"], handles=3)
    refused("handles: 3 is not a handle", run, ["true"], handles={"x": 3})
    with pipe() as (r, w):
        for name in "a b", "", "a=b", 3:
            refused("handles: .*%s" % name, run, ["true"], handles={name: r})
        refused("handles: .*once", run, ["true"], handles={"a": r, "b": r})
        assert not r.closed
    for target in 3, None, "print":
        refused("target.* callable", module.start_process, target)
    refused("method .*'forc'", module.start_process, print, method="forc")
    refused("no option 'program'", module.start_process, print, program="x")


def test_wrong_arguments_of_a_process_are_refused_by_name():
    p = exec_process(["sleep", "60"], group="new")
    for number in 999, -1, 2**40, "TEMR":
        for send in p.send_signal, p.signal_group:
            with pytest.raises(ValueError, match="%r is not a valid sig" % number):
                send(number)
    for stop in p.stop, p.stop_group:
        for grace in -1, "1", float("nan"):
            with pytest.raises((TypeError, ValueError), match="grace: "):
                stop(grace)
    assert p.is_alive()
    p.stop(grace=0)


def test_a_wrong_name_to_inherit_is_refused_by_name():
    for name in "a b", "", "a=b", 3, None:
        with pytest.raises((TypeError, ValueError), match="name: "):
            gipc.inherit(name)


@pytest.mark.parametrize("group", [2**32, 2**64, -1])
def test_a_group_too_large_for_c_is_never_another_one(group):
    for start in starts("groups", [group], uid=1, gid=1):
        with pytest.raises(ValueError, match="groups.*: %d is not" % group):
            start()


def test_wrong_settings_of_a_handle_are_refused_by_name():
    with pipe() as (r, w):
        for wrong in -1, 2**64:
            for setter in r.set_limit, r.set_read_limit:
                with pytest.raises(ValueError, match="size: .*%d" % wrong):
                    setter(wrong)
        with pytest.raises(TypeError, match="size: .*'1'"):
            w.set_limit("1")
        with pytest.raises(ValueError, match="low, high: 5, 5"):
            w.set_marks(5, 5)
        with pytest.raises(TypeError, match="high: .*None|high: .*'a'"):
            w.set_marks(5, "a")
        assert (r.limit, w.marks) == (1 << 30, (64 << 10, 256 << 10))


@pytest.mark.parametrize("module", [gipc, aio])
def test_an_error_of_a_start_names_the_program_or_the_directory(
    module, tmp_path
):
    def failed(start, *arguments, kind=FileNotFoundError, **options):
        with pytest.raises(kind) as caught:
            start(*arguments, **options)
        return caught.value

    plain = tmp_path / "plain"
    plain.write_text("no program")
    run, start = module.exec_process, module.start_process
    error = failed(run, ["nosuch"])
    assert error.filename == "nosuch" and "'nosuch'" in str(error)
    assert failed(run, [b"nosuch"]).filename == b"nosuch"
    error = failed(run, [plain], kind=PermissionError)
    assert error.filename == str(plain)
    assert failed(run, ["sh"], program="nosuch").filename == "nosuch"
    assert failed(run, ["true"], cwd="/nosuch").filename == "/nosuch"
    for method in "fork", "spawn":
        error = failed(start, print, method=method, cwd=tmp_path / "none")
        assert str(error.filename) == str(tmp_path / "none")
    # Of the other options, the name.
    error = failed(run, ["true"], kind=OSError, terminal=0)
    assert "(terminal)" in str(error)
    error = failed(start, print, kind=OSError, stdin=987)
    assert "stdin" in str(error)
    if os.geteuid() != 0:
        error = failed(run, ["true"], kind=PermissionError, uid=0)
        assert "(user)" in str(error)


def test_the_options_are_in_the_signatures_and_in_help():
    for module in gipc, aio:
        for start in module.start_process, module.exec_process:
            names = set(OPTIONS)
            if start.__name__ == "start_process":
                names.discard("program")
            assert names <= set(inspect.signature(start).parameters)
            for name in names:
                assert ":arg %s: " % name in start.__doc__


def test_the_types_have_every_option():
    own = {"name", "daemon"}
    program = _types.ProgramOptions.__optional_keys__
    assert program - _types.Options.__optional_keys__ == {"program"}
    function = _types.FunctionOptions.__optional_keys__
    assert own | function | program == set(OPTIONS)
