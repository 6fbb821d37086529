# Wheels of Python, in build/dist, and the tests of them.

.PHONY: wheels check-wheels
# VERSIONS=3.13, TARGETS=x86_64-linux-musl: only these.  NAME=libgipc: for an index.
wheels:
	@.ci/deps wheels
	+@PYTHON=$(PYTHON) NAME=$(or $(NAME),gipc) $(if $(TARGETS),TARGETS=$(call quote,$(TARGETS))) \
	  pkgconfig/wheels build/dist $(VERSIONS)

# Installs those that are in build/dist where there is no compiler and no libev.
check-wheels:
	@.ci/deps wheels
	@NAME=$(or $(NAME),gipc) tests/wheels/run $(WORDS)
