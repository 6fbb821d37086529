"""Helpers of the tests: ways to run them, raw frames, small pipes, and what
this process has open."""

import atexit
import json
import os
import queue
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import gevent
import gevent.queue
import gipc
import gipc.gipc
import pytest

LONG = bool(os.environ.get("GIPC_TEST_LONG"))
PORTABLE = os.environ.get("GIPC_TEST_OS") == "posix"
with open(Path(__file__).parent.parent / "streams.json") as file:
    STREAMS = json.load(file)
SIZES = [n for first, last in STREAMS["sizes"] for n in range(first, last + 1)]
CUTS = [(cut["size"], at) for cut in STREAMS["cuts"] for at in cut["at"]]
ERRORS = {"protocol": gipc.GIPCProtocolError, "too_big": gipc.GIPCTooBig}
HOSTILE = [
    (bytes.fromhex(peer["bytes"]), ERRORS[peer["error"]])
    for peer in STREAMS["hostile"]
]
PATIENCE = 60  # seconds after which what a test waits for has failed
limit = None  # seconds that the running test may take


def write_then_read(handle, size):
    """A plain program at the end of a handle: it writes a message of that size
    in a thread, and reads one only then.  The thread, as a Job."""
    peer = socket.socket(fileno=os.dup(handle.fileno()))

    def body():
        with peer:
            peer.sendall(frame(bytes(size)))
            # Not one recv() with MSG_WAITALL, which ends early where a
            # descriptor came with the bytes, as with the offer of a ring.
            with peer.makefile("rb") as stream:
                return len(stream.read(size + 4))

    return Job(body, ())


def plans(count=6):
    """What two peers put, with sizes and counts at random; GIPC_TEST_SEED
    repeats a run."""
    seed = int(os.environ.get("GIPC_TEST_SEED") or time.time_ns())
    print("GIPC_TEST_SEED=%d" % seed)
    chance = random.Random(seed)
    pattern = os.urandom(1 << 16) * 33
    for _ in range(count):
        yield [
            [
                pattern[: chance.randrange(chance.choice((5000, 2_000_000)))]
                for _ in range(chance.randrange(7))
            ]
            for _ in range(2)
        ]


# ---- Ways to run a test ------------------------------------------------------


class Gevent:
    """In the main greenlet, with gevent in use in this thread."""

    Queue = gevent.queue.Queue

    def run(self, function, arguments, seconds):
        with gevent.Timeout(seconds, AssertionError("the test hangs")):
            function(**arguments)

    def spawn(self, function, *arguments):
        return gevent.spawn(function, *arguments)

    def let_it_wait(self, job):
        """Returns when the job waits for something."""
        gevent.idle()

    def wait_until(self, condition):
        wait_until(condition, gevent.sleep)


class Job(threading.Thread):
    """A thread with the part of a greenlet's interface that tests need."""

    def __init__(self, function, arguments):
        super().__init__(daemon=True)
        self.call = function, arguments
        self.value = self.error = None
        self.start()

    def run(self):
        function, arguments = self.call
        try:
            self.value = function(*arguments)
        except BaseException as error:
            self.error = error

    def get(self, timeout=PATIENCE):
        self.join(timeout)
        assert not self.is_alive(), "the thread hangs"
        if self.error is not None:
            raise self.error
        return self.value

    def ready(self):
        return not self.is_alive()


class Plain:
    """In a thread where gevent is not in use."""

    Queue = queue.Queue

    def run(self, function, arguments, seconds):
        Job(lambda: function(**arguments), ()).get(seconds)

    def spawn(self, function, *arguments):
        return Job(function, arguments)

    def let_it_wait(self, job):
        wait_until(lambda: job.ready() or in_poll(job.native_id))

    def wait_until(self, condition):
        wait_until(condition)


WAYS = {"gevent": Gevent(), "plain": Plain()}


def on_loops(*loops, prefix=""):
    """Values of a parameter, each of which is the loop that a test runs on."""
    return [
        pytest.param(loop, id=prefix + loop, marks=pytest.mark.loop(loop))
        for loop in loops
    ]


def wait_until(condition, pause=time.sleep):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        pause(0.001)


def in_poll(task, process="self"):
    """Whether a thread sleeps in the kernel for a descriptor.  (Where the kernel
    does not tell in what it sleeps: whether it sleeps.)"""
    folder = "/proc/%s/task/%s/" % (process, task)
    try:
        with open(folder + "wchan") as f:
            wchan = f.read()
        with open(folder + "stat") as f:
            state = f.read().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state == "S" and (wchan in ("", "0") or "poll" in wchan)


# ---- Frames and pipes --------------------------------------------------------


def frame(payload):
    return struct.pack("!i", len(payload)) + payload


def read_exactly(fd, size):
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        assert more, "the stream ended"
        data += more
    return data


def what_is_there(fd):
    data = b""
    while is_readable(fd):
        more = os.read(fd, 1 << 20)
        if not more:
            break
        data += more
    return data


def read_frame(fd):
    (size,) = struct.unpack("!i", read_exactly(fd, 4))
    return read_exactly(fd, size)


def write_raw(writer, data):
    """Bytes into the stream, past the handle."""
    while data:
        data = data[os.write(writer._fd, data) :]


def shrink(writer):
    """Makes the kernel hold as little as it can of what is put."""
    copy = os.dup(writer._fd)
    with socket.socket(fileno=copy) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)


def is_readable(fd):
    return bool(select.select([fd], [], [], 0)[0])


# ---- What this process has ---------------------------------------------------


def open_handles():
    return gipc.gipc._get_all_handles()


def listed(folder):
    """Nothing where there is no /proc."""
    return os.listdir(folder) if os.path.exists(folder) else []


def descriptors():
    """Those that neither gevent keeps for its loops nor libffi (3.5) for the
    trampolines of its closures, its own file: number to what it is."""
    found = {}
    for name in listed("/proc/self/fd"):
        try:
            what = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue  # that of the listing itself
        kept = r"anon_inode:\[(event|timer|signal)|.*/libffi\.so"
        if not re.match(kept, what):
            found[int(name)] = what
    return found


def left_since(before):
    return {
        fd: what
        for fd, what in descriptors().items()
        if before.get(fd) != what
    }


def children():
    """The processes whose parent is this one, zombies too."""
    found = []
    for task in listed("/proc/self/task"):
        try:
            with open("/proc/self/task/%s/children" % task) as f:
                found += map(int, f.read().split())
        except OSError:
            pass
    return found


def tell_at_exit(writer):
    """Registers an exit handler that writes: a child must not run it.  It is
    returned, to be unregistered."""
    fd = writer.fileno()

    def handler():
        os.write(fd, frame(b"handler"))

    atexit.register(handler)
    return handler


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except OSError:
        pass


def is_running(pid):
    """Not so for a zombie."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def resident(pid="self"):
    """Bytes of memory in use."""
    with open("/proc/%s/statm" % pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- Programs ----------------------------------------------------------------


def write_program(folder, source, name="program.py"):
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return str(path)


def run_program(folder, source, arguments=(), code=0, stderr="", timeout=60):
    done = subprocess.run(
        [sys.executable, write_program(folder, source), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=timeout,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    if stderr is not None:
        assert re.search(stderr, done.stderr) if stderr else not done.stderr, (
            done.stderr
        )
    return done.stdout
