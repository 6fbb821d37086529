"""The work of the soak in Python: soak.py threads|gevent|asyncio SEED TRIPS CHILDREN.

Prints a line after each batch, as tests/soak/run reads it, and waits for a word."""

import asyncio
import ctypes
import gc
import os
import random
import signal
import sys
import threading

import gipc
import gipc.aio
from soak_child import answer_and_end, answer_and_end_here, drive, echo, wait

KINDS = ["auto", "ring", "plain", "pipes"]
#: How a child ends, and the exit code; None: the number that it was given.
ENDS = {
    "return": 0,
    "raise": None,
    "exit": None,
    "signal": -signal.SIGTERM,
    "killed": -signal.SIGKILL,
}


class Threads:
    api = gipc
    target = staticmethod(answer_and_end_here)

    def spawn(self, coroutine):
        thread = threading.Thread(target=drive, args=(coroutine,))
        thread.start()
        return thread

    async def join(self, task):
        task.join()

    async def cancel_a_get(self, handle):
        """Threads are not cancelled: the time is over at once."""
        try:
            handle.get(timeout=1e-6)
        except TimeoutError:
            return
        raise RuntimeError("a message that nobody has put")

    async def run_pool(self, count):
        pool = gipc.Pool(abs, workers=2)
        assert list(pool.map(range(-count, 0))) == list(range(count, 0, -1))
        pool.shutdown()


class Gevent(Threads):
    def spawn(self, coroutine):
        return gevent.spawn(drive, coroutine)

    async def cancel_a_get(self, handle):
        task = gevent.spawn(handle.get)
        gevent.sleep(0)
        task.kill()


class Asyncio(Threads):
    api = gipc.aio
    target = staticmethod(answer_and_end)

    def spawn(self, coroutine):
        return asyncio.get_running_loop().create_task(coroutine)

    async def join(self, task):
        await task

    async def cancel_a_get(self, handle):
        task = self.spawn(handle.get())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass

    async def run_pool(self, count):
        async with gipc.aio.Pool(abs, workers=2) as pool:
            results = [result async for result in pool.map(range(-count, 0))]
        assert results == list(range(count, 0, -1))


def pair_of(api, kind):
    if kind != "pipes":
        return api.pipe(duplex=True, transport=kind)
    (r1, w1), (r2, w2) = os.pipe(), os.pipe()
    return api.open(r1, w2), api.open(r2, w1)


def size_of(draw):
    """Most messages are small, some have up to 1 MiB."""
    return draw.randrange(256) if draw.random() < 0.9 else int(2 ** (20 * draw.random())) - 1


class Soak:
    def __init__(self, world, seed):
        self.world, self.api, self.draw = world, world.api, random.Random(seed)
        self.block = self.draw.randbytes(1 << 20)
        self.template = gipc.Template()
        self.kinds = self.pipes = self.started = 0

    async def exchange(self, a, message):
        await wait(a.put(message))
        if self.draw.random() < 0.02:  # in the middle of a message, where it is large
            try:
                assert await wait(a.get(timeout=0)) == message
                return
            except TimeoutError:
                pass
        assert await wait(a.get()) == message

    async def time_out_a_put(self, a):
        try:
            await wait(a.put(self.block, timeout=0))
        except TimeoutError as error:
            if error.withdrawn:
                return
            await wait(a.flush())
        assert await wait(a.get()) == self.block

    async def move_a_writer(self, a):
        reader, writer = self.api.pipe()
        await wait(a.put(writer))
        assert await wait(reader.get()) == b"moved"
        reader.close()

    async def use_a_pipe(self, trips):
        kind = KINDS[self.pipes % len(KINDS)]
        self.pipes += 1
        a, b = pair_of(self.api, kind)
        peer = self.world.spawn(echo(b))
        for _ in range(trips):
            chance = self.draw.random()
            if chance < 0.005:
                await self.time_out_a_put(a)
            elif chance < 0.01:
                await self.world.cancel_a_get(a)
            elif chance < 0.015 and kind != "pipes":
                await self.move_a_writer(a)
            else:
                await self.exchange(a, self.block[: size_of(self.draw)])
        await self.close(a, self.draw.randrange(3))
        await self.world.join(peer)

    async def close(self, a, order):
        if order == 1:  # the other end first
            await wait(a.put(b"close"))
            try:
                await wait(a.get())
            except EOFError:
                pass
        elif order == 2:  # with an answer that is not got
            await wait(a.put(self.block[:5000]))
        a.close()

    async def trips(self, count):
        while count > 0:
            await self.use_a_pipe(min(count, 250))
            count -= 250

    async def run_a_program(self):
        number = self.draw.randrange(100)
        self.started += 1
        if number % 3 == 0:
            child, code = self.api.exec_process(["sh", "-c", "kill -9 $$"]), -signal.SIGKILL
        elif number % 3 == 1:
            child, code = self.api.exec_process(["sleep", "60"]), -signal.SIGTERM
            child.terminate()
        else:
            child, code = self.api.exec_process(["sh", "-c", f"exit {number}"]), number
        await wait(child.join())
        assert child.exitcode == code, (child.exitcode, code)

    async def run_a_function(self, method):
        how = self.draw.choice(list(ENDS))
        number = self.draw.randrange(256)
        mine, theirs = self.api.pipe(duplex=True)
        child = self.api.start_process(self.world.target, (theirs, how, number), method=method)
        for _ in range(3):
            await self.exchange(mine, self.block[: size_of(self.draw)])
        if how == "killed":
            try:
                await wait(mine.get(timeout=0))
            except TimeoutError:
                pass
            child.kill()
        if self.draw.random() < 0.5:
            mine.close()
        await wait(child.join())
        if not mine._closed:
            mine.abort()
        code = number if ENDS[how] is None else ENDS[how]
        assert child.exitcode == code, (how, child.exitcode, code)

    async def children(self, count):
        for i in range(count):
            kind = i % 5
            if kind < 2:
                await self.run_a_function("fork")
            elif kind < 4:
                await self.run_a_function(self.template)
            else:
                await self.run_a_program()
        await self.world.run_pool(10)

    async def run(self, trips, children):
        heap = ctypes.CDLL(os.environ["GIPC_SOAK_HEAP"]).soak_heap
        heap.restype = ctypes.c_size_t
        done = [0, 0]
        while True:
            for kind, count in ((0, trips), (1, children)):
                await (self.trips, self.children)[kind](count)
                done[kind] += count
                gc.collect()
                print("sample", *done, heap(), len(gc.get_objects()), flush=True)
                if sys.stdin.readline() != "go\n":
                    return


def main():
    mode, seed, trips, children = sys.argv[1], *map(int, sys.argv[2:])
    if mode == "gevent":
        global gevent
        import gevent
    world = {"threads": Threads, "gevent": Gevent, "asyncio": Asyncio}[mode]()
    coroutine = Soak(world, seed).run(trips, children)
    if mode == "asyncio":
        asyncio.run(coroutine)
    elif mode == "gevent":
        gevent.spawn(drive, coroutine).get()
    else:
        drive(coroutine)


if __name__ == "__main__":
    main()
