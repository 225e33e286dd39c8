"""Cholesky factors: against LAPACK, with dependent and pathological rows."""

import numpy as np
import pytest

from fastcannon.kernels import cholesky as kernels
from fastcannon.kernels import reference

SIZES = pytest.mark.parametrize("n", [1, 2, 6, 28])


def positive(n, seed=0):
    design = np.random.default_rng(seed).normal(size=(2 * n + 3, n))
    return design.T @ design


@SIZES
def test_factor_solve_and_invert_agree_with_lapack(n):
    matrix = positive(n)
    b = np.arange(1.0, n + 1)
    lower = np.zeros((n + 2, n + 2))  # larger than in use
    assert kernels.factor(matrix, n, lower) == 0
    expected, status = reference.factor(matrix)
    assert status == 0
    # Condition number below 300: measured 2e-15.
    np.testing.assert_allclose(np.tril(lower[:n, :n]), expected, atol=1e-12)
    x = b.copy()
    kernels.solve(lower, n, x)
    np.testing.assert_allclose(x, reference.solve(matrix, b), rtol=1e-10, atol=1e-12)
    inverse = np.zeros((n, n))
    kernels.invert(lower, n, np.empty(n), inverse)
    np.testing.assert_allclose(inverse, reference.invert(matrix), atol=1e-12)


@SIZES
def test_factor_in_place_reads_the_lower_triangle_only(n):
    matrix = positive(n)
    expected = np.zeros((n, n))
    kernels.factor(matrix, n, expected)
    broken = np.tril(matrix) + np.triu(np.full((n, n), np.nan), 1)
    assert kernels.factor(broken, n, broken) == 0
    np.testing.assert_array_equal(np.tril(broken), expected)
    broken = np.tril(matrix) + np.triu(np.full((n, n), np.nan), 1)
    assert kernels.factor_dropping(broken, n, 1e-11, broken) == 0
    np.testing.assert_array_equal(np.tril(broken), expected)


@pytest.mark.parametrize("kind", ["indefinite", "zero", "nan"])
def test_factor_reports_what_is_not_positive_definite(kind):
    matrix = positive(4)
    matrix[2, 2] = {"indefinite": -1.0, "zero": 0.0, "nan": np.nan}[kind]
    lower = np.zeros((4, 4))
    assert kernels.factor(matrix, 4, lower) == 1
    if kind != "nan":
        assert reference.factor(matrix)[1] == 1


def test_dependent_rows_are_dropped_and_get_zero():
    rng = np.random.default_rng(1)
    design = rng.normal(size=(30, 6))
    design[:, 2] = 0  # a constant label
    design[:, 4] = design[:, 0] - 2 * design[:, 1]
    matrix = design.T @ design
    lower = np.zeros((6, 6))
    assert kernels.factor_dropping(matrix, 6, 1e-11, lower) == 2
    expected, dropped = reference.factor_dropping(matrix, 1e-11)
    assert dropped == 2
    np.testing.assert_allclose(np.tril(lower), expected, atol=1e-12)
    assert not lower[[2, 4]].any()
    assert not np.tril(lower)[:, [2, 4]].any()
    b = design.T @ rng.normal(size=30)
    x = b.copy()
    kernels.solve(lower, 6, x)
    np.testing.assert_allclose(x, reference.solve(matrix, b, 1e-11), atol=1e-12)
    assert (x[[2, 4]] == 0).all()
    # It is a solution: what is dropped adds nothing. Measured 3e-15.
    np.testing.assert_allclose(matrix @ x, b, atol=1e-11)


def test_a_matrix_of_nothing_or_nan_gives_zero():
    for matrix in (np.zeros((3, 3)), np.full((3, 3), np.nan)):
        lower, x = matrix.copy(), np.ones(3)
        assert kernels.factor_dropping(lower, 3, 1e-11, lower) == 3
        kernels.solve(lower, 3, x)
        assert not x.any()
