"""What gipc_launch(7) says of podman: podman.py PODMAN run... CHILD CODE, the
program that echoes messages."""

import subprocess
import sys
from subprocess import DEVNULL

import gipc

PATIENCE = 60
podman, *run, child, code = sys.argv[1:]
assert run[0] == "run"


def launch(options, *argv):
    return gipc.launch([podman, "run", *options, *run[1:], *argv, child, code],
                       stderr=DEVNULL, encoder=None, decoder=None)


def echo(handle, message):
    handle.put(message)
    assert handle.get(timeout=PATIENCE) == message


def code_of(*argv):
    return subprocess.run([podman, *argv], stdin=DEVNULL, stdout=DEVNULL,
                          stderr=DEVNULL, timeout=PATIENCE).returncode


def is_listed(name):
    listed = subprocess.run([podman, "ps", "--format", "{{.Names}}"],
                            stdout=subprocess.PIPE, check=True).stdout
    return name.encode() in listed.split()


def get_after_sigterm(process, handle):
    """podman may also lose a signal, in the moment in which it begins to pass them
    on: another one is sent until something comes."""
    for _ in range(PATIENCE):
        try:
            return handle.get(timeout=1)
        except gipc.GIPCTimeout:
            process.terminate()
    raise AssertionError(process)


def exitcode_after_sigterm(options, message):
    """podman passes signals on a moment after it has started the program: before
    that one ends podman alone, by the signal or with 0."""
    for _ in range(20):
        process, handle = launch(options)
        with handle:
            echo(handle, b"hello")
            process.terminate()
            try:
                if message:
                    handle.put(message)
                get_after_sigterm(process, handle)
            except (EOFError, BrokenPipeError):
                pass
        if process.wait(PATIENCE) not in (-15, 0):
            return process.exitcode
    raise AssertionError(process)


def sigterm_ends_a_program_without_a_handler_if_there_is_an_init():
    with_init = exitcode_after_sigterm(["--init"], None)
    assert with_init == 128 + 15, with_init
    without = exitcode_after_sigterm([], b"still there")
    assert without == int(code), without


def a_killed_podman_leaves_the_container():
    process, handle = launch(["--name", "left"], "sh", "-c",
                             '"$@"; exec sleep 1000', "sh")
    with handle:
        echo(handle, b"hello")
        process.kill()
        assert process.wait(PATIENCE) == -9
    assert is_listed("left")
    assert code_of("rm", "-f", "-t", "0", "left") == 0
    assert not is_listed("left")


def failures_of_podman_have_exit_codes_of_their_own():
    assert code_of("run", "--no-such-option") == 125
    assert code_of(*run, "/no/such/program") == 127
    assert code_of(*run, "/usr") == 126
    assert code_of(*run, "sh", "-c", "kill -9 $$; exit 6") == 6  # it is process 1
    assert code_of("run", "--init", *run[1:], "sh", "-c", "kill -9 $$") == 128 + 9


sigterm_ends_a_program_without_a_handler_if_there_is_an_init()
a_killed_podman_leaves_the_container()
failures_of_podman_have_exit_codes_of_their_own()
