#!/usr/bin/env bash
# The module where `make install` and `luarocks make` put it: it is found, works,
# and goes away again.  Each line is a test; the last one counts.
set -eu
top=$(cd "$(dirname "$0")/../../.." && pwd)
build=${GIPC_TEST_BUILD:-$top/build/linux}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$top"
passed=0 failed=0 skipped=0
unset LUA_PATH LUA_CPATH

program='local gipc = require "gipc"
  local r, w = gipc.pipe { codec = "raw" }
  local child = gipc.start_process(function(w) w:put "works" end, w)
  print(r:get(10)) child:join() os.exit(child:exitcode())'

# try NAME COMMAND...: the command succeeds.
try() {
  local name=$1
  shift
  if "$@" >"$tmp/log" 2>&1; then
    passed=$((passed + 1))
    echo "   $name ok"
  else
    failed=$((failed + 1))
    echo "   $name FAILED"
    cat "$tmp/log"
  fi
}

works() { # LUA SHARE LIB
  [ "$(LUA_PATH="$2/?.lua;;" LUA_CPATH="$3/?.so;;" "$1" -e "$program")" = works ]
}

install_works() { # LUA VERSION
  make -s install "LUA=$1" "PREFIX=$tmp/usr" &&
    works "$1" "$tmp/usr/share/lua/$2" "$tmp/usr/lib/lua/$2"
}

destdir_is_respected() { # LUA VERSION
  make -s install-lua "LUA=$1" PREFIX=/usr "DESTDIR=$tmp/image" &&
    [ -e "$tmp/image/usr/share/lua/$2/gipc.lua" ] &&
    [ -e "$tmp/image/usr/share/lua/$2/gipc/loop/luv.lua" ] &&
    [ -e "$tmp/image/usr/lib/lua/$2/gipc/native.so" ] &&
    ! grep -q "$tmp" "$tmp/image/usr/lib/lua/$2/gipc/native.so"
}

# The default folders are where this Lua looks.
lua_looks_there() { # LUA VERSION
  "$1" -e 'print(package.path .. ";" .. package.cpath)' |
    grep -F "/usr/local/share/lua/$2/?.lua" |
    grep -qF "/usr/local/lib/lua/$2/?.so"
}

uninstall_leaves_nothing() { # LUA
  make -s uninstall "LUA=$1" "PREFIX=$tmp/usr" &&
    [ -z "$(find "$tmp/usr" -path '*lua*' ! -type d)" ]
}

a_rock_works() { # LUA VERSION WHICH [PREFIX of an installed library]
  local -x PKG_CONFIG_PATH=${4:+$4/lib/pkgconfig} LD_LIBRARY_PATH=${4:+$4/lib}
  rm -rf "$tmp/tree"
  luarocks --lua-version "$2" --tree "$tmp/tree" make --deps-mode none \
    bindings/lua/gipc-scm-1.rockspec &&
    works "$1" "$tmp/tree/share/lua/$2" "$tmp/tree/lib/lua/$2" || return
  # Which library it has: the one that is installed, or the one it carries.
  local linked=carried
  ! ldd "$tmp/tree/lib/lua/$2/gipc/native.so" | grep -q libgipc || linked=installed
  [ $linked = "$3" ]
}

the_rock_names_the_module_of_its_codec() { # LUA
  "$1" -e 'local spec = {}
    assert(loadfile("bindings/lua/gipc-scm-1.rockspec", "t", spec))()
    for _, name in ipairs(spec.dependencies) do
      if name:find "^lua%-messagepack" then os.exit(0) end
    end
    os.exit(1)'
}

for native in "$build"/lua/*/gipc/native.so; do
  name=${native%/gipc/native.so} name=${name##*/}
  version=${name/jit/5.1} lua=lua$name
  try "make_install_puts_it_where_${lua}_looks" install_works "$lua" "$version"
  try "the_default_is_where_${lua}_looks" lua_looks_there "$lua" "$version"
  try "make_install_respects_destdir_for_$lua" destdir_is_respected "$lua" "$version"
  if [ "$name" = 5.4 ]; then
    try the_rock_names_the_module_of_its_codec the_rock_names_the_module_of_its_codec "$lua"
    if command -v luarocks >/dev/null && [ "${OS:-linux}" = linux ]; then
      try a_rock_carries_the_library a_rock_works "$lua" "$version" carried
      try a_rock_finds_an_installed_library a_rock_works "$lua" "$version" \
        installed "$tmp/usr"
    else
      skipped=$((skipped + 2))
      echo "skipped rocks: no luarocks, or not the default build"
    fi
  fi
  try "make_uninstall_leaves_nothing_of_$lua" uninstall_leaves_nothing "$lua"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
