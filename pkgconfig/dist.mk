# What a release consists of, in build/dist, and the tests of it.

DIST := build/dist
DIST_VENV := build/dist-venv
# Where the project is published, which is written into the packages.
HOMEPAGE ?=
DOWNLOADS ?=

.PHONY: dist check-dist
# PARTS: only these, as pkgconfig/dist names them.
dist: $(DIST_VENV)/done
	@.ci/deps dist
	@HOMEPAGE=$(call quote,$(HOMEPAGE)) DOWNLOADS=$(call quote,$(DOWNLOADS)) \
	  VENV=$(call quote,$(here)/$(DIST_VENV)) pkgconfig/dist $(DIST) $(PARTS)
	@cat $(DIST)/SHA256SUMS

# The frontend that makes a source distribution of Python.
$(DIST_VENV)/done:
	@.ci/deps dist
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check build
	@touch $@

# Each part is installed where nothing else of this checkout is, and used.
check-dist: dist
	+@$(build) all
	@$(call test_env,$(B)) GIPC_TEST_LONG=1 DIST=$(call quote,$(here)/$(DIST)) VENV=$(call quote,$(here)/$(DIST_VENV)) \
	  tests/run $(wildcard tests/dist/*.sh) tests/install/cmake.sh tests/install/meson.sh
