"""Weights, pivoted fluxes and residuals of spectra, and their signal to noise.

The weight of a pixel is ``w = ivar / (1 + ivar s2)`` (Nandakumar+2022 eq. 4). A
pixel without information has ivar = 0 or s2 = inf, and weight 0; the products
inf * 0 are never formed.
"""

import numpy as np

from .compile import kernel

CHUNK = 256  # pixels whose coefficients stay in the fastest cache


@kernel
def weigh_spectra(flux, ivar, s2, theta0, w_out, wr_out, constant_out, used_out):
    """Compute weights and weighted pivoted fluxes of a block of spectra.

    Parameters
    ----------
    flux : ndarray, (S, P), float32
        Normalised flux, finite.
    ivar : ndarray, (S, P), float32
        Inverse variance of the flux, finite, 0 where there is no information.
    s2 : ndarray, (P,)
        Scatter of the model, inf where the model knows nothing.
    theta0 : ndarray, (P,)
        Constant term of the model, the pivot.
    w_out, wr_out : ndarray, (S, P)
        Weight, and weight times (flux - theta0), in the precision of the arrays.
    constant_out : ndarray, (S,)
        Sum of weight times (flux - theta0)^2.
    used_out : ndarray, (S,), int64
        Number of pixels with weight above zero.
    """
    n_pixels = flux.shape[1]
    zero = w_out.dtype.type(0)
    one = w_out.dtype.type(1)
    for s in range(flux.shape[0]):
        # sums in the precision of the weights: in single they fill the vector lanes
        total = zero
        used = zero
        for p in range(n_pixels):
            iv = ivar[s, p]
            w = iv / (one + iv * s2[p]) if s2[p] < np.inf else zero
            r = flux[s, p] - theta0[p]
            wr = w * r
            w_out[s, p] = w
            wr_out[s, p] = wr
            total += wr * r
            used += one if w > 0 else zero
        constant_out[s] = total
        used_out[s] = int(used)


@kernel
def chunk_theta(theta, chunks_out):
    """Arrange coefficients in chunks of pixels that fit the fastest cache.

    Parameters
    ----------
    theta : ndarray, (P, T)
    chunks_out : ndarray, (C, T, CHUNK)
        C CHUNK >= P; zero beyond the last pixel.
    """
    chunks_out[:] = 0.0
    for p in range(theta.shape[0]):
        for t in range(theta.shape[1]):
            chunks_out[p // CHUNK, t, p % CHUNK] = theta[p, t]


@kernel
def weigh_residuals(flux, ivar, s2, first, model_inout, chi2_inout):
    """Replace the model of a block of spectra by its weighted residuals.

    Parameters
    ----------
    flux, ivar : ndarray, (S, P), float32
    s2 : ndarray, (P,)
    first : int
        Pixel at which the block of the model begins.
    model_inout : ndarray, (S, B), float64
        Predicted flux of B pixels on entry, weight times (flux - model) on return.
    chi2_inout : ndarray, (S,)
        Grows by the sum of weight times (flux - model)^2 (Nandakumar+2022 eq. 4).
    """
    last = first + model_inout.shape[1]
    part_s2 = s2[first:last]
    for s in range(flux.shape[0]):
        # slices, because an index first + b might be negative for all the compiler
        # knows, and the loop is then not vectorised
        part = flux[s, first:last]
        part_ivar = ivar[s, first:last]
        total = 0.0
        for b in range(model_inout.shape[1]):
            iv = np.float64(part_ivar[b])
            w = iv / (1.0 + iv * part_s2[b]) if part_s2[b] < np.inf else 0.0
            r = part[b] - model_inout[s, b]
            wr = w * r
            model_inout[s, b] = wr
            total += wr * r
        chi2_inout[s] += total
