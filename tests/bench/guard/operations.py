"""One operation of the Python package, a number of times: what tests/bench/guard/run
counts the instructions of.
  operations.py [OPERATION COUNT]
Without arguments: the names of the operations, and the two counts."""

import gc
import sys

import gipc


def pipe(size, codec=None):
    reader, writer = gipc.pipe(encoder=codec, decoder=codec)
    return reader, writer, bytes(size)


def put_get(size, codec=None):
    def run(count):
        reader, writer, message = pipe(size, codec)
        for _ in range(count):
            writer.put(message)
            reader.get()
    return run


def batch(count):
    reader, writer, message = pipe(64)
    for _ in range(count // 100):
        with writer.batch():
            for _ in range(100):
                writer.put(message)
        for _ in range(100):
            reader.get()


def many(count):
    reader, writer, message = pipe(64)
    for _ in range(count // 100):
        writer.put_many([message] * 100)
        for _ in range(100):
            reader.get()


def round_trip(count):
    a, b = gipc.pipe(duplex=True, encoder=None, decoder=None)
    message = bytes(64)
    for _ in range(count):
        a.put(message)
        b.put(b.get())
        a.get()


def pipe_close(count):
    for _ in range(count):
        for handle in gipc.pipe():
            handle.close()


def start_function(count):
    for _ in range(count):
        gipc.start_process(print, kwargs={"end": ""}).join()


def start_program(count):
    for _ in range(count):
        gipc.exec_process(["/bin/true"]).join()


OPERATIONS = {
    "put_get_1": (put_get(1), 500),
    "put_get_64": (put_get(64), 500),
    "put_get_1024": (put_get(1024), 500),
    "put_get_64_pickle": (put_get(64, "default"), 500),
    "put_many_get_64": (many, 2000),
    "batch_64": (batch, 2000),
    "round_trip_64": (round_trip, 500),
    "pipe_close": (pipe_close, 100),
    "start_join_function": (start_function, 6),
    "start_join_program": (start_program, 6),
}

if len(sys.argv) < 3:
    for name, (_, count) in OPERATIONS.items():
        print(name, count, 2 * count)
else:
    # A collection is in the longer of the two runs or not, as chance has it.
    gc.disable()
    OPERATIONS[sys.argv[1]][0](int(sys.argv[2]))
