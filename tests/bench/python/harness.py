"""Measures rows alternately and prints medians, ratios and targets, as the
benchmarks in C do."""

import json
import statistics
import subprocess
from contextlib import suppress
from pathlib import Path


class Worker:
    """A process of its own that measures when it is asked to, on one core."""

    def __init__(self, python, jobs, *prepare):
        self._process = subprocess.Popen(
            [*python, str(Path(__file__).with_name("worker.py")), jobs,
             *prepare],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, job, **arguments):
        """A figure, or None where it cannot be measured."""
        try:
            self._process.stdin.write(json.dumps([job, arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        return json.loads(self._process.stdout.readline() or "null")

    def close(self):
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


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
