#!/usr/bin/env bash
# The gem is installed where there is a compiler, and says what is missing where there
# is none, or no libev; the compiled gem needs nothing.  The first program of the README
# that starts a child runs with both.
set -eu
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "$*"; exit 1; }
quietly() { "$@" >"$tmp/log" 2>&1 || { tail -n 40 "$tmp/log" && fail "^ $*"; }; }
unset RUBYLIB RUBYOPT GEM_HOME
source=$(echo "$DIST"/gipc-*[0-9].gem)
compiled=$(echo "$DIST"/gipc-*-*.gem)
tests/dist/first_program ruby bindings/ruby/README.md 2 >"$tmp/first.rb"

# A PATH without a compiler, and make only where it is asked for.
mkdir "$tmp/bin" "$tmp/tools"
for program in env ruby gem sh bash rm mv cp mkdir install uname true; do
  ln -s "$(command -v $program)" "$tmp/bin"
done
bare() { (export PATH="$tmp/bin" && "$@"); }
install_gem() { gem install --local --no-document --install-dir "$tmp/$1" "${@:2}"; }
works() { # TREE [bare]
  (cd / && GEM_PATH=$tmp/$1 ${2:-} ruby "$tmp/first.rb") >"$tmp/printed" 2>&1 ||
    { cat "$tmp/printed" && fail "$1 does not run"; }
  diff "$tmp/printed" - <<<"$(sed -n 's/.*# => //p' "$tmp/first.rb")" || fail "^ of $1"
}
says() { # MESSAGE COMMAND...: it fails, and says so.
  local message=$1
  shift
  ! "$@" >"$tmp/log" 2>&1 || fail "no error: $message"
  for line in "gipc: it cannot be compiled here: $message\." \
    'apt install g++ make ruby-dev libev-dev'; do
    grep -q "$line" "$tmp/log" || { cat "$tmp/log" && fail "^ it does not say: $line"; }
  done
}

quietly bare install_gem compiled "$compiled"
works compiled bare
[ -z "$(find "$tmp/compiled/gems" -name '*.c' -o -name '*.cc' -o -name extconf.rb)" ] ||
  fail "the compiled gem has sources"
[ -e "$(echo "$tmp"/compiled/gems/*/LICENSE.libev)" ] || fail "no licence of libev"

# In the order in which they are looked for.
says 'no ruby.h' env RUBYOPT="-r$PWD/tests/dist/no_ruby_header.rb" \
  gem install --local --no-document --install-dir "$tmp/none" "$source"
says 'no C compiler' bare install_gem none "$source"
cc=$(ruby -e 'print RbConfig::CONFIG["CC"].split.first')
cxx=$(ruby -e 'print RbConfig::CONFIG["CXX"].split.first')
ln -s "$(command -v "$cc")" "$tmp/bin"
says 'no C++ compiler' bare install_gem none "$source"
ln -s "$(command -v "$cxx")" "$tmp/bin"
says 'no make' bare install_gem none "$source"
echo '#error it is not there' >"$tmp/ev.h"
CPATH=$tmp says 'no header of libev (ev.h)' install_gem none "$source" -- --enable-bundled

quietly install_gem source "$source" -- --enable-bundled --with-cxxflags='-O0 -fPIC'
works source
