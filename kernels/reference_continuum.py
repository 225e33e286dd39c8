"""Plain NumPy twins of the continuum kernels: start reading here."""

import numpy as np

from .continuum import (
    DEPENDENT,
    FITTED,
    FLOAT32_MAX,
    PIVOT_TOLERANCE,
    TOO_FEW_PIXELS,
)


def fit_linear(flux, ivar, basis):
    """Fit the continuum of one spectrum by weighted linear least squares.

    Parameters
    ----------
    flux, ivar : ndarray, (n,)
        At the continuum pixels.
    basis : ndarray, (T, n)

    Returns
    -------
    coefficients : ndarray, (T,)
        NaN where the fit failed.
    status : int
    """
    failed = np.full(len(basis), np.nan)
    if np.count_nonzero(ivar) < len(basis):
        return failed, TOO_FEW_PIXELS
    weight = np.sqrt(ivar)
    design = (basis * weight).T
    # Row norms of R's columns are the pivots of the Cholesky factor of the Gram.
    pivots = np.diag(np.linalg.qr(design, mode="r")) ** 2
    if np.any(pivots <= PIVOT_TOLERANCE * np.sum(design**2, axis=0)):
        return failed, DEPENDENT
    return np.linalg.lstsq(design, flux * weight)[0], FITTED


def fit_linear_rows(flux, ivar, basis):
    """Fit the continuum of every spectrum of a block by `fit_linear`.

    Parameters
    ----------
    flux, ivar : ndarray, (S, n)
        At the continuum pixels.
    basis : ndarray, (T, n)

    Returns
    -------
    coefficients : ndarray, (S, T)
    status : ndarray, (S,), int64
    """
    fits = [fit_linear(f, v, basis) for f, v in zip(flux, ivar, strict=True)]
    return np.array([c for c, _ in fits]), np.array([s for _, s in fits])


def divide_continuum(flux, ivar, continuum):
    """Divide a block of spectra by their continua.

    Parameters
    ----------
    flux, ivar, continuum : ndarray, (S, P)

    Returns
    -------
    flux, ivar : ndarray, (S, P), float32
        1 and 0 where the continuum or a result cannot be used.
    """
    with np.errstate(all="ignore"):
        flux = flux / continuum
        ivar = ivar * continuum * continuum
    usable = (continuum > 0) & (np.abs(flux) <= FLOAT32_MAX) & (ivar <= FLOAT32_MAX)
    return (
        np.where(usable, flux, 1).astype(np.float32),
        np.where(usable, ivar, 0).astype(np.float32),
    )


def gaussian_smooth(wavelength, flux, ivar, width):
    """Smooth spectra with a Gaussian, weighted by ivar (Ho+2017).

    Parameters
    ----------
    wavelength : ndarray, (P,)
    flux, ivar : ndarray, (S, P)
    width : float
        Standard deviation, in the units of wavelength.

    Returns
    -------
    continuum : ndarray, (S, P)
        NaN where the weights are 0.
    """
    distance = wavelength[:, None] - wavelength
    kernel = np.exp(-0.5 * (distance / width) ** 2)
    with np.errstate(invalid="ignore"):
        return ((flux * ivar) @ kernel) / (ivar @ kernel)
