#!/usr/bin/env bash
# Everyone can read what `make install` writes, also when the umask of the
# installer denies others to read, and when an earlier installation was closed.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
umask 077
everyone_can_read() {
  local closed
  make -s install DESTDIR="$tmp/root" prefix=/usr >/dev/null
  closed=$(find "$tmp/root" \( -type d ! -perm -555 \) -o \
    \( -type f ! -perm -444 \))
  [ -z "$closed" ] || { echo "$1: $closed"; exit 1; }
}
everyone_can_read "closed to others"
find "$tmp/root" -type f -exec chmod 600 {} +
everyone_can_read "still closed to others"
