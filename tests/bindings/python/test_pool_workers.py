"""Pools: how workers are started, prepared, retired and stopped."""

import collections
import errno
import os
import sys
import time

import gipc
import pool_child as child
import pytest
import support
from gipc import _poll
from gipc._blocking import current_backend
from support import is_running


def pids(pool, count):
    return [pool.call(os.getpid) for _ in range(count)]


def check_method(method):
    with gipc.Pool(workers=1, method=method, prepare=child.prepare) as pool:
        assert pool.call(child.times_prepared) == 1
        with pytest.raises(gipc.WorkerDied):
            pool.call(child.die)
        assert pool.call(child.times_prepared) == 1


def test_workers_that_are_new_interpreters(way):
    check_method("spawn")


@pytest.mark.skipif(support.PORTABLE, reason="it has no templates")
def test_workers_of_a_template(way):
    with gipc.Template(preload=["pool_child"]) as template:
        check_method(template)


def test_a_pool_with_a_work(way):
    with gipc.Pool(child.double, workers=2) as pool:
        assert pool.call(3) == 6
        assert list(pool.map(range(5))) == [0, 2, 4, 6, 8]
        assert pool.submit("x").result() == "xx"
        with pytest.raises(TypeError, match="one argument"):
            pool.call(1, 2)


PROGRAM = "import gipc; gipc.serve(%s, encoder=%r, decoder=%r)"


@pytest.mark.parametrize("codec", ["json", "msgpack", None])
def test_workers_that_are_programs(way, codec):
    if codec == "msgpack":
        pytest.importorskip("msgpack")
    work = "bytes.upper" if codec is None else "int"
    argv = [sys.executable, "-c", PROGRAM % (work, codec, codec)]
    with gipc.Pool(argv=argv, workers=1, encoder=codec, decoder=codec) as pool:
        if codec is None:
            assert pool.call(b"abc") == b"ABC"
            assert pool.call(bytearray(b"abc")) == b"ABC"
            return
        assert pool.call("12") == 12
        # Its exceptions are not unpickled.
        with pytest.raises(gipc.RemoteError, match="invalid literal") as caught:
            pool.call("x")
        assert caught.value.type == "builtins.ValueError"
        assert "Traceback" in caught.value.trace


def test_each_worker_is_prepared_once(way):
    with gipc.Pool(workers=2, prepare=child.prepare) as pool:
        assert set(pool.map(lambda_free_times, range(20))) == {1}


def lambda_free_times(_):
    return child.times_prepared()


def test_a_pool_whose_workers_cannot_be_prepared_gives_up(way):
    with gipc.Pool(workers=1, prepare=child.fail_to_prepare, first_delay=0.001,
                   prepare_failures=2) as pool:
        with pytest.raises(gipc.PoolBroken, match="end too often") as caught:
            pool.call(abs, 1)
        assert caught.value.exit_info.code == 9
        with pytest.raises(gipc.PoolBroken) as caught:
            pool.call(abs, 1)
        assert caught.value.exit_info.code == 9
        assert pool.stats().starts == 2


def test_a_pool_whose_workers_cannot_be_started_gives_up(way):
    argv = ["/nonexistent/program"]
    before = support.descriptors()
    with gipc.Pool(argv=argv, workers=1, first_delay=0.001) as pool:
        with pytest.raises(gipc.PoolBroken, match="started: .*nonexistent") as caught:
            pool.call(1)
        assert isinstance(caught.value.__cause__, FileNotFoundError)
        assert isinstance(caught.value, RuntimeError)
    # The error, which is still here, keeps no end of a worker's pipe open.
    assert not support.left_since(before)


def test_a_callback_of_a_future_that_would_wait_for_its_pool_is_an_error(way):
    got = []

    def call_again(future):
        for wait in lambda: pool.call(abs, -1), pool.submit(abs, -1).result:
            with pytest.raises(gipc.GIPCError, match="forever"):
                wait()
            got.append(future.result())

    with gipc.Pool(workers=1) as pool:
        blocker = pool.submit(time.sleep, 0.05)
        future = pool.submit(abs, -2)
        future.add_done_callback(call_again)
        blocker.result()
        way.wait_until(lambda: len(got) == 2)
    assert got == [2, 2]


@pytest.mark.parametrize("method", ["__init__", "add"])
def test_a_pool_that_cannot_be_made_leaves_no_descriptor(monkeypatch, method):
    def fail(*arguments):
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(gipc._poll.Poll, method, fail)
    before = os.listdir("/proc/self/fd")
    for make in gipc.Pool, lambda: gipc.keep([gipc.Service(print)]):
        with pytest.raises(OSError, match="too many"):
            make()
    assert os.listdir("/proc/self/fd") == before


