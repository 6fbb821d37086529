"""The programs of this room, one for each language, and how they are run."""

import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = Path(os.environ.get("GIPC_TEST_BUILD", TOP / "build/linux")).resolve()
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
LONG = os.environ.get("GIPC_TEST_LONG") == "1"
LIMIT = 1800 if LONG else 120


def lua_environment(version):
    lua = TOP / "bindings/lua"
    also = f"/usr/share/lua/{'5.3' if version == '5.4' else version}/?.lua"
    return {
        "LUA_PATH": f"{lua}/?.lua;{TOP}/tests/bindings/lua/?.lua;{HERE}/?.lua;;;{also}",
        "LUA_CPATH": f"{BUILD}/lua/{version}/?.so;;",
    }


ENVIRONMENT = {
    "GIPC_FAIR_PEER": f"{BUILD}/tests/fair/peer",
    "PYTHONPATH": f"{BUILD}/python:{HERE}",
    "PYTHONDONTWRITEBYTECODE": "1",
    "RUBYLIB": f"{TOP}/bindings/ruby/lib:{BUILD}/ruby",
}


def raise_limit():
    """Of descriptors, also beyond the hard one where this process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 32768
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, wanted), max(hard, wanted)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


DESCRIPTORS = raise_limit()


class Program:
    def __init__(self, language, loop, command, built, needs=None, environment=None):
        self.language, self.loop, self.command = language, loop, command
        self.name = f"{language} {loop}"
        self.built, self.needs = built, needs
        self.environment = environment or {}

    def __str__(self):
        return self.name

    def why_not(self):
        if shutil.which(self.command[0]) is None or not any(BUILD.glob(self.built)):
            return "it is not built"
        if self.needs:
            tried = subprocess.run(self.needs, env=self.all_variables({}), capture_output=True)
            if tried.returncode != 0:
                return f"{self.loop} is not installed"
        return None

    def all_variables(self, more):
        return dict(os.environ, **ENVIRONMENT, **self.environment, **more)

    def start(self, *arguments, environment={}):
        return subprocess.Popen(
            [*self.command, *map(str, arguments)],
            env=self.all_variables(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, environment={}):
        process = self.start(*arguments, environment=environment)
        try:
            output, _ = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            how = process.returncode
            raise RuntimeError(
                f"{' '.join(map(str, arguments))} ended with "
                f"{signal.Signals(-how).name if how < 0 else how}")
        return output


def parse(line):
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def _python(loop):
    needs = None if loop in ("threads", "asyncio") else [PYTHON, "-c", f"import {loop}"]
    return Program("python", loop, [PYTHON, f"{HERE}/fair.py"], "python/gipc/_native.*.so", needs)


def _ruby(loop):
    needs = None if loop == "threads" else ["ruby", "-e", f"require '{loop}'"]
    return Program("ruby", loop, ["ruby", f"{HERE}/fair.rb"], "ruby/gipc/native.*", needs)


def _lua(loop):
    # copas has no release for a newer Lua in Debian.
    version = "5.1" if loop == "copas" else "5.4"
    variables = lua_environment(version)
    needs = ["lua" + version, "-e", f"require '{loop}'"] if loop in ("luv", "cqueues", "copas") else None
    return Program("lua", loop, ["lua" + version, f"{HERE}/fair.lua"], f"lua/{version}/gipc/native.so",
                   needs, variables)


ALL = [
    *(Program("C", loop, [f"{BUILD}/tests/fair/fair"], "tests/fair/fair") for loop in ("push", "wait")),
    *map(_python, ("threads", "gevent", "asyncio", "uvloop", "trio")),
    *map(_ruby, ("threads", "async", "eventmachine")),
    *map(_lua, ("own", "none", "luv", "cqueues", "copas", "custom")),
]


class Outcome:
    """What passed, failed and was skipped."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def fail(self, text):
        self.failed += 1
        print(f"FAILED {text}", flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print(f"skipped {name}: {why}", flush=True)

    def guarded(self, check, program):
        try:
            check(self, program)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            self.fail(f"{program}: {error}")

    def finish(self):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{skipped}")
