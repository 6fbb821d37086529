"""A pool whose workers are behind a launcher: pool.py LAUNCHER..., the command
that starts worker.py there."""

import os
import sys

import gipc

tasks = [b"task %d" % number for number in range(50)] + [b"x" * 1_000_000]
done = [task.upper() for task in tasks]
with gipc.Pool(launch=sys.argv[1:], workers=2, encoder=None, decoder=None,
               first_delay=0.001) as pool:
    assert list(pool.map(tasks)) == done
    # The end of a launcher is that of its worker.
    os.kill(pool.stats().workers[0].pid, 9)
    assert list(pool.map(tasks, retries=1)) == done
    stats = pool.stats()
    assert stats.failures == 1 and stats.starts <= 3, stats
