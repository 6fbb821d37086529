"""What every test of the Python package gets: a deadline, and a check that it
left no handle, descriptor, zombie or child behind."""

import faulthandler
import gc
import os
import re
import sys
from multiprocessing import spawn

import gevent
import pytest
import support

DEADLINE = 120  # seconds for one test that does not say another timeout


def pytest_configure(config):
    # So that what gevent opens once is no leak of the first test.
    gevent.get_hub()
    gevent.get_hub().threadpool.apply(int)
    gevent.sleep(0)


def pytest_addoption(parser):
    parser.addoption(
        "--loops", help="those of these loops only, separated by commas"
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("loops"):
        loops = config.getoption("loops").split(",")
        left_out = [item for item in items if loop_of(item) not in loops]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if loop_of(item) in loops]
    # For the report that tests/bindings/coverage.sh reads.
    for item in items:
        item.user_properties.append(("loop", loop_of(item)))


def pytest_collection_finish():
    # Each test ends with a collection, which need not look at the modules.
    gc.collect()
    gc.freeze()


def loop_of(item):
    """What a test runs on: its mark says it, or the end of its name, or it is
    the main greenlet of gevent."""
    mark = item.get_closest_marker("loop")
    name = re.search("_under_(plain|asyncio|uvloop|trio)$", item.originalname)
    return mark.args[0] if mark else name[1] if name else "gevent"


@pytest.fixture(params=support.on_loops("gevent", "plain"))
def way(request):
    """The test runs as a greenlet, and once more in a thread without gevent."""
    return support.WAYS[request.param]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    arguments = {
        name: pyfuncitem.funcargs[name]
        for name in pyfuncitem._fixtureinfo.argnames
    }
    way = support.WAYS.get(loop_of(pyfuncitem), support.WAYS["gevent"])
    mark = pyfuncitem.get_closest_marker("timeout")
    seconds = mark.args[0] if mark else DEADLINE
    support.limit = seconds
    faulthandler.dump_traceback_later(seconds + 10, exit=True)
    try:
        way.run(pyfuncitem.obj, arguments, seconds)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return True


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = support.descriptors()
    yield
    # The hub lets go of the last exception that it has thrown.
    gevent.sleep(0)
    gc.collect()
    handles = support.open_handles()
    for handle in handles:
        try:
            handle.close()
        except Exception:
            pass
    left = support.left_since(before)
    children = support.children()
    for pid in children:
        support.kill(pid)
    assert not handles, "handles left open"
    assert not left, "descriptors left open"
    assert not children, "children or zombies left behind"


@pytest.fixture
def program(tmp_path):
    """Runs Python source in a fresh interpreter; what it prints is returned.

    Its exit code must be `code`, and nothing may be on its stderr, unless
    `stderr` says what."""

    def run(source, *arguments, **options):
        return support.run_program(tmp_path, source, arguments, **options)

    return run


@pytest.fixture
def stopped_interpreter(tmp_path):
    """Children of method spawn wait until it is called."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = tmp_path / "python"
    script.write_text(
        '#!/bin/sh\nread -r _ <"%s"\nexec "%s" "$@"\n' % (fifo, sys.executable)
    )
    script.chmod(0o755)
    before = spawn.get_executable()
    spawn.set_executable(str(script))
    yield lambda: fifo.write_text("go\n")
    spawn.set_executable(before)
