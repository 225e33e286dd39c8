"""The kernels of training beside their twins, on a small training set.

`CASES` maps the name of a kernel to a function of the data of `make` that returns pairs
(found, expected), and to the largest difference allowed (`kernels.away`).
"""

import numpy as np

from ..kernels import (
    cholesky,
    least_squares,
    reference,
    reference_training,
    scatter,
)
from . import calls, examples

SMALLEST_PIVOT = 1e-11
# Sums in double precision in another order: measured 1e-15, and 1e-10 for the lasso,
# whose certificate that is; three Newton steps from single precision: 3e-7.
DOUBLE, SINGLE = 1e-7, 1e-5
FOLDS = 1e-3  # the kernel leaves folds out by an expansion, its twin fits: 1e-4


def make():
    """Return a training set with its normal equations, by the twins."""
    stars = examples.training_set(n_stars=240)
    w = reference_training.train_weights(stars.ivar.astype(float), stars.s2)
    stars.sums = w @ stars.moments
    stars.normal = stars.sums[:, stars.index]
    stars.right = (w * stars.flux) @ stars.v
    return stars


def _factor(stars):
    matrix, lower = stars.normal[0], np.zeros(stars.normal[0].shape)
    status = cholesky.factor(matrix, len(matrix), lower)
    expected, expected_status = reference.factor(matrix)
    return [(np.tril(lower), expected), (status, expected_status)]


def _invert(stars):
    matrix, inverse = stars.normal[0], np.zeros(stars.normal[0].shape)
    lower, _ = reference.factor(matrix)
    cholesky.invert(lower, len(matrix), np.empty(len(matrix)), inverse)
    return [(inverse, reference.invert(matrix))]


def _label_vectors(stars):
    return [(calls.label_vectors(stars.x, stars.exponents), stars.v)]


def _train_weights(stars):
    expected = reference_training.train_weights(stars.ivar.astype(float), stars.s2)
    return [(calls.train_weights(stars.ivar, stars.s2), expected)]


def _factor_normal(stars):
    given = stars.sums, stars.index, SMALLEST_PIVOT
    return zip(
        calls.factor_normal(*given),
        reference_training.factor_normal(*given),
        strict=True,
    )


def _lower(stars):
    return calls.factor_normal(stars.sums, stars.index, SMALLEST_PIVOT)[0]


def _solve_rows(stars):
    rows = stars.right.copy()
    least_squares.solve_rows(_lower(stars), rows)
    return [(rows, reference_training.solve_rows(stars.normal, stars.right))]


def _start_scatter(stars):
    given = stars.flux, stars.ivar, stars.theta @ stars.v.T
    return [(calls.start_scatter(*given), reference_training.start_scatter(*given))]


def _joint_step(stars):
    model, s2 = stars.theta @ stars.v.T, 1.5 * stars.s2
    wr, w2r, sums = reference_training.scatter_sums(stars.flux, stars.ivar, s2, model)
    gradient, cross, scale = wr @ stars.v, w2r @ stars.v, np.full(len(s2), 1e-4)
    given, last = (sums, gradient, cross), (scale, 1e-7)
    expected = reference_training.joint_step(
        *given, stars.normal, *last, stars.theta, s2
    )
    theta, status = stars.theta.copy(), np.zeros(len(s2), np.int64)
    scatter.joint_step(*given, _lower(stars), *last, theta, s2, status)
    return zip((theta, s2, status), expected, strict=True)


def _scatter_sums(stars):
    given = stars.flux, stars.ivar, stars.s2, stars.theta @ stars.v.T
    expected = reference_training.scatter_sums(*given)
    return zip(calls.scatter_sums(*given), expected, strict=True)


def _leave_folds_out(stars):
    """The first of twelve folds of one pixel: each fit of the twin takes long."""
    edges = np.linspace(0, len(stars.x), 13).astype(np.int64)
    flux, ivar = stars.flux[:1].astype(float), stars.ivar[:1].astype(float)
    theta, s2 = reference_training.fit_pixel(flux[0], ivar[0], stars.v)
    theta, s2 = theta[None], np.array([s2])
    powers = reference_training.weight_powers(flux, ivar, s2, edges, theta @ stars.v.T)
    products = calls.fold_products(stars, powers, edges)
    found = calls.leave_folds_out(
        *products, powers[-1], stars.index, SMALLEST_PIVOT, theta, s2
    )
    rest = slice(edges[1], None)
    expected = reference_training.fit_pixel(flux[0, rest], ivar[0, rest], stars.v[rest])
    return [(found[0][0, 0], expected[0]), (found[1][0, 0], expected[1])]


def _lasso_path(stars):
    strengths = np.array([1e5, 3e3, 300.0])
    given = stars.sums[:3], stars.index, stars.right[:3], strengths, 1e-11
    theta, _, status = calls.lasso_path(*given, 1000)
    expected, _, converged = reference_training.lasso_path(*given, 20000)
    return [(theta, expected), (status, converged)]


CASES = {
    "cholesky.factor": (_factor, DOUBLE),
    "cholesky.invert": (_invert, DOUBLE),
    "monomials.label_vectors": (_label_vectors, DOUBLE),
    "least_squares.train_weights": (_train_weights, DOUBLE),
    "least_squares.factor_normal": (_factor_normal, DOUBLE),
    "least_squares.solve_rows": (_solve_rows, DOUBLE),
    "scatter.scatter_sums": (_scatter_sums, DOUBLE),
    "scatter.start_scatter": (_start_scatter, SINGLE),
    "scatter.joint_step": (_joint_step, DOUBLE),
    "folds.leave_folds_out": (_leave_folds_out, FOLDS),
    "lasso.lasso_path": (_lasso_path, DOUBLE),
}
