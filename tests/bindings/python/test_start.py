"""What moves into a child at its start, and how a fresh interpreter starts."""

import collections
import dataclasses
import functools
import multiprocessing
import os
import signal
import sys
import types

import gipc
import pytest
import support
from gipc import GIPCClosed, GIPCLocked, pipe, start_process

METHODS = pytest.mark.parametrize("method", ["fork", "spawn"])


# ---- Handles in arguments ----------------------------------------------------


@dataclasses.dataclass
class Data:
    handle: object


@dataclasses.dataclass
class Slots:
    __slots__ = ("handle",)
    handle: object

    def __reduce__(self):
        return Slots, (self.handle,)


Named = collections.namedtuple("Named", "handle")


class Held:
    def __init__(self, handle):
        self.handle = handle

    def put(self, o):
        self.handle.put(o)


def put(held, o="put"):
    handle = held[0] if isinstance(held, (list, collections.deque)) else held
    if not hasattr(handle, "put"):
        handle = handle.handle
    handle.put(o)


def moves(method, writer, reader, target, args=(), kwargs={}):
    """A handle that is somewhere in there: the child uses it, and it is closed
    here."""
    p = start_process(target, args, kwargs, method=method)
    with pytest.raises(GIPCClosed):
        writer.put("after")
    assert reader.get(timeout=support.PATIENCE) == "put"
    with pytest.raises(EOFError):
        reader.get(timeout=support.PATIENCE)
    p.join()
    assert p.exitcode == 0


HOLDERS = [
    Data,
    Slots,
    Named,
    lambda handle: [Data(handle)],
    lambda handle: collections.deque([handle]),
    lambda handle: types.SimpleNamespace(handle=handle),
    lambda handle: Data(Named(handle)).handle,
]


@METHODS
@pytest.mark.parametrize("duplex", [False, True])
@pytest.mark.parametrize("holder", HOLDERS)
def test_a_handle_moves_out_of_what_holds_it(method, duplex, holder):
    reader, writer = pipe(duplex)
    with reader:
        moves(method, writer, reader, put, (holder(writer),))


@METHODS
@pytest.mark.parametrize("duplex", [False, True])
def test_a_handle_moves_out_of_a_target(method, duplex):
    for target, args in (
        (lambda w: functools.partial(put, [w]), ()),
        (lambda w: functools.partial(put, held=Data(w)), ()),
        (lambda w: functools.partial(functools.partial(put, w), "put"), ()),
        (lambda w: w.put, ("put",)),
    ):
        reader, writer = pipe(duplex)
        with reader:
            moves(method, writer, reader, target(writer), args)


def test_what_a_pickled_object_holds_moves_with_it():
    reader, writer = pipe()
    with reader:
        moves("spawn", writer, reader, Held(writer).put, ("put",))


def test_what_an_object_of_the_program_holds_stays_with_a_fork():
    """As programs do that were written for upstream gipc: the object is in use
    here, too."""

    def child(held, w):
        with pytest.raises(GIPCClosed, match="not passed to this process"):
            held.handle.put(1)
        w.put("told")

    with pipe() as (reader, writer), pipe() as (r, w):
        p = start_process(child, (Held(writer), w))
        assert r.get() == "told"
        p.join()
        assert p.exitcode == 0
        writer.put("still here")
        assert reader.get() == "still here"


@METHODS
def test_a_handle_that_cannot_move_is_told_at_the_call(method, way):
    with pipe() as (reader, writer), pipe() as (r, w):
        job = way.spawn(reader.get)
        way.let_it_wait(job)
        with pytest.raises(GIPCLocked):
            start_process(put, (Data(reader), w), method=method)
        writer.put(1)
        job.get()
        reader.close()
        with pytest.raises(GIPCClosed):
            start_process(put, (Data(reader), w), method=method)
        w.put("it has not moved")
        assert r.get() == "it has not moved"


def test_what_cannot_be_pickled_moves_nothing():
    with pipe() as (r, w):
        with pytest.raises(Exception, match="pickle"):
            start_process(put, (w, lambda: None), method="spawn")
        w.put(1)
        assert r.get() == 1


def test_a_handle_is_pickled_by_a_start_only():
    import pickle

    with pipe() as (r, w), pipe(True) as (a, b):
        for handle in (r, w, a):
            with pytest.raises(TypeError, match="start_process"):
                pickle.dumps(handle)


