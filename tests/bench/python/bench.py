"""The Python benchmarks: gipc next to upstream gipc, multiprocessing.Pipe and
asyncio streams, in one run, both processes on one core.
  bench.py PEER [--quick] [--table=TEXT]
PEER is a Python with upstream's gipc installed.
"""

import argparse
import os
import platform
import subprocess
import sys

from harness import Table, Worker, python

options = argparse.ArgumentParser()
options.add_argument("peer")
options.add_argument("--quick", action="store_true")
options.add_argument("--table", default="")
options = options.parse_args()
Table.rounds = 3 if options.quick else 7
Table.only = options.table
scale = 4 if options.quick else 1


here = [sys.executable]
there = [options.peer, "-EB"]  # without PYTHONPATH, where our package is


def version_of(interpreter, package):
    return subprocess.run(
        [*interpreter, "-c", f"import {package}; print({package}.__version__)"],
        stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


print(f"kernel     {platform.system()} {platform.release()} "
      f"{platform.machine()}")
print(f"cores      {os.cpu_count()}; both processes of each pair are on one")
print(f"python     {platform.python_version()}")
print(f"gipc       {version_of(here, 'gipc')}; "
      f"upstream {version_of(there, 'gipc')}")
print(f"gevent     {version_of(here, 'gevent')}; "
      f"upstream with {version_of(there, 'gevent')}", flush=True)

ours = Worker(python(here, "gipc_jobs", "use_gevent"))
plain = Worker(python(here, "gipc_jobs"))
upstream = Worker(python(there, "gipc_jobs", "use_gevent"))
stdlib = Worker(python(here, "peer_jobs"))
aio = Worker(python(here, "aio_jobs"))


def small_messages():
    size = 64
    slow, fast = 60000 // scale, 400000 // scale
    table = Table("one way, 64 B, gevent: messages per second")
    raw = table.add("gipc raw, put", ours, "one_way", size=size, count=slow * 2)
    old_raw = table.add("upstream raw", upstream, "one_way", size=size,
                        count=slow)
    pickled = table.add("gipc pickle, put", ours, "one_way", size=size,
                        count=slow * 2, codec="default")
    old_pickled = table.add("upstream pickle", upstream, "one_way", size=size,
                            count=slow, codec="default")
    many = table.add("gipc raw, put_many", ours, "one_way", size=size,
                     count=fast, way="many")
    batch = table.add("gipc raw, batch", ours, "one_way", size=size,
                      count=fast, way="batch")
    pickled_many = table.add("gipc pickle, put_many", ours, "one_way",
                             size=size, count=fast, codec="default", way="many")
    pickled_batch = table.add("gipc pickle, batch", ours, "one_way", size=size,
                              count=fast, codec="default", way="batch")
    plain_many = table.add("gipc raw, put_many, no gevent", plain, "one_way",
                           size=size, count=fast, way="many")
    plain_batch = table.add("gipc raw, batch, no gevent", plain, "one_way",
                            size=size, count=fast, way="batch")
    plain_put = table.add("gipc raw, put, no gevent", plain, "one_way",
                          size=size, count=slow * 2)
    pipe = table.add("multiprocessing.Pipe bytes", stdlib, "one_way",
                     size=size, count=slow)
    if table.measure():
        table.compare(raw, old_raw, at_least=3)
        table.compare(pickled, old_pickled, at_least=2.5)
        table.compare(many, old_raw, at_least=12)
        table.compare(batch, old_raw, at_least=12)
        table.compare(pickled_many, old_pickled, at_least=5)
        table.compare(pickled_batch, old_pickled, at_least=5)
        table.compare(plain_many, old_raw, at_least=20)
        table.compare(plain_batch, old_raw, at_least=20)
        table.compare(plain_put, pipe)


def one_kib():
    table = Table("one way, 1 KiB, gevent: messages per second")
    many = table.add("gipc raw, put_many", ours, "one_way", size=1024,
                     count=200000 // scale, way="many")
    batch = table.add("gipc raw, batch", ours, "one_way", size=1024,
                      count=200000 // scale, way="batch")
    old = table.add("upstream raw", upstream, "one_way", size=1024,
                    count=50000 // scale)
    if table.measure():
        table.compare(many, old, at_least=6)
        table.compare(batch, old, at_least=6)


def large_messages(name, size, count, new_bytes, own_buffer=None):
    table = Table(f"one way, {name} raw, gevent: MB per second")
    new = table.add("gipc get", ours, "bytes_one_way", size=size, count=count)
    into = table.add("gipc get_into", ours, "bytes_one_way", size=size,
                     count=count, into=1)
    plain_new = table.add("gipc get, no gevent", plain, "bytes_one_way",
                          size=size, count=count)
    old = table.add("upstream", upstream, "bytes_one_way", size=size,
                    count=count)
    pipe = table.add("multiprocessing.Pipe bytes", stdlib, "bytes_one_way",
                     size=size, count=count)
    if table.measure():
        table.compare(new, old, at_least=new_bytes)
        table.compare(into, old, at_least=own_buffer)
        table.compare(new, pipe, at_least=1)
        table.compare(plain_new, pipe, at_least=1)


def arrays(name, size, count):
    worker = Worker(python(here, "array_jobs"))
    table = Table(f"array of {name} to a child and an answer: microseconds")
    memory = table.add("gipc pickle5", worker, "by_gipc", codec="pickle5",
                       size=size, count=count)
    pickled = table.add("gipc pickle", worker, "by_gipc", codec="pickle",
                        size=size, count=count)
    shared = table.add("multiprocessing.shared_memory", worker,
                       "by_shared_memory", size=size, count=count)
    if table.measure():
        table.compare(memory, pickled)
        table.compare(memory, shared)
    worker.close()


def round_trips():
    count = 10000 // scale
    table = Table("round trip, 64 B: microseconds", 1)
    cooperative = table.add("gipc, gevent", ours, "pingpong", size=64,
                            count=count)
    blocking = table.add("gipc, no gevent", plain, "pingpong", size=64,
                         count=count)
    old = table.add("upstream", upstream, "pingpong", size=64, count=count)
    pipe = table.add("multiprocessing.Pipe", stdlib, "pingpong", size=64,
                     count=count)
    if table.measure():
        table.compare(cooperative, old, at_most=0.7)
        table.compare(blocking, old, at_most=0.25)
        table.compare(blocking, pipe)


def processes():
    table = Table("start and join, gevent: milliseconds", 2)
    new = table.add("gipc", ours, "start_and_join", count=60 // scale)
    old = table.add("upstream", upstream, "start_and_join", count=60 // scale)
    if table.measure():
        table.compare(new, old, at_most=0.35)
    table = Table("pipe and close, gevent: microseconds", 1)
    new = table.add("gipc", ours, "pipe_and_close", count=2000 // scale)
    old = table.add("upstream", upstream, "pipe_and_close", count=2000 // scale)
    if table.measure():
        table.compare(new, old, at_most=0.5)


def processes_beside_many_handles():
    title = "start and join beside 10,000 handles, gevent: milliseconds"
    if options.table not in title:
        return
    crowd = [Worker(python(interpreter, "gipc_jobs", "use_gevent",
                           "hold_handles=10000"))
             for interpreter in (here, there)]
    table = Table(title, 2)
    new = table.add("gipc", crowd[0], "start_and_join", count=40 // scale)
    old = table.add("upstream", crowd[1], "start_and_join", count=8 // scale)
    if table.measure():
        table.compare(new, old, at_most=0.05)
    for worker in crowd:
        worker.close()


def streams():
    table = Table("one way, 64 B, asyncio: messages per second")
    each = table.add("gipc.aio raw, put", aio, "one_way", size=64,
                     count=60000 // scale)
    many = table.add("gipc.aio raw, put_many", aio, "one_way", size=64,
                     count=200000 // scale, way="many")
    batch = table.add("gipc.aio raw, batch", aio, "one_way", size=64,
                      count=200000 // scale, way="batch")
    stream = table.add("asyncio streams", stdlib, "stream_one_way", size=64,
                       count=60000 // scale)
    if table.measure():
        # Streams keep what is written until the kernel takes it, and so does a
        # batch; a put returns when all bytes are written.
        table.compare(many, stream, at_least=2)
        table.compare(batch, stream, at_least=2)
        table.compare(each, stream)


small_messages()
one_kib()
large_messages("64,000 B", 64000, 4000 // scale, new_bytes=2)
large_messages("1 MiB", 1 << 20, 200 // scale, new_bytes=3.5)
large_messages("64 MiB", 1 << 26, 4, new_bytes=2, own_buffer=5)
arrays("64 KiB", 1 << 16, 2000 // scale)
arrays("1 MiB", 1 << 20, 400 // scale)
arrays("64 MiB", 1 << 26, 8 // scale)
round_trips()
processes()
processes_beside_many_handles()
streams()
for worker in (ours, plain, upstream, stdlib, aio):
    worker.close()
