# Builds, checks and installs libgipc.  GNU make; `make help` lists the targets.

# The system that the library is built for, as uname(1) calls it.
SYSTEM ?= $(shell uname -s)
# The half of the library that knows a kernel: linux, or posix (the portable
# fallback, which works on Linux too).
OS ?= $(if $(filter Linux,$(SYSTEM)),linux,posix)
# A sanitizer build beside the plain one: asan, tsan or fuzz.
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
test_cpp := $(cpp) -Isrc -DPROGRAMS=$(call quote,"$(here)/$(B)/programs")

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
test_libs := $(libs) -lcmocka
with_static = $(STATIC)
# Not -Wl: a path may contain commas.
run_path = -Xlinker -rpath -Xlinker $(call quote,$(1))
with_shared = -L$(B) $(call run_path,$(here)/$(B)) -lgipc

LINK.so = $(CXX) $(cxx) $(CXXFLAGS) $(LDFLAGS)
LINK.c = $(CC) $(test_cc) $(CFLAGS) $(LDFLAGS)
LINK.cc = $(CXX) $(test_cxx) $(CXXFLAGS) $(LDFLAGS)

# ---- What there is ----------------------------------------------------------

sources := $(filter-out src/os_%.cc,$(wildcard src/*.cc)) src/os_common.cc \
           $(wildcard src/os_$(OS)*.cc)
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
# What needs no other language, and the rest.
c_checks := $(cmocka_programs) $(fuzz) $(examples) \
            $(wildcard tests/install/*.sh) tests/lint/exports.sh
checks := $(c_checks) $(wildcard tests/examples/*.sh tests/man/run \
            tests/matrix/run tests/launch/run)

# A language's build.mk adds the files it builds for its tests to `bindings`,
# its test runners to `binding_checks`, and its benchmarks to
# `binding_benches`.  Each is left out, in sight, where its interpreter is not
# there.
bindings :=
binding_checks :=
binding_benches :=

SWIG ?= swig

.PHONY: all tests demo check check-c check-san check-tsan check-valgrind \
        check-long check-load check-root fuzz lint bench install uninstall \
        clean format deps help demo-programs demo-languages run-demo \
        binding-programs check-programs run-check run-check-c run-check-long \
        run-check-load run-fuzz bench-programs run-bench FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(STATIC) $(LIBRARY)

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

$(LIBRARY): $(SHARED)
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
$(api) $(examples): %: %.o $(LIBRARY)
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(test_libs) $(LDLIBS)

$(children): $(B)/programs/%: $(B)/tests/programs/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(LINK.c) -o $@ $< $(with_shared) $(libs) $(LDLIBS)

$(matrix): %: %.o $(B)/tests/matrix/peer.o $(LIBRARY)
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(libs) $(LDLIBS)

# In `make check` a small driver stands in for libFuzzer.
fuzz_main := $(if $(filter fuzz,$(SAN)),,$(B)/tests/fuzz/driver.o)
driver_CPPFLAGS := -DCORPUS=$(call quote,"$(here)/tests/fuzz/corpus")
$(fuzz): %: %.o $(fuzz_main) $(STATIC)
	$(LINK.cc) $(if $(fuzz_main),,-fsanitize=fuzzer) -o $@ $(filter %.o,$^) \
	  $(with_static) $(test_libs) $(LDLIBS)

# flags.mk sets NAME_CPPFLAGS and NAME_LDLIBS for a program that needs more.
-include tests/bench/flags.mk
$(bench): $(call support_of,bench)
$(bench): $(B)/bench/%: $(B)/tests/bench/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(LINK.cc) -o $@ $(filter %.o,$^) $(with_shared) $(libs) \
	  $($(@F)_LDLIBS) $(LDLIBS)

# Before its release 6 the library of MessagePack for C had another name.
msgpack_libs = $(or $(shell pkg-config --libs msgpack-c 2>/dev/null),\
                 $(shell pkg-config --libs msgpack))
$(demo): $(demo_objects)
$(demo_worker): $(demo_worker).o
$(demo) $(demo_worker): $(demo_shared) $(LIBRARY)
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(libs) $(msgpack_libs) \
	  $(LDLIBS)

include $(wildcard bindings/*/build.mk)

tests: all $(cmocka_programs) $(fuzz) $(examples) $(children)
	@:
check-programs: tests $(matrix) $(bindings)
	@:
# BINDINGS: one language.
binding-programs: all $(if $(BINDINGS),$(filter $(B)/$(BINDINGS)/%,$(bindings)),\
                         $(bindings))
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
test_env = OS=$(OS) GIPC_TEST_OS=$(OS) \
           GIPC_TEST_BUILD=$(call quote,$(here)/$(1)) \
           GIPC_TEST_PROGRAMS=$(call quote,$(here)/$(1)/programs)
asan := build/$(OS)-asan
tsan := build/$(OS)-tsan

# Two of these at once would mix their output, or build what clean removes.
ifneq ($(filter demo check% fuzz lint bench clean,\
         $(filter-out %-programs,$(MAKECMDGOALS))),)
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
	+@$(build) check-programs
	+@$(build) run-check

# Read again when the packages are there.
run-check:
	@$(call test_env,$(B)) tests/run $(checks) $(binding_checks)

# Without the other languages, also where they are installed.
check-c:
	@.ci/deps c
	+@$(build) tests
	+@$(build) run-check-c

run-check-c:
	@$(call test_env,$(B)) tests/run $(c_checks)

# Beside busy processes, where a test that bets on the machine's speed fails.
LOAD_RUNS ?= 20
check-load:
	@.ci/deps c
	+@$(build) tests
	+@$(build) run-check-load

run-check-load:
	@$(call test_env,$(B)) LOAD_RUNS=$(LOAD_RUNS) tests/load \
	  $(cmocka_programs) $(fuzz)

# On another release of Debian, in a root of its own under build/roots.
ROOT ?= trixie
CHECK ?= check
check-root:
	@.ci/deps root
	@tests/roots/run $(ROOT) $(CHECK)

# make check-python, check-ruby, check-lua: one language alone.
check-%:
	@.ci/deps binding $*
	+@$(build) binding-programs BINDINGS=$*
	+@$(build) run-check-$*

run-check-%:
	@$(call test_env,$(B)) tests/run $(filter tests/bindings/$*/%,\
	  $(binding_checks))

check-san:
	@.ci/deps san
	+@$(build) SAN=asan tests
	@$(call test_env,$(asan)) GIPC_TEST_SAN=1 GIPC_TEST_SLOW=1 \
	  TIMEOUT=1200 ASAN_OPTIONS=detect_stack_use_after_return=1 \
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
	  TIMEOUT=1200 TSAN_OPTIONS=die_after_fork=0:report_thread_leaks=0 \
	  tests/run $(patsubst $(B)/%,$(tsan)/%,$(threaded))

check-valgrind:
	@.ci/deps valgrind
	+@$(build) tests
	@$(call test_env,$(B)) GIPC_TEST_SLOW=1 GIPC_TEST_VALGRIND=1 TIMEOUT=1200 \
	  WRAPPER=tests/valgrind tests/run $(cmocka_programs)

check-long:
	@.ci/deps check
	+@$(build) check-programs $(long)
	+@$(build) run-check-long

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
	@$(call test_env,$(B)) BENCH_PROGRAMS=$(call quote,$(here)/$(B)/bench) \
	  tests/bench/run $(binding_benches)

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
# An expression of sed(1) for a word of gipc.pc.in.
filled = -e $(call quote,s|@$(1)@|$(subst |,\|,$(subst &,\&,$(subst \,\\,$(2))))|)
# Where a path of the installation is now, as a word for the shell.
to = $(call quote,$(DESTDIR)$(1))

# What is written here can be read by everyone, whatever the umask, as what
# INSTALL_DATA copies; and a file of an earlier installation keeps no mode.
install: all
	$(INSTALL) -d $(call to,$(includedir)) $(call to,$(libdir)) \
	  $(call to,$(pkgconfigdir)) \
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
	@man=$(call to,$(mandir)); for p in $(notdir $(pages)) $(link_files); do \
	  rm -f "$$man/man$${p##*.}/$$p"; done

# ---- The rest ---------------------------------------------------------------

clean:
	rm -rf build

# Every C and C++ file of the project, also those not yet added.
format:
	git ls-files -co --exclude-standard '*.h' '*.c' '*.cc' | \
	  xargs clang-format -i

deps:
	@for purpose in demo check lint san valgrind fuzz bench root; do \
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
	@echo "check-load      unit, api, fault and the fuzz corpus LOAD_RUNS=20 times"
	@echo "                beside six busy processes"
	@echo "check-long      each language's tests in full numbers, which takes minutes"
	@echo "check-root      check on ROOT=trixie|sid|bookworm|i386 (a Debian in"
	@echo "                build/roots); CHECK=check-c for another target"
	@echo "fuzz            fuzz with libFuzzer; SECONDS_EACH=60"
	@echo "lint            the checks of layout, rooms, header, exports and pages"
	@echo "bench           build and run the benchmarks"
	@echo "install         to DESTDIR and prefix (default /usr/local)"
	@echo "uninstall       removes what install put there"
	@echo "format          clang-format in place"
	@echo "deps            install the packages that all targets need"
	@echo "clean           remove build/"
	@echo "One test: TEST_FILTER=NAME tests/run build/linux/tests/api/test_x"
	@echo "Variables: OS=linux|posix, DEPS=skip (install no packages),"
	@echo "CC CXX CFLAGS CXXFLAGS CPPFLAGS LDFLAGS, prefix libdir mandir ..."

-include $(wildcard $(B)/*.d $(B)/tests/*/*.d)
