"""What perf(1) and strace(1) see of idle processes, beside the counts of /proc."""

import re
import shutil
import subprocess
import time
from pathlib import Path

WINDOW = 2
# A filter of the kernel is one page of text at most.
PER_FILTER = 100


def threads_of(pids):
    for pid in pids:
        try:
            yield from (int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
        except OSError:
            pass  # it has ended


def seen_by_perf(pids):
    """How often any of them was woken up, and for comparison all of the machine.  The
    counter of a process says nothing of one that never ran, so that of the machine is
    filtered."""
    if shutil.which("perf") is None:
        return 0, "not measured: there is no perf (linux-perf)"
    threads = list(threads_of(pids))
    wakeup = ["-e", "sched:sched_wakeup"]
    command = ["perf", "stat", "-x", " ", "-a", *wakeup]
    for first in range(0, len(threads), PER_FILTER):
        some = threads[first:first + PER_FILTER]
        command += [*wakeup, "--filter", "||".join(f"pid=={thread}" for thread in some)]
    run = subprocess.run([*command, "--", "sleep", str(WINDOW)], capture_output=True, text=True)
    counts = re.findall(r"^(\d+)  sched:sched_wakeup ", run.stderr, re.M)
    if run.returncode != 0 or len(counts) < 2 or counts[0] == "0":
        last = (run.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        return 0, f"not measured: perf: {last}"
    total, *woken = map(int, counts)
    return sum(woken), f"{sum(woken)} of {total} wake-ups of the machine"


def calls(text, begin, end):
    """The threads that began a system call in the window."""
    for line in text.splitlines():
        match = re.match(r"(\d+) +(\d+\.\d+) \w+\(", line)
        if match and begin <= float(match[2]) <= end:
            yield int(match[1])


def seen_by_strace(pids, log):
    """How many system calls they made once strace had interrupted what they waited in,
    and for comparison one that is not idle."""
    if shutil.which("strace") is None:
        return 0, "not measured: there is no strace"
    threads = set(threads_of(pids))
    control = subprocess.Popen(["sh", "-c", "while sleep 0.2; do :; done"])
    attached = [f"--attach={pid}" for pid in (*pids, control.pid)]
    tracer = subprocess.Popen(["strace", "-f", "-ttt", "-o", log, *attached], stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(2)  # attaching to hundreds of threads
        begin = time.time()
        time.sleep(WINDOW)
        end = time.time()
    finally:
        tracer.terminate()
        errors = tracer.communicate()[1]
        control.kill()
        control.wait()
    seen = list(calls(Path(log).read_text(), begin, end))
    ours = sum(thread in threads for thread in seen)
    if ours == len(seen):
        last = (errors.strip().splitlines() or ["it printed nothing"])[-1]
        return ours, f"not measured: strace: {last}"
    return ours, f"{ours} system calls, {len(seen) - ours} of one that is not idle"
