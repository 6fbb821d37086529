"""The reset of a forked child before its target runs: the loops, greenlets and
signal handlers of the parent are removed."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import gc
import os
import re
import signal
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from . import _native
from ._deadline import original

_thread_id = original("_thread", "get_ident")

# References that a child keeps: a loop that is collected closes descriptors
# that the parent shares.
_inherited: list[Any] = []

# Numbers, for the functions of _signal: the enumerations of signal are slow to
# make, and make a child copy forty pages.
_RESET = [
    int(number)
    for number in signal.valid_signals()
    if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE)
]

# What children have to remove, by the thread that is forking.
_leaving: dict[int, tuple[list[int], Any, bool]] = {}
# Why the reset has failed in this child: Python only prints what a fork hook
# raises.
_failures: list[BaseException] = []


def fork(
    options: _native.Options, keep_fds: Iterable[int] | None = None
) -> Any:
    """As os.fork(), of a child that is reset: the native process, or None in
    the child.

    :arg keep_fds: the descriptors that stay open, in addition to those of
        Python; None: all.
    """
    if keep_fds is not None:
        kept = _native.numbers_new()
        for fd in {*keep_fds, *reserved_descriptors()}:
            _native.numbers_add(kept, fd)
        _native.options_keep_fds(options, kept)
    thread = _thread_id()
    _leaving[thread] = *what_to_leave(), keep_fds is not None
    # The child uses the resource tracker of its parent, as the children of
    # multiprocessing do: a tracker of its own would remove what the parent
    # still uses.  Needed from Python 3.14 on.
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    intent: Any = getattr(tracker, "_fork_intent", None)
    try:
        if intent is not None:
            intent.preserve_fd = True
        return _native.fork_process(options, _faulthandler_is_enabled())
    finally:
        if intent is not None:
            intent.preserve_fd = False
        _leaving.pop(thread, None)


def end(code: int, ended: int) -> NoReturn:
    """Ends the child, whatever is raised: by a signal handler of the program, or
    for a code that is no int of C."""
    try:
        _native.exit_as(code if 0 <= code <= 255 else 255, ended)
    finally:
        os._exit(255)


def check_reset() -> None:
    """Raises in the child the error of its reset."""
    if _failures:
        raise _failures.pop()


def reserved_descriptors() -> list[int]:
    """The descriptors that modules of Python use or close in a child by their
    number, which must not become that of another file."""
    found = [
        getattr(getattr(sys.modules.get(module), owner, None), name, None)
        for module, owner, name in _OF_MULTIPROCESSING
    ]
    driver: Any = sys.modules.get("gipc._driver")
    for one in list(driver._drivers) if driver is not None else ():
        found += one.wake_fds()
    pipes: dict[str, list[int]] = {}
    for name in os.listdir(_FOLDER) if os.path.isdir(_FOLDER) else ():
        try:
            target = os.readlink(_FOLDER + name)
        except OSError:
            continue  # that of the listing itself
        if _OF_RUNTIMES.match(target):
            found.append(int(name))
        elif target.startswith("pipe:"):
            pipes.setdefault(target, []).append(int(name))
    if any(module in sys.modules for module in _WITH_LIBUV):
        for ends in pipes.values():
            if _is_lock_of_libuv(ends):
                found += ends
    return [fd for fd in found if fd is not None]


def _is_lock_of_libuv(ends: list[int]) -> bool:
    """Whether a pipe is the one that libuv closes in each forked child, by its
    numbers: it has both ends, and always one byte in it."""
    import fcntl
    import termios

    try:
        return len(ends) == 2 and all(
            fcntl.ioctl(fd, termios.FIONREAD, _ZERO) == _ONE for fd in ends
        )
    except OSError:
        return False


_ZERO = (0).to_bytes(4, sys.byteorder)
_ONE = (1).to_bytes(4, sys.byteorder)
_WITH_LIBUV = "uvloop", "gevent.libuv.loop"
_FOLDER = "/proc/self/fd/"
# What loops have, and the file of libffi 3.5, of which it maps more trampolines.
_OF_RUNTIMES = re.compile(
    r"anon_inode:\[(event|timerfd|signalfd|io_uring)|.*/libffi\.so"
)
_OF_MULTIPROCESSING = [
    ("multiprocessing.resource_tracker", "_resource_tracker", "_fd"),
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_alive_fd"),
]


def _reset() -> None:
    """A hook of each fork: the hooks of the program run after it, and may use
    the gevent or asyncio of the child."""
    left = _leaving.get(_thread_id())
    _leaving.clear()
    if left is None:
        return  # a fork of the program
    try:
        _leave(*left)
    except BaseException as error:
        _failures.append(error)


os.register_at_fork(after_in_child=_reset)


def _leave(signals: Iterable[int], loop: Any, file_is_closed: bool) -> None:
    # This process must not collect suspended generators of the parent, whose
    # finally blocks would run, nor its loops.
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


def what_to_leave() -> tuple[list[int], Any]:
    """The signals that this process handles, and the asyncio loop of this
    thread.  Called before the fork: each page that the child writes to is
    copied, and in a child Python returns no loop."""
    signals = [
        number
        for number in _RESET
        if _signal.getsignal(number) not in (_signal.SIG_DFL, None)
    ]
    events = sys.modules.get("asyncio.events")
    return signals, None if events is None else events._get_running_loop()


def _leave_signals(numbers: Iterable[int]) -> None:
    # The library has reset the dispositions, except that of SIGPIPE; these are
    # the table of Python, and the descriptor that its handlers write to.
    _signal.set_wakeup_fd(-1)
    for number in numbers:
        _signal.signal(number, _signal.SIG_DFL)


def _leave_executors() -> None:
    """Drops the threads of executors, which exist in the parent only: this
    process would wait for them at its end."""
    thread: Any = sys.modules.get("concurrent.futures.thread")
    if thread is not None:
        thread._threads_queues.clear()


def _leave_asyncio(loop: Any) -> None:
    import asyncio

    _inherited.append((loop, sys.get_asyncgen_hooks()))
    if loop is not None:
        task = asyncio.current_task(loop)
        if task is not None:
            asyncio.tasks._leave_task(loop, task)
        asyncio._set_running_loop(None)
        # These hooks would wake that loop, which the parent runs.
        sys.set_asyncgen_hooks(None, None)
    _inherited.append(_take_current_loop())


def _take_current_loop() -> Any:
    """Removes the current loop of this thread.  Returns what refers to it."""
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


def _leave_trio() -> None:
    import sniffio
    import trio

    core: Any = trio._core
    context = core._run.GLOBAL_RUN_CONTEXT.__dict__
    _inherited.append((dict(context), sys.get_asyncgen_hooks()))
    if context:
        sys.set_asyncgen_hooks(None, None)
    runner = context.get("runner")
    if runner is not None:
        # A thread of the parent may hold it.  The end of a generator acquires it.
        runner.entry_queue.lock = type(runner.entry_queue.lock)()
    context.clear()
    # The threads exist in the parent only; trio before 0.24 would wait for them.
    core._thread_cache.THREAD_CACHE._idle_workers.clear()
    # New versions of sniffio and old ones note in two ways that trio runs.
    sniffio.current_async_library_cvar.set(None)
    if hasattr(sniffio, "thread_local"):
        sniffio.thread_local.name = None


def _faulthandler_is_enabled() -> bool:
    faulthandler: Any = sys.modules.get("faulthandler")
    return faulthandler is not None and faulthandler.is_enabled()


def parent_sentinel(parent: int) -> int | None:
    """For multiprocessing.parent_process(): a descriptor that is readable when
    the parent ends."""
    try:
        fd = os.pidfd_open(parent)
    except (AttributeError, OSError):
        return None
    if os.getppid() != parent:
        os.close(fd)  # the parent has ended; the process ID may be reused
        return None
    return fd