def test_workers_retire_after_their_tasks(way):
    with gipc.Pool(workers=1, retire_tasks=3) as pool:
        found = pids(pool, 9)
    assert [found[i] == found[i + 1] for i in range(8)] == [
        True, True, False] * 2 + [True, True]


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no statm")
def test_workers_retire_by_their_memory(way):
    with gipc.Pool(workers=1, retire_memory=1) as pool:
        assert len(set(pids(pool, 3))) == 3
    with gipc.Pool(workers=1, retire_memory=1 << 40) as pool:
        assert len(set(pids(pool, 3))) == 1


def test_least_workers_are_started_and_idle_ones_end(way):
    with gipc.Pool(workers=3, least=1, idle=0.01) as pool:
        way.wait_until(lambda: [w.state for w in pool.stats().workers] == [
            "ready"])
        list(pool.map(child.double, range(50)))
        way.wait_until(lambda: len(pool.stats().workers) == 1)
        (worker,) = pool.stats().workers
        assert is_running(worker.pid)
        assert worker.rss is None or worker.rss > 1 << 20


def test_silent_workers_are_stopped(way, tmp_path):
    import subprocess

    path = str(tmp_path / "pid")
    with gipc.Pool(workers=1, silence=0.2, dump=2, grace=60,
                   stderr=subprocess.PIPE) as pool:
        with pytest.raises(gipc.WorkerDied) as caught:
            pool.call(child.hang, path)
    assert caught.value.why == "silent"
    # faulthandler has printed the stacks.
    assert "pool_child.py" in caught.value.stderr


def test_a_sign_of_life_keeps_a_worker(way, tmp_path):
    assert not gipc.alive()
    go, end = tmp_path / "go", tmp_path / "end"

    def is_worker(state):
        return [worker.state for worker in pool.stats().workers] == [state]

    with gipc.Pool(workers=1, silence=0.05, dump=600) as pool:
        job = pool.submit(child.show_life_when_told, str(go), str(end))
        way.wait_until(lambda: is_worker("silent"))
        go.touch()
        way.wait_until(lambda: is_worker("ready"))
        end.touch()
        assert job.result() is None
        assert pool.stats().starts == 1
        # A child of a worker has not its handle.
        assert pool.call(child.in_a_fork, gipc.alive) is False


LAUNCHERS = {
    "sh": ["sh", "-c", 'exec "$@"', "sh"],
    "env": ["env", "-i"],
}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_workers_behind_a_launcher(way, name):
    module = "import sys; sys.path[:0] = %r; " % sys.path
    program = module + PROGRAM % ("bytes.upper", None, None)
    argv = [*LAUNCHERS[name], sys.executable, "-c", program]
    with gipc.Pool(launch=argv if name == "sh" else lambda: argv,
                   workers=2, encoder=None, decoder=None, grace=60) as pool:
        tasks = [b"%d a" % number for number in range(30)]
        assert list(pool.map(tasks)) == [b"%d A" % n for n in range(30)]
        # More than the pipe has room for: it is written as it is read.
        large = os.urandom(1 << 10).hex().encode() * 2048
        assert list(pool.map([large] * 3)) == [large.upper()] * 3
        pid = pool.stats().workers[0].pid
        os.kill(pid, 9)
        way.wait_until(lambda: not is_running(pid))
        assert list(pool.map(tasks, retries=1)) == [
            b"%d A" % n for n in range(30)]


def test_a_worker_that_closes_its_stdin_is_stopped(monkeypatch):
    monkeypatch.setattr("gipc._crew._ENDS_WITHIN", 0.05)
    script = ("printf '\\0\\0\\0\\2R\\1'; head -c 1 >/dev/null; "
              "exec sleep 60 <&-")
    with gipc.Pool(launch=["sh", "-c", script], workers=1, encoder=None,
                   decoder=None) as pool:
        with pytest.raises(gipc.WorkerDied):
            pool.call(b"x")


def test_a_launch_that_fails_is_a_start_that_failed(way):
    def no_host():
        raise KeyError("no host")

    with gipc.Pool(launch=no_host, workers=1, first_delay=0.001) as pool:
        with pytest.raises(gipc.PoolBroken, match="cannot be started") as caught:
            pool.call(b"x")
        assert isinstance(caught.value.__cause__, KeyError)


# It ends after its second answer, as soon as that is written.  Before that it waits
# for a writer of the FIFO, if there is one.
TWO_TASKS = """
import os, sys
import gipc
from gipc import _native
handle = gipc.inherit("worker", encoder=None, decoder=None)
handle.put(_native.worker_ready())
for number in range(2):
    task, _, data = _native.worker_task(handle.get())
    if number and os.path.exists(sys.argv[1]):
        open(sys.argv[1]).close()
    handle.put(_native.worker_done(task, data))
"""


