#!/usr/bin/env bash
# LuaRocks installs the packed rock, and what it depends on, from a folder in the place
# of its server into a tree of its own, and the first program of the README runs there.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
quietly() { "$@" >"$tmp/log" 2>&1 || { tail -n 40 "$tmp/log" && fail "^ $*"; }; }
unset LUA_PATH LUA_CPATH
export HOME=$tmp

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
quietly luarocks-admin make-manifest --lua-version 5.4 "$tmp/server"

cd "$tmp"
# Without the optimizer, as this tests what is there.
export CXXFLAGS=-O0
quietly luarocks --lua-version 5.4 --tree "$tmp/tree" --only-server "$tmp/server" \
  install gipc
eval "$(luarocks --lua-version 5.4 --tree "$tmp/tree" path)"
# Nothing of this system is found: only what the tree has.
LUA_PATH=$(tr ';' '\n' <<<"$LUA_PATH" | grep "^$tmp" | paste -sd';')
LUA_CPATH=$(tr ';' '\n' <<<"$LUA_CPATH" | grep "^$tmp" | paste -sd';')
"$top/tests/dist/first_program" lua "$top/bindings/lua/README.md" >first.lua
lua5.4 first.lua >printed
diff printed - <<<"$(sed -nE 's/.*--> ([^ ]*).*/\1/p' first.lua)" || fail "^ of the README"
# Without its codec it does not: the rock must say that it needs it.
quietly env -u LUA_PATH -u LUA_CPATH luarocks --lua-version 5.4 --tree "$tmp/tree" \
  remove --force lua-messagepack
! lua5.4 first.lua >log 2>&1 || fail "the program does not need what the rock depends on"
grep -q MessagePack log || { cat log && fail "it failed of something else"; }
