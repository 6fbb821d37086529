"""What the loops of Python show of fairness, idleness and scale: see run.

    fair.py fair|control|idle|scale LOOP ...

One body for all: where waiting blocks, its waits return without suspending it."""

import os
import signal
import sys
import time

import gipc
import measure

PEER = os.environ["GIPC_FAIR_PEER"]


def drive(coroutine):
    """Runs a coroutine whose waits block."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("a wait that does not block")


class Threads:
    api = gipc

    def run(self, coroutine):
        return drive(coroutine)

    def spawn(self, coroutine):
        import threading

        threading.Thread(target=drive, args=(coroutine,), daemon=True).start()

    async def sleep(self, seconds):
        time.sleep(seconds)

    async def done(self, result):
        return result

    async def wait(self, handles):
        return gipc.wait(handles)

    def watch(self, ticks):
        self.spawn(tick(self, ticks))


class Gevent(Threads):
    def spawn(self, coroutine):
        import gevent

        gevent.spawn(drive, coroutine)

    async def sleep(self, seconds):
        import gevent

        gevent.sleep(seconds)


class Asyncio:
    def __init__(self):
        from gipc import aio

        self.api = aio

    def run(self, coroutine):
        import asyncio

        return asyncio.run(coroutine)

    def spawn(self, coroutine):
        import asyncio

        self.tasks = getattr(self, "tasks", set())
        self.tasks.add(asyncio.ensure_future(coroutine))

    async def sleep(self, seconds):
        import asyncio

        await asyncio.sleep(max(seconds, 1e-6))

    async def done(self, result):
        return await result if hasattr(result, "__await__") else result

    async def wait(self, handles):
        return await self.api.wait(handles)

    def watch(self, ticks):
        """A timer by itself: a task that sleeps runs one iteration after its timer."""
        import asyncio

        loop = asyncio.get_running_loop()

        def run():
            ticks.ran()
            if not ticks.over:
                loop.call_later(max(ticks.next(), 1e-6), run)

        loop.call_later(max(ticks.next(), 1e-6), run)


class Uvloop(Asyncio):
    def run(self, coroutine):
        import uvloop

        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(coroutine)
        finally:
            loop.close()


class Trio(Asyncio):
    def run(self, coroutine):
        import trio

        async def main():
            async with trio.open_nursery() as self.nursery:
                result = await coroutine
                self.nursery.cancel_scope.cancel()
            return result

        return trio.run(main)

    def spawn(self, coroutine):
        async def task():
            await coroutine

        self.nursery.start_soon(task)

    def watch(self, ticks):
        self.spawn(tick(self, ticks))

    async def sleep(self, seconds):
        import trio

        await trio.sleep(seconds)


LOOPS = dict(threads=Threads, gevent=Gevent, asyncio=Asyncio, uvloop=Uvloop, trio=Trio)


def raw(loop, duplex=False):
    return loop.api.pipe(duplex, encoder=None, decoder=None)


async def tick(loop, ticks):
    """Another watcher of the loop; with the period 0 it runs in each iteration."""
    while not ticks.over:
        await loop.sleep(ticks.next())
        ticks.ran()


def start_flood(loop, handles, size, count):
    pipes = [raw(loop) for _ in range(handles)]
    full, notice = raw(loop)
    passed = {f"w{i}": pair[1] for i, pair in enumerate(pipes)}
    argv = [PEER, "flood", str(size), str(count)]
    child = loop.api.exec_process(argv, handles={**passed, "full": notice}, daemon=True)
    return [pair[0] for pair in pipes], full, child


async def fair(loop, handles, size, count, period):
    readers, full, child = start_flood(loop, int(handles), int(size), int(count))
    ticks = measure.Ticks(float(period))
    left = [int(handles)]

    async def take(reader):
        try:
            while True:
                await loop.done(reader.get())
                ticks.handled += 1
        except EOFError:
            left[0] -= 1
        ticks.transports.add(reader.stats.transport_in)
        await loop.done(reader.close())

    await loop.done(full.get())
    loop.watch(ticks)
    while ticks.runs < 2:
        await loop.sleep(0.001)
    for reader in readers[1:]:
        loop.spawn(take(reader))
    await take(readers[0])
    while left[0]:
        await loop.sleep(0.001)
    await loop.done(child.join())
    ticks.report()


async def control(loop, _handles, microseconds, rounds, period):
    ticks = measure.Ticks(float(period))
    loop.watch(ticks)
    for _ in range(int(rounds)):
        until = time.monotonic() + int(microseconds) / 1e6
        while time.monotonic() < until:
            pass
        await loop.sleep(0)
    ticks.report()


def sleeper(handle):
    handle.put(b"here")
    try:
        gipc_get(handle)
    except EOFError:
        pass


def gipc_get(handle):
    return handle.get()


def service():
    gipc.ready()
    signal.pause()


async def idle_children(loop, children):
    """Half of them functions, half programs; all of them sent a message."""
    handles, kept = [], []
    for i in range(children):
        mine, its = gipc.pipe(True, encoder=None, decoder=None)
        if i % 2:
            kept.append(gipc.exec_process([PEER, "answer"], handles={"h": its}, daemon=True))
        else:
            kept.append(gipc.start_process(sleeper, (its,), daemon=True))
        handles.append(mine)
    for mine in handles:
        assert mine.get() == b"here"
    return handles, kept


async def ring(loop, kept):
    """A duplex pipe over rings, in use and then idle."""
    mine, its = raw(loop, True)
    for _ in range(200):
        await loop.done(mine.put(b"x"))
        await loop.done(its.get())
        await loop.done(its.put(b"x"))
        await loop.done(mine.get())
    kept += [mine, its]
    loop.spawn(take_one(loop, mine))
    return mine.stats.transport_in


async def take_one(loop, reader):
    await loop.done(reader.get())


async def idle(loop, handles, children):
    kept = []
    kept.append(await idle_children(loop, int(children)))
    template = gipc.Template()
    kept.append(gipc.start_process(signal.pause, daemon=True, method=template))
    tree = ["sh", "-c", "sleep 600 & wait"]
    kept.append(gipc.exec_process(tree, daemon=True, group="tree"))
    pool = loop.api.Pool(abs, workers=2, least=2)
    keeper = loop.api.keep([gipc.Service(service, notify=True)])
    kept += [pool, keeper]
    assert await loop.done(pool.call(-1)) == 1
    await loop.done(keeper.wait_ready())
    transport = await ring(loop, kept)
    pipes = [raw(loop) for _ in range(int(handles))]
    kept.append(pipes)
    if isinstance(loop, Asyncio) or isinstance(loop, Gevent):
        for reader, _ in pipes:
            loop.spawn(take_one(loop, reader))
        for process in kept[0][1]:
            loop.spawn(join(loop, process))
        await loop.sleep(0.001)
    print(f"idle transport={transport}", flush=True)
    if type(loop) is Threads:
        gipc.wait([reader for reader, _ in pipes] + kept[0][1])
    stop, writer = raw(loop)
    await loop.done(stop.get())


async def join(loop, process):
    await loop.wait([process])


async def scale(loop, handles, children):
    clock = measure.Clock()
    pipes = [raw(loop) for _ in range(int(handles) // 2)]
    got = [0]

    async def take(reader):
        size = len(await loop.done(reader.get()))  # others count meanwhile
        got[0] += size

    if type(loop) is Threads:
        for _, writer in pipes:
            writer.put(b"x")
        ready = set(gipc.wait([reader for reader, _ in pipes]))
        assert len(ready) == len(pipes)
        for reader in ready:
            got[0] += len(reader.get())
    else:
        for reader, _ in pipes:
            loop.spawn(take(reader))
        await loop.sleep(0.001)
        for _, writer in pipes:
            await loop.done(writer.put(b"x"))
        while got[0] < len(pipes):
            await loop.sleep(0.001)
    for reader, writer in pipes:
        await loop.done(writer.close())
        await loop.done(reader.close())
    handles_took = clock.lap()
    await many_children(loop, int(children))
    measure.report_scale(got[0], int(children), handles_took, clock.lap())


async def many_children(loop, children):
    started = []
    for _ in range(children):
        mine, its = raw(loop, True)
        argv = [PEER, "answer"]
        started.append((loop.api.exec_process(argv, handles={"h": its}, daemon=True), mine))
    for _, mine in started:
        assert await loop.done(mine.get()) == b"here"
    for child, mine in started:
        await loop.done(mine.close())
        await loop.done(child.join())
        assert child.exitcode == 0
        if hasattr(child, "close"):
            await loop.done(child.close())


if __name__ == "__main__":
    body, name = sys.argv[1:3]
    chosen = LOOPS[name]()
    before = measure.descriptors()
    chosen.run(globals()[body](chosen, *sys.argv[3:]))
    if body == "scale":
        measure.check_nothing_left(before)
