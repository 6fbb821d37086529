"""What a child sees of the options it was started with; as a program, it prints
that."""

import json
import os
import sys


def report():
    with open("/proc/self/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f)
    with open("/proc/self/limits") as f:
        (files,) = [line.split()[3:5] for line in f if "open files" in line]
    with open("/proc/self/stat") as f:
        terminal = f.read().rpartition(")")[2].split()[4]
    return {
        "argv": sys.argv[1:],
        "env": os.environ.get("OPTION"),
        "variables": sorted(os.environ.keys() & {"OPTION", "HOME"}),
        "cwd": os.getcwd(),
        "files": files,
        "group": [os.getpgid(0), os.getsid(0), os.getpid()],
        "nice": os.nice(0),
        "uid": status["Uid"].split()[0],
        "gid": status["Gid"].split()[0],
        "groups": status["Groups"].split(),
        "privileges": status["NoNewPrivs"].strip(),
        "blocked": int(status["SigBlk"], 16),
        "terminal": int(terminal),
        "umask": int(status["Umask"], 8),
    }


def say(number):
    """To any descriptor, which is closed then."""
    with open(number, "w") as f:
        json.dump(report(), f)


def copy_stdin():
    text = sys.stdin.read()
    print(text.upper(), end="", flush=True)
    print("error", file=sys.stderr)


def open_numbers(numbers):
    """Which of these are open."""
    found = []
    for number in numbers:
        try:
            os.fstat(number)
            found.append(number)
        except OSError:
            pass
    os.write(1, json.dumps(found).encode())


def print_inodes(numbers):
    """Of the files under these."""
    print([os.fstat(number).st_ino for number in numbers])


if __name__ == "__main__":
    say(1)
