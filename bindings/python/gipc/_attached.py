"""Pickling of messages with handles, which move."""

from __future__ import annotations

import io
import os
import pickle
from types import FunctionType
from typing import Any

from . import _native
from ._encoded import Encoded, reductions
from ._handle import _GIPCHandle, handle_of


class HandlePickler(pickle.Pickler):
    """Has the handles of an object go with the message."""

    def __init__(self, file: Any, protocol: int, **options: Any):
        super().__init__(file, protocol, **options)
        self.handles: list[_GIPCHandle] = []
        self._natives: list[_native.Handle] = []

    def persistent_id(self, o: Any) -> Any:
        return self._id_of(o) if isinstance(o, _GIPCHandle) else None

    def reducer_override(self, o: Any) -> Any:
        is_function = type(o) is FunctionType
        return reductions.get(o, NotImplemented) if is_function else NotImplemented

    def _id_of(self, handle: _GIPCHandle) -> Any:
        handle._validate()
        codecs: list[object] = [None, None]  # encoder, decoder
        for side in (handle, handle._other):
            if side is not None:
                codecs[side._direction == _native.READ] = side._codec
        self.handles.append(handle)
        for number, native in enumerate(self._natives):
            if native is handle._h:
                break
        else:
            number = len(self._natives)
            self._natives.append(handle._h)
        return "handle", number, handle._direction, codecs, handle._classes


class HandleUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, natives: list[_native.Handle], **more: Any):
        super().__init__(io.BytesIO(data), **more)
        self._natives = natives
        self._adopted: dict[int, Any] = {}

    def load(self) -> Any:
        o = super().load()
        # The others are those that the program of the peer has put beside it.
        for number in sorted(self._adopted, reverse=True):
            del self._natives[number]
        return o

    def persistent_load(self, identity: Any) -> Any:
        kind, number, direction, codecs, classes = identity
        if kind != "handle" or not 0 <= number < len(self._natives):
            raise pickle.UnpicklingError("the handle of the message is missing")
        handle = self._adopted.get(number)
        if handle is None:
            handle = handle_of(classes, self._natives[number], *codecs)
            self._adopted[number] = handle
        if isinstance(handle, tuple):
            return handle[direction != _native.READ]
        return handle


def pickle_with_handles(o: object) -> Encoded:
    file = io.BytesIO()
    pickler = HandlePickler(file, pickle.HIGHEST_PROTOCOL)
    pickler.dump(o)
    return Encoded(file.getvalue(), pickler.handles)


def close_fds(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())
