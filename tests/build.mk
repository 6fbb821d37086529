# Tests, demo and benchmarks: what they are built from, and how they run.
# Included by the Makefile, whose variables it uses.

# ---- Flags ------------------------------------------------------------------

# cmocka hands every test a state that few use.
test_cc := $(cc) -Wno-unused-parameter -D_GNU_SOURCE=
test_cxx := $(cxx) -Wno-unused-parameter -Wno-missing-declarations
test_cpp := $(cpp) -Isrc -DPROGRAMS=$(call quote,"$(here)/$(B)/programs")

TEST_FLAGS := $(B)/TEST_FLAGS
TEST_FLAGS_text := $(CC) $(test_cc) $(CFLAGS) $(CXX) $(test_cxx) $(CXXFLAGS) \
                   $(test_cpp) $(CPPFLAGS) $(LDFLAGS) $(LDLIBS)

test_libs := $(libs) -lcmocka
with_static = $(STATIC)
# Not -Wl: a path may contain commas.
run_path = -Xlinker -rpath -Xlinker $(call quote,$(1))
with_shared = -L$(B) $(call run_path,$(here)/$(B)) -lgipc

LINK.c = $(CC) $(test_cc) $(CFLAGS) $(LDFLAGS)
LINK.cc = $(CXX) $(test_cxx) $(CXXFLAGS) $(LDFLAGS)

