#!/usr/bin/env bash
# The program of the README compiles, runs, and prints what it should.
set -eu
cd "$(dirname "$0")/../.."
build=${GIPC_TEST_BUILD:-build/linux}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md >"$work/echo.c"
"${CC:-cc}" -std=c11 -Wall -Wextra -Werror -Iinclude "$work/echo.c" \
  -o "$work/echo" -L"$build" -Wl,-rpath,"$(realpath "$build")" -lgipc
printed=$("$work/echo")
if [ "$printed" != hello ]; then
  echo "the program of README.md printed '$printed', not 'hello'" >&2
  exit 1
fi
