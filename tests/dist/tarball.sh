#!/usr/bin/env bash
# The tarball compiles and installs the library, without git and the checkout, and
# a C program uses that.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tar -xzf "$DIST/"libgipc-*.tar.gz -C "$tmp"
# This tests what is there, so the optimizer is not needed.
make -s -C "$tmp"/libgipc-* DEPS=skip CXXFLAGS=-O0 prefix="$tmp/usr" install >/dev/null
export PKG_CONFIG_PATH=$tmp/usr/lib/pkgconfig LD_LIBRARY_PATH=$tmp/usr/lib
version=$(pkg-config --modversion gipc)
[ "$(basename "$tmp"/libgipc-*)" = "libgipc-$version" ] || { echo "another version"; exit 1; }
# shellcheck disable=SC2046 # words are what pkg-config prints
"${CC:-cc}" ../install/consumer.c -o "$tmp/consumer" $(pkg-config --cflags --libs gipc)
"$tmp/consumer" "$version"
