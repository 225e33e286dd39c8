"""Kernels called as their twins are: arguments in, fresh arrays out.

What a kernel takes from its caller, tables of the terms, scratch and arrays to fill, is
made here; arguments and what returns are those of the function of that name in the
``reference`` modules, where no other is described. Kernels are taken from their modules
as they are called.
"""

from itertools import pairwise

import numpy as np

from ..kernels import (
    finish,
    folds,
    hull,
    lasso,
    least_squares,
    levenberg,
    medians,
    monomials,
    polynomial,
    reference,
    scatter,
    stream,
    weights,
)
from ..training import SCATTER_GRID, SCATTER_STEPS


def label_vectors(x, exponents):
    """Monomials (N, T) of labels (N, K)."""
    program, where = monomials.monomial_program(exponents)
    v = np.empty((len(x), len(exponents)))
    monomials.label_vectors(x, program, where, np.empty(len(program)), v)
    return v


def train_weights(ivar, s2):
    """Weights (P, N) of training."""
    w = np.empty(ivar.shape)
    least_squares.train_weights(ivar, s2, w)
    return w


def factor_normal(moments, index, tolerance):
    """Factors (P, T, T) of the normal matrices, and how many terms were dropped."""
    lower = np.zeros((len(moments), *index.shape))
    dropped = np.zeros(len(moments), np.int64)
    least_squares.factor_normal(moments, index, tolerance, lower, dropped)
    return np.tril(lower), dropped


def scatter_sums(flux, ivar, s2, model):
    """Weighted residuals and their sums; the model (P, N) is left as it is."""
    wr, w2r, sums = model.copy(), np.empty(model.shape), np.empty((len(s2), 5))
    scatter.scatter_sums(flux, ivar, s2, wr, w2r, sums)
    return wr, w2r, sums


def start_scatter(flux, ivar, model):
    """Scatter s2 (P,) of the deepest minimum, in single precision."""
    s2 = np.empty(len(flux))
    work = np.empty(len(SCATTER_GRID))
    given = flux, ivar, model, SCATTER_GRID, SCATTER_STEPS
    scatter.start_scatter(*given, work, s2)
    return s2


def fold_products(stars, powers, edges):
    """Products of powers of the weights with label vectors, fold by fold.

    Parameters
    ----------
    stars : SimpleNamespace
        `examples.training_set`.
    powers : sequence of ndarray
        As `reference_training.weight_powers` returns them.
    edges : ndarray, (F + 1,), int
        First stars of the folds, and the end.

    Returns
    -------
    moments : ndarray, (3, F, P, Q)
    vectors : ndarray, (3, F, P, T)
    """
    wr, w, w2, w3, w2r, w3r, _ = powers
    rows = [slice(a, b) for a, b in pairwise(edges)]
    moments = [[p[:, r] @ stars.moments[r] for r in rows] for p in (w, w2, w3)]
    vectors = [[p[:, r] @ stars.v[r] for r in rows] for p in (wr, w2r, w3r)]
    return np.array(moments), np.array(vectors)


def leave_folds_out(moments, vectors, sums, index, tolerance, theta, s2):
    """theta (F, P, T), s2 and shift (F, P), from `fold_products` and the whole fit."""
    n_folds = moments.shape[1]
    theta_out = np.empty((n_folds, *theta.shape))
    s2_out, shift = np.empty((2, n_folds, len(s2)))
    given = moments, vectors, sums, index, tolerance, theta, s2
    folds.leave_folds_out(*given, theta_out, s2_out, shift)
    return theta_out, s2_out, shift


def lasso_path(moments, index, right, strengths, tolerance, most_rounds):
    """theta (L, P, T) of the strengths, violation of optimality and status (L, P)."""
    theta = np.empty((len(strengths), *right.shape))
    worst, status = np.empty(theta.shape[:2]), np.empty(theta.shape[:2], np.int64)
    given = moments, index, right, strengths, tolerance, most_rounds
    lasso.lasso_path(*given, theta, worst, status)
    return theta, worst, status


