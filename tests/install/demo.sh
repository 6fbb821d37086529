#!/usr/bin/env bash
# The demo ends with the totals of wc, although a worker was killed; and every
# language takes part for which there is a module.
set -eu
cd "$(dirname "$0")/../.."
build=${GIPC_TEST_BUILD:-build/linux}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo '#include <msgpack.h>' | "${CC:-cc}" -E -x c - >/dev/null 2>&1 || {
  echo "no msgpack.h"
  exit 77
}

make -s demo-programs demo-languages
make -s run-demo FILES="$(echo src/*.cc) $build/libgipc.a" >"$log" 2>&1 || {
  cat "$log"
  exit 1
}
complain() {
  cat "$log"
  echo "^ $*"
  exit 1
}
grep -q '^The same, in each of' "$log" || complain "not the same"
grep -q '  SIGKILL$' "$log" || complain "nobody was killed"
takes_part() { grep -qE "^ +[0-9]+  $1 .*exit 0$" "$log" || complain "no $1"; }
takes_part C
for module in "$build"/python/gipc/_native.* "$build"/ruby/gipc/native.so \
  "$build"/lua/*/gipc/native.so; do
  [ -e "$module" ] || continue
  case ${module#"$build"/} in
  python*) takes_part Python ;;
  ruby*) takes_part Ruby ;;
  lua*) takes_part Lua ;;
  esac
done
