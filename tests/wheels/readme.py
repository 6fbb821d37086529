"""Runs the programs of a README with the package that this Python has installed.

    python readme.py README
"""

import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

failed = []
passed = skipped = 0
programs = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?",
                      Path(sys.argv[1]).read_text(encoding="utf-8"), re.DOTALL)
for number, (text, printed) in enumerate(programs, 1):
    missing = [name for name in re.findall(r"^(?:import|from) (\w+)", text, re.M)
               if importlib.util.find_spec(name) is None]
    if missing:
        print("skipped program %d: no package %s" % (number, " ".join(missing)))
        skipped += 1
        continue
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "program.py")
        program.write_text(text, encoding="utf-8")
        done = subprocess.run([*sys.orig_argv[:-2], str(program)]
                              if hasattr(sys, "orig_argv") else
                              [sys.executable, str(program)],
                              text=True, timeout=300, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    if (done.returncode, done.stderr, done.stdout) == (0, "", printed):
        passed += 1
    else:
        failed.append(number)
        print("program %d: %d, %s%s" % (number, done.returncode, done.stdout,
                                        done.stderr))
print("README: %d of %d programs ran, %d skipped, failed: %s" % (
    passed, len(programs), skipped, failed or "none"))
sys.exit(bool(failed) or not passed)
