#!/usr/bin/env bash
# The tarball of a release has every file of the checkout and nothing else; it and what
# is made from it alone are alike, whatever the umask, the times of the files and the
# day are; versions, names and checksums agree.  `make check-dist` installs all parts.
set -eu
cd "$(dirname "$0")/../.."
for tool in git zip; do
  command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
git rev-parse --git-dir >/dev/null 2>&1 || { echo "not a repository"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
version=$(sed -n 's/^.define GIPC_VERSION_[A-Z]* //p' include/gipc.h | paste -sd.)
name=libgipc-$version

# In a repository of its own, where a file is ignored, one is not yet committed, and
# one is deleted.
mkdir "$tmp/tree"
git ls-files -z -co --exclude-standard |
  while read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
  tar --null -T - -cf - | tar -xf - -C "$tmp/tree"
cd "$tmp/tree"
git init -q
git add -A
git -c user.name=test -c user.email=test@localhost commit -qm all
mkdir build
touch build/product src/left.o "new file"
rm README.md
SOURCE_DATE_EPOCH=1700000000 pkgconfig/dist "$tmp/one" source meson lua
find . -path ./.git -prune -o -type f -exec touch -d 2001-01-01 {} +
(umask 077 && SOURCE_DATE_EPOCH=1700000000 TZ=Asia/Tokyo pkgconfig/dist "$tmp/two" \
  source meson lua)
diff -r "$tmp/one" "$tmp/two" || fail "^ a second time it is something else"
(cd "$tmp/one" && sha256sum --quiet -c SHA256SUMS) || fail "^ wrong checksums"
[ "$(wc -l <"$tmp/one/SHA256SUMS")" = $(($(find "$tmp/one" -type f | wc -l) - 1)) ] ||
  fail "a file without a checksum"

tar -xzf "$tmp/one/$name.tar.gz" -C "$tmp"
diff -r --no-dereference --exclude=.git --exclude=build --exclude=left.o \
  . "$tmp/$name" || fail "^ not what is here"
for product in build src/left.o; do
  [ ! -e "$tmp/$name/$product" ] || fail "a product of the build is in the tarball: $product"
done
[ -z "$(tar -tvzf "$tmp/one/$name.tar.gz" | awk '$2 != "0/0" || $4 != "2023-11-14"')" ] ||
  fail "an owner or a time of this place is in the tarball"
# A tarball makes the same tarball.
"$tmp/$name/pkgconfig/dist" "$tmp/three" source
cmp "$tmp/one/$name.tar.gz" "$tmp/three/$name.tar.gz" || fail "^ not the same again"

rock=gipc-$version-1
unzip -qo "$tmp/one/$rock.src.rock" -d "$tmp/rock"
cmp "$tmp/rock/$name.tar.gz" "$tmp/one/$name.tar.gz"
cmp "$tmp/rock/$rock.rockspec" "$tmp/one/$rock.rockspec"
! command -v luarocks >/dev/null || luarocks lint "$tmp/one/$rock.rockspec"
DOWNLOADS=https://example.org/files/ HOMEPAGE=https://example.org pkgconfig/dist \
  "$tmp/four" lua
grep -q "^  url = \"https://example.org/files/$name.tar.gz\",$" "$tmp/four/$rock.rockspec"
grep -q '^  homepage = "https://example.org",$' "$tmp/four/$rock.rockspec"
