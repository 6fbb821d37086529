"""The modules of the Python package import each other without a circle, also
inside functions."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "bindings/python/gipc"
FILES = {path.stem: path for path in PACKAGE.glob("*.py")}


def imported(path):
    """The modules of the package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if not node.level:  # an absolute import
                package, _, module = module.partition(".")
                if package != PACKAGE.name:
                    continue
            names = [module] if module else [a.name for a in node.names]
        elif isinstance(node, ast.Import):
            paths = [a.name.split(".") for a in node.names]
            names = [".".join(p[1:]) for p in paths if p[0] == PACKAGE.name]
        else:
            continue
        for name in names:
            # A name that is not a module is one of the package itself.
            yield name if name in FILES or name == "_native" else "__init__"


graph = {name: set(imported(path)) for name, path in FILES.items()}
try:
    TopologicalSorter(graph).prepare()
except CycleError as error:
    sys.exit("a circle of imports: " + " <- ".join(error.args[1]))
