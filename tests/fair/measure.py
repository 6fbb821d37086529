"""What fair.py counts."""

import os
import time


class Ticks:
    """When another watcher of the loop runs, and how many messages were handled
    since it ran last."""

    def __init__(self, period):
        self.period = period
        self.handled = self.seen = self.worst = self.runs = 0
        self.due = time.monotonic() + period
        self.late = []
        self.work = []
        self.worked = time.process_time()
        self.transports = set()
        self.over = False

    def next(self):
        """Seconds until it is due."""
        return max(0, self.due - time.monotonic()) if self.period else 1e-6

    def ran(self):
        now, worked = time.monotonic(), time.process_time()
        if self.runs:  # not what the loop does at its start
            self.late.append(now - self.due)
            self.work.append(worked - self.worked)
        self.worked = worked
        self.due = max(self.due + self.period, now)
        self.worst = max(self.worst, self.handled - self.seen)
        self.seen = self.handled
        self.runs += 1

    def longest_work(self):
        """How long it works without a run, for 99 of 100 moments of its work."""
        work, passed = sorted(self.work), 0
        most = 0.99 * sum(work)
        for each in work:
            passed += each
            if passed >= most:
                return each

    def report(self):
        self.over = True
        self.worst = max(self.worst, self.handled - self.seen)
        late = sorted(self.late)
        p50, p99 = (1000 * late[int(len(late) * part)] for part in (0.5, 0.99))
        transport = "+".join(sorted(self.transports)) or "none"
        print(f"messages={self.handled} worst={self.worst} runs={self.runs} "
              f"p50={p50:.3f} p99={p99:.3f} work={1000 * self.longest_work():.3f} "
              f"transport={transport}")


class Clock:
    """Time on the wall and of the processor since the last lap."""

    def __init__(self):
        self.lap()

    def lap(self):
        now = time.monotonic(), time.process_time()
        before, self.at = getattr(self, "at", now), now
        return now[0] - before[0], now[1] - before[1]


def report_scale(handles, children, handles_took, children_took):
    print(f"handles={2 * handles} wall={handles_took[0]:.3f} cpu={handles_took[1]:.3f} "
          f"children={children} children_wall={children_took[0]:.3f} "
          f"children_cpu={children_took[1]:.3f}")


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def check_nothing_left(before):
    left = descriptors() - before
    # What a loop keeps open once it has run.
    assert left <= 4, f"{left} more descriptors than before"
    try:
        os.waitpid(-1, os.WNOHANG)
        raise AssertionError("a child is left")
    except ChildProcessError:
        pass
