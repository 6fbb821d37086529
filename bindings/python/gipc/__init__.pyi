# The types of gipc.  What a handle gets and puts follows from its codecs: bytes
# with None, what a function takes or gives, and Any with a codec named.

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from multiprocessing import Process
from os import PathLike
from types import TracebackType
from typing import (
    IO,
    Any,
    Final,
    Generic,
    Literal,
    Protocol,
    TypeVar,
    Union,
    overload,
)

from typing_extensions import Buffer, Self, TypeAlias

from .errors import (
    GIPCBadHandles as GIPCBadHandles,
    GIPCClosed as GIPCClosed,
    GIPCError as GIPCError,
    GIPCLocked as GIPCLocked,
    GIPCProtocolError as GIPCProtocolError,
    GIPCStatusLost as GIPCStatusLost,
    GIPCTimeout as GIPCTimeout,
    GIPCTooBig as GIPCTooBig,
    GIPCTruncated as GIPCTruncated,
)

__version__: Final[str]
__all__ = [
    "GIPCBadHandles",
    "GIPCClosed",
    "GIPCError",
    "GIPCLocked",
    "GIPCProtocolError",
    "GIPCStatusLost",
    "GIPCTimeout",
    "GIPCTooBig",
    "GIPCTruncated",
    "exec_process",
    "get_all_handles",
    "inherit",
    "pipe",
    "start_process",
    "stdio",
]

_Got = TypeVar("_Got")
_Put = TypeVar("_Put")
_Got_co = TypeVar("_Got_co", covariant=True)
_Put_contra = TypeVar("_Put_contra", contravariant=True)
_A = TypeVar("_A")
_B = TypeVar("_B")

_Bytes: TypeAlias = Union[bytes, bytearray, memoryview]
_Name: TypeAlias = Literal["default", "pickle", "json", "msgpack"]
_Encoder: TypeAlias = Union[Callable[[Any], bytes], _Name, None]
_Decoder: TypeAlias = Union[Callable[[bytes], Any], _Name, None]
_File: TypeAlias = Union[int, IO[Any], None]

class _GeventTimeout(Protocol):
    """gevent.Timeout, which need not be installed."""

    def start(self) -> object: ...
    def cancel(self) -> object: ...

_Timeout: TypeAlias = Union[float, _GeventTimeout, None]

class _GIPCHandle:
    @property
    def _fd(self) -> int | None: ...
    @property
    def _id(self) -> str: ...
    _closed: bool
    def fileno(self) -> int: ...
    def set_limit(self, size: int | None) -> None: ...
    def set_read_limit(self, size: int | None) -> None: ...
    def close(self, timeout: float | None = None) -> None: ...
    def abort(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        *exception: type[BaseException] | BaseException | TracebackType | None,
    ) -> None: ...

class _GIPCReader(_GIPCHandle, Generic[_Got_co]):
    def get(self, timeout: _Timeout = None) -> _Got_co: ...
    def get_into(self, buffer: Buffer, timeout: _Timeout = None) -> int: ...
    def __iter__(self) -> Iterator[_Got_co]: ...

class _GIPCWriter(_GIPCHandle, Generic[_Put_contra]):
    def put(self, o: _Put_contra, timeout: _Timeout = None) -> None: ...
    def put_many(
        self, objects: Iterable[_Put_contra], timeout: _Timeout = None
    ) -> None: ...
    def batch(self) -> AbstractContextManager[Self]: ...
    def flush(self, timeout: _Timeout = None) -> None: ...

class _PairContext(tuple[_A, _B]):
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        *exception: type[BaseException] | BaseException | TracebackType | None,
    ) -> None: ...

class _GIPCDuplexHandle(
    _PairContext[_GIPCReader[_Got], _GIPCWriter[_Put]], Generic[_Got, _Put]
):
    _reader: _GIPCReader[_Got]
    _writer: _GIPCWriter[_Put]
    @property
    def _closed(self) -> bool: ...
    def get(self, timeout: _Timeout = None) -> _Got: ...
    def get_into(self, buffer: Buffer, timeout: _Timeout = None) -> int: ...
    def messages(self) -> Iterator[_Got]: ...
    def put(self, o: _Put, timeout: _Timeout = None) -> None: ...
    def put_many(
        self, objects: Iterable[_Put], timeout: _Timeout = None
    ) -> None: ...
    def batch(self) -> AbstractContextManager[_GIPCWriter[_Put]]: ...
    def flush(self, timeout: _Timeout = None) -> None: ...
    def fileno(self) -> int: ...
    def set_limit(self, size: int | None) -> None: ...
    def set_read_limit(self, size: int | None) -> None: ...
    def close(self, timeout: float | None = None) -> None: ...
    def abort(self) -> None: ...

