"""A worker of the benchmarks: worker.py JOBS [PREPARE...]; it runs the jobs
named on its input, and answers with what each measured."""

import importlib
import json
import os
import sys
import traceback

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
jobs = importlib.import_module(sys.argv[1])
able = True
for prepare in sys.argv[2:]:
    able = getattr(jobs, prepare)() and able
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in iter(sys.stdin.readline, ""):
    job, arguments = json.loads(line)
    try:
        figure = getattr(jobs, job)(**arguments) if able else None
    except Exception:
        traceback.print_exc()
        figure = None
    answers.write(json.dumps(figure) + "\n")
    answers.flush()
