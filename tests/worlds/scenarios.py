"""Runs the scenarios with these names in this process, and prints where the world
keeps the output (GIPC_WORLD_OUTPUT)."""

import os
import sys
import tempfile

output = os.environ.get("GIPC_WORLD_OUTPUT")
if output:
    sys.stdout = sys.stderr = open(int(output), "w", buffering=1)

import pytest

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bindings", "python")
FILES = "pipe process process_surface transport exec".split()


class Scenarios:
    """Those with these names; counted for the closing line of a runner."""

    closing = "0 passed, 1 failed"

    def pytest_collection_modifyitems(self, items):
        names = {"test_" + name for name in sys.argv[1:]}
        items[:] = [item for item in items if item.originalname in names]

    def pytest_terminal_summary(self, terminalreporter):
        of = {key: len(reports) for key, reports in terminalreporter.stats.items()}
        self.closing = "%d passed, %d failed, %d skipped" % (
            of.get("passed", 0),
            of.get("failed", 0) + of.get("error", 0),
            of.get("skipped", 0),
        )


os.chdir(FOLDER)
scenarios = Scenarios()
files = ["test_%s.py" % name for name in FILES]
with tempfile.TemporaryDirectory() as folder:  # that of pytest is one user's
    status = pytest.main(["-s", "--basetemp", folder + "/it", *files], [scenarios])
print(scenarios.closing)
sys.stdout.flush()
# Children that a failed scenario left are not waited for.
os._exit(status)
