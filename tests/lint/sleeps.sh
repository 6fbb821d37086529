#!/usr/bin/env bash
# No test sleeps to let something happen elsewhere: it waits for that in a loop.  A
# sleep of less than 10 seconds stands inside such a loop, or sleeps.tsv says of its
# line, in that file, why it is no bet on the machine's speed.
set -eu
cd "$(dirname "$0")/../.."
table=tests/lint/sleeps.tsv
git ls-files 'tests/*.py' 'tests/*.rb' 'tests/*.lua' 'tests/*.c' 'tests/*.cc' \
  'tests/*.h' | grep -vE '^tests/(bench|demo)/' | xargs awk -F '\t' -v table=$table '
FILENAME == table {
  if (!/^#/ && NF == 3 && $3 != "")
    reason[$1 "\t" $2] = $3
  next
}
FNR == 1 { loop = -9 }
{
  text = $0
  sub(/(^| )(#|--|\/\/|\/\*) .*/, "", text)
}
text ~ /(^|[^a-z])(while|until|repeat|loop|for|times)([^a-z]|$)/ { loop = FNR }
# The seconds, of a function or of sleep(1).
match(text, /sleep(\(|, \(| )[0-9.]+|"sleep", "[0-9.]+/) {
  seconds = substr(text, RSTART, RLENGTH)
  sub(/.*[^0-9.]/, "", seconds)
  line = $0
  sub(/^ +/, "", line)
  key = FILENAME "\t" line
  if (key in reason)
    used[key] = 1
  else if (seconds > 0 && seconds < 10 && FNR - loop > 5) {
    print FILENAME ":" FNR ": a sleep outside of a loop: " line
    bad = 1
  }
}
/(nano|u)sleep\(/ && FNR - loop > 5 {
  print FILENAME ":" FNR ": a sleep outside of a loop"
  bad = 1
}
END {
  for (key in reason)
    if (!(key in used)) {
      print table ": no such line: " key
      bad = 1
    }
  exit bad
}' $table
