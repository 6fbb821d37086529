# Builds, checks and installs libgipc.  GNU make; `make help` lists the targets.

# The half of the library that knows a kernel: linux, or posix (the portable
# fallback, which works on Linux too).
OS ?= linux
# A sanitizer build beside the plain one: asan, tsan or fuzz.
SAN ?=
B := build/$(OS)$(if $(SAN),-$(SAN))

# As many jobs as processors, unless the caller says how many.  A make that
# another one started shares the jobs of that one.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif

PREFIX ?= /usr/local
prefix ?= $(PREFIX)
exec_prefix ?= $(prefix)
includedir ?= $(prefix)/include
libdir ?= $(exec_prefix)/lib
pkgconfigdir ?= $(libdir)/pkgconfig
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
SONAME := libgipc.so.$(SOVERSION)
SHARED := $(B)/libgipc.so.$(VERSION)
STATIC := $(B)/libgipc.a

# ---- Flags: the user's are appended, never replaced -------------------------

FLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
              -fno-omit-frame-pointer
# TSan takes any clone(2) for a fork, and after one that shares the memory of its
# parent it is blind to locks; __clone is the same function by another name.
FLAGS_tsan := -fsanitize=thread -Dclone=__clone
FLAGS_fuzz := -fsanitize=fuzzer-no-link,address,undefined \
              -fno-sanitize-recover=undefined
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
# cmocka hands every test a state that few use.
test_cc := $(cc) -Wno-unused-parameter -D_GNU_SOURCE=
test_cxx := $(cxx) -Wno-unused-parameter -Wno-missing-declarations
test_cpp := $(cpp) -Isrc -DPROGRAMS='"$(abspath $(B))/programs"'

lib_ld := -shared -Wl,-soname,$(SONAME) -Wl,--version-script=src/libgipc.map \
          -Wl,-z,relro,-z,now $(if $(SAN),,-Wl,-z,defs)
libs := -Wl,--as-needed -lev -lpthread -ldl
test_libs := $(libs) -lcmocka
with_static = $(STATIC)
with_shared = -L$(B) -Wl,-rpath,$(abspath $(B)) -lgipc

LINK.so = $(CXX) $(cxx) $(CXXFLAGS) $(LDFLAGS)
LINK.c = $(CC) $(test_cc) $(CFLAGS) $(LDFLAGS)
LINK.cc = $(CXX) $(test_cxx) $(CXXFLAGS) $(LDFLAGS)

# ---- What there is ----------------------------------------------------------

