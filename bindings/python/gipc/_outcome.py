"""How a task ended: the result, or what is raised."""

from __future__ import annotations

from typing import Any

from ._any_process import exit_info_of
from ._backend import Backend
from ._crew import Crew
from ._driver import Action
from ._native import (
    WHY_CANCELLED,
    WHY_DONE,
    WHY_FAILED,
    WHY_GAVE_UP,
    WHY_POISON,
    WHY_PROTOCOL,
    WHY_SILENT,
    WHY_STOPPED,
    WHY_TIMED_OUT,
)
from ._types import Codec
from ._worker import exception_of
from .errors import PoolClosed, TaskTimeout, WorkerDied

_WHYS = {WHY_SILENT: "silent", WHY_PROTOCOL: "protocol", WHY_POISON: "poison"}
_TEXTS = {
    "": "the worker ended by itself",
    "silent": "the worker gave no sign of life, and was stopped",
    "protocol": "the worker sent what it must not send, and was stopped",
    "poison": "the task has ended too many workers, and is given up",
}


class Call:
    """A task that somebody waits for, now or later."""

    __slots__ = ("number", "action", "event")

    def __init__(self) -> None:
        self.number = 0
        self.action: Action = None
        self.event: Any = None

    def finish(self, action: Action) -> None:
        self.action = action
        event = self.event
        if event is not None:
            event.set()

    async def wait(self, crew: Crew, backend: Backend) -> Action:
        if self.action is None:
            event = self.event = backend.new_event()
            # It may have finished between these two, in another thread.
            if self.action is None:
                await crew.wait(event, backend, None)
        return self.action


def result_of(
    action: Action, crew: Crew, decode: Codec, is_pickled: bool
) -> Any:
    why, answer = action[2], action[3]
    if why == WHY_DONE:
        return answer if decode is None else decode(answer)
    if why == WHY_FAILED:
        raise exception_of(answer, is_pickled)
    raise _error_of(action, crew)


def _error_of(action: Action, crew: Crew) -> BaseException:
    why = action[2]
    if why == WHY_TIMED_OUT:
        return TaskTimeout("the task took longer than its timeout")
    if why == WHY_CANCELLED:
        from concurrent.futures import CancelledError

        return CancelledError()
    if why == WHY_GAVE_UP:
        return crew.closed()
    if why == WHY_STOPPED:
        return PoolClosed("the pool was stopped before the task was done")
    return _died(action, crew)


def _died(action: Action, crew: Crew) -> WorkerDied:
    _, _, why, _, task, attempt, worker, pid, _, info = action
    name = _WHYS.get(why, "")
    exit_info = None if info is None else exit_info_of(info)
    how = ""
    if exit_info is not None and exit_info.signal:
        how = ", by signal %d" % exit_info.signal
    elif exit_info is not None and exit_info.code is not None:
        how = ", with exit code %d" % exit_info.code
    error = WorkerDied(
        "%s (task %d, attempt %d, process %d%s)"
        % (_TEXTS[name], task, attempt, pid, how)
    )
    error.task, error.attempt, error.pid = task, attempt, pid
    error.exit_info, error.why = exit_info, name
    error.stderr = crew.tail(worker)
    return error
