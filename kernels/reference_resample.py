"""Plain NumPy twin of the resampling kernel: start reading here."""

import numpy as np

from .resample import NEGLIGIBLE


def resample_row(flux, ivar, first, step, grid):
    """Resample one spectrum to a grid by four-point cubic interpolation.

    Parameters
    ----------
    flux, ivar : ndarray, (n,)
    first, step : float
        Wavelength of the first pixel and from pixel to pixel.
    grid : ndarray, (m,)
        Wavelengths, even or not.

    Returns
    -------
    flux, ivar : ndarray, (m,)
        1 and 0 where a pixel of weight has no information or does not exist.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = 1 / ivar
    good = np.isfinite(flux) & (variance > 0) & (variance < np.inf)
    flux, variance = np.where(good, flux, 0), np.where(good, variance, 0)

    position = (grid - first) / step
    below = np.floor(position).astype(int)
    t = position - below
    coefficients = lagrange(t)
    pixels = below + np.arange(-1, 3)[:, None]
    inside = ((pixels >= 0) & (pixels < len(flux))).all(axis=0)
    pixels = np.clip(pixels, 0, len(flux) - 1)

    lost = (~good[pixels] & (np.abs(coefficients) > NEGLIGIBLE)).any(axis=0)
    with np.errstate(divide="ignore"):
        weight = 1 / (coefficients**2 * variance[pixels]).sum(axis=0)
    value = (coefficients * flux[pixels]).sum(axis=0)
    good = inside & ~lost
    return np.where(good, value, 1), np.where(good, weight, 0)


def lagrange(t):
    """Return the coefficients (4, m) of the pixels at -1, 0, 1, 2 for phases t (m,)."""
    nodes = np.arange(-1, 3)
    return np.array(
        [
            np.prod([(t - u) / (node - u) for u in nodes if u != node], axis=0)
            for node in nodes
        ]
    )
