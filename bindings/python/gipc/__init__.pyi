# The types of gipc.  What a handle gets and puts follows from its codecs: bytes
# with None, what a function takes or gives, and Any with a codec named.

from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from multiprocessing import Process as _Process
from os import PathLike
from types import TracebackType
from typing import (
    IO,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
    overload,
)

from typing_extensions import Buffer, Self, TypeAlias, Unpack

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
version: Final[str]
__all__ = [
    "Duplex",
    "ExitInfo",
    "GIPCBadHandles",
    "GIPCClosed",
    "GIPCError",
    "GIPCLocked",
    "GIPCProtocolError",
    "GIPCStatusLost",
    "GIPCTimeout",
    "GIPCTooBig",
    "GIPCTruncated",
    "Process",
    "Program",
    "Reader",
    "Stats",
    "Writer",
    "exec_process",
    "features",
    "get_all_handles",
    "inherit",
    "pipe",
    "set_exit_timeout",
    "start_process",
    "stdio",
    "version",
    "wait",
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
class _HasFileno(Protocol):
    def fileno(self) -> int: ...

_Descriptor: TypeAlias = Union[int, _HasFileno]
_File: TypeAlias = Union[_Descriptor, None]
_Text: TypeAlias = Union[str, bytes, PathLike[str]]
_Signal: TypeAlias = Union[int, str]  # 15, signal.SIGTERM, "TERM"

class _GeventTimeout(Protocol):
    """gevent.Timeout, which need not be installed."""

    def start(self) -> object: ...
    def cancel(self) -> object: ...

# The options of a start, beside those that its signature has.
class _Options(TypedDict, total=False):
    death_signal: _Signal | None
    text: bool | None
    encoding: str | None
    errors: str | None
    map_fds: Mapping[int, _Descriptor] | None
    keep_fds: Iterable[_Descriptor] | Literal["all"] | None
    group: Literal["inherit", "new", "session"] | None
    terminal: _Descriptor | None
    umask: int | None
    nice: int | None
    user: str | int | None
    uid: int | None
    gid: str | int | None
    groups: Iterable[str | int] | None
    rlimits: (
        Mapping[str | int, int | None | tuple[int | None, int | None]]
        | Mapping[str, int | None | tuple[int | None, int | None]]
        | Mapping[str, int]
        | Mapping[str, tuple[int, int]]
        | None
    )
    no_new_privileges: bool | None
    block_signals: Iterable[_Signal] | None

class _FunctionOptions(_Options, total=False):
    env: Mapping[str, str] | None
    cwd: _Text | None
    stdin: _File
    stdout: _File
    stderr: _File

class _ProgramOptions(_Options, total=False):
    program: _Text | None

_Timeout: TypeAlias = Union[float, _GeventTimeout, None]

class Stats(NamedTuple):
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    reads: int
    writes: int

class _Settings:
    @property
    def closed(self) -> bool: ...
    @property
    def events(self) -> int: ...
    @property
    def limit(self) -> int | None: ...
    def set_limit(self, size: int | None) -> None: ...
    @property
    def read_limit(self) -> int | None: ...
    def set_read_limit(self, size: int | None) -> None: ...
    @property
    def stats(self) -> Stats: ...

class _WriterSettings:
    @property
    def marks(self) -> tuple[int, int]: ...
    def set_marks(self, low: int, high: int) -> None: ...

class _GIPCHandle(_Settings):
    @property
    def pending(self) -> int: ...
    @property
    def _fd(self) -> int | None: ...
    @property
    def _id(self) -> str: ...
    _closed: bool
    def fileno(self) -> int: ...
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

class _GIPCWriter(_WriterSettings, _GIPCHandle, Generic[_Put_contra]):
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

class _DuplexSettings(_WriterSettings, _Settings):
    @property
    def pending(self) -> tuple[int, int]: ...
    def shutdown(self) -> None: ...

class _GIPCDuplexHandle(
    _DuplexSettings,
    _PairContext[_GIPCReader[_Got], _GIPCWriter[_Put]],
    Generic[_Got, _Put],
):
    _reader: _GIPCReader[_Got]
    _writer: _GIPCWriter[_Put]
    @property
    def reader(self) -> _GIPCReader[_Got]: ...
    @property
    def writer(self) -> _GIPCWriter[_Put]: ...
    @property
    def _closed(self) -> bool: ...
    # The messages, and not the two sides of this tuple.
    def __iter__(self) -> Iterator[_Got]: ...  # type: ignore[override]
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
    def close(self, timeout: float | None = None) -> None: ...
    def abort(self) -> None: ...

_Pipe: TypeAlias = _PairContext[_GIPCReader[_Got], _GIPCWriter[_Put]]
_Duplex: TypeAlias = _PairContext[
    _GIPCDuplexHandle[_Got, _Put], _GIPCDuplexHandle[_Got, _Put]
]

Reader = _GIPCReader
Writer = _GIPCWriter
Duplex: TypeAlias = _GIPCDuplexHandle[_Got, _Put]

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

class ExitInfo(NamedTuple):
    code: int | None
    signal: int | None
    core: bool
    how: str
    ended: str
    user: float | None
    system: float | None
    max_rss: int | None

class _AnyProcess:
    # Of text, with an option that says so.
    stdin: IO[Any] | None
    stdout: IO[Any] | None
    stderr: IO[Any] | None
    @property
    def exit_info(self) -> ExitInfo | None: ...
    @property
    def returncode(self) -> int | None: ...
    def send_signal(self, number: _Signal) -> None: ...
    def signal_group(self, number: _Signal) -> None: ...
    def stop(self, grace: float | None = 5.0) -> None: ...
    def stop_group(self, grace: float | None = 5.0) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def communicate(
        self, input: Any = None, timeout: float | None = None
    ) -> tuple[Any, Any]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

class _GProcess(_AnyProcess, _Process): ...

Process = _GProcess

def start_process(
    target: Callable[..., object],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] = {},
    daemon: bool | None = None,
    name: str | None = None,
    method: Literal["fork", "spawn"] = "fork",
    **options: Unpack[_FunctionOptions],
) -> _GProcess: ...

