# The Lua module: built for each Lua there is, as $(B)/lua/VERSION/gipc/native.so;
# tested, measured, installed, and made a rock.

lua_sources := $(wildcard $(addprefix bindings/lua/,\
                 gipc.lua gipc/*.lua gipc/keeper/*.lua gipc/loop/*.lua gipc/policy/*.lua \
                 gipc/pool/*.lua))
lua_modules := $(lua_sources:bindings/lua/%=%)
lua_wrapper := $(B)/lua/native_wrap.c

comma := ,

# By version, where jit is LuaJIT: its headers, and the objects made with them.
lua_include = $(or $(LUA_INCDIR),/usr/include/$(subst jit,jit-2.1,lua$(1)))
lua_objects = $(addprefix $(B)/lua/$(1)/,native_wrap.o scheduler.o)

$(lua_wrapper): $(wildcard bindings/lua/*.i) $(wildcard bindings/*.i) bindings/steps.h include/gipc.h
	@mkdir -p $(@D)
	$(SWIG) -lua -nomoduleglobal -Iinclude -Ibindings -o $@ bindings/lua/native.i

# Without our warnings: most of it is what SWIG wrote.
lua_compile = $(CC) -Iinclude -Ibindings/lua -I$(call lua_include,$*) \
              $(CPPFLAGS) -std=gnu11 -O2 -g -fPIC -fvisibility=hidden \
              $(CFLAGS) -c -o $@ $<
lua_headers := bindings/lua/scheduler.h include/gipc.h bindings/lua/build.mk

$(B)/lua/%/native_wrap.o: $(lua_wrapper) $(lua_headers)
	@mkdir -p $(@D)
	$(lua_compile)

$(B)/lua/%/scheduler.o: bindings/lua/scheduler.c $(lua_headers)
	@mkdir -p $(@D)
	$(lua_compile)

# Never unloaded: a state that is closed in exit() would take the library's exit
# handler away.
lua_keep := $(if $(filter Linux GNU GNU/%,$(SYSTEM)),-Wl$(comma)-z$(comma)nodelete)
lua_link = $(CC) $(CFLAGS) $(LDFLAGS) $(module_ld) $(lua_keep) -o $@ \
           $(filter %.o,$^)

# ---- For the tests -----------------------------------------------------------

lua_versions := $(if $(shell command -v $(SWIG)),$(foreach v,5.1 5.2 5.3 5.4 5.5 jit,\
                  $(if $(and $(wildcard $(call lua_include,$(v))/lua.h),\
                             $(shell command -v lua$(v))),$(v))))
lua_built := $(lua_versions:%=$(B)/lua/%/gipc/native.so)

ifeq ($(lua_built),)

ifneq ($(filter check-programs bench-programs,$(MAKECMDGOALS)),)
$(info Lua is left out: it needs $(SWIG), and a Lua with its headers)
endif

else

$(lua_built): $(B)/lua/%/gipc/native.so: $(B)/lua/%/native_wrap.o \
                $(B)/lua/%/scheduler.o $(LIBRARY)
	@mkdir -p $(@D)
	$(lua_link) $(with_shared) -lev

bindings += $(lua_built)
binding_checks += tests/bindings/lua/run
binding_benches += tests/bench/lua/run

endif

# ---- Installation ------------------------------------------------------------

# make install LUA=lua5.4: also the module, where that Lua looks.
ifneq ($(LUA),)

lua_version := $(shell $(LUA) -e 'io.write(jit and "jit" or _VERSION:sub(5))')
luadir ?= $(datarootdir)/lua/$(lua_version:jit=5.1)
luacdir ?= $(exec_prefix)/lib/lua/$(lua_version:jit=5.1)
lua_folders := $(sort $(dir $(lua_modules)))

# Where every program looks for libraries: there is no need of a run path.
lua_standard = $(foreach f,lib lib64 lib/$(shell $(CC) -print-multiarch 2>/dev/null),/usr/$(f)|)
lua_run_path = $(if $(findstring |$(libdir)|,|$(subst | ,|,$(lua_standard))),,\
                 $(call run_path,$(libdir)))

# Linked anew: it looks for the library where that will be.
$(B)/lua/$(lua_version)/installed.so: $(call lua_objects,$(lua_version)) \
                                      $(LIBRARY) FORCE
	$(lua_link) -L$(B) -lgipc $(lua_run_path) -lev

# A rock has a library with it, where the system has none.
rock_libs := $(shell pkg-config --libs gipc 2>/dev/null)
$(B)/lua/$(lua_version)/rock.so: $(call lua_objects,$(lua_version)) \
                                 $(if $(rock_libs),,$(STATIC)) FORCE
	$(lua_link) $(or $(rock_libs),$(STATIC) \
	  -Wl$(comma)--exclude-libs$(comma)ALL -lstdc++ -lpthread) -lev

install_lua = $(INSTALL) -d $(foreach f,$(lua_folders),\
                $(call to,$(luadir)/$(f))) $(call to,$(luacdir)/gipc) && \
              $(foreach m,$(lua_modules),$(INSTALL_DATA) bindings/lua/$(m) \
                $(call to,$(luadir)/$(m)) &&) \
              $(INSTALL_PROGRAM) $< $(call to,$(luacdir)/gipc/native.so)

.PHONY: install-lua uninstall-lua rock install-rock
install: install-lua
install-lua: $(B)/lua/$(lua_version)/installed.so
	$(install_lua)

uninstall: uninstall-lua
uninstall-lua:
	rm -f $(foreach m,$(lua_modules),$(call to,$(luadir)/$(m))) \
	  $(call to,$(luacdir)/gipc/native.so)
	-@rmdir $(foreach f,keeper loop policy pool,$(call to,$(luadir)/gipc/$(f))) \
	  $(call to,$(luadir)/gipc) \
	  $(call to,$(luacdir)/gipc) 2>/dev/null

# What gipc-scm-1.rockspec calls.
rock: $(B)/lua/$(lua_version)/rock.so
install-rock: $(B)/lua/$(lua_version)/rock.so
	$(install_lua)

endif
