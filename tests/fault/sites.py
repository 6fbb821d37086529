#!/usr/bin/env python3
"""Which places that make a system call have failed: N of M.

sites.py PROGRAM PATHS [REASONS]: PATHS is what test_sites wrote to
GIPC_TEST_SITES.  M is what stands in the source; a place is covered when it is
in the chain of calls that led to a failure.  Each one that is not has its
reason in REASONS, or the result is a failure.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
DEFINITION = re.compile(r"^[A-Za-z_][^=;]*?([A-Za-z_]\w*)\(")
CALL = re.compile(r"\b(sys|os)::([a-z_]\w*)\(")
HOOK = re.compile(r"(?<!\w)(?:sys::)?(retry(?:_int|_cancellable)?|raw)\(")
NAME = re.compile(r"\b([a-z_]\w*)\(")


def lines_of(path):
    """Each line of code: its number, the function around it, its text."""
    function = ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = re.sub(r"//.*", "", line)
        text = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
        found = DEFINITION.match(text)
        if found:
            function = found.group(1)
        yield number, function, text, bool(found)


def sources():
    for path in sorted(SRC.glob("*.cc")) + sorted(SRC.glob("*.h")):
        if not path.name.startswith("os_posix"):
            yield path


def hooked():
    """Functions of sys and os that make a call past the hook."""
    calls, makes = {}, set()
    for path in sources():
        if not re.match(r"(sys|os)(_|\.)", path.name):
            continue
        for _, function, text, _ in lines_of(path):
            if HOOK.search(text) or "fault(" in text:
                makes.add(function)
            calls.setdefault(function, set()).update(NAME.findall(text))
    while True:
        more = {f for f, names in calls.items() if names & makes} - makes
        if not more:
            return makes
        makes |= more


def places():
    """(file, line): what a place is called in the list of reasons."""
    makes = hooked() - {"retry", "retry_int", "retry_cancellable", "raw"}
    found = {}
    for path in sources():
        if path.name in ("sys.cc", "sys.h"):
            continue  # the calls themselves
        for number, function, text, defines in lines_of(path):
            for match in CALL.finditer(text):
                if match.group(2) in makes and not defines:
                    found[path.name, number] = f"{function} {match.group(2)}"
            match = HOOK.search(text)
            if match and path.name.startswith("os_") and function != "raw":
                found.setdefault((path.name, number), f"{function} {match.group(1)}")
    return found


def covered(program, paths):
    """Every (file, line) in the chain of a call that failed."""
    chains = set()
    for line in pathlib.Path(paths).read_text().splitlines():
        chains.update(line.split()[1:])
    text = subprocess.run(
        ["addr2line", "-e", program, "-i"],
        input="\n".join(sorted(chains)),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {
        (name, int(number))
        for name, number in re.findall(r"/src/([\w.]+):(\d+)", text)
    }


def reasons_of(path):
    """Patterns of places, and why they are not covered."""
    return [
        re.match(r"(.*?): (.*)", line).groups()
        for line in pathlib.Path(path).read_text().splitlines()
        if line and not line.startswith("#")
    ]


def reason_for(reasons, place):
    return next(
        (one for one in reasons if re.fullmatch(one[0], place)), (None, "NO REASON")
    )


def lines_of_call(name, number, every):
    """The compiler writes one line for a call of several: that of its beginning,
    of what it is an argument of, or of its end."""
    lines = [""] + (SRC / name).read_text().splitlines() + [""]
    first = last = number
    while lines[first - 1].endswith((",", "(")) and (name, first - 1) not in every:
        first -= 1
    if lines[last].endswith((",", "(")) and (name, last + 1) not in every:
        last += 1
    return range(first, last + 1)


def main():
    program, paths = sys.argv[1:3]
    reasons = reasons_of(sys.argv[3]) if len(sys.argv) > 3 else []
    all_places, failed = places(), covered(program, paths)
    left = {
        (name, number): all_places[name, number]
        for name, number in all_places
        if not any(
            (name, line) in failed
            for line in lines_of_call(name, number, all_places)
        )
    }
    print(f"sites covered: {len(all_places) - len(left)} of {len(all_places)}")
    unexplained, used = 0, set()
    for (name, number), what in sorted(left.items()):
        pattern, reason = reason_for(reasons, f"{name} {what}")
        used.add(pattern)
        unexplained += pattern is None
        print(f"  not {name}:{number} {what}: {reason}")
    for pattern, _ in reasons:
        if pattern not in used:
            print(f"  {pattern} is covered, or is not there: its reason can go")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
