#!/usr/bin/env bash
# .ci/matrix goes on after a failure, counts what broke, was left out or never ran as
# failed, and prints the sum; nothing is made outside of build.  The roots are played.
set -eu
cd "$(dirname "$0")/../.."
unset CC CXX DEPS KEEP NEW # of the run that this test is a part of
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() {
  echo "$*"
  cat "$tmp/out"
  exit 1
}

mkdir -p "$tmp/.ci" "$tmp/tests/roots"
cp .ci/matrix "$tmp/.ci"
printf '#!/bin/sh\n' >"$tmp/.ci/deps"
cat >"$tmp/tests/roots/run" <<'EOF'
#!/usr/bin/env bash
echo "$1 as ${AS:-root}, CC ${CC:-none}, DEPS ${DEPS:-none}, new ${NEW:-no}: ${*:2}" >>calls
[ -n "${KEEP:-}" ] || echo "$*" >>anew
case ${*:2} in
'-- .ci/versions') echo "Linux of $1" && exit ;;
'-- '*) [ "${BROKEN:-}" != deps ] || exit 1 ;;
demo)
  [ "${BROKEN:-}" = python ] ||
    echo '     2  Python 3.13          12      1        0.1         1         10  exit 0'
  echo '     1  C                    11      1        0.1         1         10  SIGKILL'
  echo '     3  Ruby 3.3             13      1        0.1         1         10  exit 0'
  echo '     4  Lua 5.4              14      1        0.1         1         10  exit 0'
  [ "${BROKEN:-}" != demo ]
  ;;
*)
  case $1,${BROKEN:-} in
  trixie,tests) echo 'FAILED api/test_x: 1 of 8' && echo '7 passed, 1 failed' && exit 1 ;;
  trixie,crash) echo 'make: *** no compiler' && exit 2 ;;
  trixie,liar) echo '8 passed, 0 failed' && exit 2 ;;
  trixie,silent) exit 0 ;;
  esac
  echo '1 passed, 1 failed' # of a part
  echo '8 passed, 0 failed, 2 skipped'
  ;;
esac
EOF
chmod +x "$tmp/tests/roots/run" "$tmp/.ci/deps"

# matrix STATUS SUM BROKEN WORD...
matrix() {
  local status=0
  rm -f "$tmp/calls" "$tmp/anew"
  BROKEN=$3 "$tmp/.ci/matrix" "${@:4}" >"$tmp/out" 2>&1 || status=$?
  [ $status = "$1" ] || fail "status $status, not $1"
  [ "$(tail -n 1 "$tmp/out")" = "$2" ] || fail "the sum is not: $2"
}
has() { grep -qF -- "$1" "$2" || fail "no $1 in ${2##*/}"; }

matrix 0 '12 passed, 0 failed, 2 skipped' '' i386
has '| i386 | Linux of i386 | demo | 4 | 0 | 0 |' "$tmp/build/matrix/table.md"
has '| i386 | Linux of i386 | check | 8 | 0 | 2 |' "$tmp/out"
matrix 0 '12 passed, 0 failed, 2 skipped' '' --quick --new i386
has 'new 1: -- true' "$tmp/calls"
has 'new no: check-c' "$tmp/calls"
[ "$(grep -c 'new 1' "$tmp/calls")" = 1 ] || fail "a root is made anew twice"

# A user installs nothing: root has done it.
matrix 0 '12 passed, 0 failed, 2 skipped' '' sid-user
has 'sid as root, CC none, DEPS none, new no: -- .ci/deps check' "$tmp/calls"
has 'sid as user, CC none, DEPS skip, new no: check' "$tmp/calls"
matrix 0 '8 passed, 0 failed, 2 skipped' '' sid-clang
has 'sid as root, CC clang, DEPS none, new no: check-c' "$tmp/calls"
[ ! -e "$tmp/anew" ] || fail "what was built does not stay: $(cat "$tmp/anew")"

# All that can go wrong in one of two systems: the other one is run all the same.
for broken in tests:15:1:2 crash:8:1:2 liar:16:1:2 silent:8:1:2; do
  IFS=: read -r name p f s <<<"$broken"
  matrix 1 "$p passed, $f failed, $s skipped" "$name" trixie-clang i386 check-c
done
matrix 1 '15 passed, 1 failed, 2 skipped' tests trixie-clang i386 check-c
has 'FAILED api/test_x: 1 of 8' "$tmp/out"
matrix 0 '16 passed, 0 failed, 4 skipped' '' check-lua 'sid*'
matrix 1 '3 passed, 1 failed, 0 skipped' python demo i386
matrix 1 '0 passed, 4 failed, 0 skipped' demo demo i386
matrix 1 '0 passed, 1 failed, 0 skipped' deps check sid-user
matrix 1 '0 passed, 1 failed, 0 skipped' '' nowhere

left=$(cd "$tmp" && find . -mindepth 1 ! -path './build*' ! -path './tests*' \
  ! -path './.ci*' ! -name calls ! -name anew ! -name out)
[ -z "$left" ] || fail "made outside of build: $left"
