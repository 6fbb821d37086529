#!/usr/bin/env bash
# Spaces, quotes and commas in the path of the checkout, in DESTDIR and in the
# prefix are part of a path like any other character.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
odd="it's a, path"

mkdir "$tmp/$odd"
cp -R Makefile bindings include man pkgconfig src tests "$tmp/$odd"
cd "$tmp/$odd"
# This tests paths, so the optimizer is not needed.
export CFLAGS=-O0 CXXFLAGS=-O0

# A test program finds the library, and its own programs, below that path.
build=build/${OS:-linux}
for kind in api/test_process_arguments api/test_process_launched \
  fuzz/fuzz_inherit; do
  make -s DEPS=skip "$build/tests/$kind" "$build/programs/child_launched" \
    >/dev/null
  "$build/tests/$kind" >"$tmp/log" 2>&1 </dev/null ||
    { cat "$tmp/log" && fail "^ $kind"; }
done

root="$tmp/a root"
make -s install DESTDIR="$root" prefix="/opt/my gipc" mandir=/usr/man >/dev/null
export PKG_CONFIG_PATH="$root/opt/my gipc/lib/pkgconfig"
[ "$(pkg-config --variable=libdir gipc)" = "/opt/my gipc/lib" ] ||
  fail "pkg-config does not know the prefix"
[ "$(find "$tmp" -type f -path "$root/*" | grep -cvE \
  '/a root/(opt/my gipc/(include|lib)|usr/man)/')" = 0 ] ||
  fail "files outside of the prefix"
make -s uninstall DESTDIR="$root" prefix="/opt/my gipc" mandir=/usr/man
left=$(find "$root" ! -type d)
[ -z "$left" ] || fail "left:" "$left"

# The flags can be passed to eval.
make -s install prefix="$tmp/a prefix" >/dev/null
export PKG_CONFIG_PATH="$tmp/a prefix/lib/pkgconfig"
version=$(pkg-config --modversion gipc)
eval "${CC:-cc} tests/install/consumer.c -o '$tmp/consumer' \
  $(pkg-config --cflags --libs gipc)"
LD_LIBRARY_PATH="$tmp/a prefix/lib" "$tmp/consumer" "$version"

# What cannot work is an error that says so.
mkdir "$tmp/a:b"
cp -R Makefile bindings include "$tmp/a:b"
if make -C "$tmp/a:b" -n all >"$tmp/log" 2>&1; then
  fail "a build in a path that no run path can contain"
fi
grep -q 'its path contains :' "$tmp/log" || { cat "$tmp/log" && exit 1; }
