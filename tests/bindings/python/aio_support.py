"""Runs one test under asyncio, uvloop and trio: what the three call differently
is here under one name."""

import asyncio
import functools
import inspect

import pytest
import support
from gipc import aio
from support import on_loops

try:
    import uvloop

    # So that what libuv opens once is no leak of the first test.
    uvloop.new_event_loop().close()
except ImportError:
    pass


def run_on(new_loop, coroutine):
    """As asyncio.Runner, which is not there before Python 3.11."""
    if hasattr(asyncio, "Runner"):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(coroutine)
    loop = new_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        asyncio.runners._cancel_all_tasks(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()


# The same, for the source of a program of its own.
RUN_ON = inspect.getsource(run_on)


class Asyncio:
    Cancelled = asyncio.CancelledError

    def new_loop(self):
        return asyncio.new_event_loop()

    def run(self, function, *arguments, **options):
        async def main():
            return await asyncio.wait_for(
                function(*arguments, **options), support.limit
            )

        return run_on(self.new_loop, main())

    def spawn(self, function, *arguments):
        return asyncio.create_task(function(*arguments))

    async def ended(self, job):
        """Waits for its end."""
        await asyncio.wait([job], timeout=support.PATIENCE)
        assert job.done(), "the task hangs"

    async def settle(self):
        """Returns when every other task waits for something."""
        for _ in range(10):
            await asyncio.sleep(0)

    def sleep(self, seconds):
        return asyncio.sleep(seconds)

    async def in_thread(self, function, *arguments):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, function, *arguments)


class Uvloop(Asyncio):
    def __init__(self):
        self._uvloop = pytest.importorskip("uvloop")

    def new_loop(self):
        return self._uvloop.new_event_loop()

    async def settle(self):
        # libuv asks for what is readable every other turn.
        for _ in range(30):
            await asyncio.sleep(0)


class Trio:
    def __init__(self):
        self._trio = pytest.importorskip("trio")
        pytest.importorskip("trio.testing")
        self.Cancelled = self._trio.Cancelled

    def run(self, function, *arguments, **options):
        trio = self._trio

        async def main():
            with trio.fail_after(support.limit):
                async with trio.open_nursery() as self._nursery:
                    result = await function(*arguments, **options)
                    self._nursery.cancel_scope.cancel()
                    return result

        try:
            return trio.run(main)
        except BaseException as error:
            # A nursery puts what is raised into a group of one.
            while len(getattr(error, "exceptions", ())) == 1:
                error = error.exceptions[0]
            raise error

    def spawn(self, function, *arguments):
        return TrioJob(self._trio, self._nursery, function, arguments)

    async def ended(self, job):
        with self._trio.fail_after(support.PATIENCE):
            await job.event.wait()

    async def settle(self):
        await self._trio.testing.wait_all_tasks_blocked()

    def sleep(self, seconds):
        return self._trio.sleep(seconds)

    def in_thread(self, function, *arguments):
        return self._trio.to_thread.run_sync(function, *arguments)


class TrioJob:
    """A task with the part of an asyncio.Task that tests need."""

    def __init__(self, trio, nursery, function, arguments):
        self.event = trio.Event()
        self._scope = trio.CancelScope()
        self._value = self._error = None
        self._cancelled = False
        nursery.start_soon(self._run, function, arguments)

    async def _run(self, function, arguments):
        try:
            with self._scope:
                self._value = await function(*arguments)
            self._cancelled = self._scope.cancelled_caught
        except Exception as error:
            self._error = error
        finally:
            self.event.set()

    def cancel(self):
        self._scope.cancel()

    def cancelled(self):
        return self._cancelled

    def done(self):
        return self.event.is_set()

    def result(self):
        assert self.done()
        if self._error is not None:
            raise self._error
        return self._value


WAYS = {"asyncio": Asyncio, "uvloop": Uvloop, "trio": Trio}


def under(*names):
    """Makes a test of a coroutine function, whose first argument is the way."""

    def decorate(function):
        @functools.wraps(function)
        def test(tasks, **fixtures):
            tasks = WAYS[tasks]()
            tasks.run(function, tasks, **fixtures)

        loops = on_loops(*names, prefix="under_")
        return pytest.mark.parametrize("tasks", loops)(test)

    return decorate


under_all = under(*WAYS)


def raw(duplex=False, **options):
    return aio.pipe(duplex, encoder=None, decoder=None, **options)


async def result_of(tasks, job):
    await tasks.ended(job)
    return job.result()


async def cancel(tasks, job):
    job.cancel()
    await tasks.ended(job)
    assert job.cancelled()
