"""Measures rows alternately and prints medians, ratios and targets, as the
benchmarks in C do."""

import json
import os
import signal
import statistics
import subprocess
import threading
from contextlib import suppress
from pathlib import Path


def python(interpreter, jobs, *prepare):
    """The command of a worker."""
    return [*interpreter, str(Path(__file__).with_name("worker.py")), jobs,
            *prepare]


class Worker:
    """A process of its own that measures when it is asked to, on one core or,
    free, wherever the scheduler puts it and its children."""

    seconds = 30  # then it is killed, and answers nothing

    def __init__(self, command, free=False, env=None):
        core = str(max(os.sched_getaffinity(0)))
        self._command = command if free else ["taskset", "-c", core, *command]
        self._env = env
        self._start()

    def _start(self):
        # In a session, so that its children are killed with it.
        self._process = subprocess.Popen(
            self._command, env=self._env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True)

    def _kill(self):
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def __call__(self, job, **arguments):
        """A figure, or None where it cannot be measured."""
        words = [f"{name}={value}" for name, value in arguments.items()]
        limit = threading.Timer(self.seconds, self._kill)
        limit.start()
        answer = ""
        try:
            self._process.stdin.write(" ".join([job, *words]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        finally:
            limit.cancel()
        if not answer:  # it has ended, and the other rows need one
            self._kill()
            self.close()
            self._start()
        return json.loads(answer or "null")

    def close(self):
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            self._kill()
            self._process.wait()
        self._process.stdout.close()


class Table:
    rounds = 7
    only = ""

    def __init__(self, title, digits=0):
        self._title = title
        self._digits = digits
        self._rows = {}

    def add(self, name, worker, job, **arguments):
        self._rows[name] = (lambda: worker(job, **arguments), [])
        return name

    def values(self):
        """{row: the figure of each round}"""
        return {name: values for name, (_, values) in self._rows.items()}

    def measure(self):
        """False: this table is left out."""
        if self.only not in self._title:
            return False
        print(f"\n{self._title}", flush=True)
        rows = list(self._rows.values())
        for number in range(self.rounds):
            for run, values in rows if number % 2 == 0 else rows[::-1]:
                # What failed once would only fail again.
                values.append(None if None in values else run())
        for name, (_, values) in self._rows.items():
            print(f"  {name:42} {spread(values, self._digits)}", flush=True)
        return True

    def compare(self, a, b, at_least=None, at_most=None):
        """Prints the median over the rounds of a / b."""
        pairs = list(zip(self._rows[a][1], self._rows[b][1]))
        if not pairs:
            return
        ratios = [None if None in pair else pair[0] / pair[1] for pair in pairs]
        line = f"  = {a + ' / ' + b:58} {spread(ratios, 2, 6)}"
        bound = at_least or at_most
        if bound and None not in ratios:
            median = statistics.median(ratios)
            met = median >= bound if at_least else median <= bound
            line += (f" target {'>=' if at_least else '<='} {bound:.2f}: "
                     f"{'met' if met else 'MISSED'}")
        print(line, flush=True)


def spread(values, digits, width=12):
    """The median, and the quartiles."""
    if None in values:
        return f"{'not measured':>{width}}"
    ordered = sorted(values)
    last = len(ordered) - 1
    low, high = ordered[last // 4], ordered[last - last // 4]
    return (f"{statistics.median(values):{width},.{digits}f} "
            f"({low:,.{digits}f}..{high:,.{digits}f})")
