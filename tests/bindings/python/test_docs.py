"""What the documentation shows is so: docstrings, README, example programs."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gipc
import support

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "bindings/python/README.md").read_text()
EXAMPLES = sorted((ROOT / "tests/examples/python").glob("*.py"))
MODULES = ["gipc"] + [f"gipc.{m.name}" for m in pkgutil.iter_modules(
    gipc.__path__) if m.name != "_native"]

# A program, and what it prints where that is shown.
PROGRAMS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", README,
                      re.DOTALL)


def run(program, *arguments):
    """What a program prints; it must end well and complain of nothing."""
    for package in re.findall(r"^(?:import|from) (\w+)", program, re.MULTILINE):
        pytest.importorskip(package)
    done = subprocess.run([sys.executable, *arguments], text=True, timeout=50,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_docstrings(name):
    if name == "gipc._template" and support.PORTABLE:
        pytest.skip("the portable half has no templates")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        assert not missing.name.startswith("gipc")
        pytest.skip(str(missing))
    # What a reader has imported before.
    names = {n: getattr(gipc, n) for n in gipc.__all__ if n not in vars(module)}
    failed, _ = doctest.testmod(module, extraglobs=names)
    assert not failed


@pytest.mark.parametrize("text, printed", PROGRAMS, ids=[
    text.splitlines()[0] for text, _ in PROGRAMS])
def test_the_programs_of_the_readme(text, printed, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(text)
    assert run(text, program) == printed


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda p: p.name)
def test_the_example_programs(program):
    if support.PORTABLE and program.stem == "listener":
        pytest.skip("messages have descriptors on Linux only")
    if program.stem == "tree" and support.PORTABLE:
        pytest.skip("the portable half does not find all of a tree")
    expected = program.with_suffix(".expected").read_text()
    assert run(program.read_text(), program) == expected
