# The manual as HTML, in build/html: the manual pages, the guide of man/guide, and what
# the languages' own tools make of their modules.

GUIDE := build/guide
HTML := build/html
GUIDE_VENV := $(B)/guide-venv
GUIDE_PYTHON = $(GUIDE_VENV)/bin/python

.PHONY: html check-html html-programs run-html run-check-html

# Fails on a warning, a broken link, and a program that does not run as it is shown.
html:
	@.ci/deps check
	@.ci/deps html
	+@$(build) html-programs
	+@$(build) run-html

# The same, and how it looks in a browser.
check-html: html
	+@$(build) run-check-html

html-programs: all $(examples) $(bindings) $(GUIDE_VENV)/done
	@:

# Sphinx reads the module of the Python that it runs in.
$(GUIDE_VENV)/done: man/guide/requirements.txt
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(GUIDE_PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

run-html:
	@rm -rf $(HTML)
	@$(PYTHON) man/guide/prepare.py $(GUIDE)
	@PYTHONPATH=$(B)/python $(GUIDE_PYTHON) -m sphinx -q -W --keep-going -b html \
	  -d $(B)/guide-doctrees -c man/guide $(GUIDE) $(HTML)
	@man/guide/modules $(GUIDE) $(HTML)
	@$(PYTHON) tests/html/links.py $(HTML)
	@$(call test_env,$(B)) PYTHON=$(PYTHON) RUBY=$(RUBY) tests/html/run

run-check-html:
	@$(GUIDE_PYTHON) tests/html/look.py $(HTML)
