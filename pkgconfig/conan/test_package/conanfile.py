"""Compiles the program that tests/install uses for pkg-config, and runs it."""

import os

from conan import ConanFile
from conan.tools.gnu import AutotoolsDeps


class Consumer(ConanFile):
    settings = "os", "arch", "compiler", "build_type"

    def layout(self):
        # Not among the sources.
        self.folders.build = self.folders.generators = "../../../build/conan"

    def requirements(self):
        self.requires(self.tested_reference_str, run=True)

    def generate(self):
        AutotoolsDeps(self).generate()

    def build(self):
        source = os.path.join(self.recipe_folder, "../../../tests/install/consumer.c")
        self.run(f"cc {source} -o consumer $CPPFLAGS $CFLAGS $LDFLAGS $LIBS")

    def test(self):
        version = self.dependencies["libgipc"].ref.version
        self.run(f"./consumer {version}", env=["conanbuild", "conanrun"])
