"""Keepers: wrong arguments, and programs of their own."""

import signal
import subprocess
import sys

import gipc
import keeper_child as child
import pytest
import support
from gipc import Service
from support import is_running

KEEPS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
sys.path[:0] = sys.argv[2:]
import gipc
import keeper_child as child
if sys.argv[1] == "gevent":
    import gevent
    gevent.get_hub()
services = {
    "a": gipc.Service(child.be_ready, notify=True),
    "b": gipc.Service(argv=["sleep", "1000"]),
}
with gipc.keep(services) as keeper:
    while any(keeper[name].state != "ready" for name in keeper):
        (gevent if sys.argv[1] == "gevent" else time).sleep(0.001)
    print(*(keeper[name].pid for name in keeper), flush=True)
    keeper.wait()
"""


@pytest.mark.parametrize("loop", ["gevent", "plain"])
@pytest.mark.parametrize("number", [9, 2], ids=["SIGKILL", "SIGINT"])
def test_a_program_that_ends_leaves_no_service(tmp_path, loop, number):
    script = support.write_program(tmp_path, KEEPS)
    with subprocess.Popen([sys.executable, script, loop, *sys.path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        pids = [int(word) for word in p.stdout.readline().split()]
        assert len(pids) == 2, p.stderr.read()
        p.send_signal(number)
        p.wait()
        support.wait_until(lambda: not any(map(is_running, pids)))
        assert p.returncode == -number
        assert (b"KeyboardInterrupt" in p.stderr.read()) == (number == 2)


INTERRUPTED = """
import os, signal, sys
from time import sleep
sys.path[:0] = sys.argv[2:]
import gipc
import keeper_child as child
if sys.argv[1] == "gevent":
    from gevent import sleep
    sleep(0)
signal.signal(signal.SIGINT, signal.default_int_handler)

def on_change(change):
    if change.state == "stopping":
        print("stopping", flush=True)

services = [gipc.Service(child.ignore_term, (os.devnull,), grace=0.2, notify=True)]
keeper = gipc.keep(services, on_change=on_change)
while keeper["ignore_term"].state != "ready":
    sleep(0.001)
try:
    keeper.stop()
    print("not interrupted")
except KeyboardInterrupt:
    keeper.stop()
    print(keeper["ignore_term"].state, keeper["ignore_term"].exit_info.signal)
"""


@pytest.mark.parametrize("loop", ["gevent", "plain"])
def test_an_interrupted_stop_goes_on(tmp_path, loop):
    script = support.write_program(tmp_path, INTERRUPTED)
    with subprocess.Popen([sys.executable, script, loop, *sys.path], text=True,
                          stdout=subprocess.PIPE) as p:
        assert p.stdout.readline() == "stopping\n"
        p.send_signal(signal.SIGINT)
        assert p.communicate(timeout=60)[0] == "stopped 9\n"


@pytest.mark.parametrize("options, error", [
    ({}, "a target, or argv"),
    ({"target": 5}, "target"),
    ({"target": child.run, "argv": ["x"]}, "a target, or argv"),
    ({"argv": "x y"}, "argv"),
    ({"argv": []}, "argv"),
    ({"argv": ["x"], "args": (1,)}, "'x': args"),
    ({"target": child.run, "handles": {"a": 1}}, "'run': handles"),
    ({"target": child.run, "args": 5}, "'run': args"),
    ({"target": child.run, "name": ""}, "name"),
    ({"target": child.run, "restart": "sometimes"}, "'run': restart"),
    ({"target": child.run, "restrat": "never"},
     r"'run': Service\(\) has no option 'restrat'; did you mean 'restart'\?"),
    ({"target": child.run, "program": "x"}, r"Service\(\) has no option 'program'"),
    ({"target": child.run, "poison": 3}, r"has no option 'poison'"),
    ({"target": child.run, "growth": 0.5}, "'run': growth"),
    ({"target": child.run, "silence": "x"}, "'run': silence"),
    ({"target": child.run, "limit": True}, "'run': limit"),
    ({"target": child.run, "umask": "x"}, "'run': umask"),
    ({"target": child.run, "method": "magic"}, "magic"),
    ({"target": child.run, "dump_signal": "NONSENSE"}, "'run': dump_signal"),
    ({"target": child.run, "stdout": -1}, "'run': stdout"),
    ({"target": child.run, "notify": 3}, "'run': notify: expected True or False, not 3"),
    ({"target": child.run, "daemon": "no"}, "'run': daemon: .*not 'no'"),
])
def test_a_wrong_option_of_a_service_names_itself(options, error):
    with pytest.raises((TypeError, ValueError, gipc.GIPCError), match=error):
        Service(**options)


def test_a_handle_that_would_pass_twice_is_refused():
    reader, writer = gipc.pipe()
    with reader, writer:
        with pytest.raises(TypeError, match="'send': args: a handle passes"):
            Service(child.send, (writer,))
        Service(child.send, (writer,), restart="never")


async def coroutine():
    pass


def test_a_wrong_argument_of_keep_names_itself():
    service = Service(child.run)
    for arguments, error in [
        (([],), "needs a service"),
        (([5],), "gipc.Service"),
        ((service,), "list"),
        (([service, Service(child.run)],), "two services 'run'"),
        (([service, service],), "two services 'run'"),
        (({5: service},), "name"),
        (([service], "one_for_all"), "strategy"),
        (([service], "one_for_one", 5), "on_change"),
        (([Service(coroutine)],), "gipc.aio.keep"),
    ]:
        with pytest.raises((TypeError, ValueError), match=error):
            gipc.keep(*arguments)


def test_greenlets_wait_for_a_keeper_that_a_thread_drives(program):
    assert program("""
        import gipc, time
        keeper = gipc.keep([gipc.Service(time.sleep, (0.1,), restart="never")])
        import gevent
        gevent.get_hub()  # which watches nothing, and must not give up
        keeper.wait()
        print(keeper["sleep"].state)
    """) == "finished\n"