# ---- A fresh interpreter -----------------------------------------------------


def test_a_program_without_a_main_guard_is_told(program):
    out = program(
        """
        import gipc, sys
        def f():
            print("ran")
        p = gipc.start_process(f, method="spawn")
        p.join()
        print(p.exitcode)
        """,
        stderr='(?s)An attempt has been made.*if __name__ == .__main__.',
    )
    assert out == "1\n"


def ask_parent(w):
    parent = multiprocessing.parent_process()
    w.put((parent.name, parent.pid, parent.is_alive()))
    parent.join(0)
    w.put("joined")
    parent.join()
    os._exit(parent.is_alive())


@METHODS
def test_the_child_knows_its_parent(method, program):
    out = program(
        """
        import os, signal, sys
        sys.path[:] = %r
        import gipc, test_start
        if __name__ == "__main__":
            r, w = gipc.pipe()
            p = gipc.start_process(test_start.ask_parent, (w,), method=%r)
            print(*r.get(), r.get(), os.getpid(), p.pid)
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        """
        % (sys.path, method),
        code=-signal.SIGKILL,
    ).split()
    assert out[0] == "MainProcess" and out[1] == out[4]
    assert out[2:4] == ["True", "joined"]
    support.wait_until(lambda: not support.is_running(int(out[5])))


def length(w, data):
    w.put(len(data))


def test_a_start_does_not_wait_for_the_interpreter(way, stopped_interpreter):
    with pipe() as (r, w):
        p = start_process(length, (w, bytes(3 << 20)), method="spawn")
        assert p.is_alive()
        stopped_interpreter()
        assert r.get(timeout=support.PATIENCE) == 3 << 20
        p.join()
        assert p.exitcode == 0


def talk(connection, queue):
    connection.send(connection.recv() + 1)
    queue.put("queued")


def test_what_multiprocessing_passes_moves_too(program):
    assert program(
        """
        import multiprocessing, sys
        sys.path[:] = %r
        import gipc, test_start
        if __name__ == "__main__":
            mine, its = multiprocessing.Pipe()
            queue = multiprocessing.get_context("spawn").SimpleQueue()
            p = gipc.start_process(test_start.talk, (its, queue), method="spawn")
            mine.send(1)
            print(mine.recv(), queue.get())
            p.join()
            print(p.exitcode)
        """
        % (sys.path,)
    ) == "2 queued\n0\n"


# ---- Runtime of a fork -------------------------------------------------------


def test_a_fork_hook_may_use_gevent(program):
    assert program(
        """
        import gevent.monkey; gevent.monkey.patch_all()
        import asyncio, gevent, gipc, os
        pool = lambda: gevent.get_hub().threadpool
        pool().apply(int)
        log = []
        def hook():
            gevent.sleep(0.001)
            log.append(pool().apply(lambda: "ran"))
        os.register_at_fork(after_in_child=hook)
        def child(w):
            w.put((log, pool().apply(lambda: 2)))
        r, w = gipc.pipe()
        p = gipc.start_process(child, (w,))
        print(r.get())
        p.join()
        print(p.exitcode)
        """
    ) == "(['ran'], 2)\n0\n"


def test_a_fork_of_the_program_is_left_alone(program):
    """Only the children of gipc leave what their parent had."""
    assert program(
        """
        import asyncio, os, signal
        import gipc
        def handler(*_):
            pass
        signal.signal(signal.SIGUSR1, handler)
        gipc.start_process(int).join()
        pid = os.fork()
        if pid == 0:
            os._exit(signal.getsignal(signal.SIGUSR1) is not handler)
        print(os.waitpid(pid, 0)[1])
        """
    ) == "0\n"


CRASH = """
import ctypes, faulthandler, sys, tempfile
import gipc
def crash():
    print(faulthandler.is_enabled(), flush=True)
    ctypes.string_at(0)
file = tempfile.TemporaryFile("w+") if %r else None
if file: faulthandler.enable(file)
else: faulthandler.enable()
for keep_fds in (None, []):
    p = gipc.start_process(crash, keep_fds=keep_fds)
    p.join()
    print(p.exitcode)
if file:
    file.seek(0)
    print(file.read().count("Fatal Python error"))
"""


@pytest.mark.parametrize("to_file", [False, True])
def test_faulthandler_stays_enabled(to_file, program):
    """Its file may be closed in the child: then the trace goes to stderr."""
    out = program(CRASH % to_file, stderr="Fatal Python error: Segmentation fault")
    assert out.split() == ["True", "-11"] * 2 + ["1"] * to_file


