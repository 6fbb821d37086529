"""What gipc_launch(7) says of srun: srun.py NOTE SRUN... CHILD CODE, the program
that echoes messages, and a file for its process ID."""

import os
import select
import signal
import sys
from subprocess import DEVNULL

import gipc

PATIENCE = 60
note, *srun, child, code = sys.argv[1:]
assert srun.pop() == "--unbuffered"


def launch(options, *argv):
    return gipc.launch([*srun, *options, *argv, child, code], stderr=DEVNULL,
                       encoder=None, decoder=None)


def echo(handle, *messages):
    for message in messages:
        handle.put(message)
    for message in messages:
        assert handle.get(timeout=PATIENCE) == message


def a_message_without_a_newline_is_delayed_without_unbuffered():
    process, handle = launch([])
    with process, handle:
        handle.put(b"no newline")
        try:
            raise AssertionError(handle.get(timeout=0.5))
        except gipc.GIPCTimeout:
            pass
        handle.put(b"a newline\n")
        assert handle.get(timeout=PATIENCE) == b"no newline"
        assert handle.get(timeout=PATIENCE) == b"a newline\n"
    assert process.exitcode == int(code)


def what_is_printed_before_stdio_gets_into_the_stream():
    process, handle = launch(["--unbuffered"], "sh", "-c", 'echo printed; exec "$@"',
                             "sh")
    with process, handle:
        handle.put(b"question")
        try:
            raise AssertionError(handle.get(timeout=PATIENCE))
        except gipc.GIPCTooBig:
            pass


def noted():
    """A program behind srun that has written its process ID, and a pidfd of it."""
    started = launch(["--unbuffered"], "sh", "-c", 'echo $$ >"$1"; shift; exec "$@"',
                     "sh", note)
    echo(started[1], b"hello")
    with open(note) as file:
        return (*started, os.pidfd_open(int(file.read())))


def ends_with(process, handle, pidfd, exitcode):
    with handle:
        try:
            raise AssertionError(handle.get(timeout=PATIENCE))
        except EOFError:
            pass
    assert process.wait(PATIENCE) == exitcode, process
    assert select.select([pidfd], [], [], PATIENCE)[0], "the program goes on"
    os.close(pidfd)


def sigterm_kills_the_program():
    process, handle, pidfd = noted()
    process.terminate()
    ends_with(process, handle, pidfd, 128 + signal.SIGKILL)


def one_sigint_does_nothing():
    process, handle, pidfd = noted()
    process.send_signal("INT")
    echo(handle, b"still there")
    handle.writer.close()
    ends_with(process, handle, pidfd, int(code))


def a_killed_srun_ends_the_program():
    process, handle, pidfd = noted()
    process.kill()
    ends_with(process, handle, pidfd, -signal.SIGKILL)


def the_signal_of_the_program_is_in_the_exit_code():
    process, handle, pidfd = noted()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    ends_with(process, handle, pidfd, 128 + signal.SIGKILL)


a_message_without_a_newline_is_delayed_without_unbuffered()
what_is_printed_before_stdio_gets_into_the_stream()
sigterm_kills_the_program()
one_sigint_does_nothing()
a_killed_srun_ends_the_program()
the_signal_of_the_program_is_in_the_exit_code()
