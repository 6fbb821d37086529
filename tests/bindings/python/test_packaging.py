"""What pip makes of the package: from the repository, a tarball, a wheel."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(1800)  # for a hang: it is compiled

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "bindings/python"
SAMPLE = """
import gipc
with gipc.pipe() as (reader, writer):
    writer.put("installed")
    print(reader.get(), gipc.__version__, gipc.__file__)
"""

pip_installed = pytest.mark.skipif(
    sys.prefix == sys.base_prefix,
    reason="the virtual environment's run tests the packaging")


def package_version():
    """Upstream gipc's, with the library's as a local version."""
    header = (ROOT / "include/gipc.h").read_text()
    return "1.8.0+libgipc." + ".".join(
        re.findall(r"define GIPC_VERSION_M?P?\w+ (\d+)", header))


def run(*command, cwd="/", check=True, **env):
    """Its output; with check=False, of a command that is to fail."""
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, text=True,
        env={**os.environ, **env}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    assert (done.returncode == 0) == check, done.stdout
    return done.stdout


def files(tree):
    return {path.relative_to(tree): path.read_bytes()
            for path in tree.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clean copy of what the package is built from."""
    tree = tmp_path_factory.mktemp("tree")
    junk = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "*.so")
    for name in ("include", "src", "bindings", "pkgconfig"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=junk)
    shutil.copyfile(ROOT / "LICENSE", tree / "LICENSE")
    return tree


@pytest.fixture(scope="module")
def clean(tree):
    return files(tree)


@pytest.fixture(scope="module")
def tarball(tree, clean, tmp_path_factory):
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--outdir", out,
        tree / "bindings/python")
    return next(out.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(tarball, tmp_path_factory):
    """Made from the tarball, where the swig of the system is of no use, and
    without optimization, which takes its time."""
    out = tmp_path_factory.mktemp("wheel")
    broken = tmp_path_factory.mktemp("bin") / "swig"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", out,
        tarball, PATH=f"{broken.parent}:{os.environ['PATH']}",
        CFLAGS="-O0 -g0")
    return next(out.glob("*.whl"))


def test_the_package_says_its_version():
    import gipc
    assert gipc.__version__ == package_version()


@pip_installed
def test_what_pip_knows_of_the_package():
    about = metadata.metadata("gipc")
    assert about["Version"] == package_version()
    assert about["Requires-Python"] == ">=3.9"
    assert "Typing :: Typed" in about.get_all("Classifier")
    assert {"gevent", "msgpack", "trio", "test"} <= set(
        about.get_all("Provides-Extra"))
    # gevent is used where it is in use; nothing is required.
    assert all("extra ==" in r for r in metadata.requires("gipc"))


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.glob("gipc/*.py*")), ids=lambda f: f.name)
def test_the_oldest_python_can_read_it(file):
    ast.parse(file.read_text(), str(file), feature_version=(3, 9))


@pip_installed
def test_the_tarball_carries_all_it_is_built_from(tarball, tree):
    with tarfile.open(tarball) as archive:
        top, names = tarball.name[:-len(".tar.gz")], set()
        for member in archive.getmembers():
            assert member.isfile() or member.isdir()  # no link to nowhere
            if member.isfile():
                names.add(os.path.relpath(member.name, top))
    core = {f"core/{path.relative_to(tree)}"
            for path in [*tree.glob("src/*.cc"), *tree.glob("src/*.h"),
                         *tree.glob("include/*"), *tree.glob("bindings/*.i"),
                         tree / "bindings/steps.h",
                         *tree.glob("bindings/python/*.i")]}
    package = {f"gipc/{path.name}"
               for path in (tree / "bindings/python/gipc").iterdir()}
    own = {"LICENSE", "README.md", "pyproject.toml", "setup.py"}
    made = {"PKG-INFO", "setup.cfg"}
    assert names == core | package | own | made


@pip_installed
def test_building_leaves_the_tree_as_it_was(tarball, tree, clean):
    assert files(tree) == clean


@pip_installed
def test_a_wheel_from_the_tarball_works_in_a_bare_environment(wheel, tmp_path):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "gipc/py.typed" in names and "gipc/_native.pyi" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    run(sys.executable, "-m", "venv", tmp_path / "bare")
    python = tmp_path / "bare/bin/python"
    run(python, "-m", "pip", "install", "--no-index", wheel)
    # What programs for upstream gipc require is there.
    run(python, "-m", "pip", "install", "--no-index", "gipc>=1.1,<2",
        "gipc==1.8.0")
    assert run(python, "-c", SAMPLE).split() == [
        "installed", package_version(),
        str(next(tmp_path.glob("bare/lib/python*/site-packages/gipc"))
            / "__init__.py")]
    module = next(tmp_path.glob("bare/lib/python*/site-packages/gipc/_native*.so"))
    assert "libgipc" not in run("ldd", module)
    exported = run("nm", "-D", "--defined-only", module).splitlines()
    assert [line.split()[-1] for line in exported] == ["PyInit__native"]


# ---- Beside upstream gipc ----------------------------------------------------

UPSTREAM = {"gipc/__init__.py": "from .gipc import pipe\n",
            "gipc/gipc.py": "def pipe(): pass\n"}


