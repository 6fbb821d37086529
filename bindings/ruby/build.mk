# Builds the Ruby module where the tests load it from, $(B)/ruby.
RUBY ?= ruby

# "include-folder folder-of-the-machine" of that interpreter, empty without one.
ruby_config := $(shell $(RUBY) -e 'print RbConfig::CONFIG.values_at( \
                 "rubyhdrdir", "rubyarchhdrdir").join(" ")' 2>/dev/null)
ruby_header := $(firstword $(ruby_config))/ruby.h
ruby_swig := $(shell command -v $(SWIG) 2>/dev/null)

ifeq ($(and $(ruby_swig),$(wildcard $(ruby_header))),)

ifneq ($(filter check-programs bench-programs,$(MAKECMDGOALS)),)
$(info Ruby is left out: it needs $(SWIG) and the ruby.h of $(RUBY))
endif

else

ruby_native := $(B)/ruby/gipc/native.so
ruby_loader := $(B)/ruby/gipc/loader.so
ruby_preload := $(B)/ruby/gipc/preload.so

bindings += $(ruby_native) $(ruby_loader) $(ruby_preload)
binding_checks += tests/bindings/ruby/run
binding_benches += tests/bench/ruby/run

$(B)/swig/ruby/native_wrap.c: bindings/ruby/ext/gipc/native.i \
                              $(wildcard bindings/ruby/ext/gipc/*.i) \
                              $(wildcard bindings/*.i) bindings/steps.h include/gipc.h
	@mkdir -p $(@D)
	$(SWIG) -ruby -Iinclude -Ibindings -Ibindings/ruby/ext/gipc -o $@ $<

# Without our warnings: SWIG wrote it.
$(ruby_native): $(B)/swig/ruby/native_wrap.c $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) -Iinclude $(addprefix -isystem ,$(ruby_config)) $(CPPFLAGS) -O2 -g \
	  -fPIC -DNDEBUG -fvisibility=hidden $(CFLAGS) $(LDFLAGS) $(module_ld) -o $@ $< \
	  $(with_shared)

$(ruby_loader): bindings/ruby/ext/loader/loader.c
	@mkdir -p $(@D)
	$(CC) $(addprefix -isystem ,$(ruby_config)) $(CPPFLAGS) -O2 -g -fPIC -Wall \
	  -Wextra -fvisibility=hidden $(CFLAGS) $(LDFLAGS) $(module_ld) -o $@ $< \
	  -ldl

$(ruby_preload): bindings/ruby/ext/preload/preload.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -O2 -g -fPIC -Wall -Wextra -fvisibility=hidden $(CFLAGS) \
	  $(LDFLAGS) $(module_ld) -o $@ $< -ldl

endif
