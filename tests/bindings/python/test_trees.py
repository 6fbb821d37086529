"""A child ends with all that it has started."""

import os
import signal

import gevent
import pytest
from gipc import exec_process, start_process
from tree_support import check_tree, read_escaped, tree_of_a_program


def fork_twice(fd):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.write(fd, b"%d\n" % os.getpid())
            signal.pause()
        os._exit(0)
    os.write(fd, b"up\n")
    gevent.sleep(1000)


def tree_of_a_function():
    reader, writer = os.pipe()
    p = start_process(fork_twice, (writer,), group="tree")
    os.close(writer)
    return p, open(reader)


def test_a_tree_ends_with_its_child(way):
    for p, out in tree_of_a_function(), tree_of_a_program(exec_process):
        with out:
            escaped = read_escaped(out)
            assert p.is_alive() and p.pid != escaped
            p.stop(1e6)
            assert p.exitcode == -signal.SIGTERM
            check_tree(p.exit_info, out, escaped)
        p.signal_group("TERM")  # to nobody


def test_a_child_that_is_no_tree_has_none():
    with pytest.raises(ValueError, match="tree"):
        exec_process(["true"], group="trees")
    p = exec_process(["true"], group="new")
    p.join()
    assert p.exit_info.tree is None
    assert p.exit_info.left == p.exit_info.killed == 0
