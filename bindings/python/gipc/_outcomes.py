"""The outcomes of the native steps."""
from . import _native

DONE = True
WAIT = None
YIELD = False
QUEUED = LENT = _native.BEGUN
