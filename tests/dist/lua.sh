#!/usr/bin/env bash
# LuaRocks installs the packed rock, and what it depends on, from a folder in the place
# of its server into a tree of its own, and the programs of the README run there: with
# Lua 5.4, and 5.5 where that is.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
quietly() { "$@" >"$tmp/log" 2>&1 || { tail -n 40 "$tmp/log" && fail "^ $*"; }; }
unset LUA_PATH LUA_CPATH
export HOME=$tmp
# Without the optimizer, as this tests what is there.
export CXXFLAGS=-O0

luarocks lint "$DIST/"gipc-*.rockspec
# The server has the rock and, as a rock, the module of MessagePack of this system.
mkdir "$tmp/server" "$tmp/messagepack"
cp "$DIST/"gipc-*.src.rock "$tmp/server"
cd "$tmp/messagepack"
cp /usr/share/lua/5.3/MessagePack.lua .
cat >lua-messagepack-0.5.2-1.rockspec <<'END'
package = "lua-messagepack"
version = "0.5.2-1"
source = { url = "MessagePack.lua" }
build = { type = "builtin", modules = { MessagePack = "MessagePack.lua" } }
END
zip -q "$tmp/server/lua-messagepack-0.5.2-1.src.rock" ./*
cd "$tmp"

a_rock_works() { # VERSION
  local version=$1 tree=$tmp/tree-$1 number=1
  quietly luarocks-admin make-manifest --lua-version "$version" "$tmp/server"
  quietly luarocks --lua-version "$version" --tree "$tree" --only-server "$tmp/server" \
    install gipc
  eval "$(luarocks --lua-version "$version" --tree "$tree" path)"
  # Nothing of this system is found: only what the tree has.
  LUA_PATH=$(tr ';' '\n' <<<"$LUA_PATH" | grep "^$tree" | paste -sd';')
  LUA_CPATH=$(tr ';' '\n' <<<"$LUA_CPATH" | grep "^$tree" | paste -sd';')
  "$top/tests/dist/first_program" lua "$top/bindings/lua/README.md" >first.lua
  cp first.lua program.lua
  while [ -s program.lua ]; do
    "lua$version" program.lua >printed
    diff printed - <<<"$(sed -nE 's/.*--> ([^ ]*).*/\1/p' program.lua)" ||
      fail "^ of program $number of the README, Lua $version"
    number=$((number + 1))
    "$top/tests/dist/first_program" lua "$top/bindings/lua/README.md" $number >program.lua
  done
  [ $number -gt 4 ] || fail "the README has fewer than 4 programs"
  echo "Lua $version: $((number - 1)) programs"
  # Without its codec it does not: the rock must say that it needs it.
  quietly env -u LUA_PATH -u LUA_CPATH luarocks --lua-version "$version" --tree "$tree" \
    remove --force lua-messagepack
  ! "lua$version" first.lua >log 2>&1 || fail "the program does not need what the rock depends on"
  grep -q MessagePack log || { cat log && fail "it failed of something else"; }
  unset LUA_PATH LUA_CPATH
}

a_rock_works 5.4
if command -v lua5.5 >/dev/null; then
  a_rock_works 5.5
else
  echo "Lua 5.5: it is not here"
fi
