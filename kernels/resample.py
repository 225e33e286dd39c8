"""Resampling of a spectrum from its own linear wavelengths to a common grid.

Local cubic interpolation with the variance carried through; README.md of this
folder has the order of accuracy, the noise and its correlations.
"""

import numpy as np

from .compile import kernel

INFINITY = np.float32(np.inf)

# An input pixel with a smaller coefficient has no say. Only rounding makes these,
# where a grid point falls on an input pixel.
NEGLIGIBLE = np.float32(1e-6)

# A grid that begins or ends so many pixels away is not counted out: indices overflow.
FARTHEST = 1e9


@kernel
def _clean(flux, ivar, flux_out, variance_out):
    """Copy a row, with flux and variance 0 where there is no information."""
    zero = np.float32(0)
    for p in range(flux.shape[0]):
        f = np.float32(flux[p])
        v = np.float32(1) / np.float32(ivar[p])
        # A comparison with NaN is False.
        good = (abs(f) < INFINITY) & (v > zero) & (v < INFINITY)
        flux_out[p] = f if good else zero
        variance_out[p] = v if good else zero


@kernel
def _interpolate(flux, variance, phase, drift, flux_out, ivar_out):
    """Fill pixels whose stencils start at consecutive input pixels, the first at 0."""
    zero, one, two = np.float32(0), np.float32(1), np.float32(2)
    half, sixth = np.float32(0.5), np.float32(1 / 6)
    for j in range(flux_out.shape[0]):
        t = phase + np.float32(j) * drift
        inner, outer = t * (one - t), (one + t) * (two - t)
        a = -sixth * inner * (two - t)
        b = half * outer * (one - t)
        c = half * outer * t
        d = -sixth * inner * (one + t)
        f = a * flux[j] + b * flux[j + 1] + c * flux[j + 2] + d * flux[j + 3]
        v = a * a * variance[j] + b * b * variance[j + 1]
        v += c * c * variance[j + 2] + d * d * variance[j + 3]
        lost = (variance[j] == zero) & (abs(a) > NEGLIGIBLE)
        lost |= (variance[j + 1] == zero) & (abs(b) > NEGLIGIBLE)
        lost |= (variance[j + 2] == zero) & (abs(c) > NEGLIGIBLE)
        lost |= (variance[j + 3] == zero) & (abs(d) > NEGLIGIBLE)
        weight = one / v
        good = (not lost) & (weight < INFINITY) & (abs(f) < INFINITY)
        flux_out[j] = f if good else one
        ivar_out[j] = weight if good else zero


@kernel
def _run_end(start, position, drift, n_grid):
    """Return where the run of pixels that begins at ``start`` ends.

    Within a run the stencil moves on by one input pixel per pixel of the grid.
    Rounding may end it a pixel early or late: the phase is then beyond [0, 1] by
    the same rounding, which the polynomial does not notice.
    """
    length = float(n_grid)
    if drift > 0.0:
        length = np.ceil((np.floor(position) + 1.0 - position) / drift)
    elif drift < 0.0:
        length = np.floor((np.floor(position) - position) / drift) + 1.0
    return start + int(max(min(length, n_grid - start), 1.0))


@kernel
def resample_row(
    flux, ivar, first, step, grid_first, grid_step, work, flux_out, ivar_out
):
    """Resample one spectrum to a common grid by four-point cubic interpolation.

    A pixel of the grid gets flux 1 and ivar 0 where its four input pixels are not
    all inside the spectrum, or one of them has no information and a coefficient
    above 1e-6. Fastest where both steps are nearly equal.

    Parameters
    ----------
    flux : ndarray, (n,)
        Anything where ivar is 0.
    ivar : ndarray, (n,)
        Inverse variance of the flux; no information where it or the flux is not
        finite, or it is not positive.
    first, step : float
        Wavelength of the first input pixel and from pixel to pixel, step > 0.
    grid_first, grid_step : float
        The same of the grid.
    work : ndarray, (2, n), float32
        Scratch.
    flux_out : ndarray, (m,), float32
        Flux on the grid.
    ivar_out : ndarray, (m,), float32
        Inverse variance of each pixel by itself; neighbours are correlated.
    """
    n_input = flux.shape[0]
    n_grid = flux_out.shape[0]
    _clean(flux, ivar, work[0], work[1])
    drift = (grid_step - step) / step
    origin = (grid_first - first) / step
    start = 0
    if not abs(origin) + abs(drift) * n_grid < FARTHEST:
        flux_out[:] = 1.0
        ivar_out[:] = 0.0
        start = n_grid
    while start < n_grid:
        # position of the grid in input pixels, less the pixels counted on the grid
        position = origin + start * drift
        end = _run_end(start, position, drift, n_grid)
        shift = int(np.floor(position)) - 1  # of the stencil: its first input pixel
        low = min(max(start, -shift), end)
        high = max(min(end, n_input - 3 - shift), low)
        for j in range(start, low):
            flux_out[j] = 1.0
            ivar_out[j] = 0.0
        if high > low:
            inputs = slice(low + shift, high + shift + 3)
            _interpolate(
                work[0, inputs],
                work[1, inputs],
                np.float32(origin + low * drift - (shift + 1)),
                np.float32(drift),
                flux_out[low:high],
                ivar_out[low:high],
            )
        for j in range(high, end):
            flux_out[j] = 1.0
            ivar_out[j] = 0.0
        start = end
