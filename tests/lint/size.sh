#!/usr/bin/env bash
# Nobody gets lost: short files, and nothing in git that a tool made.
set -eu
cd "$(dirname "$0")/../.."
bad=0
# But the public header, which is one file, whatever it promises, the manuals of the
# bindings, and the results of the benchmarks and descriptions of releases, which
# nobody writes.
if git ls-files -co --exclude-standard src bindings tests | grep -vE '/(corpus|results)/|/README\.md$|\.abi$' |
  xargs wc -l | awk '$2 != "total" && $1 > 500' | grep .; then
  echo "^ over 500 lines"
  bad=1
fi
if git ls-files | grep -E '(^|/)build/|\.(o|d|a|so|pyc|gcda|gcno)(\.[0-9.]+)?$|(^|/)core$'; then
  echo "^ build products in git"
  bad=1
fi
exit $bad
