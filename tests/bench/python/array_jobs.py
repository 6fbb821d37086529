"""What a worker can measure of arrays that go to a child, which reads a number of
each page and answers: by gipc, and by shared memory of multiprocessing."""

import multiprocessing
from multiprocessing import resource_tracker, shared_memory

import gipc
import numpy
from transfer import round_trip


def sum_of(array):
    return float(array[::512].sum())


def answer(handle):
    for array in handle:
        handle.put(sum_of(array))


def by_gipc(codec, size, count):
    mine, its = gipc.pipe(duplex=True, encoder=codec, decoder=codec)
    child = gipc.start_process(answer, (its,))
    array = numpy.arange(size // 8, dtype=float)

    def trip():
        mine.put(array)
        mine.get()

    try:
        return round_trip(count, trip)
    finally:
        mine.close()
        child.join()


def answer_shared(connection):
    while name := connection.recv():
        memory = shared_memory.SharedMemory(name)
        array = numpy.frombuffer(memory.buf, float)
        connection.send(sum_of(array))
        del array
        memory.close()


def by_shared_memory(size, count):
    mine, its = multiprocessing.Pipe()
    fork = multiprocessing.get_context("fork")
    resource_tracker.ensure_running()  # one for both, which knows each name once
    child = fork.Process(target=answer_shared, args=(its,))
    child.start()
    array = numpy.arange(size // 8, dtype=float)

    def trip():
        memory = shared_memory.SharedMemory(create=True, size=size)
        numpy.frombuffer(memory.buf, float)[:] = array
        mine.send(memory.name)
        mine.recv()
        memory.close()
        memory.unlink()

    try:
        return round_trip(count, trip)
    finally:
        mine.send("")
        child.join()
