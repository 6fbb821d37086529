"""The recipe of libgipc for Conan 2: `conan create pkgconfig/conan`.

It takes libev from the system, as its users do.
"""

import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import build_jobs
from conan.tools.files import copy, load, rm, rmdir
from conan.tools.gnu import AutotoolsToolchain
from conan.tools.system.package_manager import Apk, Apt, Dnf, PacMan


class Libgipc(ConanFile):
    name = "libgipc"
    description = "Child processes and framed message pipes for event-driven programs"
    license = "MIT"
    topics = ("ipc", "fork", "pipe", "libev")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": False}

    @property
    def _top(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        # The header is the one place that says which version this is.
        header = load(self, os.path.join(self._top, "include", "gipc.h"))
        self.version = ".".join(
            re.search(rf"GIPC_VERSION_{part} (\d+)", header)[1]
            for part in ("MAJOR", "MINOR", "PATCH"))

    def export_sources(self):
        for pattern in ("Makefile", "LICENSE", "include/*", "src/*", "man/*", "bindings/*/build.mk",
                        "pkgconfig/*.mk", "pkgconfig/gipc.pc.in", "pkgconfig/cmake/*.in",
                        "tests/build.mk", "tests/*/build.mk"):
            copy(self, pattern, self._top, self.export_sources_folder)

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("this recipe is for Linux")

    def system_requirements(self):
        Apt(self).install(["libev-dev"])
        Dnf(self).install(["libev-devel"])
        Apk(self).install(["libev-dev"])
        PacMan(self).install(["libev"])

    def generate(self):
        AutotoolsToolchain(self).generate()

    def _make(self, target):
        self.run(f"make -j{build_jobs(self)} {target} prefix=/ libdir=/lib "
                 f"DESTDIR='{self.package_folder or ''}'")

    def build(self):
        self._make("all")

    def package(self):
        self._make("install")
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        unwanted = "*.a" if self.options.shared else "*.so*"
        rm(self, unwanted, os.path.join(self.package_folder, "lib"))
        # Conan writes these itself, for the folder of each user.
        for folder in ("pkgconfig", "cmake"):
            rmdir(self, os.path.join(self.package_folder, "lib", folder))

    def package_info(self):
        self.cpp_info.set_property("pkg_config_name", "gipc")
        self.cpp_info.set_property("cmake_file_name", "gipc")
        self.cpp_info.set_property("cmake_target_name", "gipc::gipc")
        self.cpp_info.libs = ["gipc"]
        self.cpp_info.system_libs = ["ev", "m", "pthread", "dl"]
        if not self.options.shared:
            self.cpp_info.system_libs.insert(0, "stdc++")
