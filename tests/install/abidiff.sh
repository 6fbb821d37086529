#!/usr/bin/env bash
# The library has the binary interface of each release (tests/abi/VERSION), but for what
# was added: functions, and members at the end of structs that know their size.  What
# would break a program is noticed (H108).
set -eu
cd "$(dirname "$0")/../.."
command -v abidiff >/dev/null || { echo "no abidiff"; exit 77; }
build=${GIPC_TEST_BUILD:-build/linux}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
cc=${CC:-cc} cxx=${CXX:-c++}

# ---- Constants: in no binary, so abidiff does not know them ------------------

# values HEADER NAME...: what each name is in that header.
values() {
  local header=$1
  shift
  {
    printf '#define GIPC_DEPRECATED\n#include "%s"\n#include <stdio.h>\nint main(void) {\n' \
      "$(realpath "$header")"
    for name; do
      printf '  printf("%%s %%lld\\n", "%s", (long long)%s);\n' "$name" "$name"
    done
    echo 'return 0; }'
  } >"$tmp/values.c"
  "$cc" -w "$tmp/values.c" -o "$tmp/values" || fail "^ a constant is gone"
  "$tmp/values"
}
same_constants() { # OLD NEW
  # shellcheck disable=SC2046 # words
  set -- "$1" "$2" $(sed -E 's|/\*.*||; /^ \*/d' "$1" |
    grep -oE '\bGIPC_[A-Z0-9_]+\b' | sort -u |
    grep -vE '^GIPC_(H|API|MUST_CHECK|DEPRECATED|VERSION.*)$')
  [ $# -gt 20 ] || fail "no constants are found"
  values "$1" "${@:3}" >"$tmp/old.values"
  values "$2" "${@:3}" >"$tmp/new.values"
  diff "$tmp/old.values" "$tmp/new.values"
}
for header in tests/abi/*/gipc.h; do
  same_constants "$header" include/gipc.h || fail "^ a constant of $header has changed"
done
sed -E 's/(GIPC_WRITE *=? *)2/\13/' include/gipc.h >"$tmp/changed.h"
! cmp -s include/gipc.h "$tmp/changed.h" || fail "nothing is planted in gipc.h"
! same_constants "$tmp/changed.h" include/gipc.h >"$tmp/log" ||
  fail "a changed constant is not noticed"

# ---- Functions and types -----------------------------------------------------

# The descriptions are those of 64-bit x86.
machine=$(readelf -hW "$build/libgipc.so" | sed -nE 's/^ *(Class|Machine): *//p' | paste -sd' ')
case $machine in
'ELF64 '*X86-64) ;;
*) echo "tests/abi describes 64-bit x86 only, not $machine" && exit 77 ;;
esac
# The structs whose first member is their size.
growing=$(awk '/^typedef struct gipc_[a-z_]+ \{/ { name = $3; getline
  if ($1 == "size_t" && $2 == "size;") print name }' include/gipc.h | paste -sd' ')
# compatible DESCRIPTION LIBRARY: nothing but members that were added at the end of
# those.  An option for the headers would hide all changes of their types, and a
# suppression of what grows at the end would hide also what else is inserted there.
compatible() {
  local status=0
  abidiff --exported-interfaces-only --no-added-syms "$1" "$2" >"$tmp/log" 2>&1 ||
    status=$?
  [ $((status & 3)) = 0 ] || { cat "$tmp/log" && fail "abidiff failed"; }
  awk -v growing=" $growing " '
    /underlying type .struct gipc_.* changed:$/ {
      name = $0; sub(/.*struct /, "", name); sub(/\047.*/, "", name); size = 0; next }
    /^ *type size changed from [0-9]+ to [0-9]+ \(in bits\)$/ && !size {
      size = $5; next }
    /, at offset [0-9]+ \(in bits\) at / && size && index(growing, " " name " ") {
      at = $0; sub(/.*, at offset /, "", at); if (at + 0 >= size) next }
    /^$|changes summary:|^[0-9]+ functions? with some indirect sub-type change/ { next }
    /^  \[C\] .function .* has some indirect sub-type changes:$/ { next }
    /parameter [0-9]+ of type .*\*. has sub-type changes:$/ { next }
    /in pointed to type .*:$|data member insertions?:$/ { next }
    /pointed to type .* changed, as reported earlier$/ { next }
    { print; bad = 1 }
    END { exit bad }' "$tmp/log" >"$tmp/broken"
}
for description in tests/abi/*/libgipc.abi; do
  compatible "$description" "$build/libgipc.so" ||
    { cat "$tmp/log" "$tmp/broken" && fail "^ not what $description has"; }
done

description=$(printf '%s\n' tests/abi/*/libgipc.abi | sort -V | tail -n 1)
# planted NAME FUNCTION STUB: a library with another function, which is `none`.
planted() {
  local map=src/libgipc.map
  [ "$3" != none ] || { map=$tmp/$1.map && sed "/ $2;/d" src/libgipc.map >"$map"; }
  [ "$3" = none ] || printf '#include <stddef.h>\n%s\n' "$3" >"$tmp/$1.c"
  [ -e "$tmp/$1.c" ] || echo 'extern int unused;' >"$tmp/$1.c"
  "$cc" -g -fPIC -c -o "$tmp/$1.o" "$tmp/$1.c"
  objcopy --weaken-symbol="$2" "$build/libgipc.a" "$tmp/$1.a"
  "$cxx" -shared -o "$tmp/$1.so" -Wl,-soname,libgipc.so.0 -Wl,--version-script="$map" \
    "$tmp/$1.o" -Wl,--whole-archive "$tmp/$1.a" -Wl,--no-whole-archive -lev
}
noticed() { ! compatible "$2" "$3" || fail "not noticed: $1"; }
planted removed gipc_put none
noticed "a removed function" "$description" "$tmp/removed.so"
planted parameter gipc_set_limit 'struct gipc_handle;
  int gipc_set_limit(struct gipc_handle *h, int limit) { return h && limit; }'
noticed "a changed parameter" "$description" "$tmp/parameter.so"
planted more gipc_set_limit 'struct gipc_handle;
  int gipc_set_limit(struct gipc_handle *h, size_t limit, int more) {
    return h && limit && more; }'
noticed "one more parameter" "$description" "$tmp/more.so"
# A member in the middle: an older library without one that is there today.
awk '/<class-decl name=.gipc_exit_info/ { on = 1 }
  on && /<data-member/ && ++n == 3 { skip = 1 }
  !skip { print }
  /<\/data-member>/ { skip = 0 }
  /<\/class-decl>/ { on = 0 }' "$description" >"$tmp/inserted.abi"
! cmp -s "$description" "$tmp/inserted.abi" || fail "no member is taken away"
noticed "a member in the middle of a struct" "$tmp/inserted.abi" "$build/libgipc.so"
grep -q "'int signal', at offset" "$tmp/broken" || fail "something else was noticed"
sed "s/name='gipc_exit_info' size-in-bits='448'/name='gipc_exit_info' size-in-bits='384'/
  s/name='max_rss' type-id='[0-9a-f]*'/name='max_rss' type-id='95e97e5e'/" \
  "$description" >"$tmp/member.abi"
! cmp -s "$description" "$tmp/member.abi" || fail "no member has another type"
noticed "another type of a member" "$tmp/member.abi" "$build/libgipc.so"
