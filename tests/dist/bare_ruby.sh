#!/usr/bin/env bash
# The compiled gem is installed and used in a bare root of this release of Debian, which has
# Ruby, but no compiler, no headers and no libev.  The root is made once, in build/roots.
set -eu
cd "$(dirname "$0")/../.."
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
[ "$(id -u)" = 0 ] || { echo "only root can enter a root" && exit 77; }
command -v debootstrap >/dev/null || { echo "there is no debootstrap" && exit 77; }
if [ "${GIPC_TEST_MOUNTS:-}" != own ]; then
  GIPC_TEST_MOUNTS=own exec unshare --mount --propagation private "$0" "$@"
fi
fail() { echo "$*"; exit 1; }
root=$PWD/build/roots/bare-ruby-$release
mkdir -p build/roots
tests/roots/bare "$root" "$release" --include=ruby
inside() { env -i HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin "$(command -v chroot)" "$root" "$@"; }
! inside sh -c 'ls /usr/bin/*gcc* /usr/bin/cc /usr/lib/*/libev* /usr/include/ev.h' 2>/dev/null ||
  fail "^ the root is not bare"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t tmpfs gems "$root/root"

cp "$DIST"/gipc-*-*.gem "$root/root"
inside sh -c 'gem install --local --no-document /root/*.gem --install-dir /root/gems'
for number in 1 2; do
  tests/dist/first_program ruby bindings/ruby/README.md $number >"$root/root/program.rb"
  inside env GEM_PATH=/root/gems ruby /root/program.rb | tee "$root/root/printed"
  diff "$root/root/printed" - <<<"$(sed -n 's/.*# => //p' "$root/root/program.rb")" ||
    fail "^ of program $number"
done