sources := $(filter-out src/os_%.cc,$(wildcard src/*.cc)) src/os_common.cc \
           src/os_$(OS).cc
objects := $(sources:src/%.cc=$(B)/%.o)

# programs_in(folder, pattern): the programs built from tests/folder/pattern.
programs_in = $(addprefix $(B)/,$(basename $(wildcard \
                tests/$(1)/$(2).c tests/$(1)/$(2).cc)))
# support_of(folder): the objects linked into each program of a folder.
support_of = $(addsuffix .o,$(call programs_in,$(1),support*))

unit := $(call programs_in,unit,test_*)
api := $(call programs_in,api,test_*)
fault := $(call programs_in,fault,test_*)
fuzz := $(call programs_in,fuzz,fuzz_*)
long := $(call programs_in,long,test_*)
examples := $(call programs_in,examples,*)
bench := $(patsubst $(B)/tests/%,$(B)/%,$(call programs_in,bench,bench*))
children := $(patsubst tests/programs/%.c,$(B)/programs/%,\
              $(wildcard tests/programs/*.c))
matrix := $(addprefix $(B)/tests/matrix/,parent child)
demo := $(B)/tests/demo/demo
demo_worker := $(B)/tests/demo/worker
demo_shared := $(addprefix $(B)/tests/demo/,count.o message.o)
demo_objects := $(filter-out $(demo_worker).o $(demo_shared),\
                  $(patsubst %.c,$(B)/%.o,$(wildcard tests/demo/*.c)))

# Text that other files depend on: flags, and which objects there are.
FLAGS := $(B)/FLAGS
OBJECTS := $(B)/OBJECTS
FLAGS_text := $(CC) $(test_cc) $(CFLAGS) $(CXX) $(test_cxx) $(CXXFLAGS) \
              $(lib_cpp) $(test_cpp) $(CPPFLAGS) $(lib_ld) $(LDFLAGS) $(LDLIBS)
OBJECTS_text := $(objects)
differ = $(subst x$(1)x,,x$(2)x)
# A file to work on, where the caller names none.
FILES ?= $(wildcard /usr/share/common-licenses/* include/*.h src/*.h src/*.cc)

cmocka_programs := $(unit) $(api) $(fault)
checks := $(cmocka_programs) $(fuzz) $(examples) \
          $(wildcard tests/examples/*.sh tests/install/*.sh tests/man/run \
            tests/matrix/run tests/launch/run)

# A language's build.mk adds the files it builds for its tests to `bindings`,
# its test runners to `binding_checks`, and its benchmarks to
# `binding_benches`.  Each is left out, in sight, where its interpreter is not
# there.
bindings :=
binding_checks :=
binding_benches :=

SWIG ?= swig

.PHONY: all tests demo check check-san check-tsan check-valgrind check-long \
        fuzz lint bench install uninstall clean format deps help \
        demo-programs demo-languages run-demo binding-programs check-programs run-check \
        run-check-long run-fuzz bench-programs run-bench FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(STATIC) $(B)/libgipc.so

# Written only when it is another text, so that nothing is built twice.
$(FLAGS) $(OBJECTS): FORCE
	@: $(if $(call differ,$(file <$@),$($(@F)_text)),\
	     $(shell mkdir -p $(@D))$(file >$@,$($(@F)_text)))

# ---- The library ------------------------------------------------------------

$(B)/%.o: src/%.cc Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(CXX) $(lib_cpp) $(CPPFLAGS) $(cxx) $(CXXFLAGS) -c -o $@ $<

# Made anew each time: ar would keep members whose source is gone.
$(STATIC): $(objects) $(OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $(objects)

$(SHARED): $(objects) $(OBJECTS) src/libgipc.map
	$(LINK.so) $(lib_ld) -o $@ $(objects) -lev $(LDLIBS)

$(B)/libgipc.so: $(SHARED)
	@ln -sf $(notdir $(SHARED)) $(B)/$(SONAME)
	@ln -sf $(SONAME) $@

# ---- Test programs ----------------------------------------------------------

$(B)/tests/%.o: tests/%.cc Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(CXX) $(test_cpp) $(CPPFLAGS) $($(*F)_CPPFLAGS) $(test_cxx) $(CXXFLAGS) \
	  -c -o $@ $<

$(B)/tests/%.o: tests/%.c Makefile $(FLAGS)
	@mkdir -p $(@D)
	$(CC) $(test_cpp) $(CPPFLAGS) $($(*F)_CPPFLAGS) $(test_cc) $(CFLAGS) \
	  -c -o $@ $<

# Linked statically: these reach the hidden symbols.
$(unit): $(call support_of,unit)
$(fault): $(call support_of,fault)
$(long): $(call support_of,long)
$(unit) $(fault) $(long): %: %.o $(STATIC)
	$(LINK.cc) -o $@ $(filter %.o,$^) $(with_static) $(test_libs) $(LDLIBS)

# Linked as a C program outside would be.
$(api): $(call support_of,api)
$(api) $(examples): %: %.o $(B)/libgipc.so
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(test_libs) $(LDLIBS)

$(children): $(B)/programs/%: $(B)/tests/programs/%.o $(B)/libgipc.so
	@mkdir -p $(@D)
	$(LINK.c) -o $@ $< $(with_shared) $(libs) $(LDLIBS)

$(matrix): %: %.o $(B)/tests/matrix/peer.o $(B)/libgipc.so
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(libs) $(LDLIBS)

# In `make check` a small driver stands in for libFuzzer.
fuzz_main := $(if $(filter fuzz,$(SAN)),,$(B)/tests/fuzz/driver.o)
driver_CPPFLAGS := -DCORPUS='"$(abspath tests/fuzz/corpus)"'
$(fuzz): %: %.o $(fuzz_main) $(STATIC)
	$(LINK.cc) $(if $(fuzz_main),,-fsanitize=fuzzer) -o $@ $(filter %.o,$^) \
	  $(with_static) $(test_libs) $(LDLIBS)

# flags.mk sets NAME_CPPFLAGS and NAME_LDLIBS for a program that needs more.
-include tests/bench/flags.mk
$(bench): $(call support_of,bench)
$(bench): $(B)/bench/%: $(B)/tests/bench/%.o $(B)/libgipc.so
	@mkdir -p $(@D)
	$(LINK.cc) -o $@ $(filter %.o,$^) $(with_shared) $(libs) \
	  $($(@F)_LDLIBS) $(LDLIBS)

# Before its release 6 the library of MessagePack for C had another name.
msgpack_libs = $(or $(shell pkg-config --libs msgpack-c 2>/dev/null),\
                 $(shell pkg-config --libs msgpack))
$(demo): $(demo_objects)
$(demo_worker): $(demo_worker).o
$(demo) $(demo_worker): $(demo_shared) $(B)/libgipc.so
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(libs) $(msgpack_libs) \
	  $(LDLIBS)

include $(wildcard bindings/*/build.mk)

tests: all $(cmocka_programs) $(fuzz) $(examples) $(children)
	@:
check-programs: tests $(matrix) $(bindings)
	@:
binding-programs: all $(bindings)
	@:
demo-programs: all $(demo) $(demo_worker)
	@:
demo-languages: $(bindings)
	@:
bench-programs: all $(bench) $(children) $(bindings)
	@:

# ---- Checks -----------------------------------------------------------------
# Each target installs what it needs, builds in parallel in a make of its own
# (which reads this file when everything is there), then runs the programs one
# after the other.

build = $(MAKE) --no-print-directory OS=$(OS)
test_env = OS=$(OS) GIPC_TEST_OS=$(OS) GIPC_TEST_BUILD=$(abspath $(1)) \
           GIPC_TEST_PROGRAMS=$(abspath $(1))/programs
asan := build/$(OS)-asan
tsan := build/$(OS)-tsan

# Two of these at once would mix their output, or build what clean removes.
ifneq ($(filter demo check% fuzz lint bench clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

demo:
	@.ci/deps demo
	+@$(build) demo-programs
	+-@$(build) -k demo-languages # one that does not build is left out
	+@$(build) run-demo

# Each language finds its module where it was built.
demo_lua = $(or $(filter 5.4,$(lua_versions)),$(lastword $(lua_versions)),5.4)
run-demo:
	@PYTHONPATH=$(B)/python RUBYLIB=bindings/ruby/lib:$(B)/ruby \
	  LUA_PATH='bindings/lua/?.lua;;;/usr/share/lua/5.3/?.lua' \
	  LUA_CPATH='$(B)/lua/$(demo_lua)/?.so;;' \
	  $(demo) -w C=$(demo_worker) \
	  -w 'Python=$(PYTHON) tests/demo/worker.py' \
	  -w 'Ruby=$(RUBY) tests/demo/worker.rb' \
	  -w 'Lua=lua$(demo_lua) tests/demo/worker.lua' $(FILES)

check:
	@.ci/deps check
	+@$(build) check-programs run-check

# Read again when the packages are there.
run-check:
	@$(call test_env,$(B)) tests/run $(checks) $(binding_checks)

# make check-python, check-ruby, check-lua: one language alone.
check-%:
	@.ci/deps check
	+@$(build) binding-programs run-check-$*

run-check-%:
	@$(call test_env,$(B)) tests/run $(filter tests/bindings/$*/%,\
	  $(binding_checks))

check-san:
	@.ci/deps san
	+@$(build) SAN=asan tests
	@$(call test_env,$(asan)) GIPC_TEST_SAN=1 GIPC_TEST_SLOW=1 \
	  TIMEOUT=300 ASAN_OPTIONS=detect_stack_use_after_return=1 \
	  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	  tests/run $(patsubst $(B)/%,$(asan)/%,$(cmocka_programs) $(fuzz))

# die_after_fork=0: TSan would end the children of a threaded parent.
# report_thread_leaks=0: in a forked child every thread of the parent is one.
threaded := $(foreach p,$(cmocka_programs),\
              $(if $(findstring thread,$(notdir $(p))),$(p)))
check-tsan:
	@.ci/deps san
	+@$(build) SAN=tsan tests
	@$(call test_env,$(tsan)) GIPC_TEST_SAN=1 GIPC_TEST_SLOW=1 \
	  TIMEOUT=300 TSAN_OPTIONS=die_after_fork=0:report_thread_leaks=0 \
	  tests/run $(patsubst $(B)/%,$(tsan)/%,$(threaded))

check-valgrind:
	@.ci/deps valgrind
	+@$(build) tests
	@$(call test_env,$(B)) GIPC_TEST_SLOW=1 GIPC_TEST_VALGRIND=1 TIMEOUT=600 \
	  WRAPPER=tests/valgrind tests/run $(cmocka_programs)

check-long:
	@.ci/deps check
	+@$(build) check-programs $(long) run-check-long

run-check-long:
	@$(call test_env,$(B)) GIPC_TEST_LONG=1 TIMEOUT=3600 \
	  tests/run $(long) $(binding_checks)

# make fuzz SECONDS_EACH=600: new inputs stay under build/.
SECONDS_EACH ?= 60
fuzz:
	@.ci/deps fuzz
	+@$(build) SAN=fuzz CC=clang CXX=clang++ run-fuzz

run-fuzz: $(fuzz)
	@set -e; for f in $(fuzz); do \
	  name=$${f##*/fuzz_}; mkdir -p $(B)/corpus/$$name; \
	  echo "== fuzz_$$name"; \
	  $$f -max_total_time=$(SECONDS_EACH) -print_final_stats=1 \
	    -artifact_prefix=$(B)/ $(B)/corpus/$$name tests/fuzz/corpus/$$name; \
	done

lint:
	@.ci/deps lint
	+@$(build) all
	@$(call test_env,$(B)) tests/run $(wildcard tests/lint/*.sh)

bench:
	@.ci/deps bench
	+@$(build) bench-programs
	+@$(build) run-bench

# Read again when the packages are there.
run-bench:
	@$(call test_env,$(B)) BENCH_PROGRAMS=$(abspath $(B))/bench \
	  tests/bench/run $(binding_benches)

# ---- Installation -----------------------------------------------------------

pages := $(wildcard man/*.3 man/*.5 man/*.7)
man = $(DESTDIR)$(mandir)
# The names in a page's NAME section that have no page of their own: each gets
# a file that points to the page, as link:page, so that `man NAME` finds it.
links = $(shell awk '/^\.Sh/ { name = $$2 == "NAME" } \
          name && $$1 == ".Nm" { page = FILENAME; sub(/.*\//, "", page); \
          section = page; sub(/.*\./, "", section); \
          print $$2 "." section ":" page }' /dev/null $(pages) | sort -u)
link_files = $(filter-out $(notdir $(pages)),\
               $(foreach l,$(links),$(firstword $(subst :, ,$(l)))))

install: all
	$(INSTALL) -d $(DESTDIR)$(includedir) $(DESTDIR)$(pkgconfigdir)
	$(INSTALL_DATA) include/gipc.h $(DESTDIR)$(includedir)/gipc.h
	$(INSTALL_PROGRAM) $(SHARED) $(DESTDIR)$(libdir)/libgipc.so.$(VERSION)
	ln -sf libgipc.so.$(VERSION) $(DESTDIR)$(libdir)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(libdir)/libgipc.so
	$(INSTALL_DATA) $(STATIC) $(DESTDIR)$(libdir)/libgipc.a
	sed -e 's|@prefix@|$(prefix)|' -e 's|@version@|$(VERSION)|' \
	  -e 's|@exec_prefix@|$(exec_prefix:$(prefix)=$${prefix})|' \
	  -e 's|@includedir@|$(includedir:$(prefix)/%=$${prefix}/%)|' \
	  -e 's|@libdir@|$(libdir:$(exec_prefix)/%=$${exec_prefix}/%)|' \
	  pkgconfig/gipc.pc.in \
	  > $(DESTDIR)$(pkgconfigdir)/gipc.pc
	$(INSTALL) -d $(man)/man3 $(man)/man5 $(man)/man7
	@set -e; for p in $(notdir $(pages)); do \
	  $(INSTALL_DATA) man/$$p $(man)/man$${p##*.}/$$p; done
	@set -e; for l in $(links); do \
	  link=$${l%:*} page=$${l#*:}; test -e man/$$link || \
	  echo ".so man$${page##*.}/$$page" > $(man)/man$${page##*.}/$$link; done

uninstall:
	rm -f $(DESTDIR)$(includedir)/gipc.h $(DESTDIR)$(pkgconfigdir)/gipc.pc
	rm -f $(addprefix $(DESTDIR)$(libdir)/,\
	  libgipc.a libgipc.so $(SONAME) libgipc.so.$(VERSION))
	@for p in $(notdir $(pages)) $(link_files); do \
	  rm -f $(man)/man$${p##*.}/$$p; done

# ---- The rest ---------------------------------------------------------------

clean:
	rm -rf build

# Every C and C++ file of the project, also those not yet added.
format:
	git ls-files -co --exclude-standard '*.h' '*.c' '*.cc' | \
	  xargs clang-format -i

deps:
	@for purpose in demo check lint san valgrind fuzz bench; do \
	  .ci/deps $$purpose || exit; done

help:
	@echo "all             the library, shared and static (the default)"
	@echo "demo            build and run tests/demo; FILES=... to choose its input"
	@echo "check           build and run the whole suite; V=1 shows all output"
	@echo "check-san       the same tests under ASan and UBSan"
	@echo "check-tsan      the tests with threads under TSan"
	@echo "check-valgrind  the tests under valgrind"
	@echo "check-python check-ruby check-lua   one language alone"
	@echo "check-long      the tests that take minutes, in full numbers"
	@echo "fuzz            fuzz with libFuzzer; SECONDS_EACH=60"
	@echo "lint            the checks of style, exports, header and pages"
	@echo "bench           build and run the benchmarks"
	@echo "install         to DESTDIR and prefix (default /usr/local)"
	@echo "uninstall       removes what install put there"
	@echo "format          clang-format in place"
	@echo "deps            install the packages that all targets need"
	@echo "clean           remove build/"
	@echo "Variables: OS=linux|posix, DEPS=skip (install no packages),"
	@echo "CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS, prefix libdir mandir ..."

-include $(wildcard $(B)/*.d $(B)/tests/*/*.d)
