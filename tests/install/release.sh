#!/usr/bin/env bash
# The checks of .ci/release pass for a tree that can be released, and find each reason
# why it cannot; a dry run leaves no tag.
set -eu
cd "$(dirname "$0")/../.."
for tool in git zip gem swig; do
  command -v $tool >/dev/null || { echo "no $tool"; exit 77; }
done
git rev-parse --git-dir >/dev/null 2>&1 || { echo "not a repository"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
version=$(sed -n 's/^.define GIPC_VERSION_[A-Z]* //p' include/gipc.h | paste -sd.)

# What is released, in a repository of its own.
mkdir "$tmp/tree"
git ls-files -z -co --exclude-standard -- .ci .gitignore CHANGELOG.md LICENSE Makefile \
  bindings include pkgconfig src tests/abi |
  while read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
  tar --null -T - -cf - | tar -xf - -C "$tmp/tree"
cd "$tmp/tree"
mkdir -p "tests/abi/${version%.*}"
cp include/gipc.h "tests/abi/${version%.*}"
echo '<abi-corpus/>' >"tests/abi/${version%.*}/libgipc.abi"
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@localhost
export GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@localhost
git init -q
git add -A
git commit -qm all

.ci/release --dry-run >"$tmp/log" 2>&1 || { cat "$tmp/log" && fail "^ refused"; }
grep -qx "$version can be released: .ci/release" "$tmp/log" || fail "it does not say so"
[ -z "$(git tag)$(git status --porcelain)" ] || fail "it left something"

refused() { # MESSAGE: as the tree is now, which is then as before.
  git add -A
  [ "$1" = "the tree has changes" ] || git commit -q --allow-empty -m planted
  ! .ci/release --dry-run >"$tmp/log" 2>&1 || fail "not refused: $1"
  grep -q "^.ci/release: .*$1" "$tmp/log" || { cat "$tmp/log" && fail "^ not: $1"; }
  git reset -q --hard "$first"
}
first=$(git rev-parse HEAD)
echo more >>LICENSE
refused "the tree has changes"
sed -i "s/^## $version/## Unreleased/" CHANGELOG.md
refused "CHANGELOG.md does not begin with $version"
sed -i 's/^\(.define GIPC_VERSION_PATCH\) .*/\1 77/' include/gipc.h
refused "CHANGELOG.md does not begin with ${version%.*}.77"
echo '/* changed */' >>include/gipc.h
refused "is not the header of this release"
rm "tests/abi/${version%.*}/libgipc.abi"
refused "there is no tests/abi"
sed -i 's/^\(  spec.version = \).*/\1"9.9.9"/' bindings/ruby/gipc.gemspec
refused "no gipc-$version.gem"
git tag "v$version"
refused "there is a tag v$version"
