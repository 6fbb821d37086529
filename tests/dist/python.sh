#!/usr/bin/env bash
# pip installs the source distribution in a new environment, and the first program of
# its README runs there.  It is alike when it is made again.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
archive=$(echo "$DIST"/python/*.tar.gz)
tar -C "$tmp" -xzf "$DIST/"libgipc-*.tar.gz
unpacked=$(echo "$tmp"/libgipc-*)
"$unpacked/pkgconfig/dist" "$tmp/again" source python
cmp "$archive" "$tmp/again/python/${archive##*/}" || fail "^ not the same again"

"${PYTHON:-/usr/bin/python3}" -m venv "$tmp/venv"
CFLAGS='-O0 -g0' "$tmp/venv/bin/pip" install -q --disable-pip-version-check "$archive"
tests/dist/first_program python bindings/python/README.md >"$tmp/first.py"
cd /
"$tmp/venv/bin/python" -I "$tmp/first.py" >"$tmp/printed"
printf "%s\n" "{'answer': 42}" 0 | diff "$tmp/printed" - || fail "^ of the README"
