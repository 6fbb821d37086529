"""Tasks of a pool with descriptors."""

import asyncio
import errno
import os
import pathlib
import socket
import sys

import gipc
import pool_child as child
import pytest
import support
from gipc import aio

pytestmark = pytest.mark.skipif(
    support.PORTABLE, reason="messages have descriptors on Linux only"
)
CLIENT = pathlib.Path(__file__).parents[2] / "pool/http_client.py"


class Watched:
    """The writing end of a pipe, and whether a copy of it is left."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def fileno(self):
        return self.writer

    def close(self):
        os.close(self.writer)

    def expect(self, text):
        """This was written, and no copy is left."""
        got = b""
        while part := os.read(self.reader, 100):
            got += part
        os.close(self.reader)
        assert got == text


def new_pool(**options):
    # A worker that is a fork has what is open then.
    return gipc.Pool(workers=1, keep_fds=(), **options)


def check_gets(pool, call):
    for count in range(4):
        watched = [Watched() for _ in range(count)]
        assert call(pool, watched) == count
        for one in watched:
            one.close()
            one.expect(b"hello")


def call_function(pool, fds):
    return pool.call(child.write_to_fds, b"hello", fds=fds)


def check_method(method):
    with gipc.Pool(workers=1, method=method) as pool:
        check_gets(pool, call_function)


def test_a_task_gets_its_descriptors(way):
    check_method("fork")


def test_a_task_of_a_new_interpreter_gets_them(way):
    check_method("spawn")


def test_a_task_of_a_template_gets_them(way):
    with gipc.Template(preload=["pool_child"]) as template:
        check_method(template)


PROGRAM = """
import os, sys
sys.path.insert(0, %r)
import gipc, pool_child
gipc.serve(pool_child.write_to_fds)
"""


def test_a_task_of_a_program_gets_them(way):
    program = PROGRAM % os.path.dirname(__file__)
    with gipc.Pool(argv=[sys.executable, "-c", program], workers=1) as pool:
        check_gets(pool, lambda pool, fds: pool.call(b"hello", fds=fds))


def test_a_launcher_has_none_and_says_so(way):
    program = PROGRAM % os.path.dirname(__file__)
    watched = Watched()
    with gipc.Pool(launch=[sys.executable, "-c", program], workers=1) as pool:
        assert pool.call(b"hello") == 0
        with pytest.raises(OSError, match="cannot be sent desc") as caught:
            pool.call(b"hello", fds=[watched])
        assert caught.value.errno == errno.EOPNOTSUPP
        watched.close()
        watched.expect(b"")
        assert pool.call(b"hello") == 0
        assert pool.stats().starts == 1


def test_submit_keeps_them_until_the_task_is_sent(way):
    watched = [Watched() for _ in range(20)]
    with new_pool(queue_limit=3) as pool:
        futures = []
        for one in watched:
            futures.append(pool.submit(child.write_to_fds, b"a", fds=[one]))
            one.close()
        for future, one in zip(futures, watched):
            assert future.result() == 1
            one.expect(b"a")


def test_those_not_taken_are_closed_after_the_task(way):
    watched = Watched()
    with new_pool() as pool:
        pool.call(child.double, 2, fds=[watched])
        watched.close()
        watched.expect(b"")
        watched = Watched()
        with pytest.raises(ValueError):
            pool.call(int, "x", fds=[watched])
        watched.close()
        watched.expect(b"")


def test_a_task_that_is_carried_out_again_gets_them_again(way, tmp_path):
    watched = Watched()
    path = str(tmp_path / "died")
    with new_pool() as pool:
        pool.call(
            child.write_at_the_second_attempt, path, b"a", fds=[watched],
            retries=1,
        )
        watched.close()
        watched.expect(b"a")


def test_a_worker_that_dies_with_them_loses_nothing_else(way):
    with new_pool() as pool:
        watched = Watched()
        with pytest.raises(gipc.WorkerDied):
            pool.call(child.die, fds=[watched])
        watched.close()
        watched.expect(b"")
        check_gets(pool, call_function)


def test_a_cancelled_task_closes_them(way, tmp_path):
    path = tmp_path / "pid"
    with new_pool() as pool:
        running, waiting = Watched(), Watched()
        runs = pool.submit(child.hang, str(path), fds=[running])
        waits = pool.submit(child.write_to_fds, b"a", fds=[waiting])
        running.close()
        waiting.close()
        way.wait_until(path.exists)
        assert waits.cancel() and runs.cancel()
        assert pool.call(child.double, 2) == 4
        running.expect(b"")
        waiting.expect(b"")
        left = Watched()
        pool.submit(child.hang, fds=[left])
        left.close()
        pool.stop()
        left.expect(b"")


def test_a_worker_without_room_fails_the_task(way):
    with new_pool() as pool:
        pool.call(child.set_room, False)
        watched = Watched()
        with pytest.raises(OSError) as caught:
            call_function(pool, [watched])
        assert caught.value.errno == errno.EMFILE
        watched.close()
        watched.expect(b"")
        pool.call(child.set_room, True)
        check_gets(pool, call_function)
        assert pool.stats().starts == 1


def test_a_worker_that_keeps_nothing_starts_in_silence(way, capfd):
    with new_pool() as pool:
        assert pool.call(child.double, 2) == 4
    assert capfd.readouterr() == ("", "")


def test_wrong_descriptors_are_refused(way):
    with new_pool() as pool:
        for wrong, error in ([999], OSError), ([0] * 254, ValueError), (
            ["file"], TypeError,
        ):
            with pytest.raises(error):
                pool.call(child.double, 2, fds=wrong)
        assert pool.stats().starts == 0
    with pytest.raises(gipc.GIPCError, match="not a worker"):
        gipc.take_fds()


async def listen(pool, listener, count):
    """Accepts connections, each of which a worker answers.  Returns the numbers of
    descriptors in workers."""
    loop = asyncio.get_running_loop()
    tasks = []

    async def answer(connection):
        with connection:
            return await pool.call(child.answer_http, fds=[connection])

    for _ in range(count):
        connection, _ = await loop.sock_accept(listener)
        tasks.append(asyncio.ensure_future(answer(connection)))
    return set(await asyncio.gather(*tasks))


async def ask(pool, listener, count):
    client = aio.exec_process([
        sys.executable, str(CLIENT), str(listener.getsockname()[1]), str(count),
    ])
    found = await listen(pool, listener, count)
    await client.join()
    assert client.exitcode == 0
    return found


@pytest.mark.timeout(600 if support.LONG else 120)
def test_the_sockets_of_a_listener_go_to_a_pool():
    async def main():
        listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        listener.setblocking(False)
        with listener:
            async with aio.Pool(workers=3, keep_fds=()) as pool:
                await ask(pool, listener, 20)
                before = len(os.listdir("/proc/self/fd"))
                found = await ask(
                    pool, listener, 10_000 if support.LONG else 300
                )
                # A ring each way is possible, also in the workers.
                assert len(os.listdir("/proc/self/fd")) <= before + 3
                assert max(found) <= min(found) + 2
                assert pool.stats().failed == pool.stats().lost == 0

    asyncio.run(main())
