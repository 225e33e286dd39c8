"""Ctrl-C and SIGTERM around what cannot be stopped midway."""

import multiprocessing
import os
import signal
import threading
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait


@contextmanager
def deaf_to_interrupts():
    """Start processes that never hear Ctrl-C: it is their parent who ends them."""
    resource_tracker.ensure_running()  # which would let signals through once more
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with interrupts_later():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_later():
    """Let Ctrl-C and SIGTERM wait until the context ends.

    They come also where it ends by an error. For what libraries cannot bear to be
    stopped in: a thread whose join was stopped counts as ended (until Python 3.12), and
    a program that leaves a pool of processes so never ends; XLA, stopped while it
    compiles, dies with the program by a segmentation fault.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    missed = []
    before = {
        number: signal.signal(number, lambda *given: missed.append(given))
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(signal.getsignal(number))
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number, frame in missed[:1]:
            before[number](number, frame)


def serve_parent():
    """Leave Ctrl-C to the parent, and end when it ends, however that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow():
        wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
