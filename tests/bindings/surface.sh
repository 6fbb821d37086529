#!/usr/bin/env bash
# Prints which language has what, from surface.tsv, and fails if the table lacks a
# function of the library, names one twice, or has an empty cell.  Each language's
# tests check that the names of its column are there.
set -eu
cd "$(dirname "$0")/../.."
table=tests/bindings/surface.tsv
bad=0
listed=$(grep -v '^#' $table | cut -f1 | tr ' ' '\n' | sort)
exported=$(grep -oE '^ +gipc_[a-z0-9_]+;' src/libgipc.map | tr -d ' ;' | sort)
diff <(echo "$exported") <(echo "$listed") | sed -n "
  s|^<|$table has no line for|p; s|^>|$table has what the map has not, or twice:|p
" | grep . && bad=1
awk -F '\t' -v table=$table '
# Breaks a cell into lines of its column.
function wrap(column, text, width,    words, n, i) {
  lines[column] = 0
  n = split(text, words, " ")
  for (i = 1; i <= n; ++i) {
    if (lines[column] && length(line[column, lines[column]] " " words[i]) < width)
      line[column, lines[column]] = line[column, lines[column]] " " words[i]
    else
      line[column, ++lines[column]] = words[i]
  }
  if (lines[column] > height)
    height = lines[column]
}
function row(a, b, c, d,    i, j) {
  height = 0
  wrap(1, a, 36); wrap(2, b, 28); wrap(3, c, 28); wrap(4, d, 28)
  for (i = 1; i <= height; ++i) {
    for (j = 1; j <= 4; ++j)
      printf j == 1 ? "%-36s" : j < 4 ? "%-28s" : "%s\n", \
        i <= lines[j] ? line[j, i] : ""
  }
}
BEGIN { row("C", "Python", "Ruby", "Lua") }
!/^#/ {
  if (NF != 4) { print table ":" NR ": " NF " columns"; bad = 1 }
  for (i = 1; i <= NF; ++i)
    if ($i == "" || $i ~ /^- *$/) {
      print table ":" NR ": column " i " is empty"
      bad = 1
    }
  gsub(/option /, "")
  row($1, $2, $3, $4)
} END { exit bad }' $table || bad=1
exit $bad
