"""The work that `make bench-peers` compares, and who does it: for each table its
language, name and unit, and for each peer of it a worker, a job and arguments."""

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[2]
sys.path.insert(0, str(HERE.parent / "python"))

from harness import python  # noqa: E402

BUILD = Path(os.environ.get("GIPC_TEST_BUILD", TOP / "build/linux")).resolve()
OURS = [os.environ.get("PYTHON", "/usr/bin/python3")]
UPSTREAM = [str(BUILD / "bench-upstream/bin/python"), "-EB"]
GEMS = BUILD / "bench-gems"
PACKAGES = [str(BUILD / "bench-peers/bin/python"), "-EB"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": str(BUILD / "python"),
    "RUBYLIB": f"{TOP}/bindings/ruby/lib:{BUILD}/ruby",
    "LUA_PATH": f"{TOP}/bindings/lua/?.lua;{HERE.parent}/lua/?.lua;;"
                "/usr/share/lua/5.3/?.lua",
    "LUA_CPATH": f"{BUILD}/lua/5.4/?.so;;",
}

MIB = 1 << 20
SIZES = {"1 B": 1, "64 B": 64, "1 KiB": 1024, "64,000 B": 64000, "1 MiB": MIB,
         "64 MiB": 64 * MIB}
QUICK_SIZES = ("64 B", "64,000 B")
PARENTS = {"small parent": 0, "500 MB parent": 500_000_000,
           "2 GiB parent": 2048 * MIB}

C = [str(BUILD / "bench/bench_peers")]
RUBY = [shutil.which("ruby") or "ruby", str(HERE.parent / "ruby/worker.rb")]
LUA = ["lua5.4", str(HERE.parent / "lua/worker.lua")]
GEVENT = python(OURS, "gipc_jobs", "use_gevent")
PLAIN = python(OURS, "gipc_jobs")
OLD = python(UPSTREAM, "gipc_jobs", "use_gevent")
STDLIB = python(OURS, "peer_jobs")
PIP = python(PACKAGES, "peer_jobs")
# Without rings.
NO_RING = ["env", "GIPC_TRANSPORT=plain"]
UVLOOP = python(PACKAGES, "peer_jobs", "use_uvloop")
AIO = python(OURS, "aio_jobs")

