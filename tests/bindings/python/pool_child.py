"""What the workers of the tests do; workers of any method import it."""

import os
import signal
import sys
import threading
import time

import gipc

prepared = 0


def prepare():
    global prepared
    prepared += 1


def times_prepared():
    return prepared


def double(item):
    return 2 * item


def die(code=None):
    if code is None:
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(code)


def die_until(path, attempts):
    """Ends the worker at the first attempts."""
    with open(path, "a") as file:
        file.write("x")
    if os.path.getsize(path) <= attempts:
        die()
    return os.path.getsize(path)


def note(path, item):
    """Each line is one execution."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b"%d\n" % item)
    os.close(fd)
    return item


def hang(path=None):
    """Tells its process ID when it has begun."""
    if path is not None:
        with open(path + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(path + ".new", path)
    while True:
        time.sleep(60)


def ignore_term(path):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang(path)


def complain():
    sys.stderr.write("first line\nlast words\n")
    sys.stderr.flush()
    os._exit(3)


def fail_to_prepare():
    sys.stderr.close()
    os._exit(9)


class Unpicklable(Exception):
    """pickle cannot make it again, as its arguments are others."""

    def __init__(self, code, lock):
        super().__init__("code %d" % code)
        self.code = code
        self.lock = lock


def raise_unpicklable():
    raise Unpicklable(7, threading.Lock())


def raise_local():
    class Local(Exception):
        pass

    raise Local("of a function")


def unencodable():
    return threading.Lock()


def speak_out_of_turn():
    """Answers a task that it has not."""
    from gipc import _native

    frame = sys._getframe()
    while frame.f_code.co_name != "run" or "handle" not in frame.f_locals:
        frame = frame.f_back
    frame.f_locals["handle"].put(_native.worker_done(10**6, b"nonsense"))
    hang()


def leave():
    sys.exit(5)


def in_a_fork(function):
    """Its truth, in a child of the worker."""
    pid = os.fork()
    if pid == 0:
        os._exit(10 + bool(function()))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 11


def show_life_when_told(go, end):
    """Says nothing until there is a file, and then shows signs of life until
    there is another one."""
    while not os.path.exists(go):
        time.sleep(0.001)
    while not os.path.exists(end):
        assert gipc.alive()
        time.sleep(0.001)


def odd_ones_fail(item):
    if item % 2:
        raise KeyError(item)
    return item
