"""What a forked child does to itself before its target runs: nothing of what
the parent's loops, greenlets and handlers were about acts in it."""

import _signal
import gc
import os
import re
import signal
import sys
from contextlib import contextmanager

from . import _native
from ._wait import _original

_thread_id = _original("_thread", "get_ident")

# What a child must not let go: a loop that is collected closes itself, and
# with it what the parent shares.
_inherited = []

# As numbers, and asked for in the module below signal: its enumerations are slow,
# and cost a child forty pages.
_RESET = [
    int(number)
    for number in signal.valid_signals()
    if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE)
]

# What the children leave that threads of this process are forking, by thread.
_leaving = {}
# Why this child does not start clean: Python only prints what a fork hook raises.
_failures = []


def fork(options, keep_fds=None):
    """As os.fork(), of a child that starts clean: the native process, or None in
    the child.

    :arg keep_fds: all that stay open, but for those of Python; None: all.
    """
    if keep_fds is not None:
        kept = _native.numbers_new()
        for fd in {*keep_fds, *reserved_descriptors()}:
            _native.numbers_add(kept, fd)
        _native.options_keep_fds(options, kept)
    thread = _thread_id()
    _leaving[thread] = *what_to_leave(), keep_fds is not None
    try:
        with _keeping_tracker():
            return _native.fork_process(options, _faulthandler_is_enabled())
    finally:
        _leaving.pop(thread, None)


@contextmanager
def _keeping_tracker():
    """The child uses its parent's resource tracker, as multiprocessing's own
    children do: one of its own would remove what the parent still uses.  From
    Python 3.14 on this has to be said."""
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    intent = getattr(tracker, "_fork_intent", None)
    if intent is None:
        yield
        return
    intent.preserve_fd = True
    try:
        yield
    finally:
        intent.preserve_fd = False


def check_clean():
    """Raises in the child what kept it from starting clean."""
    if _failures:
        raise _failures.pop()


def reserved_descriptors():
    """Those that modules of Python know by their number and use, or close, in a
    child: another file of this number would suffer."""
    found = [
        getattr(getattr(sys.modules.get(module), owner, None), name, None)
        for module, owner, name in _OF_MULTIPROCESSING
    ]
    for name in os.listdir(_FOLDER) if os.path.isdir(_FOLDER) else ():
        try:
            if _OF_LOOPS.match(os.readlink(_FOLDER + name)):
                found.append(int(name))
        except OSError:
            pass  # that of the listing itself
    return [fd for fd in found if fd is not None]


_FOLDER = "/proc/self/fd/"
_OF_LOOPS = re.compile(r"anon_inode:\[(event|timerfd|signalfd|io_uring)")
_OF_MULTIPROCESSING = [
    ("multiprocessing.resource_tracker", "_resource_tracker", "_fd"),
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_alive_fd"),
]


def _start_clean():
    """A hook of each fork, as the program's own hooks, which run behind it, may
    use gevent or asyncio: what they find is to be the child's."""
    left = _leaving.get(_thread_id())
    _leaving.clear()
    if left is None:
        return  # the program's own fork
    try:
        _leave(*left)
    except BaseException as error:
        _failures.append(error)


os.register_at_fork(after_in_child=_start_clean)


def _leave(signals, loop, file_is_closed):
    # What was suspended for ever in the parent, with its finally blocks, and
    # loops that nobody else holds any more, are not for this process to collect.
    gc.freeze()
    _leave_signals(signals)
    if "asyncio" in sys.modules:
        _leave_asyncio(loop)
    if "trio" in sys.modules:
        _leave_trio()
    # Imported by the parent, if it has a hub.
    gevent = sys.modules.get("gipc._gevent")
    if gevent is not None:
        gevent.leave_in_child()
    _leave_executors()
    if file_is_closed and _faulthandler_is_enabled():
        sys.modules["faulthandler"].enable(2)


def what_to_leave():
    """The signals that this process handles, and asyncio's loop in this thread.
    Asked before the fork: each page that the child writes to is copied, and
    Python tells a child of no loop."""
    signals = [
        number
        for number in _RESET
        if _signal.getsignal(number) not in (_signal.SIG_DFL, None)
    ]
    events = sys.modules.get("asyncio.events")
    return signals, None if events is None else events._get_running_loop()


def _leave_signals(numbers):
    # The library has set the dispositions back, SIGPIPE's excepted; this is
    # Python's own table, and the descriptor that its handlers wake.
    _signal.set_wakeup_fd(-1)
    for number in numbers:
        _signal.signal(number, _signal.SIG_DFL)


def _leave_executors():
    """Their threads are the parent's; at its end this process would wait for
    them, and one of them may be its only one."""
    thread = sys.modules.get("concurrent.futures.thread")
    if thread is not None:
        thread._threads_queues.clear()


def _leave_asyncio(loop):
    import asyncio

    _inherited.append((loop, sys.get_asyncgen_hooks()))
    if loop is not None:
        task = asyncio.current_task(loop)
        if task is not None:
            asyncio.tasks._leave_task(loop, task)
        asyncio._set_running_loop(None)
        # They would wake that loop, which the parent runs.
        sys.set_asyncgen_hooks(None, None)
    _inherited.append(_take_current_loop())


def _take_current_loop():
    """This thread has no current loop any more.  What keeps the old one."""
    import asyncio

    if sys.version_info >= (3, 14):  # which has no policies, or warns
        try:
            current = asyncio.get_event_loop()
        except RuntimeError:
            return None
        asyncio.set_event_loop(None)
        return current
    policy = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(type(policy)())
    return policy


def _leave_trio():
    import sniffio
    import trio

    context = trio._core._run.GLOBAL_RUN_CONTEXT.__dict__
    _inherited.append((dict(context), sys.get_asyncgen_hooks()))
    if context:
        sys.set_asyncgen_hooks(None, None)
    context.clear()
    # Its threads are not here; trio before 0.24 would wait for them.
    trio._core._thread_cache.THREAD_CACHE._idle_workers.clear()
    # Two ways of saying that trio runs: of new versions, and of old ones.
    sniffio.current_async_library_cvar.set(None)
    if hasattr(sniffio, "thread_local"):
        sniffio.thread_local.name = None


def _faulthandler_is_enabled():
    faulthandler = sys.modules.get("faulthandler")
    return faulthandler is not None and faulthandler.is_enabled()
