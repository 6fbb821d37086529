"""A program of the soak, and what it uses: descriptors, threads, memory, children."""

import os
import re
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = Path(os.environ.get("GIPC_TEST_BUILD", TOP / "build/linux")).resolve()
#: Seconds without a line, or until what was closed has ended.
PATIENCE = 900
SETTLES = 30
#: The samples that say what there is at the start: the first one has seen no child.
WARM_UP = range(2, 5)
#: What must be the same after each batch.
COUNTS = ("descriptors", "threads", "shared", "children", "cgroups")
ENVIRONMENT = {
    "PYTHONPATH": f"{BUILD}/python:{HERE}",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Small objects come from malloc, so that its count has them.
    "PYTHONMALLOC": "malloc",
    "RUBYLIB": f"{TOP}/bindings/ruby/lib:{BUILD}/ruby:{HERE}",
    "LUA_PATH": f"{TOP}/bindings/lua/?.lua;{HERE}/?.lua;;;/usr/share/lua/5.3/?.lua",
    "LUA_CPATH": f"{BUILD}/lua/5.4/?.so;;",
    "GIPC_SOAK_HEAP": f"{BUILD}/tests/soak/heap.so",
    # The caches of threads, which malloc counts as used, would move the figures.
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1",
}


class Stuck(Exception):
    """It printed nothing for too long, or ended."""


def read(path):
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def children_of(pid):
    """Those that run, and those that have ended and are not reaped."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            fields = read(f"{entry.path}/stat").rpartition(")")[2].split()
            if fields[1:2] == [str(pid)]:
                yield entry.name


def cgroups_of(pid):
    """The number of cgroups below that of the process; None: not known."""
    path = re.search(r"^0::(/.*)$", read(f"/proc/{pid}/cgroup"), re.M)
    folder = path and Path(f"/sys/fs/cgroup{path[1]}")
    if not folder or not (folder / "cgroup.procs").exists():
        return None
    return sum(len(folders) for _, folders, _ in os.walk(folder))


def field(text, name):
    found = re.search(rf"^{name}:\s*(\d+)", text, re.M)
    return int(found[1]) if found else None


def counts_of(pid):
    maps = read(f"/proc/{pid}/maps").splitlines()
    return {
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": field(read(f"/proc/{pid}/status"), "Threads"),
        "shared": sum(" rw-s " in line for line in maps),
        "children": len(list(children_of(pid))),
        "cgroups": cgroups_of(pid),
        "maps": len(maps),
    }


def settled(pid, least):
    """The counts, once none is above the least so far, or after some time."""
    over = time.monotonic() + SETTLES
    while True:
        counts = counts_of(pid)
        if not above(counts, least) or time.monotonic() > over:
            return counts


def above(counts, least):
    return any(counts[name] > most for name, most in least.items())


def sample(pid, line, least):
    """A line of the program, and what the kernel says of it."""
    trips, children, heap, objects = (int(word) for word in line.split()[1:])
    rollup = read(f"/proc/{pid}/smaps_rollup")
    return dict(
        settled(pid, least),
        trips=trips,
        ended=children,
        heap=heap,
        objects=objects or None,  # C has none
        rss=field(rollup, "Rss"),
        pss=field(rollup, "Pss"),
    )


class Program:
    def __init__(self, command):
        # luv prints what it sees at a socket whose peer has closed it; the last lines
        # are of interest, if it fails.
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            command,
            cwd=HERE,
            env=dict(os.environ, **ENVIRONMENT),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            bufsize=1,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self.errors.close()

    def stuck(self, what):
        self.errors.seek(0)
        return Stuck("\n".join([what, *self.errors.read().splitlines()[-30:]]))

    def next_line(self):
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.send_signal(signal.SIGABRT)
            raise self.stuck(f"it printed nothing for {PATIENCE} s")
        line = self.process.stdout.readline()
        if not line.startswith("sample "):
            raise self.stuck(f"it printed {line!r} and ended with {self.process.wait()}")
        return line

    def run(self, trips, children, seconds):
        """A sample after each batch."""
        started = time.monotonic()
        samples, least = [], {}
        while True:
            now = sample(self.process.pid, self.next_line(), least)
            now["seconds"] = time.monotonic() - started
            samples.append(now)
            if len(samples) in WARM_UP:
                least = {n: min(now[n], least.get(n, now[n])) for n in COUNTS if now[n] is not None}
            ready = now["trips"] >= trips and now["ended"] >= children
            ready = ready and len(samples) >= 6 and now["seconds"] >= seconds
            # What stays above will not come down.
            if ready or (len(samples) >= 6 and above(now, least)):
                break
            self.process.stdin.write("go\n")
        self.process.stdin.write("stop\n")
        if self.process.wait() != 0:
            raise self.stuck(f"it ended with {self.process.returncode}")
        return samples