class UntilTheEndOfItsWorker:
    """A task that keeps the driver until its worker has ended."""

    def __init__(self, fifo):
        self.fifo = fifo

    def finish(self, action):
        open(self.fifo, "w").close()
        os.unlink(self.fifo)
        os.waitid(os.P_PID, action[7], os.WEXITED | os.WNOWAIT)


def test_a_worker_that_has_answered_and_ended_is_sent_no_task(way, tmp_path):
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    with gipc.Pool(argv=[sys.executable, "-c", TWO_TASKS, fifo], workers=1,
                   first_delay=0.001, encoder=None, decoder=None) as pool:
        # All are queued before the driver starts: a submit receives, too.
        options = pool._options(None, None, None, None)
        pool._crew.submit(b"1", UntilTheEndOfItsWorker(fifo), options)
        others = [Outcome(), Outcome()]
        pool._crew.submit(b"2", others[0], options)
        pool._crew.submit(b"3", others[1], options)
        pool._crew.start(pool._driver_backend(current_backend()))
        way.wait_until(lambda: others[1].action)
        assert [outcome.action[3] for outcome in others] == [b"2", b"3"]
        assert pool.stats().starts == 2


class Outcome:
    action = None

    def finish(self, action):
        self.action = action


def test_the_end_of_a_block_waits_and_an_error_stops(way, tmp_path):
    note = str(tmp_path / "note")
    with gipc.Pool(workers=2) as pool:
        futures = [pool.submit(child.note, note, n) for n in range(20)]
    assert all(f.done() for f in futures)
    assert len(open(note).readlines()) == 20
    with pytest.raises(gipc.PoolClosed):
        pool.submit(abs, 1)
    path = tmp_path / "pid"
    with pytest.raises(KeyError), gipc.Pool(workers=1) as pool:
        future = pool.submit(child.hang, str(path))
        queued = pool.submit(abs, 1)
        way.wait_until(path.exists)
        raise KeyError
    assert not is_running(int(path.read_text()))
    for each in (future, queued):
        with pytest.raises(gipc.PoolClosed):
            each.result()


def test_shutdown_as_of_an_executor(way, tmp_path):
    path = tmp_path / "pid"
    pool = gipc.Pool(workers=1)
    running = pool.submit(child.hang, str(path))
    queued = pool.submit(abs, 1)
    way.wait_until(path.exists)
    pool.shutdown(wait=False, cancel_futures=True)
    way.wait_until(queued.cancelled)
    assert not running.done()
    running.cancel()
    pool.shutdown()
    pool.shutdown()
    pool.stop()


def test_a_pool_that_nobody_refers_to_stops_its_workers(way):
    pool = gipc.Pool(workers=1)
    pid = pool.call(os.getpid)
    crew = pool._crew
    del pool
    way.wait_until(lambda: crew.is_over)
    assert not is_running(pid)


def test_a_pool_belongs_to_one_process(way):
    with gipc.Pool(workers=1) as pool:
        pid = pool.call(os.getpid)

        def use():
            for call in (pool.stats, pool.shutdown, lambda: pool.call(abs, 1)):
                try:
                    call()
                except gipc.GIPCError as error:
                    assert "belongs to process" in str(error)
                else:
                    os._exit(1)
            pool.__exit__(None, None, None)

        p = gipc.start_process(use)
        p.join()
        assert p.exitcode == 0
        assert pool.call(os.getpid) == pid


def test_more_workers_than_processors(way):
    count = os.cpu_count() + 2
    with gipc.Pool(workers=count, least=count) as pool:
        way.wait_until(lambda: [w.state for w in pool.stats().workers] == [
            "ready"] * count)


