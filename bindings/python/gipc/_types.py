"""The types in the signatures of the package."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import (
    Any,
    Callable,
    Literal,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

# What a handle gets and puts follows from its codecs: bytes with None, what a
# function takes or returns, and Any with a codec that is named.
Got = TypeVar("Got")
Put = TypeVar("Put")
Got_co = TypeVar("Got_co", covariant=True)
Put_contra = TypeVar("Put_contra", contravariant=True)
First = TypeVar("First")
Second = TypeVar("Second")
Member = TypeVar("Member")

BytesLike = Union[bytes, bytearray, memoryview]
CodecName = Literal["default", "pickle", "json", "msgpack"]
Encoder = Union[Callable[[Any], bytes], CodecName, None]
Decoder = Union[Callable[[bytes], Any], CodecName, None]
Transport = Literal["auto", "plain", "ring"]
TransportInUse = Literal["plain", "ring"]
# As handles keep it: None for raw bytes.
Codec = Optional[Callable[[Any], Any]]


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class GeventTimeout(Protocol):
    """A gevent.Timeout; gevent need not be installed."""

    def start(self) -> object: ...

    def cancel(self) -> object: ...


Timeout = Union[float, GeventTimeout, None]
Deadline = Optional[float]

Descriptor = Union[int, HasFileno]
File = Union[Descriptor, None]
Text = Union[str, bytes, "os.PathLike[str]"]
Signal = Union[int, str]  # 15, signal.SIGTERM, "TERM"


class Options(TypedDict, total=False):
    """The options of a start that are not in its signature."""

    death_signal: Signal | None
    text: bool | None
    encoding: str | None
    errors: str | None
    map_fds: Mapping[int, Descriptor] | None
    keep_fds: Iterable[Descriptor] | Literal["all"] | None
    group: Literal["inherit", "new", "session", "tree"] | None
    terminal: Descriptor | None
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
    block_signals: Iterable[Signal] | None


class FunctionOptions(Options, total=False):
    """Those of start_process."""

    env: Mapping[str, str] | None
    cwd: Text | None
    stdin: File
    stdout: File
    stderr: File


class ProgramOptions(Options, total=False):
    """Those of exec_process."""

    program: Text | None


class LaunchOptions(Options, total=False):
    """Those of launch."""

    env: Mapping[str, str] | None
    cwd: Text | None
    stderr: File
    name: str | None
    daemon: bool | None
    program: Text | None


class KeptOptions(Options, total=False):
    """Those of a worker and of a service: rules, and options of its start."""

    ready_within: float | None
    silence: float | None
    dump: float | None
    grace: float | None
    first_delay: float | None
    longest_delay: float | None
    growth: float | None
    jitter: float | None
    healthy: float | None
    window: float | None
    limit: int | None
    seed: int | None
    env: Mapping[str, str] | None
    cwd: Text | None
    stdin: File
    stdout: File
    stderr: File
    daemon: bool | None


class ServiceOptions(KeptOptions, total=False):
    """Those of a Service."""

    program: Text | None


class PoolOptions(KeptOptions, total=False):
    """Those of a Pool."""

    least: int | None
    queue_limit: int | None
    queue_low: int | None
    retire_tasks: int | None
    retire_memory: int | None
    idle: float | None
    ahead: int | None
    poison: int | None
    prepare_failures: int | None
    program: Text | None
