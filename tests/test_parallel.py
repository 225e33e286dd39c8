"""Blocks of rows: every row once, whatever the size; errors reach the caller."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from fastcannon.errors import InputError
from fastcannon.parallel import (
    Scratch,
    ranges,
    run_blocks,
    single_threaded_blas,
    thread_count,
)


@pytest.mark.parametrize("total", [0, 1, 5, 256, 257, 1025, 4418])
def test_blocks_cover_every_row_once(total):
    blocks = ranges(total, 256)
    rows = [row for start, stop in blocks for row in range(start, stop)]
    assert rows == list(range(total))
    assert all(0 < stop - start <= 256 for start, stop in blocks)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads):
    done = []
    blocks = ranges(10, 3)
    found = run_blocks(lambda a, b: a * b, blocks, threads, done.append)
    assert found == [0, 18, 54, 90]
    assert sorted(done) == blocks


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_block_reaches_the_caller(threads):
    def task(start, stop):
        if start == 3:
            raise ArithmeticError("block 3")

    with pytest.raises(ArithmeticError, match="block 3"):
        run_blocks(task, ranges(10, 3), threads)


def test_thread_count():
    assert thread_count() >= 1
    assert thread_count(3) == 3
    with pytest.raises(InputError, match="threads is 0"):
        thread_count(0)


def test_scratch_is_kept_and_grows():
    scratch = Scratch()
    first = scratch.array("a", (3, 4))
    assert scratch.array("a", (2, 2)).base is first.base
    assert scratch.array("a", (5, 5)).shape == (5, 5)
    assert scratch.array("a", (2,), np.float32).dtype == np.float32


def test_blas_has_its_threads_again_after_an_error():
    def threads():
        blas = [one for one in threadpool_info() if one["user_api"] == "blas"]
        return {one["num_threads"] for one in blas}

    with threadpool_limits(limits=2, user_api="blas"):
        with pytest.raises(ArithmeticError), single_threaded_blas():
            assert threads() == {1}
            raise ArithmeticError("inside")
        assert threads() == {2}
