# The types of gipc.aio: those of gipc, awaited.

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from os import PathLike
from types import TracebackType
from typing import IO, Any, Generic, Literal, TypeVar, overload

from typing_extensions import Buffer, Never, Self, TypeAlias, Unpack

from . import (
    ExitInfo,
    _Bytes,
    _Decoder,
    _DuplexSettings,
    _Encoder,
    _File,
    _FunctionOptions,
    _GIPCDuplexHandle,
    _GIPCHandle,
    _Name,
    _ProgramOptions,
    _Signal,
    _Text,
    _WriterSettings,
    get_all_handles as get_all_handles,
)
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

__all__ = [
    "Duplex",
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
    "Reader",
    "Writer",
    "exec_process",
    "get_all_handles",
    "inherit",
    "pipe",
    "start_process",
    "stdio",
    "wait",
    "withdrawn",
]

_Got = TypeVar("_Got")
_Put = TypeVar("_Put")
_Got_co = TypeVar("_Got_co", covariant=True)
_Put_contra = TypeVar("_Put_contra", contravariant=True)
_A = TypeVar("_A")
_B = TypeVar("_B")

class _Block:
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        *exception: type[BaseException] | BaseException | TracebackType | None,
    ) -> None: ...

class _Handle(_Block, _GIPCHandle):
    # Does not wait, so there is no time to limit.
    def close(self) -> None: ...  # type: ignore[override]
    async def aclose(self, timeout: float | None = None) -> None: ...

class Reader(_Handle, Generic[_Got_co]):
    async def get(self, timeout: float | None = None) -> _Got_co: ...
    async def get_into(
        self, buffer: Buffer, timeout: float | None = None
    ) -> int: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> _Got_co: ...

class Writer(_WriterSettings, _Handle, Generic[_Put_contra]):
    async def put(
        self, o: _Put_contra, timeout: float | None = None
    ) -> None: ...
    async def put_many(
        self, objects: Iterable[_Put_contra], timeout: float | None = None
    ) -> None: ...
    def batch(self) -> AbstractAsyncContextManager[Self]: ...
    async def flush(self, timeout: float | None = None) -> None: ...

class _Pair(_Block, tuple[_A, _B]): ...

class Duplex(
    _Block,
    _DuplexSettings,
    tuple[Reader[_Got], Writer[_Put]],
    Generic[_Got, _Put],
):
    _reader: Reader[_Got]
    _writer: Writer[_Put]
    @property
    def reader(self) -> Reader[_Got]: ...
    @property
    def writer(self) -> Writer[_Put]: ...
    def __iter__(self) -> Never: ...
    @property
    def _closed(self) -> bool: ...
    async def get(self, timeout: float | None = None) -> _Got: ...
    async def get_into(
        self, buffer: Buffer, timeout: float | None = None
    ) -> int: ...
    def messages(self) -> Reader[_Got]: ...
    def __aiter__(self) -> Reader[_Got]: ...
    async def put(self, o: _Put, timeout: float | None = None) -> None: ...
    async def put_many(
        self, objects: Iterable[_Put], timeout: float | None = None
    ) -> None: ...
    def batch(self) -> AbstractAsyncContextManager[Writer[_Put]]: ...
    async def flush(self, timeout: float | None = None) -> None: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    async def aclose(self, timeout: float | None = None) -> None: ...

_Pipe: TypeAlias = _Pair[Reader[_Got], Writer[_Put]]
_Duplex: TypeAlias = _Pair[Duplex[_Got, _Put], Duplex[_Got, _Put]]

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
) -> _Pair[Any, Any]: ...

# Of a function or of a program.
class Process:
    pid: int
    ident: int
    name: str
    daemon: bool
    stdin: IO[Any] | None
    stdout: IO[Any] | None
    stderr: IO[Any] | None
    @property
    def exitcode(self) -> int | None: ...
    @property
    def returncode(self) -> int | None: ...
    @property
    def exit_info(self) -> ExitInfo | None: ...
    @property
    def sentinel(self) -> int: ...
    async def join(self, timeout: float | None = None) -> None: ...
    async def wait(self, timeout: float | None = None) -> int: ...
    async def stop(self, grace: float | None = 5.0) -> None: ...
    async def stop_group(self, grace: float | None = 5.0) -> None: ...
    async def communicate(
        self, input: Any = None, timeout: float | None = None
    ) -> tuple[Any, Any]: ...
    # Streams of asyncio or of trio.
    async def open_streams(self) -> tuple[Any, Any, Any]: ...
    def is_alive(self) -> bool: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def send_signal(self, number: _Signal) -> None: ...
    def signal_group(self, number: _Signal) -> None: ...
    def close(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

def start_process(
    target: Callable[..., object],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] = {},
    daemon: bool | None = None,
    name: str | None = None,
    method: Literal["fork", "spawn"] = "fork",
    **options: Unpack[_FunctionOptions],
) -> Process: ...
def exec_process(
    argv: Sequence[_Text],
    handles: Mapping[
        str, _GIPCHandle | _GIPCDuplexHandle[Any, Any] | Duplex[Any, Any]
    ] = {},
    env: Mapping[str, str] | None = None,
    cwd: _Text | None = None,
    stdin: _File = None,
    stdout: _File = None,
    stderr: _File = None,
    name: str | None = None,
    daemon: bool = False,
    **options: Unpack[_ProgramOptions],
) -> Process: ...

_Member = TypeVar("_Member")

async def wait(
    objects: Iterable[_Member], timeout: float | None = None
) -> list[_Member]: ...

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
) -> Duplex[Any, Any]: ...

# None: not known.
def withdrawn(error: BaseException) -> bool | None: ...
