"""Pools of tasks of asyncio, uvloop and trio."""

import asyncio
import os

import gipc
import pool_child as child
import pytest
from aio_support import cancel, under, under_all
from gipc import _poll, aio
from support import is_running


async def begun(tasks, path):
    while not path.exists():
        await tasks.sleep(0.001)
    return int(path.read_text())


@under_all
async def test_calls_and_maps(tasks):
    async with aio.Pool(workers=2) as pool:
        assert await pool.call(divmod, 7, 2) == (3, 1)
        results = pool.map(child.double, range(20))
        assert [r async for r in results] == list(range(0, 40, 2))
        unordered = pool.map(child.double, range(20), ordered=False)
        assert sorted([r async for r in unordered]) == list(range(0, 40, 2))
        with pytest.raises(ValueError, match="invalid literal"):
            await pool.call(int, "x")
        data = os.urandom(3_000_000)
        assert await pool.call(bytes, data) == data
        assert pool.stats().failed == 1
    with pytest.raises(gipc.PoolClosed):
        await pool.call(abs, 1)


@under_all
async def test_tasks_are_sent_ahead(tasks, tmp_path):
    async with aio.Pool(workers=1, ahead=5, first_delay=0.001) as pool:
        results = pool.map(child.double, range(50))
        assert [r async for r in results] == list(range(0, 100, 2))
        running = tasks.spawn(pool.call, child.hang, str(tmp_path / "pid"))
        ahead = tasks.spawn(pool.call, child.double, 1)
        await begun(tasks, tmp_path / "pid")
        while pool.stats().running < 2:
            await tasks.sleep(0.001)
        await cancel(tasks, running)
        await tasks.ended(ahead)
        assert ahead.result() == 2


@under_all
async def test_a_worker_that_ends_fails_its_task_only(tasks):
    async with aio.Pool(workers=2) as pool:
        jobs = [tasks.spawn(pool.call, child.double, n) for n in range(10)]
        with pytest.raises(gipc.WorkerDied) as caught:
            await pool.call(child.die)
        assert caught.value.exit_info.signal == 9
        for n, job in enumerate(jobs):
            await tasks.ended(job)
            assert job.result() == 2 * n


@under_all
async def test_cancelling_the_await_stops_that_task(tasks, tmp_path):
    path = tmp_path / "pid"
    async with aio.Pool(workers=1) as pool:
        job = tasks.spawn(pool.call, child.hang, str(path))
        pid = await begun(tasks, path)
        await cancel(tasks, job)
        assert await pool.call(child.double, 2) == 4
        assert not is_running(pid)
        with pytest.raises(gipc.TaskTimeout):
            await pool.call(child.hang, timeout=0.01)


@under_all
async def test_other_tasks_run_meanwhile(tasks, tmp_path):
    path = tmp_path / "pid"
    async with aio.Pool(workers=1, queue_limit=1) as pool:
        first = tasks.spawn(pool.call, child.hang, str(path))
        await begun(tasks, path)
        others = [tasks.spawn(pool.call, child.double, n) for n in range(3)]
        await tasks.settle()
        assert pool.stats().queued == 1
        await cancel(tasks, first)
        for n, job in enumerate(others):
            await tasks.ended(job)
            assert job.result() == 2 * n


@under_all
async def test_an_error_in_the_block_stops_its_tasks(tasks, tmp_path):
    path = tmp_path / "pid"
    with pytest.raises(KeyError):
        async with aio.Pool(workers=1) as pool:
            job = tasks.spawn(pool.call, child.hang, str(path))
            pid = await begun(tasks, path)
            raise KeyError
    assert not is_running(pid)
    await tasks.ended(job)
    with pytest.raises(gipc.PoolClosed):
        job.result()


@under_all
async def test_a_pool_ends_with_its_block_when_the_task_is_cancelled(
    tasks, tmp_path
):
    path = tmp_path / "pid"

    async def body():
        async with aio.Pool(workers=1) as pool:
            await pool.call(child.hang, str(path))

    job = tasks.spawn(body)
    pid = await begun(tasks, path)
    await cancel(tasks, job)
    assert not is_running(pid)


@under_all
async def test_a_system_without_epoll(tasks, monkeypatch):
    monkeypatch.setattr(_poll, "_new_epoll", None)
    async with aio.Pool(workers=2) as pool:
        assert [r async for r in pool.map(abs, range(9))] == list(range(9))
        data = os.urandom(3_000_000)
        assert await pool.call(bytes, data) == data


@under("asyncio", "uvloop")
async def test_the_executor_of_a_loop(tasks):
    loop = asyncio.get_running_loop()
    with gipc.Pool(workers=2) as pool:
        job = loop.run_in_executor(pool, child.double, 21)
        assert await job == 42
        await loop.run_in_executor(None, pool.shutdown)


@pytest.mark.loop("asyncio")
def test_a_pool_ends_with_its_loop(tmp_path):
    path = tmp_path / "pid"

    async def main():
        pool = aio.Pool(workers=1)
        job = asyncio.create_task(pool.call(child.hang, str(path)))
        while not path.exists():
            await asyncio.sleep(0.001)
        return pool, job

    pool, job = asyncio.run(main())
    assert pool._crew.is_over
    assert not is_running(int(path.read_text()))
