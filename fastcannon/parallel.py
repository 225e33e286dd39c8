"""Blocks of rows over threads, with BLAS held to one thread each.

Each task runs one block with single-threaded BLAS and serial kernels that
release the interpreter lock. That is as fast as parallel kernels, gives the
same bytes for any number of threads, and avoids BLAS workers spinning on the
cores that the kernels need.
"""

import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from threadpoolctl import threadpool_limits

from .errors import check_whole


def thread_count(threads=None):
    """Return the number given, else that of the cores this process may use."""
    if threads is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    return check_whole(threads, "threads")


@contextmanager
def single_threaded_blas():
    """Hold every BLAS in the process to one thread while the context lasts.

    For one thread of the process at a time: the number is the process's, what others
    ask for meanwhile has no effect. They go on with many BLAS threads, which change the
    last digits, when the first is done, and leave BLAS at one thread when they are.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield


class Scratch(threading.local):
    """Work arrays of a thread that last: new ones cost more than their filling."""

    def __init__(self):
        self._kept = {}

    def array(self, name, shape, dtype=np.float64):
        """Return an array of undefined content; the next of this name replaces it."""
        size = math.prod(shape)
        kept = self._kept.get(name)
        if kept is None or kept.size < size or kept.dtype != dtype:
            kept = self._kept[name] = np.empty(size, dtype)
        return kept[:size].reshape(shape)


def ranges(total, size):
    """Cut ``total`` rows into blocks of ``size``: list of (start, stop)."""
    return [(i, min(i + size, total)) for i in range(0, total, size)]


def run_blocks(task, blocks, threads=None, advance=None):
    """Run ``task(*block)`` for every block and return the results in order.

    Parameters
    ----------
    task : callable
        Called with the members of one block; must write only its own rows.
    blocks : list of tuple
    threads : int, optional
        Default: every core this process may use.
    advance : callable, optional
        Called with each finished block (for a progress bar).
    """
    threads = min(thread_count(threads), max(len(blocks), 1))

    def run(block):
        result = task(*block)
        if advance is not None:
            advance(block)
        return result

    with single_threaded_blas():
        if threads == 1:
            return [run(block) for block in blocks]
        with ThreadPoolExecutor(threads) as team:
            return list(team.map(run, blocks))


def ahead(items):
    """Yield the items of an iterator while a thread makes the next one ready.

    Reading from a disk and working then overlap. The iterator is used by one thread
    at a time.

    Parameters
    ----------
    items : iterator
    """
    end = object()
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = reader.submit(next, items, end)
            yield item
