#!/usr/bin/env bash
# C programs of another machine, and Python of this one, over each kind of frame and
# over handles by name.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$GIPC_TEST_BUILD
# Numbers in shared memory have the order of the machine.
case $build in *-s390x) transport=plain ;; *) transport=ring ;; esac
export GIPC_TEST_TRANSPORT=$transport
export PYTHONPATH=$build/python PYTHONDONTWRITEBYTECODE=1

python3 "$here/wire.py" "$build/tests/machines/frames" "$transport"
"$here/../matrix/run" C python
"$here/../matrix/run" python C
