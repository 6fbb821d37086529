"""Keepers: services that are started in order, restarted, given up and stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time

import gipc
import keeper_child as child
import pytest
import support
from gipc import _poll
from gipc import Service
from support import is_running


class Log(list):
    """The changes, as (service, state) and as they are."""

    def __init__(self):
        self.changes = []

    def __call__(self, change):
        self.append((change.service, change.state))
        self.changes.append(change)

    def of(self, service, state):
        return [c for c in self.changes if (c.service, c.state) == (service, state)]

    def states(self, service):
        return [state for name, state in self if name == service]


@pytest.fixture
def log():
    return Log()


def until(way, keeper, name, state="ready"):
    """The process of a service when it is in that state."""
    way.wait_until(lambda: keeper[name].state == state)
    return keeper[name].pid


def test_a_wait_returns_when_each_service_is_ready(way, tmp_path):
    path = tmp_path / "go"
    services = [
        Service(argv=["true"], name="once", restart="never"),
        Service(child.be_ready_when_told, (path,), notify=True),
        Service(child.run),
    ]
    with gipc.keep(services) as keeper:
        with pytest.raises(gipc.GIPCTimeout):
            keeper.wait_ready(timeout=0.01)
        job = way.spawn(keeper.wait_ready)
        path.touch()
        assert job.get(timeout=support.PATIENCE) is None
        assert keeper["run"].state == "ready"
        keeper.wait_ready(timeout=0)
    with pytest.raises(gipc.GIPCError, match="stopped"):
        keeper.wait_ready()
    services = [Service(child.run), Service(argv=["/no/such"], name="gone",
                                            first_delay=0.001, limit=1)]
    with gipc.keep(services) as keeper:
        with pytest.raises(gipc.GaveUp, match="'gone'"):
            keeper.wait_ready()


def test_a_service_is_restarted_with_a_growing_delay_and_given_up(way, tmp_path, log):
    path = tmp_path / "starts"
    service = Service(child.crash, (path, 7), first_delay=0.02, jitter=-1, limit=3)
    with gipc.keep([Service(child.run), service], on_change=log) as keeper:
        with pytest.raises(gipc.GaveUp, match="'crash'.*exit code 7") as caught:
            keeper.wait()
        assert keeper["run"].state == "ready"
        assert (caught.value.service, caught.value.exit_info.code) == ("crash", 7)
        assert keeper["crash"][:4] == ("crash", None, "gave_up", 3)
        with pytest.raises(gipc.GaveUp):
            keeper.wait()
    times = [float(line[0]) for line in child.noted(path)]
    delays = [late - early for early, late in zip(times, times[1:])]
    assert len(delays) == 3
    assert all(is_ >= 0.02 * 2**n for n, is_ in enumerate(delays)), delays
    assert log.states("crash") == ["starting", "ready", "ended"] * 4 + ["gave_up"]
    assert [c.exit_info.code for c in log.of("crash", "ended")] == [7] * 4


def test_a_program_that_cannot_be_started_is_given_up(way, log):
    service = Service(argv=["/nonexistent/program"], limit=1, first_delay=0.001)
    with gipc.keep([service], on_change=log) as keeper:
        with pytest.raises(gipc.GaveUp, match="cannot be started") as caught:
            keeper.wait()
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.exit_info is None
    assert log.states("program") == ["not_started"] * 2 + ["gave_up"]
    assert isinstance(log.changes[0].error, FileNotFoundError)


def test_one_that_is_given_up_has_its_last_lines_of_stderr(way):
    service = Service(child.complain_and_crash, stderr=subprocess.PIPE, limit=1,
                      first_delay=0.001)
    with gipc.keep([service]) as keeper:
        with pytest.raises(gipc.GaveUp) as caught:
            keeper.wait()
    assert caught.value.stderr == "first line\nlast words\n"


def test_a_service_is_restarted_as_its_rule_says(way, tmp_path):
    path = [tmp_path / str(number) for number in range(3)]
    options = {"first_delay": 0.001, "jitter": -1}
    services = {
        "once": Service(child.crash, (path[0], 0), restart="on_failure", **options),
        "never": Service(child.crash, (path[1], 5), restart="never", **options),
    }
    with gipc.keep(services) as keeper:
        keeper.wait()
        assert [keeper[name].state for name in keeper] == ["finished"] * 2
        assert keeper["never"].exit_info.code == 5
        assert len(keeper) == 2
    failing = Service(child.crash, (path[2], 5), restart="on_failure", limit=2,
                      **options)
    with gipc.keep([failing]) as keeper, pytest.raises(gipc.GaveUp):
        keeper.wait()
    assert [len(child.noted(p)) for p in path] == [1, 1, 3]


def test_a_service_starts_when_those_before_it_are_ready(way, tmp_path, log):
    go = tmp_path / "go"
    services = [
        Service(child.be_ready_when_told, (go,), name="db", notify=True),
        Service(child.run, name="web"),
    ]
    with gipc.keep(services, on_change=log) as keeper:
        way.wait_until(lambda: log)
        assert keeper["db"].state == "starting"
        assert keeper["web"].state == "waiting"
        assert keeper["web"].pid is None
        assert log == [("db", "starting")]
        go.touch()
        until(way, keeper, "web")
    order = [("db", "starting"), ("db", "ready"), ("web", "starting"),
             ("web", "ready")]
    assert log[:4] == order


def test_one_that_is_not_ready_in_time_is_restarted(way, log):
    service = Service(child.run, notify=True, ready_within=0.02, limit=1,
                      first_delay=0.001)
    with gipc.keep([service], on_change=log) as keeper:
        with pytest.raises(gipc.GaveUp, match="not_ready"):
            keeper.wait()
    assert [c.why for c in log.of("run", "ended")] == ["not_ready"] * 2


@pytest.mark.parametrize("program", ["python", "systemd-notify"])
def test_a_program_that_speaks_sd_notify_is_understood(way, program, log):
    argv = child.SPEAKS_SD_NOTIFY
    if program != "python":
        if not shutil.which(program):
            pytest.skip("systemd-notify is not installed")
        argv = ["sh", "-c", "systemd-notify --ready && exec sleep 1000"]
    service = Service(argv=argv, name="program", notify=True)
    with gipc.keep([service], on_change=log) as keeper:
        until(way, keeper, "program")
    assert log.states("program")[:2] == ["starting", "ready"]


def test_a_silent_service_prints_its_stacks_and_is_restarted(way, tmp_path, log):
    stacks = open(tmp_path / "stacks", "w")
    alive = str(tmp_path / "alive")
    options = {"silence": 0.05, "first_delay": 0.001}
    services = [
        Service(child.say_nothing, name="dumped", dump=600, stderr=stacks, **options),
        Service(child.say_nothing, name="stopped", dump=0.001, **options),
        Service(child.stay_alive, (alive,), name="alive", silence=60),
    ]
    with stacks, gipc.keep(services, on_change=log) as keeper:
        way.wait_until(lambda: "in say_nothing" in open(stacks.name).read())
        way.wait_until(lambda: keeper["stopped"].restarts >= 2)
        way.wait_until(lambda: child.noted(alive))
        assert keeper["dumped"].restarts == keeper["alive"].restarts == 0
        assert keeper["dumped"].state == "silent"
    assert log.of("stopped", "ended")[0].why == "silent"
    assert "silent" in log.states("stopped")
    assert child.noted(alive) == [["here"]]


def test_signs_of_life_end_a_silence(way, tmp_path, log):
    """A program, which must not get the signal for a dump."""
    go = tmp_path / "go"
    source = """
