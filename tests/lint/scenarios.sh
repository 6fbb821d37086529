#!/usr/bin/env bash
# Every language's tests carry every name of tests/bindings/scenarios.
set -eu
cd "$(dirname "$0")/../bindings"
bad=0
for language in */; do
  while read -r name; do
    case $name in '#'* | '') continue ;; esac
    grep -rqsE "test_$name|['\"]$name" "$language" ||
      { echo "tests/bindings/$language has no test of $name" && bad=1; }
  done <scenarios
done
exit $bad
