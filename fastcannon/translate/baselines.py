"""Smooth maps beside the networks: identity with offset, linear and quadratic ridge.

Each is a polynomial of degree two at most in the standardised inputs, kept as one row
of coefficients per term, so that all are applied alike.
"""

from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
KINDS = ("identity", "linear", "quadratic")


class Baseline(NamedTuple):
    """One kind of map for all O outputs.

    coefficients : (T, O) array
        Of `term_values`, standardised outputs.
    held : (N, O) array
        Its value for every training star when fitted without the star's fold.
    """

    coefficients: np.ndarray
    held: np.ndarray


def term_count(n_inputs):
    """Return T, the number of terms of F inputs: 1 + F + F (F + 1) / 2."""
    return 1 + n_inputs + n_inputs * (n_inputs + 1) // 2


def term_values(x):
    """Return the constant, linear and quadratic terms of inputs.

    Parameters
    ----------
    x : (N, F) array

    Returns
    -------
    (N, T) array
        See `term_count`.
    """
    squares = [x[:, i] * x[:, j] for i, j in _pairs(x.shape[1])]
    return np.column_stack([np.ones(len(x), x.dtype), x, *squares])


def term_slopes(x, coefficients):
    """Return the derivatives of a quadratic map by its inputs.

    Parameters
    ----------
    x : (N, F) array
    coefficients : (T, O) array

    Returns
    -------
    (N, O, F) array
    """
    n_inputs = x.shape[1]
    curve = np.zeros((coefficients.shape[1], n_inputs, n_inputs))
    for row, (i, j) in zip(coefficients[1 + n_inputs :], _pairs(n_inputs), strict=True):
        curve[:, i, j] += row
        curve[:, j, i] += row
    slopes = np.einsum("nf,ofg->nog", x, curve)
    return slopes + coefficients[1 : 1 + n_inputs].T


def fit_baselines(x, y, starts, ratios, folds):
    """Fit every kind of map, on all stars and without each fold.

    Parameters
    ----------
    x : (N, F) array
        Standardised inputs.
    y : (N, O) array
        Standardised outputs.
    starts : (O,) int array
        The input that an output starts from; -1: none, the identity is a constant.
    ratios : (O,) array
        Slope of the identity in standardised values: scale of the input over that of
        the output.
    folds : (N,) int array

    Returns
    -------
    dict of str to Baseline
        Of each of `KINDS`. The ridge penalty is that of the least mean absolute
        residual over the folds.
    """
    terms = term_values(x)
    found = {"identity": _identity(x, y, starts, ratios, folds, terms.shape[1])}
    for kind, used in (("linear", 1 + x.shape[1]), ("quadratic", terms.shape[1])):
        tried = [_ridge(terms[:, :used], y, p, folds) for p in PENALTIES]
        # each output has the penalty that suits it
        loss = np.array([abs(t.held - y).mean(axis=0) for t in tried])
        best = loss.argmin(axis=0)
        columns = range(y.shape[1])
        held = np.column_stack([tried[best[k]].held[:, k] for k in columns])
        coefficients = np.zeros((terms.shape[1], y.shape[1]))
        for k in columns:
            coefficients[:used, k] = tried[best[k]].coefficients[:, k]
        found[kind] = Baseline(coefficients, held)
    return found


def _identity(x, y, starts, ratios, folds, n_terms):
    """The start of every output plus the median offset."""
    coefficients = np.zeros((n_terms, y.shape[1]))
    base = np.zeros_like(y)
    for k, start in enumerate(starts):
        if start >= 0:
            coefficients[1 + start, k] = ratios[k]
            base[:, k] = ratios[k] * x[:, start]
    coefficients[0] = np.median(y - base, axis=0)
    held = base.copy()
    for fold in np.unique(folds):
        out = folds == fold
        held[out] += np.median((y - base)[~out], axis=0)
    return Baseline(coefficients, held)


def _ridge(terms, y, penalty, folds):
    """Least squares with a penalty on all but the constant."""
    gram, right = terms.T @ terms, terms.T @ y
    ridge = penalty * np.eye(len(gram))
    ridge[0, 0] = 0
    held = np.empty_like(y)
    for fold in np.unique(folds):
        out = folds == fold
        less, without = terms[out].T @ terms[out], terms[out].T @ y[out]
        fit = np.linalg.solve(gram - less + ridge, right - without)
        held[out] = terms[out] @ fit
    return Baseline(np.linalg.solve(gram + ridge, right), held)


def _pairs(n_inputs):
    return combinations_with_replacement(range(n_inputs), 2)
