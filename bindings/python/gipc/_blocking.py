"""The backend of a call that blocks: gevent's, or that of threads."""

from __future__ import annotations

import sys

from ._backend import BlockingBackend
from ._threads import threads

_greenlets: BlockingBackend | None = None


def current_backend() -> BlockingBackend:
    """gevent's if this thread has a hub; without one the thread has no other
    greenlet that could run while one waits."""
    gevent_hub = sys.modules.get("gevent._hub_local")
    if gevent_hub is not None and gevent_hub.get_hub_if_exists() is not None:
        return _greenlets or _import_greenlets()
    return threads


def _import_greenlets() -> BlockingBackend:
    global _greenlets
    from ._gevent import greenlets

    _greenlets = greenlets
    return greenlets
