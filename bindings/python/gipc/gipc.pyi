from . import (
    GIPCClosed as GIPCClosed,
    GIPCError as GIPCError,
    GIPCLocked as GIPCLocked,
    _GIPCDuplexHandle as _GIPCDuplexHandle,
    _GIPCHandle as _GIPCHandle,
    _GIPCReader as _GIPCReader,
    _GIPCWriter as _GIPCWriter,
    _GProcess as _GProcess,
    _PairContext as _PairContext,
    pipe as pipe,
    start_process as start_process,
)
