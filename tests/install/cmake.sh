#!/usr/bin/env bash
# A CMake project uses the library: the installed one that find_package finds, also
# when it was moved, and the sources that it adds with add_subdirectory; shared and
# static, in C and in C++.
set -eu
cd "$(dirname "$0")/../.."
for tool in cmake ninja; do
  command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
quietly() { "$@" >"$tmp/log" 2>&1 || { tail -n 40 "$tmp/log" && fail "^ $*"; }; }
os=${GIPC_TEST_OS:-linux}
version=$(sed -n 's/^.define GIPC_VERSION_[A-Z]* //p' include/gipc.h | paste -sd.)

mkdir "$tmp/c" "$tmp/cxx"
cp tests/install/consumer.c "$tmp/c/consumer.c"
cp tests/install/consumer.c "$tmp/cxx/consumer.cxx"
# project FOLDER LANGUAGE LINE: one that links with $target what the line provides.
project() {
  cat >"$tmp/$1/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.13...3.31)
project(consumer LANGUAGES $2)
$3
add_executable(consumer consumer.$1)
target_link_libraries(consumer PRIVATE \${target})
END
}
# works NAME FOLDER TARGET linked|inside [OPTION...]
works() {
  local name=$1 folder=$2 target=$3 how=$4 linked=inside
  shift 4
  quietly cmake -G Ninja -S "$tmp/$folder" -B "$tmp/$name" -Dtarget="$target" "$@"
  quietly cmake --build "$tmp/$name"
  "$tmp/$name/consumer" "$version" || fail "$name does not run"
  ! readelf -dW "$tmp/$name/consumer" | grep -q 'NEEDED.*libgipc' || linked=linked
  [ $linked = "$how" ] || fail "$name: the library is $linked, not $how"
}
fails() { # MESSAGE [OPTION...]
  local message=$1
  shift
  ! cmake -G Ninja -S "$tmp/c" -B "$tmp/fails" "$@" >"$tmp/log" 2>&1 ||
    fail "no error: $*"
  tr -s ' \n' ' ' <"$tmp/log" | grep -qE "$message" || { cat "$tmp/log"; fail "not so: $message"; }
  rm -rf "$tmp/fails"
}

# ---- find_package ------------------------------------------------------------

make -s install OS="$os" DESTDIR="$tmp/image" prefix=/opt/gipc libdir=/opt/gipc/lib/odd >/dev/null
mv "$tmp/image/opt/gipc" "$tmp/a moved one"
at=(-Dgipc_DIR="$tmp/a moved one/lib/odd/cmake/gipc")
! grep -r "$tmp" "$tmp/a moved one/lib/odd/cmake" || fail "^ a path of this place"
project c C 'find_package(gipc 0.1 REQUIRED)'
project cxx CXX 'find_package(gipc 0.1 REQUIRED)'
works found-c c gipc::gipc linked "${at[@]}"
works found-cxx cxx gipc::gipc linked "${at[@]}"
works found-static c gipc::gipc_static inside "${at[@]}"
works found-static-cxx cxx gipc::gipc_static inside "${at[@]}"
fails 'Could not find a package configuration file provided by "gipc"'
# The static library stands in for the other; libev is part of what it needs.
rm "$tmp/a moved one/lib/odd/"libgipc.so*
works found-only-static c gipc::gipc inside "${at[@]}"
fails 'not both of .*libgipc.a and libev' "${at[@]}" -DGIPC_EV_LIBRARY=
for wrong in "${version%.*}.99" 99; do
  project c C "find_package(gipc $wrong REQUIRED)"
  fails "compatible with requested version" "${at[@]}"
done

# ---- add_subdirectory --------------------------------------------------------

project c C "add_subdirectory(\"$PWD/pkgconfig/cmake\" gipc)"
options=(-DGIPC_OS="$os" -DCMAKE_CXX_FLAGS=-O0 -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)
quietly cmake -G Ninja -S "$tmp/c" -B "$tmp/added" -Dtarget=gipc::gipc "${options[@]}"
# It compiles what the Makefile compiles.
diff <(make -s sources OS="${GIPC_TEST_OS:-linux}" | sort) \
  <(sed -nE 's|^ *"file": ".*/(src/.*)",?|\1|p' "$tmp/added/compile_commands.json" | sort) ||
  fail "^ other sources"

# The library is compiled once more, which is left to `make check-dist`; in one folder,
# so that it is not twice.
[ "${GIPC_TEST_LONG:-}" = 1 ] || exit 0
works added c gipc::gipc inside "${options[@]}" -DBUILD_SHARED_LIBS=OFF
works added c gipc::gipc linked "${options[@]}" -DBUILD_SHARED_LIBS=ON
exported() { nm -D --defined-only "$1" | awk '{ print $3 }' | sort; }
diff <(exported "${GIPC_TEST_BUILD:-build/linux}/libgipc.so") \
  <(exported "$tmp/added/gipc/libgipc.so") || fail "^ other exports"
soname() { readelf -dW "$1" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p'; }
[ "$(soname "$tmp/added/gipc/libgipc.so")" = \
  "$(soname "${GIPC_TEST_BUILD:-build/linux}/libgipc.so")" ] || fail "another soname"
