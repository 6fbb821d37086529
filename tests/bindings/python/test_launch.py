"""Programs behind launchers, and processes that the system refuses."""

import errno
import os
import subprocess
import sys

import gipc
import pytest
import support
from aio_support import under_all
from gipc import aio

CHILD = """
import sys
sys.path[:0] = %r
import gipc
with gipc.stdio() as handle:
    print("not a message")
    for number in handle:
        handle.put([number, number * number])
sys.exit(3)
""" % sys.path
PASSES_ON = ["sh", "-c", 'cat | "$@" | cat; exit 4', "sh", sys.executable, "-c"]


def test_a_program_behind_a_launcher_has_a_handle(way):
    before = support.descriptors()

    def ask(argv, numbers):
        process, handle = gipc.launch(argv, stderr=subprocess.DEVNULL)
        assert (process.stdin, process.stdout) == (None, None)
        with process, handle:
            for number in numbers:
                handle.put(number)
                assert handle.get(timeout=support.PATIENCE) == [number, number**2]
        return process.exitcode

    direct = [sys.executable, "-c", CHILD]
    for argv, code in ((direct, 3), ([*PASSES_ON, CHILD], 4)):
        jobs = [way.spawn(ask, argv, range(n, 9, 3)) for n in range(3)]
        assert [job.get(timeout=support.PATIENCE) for job in jobs] == [code] * 3
    assert support.left_since(before) == {}


@under_all
async def test_a_program_behind_a_launcher_has_a_handle_in_tasks(tasks):
    process, handle = aio.launch(
        [*PASSES_ON, CHILD], stderr=subprocess.DEVNULL, name="sum"
    )
    assert (type(process), type(handle)) == (aio.Process, aio.Duplex)
    assert process.name == "sum"
    async with process, handle:
        for number in range(5):
            await handle.put(number)
            got = await handle.get(timeout=support.PATIENCE)
            assert got == [number, number**2]
    assert process.exitcode == 4


def test_a_launcher_that_ends_is_the_end_of_the_stream(way):
    process, handle = gipc.launch(["sh", "-c", "exit 255"])
    with handle:
        with pytest.raises(EOFError):
            handle.get(timeout=support.PATIENCE)
    assert process.wait() == 255


def test_a_launched_program_may_inherit_handles_too():
    program = ("import sys; sys.path[:0] = %r; import gipc\n"
               "gipc.inherit('extra').put(gipc.stdio().get())" % sys.path)
    with gipc.pipe() as (reader, writer):
        process, handle = gipc.launch(
            ["env", sys.executable, "-c", program], handles={"extra": writer}
        )
        assert writer.closed
        with process, handle:
            handle.put("over both")
            assert reader.get(timeout=support.PATIENCE) == "over both"


@pytest.mark.parametrize("api", [gipc, aio])
@pytest.mark.parametrize("argv, options, error", [
    (["cat"], {"stdin": subprocess.PIPE}, r"launch\(\) has no option 'stdin'"),
    (["cat"], {"stdout": None}, r"launch\(\) has no option 'stdout'"),
    (["cat"], {"encodre": None}, r"no option 'encodre'"),
    (["cat"], {"encoder": "xml"}, "encoder"),
    (["cat"], {"decoder": 5}, "decoder"),
    (["cat"], {"umask": "x"}, "umask"),
    (["cat"], {"cwd": "/no/such/place"}, "/no/such/place"),
    (["/no/such/program"], {}, "/no/such/program"),
    ("ssh host", {}, "argv"),
    ([], {}, "argv"),
])
def test_a_launch_that_is_not_valid_names_why(api, argv, options, error):
    before = support.descriptors()
    with pytest.raises((TypeError, ValueError, OSError, gipc.GIPCError),
                       match=error):
        api.launch(argv, **options)
    assert support.left_since(before) == {}
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def no_process():
    """In a child that may have none of its own."""
    parent = os.getpid()
    starts = (
        lambda: gipc.start_process(abs, (1,)),
        lambda: gipc.start_process(abs, (1,), method="spawn"),
        lambda: gipc.exec_process(["true"]),
        lambda: gipc.launch(["true"]),
    )
    for start in starts:
        try:
            start()
        except BlockingIOError as error:
            assert error.errno == errno.EAGAIN
        else:
            os._exit(5)
        if os.getpid() != parent:
            os._exit(6)
    try:
        with gipc.Pool(workers=1, first_delay=0.001) as pool:
            pool.call(abs, 1)
    except RuntimeError:  # of the pool, or of its thread
        os._exit(7)


def test_a_process_that_cannot_be_started_is_an_error_and_no_child():
    options = {"rlimits": {"nproc": 0}}
    if os.getuid() == 0:  # it has no such limit
        options.update(uid=65534, gid=65534, groups=[])
    p = gipc.start_process(no_process, **options)
    p.join()
    assert p.exitcode == 7
