"""The kernels of training and their twins on a small training set made here.

`CASES` maps the name of a kernel to a function of the data of `make` that returns pairs
(found, expected), and to the largest difference allowed (`kernels.away`).
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np

from ..kernels import (
    cholesky,
    folds,
    lasso,
    least_squares,
    monomials,
    reference,
    reference_training,
    scatter,
)
from ..terms import Terms

LABELS, STARS, PIXELS = 3, 240, 8
SMALLEST_PIVOT = 1e-11
# Sums in double precision in another order: measured 1e-15, and 1e-10 for the lasso,
# whose certificate that is; three Newton steps from single precision: 3e-7.
DOUBLE, SINGLE = 1e-7, 1e-5
FOLDS = 1e-3  # the kernel leaves folds out by an expansion, its twin fits: 1e-4


def make():
    """Return stars of known labels, pixel by pixel as training sees them."""
    rng = np.random.default_rng(0)
    terms = Terms.complete([f"l{k}" for k in range(LABELS)], 2)
    x = rng.uniform(-0.8, 0.8, (STARS, LABELS))
    v = reference.label_vectors(x, terms.exponents)
    theta = rng.normal(0, 0.1, (PIXELS, len(terms)))
    theta[:, 0] = 1.0
    s2 = rng.uniform(0.005, 0.03, PIXELS) ** 2
    ivar = rng.uniform(3e3, 3e4, (PIXELS, STARS))
    flux = theta @ v.T + rng.normal(0, np.sqrt(1 / ivar + s2[:, None]))
    ivar[rng.random(ivar.shape) < 0.05] = 0.0
    flux, ivar = flux.astype(np.float32), ivar.astype(np.float32)
    pairs, index = terms.pairs
    w = reference_training.train_weights(ivar.astype(float), s2)
    moments = w @ reference.label_vectors(x, pairs)
    return SimpleNamespace(
        exponents=terms.exponents,
        pairs=pairs,
        index=index,
        x=x,
        v=v,
        theta=theta,
        s2=s2,
        flux=flux,
        ivar=ivar,
        moments=moments,
        normal=moments[:, index],
        right=(w * flux) @ v,
    )


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
    program, where = monomials.monomial_program(stars.exponents)
    v = np.empty(stars.v.shape)
    monomials.label_vectors(stars.x, program, where, np.empty(len(program)), v)
    return [(v, stars.v)]


def _train_weights(stars):
    w = np.empty(stars.flux.shape)
    least_squares.train_weights(stars.ivar, stars.s2, w)
    return [(w, reference_training.train_weights(stars.ivar.astype(float), stars.s2))]


def _factors(stars):
    """Factors of the normal matrices by the kernel, and the terms it dropped."""
    lower, dropped = np.zeros(stars.normal.shape), np.zeros(PIXELS, np.int64)
    least_squares.factor_normal(
        stars.moments, stars.index, SMALLEST_PIVOT, lower, dropped
    )
    return np.tril(lower), dropped


def _factor_normal(stars):
    expected = reference_training.factor_normal(
        stars.moments, stars.index, SMALLEST_PIVOT
    )
    return list(zip(_factors(stars), expected, strict=True))


def _solve_rows(stars):
    rows = stars.right.copy()
    least_squares.solve_rows(_factors(stars)[0], rows)
    return [(rows, reference_training.solve_rows(stars.normal, stars.right))]


def _start_scatter(stars):
    model, s2 = stars.theta @ stars.v.T, np.empty(PIXELS)
    grid = np.append(0.0, np.geomspace(1e-4, 4.0, 9)).astype(np.float32)
    work = np.empty(len(grid))
    scatter.start_scatter(stars.flux, stars.ivar, model, grid, 3, work, s2)
    return [(s2, reference_training.start_scatter(stars.flux, stars.ivar, model))]


def _joint_step(stars):
    model, s2 = stars.theta @ stars.v.T, 1.5 * stars.s2
    wr, w2r, sums = reference_training.scatter_sums(stars.flux, stars.ivar, s2, model)
    gradient, cross, scale = wr @ stars.v, w2r @ stars.v, np.full(PIXELS, 1e-4)
    given, last = (sums, gradient, cross), (scale, 1e-7)
    expected = reference_training.joint_step(
        *given, stars.normal, *last, stars.theta, s2
    )
    theta, status = stars.theta.copy(), np.zeros(PIXELS, np.int64)
    scatter.joint_step(*given, _factors(stars)[0], *last, theta, s2, status)
    return list(zip((theta, s2, status), expected, strict=True))


def _scatter_sums(stars):
    wr, w2r = stars.theta @ stars.v.T, np.empty((PIXELS, STARS))
    sums = np.empty((PIXELS, 5))
    given = stars.flux, stars.ivar, stars.s2
    expected = reference_training.scatter_sums(*given, wr)
    scatter.scatter_sums(*given, wr, w2r, sums)
    return list(zip((wr, w2r, sums), expected, strict=True))


def _leave_folds_out(stars):
    """The first of twelve folds of one pixel: each fit of the twin takes long."""
    edges = np.linspace(0, STARS, 13).astype(np.int64)
    flux, ivar = stars.flux[:1].astype(float), stars.ivar[:1].astype(float)
    theta, s2 = reference_training.fit_pixel(flux[0], ivar[0], stars.v)
    theta, s2 = theta[None], np.array([s2])
    *powers, sums = reference_training.weight_powers(
        flux, ivar, s2, edges, theta @ stars.v.T
    )
    wr, w, w2, w3, w2r, w3r = powers
    v2 = reference.label_vectors(stars.x, stars.pairs)
    rows = [slice(a, b) for a, b in pairwise(edges)]
    moments = np.array([[p[:, r] @ v2[r] for r in rows] for p in (w, w2, w3)])
    vectors = np.array([[p[:, r] @ stars.v[r] for r in rows] for p in (wr, w2r, w3r)])
    theta_out = np.empty((12, *theta.shape))
    s2_out, shift = np.empty((12, 1)), np.empty((12, 1))
    given = moments, vectors, sums, stars.index, SMALLEST_PIVOT, theta, s2
    folds.leave_folds_out(*given, theta_out, s2_out, shift)
    rest = slice(edges[1], STARS)
    expected = reference_training.fit_pixel(flux[0, rest], ivar[0, rest], stars.v[rest])
    return [(theta_out[0, 0], expected[0]), (s2_out[0, 0], expected[1])]


def _lasso_path(stars):
    strengths = np.array([1e5, 3e3, 300.0])
    given = stars.moments[:3], stars.index, stars.right[:3], strengths, 1e-11
    theta = np.empty((3, 3, len(stars.exponents)))
    worst, status = np.empty((3, 3)), np.empty((3, 3), np.int64)
    lasso.lasso_path(*given, 1000, theta, worst, status)
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
