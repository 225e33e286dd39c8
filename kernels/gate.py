"""Which pixels carry no usable number, and how they are made harmless."""

import numpy as np

from .compile import kernel

# beyond these a normalised spectrum is not meant, and float32 overflows on the way
LARGEST_FLUX = np.float32(1e10)
LARGEST_IVAR = np.float32(1e15)


@kernel
def count_bad(flux, ivar):
    """Count pixels that need cleaning.

    Parameters
    ----------
    flux, ivar : ndarray, (S, P), float32

    Returns
    -------
    bad : int
        Pixels whose ivar is NaN, infinite, negative or beyond 1e15, or above zero with
        flux NaN, infinite or beyond 1e10.
    unknown : int
        Pixels with ivar 0 whose flux is not a finite number.
    """
    bad = 0
    unknown = 0
    zero = np.float32(0)
    one = np.float32(1)
    for s in range(flux.shape[0]):
        # counted in float32 (exact to 2**24), which fills the vector lanes
        bad_here = zero
        unknown_here = zero
        for p in range(flux.shape[1]):
            good_flux = abs(flux[s, p]) < LARGEST_FLUX
            good_ivar = (ivar[s, p] >= zero) & (ivar[s, p] < LARGEST_IVAR)
            empty = ivar[s, p] == zero
            bad_here += zero if good_ivar & (good_flux | empty) else one
            unknown_here += zero if good_flux | (not empty) else one
        bad += int(bad_here)
        unknown += int(unknown_here)
    return bad, unknown


@kernel
def clean_rows(flux_inout, ivar_inout):
    """Give unusable pixels ivar 0, and flux 1 wherever ivar is 0.

    Parameters
    ----------
    flux_inout, ivar_inout : ndarray, (S, P), float32
    """
    for s in range(flux_inout.shape[0]):
        for p in range(flux_inout.shape[1]):
            good_flux = abs(flux_inout[s, p]) < LARGEST_FLUX
            good_ivar = (ivar_inout[s, p] > 0) & (ivar_inout[s, p] < LARGEST_IVAR)
            if not (good_flux & good_ivar):
                flux_inout[s, p] = 1
                ivar_inout[s, p] = 0


@kernel
def keep_rows(flux, ivar, inside, limit, flux_out, ivar_out):
    """Copy the usable pixels of some regions; elsewhere flux 1 and ivar 0.

    Parameters
    ----------
    flux, ivar : ndarray, (S, P), float32
        Pixels with a flux or ivar that is not finite, or ivar not above zero, are not
        usable.
    inside : ndarray, (P,), bool
    limit : float32
        Largest ivar; larger ones are lowered to it.
    flux_out, ivar_out : ndarray, (S, P), float32
        Overwritten.
    """
    zero = np.float32(0)
    for s in range(flux.shape[0]):
        for p in range(flux.shape[1]):
            finite = (abs(flux[s, p]) < np.inf) & (abs(ivar[s, p]) < np.inf)
            good = inside[p] & finite & (ivar[s, p] > zero)
            flux_out[s, p] = flux[s, p] if good else np.float32(1)
            ivar_out[s, p] = min(ivar[s, p], limit) if good else zero
