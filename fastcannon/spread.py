"""Widths of distributions that a few wild values hardly change."""

import numpy as np

MAD_TO_SIGMA = 1.4826  # of normal deviates


def half_range(values):
    """Return (P84 - P16) / 2, one standard deviation of normal deviates, per column.

    Parameters
    ----------
    values : (N,) or (N, K) array
        NaN is left out.

    Returns
    -------
    float or (K,) array
        In the units of the values.
    """
    low, high = np.nanpercentile(values, (16, 84), axis=0)
    return (high - low) / 2


def robust_sigma(values):
    """Return 1.4826 times the median absolute deviation from the median, per column.

    Parameters
    ----------
    values : (N,) or (N, K) array
        NaN is left out.

    Returns
    -------
    float or (K,) array
        In the units of the values: one standard deviation of normal deviates.
    """
    away = np.abs(values - np.nanmedian(values, axis=0))
    return MAD_TO_SIGMA * np.nanmedian(away, axis=0)
