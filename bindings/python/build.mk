# Builds the Python package where the tests import it from, $(B)/python.
#
# PYTHON is the distribution's: its gevent shares the system's libev.
PYTHON ?= /usr/bin/python3

# "include-folder suffix" of that interpreter, empty without one.
python_config := $(shell $(PYTHON) -c 'from sysconfig import *; \
                   print(get_path("include"), get_config_var("EXT_SUFFIX"))' \
                   2>/dev/null)
python_header := $(firstword $(python_config))/Python.h
python_swig := $(shell command -v $(SWIG) 2>/dev/null)

ifeq ($(and $(python_swig),$(wildcard $(python_header))),)

ifneq ($(filter check-programs bench-programs,$(MAKECMDGOALS)),)
$(info Python is left out: it needs $(SWIG) and the Python.h of $(PYTHON))
endif

else

python := $(B)/python/gipc
python_native := $(python)/_native$(lastword $(python_config))
# Links, so that a changed module needs no build.
python_links := $(patsubst bindings/python/%,$(B)/python/%,$(wildcard \
                  $(addprefix bindings/python/gipc/,*.py *.pyi py.typed)))

bindings += $(python_native) $(python_links)
binding_checks += tests/bindings/python/run
binding_benches += tests/bench/python/run

$(B)/swig/python/native_wrap.c: bindings/python/native.i \
                                $(wildcard bindings/python/*.i) \
                                $(wildcard bindings/*.i) bindings/steps.h include/gipc.h
	@mkdir -p $(@D)
	$(SWIG) -python -builtin -O -Iinclude -Ibindings -outdir $(@D) -o $@ $<

# Without our warnings: SWIG wrote it.
$(python_native): $(B)/swig/python/native_wrap.c $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) -Iinclude -I$(dir $(python_header)) $(CPPFLAGS) -O2 -g -fPIC \
	  -DNDEBUG -fvisibility=hidden $(CFLAGS) $(LDFLAGS) $(module_ld) -o $@ $< \
	  $(with_shared)

$(python_links): $(B)/python/%: bindings/python/%
	@mkdir -p $(@D)
	@ln -sf $(call quote,$(here)/$<) $@

endif
