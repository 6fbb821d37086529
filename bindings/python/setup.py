"""Compiles the extension gipc._native, with the C++ core of libgipc inside it.

GIPC_SYSTEM=1 links it with the installed libgipc that pkg-config finds, or what
PKG_CONFIG names, such as "pkg-config --static".
GIPC_OS=posix compiles the core for any POSIX system instead of for Linux.
CC, CXX, CFLAGS, CPPFLAGS and LDFLAGS work as everywhere.
"""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.errors import CompileError

HERE = Path(__file__).resolve().parent
# A source distribution carries its part of the repository in core/.
ROOT = next((d for d in (HERE / "core", HERE.parents[1])
             if (d / "include/gipc.h").exists()), None)
if ROOT is None:
    sys.exit("gipc: the sources of libgipc are not there: install from the "
             "repository (pip install ./bindings/python) or from a source "
             "distribution")

INTERFACE = ROOT / "bindings/python/native.i"
CORE = sorted({*ROOT.glob("include/*.h"), *ROOT.glob("src/*.h"),
               *ROOT.glob("src/*.cc"), *ROOT.glob("bindings/*.i"),
               ROOT / "bindings/steps.h", *INTERFACE.parent.glob("*.i")})

INSTALL = """\
gipc: it cannot be compiled here: {missing}.  What it needs:
  Debian, Ubuntu   apt install g++ libev-dev python3-dev
  Fedora           dnf install gcc-c++ libev-devel python3-devel
  Alpine           apk add g++ libev-dev python3-dev
  Arch             pacman -S gcc libev"""


def library_version():
    """The header is the one place that says which version this is."""
    header = (ROOT / "include/gipc.h").read_text()
    return ".".join(
        re.search(rf"GIPC_VERSION_{part} (\d+)", header)[1]
        for part in ("MAJOR", "MINOR", "PATCH"))


def version():
    """That of upstream gipc which the package stands in for, so that it satisfies
    what requires that one; and, as a local version, the library's.  The same as
    `libgipc`, for an index, which takes no local version: the library's alone."""
    about = (HERE / "pyproject.toml").read_text()
    if re.search('^name = "libgipc"$', about, re.MULTILINE):
        return library_version()
    package = (HERE / "gipc/__init__.py").read_text()
    upstream = re.search(r'^_UPSTREAM = "(.*)"$', package, re.MULTILINE)[1]
    return f"{upstream}+libgipc.{library_version()}"


def core_sources():
    kernel = os.environ.get("GIPC_OS") or (
        "linux" if sys.platform == "linux" else "posix")
    return [f for f in CORE if f.suffix == ".cc"
            and (not f.stem.startswith("os_")
                 or f.stem.startswith(("os_common", "os_" + kernel)))]


def installed_library():
    """The options for the compiler and for the linker."""
    try:
        return [subprocess.run([*os.environ.get("PKG_CONFIG", "pkg-config").split(),
                                option, f"gipc >= {library_version()}"],
                               stdout=subprocess.PIPE, text=True,
                               check=True).stdout.split()
                for option in ("--cflags", "--libs")]
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"gipc: GIPC_SYSTEM is set, but pkg-config finds no libgipc "
                 f"{library_version()} or later ({error}); unset GIPC_SYSTEM to "
                 f"compile it in, or set PKG_CONFIG_PATH")


class BuildExtension(build_ext):
    """One extension of two languages, which setuptools cannot describe."""

    def get_source_files(self):
        return []

    def build_extension(self, extension):
        system = os.environ.get("GIPC_SYSTEM", "0") not in ("", "0")
        self.include = [str(ROOT / "include"), *self.include_dirs]
        self.require("Python.h", "no Python.h")
        if system:
            cflags, libs = installed_library()
            self.include = self.include_dirs
            objects = self.compile([self.wrapper()], cflags)
        else:
            self.require("memory", "no C++ compiler")
            self.require("ev.h", "no header of libev (ev.h)")
            hidden = ["-fvisibility=hidden", "-DGIPC_API="]
            libs = ["-Wl,--as-needed", "-lev", "-lpthread", "-ldl"]
            objects = self.compile([self.wrapper()], hidden)
            objects += self.compile(
                core_sources(), [*hidden, "-std=c++17", "-fno-rtti",
                                 "-fvisibility-inlines-hidden",
                                 "-D_FILE_OFFSET_BITS=64"])
        self.compiler.link_shared_object(
            objects, self.get_ext_fullpath(extension.name),
            extra_postargs=[self.exports(), *libs], target_lang="c++")

    def compile(self, sources, flags):
        # The folder has another name each time; what is built is to be the same.
        flags = [*flags, f"-ffile-prefix-map={self.build_temp}=gipc"]

        def compile_one(source):
            return self.compiler.compile(
                [str(source)], output_dir=self.build_temp,
                include_dirs=self.include, extra_postargs=flags)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return sum(pool.map(compile_one, sources), [])

    def require(self, header, missing):
        probe = Path(self.build_temp, "probe.cc")
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_text(f"#include <{header}>\n")
        try:
            self.compile([probe], [])
        except CompileError:
            sys.exit(INSTALL.format(missing=missing))

    def wrapper(self):
        swig = self.swig or shutil.which("swig")
        if not swig:
            sys.exit("gipc: swig is not there: pip install swig")
        wrapper = Path(self.build_temp, "native_wrap.c")
        self.spawn([swig, "-python", "-builtin", "-O",
                    f"-I{ROOT / 'include'}", f"-I{ROOT / 'bindings'}",
                    "-outdir", self.build_temp, "-o", str(wrapper), str(INTERFACE)])
        return wrapper

    def exports(self):
        """-fvisibility=hidden leaves weak symbols of the C++ library."""
        script = Path(self.build_temp, "exports.map")
        script.write_text("{ global: PyInit__native; local: *; };\n")
        return f"-Wl,--version-script={script}"


class SourceDistribution(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for source in CORE:
            target = Path(base_dir, "core", source.relative_to(ROOT))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


# Not beside the sources, which stay as they are; and what an earlier build left
# must not get into a wheel.
scratch = tempfile.mkdtemp(prefix="gipc-build-")
atexit.register(shutil.rmtree, scratch, ignore_errors=True)

setup(
    version=version(),
    ext_modules=[Extension("gipc._native", [])],
    cmdclass={"build_ext": BuildExtension, "sdist": SourceDistribution},
    options={"build": {"build_base": scratch},
             "egg_info": {"egg_base": scratch}},
)
