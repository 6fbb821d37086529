"""The names that upstream gipc has in its module of this name."""

from ._codec import default_decoder as _default_decoder
from ._codec import default_encoder as _default_encoder
from ._handle import _GIPCHandle as _GIPCHandle
from ._handle import get_all_handles as _get_all_handles
from ._pair import _PairContext as _PairContext
from ._pipe import _GIPCDuplexHandle as _GIPCDuplexHandle
from ._pipe import pipe as pipe
from ._process import _GProcess as _GProcess
from ._process import start_process as start_process
from ._reader import _GIPCReader as _GIPCReader
from ._writer import _GIPCWriter as _GIPCWriter
from .errors import GIPCClosed as GIPCClosed
from .errors import GIPCError as GIPCError
from .errors import GIPCLocked as GIPCLocked