def test_a_child_that_keeps_no_files_can_be_called_by_c(program):
    """libffi 3.5 maps its own file, which it keeps open, for more closures."""
    assert program(
        """
        import ctypes, gipc
        Closure = ctypes.CFUNCTYPE(ctypes.c_int)
        first = Closure(lambda: 1)
        def child():
            files = [open("/dev/null") for _ in range(30)]
            more = [Closure(lambda n=n: n) for n in range(5000)]
            print([f() for f in more] == list(range(5000)))
        p = gipc.start_process(child, keep_fds=[])
        p.join()
        print(p.exitcode)
        """
    ).split() == ["True", "0"]


def test_a_child_that_lives_on_keeps_its_runtimes_descriptors(program):
    assert program(
        """
        import asyncio, gevent, gipc, os, socket, sys
        from multiprocessing import resource_tracker
        from multiprocessing.shared_memory import SharedMemory

        def use_memory():
            memory = SharedMemory(create=True, size=10)
            memory.close()
            memory.unlink()

        def live_on(w, file):
            try:
                os.fstat(file)
                print("the file is open")
            except OSError:
                pass
            # Numbers that were closed are taken again.
            pairs = [socket.socketpair() for _ in range(30)]
            tracker = resource_tracker._resource_tracker._pid
            for _ in range(5):
                gevent.sleep(0.001)
                gevent.get_hub().threadpool.apply(int)
                asyncio.run(asyncio.sleep(0))
                use_memory()
                p = gipc.start_process(sys.exit, (3,))
                p.join()
                assert p.exitcode == 3
                for pair in pairs:
                    for a, b in (pair, pair[::-1]):
                        a.send(b"x")
                        assert b.recv(2) == b"x"
            assert resource_tracker._resource_tracker._pid == tracker
            w.put("lived")

        use_memory()
        gevent.get_hub().threadpool.apply(int)
        loop = asyncio.new_event_loop()
        with open(os.devnull) as file:
            r, w = gipc.pipe()
            p = gipc.start_process(live_on, (w, file.fileno()), keep_fds=[])
            print(r.get())
            p.join()
            print(p.exitcode)
        loop.close()
        gevent.sleep(0.001)
        """
    ) == "lived\n0\n"


def test_a_child_that_lives_on_keeps_its_runtimes_descriptors_under_plain(program):
    assert program(
        """
        import gipc, sys
        from multiprocessing.shared_memory import SharedMemory

        def use_memory():
            memory = SharedMemory(create=True, size=10)
            memory.close()
            memory.unlink()

        def live_on(w):
            use_memory()
            p = gipc.start_process(sys.exit, (3,))
            p.join()
            w.put(p.exitcode)

        use_memory()
        r, w = gipc.pipe()
        p = gipc.start_process(live_on, (w,), keep_fds=[])
        print(r.get())
        p.join()
        print(p.exitcode)
        """
    ) == "3\n0\n"


def test_what_keep_fds_names_stays_open():
    def tell(w, *fds):
        w.put([is_open(fd) for fd in fds])

    read_end, write_end = os.pipe()
    try:
        with pipe() as (r, w):
            p = start_process(tell, (w, read_end, write_end), keep_fds=[write_end])
            assert r.get() == [False, True]
            p.join()
            assert p.exitcode == 0
    finally:
        os.close(read_end)
        os.close(write_end)


def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


# ---- Handles that nobody refers to -------------------------------------------


@pytest.mark.parametrize("aio", [False, True])
def test_a_duplex_handle_is_closed_when_it_is_dropped(aio):
    import gc

    import gipc.aio

    gc.disable()
    try:
        mine, theirs = (gipc.aio if aio else gipc).pipe(duplex=True)
        fd = os.dup(mine.fileno())
        del theirs
        with os.fdopen(fd, "rb", buffering=0) as end:
            assert support.is_readable(fd) and end.read(1) == b""
    finally:
        gc.enable()
    mine.close()


def test_one_direction_of_a_dropped_duplex_handle_lives():
    a, b = pipe(duplex=True)
    reader = a._reader
    del a
    b.put(1)
    assert reader.get() == 1
    reader.close()
    with pytest.raises(EOFError):
        b.get()
    b.close()
