"""Which distributions the files of this package are from, as pip has noted it.

Upstream gipc, and this package under its name or as `libgipc`, write to the same
folder: of two in one environment, the later one replaces files of the other.
"""

from __future__ import annotations

import os
import re
import sys
import warnings

_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_ADVICE = "pip uninstall -y gipc libgipc, and install one of them again"


def distributions() -> list[str]:
    """The distributions beside this package that may have written to it, as
    ["gipc 1.8.0", "libgipc 0.2.0"].  importlib.metadata would take longer to
    import than the rest of the package."""
    try:
        names = os.listdir(_FOLDER)
    except OSError:  # not in a folder
        return []
    found = (re.match(r"((?:lib)?gipc)-([^-]+).*\.(?:dist|egg)-info$", name)
             for name in names if "gipc-" in name)
    return sorted(" ".join(match.groups()) for match in found if match)


def warn_if_two() -> None:
    """Called first of all by the package itself."""
    both = distributions()
    if len(both) > 1:
        warnings.warn(
            "%s are both installed, and write to the same folder, %s: %s"
            % (" and ".join(both), os.path.join(_FOLDER, "gipc"), _ADVICE),
            RuntimeWarning, stacklevel=3)


def require_own_package() -> None:
    """For a module of this package that stayed when another distribution replaced
    __init__.py, which cannot say so."""
    if not hasattr(sys.modules[__name__.rpartition(".")[0]], "_warn_if_two"):
        raise ImportError(
            "the package gipc is that of another distribution, installed over "
            "this one (%s): %s" % (" and ".join(distributions()), _ADVICE))
