#!/usr/bin/env bash
# The rooms of src/: a file includes only its own room and those above it.  This
# is the list that counts; the table of README.md is held to it.
set -eu
cd "$(dirname "$0")/../../src"

# One room a line; every file (its name up to a dot or _) is in one of them.
rooms='relaxed fd sys os
buffer assembly deadline error frame this
inbox outbox descriptors control membership waker live
json trace
ring
transfer incoming outgoing channel driver
receiver sender
watch orphaned
handle blocking flush
push
inherit notify
options
setup
guard
program
status
tree
process detached
overview
wait fork exec
launch
template
policy
supervisor supervised action last
pool worker keeper
capi'

bad=0
complain() { echo "$*"; bad=1; }
room_of() { # the line number of a file's room; the os_* are one file
  local name=${1%%[._]*}
  echo "$rooms" | awk -v n="$name" '{ for (i = 1; i <= NF; i++)
    if ($i == n) print NR }'
}
# forbid PATTERN WHY FILE...: no line of the files may match.
forbid() {
  local pattern=$1 why=$2
  shift 2
  if grep -nHE -- "$pattern" "$@"; then complain "^ $why"; fi
}
reached() { # the files, and all headers of ours that they come to
  local seen=' ' queue="$*" file
  while [ -n "$queue" ]; do
    file=${queue%% *}
    queue=${queue#"$file"} queue=${queue# }
    case $seen in *" $file "*) continue ;; esac
    seen="$seen$file "
    queue="$queue${queue:+ }$(sed -n 's/^ *# *include "\(.*\)".*/\1/p' "$file" |
      grep -v '^gipc\.h$' | paste -sd ' ')"
    queue=${queue% }
  done
  echo "$seen"
}
but() { # every source file whose name does not match
  printf '%s\n' *.cc *.h | grep -vE "^($1)$"
}

for file in $(but none); do
  mine=$(room_of "$file")
  [ -n "$mine" ] || { complain "$file is in no room"; continue; }
  # shellcheck disable=SC2013 # no file name has a space
  for included in $(sed -n 's/^ *# *include "\(.*\)".*/\1/p' "$file"); do
    [ "$included" != gipc.h ] || continue
    [ "$(room_of "$included")" -le "$mine" ] 2>/dev/null ||
      complain "$file includes $included, a room below it"
  done
done

# shellcheck disable=SC2046 # no file name has a space
{
  forbid 'include <ev(\+\+)?\.h>' \
    'only watch.cc and orphaned_loops.cc include <ev.h>' \
    $(but '(watch|orphaned_loops)\.cc')
  forbid '__(linux|gnu_linux|GLIBC|APPLE|unix|(Free|Net|Open)BSD)__|_WIN32' \
    'only os_* names a kernel or a C library' $(but 'os_.*\.(cc|h)')
  forbid 'extern "C"[^;]*[({]|GIPC_API' 'only capi*.cc defines public functions' \
    $(but 'capi.*\.cc')
  forbid 'include ["<](sys|os|unistd|poll|sys/socket)\.h' \
    'the frame engine knows no descriptor' {buffer,assembly,frame,inbox,outbox}.*
  forbid 'include ["<](sys|os|unistd|poll|time|ctime|chrono|cstdio|watch|deadline|handle|process)[."/>]|(^|[ (!])::[a-z_]+\(' \
    'the policy does no I/O, and knows no clock and no loop' policy*
  forbid 'include "(watch|orphaned_loops|handle|push|process)\.h|<csignal>' \
    'a status knows no loop and no signal' status.*
}

# Nothing that runs between fork and exec comes to a loop, by any header.
for file in {fd,sys,os,this,control,options,setup,program}[._]*; do
  for header in $(reached "$file"); do
    case $header in
    watch.h | orphaned_loops.h | handle.h | push.h | process.h)
      complain "$file, of what runs between fork and exec, comes to $header"
      ;;
    esac
  done
done

# The table of the README has a row for each room, with its files.
row=0
while read -r names; do
  row=$((row + 1))
  for name in $names; do
    [ "$(room_of "$name")" = "$row" ] ||
      complain "README.md has $name in row $row, which is not its room"
  done
  for room in $(sed -n "${row}p" <<<"$rooms"); do
    [[ " $names" =~ \ $room(_|\ |$) ]] || complain "README.md: row $row lacks $room"
  done
done < <(sed -n '/^| Files/,/^$/s/^| \(`[^|]*\) |.*/\1/p' ../README.md | tr -d '\`')
[ "$row" = "$(wc -l <<<"$rooms")" ] ||
  complain "README.md has $row rows of rooms, not as many as there are"

cd ..
# What the top level has, beside dot files: what a tool leaves there is not of the project.
for name in $(git ls-files -co --exclude-standard | cut -d/ -f1 | sort -u); do
  case $name in
  .* | Makefile | include | src | bindings | tests | man | pkgconfig | README.md | LICENSE | CHANGELOG.md) ;;
  *) complain "$name does not belong into the top level" ;;
  esac
done

# The README has every file by its name, and no test that is not there.
for file in src/*.cc src/*.h bindings/python/gipc/[!_]*.py \
  bindings/python/gipc/_[!_]*.py bindings/ruby/lib/gipc/*.rb \
  bindings/lua/gipc/*.lua bindings/lua/gipc/loop/*.lua; do
  name=${file##*/}
  grep -qE "\`${name%.*}(\.|\`)" README.md || complain "README.md lacks $file"
done
for name in $(grep -oE '\btest_[a-z_]+\.cc?\b' README.md | sort -u); do
  compgen -G "tests/*/$name" >/dev/null || complain "README.md has no $name"
done
exit $bad
