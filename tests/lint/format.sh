#!/usr/bin/env bash
# clang-format decides the layout of all C and C++.
set -eu
cd "$(dirname "$0")/../.."
git ls-files -co --exclude-standard '*.h' '*.c' '*.cc' |
  while read -r f; do [ ! -e "$f" ] || echo "$f"; done |
  xargs clang-format --dry-run -Werror
