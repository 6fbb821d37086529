"""A pool of 100 workers that has nothing to do; says so when all are ready."""

import sys
import time

import gipc

with gipc.Pool(abs, workers=100, least=100) as pool:
    while [w.state for w in pool.stats().workers] != ["ready"] * 100:
        time.sleep(0.01)
    print("idle", flush=True)
    sys.stdin.read()
