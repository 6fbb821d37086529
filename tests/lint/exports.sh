#!/usr/bin/env bash
# What the library exports, needs and does when it is loaded.
#
# The functions of the header, the map, the shared library and the manual are
# one list.
set -eu
cd "$(dirname "$0")/../.."
so=${GIPC_TEST_BUILD:-build/linux}/libgipc.so
archive=${so%.so}.a
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# A file, since a variable set at the end of a pipeline is lost.
complain() { echo "$*" | tee -a "$tmp/bad"; }
same() { # same NAME: the list on stdin is the header's
  sort -u >"$tmp/$1"
  diff "$tmp/header" "$tmp/$1" >"$tmp/diff" ||
    complain "header (<) and $1 (>) differ:" "$(grep '^[<>]' "$tmp/diff")"
}

# The preprocessor drops comments; a declaration may span lines.
"${CC:-cc}" -E -P '-DGIPC_API=@' '-DGIPC_MUST_CHECK=' -DGIPC_DEPRECATED= include/gipc.h |
  tr '\n' ' ' | tr '@' '\n' |
  sed -n 's/^[a-z_ *]*[ *]\(gipc_[a-z_]*\)(.*/\1/p' | sort -u >"$tmp/header"
[ -s "$tmp/header" ] || complain "no function found in the header"

sed -n 's/^ *\(gipc_[a-z_]*\);$/\1/p' src/libgipc.map | same map
# Whatever is exported counts, also weak symbols of the C++ library; the
# absolute symbol is the version node itself.
nm -D --defined-only "$so" | awk '$2 != "A" { print $3 }' |
  sed 's/@@GIPC_[0-9.]*$//' | same library
# The names of all pages; a title that is no function is left out.
basename -s .3 man/*.3 | sort | comm -23 - "$tmp/header" >"$tmp/titles"
cat man/*.3 |
  awk '/^\.Sh/ { name = $2 == "NAME" } name && $1 == ".Nm" { print $2 }' |
  grep -vxFf "$tmp/titles" | same manual
make -s install DESTDIR="$tmp/root" prefix=/usr >/dev/null ||
  complain "make install failed"
while read -r f; do
  [ -s "$tmp/root/usr/share/man/man3/$f.3" ] || complain "no page $f.3"
done <"$tmp/header"

readelf -dW "$so" >"$tmp/dynamic"
major=$(sed -n 's/^#define GIPC_VERSION_MAJOR //p' include/gipc.h)
grep -q "SONAME.*\[libgipc.so.$major\]" "$tmp/dynamic" || complain "wrong SONAME"
! grep TEXTREL "$tmp/dynamic" || complain "it has text relocations"
grep -q 'BIND_NOW\|Flags:.*NOW' "$tmp/dynamic" || complain "it binds lazily"
# The archive holds our objects alone, without those of the compiler.
! readelf -SW "$archive" | grep -E '\.init_array|\.ctors|\.fini_array' ||
  complain "it has global constructors or destructors"
! nm -u "$archive" | grep -w __cxa_thread_atexit ||
  complain "a thread_local has a destructor"
nm -D --undefined-only "$so" | awk '{ sub(/@.*/, "", $2); print $2 }' \
  >"$tmp/needed"
! grep -xE '(__)?(v|f|vf|d|vd)?printf(_chk)?|f?put(s|c|char)|putchar|p(error|signal)|fwrite|(vsys|sys)log|abort|quick_exit|exit|errx?|warnx?|__assert_fail|_ZSt4(cout|cerr|clog)' \
  "$tmp/needed" || complain "it prints or ends the program"

[ ! -e "$tmp/bad" ]
