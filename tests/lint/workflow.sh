#!/usr/bin/env bash
# The workflow for a public host is one, and what it runs is there.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
sed -nE 's/^ *- run: (sudo )?(\.ci\/[a-z]+).*/\2/p' .github/workflows/*.yml |
  while read -r command; do
    [ -x "$command" ] || { echo "a workflow runs $command, which is not there"; exit 1; }
  done
# Its own environment: no distribution has this as a package.
venv=build/lint-venv
if ! [ -x $venv/bin/check-jsonschema ]; then
  rm -rf $venv
  python3 -m venv $venv
  $venv/bin/pip install -q --disable-pip-version-check check-jsonschema >/dev/null 2>&1 ||
    { rm -rf $venv && echo "pip cannot install check-jsonschema" && exit 77; }
fi
$venv/bin/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
