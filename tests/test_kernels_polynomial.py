"""chi^2 as a polynomial: against the sum over pixels and its differences."""

import numpy as np
import pytest
from gradients import gradient_of

from fastcannon.kernels import polynomial as kernels
from fastcannon.kernels import reference, reference_inference
from fastcannon.kernels.monomials import complete_exponents
from fastcannon.selftest import calls
from fastcannon.selftest.examples import spectra

CASES = pytest.mark.parametrize(
    "n_labels, degree", [(3, 2), (1, 3), (2, 1)], ids=["K3", "cubic", "linear"]
)


def evaluate(problem, s, x):
    """Value, gradient and Hessian of spectrum s by the kernels."""
    gather, program, degree = problem.hessian
    n_labels = len(x)
    n_entries = (n_labels + 1) * (n_labels + 2) // 2
    rows = np.full((len(program), n_entries), np.nan)
    kernels.gather_hessian(problem.coefficients[s], gather, rows)
    gradient, hessian = np.empty(n_labels), np.empty((n_labels, n_labels))
    value = kernels.evaluate(
        x,
        rows,
        program,
        degree,
        np.empty(len(program)),
        np.empty(n_entries),
        gradient,
        hessian,
    )
    return value, gradient, hessian


def chi2(problem, s, x):
    """The sum over pixels that the polynomial stands for."""
    model = problem.theta @ reference.monomial_values(x, problem.exponents)
    return np.sum(problem.w[s] * (problem.flux[s] - model) ** 2)


def test_pair_table_lists_every_product_once():
    exponents = complete_exponents(6, 2)
    pairs, index = kernels.pair_table(exponents)
    assert len(pairs) == 210  # README.md: 210 coefficients instead of 406
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert not pairs[0].any()
    np.testing.assert_array_equal(pairs[index], exponents[:, None] + exponents[None])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pair_products_agree_with_reference(dtype):
    problem = spectra()
    problem.theta[5, 4] = 0  # a censored term
    got = kernels.pair_products(
        problem.theta, problem.index, len(problem.pairs), np.dtype(dtype)
    )
    assert got.dtype == dtype
    expected = reference.accumulate_pairs(
        problem.theta, problem.index, len(problem.pairs)
    )
    # Sums of two products in another order, and rounding to the type.
    precision = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, expected, rtol=precision, atol=precision)
    columns = calls.accumulate_pairs(problem.theta, problem.index, len(problem.pairs))
    np.testing.assert_allclose(columns, expected, rtol=1e-14, atol=1e-15)


@CASES
def test_gathered_hessian_agrees_with_reference(n_labels, degree):
    problem = spectra(n_labels, degree=degree)
    gather, program, _ = problem.hessian
    n_entries = (n_labels + 1) * (n_labels + 2) // 2
    rows = np.full((len(program), n_entries), np.nan)
    kernels.gather_hessian(problem.coefficients[0], gather, rows)
    expected = reference_inference.gather_hessian(
        problem.coefficients[0], gather, *rows.shape
    )
    np.testing.assert_array_equal(rows, expected)


@CASES
def test_evaluate_agrees_with_reference_pixels_and_differences(n_labels, degree):
    problem = spectra(n_labels, degree=degree)
    x = np.random.default_rng(2).uniform(-1, 1, n_labels)
    for s in range(3):
        value, gradient, hessian = evaluate(problem, s, x)
        expected = reference_inference.evaluate(
            x, problem.coefficients[s], problem.pairs
        )
        size = abs(problem.coefficients[s]).max()
        # Rounding of the sums, relative to the largest coefficient: measured 5e-16.
        np.testing.assert_allclose(value, expected[0], rtol=1e-13)
        np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=1e-14 * size)
        np.testing.assert_allclose(hessian, expected[2], rtol=0, atol=1e-14 * size)
        # The pivot keeps the cancellation small: measured 4e-15.
        np.testing.assert_allclose(value, chi2(problem, s, x), rtol=1e-12)
        # Differences: measured 2e-10 of the largest coefficient.
        slope = gradient_of(lambda y, s=s: chi2(problem, s, y), x)
        np.testing.assert_allclose(gradient, slope, rtol=0, atol=3e-9 * size)
        turn = gradient_of(lambda y, s=s: evaluate(problem, s, y)[1], x)
        np.testing.assert_allclose(hessian, turn, rtol=0, atol=3e-9 * size)


def test_masking_a_pixel_is_weight_zero_and_knows_nothing_of_its_flux():
    # pixel 7 has ivar 0 and pixel 3 has s2 = inf
    x = np.array([0.2, -0.1, 0.3])
    problem = spectra()
    left = np.setdiff1d(np.arange(40), (3, 7))
    model = problem.theta[left] @ reference.monomial_values(x, problem.exponents)
    residual = problem.flux[0, left] - model
    w = problem.ivar[0, left] / (1 + problem.ivar[0, left] * problem.s2[left])
    expected = np.sum(w * residual**2)
    np.testing.assert_allclose(evaluate(problem, 0, x)[0], expected, rtol=1e-11)