def accumulate_pairs(theta, index, n_pairs):
    """Products of coefficients (P, Q), added by monomial."""
    columns = np.zeros((len(theta), n_pairs))
    polynomial.accumulate_pairs(theta, index, columns)
    return columns


def weigh_spectra(flux, ivar, s2, theta0, dtype=np.float64):
    """Weights, weighted residuals, chi^2 of theta0 and pixels used, in a precision."""
    w, wr = np.empty((2, *flux.shape), dtype)
    constant, used = np.empty(len(flux)), np.empty(len(flux), np.int64)
    s2, theta0 = s2.astype(dtype), theta0.astype(dtype)
    weights.weigh_spectra(flux, ivar, s2, theta0, w, wr, constant, used)
    return w, wr, constant, used


def median_snr(flux, w):
    """Median signal to noise (S,)."""
    padded = -(-flux.shape[1] // medians.CHUNK) * medians.CHUNK
    work = np.empty(padded, np.float32), np.empty(padded + 1, np.float32)
    snr = np.empty(len(flux))
    medians.median_snr(flux, w, *work, snr)
    return snr


def chunk_theta(theta):
    """Coefficients (P, T) as kernels take them that stream over pixels."""
    return np.ascontiguousarray(reference.chunk_theta(theta, weights.CHUNK))


def descend_spectra(
    coefficients, start_values, starts, neighbours, n_descents, pairs, max_steps, tol
):
    """Lowest minima of polynomials: x, value, hessian, the next, minima, status."""
    program, gather, degree = polynomial.hessian_table(pairs)
    found = _minima(len(coefficients), starts.shape[1])
    given = coefficients, start_values, starts, neighbours, n_descents
    tables = gather, program, degree
    levenberg.descend_spectra(*given, *tables, max_steps, tol, *found)
    return found


def stream_spectra(
    flux,
    w,
    theta,
    start_values,
    starts,
    neighbours,
    n_descents,
    exponents,
    max_steps,
    tol,
):
    """The same as `descend_spectra`, straight from the pixels."""
    program, where, first, _ = monomials.derivative_tables(exponents)
    found = _minima(len(flux), starts.shape[1])
    given = flux, w, chunk_theta(theta), start_values, starts, neighbours, n_descents
    tables = program, where, first
    stream.stream_spectra(*given, *tables, max_steps, tol, *found)
    return found


def _minima(n_spectra, n_labels):
    """Arrays for the results of descents; NaN where they leave a Hessian out."""
    return (
        np.empty((n_spectra, n_labels)),
        np.empty(n_spectra),
        np.full((n_spectra, n_labels, n_labels), np.nan),
        np.empty((n_spectra, n_labels)),
        np.empty(n_spectra),
        np.empty(n_spectra, np.int64),
        np.empty(n_spectra, np.int64),
    )


def finish_spectra(flux, w, theta, exponents, hessian, scales, x):
    """The last step: x, chi^2, decrease and covariance, and a status (S,) besides."""
    program, _, first, second = monomials.derivative_tables(exponents)
    residual = flux - reference.label_vectors(x, exponents) @ theta.T
    chi2 = (w * residual**2).sum(axis=1)
    x, decrease = x.copy(), np.empty(len(x))
    covariance, status = np.empty(hessian.shape), np.empty(len(x), np.int64)
    given = (w * residual) @ theta, hessian, program, first, second, scales
    finish.finish_spectra(*given, x, chi2, decrease, covariance, status)
    return x, chi2, decrease, covariance, status


def nearest_in_hull(target, metric, vertices):
    """Nearest point (K,) of a hull, and its squared distance."""
    x = np.empty(len(target))
    distance = hull.nearest_in_hull(target, metric, vertices, 1e-18, x)
    return x, distance
