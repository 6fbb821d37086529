#!/usr/bin/env bash
# The static probes of the library, as tracers see them, where it was built with
# <sys/sdt.h>.
set -eu
cd "$(dirname "$0")/../.."
so=$(readlink -f "${GIPC_TEST_BUILD:-build/linux}/libgipc.so")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }

if [ "${GIPC_TEST_OS:-linux}" != linux ] ||
  ! echo '#include <sys/sdt.h>' | "${CC:-cc}" -E -x c - >/dev/null 2>&1; then
  echo "no <sys/sdt.h> (systemtap-sdt-dev)"
  exit 77
fi
probes='bell end get put restart stall start task'
readelf -nW "$so" >"$tmp/notes"
[ "$(sed -n 's/^ *Name: //p' "$tmp/notes" | sort -u | xargs)" = "$probes" ] ||
  fail "readelf sees other probes than $probes:" "$(cat "$tmp/notes")"
[ "$(sed -n "s/.*Provider: *//p" "$tmp/notes" | sort -u | xargs)" = libgipc ] ||
  fail "wrong provider"
# One counter for all of them, in a section with contents, which tracers write.
counter=$(sed -n 's/.*Semaphore: 0x0*//p' "$tmp/notes" | sort -u)
section=$(readelf -SW "$so" | sed -n 's/.*\.probes *PROGBITS *0*\([0-9a-f]*\).*/\1/p')
[ "$counter" = "$section" ] && [ -n "$section" ] ||
  fail "the counter is at '$counter', the section at '$section'"

# A debugger stops at one, which it switches on by the counter.
if command -v gdb >/dev/null; then
  cat >"$tmp/one.c" <<'C'
#include <gipc.h>
int main(void) {
  gipc_handle *r, *w;
  return gipc_pipe(&r, &w) || gipc_put(w, "12345", 5, 1);
}
C
  "${CC:-cc}" -Iinclude -o "$tmp/one" "$tmp/one.c" "$so" \
    -Wl,-rpath,"$(dirname "$so")"
  timeout 120 gdb -nx -batch -ex 'set breakpoint pending on' \
    -ex 'break -probe-stap libgipc:put' -ex run \
    -ex 'printf "size %d\n", (int)$_probe_arg1' "$tmp/one" \
    </dev/null >"$tmp/gdb" 2>&1 || true
  if grep -qiE 'ptrace|not permitted|Could not trace' "$tmp/gdb"; then
    echo "gdb may trace no process"
  else
    grep -qx 'size 5' "$tmp/gdb" || fail "gdb:" "$(cat "$tmp/gdb")"
  fi
fi
