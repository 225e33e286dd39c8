"""Errors of labels from repeated spectra (Nandakumar+2022, section 3.7)."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from scipy.optimize import minimize_scalar, nnls

from .differences import mean_and_scatter
from .errors import InputError, check_whole

BOOTSTRAPS = 200
LEAST = 20  # pairs in a bin of S/N
MOST_BINS = 20
FEWEST_BINS = 4  # for three parameters and one degree of freedom
_FITS = 3  # of the decay, each with the weights of the one before
_GRID = 60
_ONE_SIGMA = 0.6826894921370859  # of a normal distribution within its sigma


@dataclass
class Factors:
    """By what the formal errors are to be multiplied, for each of K labels.

    Attributes
    ----------
    factor, e_factor : (K,) arrays
        Root mean square of the pairs' differences over their formal errors, and its
        standard error.
    robust, e_robust : (K,) arrays
        The same from percentiles, which a few wild pairs do not change.
    n_pairs, n_stars : (K,) int arrays
        Pairs used, and the stars they are of.
    n_left_out : (K,) int array
        Pairs without a finite label and a finite, positive error in both spectra.
    """

    factor: np.ndarray
    e_factor: np.ndarray
    robust: np.ndarray
    e_robust: np.ndarray
    n_pairs: np.ndarray
    n_stars: np.ndarray
    n_left_out: np.ndarray


def error_factors(labels, errors, star, pairs, bootstraps=BOOTSTRAPS, seed=0):
    """Scale of the formal errors from pairs of spectra (Nandakumar+2022, eq. 6).

    The paper seeks the f for which delta = (l1 - l2) / sqrt((s1^2 + s2^2) f^2) has
    unit variance: f is the standard deviation of delta at f = 1. Which spectrum of a
    pair is the first means nothing, so the mean of delta is zero and f is the root
    mean square. The robust one is the half-width of the 15.9 to 84.1 percentiles of
    delta and -delta together. As in the paper all pairs count alike: a star with n
    visits has n (n - 1) / 2. They are dependent, so the errors are those of a bootstrap
    over stars.

    Parameters
    ----------
    labels, errors : (S, K) arrays
        Inferred labels and their formal errors, in label units.
    star : (S,) array of int or str
        Which star a spectrum is of.
    pairs : (M, 2) int array
        Rows of two spectra of one star with noise of their own, of
        `packed.independent_pairs`.
    bootstraps : int
        At least 2.
    seed : int

    Returns
    -------
    Factors
        NaN with no pairs used where fewer than two stars have pairs.

    Raises
    ------
    InputError
        Shapes do not agree, a pair has rows that are not there or of two stars, or
        bootstraps is below 2.
    """
    labels, errors = _check_rows(labels, errors)
    star, pairs = np.asarray(star), _check_pairs(pairs, len(labels))
    check_whole(bootstraps, "bootstraps", 2)
    first, second = pairs.T
    if star.shape != (len(labels),) or (star[first] != star[second]).any():
        raise InputError(
            f"star has shape {star.shape} for {len(labels)} spectra, and both spectra "
            "of a pair must be of one star: are the pairs of another table?"
        )
    star = star[first]
    rng = np.random.default_rng(seed)
    values = np.full((4, labels.shape[1]), np.nan)
    counts = np.zeros((3, labels.shape[1]), dtype=np.int64)
    for k in range(labels.shape[1]):
        size = _size(labels[pairs, k], errors[pairs, k])
        used = np.isfinite(size)
        counts[2, k] = len(pairs) - used.sum()
        names, code = np.unique(star[used], return_inverse=True)
        if len(names) > 1:
            values[:, k] = _factor(size[used], code, bootstraps, rng)
            counts[:2, k] = len(code), len(names)
    return Factors(*values, *counts)


def _size(labels, errors):
    """|delta| of pairs at f = 1, (M,), NaN where unknown; labels, errors (M, 2)."""
    known = np.isfinite(labels).all(axis=1) & np.isfinite(errors).all(axis=1)
    known &= (errors > 0).all(axis=1)
    size = np.full(len(labels), np.nan)
    size[known] = abs(np.diff(labels[known], axis=1)[:, 0]) / np.hypot(*errors[known].T)
    return size


def _factor(size, star, bootstraps, rng):
    """Factor and robust factor with their errors; size |delta| (M,), star codes (M,).

    That of the robust one is half the range of the percentiles that lie as far from
    its own as the share of pairs below it varies (Woodruff 1952).
    """
    robust = np.quantile(size, _ONE_SIGMA)
    sums = np.column_stack(
        [
            np.bincount(star),
            np.bincount(star, size**2),
            np.bincount(star, size < robust),
        ]
    )
    n = len(sums)
    again = np.empty((bootstraps, 3))
    for b in range(bootstraps):
        times = np.bincount(rng.integers(n, size=n), minlength=n)
        again[b] = times @ sums
    e_factor = np.sqrt(again[:, 1] / again[:, 0]).std(ddof=1)
    step = (again[:, 2] / again[:, 0]).std(ddof=1)
    edges = np.clip([_ONE_SIGMA - step, _ONE_SIGMA + step], 0, 1)
    e_robust = np.diff(np.quantile(size, edges))[0] / 2
    return np.sqrt((size**2).mean()), e_factor, robust, e_robust


def precision_bins(labels, snr, pairs, names, least=LEAST):
    """Scatter of labels between the best and the other spectra of stars, by S/N.

    The filled circles of Nandakumar+2022, fig. 9: (P84 - P16) / 2 of best - other in
    bins of the other's S/N. It holds the noise of both spectra. Where these are
    independent it is the precision of the other with that of the best added in
    quadrature, at most sqrt(2) too large. Where the best is a combination that holds
    the other, it is that with the best's taken away, too small (by sqrt(1/2) for two
    visits of like S/N): pair visits with visits for a precision on the safe side.

    Parameters
    ----------
    labels : (S, K) array
        Inferred labels, in label units.
    snr : (S,) array
        The S/N that `final_errors` will be given.
    pairs : (M, 2) int array
        Rows of the best and the other spectrum, of `packed.best_and_others`; left out
        where the other's S/N is not positive and finite or no label is known.
    names : sequence of K str
    least : int
        Pairs in a bin, at least.

    Returns
    -------
    astropy Table
        A row for each bin of equal numbers of pairs (at most 20 bins), by rising S/N:
        ``snr_low``, ``snr_high``, ``snr`` (median), ``n`` (pairs) and for each label
        ``sigma_<label>`` with its error ``e_sigma_<label>``, label units, which takes
        the pairs as independent. No rows where pairs are fewer than ``least``.

    Raises
    ------
    InputError
        Shapes do not agree, a pair has rows that are not there, or least is below 1.
    """
    labels, pairs = np.asarray(labels, dtype=float), np.asarray(pairs)
    snr = np.asarray(snr, dtype=float)
    if labels.shape != (len(snr), len(names)):
        raise InputError(
            f"labels have shape {labels.shape}; expected ({len(snr)}, {len(names)}) "
            f"for {len(snr)} S/N and the labels {', '.join(names)}"
        )
    best, other = _check_pairs(pairs, len(labels)).T
    difference, lower = labels[best] - labels[other], snr[other]
    used = np.isfinite(lower) & (lower > 0) & np.isfinite(difference).any(axis=1)
    order = np.flatnonzero(used)[np.argsort(lower[used], kind="stable")]
    # Percentiles of few values are biased low: the more pairs, the more in a bin too.
    most = min(MOST_BINS, int(np.sqrt(len(order)) / 2))
    number = min(most, len(order) // check_whole(least, "least"))
    columns = ["snr_low", "snr_high", "snr", "n"]
    columns += [head + name for name in names for head in ("sigma_", "e_sigma_")]
    rows = []
    for members in np.array_split(order, number) if number else ():
        row = [lower[members[0]], lower[members[-1]], np.median(lower[members])]
        row.append(len(members))
        for k in range(len(names)):
            row += mean_and_scatter(difference[members, k])[3:]
        rows.append(row)
    table = np.array(rows, dtype=float).reshape(number, len(columns))
    found = Table(table, names=columns)
    found["n"] = found["n"].astype(np.int64)
    return found


class Decay(NamedTuple):
    """Precision of a label against S/N: a exp(-S/N / b) + c (Nandakumar+2022, fig. 9).

    ``a`` and ``c`` are in label units and at least 0, ``b`` is an S/N above 0.
    ``lowest`` is the S/N of the lowest bin, taken where a star's S/N is not known.
    """

    a: float
    b: float
    c: float
    lowest: float = 0.0

    def __call__(self, snr):
        """Return the precision at an S/N, (S,) array; below 0 as at 0."""
        snr = np.where(np.isnan(snr), self.lowest, np.maximum(snr, 0))
        return self.a * np.exp(-snr / self.b) + self.c


def fit_precision(bins, name):
    """Fit an exponential decay to the precision of a label in bins of S/N.

    For each b the best a and c are a linear problem, so that only b is searched for. It
    lies between a third of the lowest bin's S/N, so that lower S/N are not given
    absurd errors, and the highest bin's. A bin that is low by chance has a small error
    too; bins are therefore weighted by the fitted scatter and their number of pairs.

    Parameters
    ----------
    bins : astropy Table
        Of `precision_bins`.
    name : str
        The label.

    Returns
    -------
    Decay or None
        With fewer than 4 bins their mean, as a constant; None without any. Bins without
        a finite, positive scatter do not count.
    """
    snr, sigma = (np.array(bins[column]) for column in ("snr", f"sigma_{name}"))
    used = np.isfinite(sigma) & (sigma > 0)
    if not used.any():
        return None
    snr, sigma, n = snr[used], sigma[used], np.array(bins["n"])[used]
    expected = np.full(len(sigma), np.average(sigma, weights=n))
    decay = Decay(0.0, 1.0, float(expected[0]), float(snr.min()))
    if len(sigma) < FEWEST_BINS:
        return decay
    for _ in range(_FITS):
        decay = _fit_decay(snr, sigma, np.sqrt(n) / expected)
        expected = np.maximum(decay(snr), sigma.min())
    return decay


def _fit_decay(snr, sigma, weight):
    """Least squares of weight (a exp(-snr / b) + c - sigma); see `fit_precision`."""

    def solve(log_b):
        columns = np.column_stack([np.exp(-snr / np.exp(log_b)), np.ones(len(snr))])
        return nnls(columns * weight[:, None], sigma * weight)

    grid = np.linspace(np.log(snr.min() / 3), np.log(snr.max()), _GRID)
    best = int(np.argmin([solve(log_b)[1] for log_b in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    log_b = minimize_scalar(lambda x: solve(x)[1], bounds=around, method="bounded").x
    (a, c), _ = solve(log_b)
    return Decay(float(a), float(np.exp(log_b)), float(c), float(snr.min()))


def final_errors(formal, snr, factors, decays):
    """Larger of the rescaled formal error and the precision (Nandakumar+2022, 3.7).

    Parameters
    ----------
    formal : (S, K) array
        Formal errors, in label units; where NaN, so is the result.
    snr : (S,) array
        As `precision_bins` was given.
    factors : (K,) array
        Of `error_factors`; NaN leaves the formal errors as they are.
    decays : sequence of K Decay or None
        Of `fit_precision`; None leaves the rescaled formal error.

    Returns
    -------
    (S, K) array
        Label units.

    Raises
    ------
    InputError
        Shapes do not agree.
    """
    formal, snr = np.asarray(formal, dtype=float), np.asarray(snr, dtype=float)
    factors = np.asarray(factors, dtype=float)
    if formal.shape != (len(snr), len(decays)) or factors.shape != (len(decays),):
        raise InputError(
            f"formal errors, S/N, factors have shapes {formal.shape}, {snr.shape}, "
            f"{factors.shape} with {len(decays)} decays; expected (S, K), (S,), (K,) "
            "with K decays"
        )
    errors = formal * np.where(np.isnan(factors), 1.0, factors)
    for k, decay in enumerate(decays):
        if decay is not None:
            errors[:, k] = np.maximum(errors[:, k], decay(snr))
    return errors


def _check_rows(labels, errors):
    """Return labels and errors as (S, K) float64 arrays, or raise InputError."""
    labels, errors = np.asarray(labels, dtype=float), np.asarray(errors, dtype=float)
    if labels.ndim != 2 or errors.shape != labels.shape:
        raise InputError(
            f"labels and errors have shapes {labels.shape} and {errors.shape}; "
            "expected (S, K) for both"
        )
    return labels, errors


def _check_pairs(pairs, n_rows):
    """Return pairs of rows as (M, 2) int64, or raise InputError."""
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise InputError(
            f"pairs have shape {pairs.shape} and type {pairs.dtype}; expected (M, 2) "
            "whole numbers"
        )
    if pairs.size and not (0 <= pairs.min() and pairs.max() < n_rows):
        raise InputError(
            f"pairs are of rows {pairs.min()} to {pairs.max()}; there are rows 0 to "
            f"{n_rows - 1}: are they of another table?"
        )
    return pairs.astype(np.int64)
