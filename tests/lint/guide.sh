#!/usr/bin/env bash
# The sources of the guide, without a build of it: programs are files that the tests
# run, pages and pictures are used, and names and numbers are those of the library.
set -eu
cd "$(dirname "$0")/../.."
guide=man/guide
bad=0
complain() { echo "$*"; bad=1; }

# A program is included from a file whose output the tests compare, or from the README,
# whose program tests/install/readme.sh runs.
for file in $(sed -nE 's/^`*\{literalinclude\} (.*)/\1/p' $guide/*.md | sort -u); do
  path=${file#../../}
  case $path in
  README.md) continue ;;
  tests/examples/*) ;;
  *) complain "$file is not in tests/examples" ;;
  esac
  [ -e "$path" ] || complain "there is no $path"
  [ -e "${path%.*}.expected" ] || complain "$path has no expected output"
  name=$(basename "$path" .lua)
  case $path in
  *.lua) grep -qE "\\b${name#loop_}\\b" tests/bindings/lua/test_documents.lua ||
    complain "no test of Lua runs $path" ;;
  esac
done
if grep -nE '^ *`{3,} *(c|python|py|ruby|rb|lua|sh)$' $guide/*.md; then
  complain "^ a program that no test runs: include it from tests/examples"
fi

# Each page is in a table of contents, each picture on a page, and the other way round.
for page in "$guide"/*.md; do
  name=$(basename "$page" .md)
  [ "$name" = index ] || grep -qx "$name" $guide/*.md ||
    complain "$page is in no table of contents"
done
for picture in $(grep -ho 'generated/[a-z_]*\.svg' $guide/*.md); do
  [ -e "$guide/pictures/$(basename "$picture" .svg).dot" ] ||
    complain "there is no source of $picture"
done
for picture in "$guide"/pictures/*.dot; do
  grep -q "generated/$(basename "$picture" .dot).svg" $guide/*.md ||
    complain "$picture is on no page"
done

# Functions and pages: gipc_put(3), and gipc_put() in a picture.
names=$(awk '/^\.Sh/ { on = $2 == "NAME" } on && $1 == ".Nm" {
  section = FILENAME; sub(/.*\./, "", section); print $2 "(" section ")" }' man/*.[357]
  basename -a man/*.[357] | sed -E 's/(.*)\.(.)/\1(\2)/')
for name in $(grep -ohE '\bgipc[a-z_]*\([357]\)' $guide/*.md | sort -u); do
  grep -qxF "$name" <<<"$names" || complain "the guide has $name, which is no page"
done
for name in $(grep -ohE '\bgipc_[a-z_]+\(\)' $guide/*.md $guide/pictures/*.dot | sort -u); do
  grep -qF "${name%()}(" include/gipc.h || complain "the guide has $name, which is no function"
done
# What the index of tasks has of the other languages is in the table that tests check.
for name in $(sed -n '/^|/p' $guide/tasks.md | grep -oE '`[^`]*`' | tr -d '`' | tr ' ' '~'); do
  grep -qwF -- "${name//\~/ }" tests/bindings/surface.tsv ||
    complain "tasks.md has ${name//\~/ }, which is not in surface.tsv"
done

# The defaults of gipc(3), which the guide shows, are those that the header states.
header=$(tr -s ' *\n' ' ' <include/gipc.h)
page=$(sed -n '/^\.Sh DEFAULTS/,/^\.Sh THREADS/p' man/gipc.3 | tr '\n' ' ')
same() { # pattern of the header, pattern of the page
  grep -qE -- "$1" <<<"$header" || complain "gipc.h does not say: $1"
  grep -qE -- "$2" <<<"$page" || complain "gipc(3), DEFAULTS, does not say: $2"
}
same 'define GIPC_DEFAULT_LIMIT \(\(size_t\)1 << 30\)' 'Message limit 1 GiB'
same 'define GIPC_DEFAULT_READ_LIMIT \(\(size_t\)64 << 20\)' 'Read limit 64 MiB'
same 'low \(default 64 KiB\).*high \(default 256 KiB\)' 'marks 64 KiB and 256 KiB'
same 'default 4096 messages and 256 KiB' 'budget 4096 messages or 256 KiB'
same 'Default 60\.' 'Exit timeout 60 seconds'
exit $bad
