"""Pools: tasks, their results and exceptions, workers that end."""

import concurrent.futures
import multiprocessing
import os
import threading

import gipc
import pool_child as child
import pytest
from support import is_running, wait_until


@pytest.fixture
def pool(way):
    with gipc.Pool(workers=2, grace=60, first_delay=0.001) as pool:
        yield pool


def begun(path, way):
    """The process ID of a worker, when its task has begun."""
    way.wait_until(path.exists)
    return int(path.read_text())


def test_calls_return_results_and_raise_exceptions(way):
    with gipc.Pool(workers=2) as pool:
        assert pool.call(divmod, 7, 2) == (3, 1)
        assert pool.call(int, "ff", base=16) == 255
        with pytest.raises(ValueError, match="invalid literal") as caught:
            pool.call(int, "x")
        assert "Traceback" in str(caught.value.__cause__)
        with pytest.raises(TypeError, match="not callable"):
            pool.call(5)
        with pytest.raises(TypeError, match="function to call is missing"):
            pool.call()


def test_large_tasks_and_results(way):
    with gipc.Pool(workers=2) as pool:
        for size in (100_000, 5_000_000):
            data = os.urandom(size)
            assert list(pool.map(bytes, [data] * 5)) == [data] * 5


def test_a_window_is_given_once():
    with gipc.Pool(workers=1) as pool:
        with pytest.raises(TypeError, match="window and buffersize"):
            pool.map(len, [], window=2, buffersize=2)


@pytest.mark.parametrize("name", ["window", "buffersize"])
def test_map_is_lazy_bounded_and_ordered(way, name):
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    with gipc.Pool(workers=2) as pool:
        results = pool.map(child.double, items(), **{name: 4})
        assert taken == []
        assert next(results) == 0
        assert len(taken) <= 6
        assert list(results) == [2 * n for n in range(1, 100)]
        assert list(pool.map(pow, [2, 3], [3, 2])) == [8, 9]
        unordered = pool.map(child.double, range(50), ordered=False)
        assert sorted(unordered) == [2 * n for n in range(50)]
        with pytest.raises(TypeError):
            pool.map(child.double)


def test_a_map_in_chunks(way):
    with gipc.Pool(workers=2) as pool:
        results = pool.map(child.double, range(10), chunksize=4)
        assert list(results) == [2 * n for n in range(10)]
        assert pool.stats().done == 3
        assert list(pool.map(pow, [2, 3, 4], [3, 2], chunksize=2)) == [8, 9]
        assert list(pool.map(child.double, [], chunksize=9)) == []
        unordered = pool.map(child.double, range(50), chunksize=7, ordered=False)
        assert sorted(unordered) == [2 * n for n in range(50)]


def test_an_exception_in_a_chunk_is_that_of_concurrent_futures(way):
    def outcome(pool):
        results, got = pool.map(child.odd_ones_fail, [0, 2, 4, 3, 6],
                                chunksize=2), []
        with pytest.raises(KeyError) as caught:
            got.extend(iter(lambda: next(results), None))
        return got, caught.value.args, next(results, "the end")

    with gipc.Pool(workers=1) as pool:
        ours = outcome(pool)
    fork = multiprocessing.get_context("fork")  # a fork server would be left
    with concurrent.futures.ProcessPoolExecutor(1, fork) as executor:
        assert ours == outcome(executor)


def test_a_map_that_is_left_cancels_its_tasks(way, tmp_path):
    with gipc.Pool(workers=1) as pool:
        path = tmp_path / "pid"
        results = pool.map(child.hang, [str(path)] * 3)
        job = way.spawn(lambda: next(results))
        pid = begun(path, way)
        results.close()
        with pytest.raises(concurrent.futures.CancelledError):
            job.get()
        assert not is_running(pid)


def test_a_pool_is_an_executor(way):
    with gipc.Pool(workers=2) as pool:
        assert isinstance(pool, concurrent.futures.Executor)
        futures = [pool.submit(child.double, n) for n in range(20)]
        assert [f.result(60) for f in futures] == [2 * n for n in range(20)]
        future = pool.submit(child.leave)
        assert isinstance(future.exception(60), gipc.WorkerDied)
        assert future.exception().exit_info.code == 5


