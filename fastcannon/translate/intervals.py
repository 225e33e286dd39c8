"""Errors and prediction intervals, made true on stars that were held out."""

from numbers import Real

import numpy as np
from scipy.optimize import brentq

from ..errors import InputError
from ..spread import MAD_TO_SIGMA, robust_sigma

_LEAST = 1e-9  # an error is never zero


def fit_error(residual, variance):
    """Find floor and factor that give the pulls of held-out stars unit width.

    error = factor * sqrt(floor^2 + variance); the factor is 1 unless the variance alone
    is too large, and then the floor is next to nothing.

    Parameters
    ----------
    residual : (N,) array
        Held-out stars, standardised.
    variance : (N,) array
        What is known of each star's error, standardised and squared.

    Returns
    -------
    floor, factor : float
    """

    def excess(floor):
        error = np.sqrt(floor**2 + variance)
        return MAD_TO_SIGMA * np.median(abs(residual) / error) - 1

    least = excess(_LEAST)
    if least <= 0:
        return _LEAST, max(float(least + 1), _LEAST)
    top = 2 * MAD_TO_SIGMA * np.median(abs(residual)) + _LEAST
    return float(brentq(excess, _LEAST, top)), 1.0


def as_ensemble(residual, watched, excess):
    """Shrink held-out residuals (N, O) to the scatter that the whole ensemble has."""
    scatter = robust_sigma(residual[watched]) ** 2
    return residual * np.sqrt(1 - np.minimum(excess / scatter, 0.5))


def calibrate(trained_map, x, e_x, residual, e_y, watched):
    """Fit the errors' floor and factor and the scores of the intervals.

    Parameters
    ----------
    trained_map : Map
    x, e_x : (N, F) arrays, standardised
    residual, e_y : (N, O) arrays, standardised
    watched : (N,) bool array
        Stars with a held-out value.

    Returns
    -------
    floor, factor : (2, O) arrays
        Of the true value (first) and of a measured one (second), standardised.
    scores : (N, O) array
    """
    x, e_x, residual, e_y = (a[watched] for a in (x, e_x, residual, e_y))
    _, variance = trained_map(x, errors=e_x if e_x.any() else None)
    n_outputs = residual.shape[1]
    floor, factor = np.empty((2, n_outputs)), np.ones((2, n_outputs))
    scores = np.empty_like(residual)
    for k in range(n_outputs):
        away, known = residual[:, k], variance[:, k]
        floor[1, k], factor[1, k] = fit_error(away, known)
        floor[0, k], factor[0, k] = fit_error(away, known + e_y[:, k] ** 2)
        error = factor[1, k] * np.sqrt(floor[1, k] ** 2 + known)
        scores[:, k] = np.sort(abs(away) / error)
    return floor, factor, scores


def half_width(scores, level):
    """Return the multiple of the error that holds a share of held-out residuals.

    Conformal prediction: of n + 1 exchangeable stars the new one is among the
    ceil(level (n + 1)) with the least |residual| / error with a probability of at least
    ``level``, whatever their distribution.

    Parameters
    ----------
    scores : (N, O) array
        |residual| / error of held-out stars, each column sorted.
    level : float
        Between 0 and 1.

    Returns
    -------
    (O,) array
        inf where there are too few stars for this level.

    Raises
    ------
    InputError
    """
    if not (isinstance(level, Real) and 0 < level < 1):
        raise InputError(f"level is {level!r}; a number between 0 and 1 is expected")
    rank = int(np.ceil(level * (len(scores) + 1)))
    if rank > len(scores):
        return np.full(scores.shape[1], np.inf)
    return scores[rank - 1]


def coverage(values, low, high):
    """Return the share of values inside their intervals, and its standard error.

    Parameters
    ----------
    values, low, high : (N, O) arrays

    Returns
    -------
    share, error : (O,) arrays
    """
    share = ((values >= low) & (values <= high)).mean(axis=0)
    return share, np.sqrt(share * (1 - share) / len(values))
