#!/usr/bin/env bash
# A Meson project uses the library: the installed one that dependency() finds, and
# the release that a wrap file makes a subproject; shared and static.
set -eu
cd "$(dirname "$0")/../.."
for tool in meson ninja; do
  command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
quietly() { "$@" >"$tmp/log" 2>&1 || { tail -n 40 "$tmp/log" && fail "^ $*"; }; }
version=$(sed -n 's/^.define GIPC_VERSION_[A-Z]* //p' include/gipc.h | paste -sd.)

mkdir -p "$tmp/project/subprojects/packagefiles/gipc"
cp tests/install/consumer.c "$tmp/project"
cat >"$tmp/project/meson.build" <<'EOF2'
project('consumer', 'c')
executable('consumer', 'consumer.c', dependencies: dependency('gipc', version: '>=0.1'))
EOF2
# works NAME linked|inside [OPTION...]
works() {
  local name=$1 how=$2 linked=inside
  shift 2
  quietly meson setup "$tmp/$name" "$tmp/project" "$@"
  quietly meson compile -C "$tmp/$name"
  "$tmp/$name/consumer" "$version" || fail "$name does not run"
  ! readelf -dW "$tmp/$name/consumer" | grep -q 'NEEDED.*libgipc' || linked=linked
  [ $linked = "$how" ] || fail "$name: the library is $linked, not $how"
}

# ---- dependency --------------------------------------------------------------

! PKG_CONFIG_LIBDIR=/nowhere meson setup "$tmp/nothing" "$tmp/project" \
  >"$tmp/log" 2>&1 || fail "a dependency is found that is not there"
make -s install prefix="$tmp/usr" OS="${GIPC_TEST_OS:-linux}" >/dev/null
export PKG_CONFIG_PATH=$tmp/usr/lib/pkgconfig
works found linked
mkdir "$tmp/away"
mv "$tmp/usr/lib/"libgipc.so* "$tmp/away"
works found-static inside --prefer-static
unset PKG_CONFIG_PATH

# ---- Subproject --------------------------------------------------------------

# The files as a release has them, in their places.
pkgconfig/dist "$tmp/dist" source meson
sub=$tmp/project/subprojects
cp "$tmp/dist/gipc.wrap" "$sub"
cp "$tmp/dist/"libgipc-*.tar.gz "$sub/packagefiles"
cp pkgconfig/meson/meson.build "$sub/packagefiles/gipc"
options=(--force-fallback-for=gipc -Dgipc:cpp_args=-O0)
quietly meson setup "$tmp/sub" "$tmp/project" "${options[@]}"
# It compiles what the Makefile compiles.
diff <(make -s sources OS=linux | sort) \
  <(sed -nE 's|^ *"file": ".*/(src/.*)",?|\1|p' "$tmp/sub/compile_commands.json" | sort) ||
  fail "^ other sources"

# The library is compiled twice more, which is left to `make check-dist`.
if [ "${GIPC_TEST_LONG:-}" = 1 ]; then
  works sub linked "${options[@]}"
  works sub-static inside "${options[@]}" -Dgipc:default_library=static
  exported() { nm -D --defined-only "$1" | awk '{ print $3 }' | sort; }
  library=$(find "$tmp/sub/subprojects" -name libgipc.so)
  [ "${GIPC_TEST_OS:-linux}" != linux ] ||
    diff <(exported "${GIPC_TEST_BUILD:-build/linux}/libgipc.so") <(exported "$library") ||
    fail "^ other exports"
  soname() { readelf -dW "$1" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p'; }
  [ "$(soname "$library")" = "$(soname "${GIPC_TEST_BUILD:-build/linux}/libgipc.so")" ] ||
    fail "another soname"
fi

# Another archive than that of the wrap file is refused.
echo >>"$sub/packagefiles/"libgipc-*.tar.gz
rm -rf "$sub/"libgipc-*
! meson setup "$tmp/changed" "$tmp/project" "${options[@]}" >"$tmp/log" 2>&1 ||
  fail "a changed archive is taken"
grep -qi 'hash' "$tmp/log" || { cat "$tmp/log" && fail "no word of the hash"; }
