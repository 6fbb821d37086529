"""The names that upstream gipc has in its module of this name."""

from ._codec import default_decoder as _default_decoder
from ._codec import default_encoder as _default_encoder
from ._handle import _GIPCHandle
from ._handle import get_all_handles as _get_all_handles
from ._pipe import _GIPCDuplexHandle, _PairContext, pipe
from ._process import _GProcess, start_process
from ._reader import _GIPCReader
from ._writer import _GIPCWriter
from .errors import GIPCClosed, GIPCError, GIPCLocked
