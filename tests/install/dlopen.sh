#!/usr/bin/env bash
# A program that is not linked with the library uses all of it, and unloads it
# (H106).
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

make -s -C ../.. install prefix="$tmp/usr" >/dev/null
"${CC:-cc}" -std=gnu11 -Wall -Wextra -I"$tmp/usr/include" dlopen.c \
  -o "$tmp/dlopen" -ldl
if readelf -dW "$tmp/dlopen" | grep 'NEEDED.*libgipc'; then
  echo "the program is linked with the library"
  exit 1
fi
sed -n 's/^ *\(gipc_[a-z_]*\);$/\1/p' ../../src/libgipc.map |
  xargs "$tmp/dlopen" "$tmp/usr/lib/libgipc.so"
