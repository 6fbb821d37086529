#!/usr/bin/env bash
# tests/run says which tests were skipped and why, without all the output.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/launch" "$tmp/api"

cat >"$tmp/api/test_some" <<'EOF'
#!/bin/sh
echo '[ RUN      ] first'
echo '[       OK ] first'
echo '[ RUN      ] second'
echo 'skipped: there is no kernel'
echo '[  SKIPPED ] second'
echo '[ RUN      ] third'
echo '[  SKIPPED ] third'
echo '[ RUN      ] fourth'
echo 'only on Sundays'
echo '[  SKIPPED ] fourth'
echo '[  PASSED  ] 1 test(s).'
echo '[  SKIPPED ] 3 test(s), listed below:'
echo '[  SKIPPED ] second'
echo '[  SKIPPED ] third'
echo '[  SKIPPED ] fourth'
EOF
printf '#!/bin/sh\necho noise\necho no compiler here\nexit 77\n' >"$tmp/one.sh"
cat >"$tmp/launch/run" <<'EOF'
#!/bin/sh
echo 'skipped ssh: no server'
echo 'skipped ssh: no server'
echo '1 passed, 0 failed, 2 skipped'
EOF
chmod +x "$tmp"/*.sh "$tmp"/*/*

V='' tests/run "$tmp/api/test_some" "$tmp/one.sh" "$tmp/launch/run" |
  grep -v '^ok ' >"$tmp/shown"
diff - "$tmp/shown" <<EOF
       skipped fourth: only on Sundays
       skipped second: there is no kernel
       skipped third: it does not say why
       skipped $tmp/one.sh: no compiler here
       skipped ssh: no server (2 times)
2 passed, 0 failed, 6 skipped
EOF
