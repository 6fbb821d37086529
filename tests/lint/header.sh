#!/usr/bin/env bash
# The header compiles, alone and without a warning, as every C and C++ there is.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
printf '#include <gipc.h>\n#include <gipc.h>\ntypedef gipc_handle h;\n' \
  >"$tmp/user.c"

tried=0 bad=0
check() { # compiler, language, standard
  command -v "$1" >/dev/null || return 0
  tried=$((tried + 1))
  "$1" -x "$2" "-std=$3" -Iinclude -fsyntax-only -Wall -Wextra -Werror \
    -pedantic-errors -Wundef "$tmp/user.c" || { echo "^ $1 -std=$3"; bad=1; }
}
for standard in c89 c99 c11 c17; do
  check gcc c $standard
  check clang c $standard
done
for standard in c++98 c++11 c++17 c++20; do
  check g++ c++ $standard
  check clang++ c++ $standard
done
[ $tried -gt 0 ] || { echo "no compiler found"; bad=1; }
exit $bad
