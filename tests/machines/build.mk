# Other machines: the C tests under qemu-user and with musl, and what only compiles.

# Built beside the plain one: on_machine(name,variables of make).
on_machine = $(MAKE) --no-print-directory OS=$(OS) B=build/$(OS)-$(1) \
  CPPFLAGS=$(call quote,-isystem $(call quote,$(here)/build/$(OS)-$(1)/libraries/include)) \
  LDFLAGS=$(call quote,-L$(call quote,$(here)/build/$(OS)-$(1)/libraries/lib)) $(2)
machine_tests := $(filter-out %/test_sites,$(cmocka_programs)) $(fuzz) $(examples)

.PHONY: check-cross check-cross-here check-compile machine-programs run-machine

# ---- Under qemu-user ---------------------------------------------------------

triple_arm64 := aarch64-linux-gnu
triple_armhf := arm-linux-gnueabihf
triple_s390x := s390x-linux-gnu
triple_i386 := i686-linux-gnu
triple := $(triple_$(ARCH))

check-cross:
	@$(if $(triple),,echo "make check-cross ARCH=arm64|armhf|s390x|i386"; exit 2)
	@.ci/deps root
	@ARCH=$(ARCH) tests/roots/run cross check-cross-here

# In that root, whose libraries of the machine are those of its cross compiler.
# Python is that of this machine.
check-cross-here:
	@.ci/deps cross
	@.ci/deps cross-$(ARCH)
	@ln -sf /usr/$(triple)/lib/ld*.so.[0-9] /lib/; \
	  own=/usr/lib/$$($(triple)-gcc -print-multiarch) && mkdir -p $$own && \
	  ln -sf /usr/$(triple)/lib/*.so* $$own/
	@AR=$(triple)-ar SHARED=1 tests/machines/libraries $(call quote,$(here)/build/$(OS)-$(ARCH)/libraries) $(triple)-gcc
	+@$(build) binding-programs BINDINGS=python
	@mkdir -p build/$(OS)-$(ARCH) && ln -sfn ../$(OS)/python build/$(OS)-$(ARCH)/python
	+@$(call on_machine,$(ARCH),CC=$(triple)-gcc CXX=$(triple)-g++ AR=$(triple)-ar) \
	  LDLIBS=$(call quote,$(call run_path,$(here)/build/$(OS)-$(ARCH)/libraries/lib)) \
	  MACHINE=$(ARCH) run-machine

# ---- With the compilers of zig -----------------------------------------------

zig := build/zig/bin/python
$(zig):
	@.ci/deps zig
	@python3 -m venv build/zig
	@$@ -m pip install -q ziglang==0.17.1

# musl, macOS or FreeBSD: each source file, without a warning, into an archive.
# There is one of musl alone: its CMSG_NXTHDR compares signed with unsigned sizes.
TARGET ?= x86_64-linux-musl
target_system := $(if $(findstring macos,$(TARGET)),Darwin,$(if \
  $(findstring freebsd,$(TARGET)),FreeBSD,Linux))
target_os := $(if $(filter Linux,$(target_system)),$(OS),posix)
target_build := build/$(target_os)-$(TARGET)
check-compile: $(zig)
	@AR='$(zig) -m ziglang ar' tests/machines/libraries $(call quote,$(here)/$(target_build)/libraries) \
	  $(zig) -m ziglang cc -target $(TARGET)
	+@$(MAKE) --no-print-directory OS=$(target_os) SYSTEM=$(target_system) \
	  B=$(target_build) CXX='$(zig) -m ziglang c++ -target $(TARGET)' \
	  AR='$(zig) -m ziglang ar' CXXFLAGS='-Werror $(if $(findstring \
	  musl,$(TARGET)),-Wno-sign-compare) $(CXXFLAGS)' \
	  CPPFLAGS=$(call quote,-isystem $(call quote,$(here)/$(target_build)/libraries/include)) \
	  $(target_build)/libgipc.a
	@set -- $(target_build)/*.o; echo "$$# files compiled for $(TARGET)"

frames := $(B)/tests/machines/frames
$(frames): %: %.o $(LIBRARY)
	$(LINK.c) -o $@ $< $(with_shared) $(libs) $(LDLIBS)

# Without the library.
limits := $(B)/tests/machines/limits
$(limits): %: %.o
	$(LINK.c) -o $@ $<

machine-programs: tests $(matrix) $(frames) $(limits)
	@:
run-machine: machine-programs
	@$(call test_env,$(B)) tests/machines/run $(MACHINE) $(machine_tests) \
	  $(if $(filter musl,$(MACHINE)),,tests/machines/wire.sh)
