"""Pools: tasks that a worker is sent before it has answered the one that it carries
out, and those that it was sent and has not begun."""

import os
import sys

import gipc
import pool_child as child
import pytest
from gipc._blocking import current_backend
from support import is_running
from test_pool import begun


def test_only_the_task_that_it_had_begun_dies_with_a_worker(way):
    with gipc.Pool(workers=1, ahead=5, first_delay=0.001) as pool:
        before = [pool.submit(child.double, n) for n in range(2)]
        dead = pool.submit(child.die)
        after = [pool.submit(child.double, n) for n in range(2, 9)]
        with pytest.raises(gipc.WorkerDied):
            dead.result()
        results = [future.result() for future in before + after]
        assert results == list(range(0, 18, 2))
        stats = pool.stats()
        assert (stats.retries, stats.starts, stats.lost) == (0, 2, 1)


def test_a_task_that_was_sent_ahead_and_cancelled_is_not_begun(way, tmp_path):
    path, note = tmp_path / "pid", tmp_path / "note"
    with gipc.Pool(workers=1, ahead=1) as pool:
        running = pool.submit(child.hang, str(path))
        ahead = pool.submit(child.note, str(note), 1)
        pid = begun(path, way)
        assert pool.stats().running == 2
        assert ahead.cancel() and is_running(pid)
        assert running.cancel()
        assert pool.call(child.double, 4) == 8
        assert not note.exists()


def test_large_tasks_are_sent_when_there_is_room(way):
    with gipc.Pool(workers=1, ahead=10) as pool:
        tasks = [bytes(300_000 + n) for n in range(20)]
        assert list(pool.map(len, tasks)) == [len(task) for task in tasks]
        assert pool.stats().starts == 1


# It closes its stream after its second answer, and waits for the end of the test.
CLOSES = """
import os, sys
import gipc
from gipc import _native
handle = gipc.inherit("worker", encoder=None, decoder=None)
handle.put(_native.worker_ready())
for number in range(2):
    task, _, data = _native.worker_task(handle.get())
    waits = number and os.path.exists(sys.argv[1])
    if waits:
        open(sys.argv[1]).close()
    handle.put(_native.worker_done(task, data))
handle.close()
if waits:
    open(sys.argv[2], "w").close()
    open(sys.argv[3]).close()
"""


class UntilTheStreamEnds:
    """A task that keeps the driver until its worker has closed its stream."""

    def __init__(self, answer, closed):
        self.answer, self.closed = answer, closed

    def finish(self, action):
        open(self.answer, "w").close()
        os.unlink(self.answer)
        open(self.closed).close()


class Outcome:
    action = None

    def finish(self, action):
        self.action = action


def test_a_worker_that_has_answered_and_closed_costs_no_task(way, tmp_path):
    fifos = [str(tmp_path / name) for name in ("answer", "closed", "end")]
    for fifo in fifos:
        os.mkfifo(fifo)
    with gipc.Pool(argv=[sys.executable, "-c", CLOSES, *fifos], workers=1,
                   first_delay=0.001, encoder=None, decoder=None) as pool:
        options = pool._options(None, None, None, None)
        pool._crew.submit(b"1", UntilTheStreamEnds(*fifos[:2]), options)
        others = [Outcome() for _ in range(3)]
        for number, outcome in enumerate(others):
            pool._crew.submit(b"%d" % number, outcome, options)
        pool._crew.start(pool._driver_backend(current_backend()))
        way.wait_until(lambda: others[0].action)
        open(fifos[2], "w").close()
        way.wait_until(lambda: others[2].action)
        assert [outcome.action[3] for outcome in others] == [b"0", b"1", b"2"]
        assert pool.stats().starts == 2
