#!/usr/bin/env bash
# H140: nothing is sent to a socket whose hangup is a signal to the child: the kernel
# may signal a message after the child has read it, which ends a child whose parent
# lives.  That is too rare to wait for, so this asks strace(1) who sends where.
set -eu
cd "$(dirname "$0")/../.."
tests=${GIPC_TEST_BUILD:-build/linux}/tests/api

strace true 2>/dev/null || {
  echo "strace cannot be used here"
  exit 77
}
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT

# The daemons of forks, of programs and of templates, and templates.
for program in test_process_daemon test_template_options test_template; do
  strace -f -qq -yy -e trace=fcntl,?fcntl64,%network,write,writev \
    -o "$trace" "$tests/$program" >/dev/null 2>&1 || {
    echo "$program fails under strace"
    exit 1
  }
  awk -v program="$program" '
    # A socket is [ITS INODE->THAT OF ITS PEER].
    match($0, /[a-z0-9]+\([0-9]+<UNIX[^>]*\[[0-9]+->[0-9]+\]/) {
      socket = substr($0, RSTART, RLENGTH)
      sub(/.*\[/, "", socket)
      sub(/\]/, "", socket)
      split(socket, inode, "->")
      if (/F_SETFL, .*ASYNC/) watched[socket] = 1
      else if (/ (send|write)[a-z]*\(/) sent[inode[2] "->" inode[1]] = $0
    }
    END {
      for (socket in watched) {
        ++lifelines
        if (socket in sent) {
          print "to a lifeline: " sent[socket]
          ++wrong
        }
      }
      print program ": " lifelines + 0 " lifelines"
      exit wrong > 0 || lifelines == 0
    }' "$trace"
done
