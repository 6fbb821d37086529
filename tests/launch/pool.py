"""A pool whose workers are behind a launcher: pool.py FIFO LAUNCHER..., the
command that starts worker.py there."""

import os
import sys
import time

import gipc

fifo, *launcher = sys.argv[1:]
os.mkfifo(fifo)
tasks = [b"task %d" % number for number in range(50)] + [b"x" * 1_000_000]
done = [task.upper() for task in tasks]
with gipc.Pool(launch=launcher, workers=2, encoder=None, decoder=None,
               first_delay=0.001) as pool:
    assert list(pool.map(tasks)) == done
    held = pool.submit(b"hold " + fifo.encode())
    with open(fifo, "w"):  # a worker has begun
        # The end of a launcher is that of its worker.
        for worker in pool.stats().workers:
            os.kill(worker.pid, 9)
        error = held.exception()
        assert isinstance(error, gipc.WorkerDied), error
        assert error.exit_info.signal == 9, error
    while pool.stats().failures < 2:
        time.sleep(0.01)  # what was killed may end later, on a busy machine
    assert list(pool.map(tasks, retries=1)) == done
    stats = pool.stats()
    assert stats.failures == 2 and stats.starts <= 4, stats
