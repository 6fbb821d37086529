"""The types: those of the package, of the extension, and of programs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import gipc
import pytest

HERE = Path(__file__).parent
PACKAGE = Path(gipc.__file__).parent
PROGRAM = HERE / "typed_program.py"

# gevent and msgpack may be without types.
MYPY = """[mypy]
strict = True
[mypy-gevent.*,greenlet.*,msgpack.*]
ignore_missing_imports = True
"""
PYRIGHT = {
    "typeCheckingMode": "standard",
    "pythonVersion": "3.9",
    "failOnWarnings": False,
}
# That the types have no subclasses, and are made by SWIG; before Python 3.12 buffers
# have no method.
ALLOWED = r"gipc\._native\.[A-Z]\w+(\.(__init__|__buffer__))?"


def check(folder, *command):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


def mypy(tmp_path, *arguments):
    pytest.importorskip("mypy")
    (tmp_path / "mypy.ini").write_text(MYPY)
    check(tmp_path, "mypy", "--config-file", "mypy.ini", *arguments)


def pyright(tmp_path, path):
    pytest.importorskip("basedpyright")
    (tmp_path / "checked").symlink_to(path.parent)
    config = {**PYRIGHT, "include": ["checked/" + path.name]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    check(tmp_path, "basedpyright", "--pythonpath", sys.executable)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_type_checkers_accept_the_package(tmp_path, checker):
    # mypy takes the folder of a package for sources, which site-packages is not.
    copy = shutil.copytree(PACKAGE, tmp_path / "sources/gipc")
    checker(tmp_path, copy)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_type_checkers_understand_a_program(tmp_path, checker):
    if checker is mypy and sys.version_info < (3, 10):
        pytest.skip("mypy 2, which knows the types in a tuple's subclass, "
                    "is not for Python 3.9")
    checker(tmp_path, PROGRAM)


@pytest.mark.timeout(200)
def test_the_stub_of_the_extension_describes_it(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "allowed").write_text(ALLOWED)
    check(tmp_path, "mypy.stubtest", "gipc._native", "--concise",
          "--allowlist", "allowed", "--ignore-unused-allowlist",
          # The package does not use all of it.
          "--ignore-missing-stub")
