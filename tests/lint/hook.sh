#!/usr/bin/env bash
# Every call that can fail goes past the hook of sys.h, so that a test can fail
# it: `::call(...)` stands within the brackets of sys::retry(), retry_int() or
# retry_cancellable(), or its name is below, with the reason why not.  (The house
# writes calls of the system and of the C library with their `::`.)
set -eu
cd "$(dirname "$0")/../../src"

exempt='
# No result that says anything
close munmap closedir: the descriptor or memory is gone, whatever they return
umask on_exit __fpurge fpurge __fpending: nothing is lost if they do nothing
# No failure with the arguments that they get here
getpid getppid getuid geteuid getgid getegid issetugid pthread_self: they cannot fail
pthread_getcpuclockid: only for a thread that has ended
sysconf clock_gettime pthread_setcancelstate pthread_sigmask: only for a bad name
sigaction: only for a number that is no signal, which those loops ask about
putenv unsetenv: they replace or remove an entry, which needs no memory
sigtimedwait: only where nothing is pending, which is looked at before
# Past the hook in another way, in one file
sys.cc/poll sys.cc/select: poll_cancellable() asks the hook by itself, as "poll"
os_linux_transfer.cc/syscall os_linux_transfer.cc/preadv2 os_linux_transfer.cc/pwritev2 os_linux_template.cc/syscall: of helpers that are called in the brackets
os_posix.cc/kill: of the process itself, in a signal handler
# Not of the system
strdup: memory, which tests fail by malloc
strerrordesc_np secure_getenv strtok_r: texts
'
allowed=$(sed -n 's/^\([a-z_][^#:]*\):.*/\1/p' <<<"$exempt" | tr ' ' '\n')

# Each call by its file, line and name, if it is in no such brackets.
outside() {
  awk '
    FNR == 1 { depth = 0; hooked = 0 }
    {
      line = $0
      gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
      sub(/\/\/.*/, "", line)
      before = ""
      while (line != "") {
        if (before !~ /[A-Za-z0-9_]$/ &&
            match(line, /^retry(_int|_cancellable)?\(/)) {
          if (!hooked) { hooked = 1; start = depth }
          size = RLENGTH - 1
        } else if (before !~ /[A-Za-z0-9_>:]$/ &&
                   match(line, /^::[a-z_0-9]+\(/)) {
          if (!hooked)
            print FILENAME ":" FNR ": " substr(line, 3, RLENGTH - 3)
          size = RLENGTH - 1
        } else {
          size = 1
          c = substr(line, 1, 1)
          if (c == "(") ++depth
          if (c == ")" && --depth == start) hooked = 0
        }
        before = substr(line, size, 1)
        line = substr(line, size + 1)
      }
    }' "$@"
}

bad=0
found=$(outside *.cc *.h)
used=
while read -r where name; do
  for reason in "$name" "${where%%:*}/$name"; do
    if grep -qxF -- "$reason" <<<"$allowed"; then
      used="$used $reason"
      continue 2
    fi
  done
  echo "$where $name() is called past the hook of sys.h, without a reason here"
  bad=1
done <<<"$found"
for name in $allowed; do
  case "$used " in
  *" $name "*) ;;
  *) echo "no $name() is called past the hook: its reason can go"; bad=1 ;;
  esac
done
exit $bad