def test_the_waits_of_concurrent_futures():
    def body():
        with gipc.Pool(workers=2) as pool:
            futures = [pool.submit(child.double, n) for n in range(9)]
            done, _ = concurrent.futures.wait(futures, 60)
            assert len(done) == 9
            more = {pool.submit(child.double, n) for n in range(9)}
            ended = concurrent.futures.as_completed(more, 60)
            assert sorted(f.result() for f in ended) == list(range(0, 18, 2))

    thread = threading.Thread(target=body)
    thread.start()
    wait_until(lambda: not thread.is_alive())


def test_a_worker_that_ends_fails_its_task_only(pool, way):
    for kill in (None, 3):
        futures = [pool.submit(child.double, n) for n in range(10)]
        dead = pool.submit(child.die, kill)
        futures += [pool.submit(child.double, n) for n in range(10)]
        assert [f.result() for f in futures] == [0, 2, 4, 6, 8, 10, 12, 14, 16,
                                                 18] * 2
        error = dead.exception()
        assert isinstance(error, gipc.WorkerDied)
        assert (error.exit_info.signal, error.exit_info.code) == (
            (9, None) if kill is None else (None, 3))
        assert error.attempt == 1 and error.task and error.pid
        assert not is_running(error.pid)
    assert pool.stats().failures == 2


def test_the_last_lines_of_stderr(way):
    import subprocess

    with gipc.Pool(workers=1, stderr=subprocess.PIPE) as pool:
        with pytest.raises(gipc.WorkerDied) as caught:
            pool.call(child.complain)
        assert caught.value.stderr == "first line\nlast words\n"


def test_retries_are_made_where_asked_for(pool, tmp_path):
    once = str(tmp_path / "once")
    with pytest.raises(gipc.WorkerDied):
        pool.call(child.die_until, once, 1)
    assert os.path.getsize(once) == 1
    assert pool.call(child.die_until, str(tmp_path / "a"), 2, retries=2) == 3
    with pytest.raises(gipc.WorkerDied) as caught:
        pool.call(child.die_until, str(tmp_path / "b"), 5, retries=1)
    assert (caught.value.attempt, caught.value.why) == (2, "")
    # The default of poison is 3.
    with pytest.raises(gipc.WorkerDied, match="given up") as caught:
        pool.call(child.die_until, str(tmp_path / "c"), 9, retries=8)
    assert (caught.value.attempt, caught.value.why) == (3, "poison")
    with pytest.raises(ValueError):
        pool.call(int, "x", retries=1)
    view = pool.with_options(retries=2)
    done = view.submit(child.die_until, str(tmp_path / "d"), 2)
    assert done.result() == 3


