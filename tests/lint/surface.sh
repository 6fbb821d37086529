#!/usr/bin/env bash
# tests/bindings/surface.tsv names every function of the library once, and has a
# name or a reason for each language.
set -eu
cd "$(dirname "$0")/../.."
table=tests/bindings/surface.tsv
bad=0
listed=$(grep -v '^#' $table | cut -f1 | tr ' ' '\n' | sort)
exported=$(grep -oE '^ +gipc_[a-z0-9_]+;' src/libgipc.map | tr -d ' ;' | sort)
diff <(echo "$exported") <(echo "$listed") | sed -n "
  s|^<|$table has no line for|p; s|^>|$table has what the map has not, or twice:|p
" | grep . && bad=1
awk -F '\t' -v table=$table '!/^#/ {
  if (NF != 4) { print table ":" NR ": " NF " columns"; bad = 1 }
  for (i = 1; i <= NF; ++i)
    if ($i == "" || $i ~ /^- *$/) { print table ":" NR ": column " i " is empty"; bad = 1 }
} END { exit bad }' $table || bad=1
exit $bad
