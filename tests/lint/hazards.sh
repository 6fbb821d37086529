#!/usr/bin/env bash
# Every hazard that a test names is in tests/HAZARDS.md, once.
set -eu
cd "$(dirname "$0")/../.."
listed() { sed -n 's/^| \(H[0-9]*\) |.*/\1/p' tests/HAZARDS.md; }
bad=0
twice=$(listed | sort | uniq -d)
[ -z "$twice" ] || { echo "several times in tests/HAZARDS.md: $twice"; bad=1; }
# Not the inputs of the fuzzers, where anything may stand.
named=$(git ls-files -co --exclude-standard tests bindings |
  grep -v -e '/corpus/' -e '^tests/HAZARDS\.md$' |
  while read -r f; do [ ! -e "$f" ] || echo "$f"; done |
  xargs grep -hoEI '\bH[1-9][0-9]{0,2}\b' | sort -u)
[ -n "$named" ] || { echo "no test names a hazard"; bad=1; }
for hazard in $named; do
  listed | grep -qx "$hazard" ||
    { echo "$hazard is not in tests/HAZARDS.md: $(grep -rlw "$hazard" tests bindings | head -n 1)"; bad=1; }
done
exit $bad
