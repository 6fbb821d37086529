#!/usr/bin/env bash
# Each system's linker gets the flags that it knows.  Nothing is built; but make
# writes its flags, so it has a build folder of its own.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
log=$tmp/log
trap 'rm -rf "$tmp"' EXIT

# system NAME: what make would do there.
system() {
  make -B -n SYSTEM="$1" OS=posix B="$tmp/build" all \
    "$tmp/build/tests/api/test_pipe" install prefix=/usr >"$log" 2>&1 || {
    cat "$log"
    exit 1
  }
  name=$1
}
has() { grep -qE -- "$1" "$log" || { echo "$name: no $1"; exit 1; }; }
lacks() { ! grep -E -- "$1" "$log" || { echo "^ $name: $1"; exit 1; }; }

system Darwin
has '-dynamiclib -install_name @rpath/libgipc\.[0-9]+\.dylib '
has 'ln -sf libgipc\.[0-9]+\.dylib .*/libgipc\.dylib'
has 'install_name_tool -id ./usr/lib/libgipc\.[0-9]+\.dylib'
lacks '-soname|version-script|-Wl,-z|--as-needed|-ldl|libgipc\.so'

for bsd in FreeBSD OpenBSD NetBSD DragonFly; do
  system $bsd
  has '-shared -Wl,-soname,libgipc\.so\.[0-9]+ -Wl,--version-script=src/libgipc\.map'
  lacks '-ldl|-z,defs|dylib|install_name'
done

system Linux
has '-soname,libgipc\.so\.[0-9]+ .*-Wl,-z,defs'
has ' -ldl'
lacks 'dylib|install_name'

# The half of the library that is chosen by itself.
half() { make -n SYSTEM="$1" -f Makefile clean -p 2>/dev/null |
  sed -n 's/^B := build\///p'; }
unset OS
[ "$(half Darwin),$(half Linux)" = posix,linux ] || {
  echo "the wrong half: $(half Darwin),$(half Linux)"
  exit 1
}
