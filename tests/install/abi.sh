#!/usr/bin/env bash
# A program of every older version runs with this library, and one built today
# with a later library that only adds functions (H108).
set -eu
cd "$(dirname "$0")/../.."
build=${GIPC_TEST_BUILD:-build/linux}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }

nm -D --defined-only "$build/libgipc.so" | awk '$2 != "A" { print $3 }' |
  grep -v '@@GIPC_0\.[12]$' && fail "^ exported without a version"

# tests/abi holds the header of each older version, never to be changed, and a
# program that calls all that the first one had.
for header in tests/abi/*/gipc.h; do
  version=$(basename "$(dirname "$header")")
  "${CC:-cc}" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror \
    -DGIPC_DEPRECATED= -I"$(dirname "$header")" tests/abi/old_program.c -o "$tmp/old_program" \
    -L"$build" -lgipc -lev
  # A binary asks for the functions by the version that first had them.
  for name in $(sed -n 's/.*\b\(gipc_[a-z_]*\)([^0-9].*/\1/p' "$header" |
    sort -u); do
    nm -D "$build/libgipc.so" | grep -q " $name@@GIPC_0\.[1-${version#0.}]$" ||
      fail "$name is not what version $version had"
  done
  LD_LIBRARY_PATH=$(realpath "$build") "$tmp/old_program" ||
    fail "a program of version $version does not run with this library"
done
# It compiles today as well, with warnings of the renamed functions.
compile_old() {
  "${CC:-cc}" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Iinclude "$@" \
    tests/abi/old_program.c -o "$tmp/old_program" -L"$build" -lgipc -lev
}
compile_old -DGIPC_DEPRECATED=
LD_LIBRARY_PATH=$(realpath "$build") "$tmp/old_program" ||
  fail "an old program that is compiled anew does not run"
! compile_old 2>"$tmp/warnings" || fail "old names cause no warning"
[ "$(grep -cE '(warning|error): .*deprecated' "$tmp/warnings")" = 3 ] || {
  cat "$tmp/warnings"
  fail "other than the three old functions"
}
"${CC:-cc}" -Iinclude tests/install/consumer.c -o "$tmp/old" \
  -L"$build" -lgipc

# later NAME MAP: the same library, with one more function where MAP has it.
mkdir "$tmp/more" "$tmp/less"
later() {
  echo 'extern "C" int gipc_later() { return 1; }' >"$tmp/later.cc"
  "${CXX:-c++}" -shared -fPIC -o "$tmp/$1/libgipc.so.0" -Wl,-soname,libgipc.so.0 \
    -Wl,--version-script="$2" "$tmp/later.cc" \
    -Wl,--whole-archive "$build/libgipc.a" -Wl,--no-whole-archive -lev
}
{
  cat src/libgipc.map
  echo 'GIPC_9 { global: gipc_later; } GIPC_0.1;'
} >"$tmp/more.map"
sed '/gipc_put;/d' src/libgipc.map >"$tmp/less.map"
later more "$tmp/more.map"
later less "$tmp/less.map"

version=$(sed -n 's/^.define GIPC_VERSION_[A-Z]* //p' include/gipc.h |
  paste -sd.)
LD_LIBRARY_PATH=$tmp/more "$tmp/old" "$version" ||
  fail "an old program does not run with a later library"
! LD_BIND_NOW=1 LD_LIBRARY_PATH=$tmp/less "$tmp/old" "$version" 2>/dev/null ||
  fail "a program runs without a function that it needs"
