"""The stubs: they say what is there, and type checkers understand them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gipc

pytest.importorskip("mypy")

HERE = Path(__file__).parent
PACKAGE = Path(gipc.__file__).parent

# What an object passes on to another, which no class shows; and what is not for
# users: the constructors, and how waits work.
ALLOWED = r"""
gipc\.(_GIPCDuplexHandle|aio\.Duplex)\.(batch|fileno|flush|get|get_into|put|put_many|set_limit|set_read_limit)
gipc\.aio\.Process\.(close|exit_info|exitcode|is_alive|kill|returncode|send_signal|sentinel|signal_group|terminate)
gipc\..*\.(__new__|__init__)
gipc\._GIPCHandle\.(fd|rest_has_left)
gipc\._pipe\._PairContext
gipc\._(asyncio|gevent|trio)\.\w+\.current
"""


def check(tmp_path, *command):
    (tmp_path / "allowed").write_text(ALLOWED)
    # The package itself is without annotations.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\n[mypy-gipc.*]\nignore_errors = True\n")
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(
    sys.version_info < (3, 10),
    reason="needs mypy 2, which is not for Python 3.9",
)
@pytest.mark.timeout(200)
def test_the_stubs_say_what_is_there(tmp_path):
    check(tmp_path, "mypy.stubtest", "gipc", "--concise",
          "--mypy-config-file", "mypy.ini", "--allowlist", "allowed",
          # What is allowed for one version of mypy may not be needed by another.
          "--ignore-unused-allowlist")


@pytest.mark.timeout(200)
def test_a_strictly_typed_program_is_understood(tmp_path):
    check(tmp_path, "mypy", "--strict", HERE / "typed_program.py")


@pytest.mark.timeout(200)
def test_the_stubs_are_strictly_typed_themselves(tmp_path):
    stubs = tmp_path / "gipc"
    stubs.mkdir()
    for stub in PACKAGE.glob("*.pyi"):
        shutil.copy(stub, stubs)
    check(tmp_path, "mypy", "--strict", "--config-file=", stubs)
