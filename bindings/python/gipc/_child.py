"""What a forked child does to itself before its target runs: nothing of what
the parent's loops, greenlets and handlers were about acts in it."""

import _signal
import gc
import signal
import sys

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


def start_clean(left):
    """left: of what_to_leave() in the parent."""
    signals, loop = left
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

    policy = asyncio.get_event_loop_policy()
    _inherited.append((policy, loop, sys.get_asyncgen_hooks()))
    if loop is not None:
        task = asyncio.current_task(loop)
        if task is not None:
            asyncio.tasks._leave_task(loop, task)
        asyncio._set_running_loop(None)
        # They would wake that loop, which the parent runs.
        sys.set_asyncgen_hooks(None, None)
    asyncio.set_event_loop_policy(type(policy)())


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
