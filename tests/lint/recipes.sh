#!/usr/bin/env bash
# The descriptions of packages name the version of the header, and the symbols of Debian
# are those of the map.  (Those of Conan and Nix read the header.)
set -eu
cd "$(dirname "$0")/../.."
number() { sed -n "s/^#define GIPC_VERSION_$1 //p" include/gipc.h; }
version=$(number MAJOR).$(number MINOR).$(number PATCH)
bad=0
# names FILE EXPRESSION: what sed finds in the file is the version.
names() {
  local found
  found=$(sed -nE "$2" "$1" | sed -n 1p)
  [ "$found" = "$version" ] || {
    echo "$1: version '$found', not $version as in include/gipc.h"
    bad=1
  }
}
names pkgconfig/debian/changelog '1s/^libgipc \(([0-9.]*)-.*/\1/p'
names pkgconfig/rpm/libgipc.spec 's/^Version: +//p'
# shellcheck disable=SC2016 # $ is the last line
names pkgconfig/rpm/libgipc.spec '/^%changelog/,$s/^\* .* - ([0-9.]*)-.*/\1/p'
names pkgconfig/vcpkg/libgipc/vcpkg.json 's/^ *"version": "(.*)",/\1/p'

# A name, its node, and the version that has it first: GIPC_0.1 is of 0.1.0.
diff <(sed -n 's/^ \([^ ]*\) .*/\1/p' pkgconfig/debian/libgipc0.symbols | LC_ALL=C sort) \
  <(awk '/^GIPC_/ { node = $1; print node "@" node }
    /^ *gipc_[a-z_]*;$/ { gsub(/[ ;]/, ""); print $0 "@" node }' src/libgipc.map | LC_ALL=C sort) || {
  echo "^ pkgconfig/debian/libgipc0.symbols (<) and src/libgipc.map (>)"
  bad=1
}
if sed -n 's/^ .*@GIPC_\([^ ]*\) \(.*\)/\1.0 \2/p' pkgconfig/debian/libgipc0.symbols |
  awk '$1 != $2' | grep .; then
  echo "^ pkgconfig/debian/libgipc0.symbols: another version than that of the node"
  bad=1
fi
exit $bad
