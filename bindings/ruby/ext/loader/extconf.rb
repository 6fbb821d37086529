# frozen_string_literal: true

# Compiles gipc/loader, which loads what ext/gipc compiles.
require "mkmf"

have_library("dl", "dlopen", "dlfcn.h")
create_makefile("gipc/loader")