def make_wheel(folder, name, version, contents, requires=""):
    """A wheel of Python files alone."""
    about = f"{name}-{version}.dist-info"
    contents = dict(contents)
    contents[f"{about}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
    contents[f"{about}/WHEEL"] = (
        "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in contents.items():
            archive.writestr(file, text)
        archive.writestr(f"{about}/RECORD", "".join(
            f"{file},,\n" for file in [*contents, f"{about}/RECORD"]))
    return path


def library_wheel(wheel, folder):
    """The same as the distribution that an index gets."""
    version = package_version().partition("libgipc.")[2]
    old, new = f"gipc-{package_version()}", f"libgipc-{version}"
    path = folder / wheel.name.replace(old, new)
    with zipfile.ZipFile(wheel) as theirs, zipfile.ZipFile(path, "w") as ours:
        for file in theirs.namelist():
            data = theirs.read(file)
            if ".dist-info/" in file:
                data = data.replace(old.encode(), new.encode()).replace(
                    b"\nName: gipc\nVersion: " + package_version().encode(),
                    b"\nName: libgipc\nVersion: " + version.encode())
            ours.writestr(file.replace(old, new), data)
    return path


@pytest.fixture
def bare(wheel, tmp_path):
    """A virtual environment, what its pip does without an index, and an index in
    a folder: with upstream gipc, and something that requires it."""
    index = tmp_path / "index"
    index.mkdir()
    make_wheel(index, "gipc", "1.8.0", UPSTREAM)
    make_wheel(index, "needs_gipc", "1.0", {"needs_gipc.py": ""},
               "Requires-Dist: gipc>=1.1\n")
    run(sys.executable, "-m", "venv", tmp_path / "bare")
    python = tmp_path / "bare/bin/python"

    def pip(*arguments):
        return run(python, "-m", "pip", *arguments)

    def install(*arguments):
        return pip("install", "--no-index", "--find-links", index, *arguments)
    install.python, install.pip, install.index = python, pip, index
    return install


@pip_installed
def test_what_requires_upstream_gipc_leaves_the_package_alone(bare, wheel):
    bare(wheel)
    bare("needs_gipc")
    bare("--upgrade", "--upgrade-strategy", "eager", "gipc", "needs_gipc")
    assert f"gipc {package_version()}" in " ".join(bare.pip("list").split())
    assert run(bare.python, "-c", SAMPLE).split()[:2] == [
        "installed", package_version()]


@pip_installed
def test_the_package_warns_where_upstream_gipc_is_installed_too(bare, wheel):
    bare("gipc")
    bare(library_wheel(wheel, bare.index))
    said = run(bare.python, "-c", SAMPLE)
    version = package_version().partition("libgipc.")[2]
    assert f"RuntimeWarning: gipc 1.8.0 and libgipc {version} are both" in said
    assert "pip uninstall -y gipc libgipc" in said
    assert "installed" in said.splitlines()[-1]
    # What it says to do helps.
    bare.pip("uninstall", "-y", "gipc", "libgipc")
    bare("libgipc")
    assert len(run(bare.python, "-c", SAMPLE).splitlines()) == 1


@pip_installed
def test_what_upstream_gipc_replaced_is_an_error_of_the_import(bare, wheel):
    bare(library_wheel(wheel, bare.index))
    bare("needs_gipc")
    for module in "gipc.aio", "gipc.errors":
        said = run(bare.python, "-c", f"import {module}", check=False)
        assert "ImportError: the package gipc is that of another" in said
        assert "gipc 1.8.0 and libgipc" in said
        assert "pip uninstall -y gipc libgipc" in said


@pip_installed
def test_the_distribution_for_an_index_has_no_local_version(tree, tmp_path):
    laid_out = tmp_path / "tree"
    shutil.copytree(tree, laid_out, symlinks=True)
    about = laid_out / "bindings/python/pyproject.toml"
    about.write_text(about.read_text().replace('name = "gipc"', 'name = "libgipc"'))
    run(sys.executable, "-m", "build", "--sdist", "--outdir", tmp_path,
        about.parent)
    version = package_version().partition("libgipc.")[2]
    assert (tmp_path / f"libgipc-{version}.tar.gz").exists()


@pip_installed
def test_an_installed_library_can_be_used(tree, tmp_path):
    run("make", "install", f"DESTDIR={tmp_path}/root", "prefix=/usr",
        f"OS={os.environ.get('GIPC_TEST_OS') or 'linux'}", cwd=ROOT)
    root = tmp_path / "root/usr"
    pc = root / "lib/pkgconfig/gipc.pc"
    pc.write_text(pc.read_text().replace("prefix=/usr", f"prefix={root}", 1))
    run(sys.executable, "-m", "pip", "install", "--target", tmp_path / "site",
        tree / "bindings/python", GIPC_SYSTEM="1",
        PKG_CONFIG_PATH=str(pc.parent))
    module = next(tmp_path.glob("site/gipc/_native*.so"))
    where = {"LD_LIBRARY_PATH": str(root / "lib")}
    assert str(root / "lib/libgipc.so.") in run("ldd", module, **where)
    assert "installed" in run(sys.executable, "-c", SAMPLE, **where,
                              PYTHONPATH=str(tmp_path / "site"))


def build_failure(tree, **env):
    return run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir",
               "/nonexistent", tree / "bindings/python", check=False, **env)


@pip_installed
def test_without_libev_the_error_says_what_to_install(tree, tmp_path):
    (tmp_path / "ev.h").write_text("#error it is not there\n")
    said = build_failure(tree, CPATH=str(tmp_path))
    assert "no header of libev" in said
    assert "apt install g++ libev-dev python3-dev" in said
    assert "Traceback" not in said


@pip_installed
def test_without_a_compiler_the_error_says_what_to_install(tree):
    said = build_failure(tree, CC="no-such-compiler", CXX="no-such-compiler")
    assert "no C++ compiler" in said or "no Python.h" in said
    assert "apt install g++ libev-dev python3-dev" in said


@pip_installed
def test_without_the_installed_library_the_error_says_what_to_do(tree):
    said = build_failure(tree, GIPC_SYSTEM="1", PKG_CONFIG_LIBDIR="/nonexistent")
    assert "pkg-config finds no libgipc" in said
    assert "unset GIPC_SYSTEM" in said
