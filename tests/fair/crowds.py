"""Many handles and children: idle, and each used once."""

import math
import os
import tempfile
import time
from pathlib import Path

from observers import seen_by_perf, seen_by_strace
from programs import DESCRIPTORS, LONG, parse

# In `make check` one loop of each language.
QUICK = {"C push", "C wait", "python asyncio", "ruby async", "lua own"}
# select(2) takes no descriptor over 1023; those of 100 idle children are among them.
# The custom loop of the tests looks at its handles one after the other.
MOST_HANDLES = {"copas": 400, "custom": 400}
MOST_IDLE = {"copas": 250}
WINDOW = 5 if LONG else 1
PATIENCE = 60
# Descriptors of a process beside its handles.
SPARE = 500


def marked(token):
    """The processes that have the token in their environment, and have not ended."""
    word = f"GIPC_FAIR_TOKEN={token}".encode()
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and word in Path(entry, "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
        except OSError:
            pass  # it has ended


def thread_counts(task):
    """How often a thread was switched to another one, and its ticks of the processor."""
    switches = sum(
        int(line.split()[1])
        for line in Path(task, "status").read_text().splitlines()
        if "ctxt_switches" in line
    )
    fields = Path(task, "stat").read_text().rpartition(")")[2].split()
    return switches, int(fields[11]) + int(fields[12])


def counts(token):
    """Of each thread of each process."""
    found = {}
    for pid in marked(token):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found[pid, int(task.name)] = thread_counts(task)
    return found


def settled(token):
    """The counts once they do not change any more, or None."""
    begun = time.monotonic()
    before = counts(token)
    while time.monotonic() - begun < PATIENCE:
        time.sleep(0.3)
        now = counts(token)
        if now == before:
            return now
        before = now
    return None


def describe(pid):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        where = Path(f"/proc/{pid}/wchan").read_text()
        return f"{pid} in {where}: {words}"
    except OSError:
        return f"{pid}: has ended"


def changes(before, after):
    """A line for each thread that was not idle."""
    for key, (switches, ticks) in sorted(after.items()):
        old_switches, old_ticks = before.get(key, (0, 0))
        if (switches, ticks) != (old_switches, old_ticks):
            yield (f"  thread {key[1]}: {switches - old_switches} switches, "
                   f"{ticks - old_ticks} ticks; {describe(key[0])}")


def end(process, token):
    """Ends a process, and waits until its daemons have ended; what is left."""
    process.kill()
    process.wait()
    process.stdout.close()
    begun = time.monotonic()
    while (left := list(marked(token))) and time.monotonic() - begun < PATIENCE:
        time.sleep(0.01)
    for pid in left:
        os.kill(pid, 9)
    return left


def watch_window(outcome, program, token, transport):
    before = settled(token)
    begun = time.monotonic()
    if before is None:
        before = counts(token)
    time.sleep(WINDOW)  # what is idle does nothing for so long
    after = counts(token)
    busy = list(changes(before, after))
    pids = {pid for pid, _ in after}
    print(f"measured: {program}: idle for {time.monotonic() - begun:.1f} s with {len(pids)} processes, "
          f"{len(after)} threads, {transport}: {len(busy)} of them woke")
    if LONG:
        busy += observed(program, pids)
    if busy:
        outcome.fail(f"{program}: not idle:\n" + "\n".join(busy[:20]))
    else:
        outcome.passed += 1


def observed(program, pids):
    """A line for each observer that saw them do something."""
    woken, of_perf = seen_by_perf(pids)
    with tempfile.NamedTemporaryFile() as log:
        called, of_strace = seen_by_strace(pids, log.name)
    print(f"measured: {program}: perf: {of_perf}; strace: {of_strace}")
    return [f"  {what}" for count, what in ((woken, f"perf: {of_perf}"), (called, f"strace: {of_strace}")) if count]


def check_idle(outcome, programs):
    """All of them are started, then watched."""
    handles, children = (1000, 100) if LONG else (100, 10)
    started = []
    for program in programs:
        if program.loop == "custom":
            outcome.skip(f"{program} idle", "this loop of the tests polls by itself")
        elif LONG or program.name in QUICK:
            token = f"{os.getpid()}-{program.language}-{program.loop}"
            few = min(handles, MOST_IDLE.get(program.loop, handles))
            started.append((program, token, program.start(
                "idle", program.loop, few, children, environment={"GIPC_FAIR_TOKEN": token})))
            if LONG:
                watch(outcome, *started.pop())
    for one in started:
        watch(outcome, *one)


def watch(outcome, program, token, process):
    line = process.stdout.readline()
    if line.startswith("idle"):
        watch_window(outcome, program, token, line.split()[1])
    else:
        outcome.fail(f"{program}: it ended before it was idle")
    left = end(process, token)
    if left:
        outcome.fail(f"{program}: still there: {left}")


# ---- Scale -----------------------------------------------------------------------


def scale(outcome, program, handles, children):
    line = program.run("scale", program.loop, handles, children)
    got = parse(line)
    print(f"measured: {program}: {line.strip()}")
    if int(got["handles"]) != handles or int(got["children"]) != children:
        outcome.fail(f"{program}: not each of them has answered")
    else:
        outcome.passed += 1
    return float(got["cpu"])


def check_scale(outcome, program):
    if not LONG:
        if program.name in QUICK:
            scale(outcome, program, 1000, 10)
        return
    most = MOST_HANDLES.get(program.loop, 20000)
    if DESCRIPTORS < most + SPARE:
        allowed = (DESCRIPTORS - SPARE) // 1000 * 1000
        outcome.skip(f"{program} with {most} handles", f"RLIMIT_NOFILE is {DESCRIPTORS}, and may not be "
                     f"raised: {allowed} instead")
        most = allowed
    few = scale(outcome, program, most // 10, 0)
    many = scale(outcome, program, most, 100 if program.loop in MOST_HANDLES else 2000)
    exponent = math.log10(many / max(few, 0.001))
    print(f"measured: {program}: processor time grows with handles to the power of {exponent:.2f}")
    if exponent >= 1.3:
        outcome.fail(f"{program}: 10 times the handles take {many / few:.0f} times as long")
