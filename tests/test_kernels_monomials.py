"""Label vectors: against plain powers, and their derivatives by differences."""

import numpy as np
import pytest
from gradients import gradient_of

from fastcannon.kernels import monomials as kernels
from fastcannon.kernels import reference

SPARSE = np.array([[0, 0], [4, 0], [1, 3]])  # no parents: TEFF^4, TEFF*LOGG^3
TABLES = pytest.mark.parametrize(
    "exponents",
    [
        kernels.complete_exponents(3, 2),
        kernels.complete_exponents(1, 5),
        SPARSE,
        np.zeros((1, 2), dtype=np.int64),
    ],
    ids=["K3-degree2", "K1-degree5", "sparse", "constant"],
)


def points(exponents, n=5):
    return np.random.default_rng(0).uniform(-1.5, 1.5, (n, exponents.shape[1]))


def test_complete_exponents_stand_in_the_order_of_the_papers():
    # 1; linear; upper triangle of products row by row
    expected = [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]
    assert kernels.complete_exponents(2, 2).tolist() == expected
    assert len(kernels.complete_exponents(6, 2)) == 28
    assert len(kernels.complete_exponents(17, 2)) == 171


@TABLES
def test_monomials_and_label_vectors_agree_with_plain_powers(exponents):
    x = points(exponents)
    program, where = kernels.monomial_program(exponents)
    values = np.empty(len(program))
    kernels.monomial_values(x[0], program, values)
    expected = reference.monomial_values(x[0], exponents)
    # Products in another order than np.power: measured 2e-16.
    np.testing.assert_allclose(values[where], expected, rtol=1e-14)
    vectors = np.empty((len(x), len(exponents)))
    kernels.label_vectors(x, program, where, np.empty(len(program)), vectors)
    expected = reference.label_vectors(x, exponents)
    np.testing.assert_allclose(vectors, expected, rtol=1e-14)


@TABLES
def test_jacobian_agrees_with_reference_and_with_differences(exponents):
    x = points(exponents)[0]
    program, _, first, _ = kernels.derivative_tables(exponents)
    jacobian = np.full(exponents.shape, np.nan)
    kernels.label_jacobian(x, program, first, np.empty(len(program)), jacobian)
    expected = reference.label_jacobian(x, exponents)
    np.testing.assert_allclose(jacobian, expected, rtol=1e-14)
    differences = gradient_of(lambda y: reference.monomial_values(y, exponents), x)
    # Differences err by 1e-5^2 times the third derivative: measured 8e-10.
    np.testing.assert_allclose(jacobian, differences.T, atol=1e-7)


@TABLES
def test_second_derivatives_agree_with_differences_of_the_first(exponents):
    x = points(exponents)[0]
    n_labels = len(x)
    program, where, _, second = kernels.derivative_tables(exponents)
    m = np.empty(len(program))
    kernels.monomial_values(x, program, m)
    hessian = np.zeros((n_labels, len(exponents), n_labels))
    for k, j, t, factor, row in second:
        hessian[k, t, j] = hessian[j, t, k] = factor * m[row]
    expected = gradient_of(lambda y: reference.label_jacobian(y, exponents), x)
    np.testing.assert_allclose(hessian, expected, atol=1e-7)
    assert where.shape == (len(exponents),)


def test_permuting_stars_permutes_rows_and_bad_stars_stay_alone():
    exponents = kernels.complete_exponents(3, 2)
    program, where = kernels.monomial_program(exponents)
    x = points(exponents, n=7)

    def vectors(some):
        out = np.empty((len(some), len(exponents)))
        kernels.label_vectors(some, program, where, np.empty(len(program)), out)
        return out

    order = np.random.default_rng(1).permutation(len(x))
    expected = vectors(x)
    np.testing.assert_array_equal(vectors(x[order]), expected[order])
    x[3] = np.nan
    got = vectors(x)
    assert np.isnan(got[3, 1:]).all() and got[3, 0] == 1
    rest = np.arange(7) != 3
    np.testing.assert_array_equal(got[rest], expected[rest])
