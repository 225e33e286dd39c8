"""Plain NumPy twins of the continuum kernels: start reading here."""

import numpy as np

from .continuum import (
    DEPENDENT,
    FITTED,
    FLOAT32_MAX,
    MAD_TO_SIGMA,
    PIVOT_TOLERANCE,
    TOO_FEW_PIXELS,
)


def fit_linear(flux, weight, basis):
    """Fit the continuum of one spectrum by weighted linear least squares.

    Parameters
    ----------
    flux, weight : ndarray, (n,)
        At the continuum pixels.
    basis : ndarray, (T, n)

    Returns
    -------
    coefficients : ndarray, (T,)
        NaN where the fit failed.
    status : int
    """
    failed = np.full(len(basis), np.nan)
    if np.count_nonzero(weight) < len(basis):
        return failed, TOO_FEW_PIXELS
    root = np.sqrt(weight)
    design = (basis * root).T
    # Row norms of R's columns are the pivots of the Cholesky factor of the Gram.
    pivots = np.diag(np.linalg.qr(design, mode="r")) ** 2
    if np.any(pivots <= PIVOT_TOLERANCE * np.sum(design**2, axis=0)):
        return failed, DEPENDENT
    return np.linalg.lstsq(design, flux * root)[0], FITTED


def equal_weights(ivar, faintest):
    """Return 1 where ivar is above 0 and ``faintest`` times their median, else 0."""
    positive = np.sort(ivar[ivar > 0])
    limit = faintest * positive[len(positive) // 2] if len(positive) else 0.0
    return np.where((ivar > 0) & (ivar >= limit), 1.0, 0.0)


def clip_outliers(flux, basis, coefficients, clip, weight):
    """Return the weights (n,), 0 where a residual is an outlier, and their number."""
    residual = np.abs(flux - coefficients @ basis)
    kept = np.sort(residual[weight > 0])
    limit = clip * MAD_TO_SIGMA * kept[len(kept) // 2]
    outlier = (weight > 0) & (residual > limit)
    return np.where(outlier, 0.0, weight), np.count_nonzero(outlier)


def fit_region(flux, ivar, pixels, basis, faintest, clip):
    """Fit the continuum of a region of every spectrum of a block.

    Parameters
    ----------
    flux, ivar : ndarray, (S, P)
    pixels : ndarray, (n,), int64
    basis : ndarray, (T, n)
    faintest, clip : float

    Returns
    -------
    coefficients : ndarray, (S, T)
    status : ndarray, (S,), int64
    """
    fits = []
    for f, v in zip(flux[:, pixels], ivar[:, pixels], strict=True):
        good = np.isfinite(f) & np.isfinite(v) & (v >= 0)
        f, weight = np.where(good, f, 0), np.where(good, v, 0)
        if faintest > 0:
            weight = equal_weights(weight, faintest)
        fit = fit_linear(f, weight, basis)
        if fit[1] == FITTED and clip < np.inf:
            weight, _ = clip_outliers(f, basis, fit[0], clip, weight)
            again = fit_linear(f, weight, basis)
            fit = again if again[1] == FITTED else fit
        fits.append(fit)
    return np.array([c for c, _ in fits]), np.array([status for _, status in fits])


def divide_continuum(flux, ivar, continuum, largest=np.inf):
    """Divide a block of spectra by their continua.

    Parameters
    ----------
    flux, ivar, continuum : ndarray, (S, P)
    largest : float

    Returns
    -------
    flux, ivar : ndarray, (S, P), float32
        1 and 0 where the continuum or a result cannot be used.
    n_bad : int
        Pixels without a usable number whose ivar is not 0.
    """
    usable = np.isfinite(flux) & np.isfinite(ivar) & (ivar >= 0)
    n_bad = np.count_nonzero(~usable & (ivar != 0))
    with np.errstate(all="ignore"):
        flux = flux / continuum
        ivar = ivar * continuum * continuum
    kept = (continuum > 0) & (np.abs(flux) <= FLOAT32_MAX)
    kept &= (ivar >= 0) & (ivar <= FLOAT32_MAX)
    return (
        np.where(kept, flux, 1).astype(np.float32),
        np.where(kept, np.minimum(ivar, largest), 0).astype(np.float32),
        n_bad,
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