# ---- What there is ----------------------------------------------------------

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
ifeq ($(OS),posix) # where messages have no descriptors
examples := $(filter-out %/listener,$(examples))
endif
bench := $(patsubst $(B)/tests/%,$(B)/%,$(call programs_in,bench,bench*))
children := $(patsubst tests/programs/%.c,$(B)/programs/%,\
              $(wildcard tests/programs/*.c))
matrix := $(addprefix $(B)/tests/matrix/,parent child pool worker)
# What makes hostile worlds; the shim is loaded before libc.
worlds := $(addprefix $(B)/tests/worlds/,enter shim.so)
killed := $(B)/tests/killed/parent
fair := $(addprefix $(B)/tests/fair/,fair peer)
# What only the half of the library that knows Linux can show: without pidfds, the
# languages look at children from time to time.
linux_checks := $(if $(filter linux,$(OS)),$(addprefix tests/,fair/run killed/run worlds/run))
linux_c_checks := $(if $(filter linux,$(OS)),tests/fault/lifelines.sh)
soak := $(addprefix $(B)/tests/soak/,soak heap.so)
soak_checks := $(if $(filter linux,$(OS)),tests/soak/run)
demo := $(B)/tests/demo/demo
demo_worker := $(B)/tests/demo/worker
demo_shared := $(addprefix $(B)/tests/demo/,count.o message.o)
demo_objects := $(filter-out $(demo_worker).o $(demo_shared),\
                  $(patsubst %.c,$(B)/%.o,$(wildcard tests/demo/*.c)))

# A file to work on, where the caller names none.
FILES ?= $(wildcard /usr/share/common-licenses/* include/*.h src/*.h src/*.cc)

# test_sites starts hundreds of processes: check runs it once, check-faults whole.
sites_quick := $(filter %/test_sites,$(fault))
cmocka_programs := $(unit) $(api) $(filter-out %/test_sites,$(fault))
# Run with all their seeds in check-long.
schedules := $(filter %/test_schedule %/test_schedule_start,$(fault))
# What needs no other language, and the rest.
c_checks := $(cmocka_programs) $(sites_quick) $(fuzz) $(examples) \
            $(wildcard tests/install/*.sh) tests/lint/exports.sh $(linux_c_checks)
checks := $(c_checks) $(wildcard tests/examples/*.sh tests/man/run \
            tests/matrix/run tests/launch/run) $(linux_checks) $(soak_checks)

# A language's build.mk adds the files it builds for its tests to `bindings`,
# its test runners to `binding_checks`, and its benchmarks to
# `binding_benches`.  Each is left out, in sight, where its interpreter is not
# there.
bindings :=
binding_checks :=
binding_benches :=

tested_languages = $(patsubst tests/bindings/%/run,%,$(binding_checks))
# Minutes each.
long_checks = $(filter %/python/run,$(binding_checks)) $(filter %/lua/run,$(binding_checks))

SWIG ?= swig

.PHONY: tests demo check check-c check-san check-tsan check-valgrind \
        check-long check-faults check-load check-schedules check-soak check-worlds check-fair check-root \
        check-matrix \
        check-transports \
        hazards mutants \
        fuzz lint model bench demo-programs demo-languages run-demo binding-programs check-programs run-check \
        run-check-c run-check-long run-check-faults run-check-load run-check-schedules run-check-soak \
        run-check-worlds run-check-fair run-fuzz bench-programs \
        run-bench bench-guard run-bench-guard \
        bench-peers bench-growth run-bench-peers run-bench-growth

# ---- Test programs ----------------------------------------------------------

$(B)/tests/%.o: tests/%.cc tests/build.mk $(TEST_FLAGS)
	@mkdir -p $(@D)
	$(CXX) $(test_cpp) $(CPPFLAGS) $($(*F)_CPPFLAGS) $(test_cxx) $(CXXFLAGS) \
	  -c -o $@ $<

$(B)/tests/%.o: tests/%.c tests/build.mk $(TEST_FLAGS)
	@mkdir -p $(@D)
	$(CC) $(test_cpp) $(CPPFLAGS) $($(*F)_CPPFLAGS) $(test_cc) $(CFLAGS) \
	  -c -o $@ $<

# Linked statically: these reach the hidden symbols.
$(unit): $(call support_of,unit)
$(fault): $(call support_of,fault)
$(B)/tests/fault/test_sites: $(addsuffix .o,$(call programs_in,fault,sites_*)\
  $(call programs_in,fault,scenario_*))
$(long): $(call support_of,long)
$(unit) $(fault) $(long): %: %.o $(STATIC)
	$(LINK.cc) -o $@ $(filter %.o,$^) $(with_static) $(test_libs) $(LDLIBS)

# Linked as a C program outside would be.
$(api): $(call support_of,api)
$(api) $(examples): %: %.o $(LIBRARY)
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(test_libs) $(LDLIBS)

# The same with the hook of system calls, at which each thread may be delayed.
scheduled := $(api:$(B)/tests/api/%=$(B)/schedules/%)
$(scheduled): $(call support_of,api) $(B)/tests/fault/support_schedule.o
$(scheduled): $(B)/schedules/%: $(B)/tests/api/%.o $(STATIC)
	@mkdir -p $(@D)
	$(LINK.cc) -o $@ $(filter %.o,$^) $(with_static) $(test_libs) $(LDLIBS)

$(children): $(B)/programs/%: $(B)/tests/programs/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(LINK.c) -o $@ $< $(with_shared) $(libs) $(LDLIBS)

$(B)/tests/worlds/enter: $(addsuffix .o,$(call programs_in,worlds,enter*))
	$(LINK.c) -o $@ $^ $(libs) $(LDLIBS)

$(B)/tests/worlds/shim.so: $(addsuffix .o,$(call programs_in,worlds,shim*))
	$(LINK.c) -shared -o $@ $^ -lpthread -ldl -lrt $(LDLIBS)

$(killed): %: %.o $(LIBRARY)
	$(LINK.c) -o $@ $< $(with_shared) $(libs) $(LDLIBS)

$(B)/tests/fair/fair: $(addprefix $(B)/tests/fair/,crowd.o measure.o)
$(fair): %: %.o $(LIBRARY)
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(libs) $(LDLIBS)

$(B)/tests/soak/soak: $(B)/tests/soak/soak_children.o
$(B)/tests/soak/soak: %: %.o $(LIBRARY)
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(libs) -lpthread $(LDLIBS)

$(B)/tests/soak/heap.so: %.so: %.o
	$(LINK.c) -shared -o $@ $< $(LDLIBS)

$(matrix): %: %.o $(B)/tests/matrix/peer.o $(LIBRARY)
	$(LINK.c) -o $@ $(filter %.o,$^) $(with_shared) $(libs) $(LDLIBS)

# As C is compiled on 32-bit ARM: no end of a thread can unwind it.
test_process_codes_CPPFLAGS := -fno-asynchronous-unwind-tables -fno-unwind-tables
test_pool_scenarios_CPPFLAGS := -DSCENARIOS=$(call quote,"$(here)/tests/pool")

# In `make check` a small driver stands in for libFuzzer.
fuzz_main := $(if $(filter fuzz,$(SAN)),,$(B)/tests/fuzz/driver.o)
driver_CPPFLAGS := -DCORPUS=$(call quote,"$(here)/tests/fuzz/corpus")
$(filter %/fuzz_calls,$(fuzz)): $(addsuffix .o,$(call programs_in,fuzz,calls_*))
$(filter %/fuzz_ring,$(fuzz)): $(addsuffix .o,$(call programs_in,fuzz,ring_*))
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
include man/build.mk
include tests/machines/build.mk

tests: all $(cmocka_programs) $(sites_quick) $(fuzz) $(examples) $(children) $(worlds)
	@:
check-programs: tests $(matrix) $(killed) $(fair) $(soak) $(bindings)
	@:
# BINDINGS: one language.  Some of its tests start programs in C.
binding-programs: all $(children) $(if $(BINDINGS),$(filter $(B)/$(BINDINGS)/%,$(bindings)),\
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
ifneq ($(filter demo check% fuzz mutants lint model bench% clean,\
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

# Read again when the packages are there.  The longest runs first: all others run
# beside them, which is no harm, as no test may depend on an idle machine.  One more at
# once than there are processors, as most of a test's time is waiting.
run-check:
	@tests/bindings/surface.sh
	@rm -rf $(B)/results
	@status=0; export $(call test_env,$(B)); mkdir -p $(B)/results; \
	  RESULTS=$(B)/results/c.tsv JOBS=$${JOBS:-$$(($$(nproc) + 1))} tests/run \
	  $(long_checks) \
	  $(c_checks) $(filter-out $(c_checks) %/launch/run %/matrix/run $(linux_checks) $(soak_checks),$(checks)) \
	  $(filter-out $(long_checks),$(binding_checks)) \
	  $(filter %/launch/run %/matrix/run $(linux_checks) $(soak_checks),$(checks)) || status=1; \
	  tests/bindings/coverage.sh $(tested_languages) || status=1; \
	  tests/hazards || status=1; exit $$status

# Whether the C suite notices defects; an hour or more.
mutants:
	@.ci/deps c
	@tests/mutants/run $(MUTANT)

# Which hazards the tests that passed in the last `make check` have shown.
hazards:
	@tests/hazards --all

# Without the other languages, also where they are installed.
check-c:
	@.ci/deps c
	+@$(build) tests
	+@$(build) run-check-c

run-check-c:
	@$(call test_env,$(B)) tests/run $(c_checks)

# With a ring from the first message on, and without any.
check-transports:
	@.ci/deps c
	+@$(build) tests
	@status=0; for transport in ring plain; do \
	  GIPC_TRANSPORT=$$transport $(call test_env,$(B)) \
	    tests/run $(cmocka_programs) || status=1; \
	done; exit $$status

# Beside busy processes, where a test that bets on the machine's speed fails: the C
# suite, and each language.  The limits are for a test that hangs.
LOAD_RUNS ?= 20
LOAD_LANGUAGE_RUNS ?= 3
# Runs of the C suite at the same time: they are a part of the load.
LOAD_JOBS ?= 4
check-load:
	@.ci/deps check
	+@$(build) check-programs
	+@$(build) run-check-load

run-check-load:
	@status=0; export $(call test_env,$(B)); \
	  LOAD_RUNS=$(LOAD_RUNS) LOAD_JOBS=$(LOAD_JOBS) tests/load $(cmocka_programs) $(fuzz) || status=1; \
	  LOAD_RUNS=$(LOAD_LANGUAGE_RUNS) JOBS=3 TIMEOUT=3600 TIMEOUT_EACH=900 GIPC_TEST_LIMIT=1800 \
	    tests/load $(binding_checks) || status=1; \
	  exit $$status

# All of the hostile worlds, and of the parents that are killed.
check-worlds:
	@.ci/deps check
	+@$(build) check-programs
	+@$(build) run-check-worlds

run-check-worlds:
	@$(call test_env,$(B)) GIPC_TEST_LONG=1 TIMEOUT=3600 \
	  tests/run $(filter-out tests/fair/run,$(linux_checks))

# Fairness, idleness and scale, in full.
check-fair:
	@.ci/deps check
	@.ci/deps fair
	+@$(build) check-programs
	+@$(build) run-check-fair

run-check-fair:
	@$(call test_env,$(B)) GIPC_TEST_LONG=1 TIMEOUT=3600 tests/run tests/fair/run

# A million round trips and 10,000 children in each language, for SECONDS_EACH=600 at
# least, while nothing grows.
check-soak:
	@.ci/deps check
	+@$(build) check-programs
	+@$(build) run-check-soak

run-check-soak:
	@$(call test_env,$(B)) GIPC_TEST_LONG=1 TIMEOUT=36000 SECONDS_EACH=$(or $(SECONDS_EACH),600) \
	  tests/run $(soak_checks)

# In orders of the system calls that are rare by themselves; a seed for each run.
SEEDS ?= 1 2 3
check-schedules:
	@.ci/deps c
	+@$(build) tests $(scheduled)
	+@$(build) run-check-schedules

run-check-schedules:
	@status=0; for seed in $(SEEDS); do \
	  echo "== seed $$seed, $$(uname -sr)"; \
	  GIPC_TEST_SCHEDULE=$$seed GIPC_TEST_SLOW=1 $(call test_env,$(B)) \
	    tests/run $(scheduled) || status=1; \
	done; exit $$status

# On another release of Debian, in a root of its own under build/roots.
ROOT ?= trixie
CHECK ?= check
check-root:
	@.ci/deps root
	@tests/roots/run $(ROOT) $(CHECK)

# On each of them.  WORDS: what .ci/matrix is called with.
check-matrix:
	@.ci/matrix $(WORDS)

# make check-python, check-ruby, check-lua: one language alone.
check-%:
	@.ci/deps binding $*
	+@$(build) binding-programs BINDINGS=$*
	+@$(build) run-check-$*

run-check-%:
	@rm -f $(B)/results/$*.tsv
	@status=0; export $(call test_env,$(B)); \
	  tests/run $(filter tests/bindings/$*/%,$(binding_checks)) || status=1; \
	  tests/bindings/coverage.sh $(filter $*,$(tested_languages)) || status=1; \
	  exit $$status

check-san:
	@.ci/deps san
	+@$(build) SAN=asan tests
	@$(call test_env,$(asan)) GIPC_TEST_SAN=1 GIPC_TEST_SLOW=1 \
	  TIMEOUT=1200 ASAN_OPTIONS=detect_stack_use_after_return=1 \
	  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	  LSAN_OPTIONS=suppressions=$(call quote,$(here)/tests/leaks.txt):print_suppressions=0 \
	  tests/run $(patsubst $(B)/%,$(asan)/%,$(cmocka_programs) $(fuzz))

# die_after_fork=0: TSan would end the children of a threaded parent.
# report_thread_leaks=0: in a forked child every thread of the parent is one.
threaded := $(foreach p,$(cmocka_programs),\
              $(if $(findstring thread,$(notdir $(p)))$(findstring \
                test_ring,$(notdir $(p))),$(p)))
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

# Each place that makes a call is told from the others: FLAGS_sites.
sites := build/$(OS)-sites
check-faults:
	@.ci/deps check
	+@$(build) SAN=sites $(sites)/tests/fault/test_sites
	+@$(build) SAN=sites run-check-faults

run-check-faults:
	@rm -f $(B)/sites; \
	  GIPC_TEST_LONG=1 GIPC_TEST_SITES=$(B)/sites TIMEOUT=3600 \
	  $(call test_env,$(B)) tests/run $(B)/tests/fault/test_sites
	@tests/fault/sites.py $(B)/tests/fault/test_sites $(B)/sites \
	  tests/fault/sites.txt
	@$(call test_env,$(B)) tests/fault/strace.py $(B)/tests/fault/test_sites || [ $$? -eq 77 ]

check-long:
	@.ci/deps check
	@.ci/deps long
	+@$(build) check-programs $(long)
	+@status=0; $(build) run-check-long || status=1; $(build) run-check-soak || status=1; \
	  exit $$status

run-check-long:
	@$(call test_env,$(B)) GIPC_TEST_LONG=1 TIMEOUT=3600 \
	  tests/run $(long) $(addprefix $(B)/tests/api/test_,ring_ends kill_transfer pipe_liar) \
	  $(schedules) $(linux_checks) tests/launch/run $(binding_checks)

# make fuzz SECONDS_EACH=600: new inputs stay under build/.
fuzz:
	@.ci/deps fuzz
	+@$(build) SAN=fuzz CC=clang CXX=clang++ run-fuzz

# fuzz_calls forks: without the thread that measures the memory.
run-fuzz: $(fuzz)
	@set -e; uname -sr; for f in $(fuzz); do \
	  name=$${f##*/fuzz_}; mkdir -p $(B)/corpus/$$name; \
	  case $$name in calls) limit=-rss_limit_mb=0 ;; *) limit= ;; esac; \
	  echo "== fuzz_$$name"; \
	  $$f -max_total_time=$(or $(SECONDS_EACH),60) -timeout=300 $$limit \
	    -print_final_stats=1 \
	    -artifact_prefix=$(B)/ $(B)/corpus/$$name tests/fuzz/corpus/$$name; \
	done

