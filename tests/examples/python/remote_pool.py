"""A pool whose workers are programs behind a launcher, which places them.
    remote_pool.py ssh -T HOST python3 /path/remote_pool.py
    remote_pool.py srun -Q -n 1 -N 1 --unbuffered python3 /path/remote_pool.py
Without arguments they are here."""

import sys

import gipc


def work(number):
    return number * number


def share(command):
    # Not with pickle, which runs code of whoever sends it.
    with gipc.Pool(launch=[*command, "worker"], workers=2, encoder="json",
                   decoder="json", retries=1) as pool:
        print(sum(pool.map(range(100))))


if sys.argv[1:] == ["worker"]:
    gipc.serve(work, encoder="json", decoder="json")
else:
    share(sys.argv[1:] or ["env", sys.executable, __file__])