def test_a_timeout_stops_the_worker(pool, way, tmp_path):
    path = tmp_path / "pid"
    with pytest.raises(gipc.TaskTimeout) as caught:
        pool.call(child.hang, str(path), timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert not path.exists() or not is_running(int(path.read_text()))
    assert pool.call(child.double, 4) == 8


def test_a_worker_that_ignores_sigterm_is_killed(way, tmp_path):
    path = tmp_path / "pid"
    with gipc.Pool(workers=1, grace=0.01) as pool:
        future = pool.submit(child.ignore_term, str(path))
        pid = begun(path, way)
        assert future.cancel()
        assert pool.call(child.double, 4) == 8
        assert not is_running(pid)


def test_cancel_of_queued_and_running_tasks(way, tmp_path):
    path = tmp_path / "pid"
    with gipc.Pool(workers=1) as pool:
        running = pool.submit(child.hang, str(path))
        queued = pool.submit(child.note, str(tmp_path / "note"), 1)
        pid = begun(path, way)
        assert queued.cancel() and running.cancel()
        assert running.cancelled() and queued.cancelled()
        with pytest.raises(concurrent.futures.CancelledError):
            running.result()
        assert pool.call(child.double, 4) == 8
        assert not is_running(pid)
        assert not (tmp_path / "note").exists()
        done = pool.submit(child.double, 2)
        done.result()
        assert not done.cancel()


def test_higher_priorities_first(way, tmp_path):
    path, order = tmp_path / "pid", str(tmp_path / "order")
    with gipc.Pool(workers=1) as pool:
        first = pool.submit(child.hang, str(path))
        begun(path, way)
        for number in range(3):
            for priority in (0, 5):
                pool.with_options(priority=priority).submit(
                    child.note, order, 10 * priority + number)
        first.cancel()
    with open(order) as file:
        assert [int(line) for line in file] == [50, 51, 52, 0, 1, 2]


def test_a_full_queue_lets_others_wait(way, tmp_path):
    path = tmp_path / "pid"
    with gipc.Pool(workers=1, queue_limit=2, queue_low=1) as pool:
        blocker = pool.submit(child.hang, str(path))
        begun(path, way)
        queued = [pool.submit(child.double, n) for n in range(2)]
        job = way.spawn(pool.call, child.double, 21)
        way.wait_until(lambda: pool._crew._events)
        assert pool.stats().queued == 2
        blocker.cancel()
        assert job.get() == 42
        assert [f.result() for f in queued] == [0, 2]


def test_exceptions_that_cannot_be_pickled(pool):
    with pytest.raises(child.Unpicklable) as caught:
        pool.call(child.raise_unpicklable)
    error = caught.value
    assert (str(error), error.code) == ("code 7", 7)
    assert "lock" in error.lock
    assert "raise_unpicklable" in str(error.__cause__)
    with pytest.raises(gipc.RemoteError, match="of a function") as caught:
        pool.call(child.raise_local)
    assert "Local" in caught.value.type
    assert "raise_local" in caught.value.trace
    pid = pool.call(os.getpid)
    with pytest.raises(TypeError, match="pickle"):
        pool.call(child.unencodable)
    assert pool.stats().failures == 0 and is_running(pid)


def test_a_worker_that_speaks_out_of_turn_is_stopped(pool):
    with pytest.raises(gipc.WorkerDied) as caught:
        pool.call(child.speak_out_of_turn)
    assert caught.value.why == "protocol"
    assert pool.call(child.double, 1) == 2


def test_progress_by_the_interface_of_tqdm(way):
    class Bar:
        def __init__(self, total):
            self.total, self.done, self.closed = total, 0, False
            bars.append(self)

        def update(self, count):
            self.done += count

        def close(self):
            self.closed = True

    bars = []
    with gipc.Pool(workers=2) as pool:
        list(pool.map(child.double, range(5), progress=Bar))
        list(pool.map(child.double, iter(range(5)), progress=Bar(None)))
    assert [(b.total, b.done, b.closed) for b in bars] == [
        (5, 5, True), (None, 5, True)]


def test_progress_by_tqdm(way, capfd):
    tqdm = pytest.importorskip("tqdm")
    # Its own is of multiprocessing, which since Python 3.14 starts a process for it.
    tqdm.tqdm.set_lock(threading.RLock())
    with gipc.Pool(workers=2) as pool:
        list(pool.map(child.double, range(5), progress=True))
        list(pool.map(child.double, range(6), progress=tqdm.tqdm, chunksize=4))
    shown = capfd.readouterr().err
    assert "5/5" in shown and "6/6" in shown


def test_progress_by_rich(way):
    progress = pytest.importorskip("rich.progress")
    import io

    from rich.console import Console

    console = Console(file=io.StringIO())
    with progress.Progress(console=console) as bars, gipc.Pool(workers=2) as pool:
        list(pool.map(child.double, range(5), progress=bars))
        list(pool.map(child.double, iter(range(3)), progress=bars))
    assert [(task.total, task.completed) for task in bars.tasks] == [
        (5, 5), (None, 3)]


def test_progress_without_tqdm_says_so(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with gipc.Pool(workers=1) as pool:
        with pytest.raises(gipc.GIPCError, match="pip install tqdm"):
            pool.map(abs, [1], progress=True)


def test_greenlets_wait_for_a_pool_that_a_thread_drives(program):
    assert program("""
        import time, gipc
        pool = gipc.Pool(workers=1)
        pool.call(abs, -1)
        import gevent
        gevent.get_hub()  # which watches nothing, and must not give up
        pool.call(time.sleep, 0.1)
        print(pool.submit(abs, -3).result())
        pool.shutdown()
    """) == "3\n"


def test_the_import_of_the_package_stays_small(program):
    assert program("""
        import sys, gipc
        assert "concurrent.futures" not in sys.modules
        assert gipc.Pool.__name__ == "Pool"
    """) == ""
