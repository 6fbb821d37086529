"""A worker of the benchmarks: worker.py JOBS [PREPARE...]; it runs the jobs
named on its input, as `job name=value...`, and answers with what each measured."""

import importlib
import json
import os
import sys
import traceback


def main():
    jobs = importlib.import_module(sys.argv[1])
    able = True
    for prepare in sys.argv[2:]:
        name, _, value = prepare.partition("=")
        able = getattr(jobs, name)(*map(int, value.split())) and able
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in iter(sys.stdin.readline, ""):
        job, *words = line.split()
        arguments = {name: int(value) if value.isdigit() else value
                     for name, value in (word.split("=") for word in words)}
        try:
            figure = getattr(jobs, job)(**arguments) if able else None
        except Exception:
            traceback.print_exc()
            figure = None
        answers.write(json.dumps(figure) + "\n")
        answers.flush()


# A template imports this module, too.
if __name__ == "__main__":
    main()
