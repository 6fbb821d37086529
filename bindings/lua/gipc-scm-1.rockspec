-- luarocks make bindings/lua/gipc-scm-1.rockspec, in a clone: with an installed
-- libgipc, or else with the one that the clone has.
rockspec_format = "3.0"
package = "gipc"
version = "scm-1"
source = {
  url = "git+file://.",
}
description = {
  summary = "Child processes and message pipes, in coroutines",
  detailed = [[
    Framed messages between processes, and children that start clean, on a
    scheduler of its own or on luv, cqueues or copas.  The other end may be C,
    Python or Ruby.]],
  license = "MIT",
}
supported_platforms = { "unix" }
dependencies = {
  "lua >= 5.1, < 5.6",
  "lua-messagepack >= 0.5.1", -- the default codec
}
external_dependencies = {
  EV = { header = "ev.h" },
}
-- In a folder of its own, and alike in both steps, so that nothing is built anew.
build = {
  type = "make",
  build_target = "rock",
  install_target = "install-rock",
  build_variables = {
    B = "build/rock",
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
  },
  install_variables = {
    B = "build/rock",
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    luadir = "$(LUADIR)",
    luacdir = "$(LIBDIR)",
  },
}
