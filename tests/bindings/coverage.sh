#!/usr/bin/env bash
# Reads what the test runners of the languages reported, a line for each test:
# language, loop, name, passed|failed|skipped; and fails if a scenario has not run
# and passed on a loop that not_applicable.tsv does not list for it, or if it did on
# one that is listed.  Prints the sums.
#   tests/bindings/coverage.sh LANGUAGE...
# A loop is absent, and skipped, if its runner reports that of each of its tests.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${GIPC_TEST_BUILD:-$here/../../build/linux}
loops='python plain gevent asyncio uvloop trio
ruby threads async eventmachine
lua own none custom luv cqueues copas'

[ $# != 0 ] || exit 0
cd "$here"
reports=()
for language; do
  reports+=("$build/results/$language.tsv")
  [ -e "${reports[-1]}" ] || { echo "$language has reported no test" && exit 1; }
done
awk -F '\t' -v table=not_applicable.tsv -v loops="$loops" -v asked="$*" \
  -v half="${GIPC_TEST_OS:-linux}" '
function fail(text) {
  print text
  bad = 1
}
# Whether a line of the table is of a scenario: it names it, or it is of all but
# those that it names.
function covers(line, scenario,    named) {
  named = index(" " scenarios_of[line] " ", " " scenario " ") != 0
  return scenarios_of[line] ~ /^all( |$)/ ? !named : named
}
# The line of the table that says why a cell is empty.
function line_of(language, loop, scenario,    i) {
  for (i = 1; i <= lines; ++i)
    if (language_of[i] == language && index(" " loops_of[i] " ", " " loop " ") &&
        covers(i, scenario)) {
      used[i] = 1
      return i
    }
  return 0
}
function check(language, loop, scenario,    cell, line, ran) {
  cell = language " " loop " " scenario
  line = line_of(language, loop, scenario)
  ran = cell in outcome && outcome[cell] == "passed"
  if (line && ran)
    fail(cell ": passed, but " table " says: " reason_of[line])
  else if (line)
    ++listed
  else if (ran)
    ++passed
  else
    fail(cell ": " (cell in outcome ? outcome[cell] : "no test of that name"))
}
function check_loop(language, loop,    i) {
  passed = listed = 0
  if (absent[language, loop] && !present[language, loop]) {
    printf "%-7s %-13s is not here\n", language, loop
    # What is listed for it cannot be stale here.
    for (i = 1; i <= count; ++i)
      line_of(language, loop, scenario_of[i])
    return
  }
  for (i = 1; i <= count; ++i)
    check(language, loop, scenario_of[i])
  printf "%-7s %-13s %d of %d scenarios passed, %d do not apply\n", language, loop,
         passed, count, listed
}
FILENAME == "scenarios" {
  if ($0 != "" && $0 !~ /^#/)
    scenario_of[++count] = $0
  next
}
FILENAME == table {
  if ($0 == "" || $0 ~ /^#/)
    next
  if (NF != 4 || $4 == "")
    fail(table ":" FNR ": a line is language, loops, scenarios, reason")
  split($1, of, " ") # perhaps with the half of the library
  if (of[2] != "" && of[2] != half || !index(" " asked " ", " " of[1] " "))
    next
  language_of[++lines] = of[1]
  number_of[lines] = FNR
  loops_of[lines] = $2
  scenarios_of[lines] = $3
  sub(/^all but/, "all", scenarios_of[lines])
  reason_of[lines] = $4
  next
}
{
  if (NF != 4)
    fail(FILENAME ":" FNR ": a line is language, loop, test, outcome")
  name = $3
  sub("_under_" $2 "$", "", name)
  cell = $1 " " $2 " " name
  # The worst of those that have the name: but one may be skipped.
  if ($4 == "failed" || !(cell in outcome) || outcome[cell] == "skipped")
    outcome[cell] = $4
  if ($4 == "skipped")
    absent[$1, $2] = 1
  else
    present[$1, $2] = 1
}
END {
  n = split(loops, line, "\n")
  for (i = 1; i <= n; ++i) {
    m = split(line[i], word, " ")
    for (j = 2; j <= m && index(" " asked " ", " " word[1] " "); ++j)
      check_loop(word[1], word[j])
  }
  for (i = 1; i <= lines; ++i)
    if (!used[i])
      fail(table ":" number_of[i] ": of no scenario, or of no loop")
  exit bad
}' scenarios not_applicable.tsv "${reports[@]}"
