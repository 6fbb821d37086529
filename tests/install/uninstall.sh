#!/usr/bin/env bash
# Installation goes where the variables say, man finds the pages, and
# uninstallation takes away all of it and nothing else.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root
fail() { echo "$*"; exit 1; }

variables=(DESTDIR="$root" prefix=/opt/g libdir=/opt/g/lib64)
mkdir -p "$root/opt/g/share/man/man3"
echo mine >"$root/opt/g/share/man/man3/gipc_mine.3"
make -s install "${variables[@]}" >/dev/null

for file in include/gipc.h lib64/libgipc.a lib64/libgipc.so \
  lib64/pkgconfig/gipc.pc lib64/cmake/gipc/gipcConfig.cmake share/man/man3/gipc_try_get.3; do
  [ -e "$root/opt/g/$file" ] || fail "not installed: $file"
done
[ "$(find "$tmp" -type f | grep -cv "^$root/opt/g/")" = 0 ] ||
  fail "files outside of the prefix"
! grep -r "$tmp" "$root" || fail "DESTDIR is written into a file"
page=$(man -M "$root/opt/g/share/man" -w gipc_try_get) || fail "man: no page"
case $page in "$root"/*) ;; *) fail "man found another page: $page" ;; esac

make -s uninstall "${variables[@]}" >/dev/null
left=$(find "$root" ! -type d)
[ "$left" = "$root/opt/g/share/man/man3/gipc_mine.3" ] ||
  fail "left or removed:" "$left"
