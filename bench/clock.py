"""Timing: interleaved medians in one run, in units of the machine's matrix product."""

import time

import numpy as np
from threadpoolctl import threadpool_limits

from fastcannon.selftest.speed import PIXELS, TERM_PAIRS, unit_task

STARS = 4418

__all__ = ["PIXELS", "STARS", "gram_task", "interleave", "unit_task"]


def interleave(tasks, rounds=5):
    """Run every task once per round and return the median seconds of each.

    Parameters
    ----------
    tasks : dict of name to callable without arguments
    """
    for task in tasks.values():
        task()
    seconds = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            time.sleep(0.2)  # idle BLAS workers of the task before still spin
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def gram_task(threads):
    """One Gram pass, unit G: (8575 x 4418) @ (4418 x 406) in double precision."""
    rng = np.random.default_rng(0)
    left, right = rng.random((PIXELS, STARS)), rng.random((STARS, TERM_PAIRS))
    out = np.empty((PIXELS, TERM_PAIRS))

    def task():
        with threadpool_limits(threads, user_api="blas"):
            np.matmul(left, right, out=out)

    return task