class _GProgram(_AnyProcess):
    name: str
    pid: int
    ident: int
    @property
    def sentinel(self) -> int: ...
    @property
    def exitcode(self) -> int | None: ...
    def is_alive(self) -> bool: ...
    def join(self, timeout: float | None = None) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...

Program = _GProgram

def exec_process(
    argv: Sequence[_Text],
    handles: Mapping[str, _GIPCHandle | _GIPCDuplexHandle[Any, Any]] = {},
    env: Mapping[str, str] | None = None,
    cwd: _Text | None = None,
    stdin: _File = None,
    stdout: _File = None,
    stderr: _File = None,
    name: str | None = None,
    daemon: bool = False,
    **options: Unpack[_ProgramOptions],
) -> _GProgram: ...

_Member = TypeVar("_Member")

def wait(
    objects: Iterable[_Member], timeout: float | None = None
) -> list[_Member]: ...
def features() -> frozenset[str]: ...
def set_exit_timeout(seconds: float | None) -> None: ...

# A reader, a writer or a duplex handle, by the directions of the streams.
def open(
    read: Any,
    write: Any = ...,
    encoder: _Encoder = "default",
    decoder: _Decoder = "default",
) -> Any: ...

# A reader, a writer or a duplex handle, whichever was passed.
def inherit(
    name: str, encoder: _Encoder = "default", decoder: _Decoder = "default"
) -> Any: ...
def stdio(
    encoder: _Encoder = "msgpack", decoder: _Decoder = "msgpack"
) -> _GIPCDuplexHandle[Any, Any]: ...
def get_all_handles() -> list[_GIPCHandle]: ...
