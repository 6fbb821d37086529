"""Used by the tests of trees: a child, and a process that has left its
session and ignores SIGTERM."""

import os
import signal
from subprocess import PIPE

TREE = (
    "trap '' TERM; (setsid sh -c 'echo $$; exec sleep 60' &); trap - TERM; "
    "echo up; exec sleep 60"
)


def tree_of_a_program(exec_process):
    p = exec_process(["sh", "-c", TREE], stdout=PIPE, text=True, group="tree")
    return p, p.stdout


def read_escaped(out):
    """The process ID of the one that escaped, once both are there."""
    (escaped,) = {out.readline(), out.readline()} - {"up\n"}
    return int(escaped)


def check_tree(info, out, escaped):
    assert info.tree in ("cgroup", "subreaper", "session")
    if info.tree == "session":
        os.kill(escaped, signal.SIGKILL)  # a process group does not have it
    else:
        assert info.left == info.killed >= 1
    # Both hold the pipe: its end comes when the last of them is gone.
    assert out.read() == ""
