#!/usr/bin/env bash
# The header compiles, alone and without a warning, as every C and C++ there is.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cat >"$tmp/user.c" <<'C'
#include <gipc.h>
#include <gipc.h>
typedef gipc_handle h;
/* What is an enumeration was a number once, and is used as one. */
int use(gipc_handle *handle, gipc_exit_info *info, gipc_options *o);
int use(gipc_handle *handle, gipc_exit_info *info, gipc_options *o) {
  gipc_fork *f = NULL;
  gipc_fork_context *context = f;
  int direction = info ? GIPC_READ : 0;
  direction |= GIPC_WRITE;
  switch (info->how) {
  case GIPC_HOW_WAIT:
  case GIPC_STATUS_LOST:
    return gipc_fd(handle, direction) + (context == f);
  }
  return gipc_options_set_stdio(o, 1, direction ? GIPC_STDIO_PIPE : 0, -1);
}
C

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
