"""Measures the rows of a table, each with as many messages as take some time."""

from work import ENVIRONMENT  # which makes the harness known
from harness import Table, Worker
import report

SECONDS = 0.11  # for one figure, about
MOST = 3_000_000
TAIL = 300  # round trips at least, of which one in a hundred is looked for


class Calibrated:
    """Calls a worker with as many messages or children as take some time, and
    gives its figure in the unit of the table."""

    def __init__(self, worker, rates, unit, size, least=1):
        self._worker, self._size = worker, size
        self._inverted = rates and unit in ("us", "ms")
        self._unit = unit
        self._least = least
        self._count = max(least, 1 if size >= 1 << 26 or unit == "ms" else 20)
        self._known = False

    def __call__(self, job, **arguments):
        figure = self._measure(job, arguments)
        # The first messages are slower, so that few of them ask for too few.
        while figure and not self._known:
            enough, before = self._enough(figure), self._count
            self._known = enough < 2 * before
            if enough < before or not self._known:
                self._count = enough
                figure = self._measure(job, arguments)
        return figure and self._in_unit(figure)

    def _measure(self, job, arguments):
        return self._worker(job, count=self._count, **arguments)

    def _per_second(self, figure):
        if self._unit in ("us", "ms") and not self._inverted:
            return (1e6 if self._unit == "us" else 1e3) / figure
        return figure

    def _enough(self, figure):
        return max(self._least, min(MOST, int(self._per_second(figure) * SECONDS)))

    def _in_unit(self, figure):
        if self._unit == "MB/s":
            return figure * self._size / 1e6
        if self._unit == "thousand/s":
            return figure / 1e3
        if self._inverted:
            return (1e6 if self._unit == "us" else 1e3) / figure
        return figure


def gives_rates(language, job):
    """Or else times, which some jobs in Python give."""
    return language != "Python" or job.endswith(("one_way", "tasks"))


def measure(language, work, unit, peers, free):
    """The rows of one table."""
    workers = {}
    table = Table(f"{language}, {work}, {'free' if free else 'same core'}: {unit}",
                  2)
    for name, (command, job, arguments) in peers.items():
        key = tuple(command)
        if key not in workers:
            workers[key] = Worker(command, free, ENVIRONMENT)
        table.add(name, Calibrated(workers[key], gives_rates(language, job), unit,
                                   arguments.get("size", 0),
                                   TAIL if job == "tail" else 1),
                  job, **arguments)
    table.measure()
    for worker in workers.values():
        worker.close()
    return [report.Row(language, work, "free" if free else "same", name, unit,
                       [] if None in values else values)
            for name, values in table.values().items()]
