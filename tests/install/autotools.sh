#!/usr/bin/env bash
# An autotools project finds, builds with and tests with the installed library.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

make -s -C ../.. install prefix="$tmp/usr" >/dev/null
mkdir "$tmp/project"
cp consumer.c "$tmp/project"
cd "$tmp/project"
cat >configure.ac <<'EOF'
AC_INIT([consumer], [1.0])
AM_INIT_AUTOMAKE([foreign])
AC_PROG_CC
PKG_CHECK_MODULES([GIPC], [gipc >= 0.1])
PKG_CHECK_VAR([GIPC_PREFIX], [gipc], [prefix])
AC_CONFIG_FILES([Makefile])
AC_OUTPUT
EOF
cat >Makefile.am <<'EOF'
AM_CFLAGS = $(GIPC_CFLAGS)
check_PROGRAMS = consumer
consumer_LDADD = $(GIPC_LIBS)
TESTS = check.sh
EXTRA_DIST = check.sh
AM_TESTS_ENVIRONMENT = LD_LIBRARY_PATH=$(GIPC_PREFIX)/lib; \
  export LD_LIBRARY_PATH;
EOF
cat >check.sh <<'EOF'
#!/bin/sh
exec ./consumer "$(pkg-config --modversion gipc)"
EOF
chmod +x check.sh

quietly() { "$@" >log 2>&1 || { cat log; echo "^ $*"; exit 1; }; }
# Without the library the configuration must fail, or it proves nothing.
quietly autoreconf -fi
if PKG_CONFIG_LIBDIR=/nowhere ./configure >log 2>&1; then
  echo "configure found a library that is not there"
  exit 1
fi
export PKG_CONFIG_PATH=$tmp/usr/lib/pkgconfig
quietly ./configure
quietly make
quietly make check
grep -q '^# PASS: *1$' log || { cat log; exit 1; }
