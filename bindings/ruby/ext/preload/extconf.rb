# frozen_string_literal: true

# Compiles gipc/preload, which the interpreter of a template starts with.
require "mkmf"

have_library("dl", "dlsym", "dlfcn.h")
create_makefile("gipc/preload")
