"""Keepers of tasks of asyncio, uvloop and trio."""

import asyncio
import os

import gipc
import keeper_child as child
import pytest
from aio_support import cancel, under_all
from gipc import Service, aio
from support import is_running


async def until(tasks, condition):
    while not condition():
        await tasks.sleep(0.001)


async def ready(tasks, keeper, name):
    await until(tasks, lambda: keeper[name].state == "ready")
    return keeper[name].pid


@under_all
async def test_a_wait_returns_when_each_service_is_ready(tasks, tmp_path):
    path = tmp_path / "go"
    services = [Service(child.be_ready_when_told, (path,), notify=True), Service(child.run)]
    async with aio.keep(services) as keeper:
        with pytest.raises(gipc.GIPCTimeout):
            await keeper.wait_ready(timeout=0.01)
        path.touch()
        await keeper.wait_ready(timeout=60)
        assert keeper["run"].state == "ready"


@under_all
async def test_a_service_is_restarted_and_given_up(tasks, tmp_path):
    path = tmp_path / "starts"
    service = Service(child.crash, (path, 7), first_delay=0.01, jitter=-1, limit=2)
    async with aio.keep([service]) as keeper:
        with pytest.raises(gipc.GaveUp, match="'crash'.*exit code 7"):
            await keeper.wait()
    times = [float(line[0]) for line in child.noted(path)]
    assert len(times) == 3
    assert times[1] - times[0] >= 0.01 and times[2] - times[1] >= 0.02


@under_all
async def test_a_service_is_restarted_as_its_rule_says(tasks, tmp_path):
    path = [tmp_path / str(number) for number in range(3)]
    options = {"first_delay": 0.001, "jitter": -1, "limit": 2}
    services = {
        "once": Service(child.crash, (path[0], 0), restart="on_failure", **options),
        "never": Service(child.crash, (path[1], 5), restart="never", **options),
    }
    async with aio.keep(services) as keeper:
        await keeper.wait()
        assert [keeper[name].state for name in keeper] == ["finished"] * 2
    failing = Service(child.crash, (path[2], 5), restart="on_failure", **options)
    async with aio.keep([failing]) as keeper:
        with pytest.raises(gipc.GaveUp):
            await keeper.wait()
    assert [len(child.noted(p)) for p in path] == [1, 1, 3]


@under_all
async def test_a_program_that_speaks_sd_notify_is_understood(tasks):
    service = Service(argv=child.SPEAKS_SD_NOTIFY, name="p", notify=True)
    async with aio.keep([service]) as keeper:
        await ready(tasks, keeper, "p")


@under_all
async def test_coroutines_are_services(tasks):
    changes = []
    service = Service(child.be_ready_in_a_loop, name="web", notify=True)
    async with aio.keep([service], on_change=changes.append) as keeper:
        first = await ready(tasks, keeper, "web")
        await keeper.reload("web")
        second = keeper["web"].pid
        assert second != first
        await until(tasks, lambda: not is_running(first))
        os.kill(second, 9)
        await until(tasks, lambda: keeper["web"].restarts == 1)
        await ready(tasks, keeper, "web")
    states = [change.state for change in changes]
    assert states.index("stopping") > states.index("ready", 2)
    assert keeper["web"].state == "stopped"


@under_all
async def test_other_tasks_run_while_one_waits_for_a_keeper(tasks):
    keeper = aio.keep([Service(child.run, grace=60)])
    waits = tasks.spawn(keeper.wait)
    await ready(tasks, keeper, "run")
    await tasks.settle()
    assert not waits.done()
    with pytest.raises(gipc.GIPCTimeout):
        await keeper.wait(timeout=0)
    await keeper.stop()
    await tasks.ended(waits)
    assert waits.result() is None


@under_all
async def test_a_cancelled_task_leaves_no_service(tasks):
    keepers = []

    async def body():
        services = {name: Service(child.be_ready, notify=True) for name in "ab"}
        async with aio.keep(services) as keeper:
            keepers.append(keeper)
            await keeper.wait()

    job = tasks.spawn(body)
    await until(tasks, lambda: keepers)
    pids = [await ready(tasks, keepers[0], name) for name in "ab"]
    await cancel(tasks, job)
    assert not any(map(is_running, pids))
    assert keepers[0]._keeping.is_over


@under_all
async def test_a_stop_that_is_cancelled_goes_on(tasks, tmp_path):
    path = str(tmp_path / "note")
    service = Service(child.ignore_term, (path,), notify=True, grace=0.05)
    keeper = aio.keep([service])
    pid = await ready(tasks, keeper, "ignore_term")
    job = tasks.spawn(keeper.stop)
    await until(tasks, lambda: keeper["ignore_term"].state == "stopping")
    await cancel(tasks, job)
    await keeper.wait()
    assert not is_running(pid)


@under_all
async def test_an_error_in_the_block_stops_the_services(tasks):
    with pytest.raises(KeyError):
        async with aio.keep([Service(child.run, grace=60)]) as keeper:
            pid = await ready(tasks, keeper, "run")
            raise KeyError
    assert not is_running(pid)


@pytest.mark.loop("asyncio")
def test_services_end_with_their_loop():
    async def main():
        keeper = aio.keep([Service(child.run)])
        while keeper["run"].state != "ready":
            await asyncio.sleep(0.001)
        return keeper, keeper["run"].pid

    keeper, pid = asyncio.run(main())
    assert keeper._keeping.is_over
    assert not is_running(pid)


@pytest.mark.loop("asyncio")
def test_a_keeper_of_tasks_needs_a_loop():
    with pytest.raises(RuntimeError, match="neither asyncio nor trio"):
        aio.keep([Service(child.run)])
