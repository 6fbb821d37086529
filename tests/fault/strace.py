#!/usr/bin/env python3
"""Whether the hook sees each system call: what strace counts, beside it.

strace.py PROGRAM: runs each scenario of test_sites once, without a failure.
A call that strace sees more often than the hook has its reason below; one that
it sees less often is an error.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile

# What the kernel calls it, where that is another name.  None: it makes none, or
# one for many.
KERNEL = {
    "recv": "recvfrom", "send": "sendto", "poll": "poll", "open": "openat",
    "pipe": "pipe2", "fstat": "newfstatat", "stat": "newfstatat",
    "fork": "clone", "opendir": "openat", "readdir": None,
    "setenv": None, "clearenv": None, "fdopendir": None, "mkdtemp": "mkdir",
    "nice": "setpriority", "getrlimit": "prlimit64", "setrlimit": "prlimit64",
    "sigaction": "rt_sigaction", "flock": "flock", "epoll_wait": "epoll_wait",
}
# One call of the hook, several of the kernel, by the flags or the library.
ALIKE = [
    {"recvfrom", "recvmsg", "recvmmsg"}, {"sendto", "sendmsg", "sendmmsg"},
    {"clone", "clone3", "vfork", "fork"}, {"fstat", "newfstatat", "statx", "stat"},
    {"epoll_wait", "epoll_pwait"}, {"dup2", "dup3"}, {"mkdir", "mkdirat"},
    {"rmdir", "unlink", "unlinkat"}, {"access", "faccessat", "faccessat2"},
    {"readlink", "readlinkat"}, {"open", "openat"}, {"poll", "ppoll"},
    {"prlimit64", "getrlimit", "setrlimit"},
]
REASONS = {
    "close munmap": "have no result that says anything: tests/lint/hook.sh",
    "rt_sigprocmask rt_sigaction getpid gettid getppid getuid geteuid getgid "
    "getegid umask tgkill": "cannot fail as they are called: tests/lint/hook.sh",
    "mprotect brk futex set_robust_list set_tid_address rseq getrandom sysinfo "
    "rt_sigreturn restart_syscall arch_prctl exit_group exit pread64 "
    "sched_getaffinity getpriority mremap": "libc's",
    "epoll_create1 epoll_ctl epoll_wait eventfd2 timerfd_create timerfd_settime "
    "clock_gettime clock_getres signalfd4 pipe2 inotify_init1": "libev's",
    "memfd_create ftruncate": "of the frame, one for each scenario",
    "mmap openat read newfstatat getdents64 fcntl prlimit64":
        "libc's and libev's: malloc(3), stdio(3), openpty(3), new loops",
    "accept4 bind connect listen socket socketpair getsockname":
        "the scenarios' own pairs of sockets",
    "write wait4 waitid clock_nanosleep alarm kill getcwd getpgrp setsid pause "
    "clone execve ioctl statfs unshare dup3 getpgid sendto recvfrom lseek "
    "uname readlink access setpriority":
        "the test's own: its forks, looks and ends of children",
}


def alike(name):
    for names in ALIKE:
        if name in names:
            return min(names)
    return name


def counted_by_hook(path):
    counts = collections.Counter()
    with open(path) as file:
        for line in file:
            _, name, count = line.split()
            kernel = KERNEL.get(name, name)
            if kernel is not None:
                counts[alike(kernel)] += int(count)
    return counts


def counted_by_strace(path):
    """Without what programs do that a scenario has run.  A call that a signal
    without a handler has interrupted is made again by the kernel, and counts once: so
    is the ppoll(2) of the guard of a tree that starts slowly, by SIGCONT."""
    counts, programs, begun = collections.Counter(), set(), False
    interrupted = {}
    with open(path) as file:
        for line in file:
            handled = re.match(r"(\d+) +--- SIG", line)
            if handled:
                interrupted.pop(handled[1], None)
            match = re.match(r"(\d+) +(?:<\.\.\. )?(\w+)(\(| resumed)", line)
            if not match:
                continue
            pid, name, rest = match.groups()
            begun |= name == "write" and "(-1," in line
            if not begun or pid in programs:
                continue
            if rest == "(" and interrupted.pop(pid, None) != name:
                counts[alike(name)] += 1
            if "= ? ERESTARTNOHAND" in line or "= ? ERESTARTSYS" in line:
                interrupted[pid] = name
            if name == "execve" and line.rstrip().endswith("= 0"):
                programs.add(pid)
    return counts


def reason_of(name):
    for names, reason in REASONS.items():
        if name in {alike(one) for one in names.split()}:
            return reason
    return None


def main():
    program = sys.argv[1]
    if subprocess.run(["sh", "-c", "strace true"], capture_output=True).returncode:
        print("strace: not measured, it cannot be used here")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        counts, trace = f"{folder}/counts", f"{folder}/trace"
        names = os.environ.get("GIPC_TEST_ONLY")
        environment = dict(os.environ, GIPC_TEST_COUNT=counts)
        subprocess.run(["strace", "-f", "-qq", "-o", trace, program], check=True,
                       env=environment)
        hook, kernel = counted_by_hook(counts), counted_by_strace(trace)
    wrong = 0
    print(f"{'call':18} {'hook':>7} {'strace':>7}")
    for name in sorted(set(hook) | set(kernel)):
        more = kernel[name] - hook[name]
        reason = "" if more == 0 else reason_of(name) if more > 0 else None
        wrong += reason is None
        print(f"{name:18} {hook[name]:7} {kernel[name]:7} "
              f"{'NOT EXPLAINED' if reason is None else reason}")
    print(f"{sum(hook.values())} calls by the hook, {sum(kernel.values())} by "
          f"strace, {wrong} not explained" + (f" ({names})" if names else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
