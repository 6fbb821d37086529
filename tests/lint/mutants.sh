#!/usr/bin/env bash
# Each defect of tests/mutants/mutants.tsv can still be planted.
set -eu
cd "$(dirname "$0")/../.."
tests/mutants/run --check
