"""Continuum fits of rows of spectra, linear in their coefficients.

The continuum is ``coefficients @ basis`` with a basis that all spectra share, fitted
to given continuum pixels by least squares weighted with ivar.
"""

import numpy as np

from .cholesky import factor_dropping, solve
from .compile import kernel

# Status of a fit
FITTED = 0  # The coefficients are the optimum.
TOO_FEW_PIXELS = 1  # Fewer continuum pixels with information than coefficients.
DEPENDENT = 2  # The pixels with information do not determine every coefficient.

# A pivot that loses more digits than this holds rounding errors only. The basis is
# near orthonormal, so that a well placed fit loses hardly any.
PIVOT_TOLERANCE = 1e-10
FLOAT32_MAX = 3.4028234663852886e38


@kernel
def fit_linear(flux, ivar, basis, work_gram, work_weighted, coefficients_out):
    """Fit the continuum of one spectrum by weighted linear least squares.

    Parameters
    ----------
    flux : ndarray, (n,)
        Finite flux at the continuum pixels.
    ivar : ndarray, (n,)
        Inverse variance of the flux, 0 where there is no information.
    basis : ndarray, (T, n)
        Basis functions at the continuum pixels.
    work_gram : ndarray, (T, T)
        Scratch.
    work_weighted : ndarray, (n,)
        Scratch.
    coefficients_out : ndarray, (T,)
        NaN where the fit failed.

    Returns
    -------
    int
        Status.
    """
    n_terms, n_pixels = basis.shape
    used = 0
    for p in range(n_pixels):
        used += 1 if ivar[p] > 0.0 else 0
    # gram = (basis * ivar) @ basis.T; coefficients_out = (basis * ivar) @ flux
    for t in range(n_terms):
        total = 0.0
        for p in range(n_pixels):
            work_weighted[p] = basis[t, p] * ivar[p]
            total += work_weighted[p] * flux[p]
        coefficients_out[t] = total
        for u in range(t + 1):
            total = 0.0
            for p in range(n_pixels):
                total += work_weighted[p] * basis[u, p]
            work_gram[t, u] = total
    status = FITTED
    if used < n_terms:
        status = TOO_FEW_PIXELS
    elif factor_dropping(work_gram, n_terms, PIVOT_TOLERANCE, work_gram) > 0:
        status = DEPENDENT
    if status == FITTED:
        solve(work_gram, n_terms, coefficients_out)
    else:
        for t in range(n_terms):
            coefficients_out[t] = np.nan
    return status


@kernel
def fit_linear_rows(
    flux, ivar, basis, work_gram, work_weighted, coefficients_out, status_out
):
    """Fit the continuum of every spectrum of a block by `fit_linear`.

    Parameters
    ----------
    flux : ndarray, (S, n)
        Finite flux at the continuum pixels.
    ivar : ndarray, (S, n)
        Inverse variance of the flux, 0 where there is no information.
    basis : ndarray, (T, n)
        Basis functions at the continuum pixels.
    work_gram : ndarray, (T, T)
        Scratch.
    work_weighted : ndarray, (n,)
        Scratch.
    coefficients_out : ndarray, (S, T)
        NaN in the rows that failed.
    status_out : ndarray, (S,), int64
        Status of each fit.
    """
    for s in range(flux.shape[0]):
        status_out[s] = fit_linear(
            flux[s], ivar[s], basis, work_gram, work_weighted, coefficients_out[s]
        )


@kernel
def divide_continuum(flux, ivar, continuum, flux_out, ivar_out):
    """Divide a block of spectra by their continua.

    Where the continuum is not positive and finite, or a result is no finite float32,
    the pixel gets flux 1 and ivar 0.

    Parameters
    ----------
    flux : ndarray, (S, P)
        Flux.
    ivar : ndarray, (S, P)
        Inverse variance of the flux.
    continuum : ndarray, (S, P)
        Continuum, NaN where there is none.
    flux_out : ndarray, (S, P), float32
        ``flux / continuum``.
    ivar_out : ndarray, (S, P), float32
        ``ivar * continuum**2``.
    """
    for s in range(flux.shape[0]):
        for p in range(flux.shape[1]):
            level = continuum[s, p]
            f = flux[s, p] / level
            v = ivar[s, p] * level * level
            # A comparison with NaN is False.
            if level > 0.0 and abs(f) <= FLOAT32_MAX and v <= FLOAT32_MAX:
                flux_out[s, p] = f
                ivar_out[s, p] = v
            else:
                flux_out[s, p] = 1.0
                ivar_out[s, p] = 0.0
