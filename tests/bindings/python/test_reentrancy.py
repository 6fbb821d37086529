"""Calls inside of calls: in generators, encoders and signal handlers."""

import subprocess
import sys

import gipc._codec
import pytest
import support
from gipc import GIPCLocked, pipe


def test_a_put_inside_a_put_of_the_same_thread_is_refused(way):  # H126
    with pipe() as (r, w):

        def generate(call, *arguments):
            yield 1
            with pytest.raises(GIPCLocked, match="reentrant"):
                call(*arguments)
            yield 2

        for call, *arguments in (
            (w.put, "inner"),
            (w.put_many, ["inner"]),
            (w.flush,),
        ):
            w.put_many(generate(call, *arguments))
            assert [r.get(), r.get()] == [1, 2]
        # What the generator does not catch ends the put, with a count.
        with pytest.raises(GIPCLocked) as raised:
            w.put_many(w.put(2) for _ in range(1))
        assert raised.value.taken == 0
        # A put from within the encoder comes first.
        inner = iter(["inner"])
        w._codec = lambda o: (
            [w.put(o) for o in inner],
            gipc._codec.default_encoder(o),
        )[1]
        w.put("outer")
        assert [r.get(), r.get()] == ["inner", "outer"]


HANDLER = """
    import os, signal, threading, time, gipc
    large = bytes(1 << 20)
    r, w = gipc.pipe(encoder=None, decoder=None)

    def handler(*_):
        if go_on.is_set():
            return
        try:
            %(call)s
        except gipc.GIPCLocked as error:
            print("reentrant" in str(error), flush=True)
        go_on.set()

    signal.signal(signal.SIGUSR1, handler)
    go_on = threading.Event()

    def other():
        while not (%(inside)s):
            time.sleep(0.001)
        # Once more where the first one came just before the call that waits.
        while not go_on.wait(0.05):
            os.kill(os.getpid(), signal.SIGUSR1)
        %(other)s

    threading.Thread(target=other).start()
    %(wait)s
    """


@pytest.mark.parametrize(
    "wait, call, other",
    [
        ("w.put(large)", "w.put(b'')", "r.get()"),
        ("w.put(large)", "w.put(large)", "r.get()"),
        ("w.put_many([large])", "w.put_many([b''])", "r.get()"),
        ("r.get()", "r.get()", "w.put(b'')"),
        ("r.get_into(bytearray(1))", "next(iter(r))", "w.put(b'')"),
    ],
)
def test_a_put_inside_a_put_of_the_same_thread_is_refused_in_a_handler(
    tmp_path, wait, call, other
):  # H126
    inside = "%s._lock.locked" % wait[0]
    check_handler(tmp_path, wait=wait, call=call, other=other, inside=inside)


def test_a_put_inside_a_put_that_waits_for_another_thread_is_refused(tmp_path):  # H126
    """The inner one would be behind the outer one, which cannot go on."""
    check_handler(
        tmp_path,
        wait="threading.Thread(target=w.put, args=(large,)).start()\n"
        "    while not w._lock.locked: pass\n"
        "    w.put(b'')",
        call="w.put(b'')",
        other="r.get(); r.get()",
        inside="w._lock.waiting",
    )


def check_handler(tmp_path, **source):
    """Calls from the handler of a signal that comes inside the other call."""
    p = subprocess.run(
        [sys.executable, support.write_program(tmp_path, HANDLER % source)],
        capture_output=True,
        timeout=support.PATIENCE,
    )
    assert (p.stdout, p.stderr, p.returncode) == (b"True\n", b"", 0)
