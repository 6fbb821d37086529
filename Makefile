# Builds, checks and installs libgipc.  GNU make; `make help` lists the targets.

# The system that the library is built for, as uname(1) calls it.
SYSTEM ?= $(shell uname -s)
# The half of the library that knows a kernel: linux, or posix (the portable
# fallback, which works on Linux too).
OS ?= $(if $(filter Linux,$(SYSTEM)),linux,posix)
# A build beside the plain one: asan, tsan, fuzz, or sites (check-faults).
SAN ?=
B := build/$(OS)$(if $(SAN),-$(SAN))

# As many jobs as processors, unless the caller says how many.  A make that
# another one started shares the jobs of that one.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || \
                getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
endif

# A path as one word for the shell, whatever is in it.  Functions of make that
# take a list, such as abspath, would split it at its spaces.
quote = '$(subst ','\'',$(1))'
here := $(CURDIR)
# These cannot be quoted in a run path or in a C string.
define newline


endef
unusable := $(strip $(foreach c,: " \,$(findstring $(c),$(here)))\
              $(if $(findstring $(newline),$(here)),newline))
ifneq ($(unusable),)
$(error No build in this directory: its path contains $(unusable))
endif

PREFIX ?= /usr/local
prefix ?= $(PREFIX)
exec_prefix ?= $(prefix)
includedir ?= $(prefix)/include
libdir ?= $(exec_prefix)/lib
pkgconfigdir ?= $(libdir)/pkgconfig
cmakedir ?= $(libdir)/cmake/gipc
datarootdir ?= $(prefix)/share
mandir ?= $(datarootdir)/man
INSTALL ?= install
INSTALL_PROGRAM ?= $(INSTALL)
INSTALL_DATA ?= $(INSTALL) -m 644

# The header is the one place that says which version this is.
number = $(shell sed -n 's/^.define GIPC_VERSION_$(1) \([0-9]*\).*/\1/p' \
           include/gipc.h)
SOVERSION := $(call number,MAJOR)
VERSION := $(SOVERSION).$(call number,MINOR).$(call number,PATCH)
ifeq ($(SYSTEM),Darwin)
library = libgipc$(1:%=.%).dylib
else
library = libgipc.so$(1:%=.%)
endif
SONAME := $(call library,$(SOVERSION))
SHARED := $(B)/$(call library,$(VERSION))
LIBRARY := $(B)/$(call library)
STATIC := $(B)/libgipc.a

# ---- Flags: the user's are appended, never replaced -------------------------

FLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
              -fno-omit-frame-pointer
# TSan takes any clone(2) for a fork, and after one that shares the memory of its
# parent it is blind to locks; __clone is the same function by another name.
FLAGS_tsan := -fsanitize=thread -Dclone=__clone
FLAGS_fuzz := -fsanitize=fuzzer-no-link,address,undefined \
              -fno-sanitize-recover=undefined
# Each call is where it is written, so that its place can be told.
FLAGS_sites := -O0
san_flags := $(FLAGS_$(SAN))

warnings := -Wall -Wextra -Wshadow -Wformat=2 -Wundef -Wpointer-arith
# 64-bit sizes, limits and inodes on 32-bit systems, too.
common := -O2 -g -fPIC -D_FILE_OFFSET_BITS=64 $(warnings) $(san_flags)
cxx := -std=c++17 $(common) -fvisibility=hidden -fvisibility-inlines-hidden \
       -fno-rtti -Wnon-virtual-dtor -Wmissing-declarations
cc := -std=c11 -pedantic $(common) -Wstrict-prototypes
cpp := -Iinclude -MMD -MP
# Assertions stay in the sanitizer builds.
lib_cpp := $(cpp) $(if $(SAN),,-DNDEBUG)

# What the linker of a system takes, and what is a library of its own there:
# dlopen(3) is part of libc but for glibc before 2.34.
libs := -lev -lpthread
ifeq ($(SYSTEM),Darwin)
# Found by its run path here; `make install` writes where it is then.
lib_ld := -dynamiclib -install_name @rpath/$(SONAME) -current_version $(VERSION)
module_ld := -bundle -undefined dynamic_lookup
else
lib_ld := -shared -Wl,-soname,$(SONAME) -Wl,--version-script=src/libgipc.map \
          -Wl,-z,relro,-z,now
module_ld := -shared
libs := -Wl,--as-needed $(libs)
endif
ifneq ($(filter Linux GNU GNU/%,$(SYSTEM)),)
# Elsewhere libc leaves `environ` to the program.
lib_ld += $(if $(SAN),,-Wl,-z,defs)
libs += -ldl
endif

LINK.so = $(CXX) $(cxx) $(CXXFLAGS) $(LDFLAGS)

# ---- What there is ----------------------------------------------------------

sources := $(filter-out src/os_%.cc,$(wildcard src/*.cc)) \
           $(wildcard src/os_common*.cc src/os_$(OS)*.cc)
# What a forked child runs is in one place: a fault of it maps 64 KiB of code.
in_child := $(addprefix src/,fork.cc setup.cc control.cc this_process.cc \
              this_process_number.cc orphaned_loops.cc sys.cc flush.cc \
              os_common.cc os_common_end.cc os_$(OS).cc)
sources := $(in_child) $(filter-out $(in_child),$(sources))
objects := $(sources:src/%.cc=$(B)/%.o)

# Text that other files depend on: flags, which objects there are, and the header
# of static probes, which may be installed later.
FLAGS := $(B)/FLAGS
OBJECTS := $(B)/OBJECTS
PROBES := $(B)/PROBES
FLAGS_text := $(CXX) $(cxx) $(CXXFLAGS) $(lib_cpp) $(CPPFLAGS) $(lib_ld) \
              $(LDFLAGS) $(LDLIBS)
OBJECTS_text := $(objects)
PROBES_text := probes: $(wildcard /usr/include/sys/sdt.h /usr/include/*/sys/sdt.h)
differ = $(subst x$(1)x,,x$(2)x)
.PHONY: all install uninstall sources clean format deps help FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(STATIC) $(LIBRARY)

# Written only when it is another text, so that nothing is built twice.
$(B)/FLAGS $(B)/TEST_FLAGS $(B)/OBJECTS $(B)/PROBES: FORCE
	@: $(if $(call differ,$(file <$@),$($(@F)_text)),\
	     $(shell mkdir -p $(@D))$(file >$@,$($(@F)_text)))

# ---- The library ------------------------------------------------------------

$(B)/%.o: src/%.cc Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(CXX) $(lib_cpp) $(CPPFLAGS) $(cxx) $(CXXFLAGS) -c -o $@ $<

$(B)/os_linux_probes.o: $(PROBES)

# Made anew each time: ar would keep members whose source is gone.
$(STATIC): $(objects) $(OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $(objects)

$(SHARED): $(objects) $(OBJECTS) src/libgipc.map
	$(LINK.so) $(lib_ld) -o $@ $(objects) -lev $(LDLIBS)

$(LIBRARY): $(SHARED)
	@ln -sf $(notdir $(SHARED)) $(B)/$(SONAME)
	@ln -sf $(SONAME) $@

# Tests, demo, benchmarks and bindings.
include tests/build.mk
include $(wildcard pkgconfig/*.mk)

# ---- Installation -----------------------------------------------------------

pages := $(wildcard man/*.3 man/*.5 man/*.7)
# The names in a page's NAME section that have no page of their own: each gets
# a file that points to the page, as link:page, so that `man NAME` finds it.
links = $(shell awk '/^\.Sh/ { name = $$2 == "NAME" } \
          name && $$1 == ".Nm" { page = FILENAME; sub(/.*\//, "", page); \
          section = page; sub(/.*\./, "", section); \
          print $$2 "." section ":" page }' /dev/null $(pages) | sort -u)
link_files = $(filter-out $(notdir $(pages)),\
               $(foreach l,$(links),$(firstword $(subst :, ,$(l)))))

# A path below another one, by a name for that one: below(/usr,${prefix},/usr/lib).
# Not by patterns of make, which would split it at its spaces.
marked = $(subst <|>$(1)/,$(2)/,$(subst <|>$(1)<|>,$(2),<|>$(3)<|>))
below = $(subst <|>,,$(marked))
cmake_files := gipcConfig.cmake gipcConfigVersion.cmake
# An expression of sed(1) for a word of a file in pkgconfig/ that ends in .in.
filled = -e $(call quote,s|@$(1)@|$(subst |,\|,$(subst &,\&,$(subst \,\\,$(2))))|)
# Where a path of the installation is now, as a word for the shell.
to = $(call quote,$(DESTDIR)$(1))

# What is written here can be read by everyone, whatever the umask, as what
# INSTALL_DATA copies; and a file of an earlier installation keeps no mode.
install: all
	$(INSTALL) -d $(call to,$(includedir)) $(call to,$(libdir)) \
	  $(call to,$(pkgconfigdir)) $(call to,$(cmakedir)) \
	  $(foreach section,3 5 7,$(call to,$(mandir)/man$(section)))
	$(INSTALL_DATA) include/gipc.h $(call to,$(includedir)/gipc.h)
	$(INSTALL_PROGRAM) $(SHARED) $(call to,$(libdir)/$(notdir $(SHARED)))
	$(if $(filter Darwin,$(SYSTEM)),install_name_tool \
	  -id $(call quote,$(libdir)/$(SONAME)) \
	  $(call to,$(libdir)/$(notdir $(SHARED))))
	ln -sf $(notdir $(SHARED)) $(call to,$(libdir)/$(SONAME))
	ln -sf $(SONAME) $(call to,$(libdir)/$(notdir $(LIBRARY)))
	$(INSTALL_DATA) $(STATIC) $(call to,$(libdir)/libgipc.a)
	rm -f $(call to,$(pkgconfigdir)/gipc.pc)
	umask 022; sed $(call filled,version,$(VERSION)) \
	  $(call filled,prefix,$(prefix)) \
	  $(call filled,exec_prefix,$(call below,$(prefix),$${prefix},$(exec_prefix))) \
	  $(call filled,includedir,$(call below,$(prefix),$${prefix},$(includedir))) \
	  $(call filled,libdir,$(call below,$(exec_prefix),$${exec_prefix},$(libdir))) \
	  pkgconfig/gipc.pc.in > $(call to,$(pkgconfigdir)/gipc.pc)
	@set -e; umask 022; cmake=$(call to,$(cmakedir)); for f in $(cmake_files); do \
	  rm -f "$$cmake/$$f"; sed $(call filled,version,$(VERSION)) \
	  $(call filled,soversion,$(SOVERSION)) $(call filled,soname,$(SONAME)) \
	  $(call filled,library,$(notdir $(LIBRARY))) \
	  $(call filled,cmakedir,$(cmakedir)) $(call filled,libdir,$(libdir)) \
	  $(call filled,includedir,$(includedir)) \
	  pkgconfig/cmake/$$f.in > "$$cmake/$$f"; done
	@set -e; man=$(call to,$(mandir)); for p in $(notdir $(pages)); do \
	  $(INSTALL_DATA) man/$$p "$$man/man$${p##*.}/$$p"; done
	@set -e; umask 022; man=$(call to,$(mandir)); for l in $(links); do \
	  link=$${l%:*} page=$${l#*:}; test ! -e man/$$link || continue; \
	  rm -f "$$man/man$${page##*.}/$$link"; \
	  echo ".so man$${page##*.}/$$page" > "$$man/man$${page##*.}/$$link"; done

uninstall:
	rm -f $(call to,$(includedir)/gipc.h) $(call to,$(pkgconfigdir)/gipc.pc)
	rm -f $(foreach f,libgipc.a $(notdir $(LIBRARY) $(SHARED)) $(SONAME),\
	  $(call to,$(libdir)/$(f)))
	rm -f $(foreach f,$(cmake_files),$(call to,$(cmakedir)/$(f)))
	-@rmdir $(call to,$(cmakedir)) 2>/dev/null
	@man=$(call to,$(mandir)); for p in $(notdir $(pages)) $(link_files); do \
	  rm -f "$$man/man$${p##*.}/$$p"; done

# ---- The rest ---------------------------------------------------------------

# For what else compiles the library: pkgconfig/meson.
sources:
	@printf '%s\n' $(sources)

clean:
	rm -rf build

# Every C and C++ file of the project, also those not yet added.
format:
	git ls-files -co --exclude-standard '*.h' '*.c' '*.cc' | \
	  xargs clang-format -i

deps:
	@for purpose in demo check lint san valgrind fuzz bench root model wheels fair dist; do \
	  .ci/deps $$purpose || exit; done

help:
	@echo "all             the library, shared and static (the default)"
	@echo "demo            build and run tests/demo; FILES=... to choose its input"
	@echo "check           every test but the long ones: C (unit, api, fault, fuzz"
	@echo "                corpus, examples, install, exports), man, matrix, launch,"
	@echo "                and each language that is here; V=1 shows all output"
	@echo "check-c         only the C part of check"
	@echo "check-python check-ruby check-lua   only one language's part"
	@echo "check-san       unit, api, fault and the fuzz corpus under ASan and UBSan"
	@echo "check-tsan      those with threads under TSan"
	@echo "check-valgrind  unit, api and fault under valgrind"
	@echo "check-transports unit, api and fault with a ring from the first message"
	@echo "                on, and without any"
	@echo "check-load      unit, api, fault and the fuzz corpus LOAD_RUNS=20 times"
	@echo "                beside six busy processes"
	@echo "check-fair      a timer beside floods, idle handles and children, and many"
	@echo "check-faults    each system call, allocation and transfer fails once at each"
	@echo "                place, with each error that it can have: 10 minutes"
	@echo "check-long      each language's tests, the kills of either end of a ring,"
	@echo "                10,000 orders of system calls and check-soak: an hour or more"
	@echo "check-soak      a million round trips and 10,000 children in each language, while"
	@echo "                nothing that they use grows; SECONDS_EACH=600"
	@echo "check-schedules the api tests while each thread may be delayed at each"
	@echo "                system call, by chance; SEEDS='1 2 3'"
	@echo "check-root      check on ROOT=trixie|sid|bookworm|i386 (a Debian in"
	@echo "                build/roots); CHECK=check-c for another target"
	@echo "check-matrix    demo and check on each of these, as root and as a user, with"
	@echo "                other compilers: one table; hours.  WORDS='--quick sid': .ci/matrix"
	@echo "check-cross     the C tests of ARCH=arm64|armhf|s390x|i386 under qemu-user, and each"
	@echo "                kind of frame between it and the Python of this machine"
	@echo "check-compile   each source file for TARGET=x86_64-linux-musl|aarch64-macos|"
	@echo "                x86_64-freebsd, without a warning (zig)"
	@echo "deb             Debian packages, in build/deb; DEB_BUILD_OPTIONS= also runs"
	@echo "                check-c while it builds"
	@echo "check-deb       deb, then lintian, a second build with the same bytes, and the"
	@echo "                packages installed, used and purged in a bare Debian (root only)"
	@echo "check-recipes   the descriptions of packages for RPM and Conan (built and used),"
	@echo "                vcpkg (with stand-ins for its functions) and Nix (only evaluated)"
	@echo "fuzz            fuzz with libFuzzer; SECONDS_EACH=60"
	@echo "mutants         plant defects that the C suite must notice, an hour or more;"
	@echo "                MUTANT=WORD only the lines with this word"
	@echo "hazards         which hazards the last make check has proven"
	@echo "lint            the checks of layout, rooms, header, exports and pages"
	@echo "html            the manual pages, the guide and the modules of the languages, in"
	@echo "                build/html; fails on a warning, a broken link, a wrong program"
	@echo "check-html      html, and no page is wider than a narrow screen (chromium)"
	@echo "model           check the rules of starts, statuses, streams, cancellation,"
	@echo "                wakes and rings with spin, some minutes; MODEL=WORD only the"
	@echo "                lines with this word"
	@echo "bench           build and run the benchmarks"
	@echo "bench-peers     the same work by other libraries; QUICK=1, WRITE=1 (into"
	@echo "                tests/bench/results)"
	@echo "bench-growth    how cost grows with handles, children, bytes, memory"
	@echo "bench-guard     fails where an operation takes 5 % more instructions than"
	@echo "                tests/bench/guard says; WRITE=1 puts new counts there"
	@echo "wheels          wheels of Python for x86_64 and aarch64, glibc and musl, in"
	@echo "                build/dist; NAME=libgipc: for an index; VERSIONS= TARGETS="
	@echo "check-wheels    those wheels, in roots without compiler and libev, on musl, under"
	@echo "                qemu, and with each Python here; WORDS='look sid': tests/wheels/run"
	@echo "dist            tarball, sdist, gem (also compiled), rock, wrap file and SHA256SUMS,"
	@echo "                in build/dist; HOMEPAGE=, DOWNLOADS= are where it is published"
	@echo "check-dist      dist, and each part is installed in a bare place and used"
	@echo "install         to DESTDIR and prefix (default /usr/local)"
	@echo "uninstall       removes what install put there"
	@echo "format          clang-format in place"
	@echo "deps            install the packages that all targets need"
	@echo "clean           remove build/"
	@echo "One test: TEST_FILTER=NAME tests/run build/linux/tests/api/test_x"
	@echo "Variables: OS=linux|posix, DEPS=skip (install no packages),"
	@echo "CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS, prefix libdir mandir ..."

-include $(wildcard $(B)/*.d $(B)/tests/*/*.d)
