"""Time of kernels and of whole steps, in units of the machine's matrix product.

Turn by turn: each round times all, with a product before each. A time of a round is the
median of its calls; what counts is the quickest round, of the step and of the product.
For others on the machine can but slow both, and not alike: a neighbour on the same core
takes 7 % from a product and a third from a search of a hull, for seconds or minutes.
What runs in one thread is timed by the processor time of that thread, which does not
count while others have the core. Answers are checked before the clock starts.
"""

import importlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.cases_whole import WHOLE
from bench.kernel_cases import CASES, Case, World
from bench.results import only, processor
from fastcannon.parallel import single_threaded_blas
from fastcannon.selftest.speed import BASELINE, unit_task
from fastcannon.selftest.speed import measure as measure_speed

SECONDS = 0.03  # of calls per turn
CALLS = 3, 300  # at least, at most, in a turn
ROUNDS = 12  # some of them without a neighbour
UNIT_SPECTRA = 256  # of a product: 40 ms

SPEED = Path(__file__).parents[1] / "fastcannon" / "data" / BASELINE

for step in ("labels", "training", "inference", "spectra", "resample"):
    importlib.import_module(f"bench.cases_{step}")  # fills CASES


@dataclass
class Ready:
    """A case made and checked.

    Attributes
    ----------
    rows, threads, calls : int
        Rows of a call, threads of it and of the product, calls in a turn.
    """

    case: Case
    rows: int
    threads: int
    calls: int


class Bench:
    """All that can be timed; cases are made when they are first asked for."""

    def __init__(self):
        self._world = World()
        self._ready = {}
        self._units = {}

    def measure(self, names, rounds=ROUNDS):
        """Return {name: ratio}: of the quickest rounds of a step and of its product.

        Parameters
        ----------
        names : list of str
            Of CASES or WHOLE.
        rounds : int
        """
        ready = {name: self.made(name) for name in names}
        seconds = {name: [] for name in names}
        units = {one.threads: [] for one in ready.values()}
        for _ in range(rounds):
            for name, one in ready.items():
                units[one.threads].append(self._unit(one.threads))
                seconds[name].append(self._turn(one))
        return {
            name: min(seconds[name]) / one.rows / min(units[one.threads])
            for name, one in ready.items()
        }

    def made(self, name):
        """Return a case of CASES or WHOLE, made and checked."""
        if name in self._ready:
            return self._ready[name]
        if name in WHOLE:
            rows, threads, make = WHOLE[name]
            case = make()
        else:
            (rows, make), threads = CASES[name], 1
            with single_threaded_blas():
                case = make(self._world)
        case.reset()
        case.check(case.call())
        case.reset()
        calls = int(np.clip(SECONDS / timed(case.call, threads), *CALLS))
        self._ready[name] = Ready(case, rows, threads, calls)
        return self._ready[name]

    def _turn(self, ready):
        """Return the median seconds of some calls."""
        seconds = []
        for _ in range(ready.calls):
            ready.case.reset()
            seconds.append(timed(ready.case.call, ready.threads))
        return float(np.median(seconds))

    def _unit(self, threads):
        """Return the seconds of a row of the product."""
        if threads not in self._units:
            self._units[threads] = unit_task(threads, UNIT_SPECTRA)
            self._units[threads][0]()  # the first call is slower
        task, rows = self._units[threads]
        if threads > 1:
            time.sleep(0.1)  # idle BLAS workers of the product before still spin
        return timed(task, threads) / rows


def timed(call, threads):
    """Return the seconds of one call, of this thread alone where there is no other."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    start = clock()
    call()
    return clock() - start


def bench_selftest(threads):
    """Rows of the speed that ``fastcannon selftest`` compares with, written for it."""
    unit, ratios = measure_speed(threads)
    units = {"inference": "U", "training": "G"}
    record = {"machine": processor(), "unit": unit, "units": units, "ratios": ratios}
    SPEED.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return [
        only(f"{name} as `fastcannon selftest` measures it", ratio, units[name])
        for name, ratio in ratios.items()
    ]