# {language: {peer: (command of the worker, job, arguments)}}
ALONE = {
    "C": {"gipc": (C, "one_way", {"peer": "gipc"}),
          "gipc get_into": (C, "one_way", {"peer": "gipc_into"}),
          "gipc try_put, flush, on_message": (C, "one_way",
                                              {"peer": "gipc_flushed"}),
          "naive framing, socket pair": (C, "one_way", {"peer": "naive"}),
          "naive framing, pipe": (C, "one_way", {"peer": "naive_pipe"}),
          "raw socket pair": (C, "one_way", {"peer": "raw"}),
          "libuv": (C, "one_way", {"peer": "libuv"}),
          "ZeroMQ ipc": (C, "one_way", {"peer": "zmq"}),
          "nng ipc": (C, "one_way", {"peer": "nng"})},
    "Python": {"gipc, gevent": (GEVENT, "one_way", {}),
               "gipc, gevent, pickle": (GEVENT, "one_way", {"codec": "default"}),
               "gipc": (PLAIN, "one_way", {}),
               "gipc get_into, gevent": (GEVENT, "one_way", {"into": 1}),
               "gipc.aio": (AIO, "one_way", {}),
               "upstream gipc": (OLD, "one_way", {}),
               "upstream gipc, pickle": (OLD, "one_way", {"codec": "default"}),
               "multiprocessing.Pipe": (STDLIB, "one_way", {}),
               "multiprocessing.Queue": (STDLIB, "queue_one_way",
                                         {"kind": "queue"}),
               "pyzmq": (PIP, "zmq_one_way", {}),
               "faster-fifo": (PIP, "queue_one_way", {"kind": "faster_fifo"}),
               "asyncio streams": (STDLIB, "stream_one_way", {}),
               "uvloop streams": (UVLOOP, "stream_one_way", {})},
    "Ruby": {"gipc": (RUBY, "one_way", {"peer": "gipc"}),
             "gipc, Marshal": (RUBY, "one_way", {"peer": "gipc_marshal"}),
             "IO.pipe": (RUBY, "one_way", {"peer": "pipe"}),
             "IO.pipe, Marshal": (RUBY, "one_way", {"peer": "pipe_marshal"})},
    "Lua": {"gipc": (LUA, "one_way", {"peer": "gipc"}),
            "gipc, MessagePack": (LUA, "one_way", {"peer": "gipc_msgpack"}),
            "luv": (LUA, "one_way", {"peer": "luv"})},
}
# Of those that can send several at once, and the peers of the table above that
# the targets compare them with.
BATCHES = {
    "C": {"gipc put_many": (C, "one_way", {"peer": "gipc_many"}),
          "gipc queued puts on a loop": (C, "one_way", {"peer": "gipc_queued"}),
          "gipc 16 an iteration": (C, "one_way", {"peer": "gipc_sixteen"}),
          "frames in 64 KiB writes": (C, "one_way", {"peer": "limit"}),
          "libuv, 64 KiB writes": (C, "one_way", {"peer": "libuv_coalesced"}),
          "ZeroMQ ipc": ALONE["C"]["ZeroMQ ipc"]},
    "Python": {"gipc put_many, gevent": (GEVENT, "one_way", {"way": "many"}),
               "gipc batch, gevent": (GEVENT, "one_way", {"way": "batch"}),
               "gipc put_many, gevent, pickle":
                   (GEVENT, "one_way", {"way": "many", "codec": "default"}),
               "gipc.aio put_many": (AIO, "one_way", {"way": "many"}),
               "upstream gipc": ALONE["Python"]["upstream gipc"],
               "upstream gipc, pickle": ALONE["Python"]["upstream gipc, pickle"],
               "asyncio streams": ALONE["Python"]["asyncio streams"],
               "pyzmq": ALONE["Python"]["pyzmq"]},
    "Ruby": {"gipc put_many": (RUBY, "one_way", {"peer": "gipc_many"}),
             "gipc put_many, Marshal":
                 (RUBY, "one_way", {"peer": "gipc_marshal_many"}),
             "IO.pipe": ALONE["Ruby"]["IO.pipe"],
             "IO.pipe, Marshal": ALONE["Ruby"]["IO.pipe, Marshal"]},
    "Lua": {"gipc put_many": (LUA, "one_way", {"peer": "gipc_many"}),
            "luv": ALONE["Lua"]["luv"]},
}
# Beside the rows above, where the messages are small: what the rings give.
PLAIN_ALONE = {
    "C": {"gipc, plain": ([*NO_RING, *C], "one_way", {"peer": "gipc"})},
    "Python": {"gipc, gevent, plain": ([*NO_RING, *GEVENT], "one_way", {})},
    "Ruby": {"gipc, plain": ([*NO_RING, *RUBY], "one_way", {"peer": "gipc"})},
    "Lua": {"gipc, plain": ([*NO_RING, *LUA], "one_way", {"peer": "gipc"})},
}
PLAIN_BATCHES = {
    "C": {"gipc put_many, plain": ([*NO_RING, *C], "one_way",
                                   {"peer": "gipc_many"}),
          "gipc queued puts on a loop, plain": ([*NO_RING, *C], "one_way",
                                                {"peer": "gipc_queued"}),
          "gipc 16 an iteration, plain": ([*NO_RING, *C], "one_way",
                                          {"peer": "gipc_sixteen"})},
    "Python": {"gipc put_many, gevent, plain":
                   ([*NO_RING, *GEVENT], "one_way", {"way": "many"})},
    "Ruby": {"gipc put_many, plain":
                 ([*NO_RING, *RUBY], "one_way", {"peer": "gipc_many"})},
    "Lua": {"gipc put_many, plain":
                ([*NO_RING, *LUA], "one_way", {"peer": "gipc_many"})},
}
TRIPS = {
    "C": {name: (C, "round_trip", {"peer": peer, "size": 64}) for name, peer in {
        "gipc": "gipc", "gipc on a loop": "gipc_loop",
        "socket pair": "plain", "libuv": "libuv", "ZeroMQ ipc": "zmq",
        "nng ipc": "nng"}.items()} | {
        "gipc, plain": ([*NO_RING, *C], "round_trip",
                        {"peer": "gipc", "size": 64})},
    "Python": {"gipc, gevent": (GEVENT, "pingpong", {"size": 64}),
               "gipc": (PLAIN, "pingpong", {"size": 64}),
               "gipc.aio": (AIO, "pingpong", {"size": 64}),
               "upstream gipc": (OLD, "pingpong", {"size": 64}),
               "multiprocessing.Pipe": (STDLIB, "pingpong", {"size": 64}),
               "asyncio streams": (STDLIB, "stream_pingpong", {"size": 64}),
               "pyzmq": (PIP, "zmq_pingpong", {"size": 64})},
}
# Of a process that keeps another pipe full meanwhile.
TAILS = {
    "C": {"gipc on a loop": (C, "tail", {"peer": "gipc_loop", "size": 64}),
          "gipc on a loop, plain": ([*NO_RING, *C], "tail",
                                    {"peer": "gipc_loop", "size": 64}),
          "libuv": (C, "tail", {"peer": "libuv", "size": 64}),
          "ZeroMQ ipc": (C, "tail", {"peer": "zmq", "size": 64})},
    "Python": {"gipc, gevent": (GEVENT, "tail", {"size": 64}),
               "upstream gipc": (OLD, "tail", {"size": 64})},
}
POOLS = {
    "Python": {name: (python(command, "pool_jobs"), "tasks", {"peer": peer})
               for name, command, peer in (
                   ("gipc", OURS, "gipc"), ("gipc, ahead", OURS, "gipc_ahead"),
                   ("concurrent.futures", OURS, "futures"),
                   ("multiprocessing.Pool", OURS, "multiprocessing"),
                   ("loky", PACKAGES, "loky"), ("pebble", PACKAGES, "pebble"))},
    "Ruby": {"gipc": (RUBY, "tasks", {"peer": "pool"}),
             "gipc, ahead": (RUBY, "tasks", {"peer": "pool_ahead"}),
             "parallel": (RUBY, "tasks", {"peer": "parallel"})},
    "Lua": {"gipc": (LUA, "tasks", {"peer": "gipc_pool"}),
            "gipc, ahead": (LUA, "tasks", {"peer": "gipc_pool_ahead"})},
}
# In C both with a byte or a task that the worker answers first.
RECOVERIES = {
    "C": {"gipc": (C, "actions", {"peer": "kill_pool_worker"}),
          "kill, waitpid, fork": (C, "actions", {"peer": "kill_bare_worker"})},
    "Python": {name: (python(command, "pool_jobs"), "recovery", {"peer": peer})
               for name, command, peer in (
                   ("gipc", OURS, "gipc"), ("gipc child", OURS, "child"),
                   ("fork", OURS, "fork"),
                   ("concurrent.futures, a new pool", OURS, "futures"),
                   ("pebble, a new pool", PACKAGES, "pebble"))},
    "Ruby": {"gipc": (RUBY, "recovery", {"peer": "recovering_gipc", "size": 1}),
             "gipc child": (RUBY, "recovery",
                            {"peer": "recovering_child", "size": 1}),
             "fork": (RUBY, "recovery", {"peer": "recovering_fork", "size": 1})},
    "Lua": {"gipc": (LUA, "recovery", {"peer": "recovering_gipc", "size": 1}),
            "gipc child": (LUA, "recovery",
                           {"peer": "recovering_child", "size": 1})},
}
C_STARTS = {"gipc function": "gipc", "fork, waitpid": "fork",
            "gipc template": "gipc_template",
            "gipc program": "gipc_exec", "posix_spawn": "posix_spawn",
            "libuv uv_spawn": "libuv_spawn"}


