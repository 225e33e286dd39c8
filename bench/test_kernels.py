"""Time of every public kernel, in units of one matrix product.

    python -m pytest bench/test_kernels.py --benchmark-only --benchmark-json NEW.json
    python bench/compare.py NEW.json

The unit (`bench.clock.unit_task`) is measured between the rounds of each kernel;
``extra_info["ratio"]`` is the time per row of a kernel (spectrum, pixel, ...) over
that of the unit, which travels between machines better than times.

Every answer is checked against NumPy before the clock starts. One BLAS thread.
"""

import importlib
import itertools
import pkgutil

import numpy as np
import pytest

from bench.kernel_cases import CASES, World, clock, unit_sampler
from fastcannon import kernels
from fastcannon.parallel import single_threaded_blas

SECONDS = 0.3  # of rounds per kernel
ROUNDS = 9, 2000  # at least, at most
UNIT_SAMPLES = 4  # per kernel

for step in ("labels", "training", "inference", "spectra", "resample"):
    importlib.import_module(f"bench.cases_{step}")  # fills CASES


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread():
    with single_threaded_blas():
        yield


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def unit():
    return unit_sampler()


@pytest.mark.parametrize("name", CASES)
def test_kernel(name, world, unit, benchmark):
    rows, make = CASES[name]
    made = make(world)
    made.reset()
    made.check(made.call())
    if benchmark.disabled:
        benchmark(lambda: None)  # the check was all that was asked for
        return
    benchmark.group = name.partition(".")[0]
    made.reset()
    rounds = int(np.clip(SECONDS / clock(made.call), *ROUNDS))
    units = []
    counter = itertools.count()

    def prepare():
        if next(counter) % -(-rounds // UNIT_SAMPLES) == 0:
            units.append(unit())
        made.reset()

    benchmark.pedantic(made.call, setup=prepare, rounds=rounds)
    row = benchmark.stats.stats.median / rows
    benchmark.extra_info["rows"] = rows
    benchmark.extra_info["unit"] = float(np.median(units))
    benchmark.extra_info["ratio"] = row / benchmark.extra_info["unit"]


def test_every_public_kernel_has_a_case():
    public = set()
    for file in pkgutil.iter_modules(kernels.__path__):
        module = importlib.import_module(f"{kernels.__name__}.{file.name}")
        for name, value in vars(module).items():
            here = getattr(value, "__module__", None) == module.__name__
            if here and hasattr(value, "py_func") and not name.startswith("_"):
                public.add(f"{file.name}.{name}")
    assert public == set(CASES)
