"""What the services of the tests do; processes of any method import it."""

import asyncio
import os
import signal
import sys
import time

import gipc


# A program that knows nothing of gipc.
SPEAKS_SD_NOTIFY = [sys.executable, "-c", """
import os, socket, time
address = os.environ["NOTIFY_SOCKET"]
peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
peer.connect("\\0" + address[1:] if address[0] == "@" else address)
peer.send(b"STATUS=about to work\\nREADY=1")
time.sleep(1000)
"""]


def note(path, *words):
    """Each line is written at once."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (" ".join(map(str, words)) + "\n").encode())
    os.close(fd)


def noted(path):
    try:
        with open(path) as file:
            return [line.split() for line in file]
    except FileNotFoundError:
        return []


def run():
    while True:
        time.sleep(60)


def crash(path, code):
    note(path, time.monotonic())
    os._exit(code)


def complain_and_crash():
    sys.stderr.write("first line\nlast words\n")
    sys.stderr.flush()
    os._exit(4)


def be_ready():
    assert gipc.ready()
    run()


def be_ready_when_told(path):
    while not os.path.exists(path):
        time.sleep(0.001)
    be_ready()


def be_ready_once(path):
    """The process of a second start ends before it is ready."""
    try:
        os.mkdir(path)
    except FileExistsError:
        os._exit(3)
    be_ready()


def say_nothing():
    run()


def note_hangups(path):
    # A handler would run after a sleep if the signal came just before it.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    assert gipc.ready()
    while True:
        signal.sigwait([signal.SIGHUP])
        note(path, "hangup")


def stay_alive(path):
    note(path, "here")
    while gipc.alive():
        time.sleep(0.001)


def ignore_term(path):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(path, "here")
    be_ready()


def send(writer, *values):
    writer.put((os.getpid(), *values))
    writer.close()
    run()


def write_environment(path):
    names = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
    note(path, *(os.environ.get(name, "-") for name in names))
    run()


async def be_ready_in_a_loop():
    assert gipc.ready()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        await trio.sleep_forever()
    await asyncio.Event().wait()