lint:
	@.ci/deps lint
	+@$(build) all
	@$(call test_env,$(B)) tests/run $(wildcard tests/lint/*.sh)

model:
	@.ci/deps model
	@tests/model/run $(MODEL)

bench:
	@.ci/deps bench
	+@$(build) bench-programs
	+@$(build) run-bench

# Read again when the packages are there.
run-bench:
	@$(call test_env,$(B)) BENCH_PROGRAMS=$(call quote,$(here)/$(B)/bench) \
	  tests/bench/run $(binding_benches)

# WRITE=1: the counts of now are right, and go into the table.
bench-guard:
	@.ci/deps bench
	+@$(build) bench-programs
	+@$(build) run-bench-guard

run-bench-guard:
	@$(call test_env,$(B)) PYTHON=$(PYTHON) \
	  tests/bench/guard/run $(if $(WRITE),--write)

# Beside other libraries, and by size.  QUICK=1: a trial.  WRITE=1: into
# tests/bench/results.
bench-peers bench-growth: bench-%:
	@.ci/deps bench
	+@$(build) bench-programs
	+@$(build) run-bench-$*

run-bench-peers run-bench-growth: export PYTHONDONTWRITEBYTECODE := 1
run-bench-peers run-bench-growth: run-bench-%:
	@$(call test_env,$(B)) PYTHON=$(PYTHON) \
	  $(PYTHON) tests/bench/peers/$(subst peers,run,$*) \
	  $(if $(QUICK),--quick) $(if $(WRITE),--write)
