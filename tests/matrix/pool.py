"""A pool in Python, of workers in any language.

    pool.py LANGUAGE COMMAND...

COMMAND starts a worker.  Each step is named on stdout before it begins.
"""

import os
import sys

sys.path.append(os.path.join(sys.path[0], "../bindings"))

import gipc
import golden
import msgpack

language, *command = sys.argv[1:]
RULES = {"workers": 2, "first_delay": 0.001, "grace": 600}


def step(name):
    print(name, flush=True)


def open_pool(codec, name):
    return gipc.Pool(argv=[*command, name], encoder=codec, decoder=codec, **RULES)


def expect_reversed(pool):
    tasks = [b"task %d" % number for number in range(100)]
    assert list(pool.map(tasks)) == [task[::-1] for task in tasks]
    large = os.urandom(1 << 20)
    assert pool.call(large) == large[::-1]


def expect_failure(pool):
    try:
        pool.call(b"fail")
    except gipc.RemoteError as error:
        assert error.type.split(".")[-1] == "Refused", error.type
        assert error.text == "too groß", error.text
        assert "worker." in error.trace, error.trace
    else:
        raise AssertionError("the task did not fail")


def expect_death(pool, task, **facts):
    beside = pool.submit(b"beside it")
    try:
        pool.call(task)
    except gipc.WorkerDied as error:
        for name, value in facts.items():
            assert getattr(error.exit_info, name) == value, error
        assert error.attempt == 1, error
    else:
        raise AssertionError("the worker did not end")
    assert beside.result() == b"ti ediseb"


def expect_timeout(pool):
    """SIGTERM ends the worker; SIGKILL would take ten minutes."""
    try:
        pool.call(b"hang", timeout=0.05)
    except gipc.TaskTimeout:
        pass
    else:
        raise AssertionError("the task has no timeout")


def expect_values(pool):
    for entry in golden.ENTRIES:
        if entry.bytes["msgpack"] is None:
            continue
        refused, got = False, None
        try:
            got = pool.call(entry.value)
        except gipc.RemoteError:
            refused = True
        assert any(
            refused if back is None
            else golden.same(got, msgpack.unpackb(back, strict_map_key=False))
            for back in entry.back_from(language, "msgpack")
        ), (entry, got)


with open_pool(None, "raw") as pool:
    step("tasks")
    expect_reversed(pool)
    step("fail")
    expect_failure(pool)
    step("exit")
    expect_death(pool, b"exit", code=7)
    step("kill")
    expect_death(pool, b"kill", signal=9)
    step("timeout")
    expect_timeout(pool)
    step("whole")
    expect_reversed(pool)
    step("stop")
with open_pool("msgpack", "msgpack") as pool:
    step("values")
    expect_values(pool)