_Pipe: TypeAlias = _PairContext[_GIPCReader[_Got], _GIPCWriter[_Put]]
_Duplex: TypeAlias = _PairContext[
    _GIPCDuplexHandle[_Got, _Put], _GIPCDuplexHandle[_Got, _Put]
]

@overload
def pipe(
    duplex: Literal[False] = False,
    *,
    encoder: None,
    decoder: None,
) -> _Pipe[bytes, _Bytes]: ...
@overload
def pipe(
    duplex: Literal[False] = False,
    *,
    encoder: Callable[[_Put], bytes],
    decoder: Callable[[bytes], _Got],
) -> _Pipe[_Got, _Put]: ...
@overload
def pipe(
    duplex: Literal[False] = False,
    *,
    encoder: _Encoder = "default",
    decoder: None,
) -> _Pipe[bytes, Any]: ...
@overload
def pipe(
    duplex: Literal[False] = False,
    *,
    encoder: _Encoder = "default",
    decoder: Callable[[bytes], _Got],
) -> _Pipe[_Got, Any]: ...
@overload
def pipe(
    duplex: Literal[False] = False,
    encoder: _Encoder = "default",
    decoder: _Name = "default",
) -> _Pipe[Any, Any]: ...
@overload
def pipe(
    duplex: Literal[True],
    *,
    encoder: None,
    decoder: None,
) -> _Duplex[bytes, _Bytes]: ...
@overload
def pipe(
    duplex: Literal[True],
    *,
    encoder: Callable[[_Put], bytes],
    decoder: Callable[[bytes], _Got],
) -> _Duplex[_Got, _Put]: ...
@overload
def pipe(
    duplex: Literal[True],
    *,
    encoder: _Encoder = "default",
    decoder: None,
) -> _Duplex[bytes, Any]: ...
@overload
def pipe(
    duplex: Literal[True],
    *,
    encoder: _Encoder = "default",
    decoder: Callable[[bytes], _Got],
) -> _Duplex[_Got, Any]: ...
@overload
def pipe(
    duplex: Literal[True],
    encoder: _Encoder = "default",
    decoder: _Name = "default",
) -> _Duplex[Any, Any]: ...
@overload
def pipe(
    duplex: bool, encoder: _Encoder = "default", decoder: _Decoder = "default"
) -> _PairContext[Any, Any]: ...

class _GProcess(Process): ...

def start_process(
    target: Callable[..., object],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] = {},
    daemon: bool | None = None,
    name: str | None = None,
    method: Literal["fork", "spawn"] = "fork",
) -> _GProcess: ...

class _GProgram:
    name: str
    pid: int
    ident: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None
    @property
    def sentinel(self) -> int: ...
    @property
    def exitcode(self) -> int | None: ...
    def is_alive(self) -> bool: ...
    def join(self, timeout: float | None = None) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def send_signal(self, number: int) -> None: ...
    def close(self) -> None: ...

def exec_process(
    argv: Sequence[str | bytes | PathLike[str]],
    handles: Mapping[str, _GIPCHandle | _GIPCDuplexHandle[Any, Any]] = {},
    env: Mapping[str, str] | None = None,
    cwd: str | PathLike[str] | None = None,
    stdin: _File = None,
    stdout: _File = None,
    stderr: _File = None,
    name: str | None = None,
    daemon: bool = False,
) -> _GProgram: ...

# A reader, a writer or a duplex handle, whichever was passed.
def inherit(
    name: str, encoder: _Encoder = "default", decoder: _Decoder = "default"
) -> Any: ...
def stdio(
    encoder: _Encoder = "msgpack", decoder: _Decoder = "msgpack"
) -> _GIPCDuplexHandle[Any, Any]: ...
def get_all_handles() -> list[_GIPCHandle]: ...
