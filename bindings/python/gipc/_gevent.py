"""Waiting under gevent: the greenlet waits, the others go on."""

import signal
import sys
import threading

import gevent
from gevent._hub_local import get_hub_if_exists as hub_if_exists
from gevent.hub import Waiter, get_hub, set_hub
from greenlet import getcurrent

from . import _native
from ._native import READ, WAIT, WRITE, YIELD, take
from ._wait import monotonic


class Greenlets:
    cooperative = True

    def __init__(self):
        # What gives the one that a batch belongs to.
        self.current = getcurrent

    def receive(self, handle, deadline):
        while True:
            data = take(handle._h)
            if data.__class__ is bytes:
                return data
            if data == WAIT:
                if not self.ready(handle, READ, deadline):
                    return data
            elif data == YIELD:
                gevent.sleep(0)
            else:
                return data

    def ready(self, handle, direction, deadline):
        """As fd_ready, with a watcher that the handle keeps."""
        hub = get_hub()
        kept = handle.watcher
        if kept is not None and kept[0] is hub:
            watcher = kept[1]
        else:
            # That of another thread is left to its own hub.
            watcher = hub.loop.io(handle.fd(direction), direction)
            handle.watcher = hub, watcher
        if deadline is None:
            hub.wait(watcher)
            return True
        return self._in_time(lambda: hub.wait(watcher), deadline)

    def either(self, handle, deadline):
        """Until it is writable, or readable."""
        fds = [(handle.fd(direction), direction) for direction in (READ, WRITE)]
        return self.any(fds, deadline)

    def any(self, fds, deadline):
        """Until one of (descriptor, direction) is ready."""
        hub = get_hub()
        waiter = Waiter(hub)
        watchers = [hub.loop.io(fd, direction) for fd, direction in fds]
        try:
            for watcher in watchers:
                watcher.start(waiter.switch, True)
            if deadline is None:
                return waiter.get()
            return self._in_time(waiter.get, deadline)
        finally:
            for watcher in watchers:
                watcher.stop()
                watcher.close()

    def fd_ready(self, fd, direction, deadline):
        hub = get_hub()
        watcher = hub.loop.io(fd, direction)
        try:
            if deadline is None:
                hub.wait(watcher)
                return True
            return self._in_time(lambda: hub.wait(watcher), deadline)
        finally:
            watcher.close()

    def _in_time(self, wait, deadline):
        left = deadline - monotonic()
        if left <= 0:
            return False
        # gevent's clock is that of the loop's last turn.
        get_hub().loop.update_now()
        timeout = gevent.Timeout.start_new(left)
        try:
            wait()
            return True
        except gevent.Timeout as error:
            if error is not timeout:
                raise
            return False
        finally:
            timeout.close()

    def finish(self, handle):
        """Queued bytes leave in the background."""
        if handle.rest is not None and handle.rest.active:
            return
        watcher = get_hub().loop.io(handle.fd(WRITE), WRITE)

        def step():
            if handle._flush_quietly():
                watcher.stop()
                watcher.close()
                handle.rest_has_left()

        handle.rest = watcher
        watcher.start(step)

    def pause(self, seconds):
        gevent.sleep(seconds)

    def yield_(self):
        gevent.sleep(0)

    def signal(self):
        return _GreenletSignal(self)


class _GreenletSignal:
    def __init__(self, waits):
        self._waits = waits
        self._hub = get_hub()
        self._waiter = Waiter(self._hub)
        self._thread = threading.get_ident()

    def wait(self, deadline):
        if deadline is None:
            self._waiter.get()
            return True
        return self._waits._in_time(self._waiter.get, deadline)

    def set(self):
        loop = self._hub.loop
        if threading.get_ident() == self._thread:
            loop.run_callback(self._waiter.switch, None)
        else:
            loop.run_callback_threadsafe(self._waiter.switch, None)


greenlets = Greenlets()


class Reaper:
    """gevent's libev takes the status of every child once anything in the
    program watches one of its own.  Linux before 6.15 then tells nobody else;
    a watcher does."""

    def __init__(self, native, pid):
        self._native = native
        self._watcher = get_hub().loop.child(pid, ref=False)
        self._watcher.start(self._report)

    @classmethod
    def needed(cls):
        hub = hub_if_exists()
        return (
            hub is not None
            and hub.loop.default
            and not callable(signal.getsignal(signal.SIGCHLD))
            and _native.sigchld_is_handled()
        )

    def _report(self):
        _native.process_report(self._native, self._watcher.rstatus)
        self.close()

    def settle(self):
        """The child has ended: lets the loop come to tell of it."""
        for _ in range(3):
            if self._watcher is None:
                return
            gevent.sleep(0)

    def close(self):
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None


def leave_in_child():
    """In a forked child: nothing of the inherited hub acts any more, and the
    next use of gevent makes a new one."""
    hub = hub_if_exists()
    if hub is None:
        return
    loop = hub.loop
    # A greenlet that is collected runs its finally blocks: those that were
    # about to run here belong to the parent.  Nothing is collected.
    _inherited.append((hub, loop, list(getattr(loop, "_callbacks", None) or ())))
    for part in ("_threadpool", "_resolver"):
        _inherited.append(getattr(hub, part, None))
        setattr(hub, part, None)
    set_hub(None)
    # Where gevent shares the library's libev, the default loop has gone with
    # the fork; twice would be once too often.
    if not (loop.default and _shares_libev()):
        loop.destroy()


_inherited = []


def _shares_libev():
    core = sys.modules.get("gevent.libev.corecext")
    return core is not None and not core.LIBEV_EMBED