import os, time, gipc
while not os.path.exists(%r): time.sleep(0.001)
while gipc.alive(): time.sleep(0.001)
""" % str(go)
    program = [sys.executable, "-c", "import sys; sys.path[:0] = %r\n%s" % (
        sys.path, source)]
    service = Service(argv=program, name="p", silence=0.05, dump=600)
    with gipc.keep([service], on_change=log) as keeper:
        pid = until(way, keeper, "p", "silent")
        go.touch()
        assert until(way, keeper, "p") == pid
    assert keeper["p"].exit_info.signal == signal.SIGTERM


def test_a_reload_is_never_without_a_ready_process(way, log):
    services = [Service(child.be_ready, name="web", notify=True)]
    with gipc.keep(services, on_change=log) as keeper:
        first = until(way, keeper, "web")
        keeper.reload("web")
        second = keeper["web"].pid
        assert second != first and is_running(second)
        way.wait_until(lambda: log.of("web", "ended"))
        assert keeper["web"].restarts == 0
        seen = [(c.state, c.pid) for c in log.changes if c.state != "reloaded"]
        assert seen == [
            ("starting", first), ("ready", first), ("starting", second),
            ("ready", second), ("stopping", first), ("ended", first)]
        assert log.of("web", "ended")[0].why == "reload"
        assert len(log.of("web", "reloaded")) == 1
        with pytest.raises(KeyError):
            keeper.reload("db")


def test_a_reload_that_fails_leaves_the_process(way, tmp_path, log):
    service = Service(child.be_ready_once, (tmp_path / "x",), notify=True)
    with gipc.keep([service], on_change=log) as keeper:
        first = until(way, keeper, "be_ready_once")
        with pytest.raises(gipc.GIPCError, match="exit code 3"):
            keeper.reload("be_ready_once")
        assert keeper["be_ready_once"][:4] == ("be_ready_once", first, "ready", 0)
        assert is_running(first)
    with pytest.raises(gipc.GIPCError, match="no process"):
        keeper.reload("be_ready_once")


def test_one_reload_at_a_time(way, tmp_path):
    go = tmp_path / "go"
    service = Service(child.be_ready_when_told, (go,), name="web", notify=True)
    go.touch()
    with gipc.keep([service]) as keeper:
        until(way, keeper, "web")
        go.unlink()
        job = way.spawn(keeper.reload, "web")
        way.wait_until(lambda: keeper._keeping.kept[0].running == 2)
        with pytest.raises(gipc.GIPCLocked):
            keeper.reload("web")
        with pytest.raises(gipc.GIPCTimeout):
            keeper.wait(timeout=0)
        go.touch()
        job.get()


@pytest.mark.parametrize("strategy, restarts", [
    ("one_for_one", [0, 1, 0]),
    ("rest_for_one", [0, 1, 1]),
    ("all_for_one", [1, 1, 1]),
])
def test_which_services_are_restarted_with_one(way, strategy, restarts):
    service = Service(child.be_ready, notify=True, first_delay=0.001)
    services = {name: service for name in "abc"}
    with gipc.keep(services, strategy) as keeper:
        pids = [until(way, keeper, name) for name in "abc"]
        os.kill(pids[1], 9)
        way.wait_until(lambda: [keeper[name].restarts for name in "abc"] == restarts)
        now = [until(way, keeper, name) for name in "abc"]
        assert [int(a != b) for a, b in zip(pids, now)] == restarts


def test_services_are_stopped_in_reverse_order(way, tmp_path, log):
    path = str(tmp_path / "note")
    services = [
        Service(child.be_ready, name="a", notify=True, grace=60),
        Service(child.ignore_term, (path,), name="b", notify=True, grace=0.02),
        Service(child.be_ready, name="c", notify=True, grace=60),
    ]
    keeper = gipc.keep(services, on_change=log)
    pid = until(way, keeper, "c")
    job = way.spawn(keeper.wait)
    keeper.stop()
    keeper.stop()
    assert job.get() is None
    assert not is_running(pid)
    ends = [item for item in log if item[1] in ("stopping", "killed", "ended")]
    assert ends == [
        ("c", "stopping"), ("c", "ended"), ("b", "stopping"), ("b", "killed"),
        ("b", "ended"), ("a", "stopping"), ("a", "ended")]
    assert [keeper[n].exit_info.signal for n in "abc"] == [15, 9, 15]
    assert [keeper[n].state for n in "abc"] == ["stopped"] * 3


def test_a_signal_to_a_service(way, tmp_path):
    path = str(tmp_path / "note")
    service = Service(child.note_hangups, (path,), name="web", notify=True)
    with gipc.keep([service]) as keeper:
        until(way, keeper, "web")
        keeper.send_signal("web", "HUP")
        way.wait_until(lambda: child.noted(path) == [["hangup"]])
        with pytest.raises(KeyError):
            keeper.send_signal("db", "HUP")
        with pytest.raises(ValueError, match="not a valid signal"):
            keeper.send_signal("web", "HANGUP")
    with pytest.raises(gipc.GIPCError, match="'web' has no process"):
        keeper.send_signal("web", "HUP")


def test_an_error_in_the_block_stops_the_services(way):
    with pytest.raises(KeyError):
        with gipc.keep([Service(child.run, grace=60)]) as keeper:
            pid = until(way, keeper, "run")
            raise KeyError
    assert not is_running(pid)


def test_arguments_of_each_start_are_made_before_it(way):
    readers = []

    def args():
        reader, writer = gipc.pipe()
        readers.append(reader)
        return writer, len(readers)

    service = Service(child.send, args, name="s", first_delay=0.001)
    with gipc.keep([service]) as keeper:
        pid = until(way, keeper, "s")
        assert readers[0].get() == (pid, 1)
        os.kill(pid, 9)
        way.wait_until(lambda: len(readers) == 2)
        assert readers[1].get()[1] == 2
    for reader in readers:
        reader.close()


def test_handles_of_a_program_are_made_before_each_start(way):
    source = "import sys; sys.path[:0] = %r\n" % sys.path
    source += "import gipc; gipc.inherit('out').put(sys.argv[1])"
    readers = []

    def handles():
        reader, writer = gipc.pipe()
        readers.append(reader)
        return {"out": writer}

    service = Service(argv=[sys.executable, "-c", source, "hello"], name="p",
                      handles=handles, limit=1, first_delay=0.001)
    with gipc.keep([service]) as keeper, pytest.raises(gipc.GaveUp):
        keeper.wait()
    assert [reader.get() for reader in readers] == ["hello"] * 2
    for reader in readers:
        reader.close()


def test_arguments_that_cannot_be_made_are_a_failed_start(way):
    def args():
        raise LookupError("no such thing")

    service = Service(child.run, args, limit=1, first_delay=0.001)
    with gipc.keep([service]) as keeper, pytest.raises(gipc.GaveUp) as caught:
        keeper.wait()
    assert isinstance(caught.value.__cause__, LookupError)


def test_the_variables_of_a_supervisor(way, tmp_path, monkeypatch):
    """Those of this process are not for its services."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.setenv(name, "/nonexistent")
    plain, watched = str(tmp_path / "plain"), str(tmp_path / "watched")
    services = [
        Service(child.write_environment, (plain,), name="plain"),
        Service(child.write_environment, (watched,), name="watched", silence=2.5,
                env=dict(os.environ, MORE="x")),
    ]
    with gipc.keep(services):
        way.wait_until(lambda: child.noted(plain) and child.noted(watched))
    assert child.noted(plain) == [["-", "-", "-"]]
    ((address, seconds, pid),) = child.noted(watched)
    assert address not in ("-", "/nonexistent")
    assert (seconds, pid) == ("2500000", "-")


