#!/usr/bin/env bash
# What .ci/deps installs starts no daemon: for the time of the installation a
# policy forbids it, and then it is away again, also after a failure.  A policy
# that the machine has is left as it is.  What only new releases have is installed with
# what is missing, and is no reason to look for packages by itself.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }

# A package that is always missing, and a policy that is not this machine's.
sed -e '/^table=/a\' -e 'lint some-daemon yes false' \
  -e "s|/usr/sbin/policy-rc.d|$tmp/policy|" .ci/deps >"$tmp/deps"
grep -q "$tmp/policy" "$tmp/deps" || fail "no policy in .ci/deps"
mkdir "$tmp/bin"
cat >"$tmp/bin/apt-get" <<EOF
#!/bin/sh
[ "\$1" = install ] || exit 0
echo "\$@" >"$tmp/installed"
status=0
"$tmp/policy" openssh-server start || status=\$?
echo \$status >"$tmp/answer"
exit \$(cat "$tmp/result")
EOF
printf '#!/bin/sh\n' >"$tmp/bin/apt-cache"
printf '#!/bin/sh\nexec "$@"\n' >"$tmp/bin/sudo"
chmod +x "$tmp/bin/"*

# installs RESULT-OF-APT ANSWER-OF-THE-POLICY
installs() {
  local status=0
  echo "$1" >"$tmp/result"
  DEPS='' PATH=$tmp/bin:$PATH bash "$tmp/deps" lint >"$tmp/log" 2>&1 ||
    status=$?
  [ $status = "$1" ] || { cat "$tmp/log"; fail "status $status, not $1"; }
  [ "$(cat "$tmp/answer")" = "$2" ] ||
    fail "a daemon may be started: $(cat "$tmp/answer")"
}
for result in 0 100; do
  installs $result 101
  [ ! -e "$tmp/policy" ] || fail "the policy is left behind (apt: $result)"
done

printf '#!/bin/sh\nexit 104\n' >"$tmp/policy"
chmod +x "$tmp/policy"
installs 0 104
[ -e "$tmp/policy" ] || fail "the policy of the machine is gone"

# table LINES: with these packages alone.
table() {
  {
    sed "/^table='/,\$d" .ci/deps
    echo "table='$1'"
    sed "1,/^'$/d" .ci/deps
  } >"$tmp/deps"
  rm -f "$tmp/answer"
  DEPS='' PATH=$tmp/bin:$PATH bash "$tmp/deps" lint >"$tmp/log" 2>&1 ||
    fail "$1: $(cat "$tmp/log")"
}
echo 0 >"$tmp/result"
table 'lint some-new new false'
[ ! -e "$tmp/answer" ] || fail "a package of new releases is looked for"
table 'lint some no false
lint some-new new false'
[ -e "$tmp/answer" ] || fail "an optional package is not looked for"
grep -q 'some some-new' "$tmp/installed" || fail "what new releases have is left out"
