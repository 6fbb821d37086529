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

# Puts, a get, a reader that is woken, a put without room; and a pool whose worker
# ends twice, before its task.
cat >"$tmp/all.c" <<'C'
#include <errno.h>
#include <ev.h>
#include <gipc.h>
static int work(struct ev_loop *fresh, gipc_handle *h, void *argument) {
  (void)fresh, (void)h, (void)argument;
  return 3;
}
static int talk(void) {
  gipc_handle *r, *w;
  const void *data;
  size_t size;
  int error = gipc_pipe(&r, &w);
  for (int i = 0; error == 0 && i < 2; i++) {
    error = gipc_put(w, "12345", 5, 1);
    while (error == 0 && gipc_try_get(r, &data, &size) == 0)
      ;
  }
  while (error == 0)
    error = gipc_try_put(w, "12345", 5);
  return error;
}
static int run_pool(void) {
  struct ev_loop *loop = ev_default_loop(0);
  const gipc_rules rules = {.size = sizeof rules, .most = 1,
                            .prepare_failures = 2, .first_delay = 0.01};
  const gipc_pool_events events = {.size = sizeof events};
  gipc_pool *pool;
  uint64_t task;
  int error = gipc_pool_new(work, NULL, &rules, NULL, &pool);
  if (error == 0)
    error = gipc_pool_start(pool, loop, &events, NULL);
  if (error == 0)
    error = gipc_pool_try_put(pool, "t", 1, NULL, &task);
  if (error == 0)
    ev_run(loop, 0);
  return error;
}
int main(void) { return talk() != -EAGAIN || run_pool() != 0; }
C
"${CC:-cc}" -Iinclude -o "$tmp/all" "$tmp/all.c" "$so" -lev \
  -Wl,-rpath,"$(dirname "$so")"
GIPC_TRANSPORT=ring "$tmp/all" || fail "not all happens"

# A debugger switches them on by the counter, counts them, and sees what they have.
if command -v gdb >/dev/null; then
  commands=(-ex 'tbreak -probe-stap libgipc:put' -ex run
    -ex 'printf "size %d\n", (int)$_probe_arg1')
  for probe in $probes; do
    commands+=(-ex "break -probe-stap libgipc:$probe" -ex 'ignore $bpnum 1000000')
  done
  GIPC_TRANSPORT=ring timeout 120 gdb -nx -batch \
    -ex 'set breakpoint pending on' "${commands[@]}" -ex continue \
    -ex 'info breakpoints' "$tmp/all" </dev/null >"$tmp/gdb" 2>&1 || true
  if grep -qiE 'ptrace|not permitted|Could not trace' "$tmp/gdb"; then
    echo "gdb may trace no process"
  else
    grep -qx 'size 5' "$tmp/gdb" || fail "gdb:" "$(cat "$tmp/gdb")"
    [ "$(grep -c 'already hit' "$tmp/gdb")" = 8 ] ||
      fail "not each probe fires:" "$(cat "$tmp/gdb")"
  fi
fi