def test_signs_without_a_supervisor(way, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert gipc.ready() is False and gipc.alive() is False
    for address in "nonsense", "/dev/null":
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        for sign in gipc.ready, gipc.alive:
            with pytest.raises(OSError):
                sign()


def test_a_service_that_is_a_new_interpreter(way):
    service = Service(child.be_ready, notify=True, method="spawn",
                      first_delay=0.001)
    with gipc.keep([service]) as keeper:
        pid = until(way, keeper, "be_ready")
        os.kill(pid, 9)
        way.wait_until(lambda: keeper["be_ready"].restarts == 1)
        assert until(way, keeper, "be_ready") != pid


def test_on_change_may_raise_and_must_not_wait(way, monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: shown.append(error[1]))

    def on_change(change):
        if change.state == "ready":
            keepers[0].wait()
        raise KeyError(change.state)

    go = Service(child.be_ready, notify=True, limit=1, first_delay=0.001)
    keepers = [gipc.keep([go], on_change=on_change)]
    until(way, keepers[0], "be_ready")
    way.wait_until(lambda: len(shown) == 2)
    keepers[0].stop()
    assert isinstance(shown[0], KeyError)
    assert isinstance(shown[1], gipc.GIPCError) and "forever" in str(shown[1])


def test_on_change_may_stop_the_keeper(way):
    states = []

    def on_change(change):
        states.append(change.state)
        if change.state == "ready":
            keepers[0].stop()

    go = Service(child.be_ready, notify=True, grace=60)
    keepers = [gipc.keep([go], on_change=on_change)]
    keepers[0].wait()
    assert states == ["starting", "ready", "stopping", "ended"]


def test_the_signal_for_a_dump_waits_for_its_handler(way, tmp_path, log, monkeypatch):
    """Without a handler it would end the process."""
    go, stacks = tmp_path / "go", open(tmp_path / "stacks", "w")
    dump_on = gipc._service.dump_on

    def late(signal):  # in the service
        while not go.exists():
            time.sleep(0.001)
        dump_on(signal)

    monkeypatch.setattr(gipc._service, "dump_on", late)
    service = Service(child.say_nothing, silence=0.02, dump=600, stderr=stacks)
    with stacks, gipc.keep([service], on_change=log) as keeper:
        way.wait_until(lambda: "silent" in log.states("say_nothing"))
        go.touch()
        way.wait_until(lambda: "in say_nothing" in open(stacks.name).read())
        assert keeper["say_nothing"].restarts == 0


def test_a_service_that_sends_without_end_does_not_stop_the_keeper(way, monkeypatch):
    received = []

    def receive(socket, pid):
        received.append(pid)
        return gipc._native.NOTIFY_READY  # there is always one more

    monkeypatch.setattr(gipc._native, "notify_socket_receive", receive)
    with gipc.keep([Service(child.run), Service(child.be_ready, notify=True)]) as keeper:
        until(way, keeper, "be_ready")
        keeper.reload("run")
    assert received


def test_a_keeper_belongs_to_one_process(way):
    with gipc.keep([Service(child.run, grace=60)]) as keeper:
        pid = until(way, keeper, "run")

        def use():
            for call in (lambda: keeper["run"], keeper.wait, keeper.stop,
                         lambda: keeper.reload("run")):
                try:
                    call()
                except gipc.GIPCError as error:
                    assert "the keeper belongs to process" in str(error)
                else:
                    os._exit(1)
            keeper.__exit__(None, None, None)

        p = gipc.start_process(use)
        p.join()
        assert p.exitcode == 0
        assert keeper["run"].pid == pid and is_running(pid)


def test_a_system_without_epoll(way, monkeypatch):
    monkeypatch.setattr(_poll, "_new_epoll", None)
    with gipc.keep([Service(child.be_ready, notify=True)]) as keeper:
        pid = until(way, keeper, "be_ready")
        keeper.reload("be_ready")
        assert keeper["be_ready"].pid != pid
