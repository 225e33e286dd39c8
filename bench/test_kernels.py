"""Every public kernel alone, by pytest-benchmark: spread of its times, its ratio.

    python -m pytest bench/test_kernels.py --benchmark-only --benchmark-json NEW.json

``extra_info["ratio"]`` is the time per row (spectrum, pixel, ...) over that of a matrix
product, as `bench.compare` has it; ``extra_info["numpy"]`` is how many times as long
NumPy takes for the answer that the kernel is checked with, the comparison included.
One BLAS thread.
"""

import numpy as np
import pytest

from bench.measure import CASES, Bench, timed
from fastcannon.parallel import single_threaded_blas

SECONDS = 0.3  # of rounds per kernel
ROUNDS = 9, 2000  # at least, at most


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread():
    with single_threaded_blas():
        yield


@pytest.fixture(scope="module")
def bench():
    return Bench()


@pytest.mark.parametrize("name", CASES)
def test_kernel(name, bench, benchmark):
    case = bench.made(name).case
    if benchmark.disabled:
        benchmark(lambda: None)  # the check was all that was asked for
        return
    benchmark.group = name.partition(".")[0]
    case.reset()
    rounds = int(np.clip(SECONDS / timed(case.call, 1), *ROUNDS))
    benchmark.pedantic(case.call, setup=case.reset, rounds=rounds)
    case.reset()
    answer = case.call()
    numpy = timed(lambda: case.check(answer), 1)
    benchmark.extra_info["numpy"] = numpy / benchmark.stats.stats.median
    benchmark.extra_info["ratio"] = bench.measure([name])[name]