@pytest.mark.parametrize("options, error", [
    ({"nonsense": 1}, r"^Pool\(\) has no option 'nonsense'$"),
    ({"workres": 3}, r"^Pool\(\) has no option 'workres'; .* 'workers'\?$"),
    ({"retire_task": 1}, r"has no option 'retire_task'; .* 'retire_tasks'\?$"),
    ({"name": "x"}, r"^Pool\(\) has no option 'name'"),
    ({"program": "x"}, r"^Pool\(\) has no option 'program'"),
    ({"argv": ["x"], "handles": {}}, r"^Pool\(\) has no option 'handles'"),
    ({"prepare": 5}, "prepare"),
    ({"stdin": -1}, "stdin, stdout: nothing"),
    ({"argv": ["x"], "stdout": -1}, "stdin, stdout: nothing"),
    ({"argv": ["x"], "stdin": -1, "stdout": -1}, "stdin, stdout: nothing"),
    ({"launch": ["x"], "stdin": -1}, r"Pool\(\) has no option 'stdin'"),
    ({"launch": ["x"], "argv": ["x"]}, "argv, launch"),
    ({"launch": ["x"], "work": abs}, "argv, launch"),
    ({"launch": "ssh host"}, "launch"),
    ({"launch": []}, "launch"),
    ({"workers": -1}, "workers"),
    ({"workers": 0}, "workers"),
    ({"workers": 1.5}, "workers"),
    ({"growth": 0.5}, "growth"),
    ({"least": 9, "workers": 2}, "least"),
    ({"poison": -1}, "poison"),
    ({"idle": "x"}, "idle"),
    ({"ahead": -1}, "ahead"),
    ({"ahead": 0.5}, "ahead"),
    ({"launch": ["x"], "ahead": 1}, "ahead: not with launch"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": "x"}, "timeout"),
    ({"retries": -1}, "retries"),
    ({"priority": 0.5}, "priority"),
    ({"retry_for": ["rain"]}, "retry_for"),
    ({"umask": "x"}, "umask"),
    ({"method": "magic"}, "method"),
    ({"work": 5}, "work"),
    ({"argv": ["x"], "prepare": abs}, "argv"),
    ({"argv": "x y"}, "argv"),
    ({"encoder": "rot13"}, "encoder"),
])
def test_a_wrong_option_names_itself(options, error):
    with pytest.raises((TypeError, ValueError, gipc.GIPCError), match=error):
        gipc.Pool(**options)


@pytest.mark.parametrize("options, error", [
    ({"chunksize": 0}, "chunksize"),
    ({"chunksize": 1.5}, "chunksize"),
    ({"window": 0}, "window"),
    ({"window": "x"}, "window"),
    ({"progress": 5}, "progress"),
    ({"timeout": -1}, "timeout"),
    ({"retries": 1.5}, "retries"),
    ({"retry_for": "died"}, "retry_for"),
    ({"tiemout": 1}, "tiemout"),
])
def test_a_wrong_option_of_a_map_names_itself(options, error):
    with gipc.Pool(workers=1) as pool:
        with pytest.raises((TypeError, ValueError), match=error):
            pool.map(abs, [1], **options)
    with gipc.Pool(abs, workers=1) as pool:
        with pytest.raises(ValueError, match="chunksize: .*not calls"):
            pool.map([1], chunksize=2)


def test_a_system_without_epoll(way, monkeypatch):
    monkeypatch.setattr(_poll, "_new_epoll", None)
    with gipc.Pool(workers=2, first_delay=0.001) as pool:
        assert list(pool.map(child.double, range(50))) == list(range(0, 100, 2))
        data = os.urandom(3_000_000)
        assert pool.call(bytes, data) == data
        with pytest.raises(gipc.WorkerDied):
            pool.call(child.die)
        assert pool.call(child.double, 2) == 4


def kill_one(pool):
    for worker in pool.stats().workers:
        if worker.state == "ready":
            try:
                os.kill(worker.pid, 9)
            except ProcessLookupError:
                continue  # it was killed before
            return


@pytest.mark.timeout(900 if support.LONG else 120)
@pytest.mark.parametrize("ahead", [0, 5])
def test_no_task_is_lost_or_done_twice_while_workers_are_killed(
        way, tmp_path, ahead):
    path = str(tmp_path / "notes")
    count = 100_000 if support.LONG else 2_000
    kills, next_kill, errors = 0, 0, []
    with gipc.Pool(workers=2, ahead=ahead, first_delay=0.001) as pool:
        futures = collections.deque()
        for number in range(count):
            futures.append(pool.submit(child.note, path, number))
            if len(futures) == 500:
                errors.append(futures.popleft().exception())
            if time.monotonic() > next_kill or number % (count // 8) == 9:
                kill_one(pool)
                kills += 1
                next_kill = time.monotonic() + 0.05
        errors += [future.exception() for future in futures]
        stats = pool.stats()
    failed = {n for n, error in enumerate(errors) if error is not None}
    assert all(type(errors[n]) is gipc.WorkerDied for n in failed)
    assert len(failed) <= kills
    assert stats.done == count - len(failed)
    with open(path) as file:
        noted = [int(line) for line in file]
    assert len(noted) == len(set(noted))
    assert set(range(count)) - failed <= set(noted)


def test_a_program_that_does_not_stop_its_pool_and_keeper_ends_quietly(tmp_path):
    """multiprocessing joins the processes that a thread of the pool sees end."""
    support.run_program(tmp_path, """
        import time
        import gipc

        pool = gipc.Pool(abs, workers=20, least=20)
        services = [gipc.Service(argv=["sleep", "1000"], name="program")]
        services += [gipc.Service(time.sleep, args=(1000,), name=str(i))
                     for i in range(10)]
        keeper = gipc.keep(services)
        while pool.stats().starts < 20 or keeper["9"].state != "ready":
            time.sleep(0.01)
    """)
