#!/usr/bin/env bash
# pkg-config gives all that a C or C++ program needs, shared and static.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

make -s -C ../.. install prefix="$tmp/usr" >/dev/null
export PKG_CONFIG_PATH=$tmp/usr/lib/pkgconfig
export LD_LIBRARY_PATH=$tmp/usr/lib
version=$(pkg-config --modversion gipc)
flags() { pkg-config --cflags "$@" gipc; }
links_shared() { readelf -dW "$1" | grep -q 'NEEDED.*libgipc'; }
cc=${CC:-cc} cxx=${CXX:-c++}
cp consumer.c "$tmp/consumer.cc"

# shellcheck disable=SC2046 # words are what pkg-config prints
{
  "$cc" consumer.c -o "$tmp/c" $(flags --libs)
  "$cxx" "$tmp/consumer.cc" -o "$tmp/cxx" $(flags --libs)
  # With no shared library about, the linker takes the static one ...
  mkdir "$tmp/away"
  mv "$tmp/usr/lib/"libgipc.so* "$tmp/away"
  "$cc" consumer.c -o "$tmp/c-static" $(flags --static --libs)
  "$cxx" "$tmp/consumer.cc" -o "$tmp/cxx-static" $(flags --static --libs)
  # ... and this one takes nothing but static ones.
  "$cc" -static consumer.c -o "$tmp/all-static" $(flags --static --libs)
  mv "$tmp/away/"* "$tmp/usr/lib"
}

for program in c cxx c-static cxx-static all-static; do
  "$tmp/$program" "$version" || { echo "^ $program"; exit 1; }
  case $program in
  c | cxx) links_shared "$tmp/$program" ;;
  *) ! links_shared "$tmp/$program" ;;
  esac || { echo "$program is linked with the wrong library"; exit 1; }
done
