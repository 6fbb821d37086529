"""What the workers of the tests do; workers of any method import it."""

import os
import resource
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

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


def write_to_fds(text):
    """Writes to each descriptor of the task, and returns their number."""
    fds = gipc.take_fds()
    assert gipc.take_fds() == []
    for fd in fds:
        assert not os.get_inheritable(fd)
        os.write(fd, text)
        os.close(fd)
    return len(fds)


def write_at_the_second_attempt(path, text):
    """Dies with the descriptors at the first one."""
    fds = gipc.take_fds()
    if not os.path.exists(path):
        open(path, "w").close()
        die()
    os.write(fds[0], text)
    os.close(fds[0])


_room = resource.getrlimit(resource.RLIMIT_NOFILE)
_last = []


def set_room(has_room):
    """No more descriptors can be had, or as many as before."""
    if has_room:
        resource.setrlimit(resource.RLIMIT_NOFILE, _room)
        os.close(_last.pop())
    else:
        _last.append(os.dup(0))  # all below are in use
        resource.setrlimit(resource.RLIMIT_NOFILE, (_last[0] + 1, _room[1]))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.path.encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def answer_http():
    """Answers a request with its path; returns the number of open descriptors."""
    (fd,) = gipc.take_fds()
    with socket.socket(fileno=fd) as connection:
        connection.setblocking(True)  # asyncio has changed that of the open file
        Handler(connection, ("", 0), None)
    return len(os.listdir("/proc/self/fd"))
