#!/usr/bin/env bash
# No circle of imports in the Python package.
set -eu
exec python3 "$(dirname "$0")/imports.py"
