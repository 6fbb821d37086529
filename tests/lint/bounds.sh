#!/usr/bin/env bash
# No test has a bound that a busy machine exceeds: what must happen, and needs no time
# by itself, has 10 seconds at least, mostly 60.  A bound that is to expire is shorter
# than a second, and one that is not waited for is 1 in C.  bounds.tsv says of a line
# why its bound is right.  Columns, separated by tabs: file, line, reason.
set -eu
cd "$(dirname "$0")/../.."
table=tests/lint/bounds.tsv
number='[1-9](\.[0-9]+)?'
{
  git ls-files 'tests/bindings/lua/*.lua' |
    xargs grep -HnE ":(get|join|stop|close|wait|wait_ready)\(($number)\)|gipc\.wait\([^()]*, $number\)" || true
  git ls-files 'tests/bindings/*.py' 'tests/bindings/*.rb' | grep -v /typed_ |
    xargs grep -HnE "(timeout(=|: )|join\(|\.wait\()$number[,)]|(began|begin|started) < $number( |$)" || true
  git ls-files 'tests/*.c' 'tests/*.cc' | grep -vE '^tests/(bench|demo)/' |
    xargs grep -HnE "gipc_(get|process_join|process_stop)\([^,;]*, [2-9](\.[0-9]+)?[,)]|now\(\) - [a-z]+ < $number[;) ]" || true
} | awk -F '\t' -v table=$table '
BEGIN {
  while ((getline < table) > 0)
    if (!/^#/ && NF == 3 && $3 != "")
      reason[$1 "\t" $2] = $3
}
{
  file = line = $0
  sub(/:.*/, "", file)
  sub(/^[^:]*:[0-9]+: */, "", line)
  key = file "\t" line
  if (key in reason)
    used[key] = 1
  else {
    print $0
    bad = 1
  }
}
END {
  for (key in reason)
    if (!(key in used)) {
      print table ": no such line: " key
      bad = 1
    }
  if (bad) print "^ a bound under 10 seconds"
  exit bad
}'
