#!/usr/bin/env bash
# The manual pages are clean mdoc.
set -eu
cd "$(dirname "$0")/../../man"
# A page that is not installed yet cannot be found by mandoc.
mandoc -Tlint -Wwarning ./*.[357]