def held(command, memory=0, handles=0):
    """A worker whose process holds as much."""
    if command[0] == C[0]:
        return [*command, *([f"memory={memory}"] if memory else []),
                *([f"handles={handles}"] if handles else [])]
    return [*command, *([f"touch_memory={memory}"] if memory else []),
            *([f"hold_handles={handles}"] if handles else [])]


def starts(**holding):
    return {
        "C": {name: (held([*C, "template=1"], **holding), "actions",
                     {"peer": peer})
              for name, peer in C_STARTS.items()},
        "Python": {name: (held(command, **holding), "start_and_join", options)
                   for name, (command, options) in {
                       "gipc, gevent": (GEVENT, {}),
                       "gipc, gevent, template": (GEVENT, {"method": "template"}),
                       "gipc": (PLAIN, {}), "upstream gipc": (OLD, {}),
                       "multiprocessing": (STDLIB, {})}.items()
                   if not (name == "multiprocessing" and "handles" in holding)},
    }


def pipes(**holding):
    return {
        "C": {name: (held(C, **holding), "actions", {"peer": peer})
              for name, peer in {"gipc": "gipc_pipe",
                                 "socket pair": "socketpair"}.items()},
        "Python": {name: (held(command, **holding), "pipe_and_close", {})
                   for name, command in {"gipc, gevent": GEVENT,
                                         "upstream gipc": OLD}.items()},
    }


def with_arguments(languages, **more):
    return {language: {peer: (command, job, arguments | more)
                       for peer, (command, job, arguments) in peers.items()}
            for language, peers in languages.items()}


def tables(quick):
    """(language, work, unit, peers), one after the other."""
    for name, size in SIZES.items():
        if quick and name not in QUICK_SIZES:
            continue
        unit = "MB/s" if size >= 64000 else "thousand/s"
        for way, languages in ("one put alone", ALONE), ("batches", BATCHES):
            if way == "batches" and size > MIB:
                continue  # a batch of one
            plain = PLAIN_ALONE if languages is ALONE else PLAIN_BATCHES
            for language, peers in languages.items():
                if size == 64:
                    peers = peers | plain[language]
                yield (language, f"{way}, {name}", unit,
                       {peer: (command, job, {**arguments, "size": size})
                        for peer, (command, job, arguments) in peers.items()})
    works = [(f"round trip beside a full pipe, 64 B, {percent} %", "us",
              with_arguments(TAILS, percent=percent)) for percent in (50, 99)]
    works += [("round trip, 64 B", "us", TRIPS)]
    works += [(f"start + join, {name}", "ms", starts(memory=size))
              for name, size in PARENTS.items() if not (quick and size)]
    works += [("pipe + close", "us", pipes()),
              ("pipe + close, 10,000 handles", "us", pipes(handles=10000)),
              ("start + join, 10,000 handles", "ms", starts(handles=10000))]
    works += [(f"pool, {name}", "thousand/s", with_arguments(POOLS, size=size))
              for name, size in (("small tasks", 64), ("100 KiB", 102400))
              if not (quick and size > 64)]
    works += [("pool, recovery from a killed worker", "ms", RECOVERIES)]
    for name, unit, languages in works:
        for language, peers in languages.items():
            yield language, name, unit, peers
