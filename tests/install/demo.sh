#!/usr/bin/env bash
# The demo ends with the totals of wc, although a worker was killed, also for
# bytes on which versions of wc disagree; and every language takes part for
# which there is a module.
set -eu
cd "$(dirname "$0")/../.."
build=${GIPC_TEST_BUILD:-build/linux}
tmp=$(mktemp -d)
log=$tmp/log
trap 'rm -rf "$tmp"' EXIT
echo '#include <msgpack.h>' | "${CC:-cc}" -E -x c - >/dev/null 2>&1 || {
  echo "no msgpack.h"
  exit 77
}

make -s demo-programs demo-languages
# A wc that takes the byte A0 for a space, as that of coreutils 9.7 does, unless
# it is asked for what POSIX says.
mkdir "$tmp/bin"
cat >"$tmp/bin/wc" <<EOF
#!/bin/sh
[ -n "\$POSIXLY_CORRECT" ] || for word; do
  shift
  if [ -e "\$word" ]; then
    LC_ALL=C sed 's/\xa0/ /g' "\$word" >"\$word.spaces"
    word=\$word.spaces
  fi
  set -- "\$@" "\$word"
done
exec $(command -v wc) "\$@"
EOF
chmod +x "$tmp/bin/wc"
printf 'd\303\251j\303\240-vu a\302\240b\n\240\n' >"$tmp/nbsp"
cp src/*.cc "$build/libgipc.a" "$tmp"

PATH=$tmp/bin:$PATH make -s run-demo \
  FILES="$tmp/nbsp $(echo "$tmp"/*.cc) $tmp/libgipc.a" >"$log" 2>&1 || {
  cat "$log"
  exit 1
}
complain() {
  cat "$log"
  echo "^ $*"
  exit 1
}
grep -q '^Totals equal wc(1) in all ' "$log" || complain "the totals differ"
grep -q '  SIGKILL$' "$log" || complain "no worker was killed"
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
