"""Division of spectra by their continuum, found from each spectrum alone.

Every continuum here is linear in the flux and weighted by ivar, so that noise
moves it to either side alike. Medians and quantiles of a spectrum are not offered:
they move with the signal to noise ratio, and labels with them.

References
----------
Casey et al. 2016, arXiv:1603.03040 (sines and cosines on continuum pixels);
Ho et al. 2017, ApJ 836, 5 (Gaussian-smoothed division);
Ness et al. 2015, ApJ 808, 16 (continuum pixels, Chebyshev polynomials).
"""

import warnings

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from .errors import BadPixelWarning, InputError
from .kernels.continuum import FITTED, divide_continuum, fit_linear_rows
from .parallel import ranges, run_blocks
from .spectra import check_wavelength

# Weights of the Gaussian below this are dropped: at a distance beyond 6.07 widths.
SMALLEST_WEIGHT = 1e-8

_ROWS = 256  # spectra worked on at a time
_COLUMNS = 128  # pixels smoothed at a time: few, as the band is cut to a rectangle
_SMALLEST_RATIO = 1e-10  # of singular values of the functions: 6 digits remain


def smooth(wavelength, flux, ivar, width, threads=None):
    """Divide spectra by themselves, smoothed with a Gaussian (Ho+2017).

    The continuum at pixel j is ``sum_i g_ij ivar_i f_i / sum_i g_ij ivar_i`` with
    ``g_ij = exp(-(l_i - l_j)^2 / (2 width^2))``, dropped where below 1e-8.

    Parameters
    ----------
    wavelength : (P,) array
        Increasing, at any spacing.
    flux : (S, P) or (P,) array
        NaN and masked pixels count as zero weight.
    ivar : array of the same shape
        Inverse variance of the flux; NaN, infinite and negative count as 0.
    width : float
        Standard deviation of the Gaussian, in the units of wavelength.
    threads : int, optional
        Default: every core this process may use.

    Returns
    -------
    flux : float32 array of the same shape
        Flux divided by the continuum; 1 where there is no continuum.
    ivar : float32 array of the same shape
        ivar times continuum squared; 0 where there is no continuum.

    Raises
    ------
    InputError
        Shapes or types disagree, or the width is not positive.
    """
    grid = check_wavelength(wavelength)
    if not (np.isfinite(width) and width > 0):
        raise InputError(f"width is {width}; a positive number in Angstrom is needed")
    reach = width * np.sqrt(-2 * np.log(SMALLEST_WEIGHT))

    def find_continuum(flux, ivar):
        weighted = flux * ivar
        continuum = np.empty_like(flux)
        for start, stop in ranges(len(grid), _COLUMNS):
            first, last = np.searchsorted(
                grid, (grid[start] - reach, grid[stop - 1] + reach)
            )
            distance = grid[first:last, None] - grid[start:stop]
            gauss = np.exp(-0.5 * (distance / width) ** 2)
            # The cut must not depend on how the pixels are blocked.
            gauss[np.abs(distance) > reach] = 0
            with np.errstate(divide="ignore", invalid="ignore"):
                continuum[:, start:stop] = (weighted[:, first:last] @ gauss) / (
                    ivar[:, first:last] @ gauss
                )
        return continuum, 0

    return _normalise(flux, ivar, len(grid), find_continuum, threads)


def sines_and_cosines(
    wavelength,
    flux,
    ivar,
    continuum_pixels,
    regions=None,
    order=3,
    length=1400.0,
    threads=None,
):
    """Divide spectra by sums of sines and cosines (Casey+2016).

    In each region 1, sin(2 pi k l / length) and cos(2 pi k l / length),
    k = 1 ... order, are fitted to the continuum pixels, weighted by ivar.

    Parameters
    ----------
    wavelength : (P,) array
        Increasing.
    flux : (S, P) or (P,) array
        NaN and masked pixels count as zero weight.
    ivar : array of the same shape
        Inverse variance of the flux; NaN, infinite and negative count as 0.
    continuum_pixels : (P,) bool array or array of int
        Mask or indices of the pixels to fit.
    regions : list of (start, end), optional
        Wavelengths, both ends included; a pixel in two regions belongs to the
        first. Default: one region with all pixels.
    order : int
        2 order + 1 functions per region.
    length : float
        Longest period, in the units of wavelength; 1400 Angstrom, and order 3, as in
        AnniesLasso, the code of Casey+2016.
    threads : int, optional
        Default: every core this process may use.

    Returns
    -------
    flux, ivar : float32 arrays of the same shape
        As in `smooth`; 1 and 0 outside all regions, and in a region where a star
        has too few continuum pixels.

    Raises
    ------
    InputError
        Shapes or types disagree, or the continuum pixels of a region cannot
        determine its functions.
    """
    _check_order(order)
    if not (np.isfinite(length) and length > 0):
        raise InputError(f"length is {length}; a positive number in Angstrom is needed")

    def functions(grid):
        phase = 2 * np.pi / length * np.arange(1, order + 1)[:, None] * grid
        return np.vstack([np.ones((1, len(grid))), np.sin(phase), np.cos(phase)])

    grid = check_wavelength(wavelength)
    find_continuum = _region_fit(grid, continuum_pixels, regions, functions)
    return _normalise(flux, ivar, len(grid), find_continuum, threads)


def chebyshev(
    wavelength, flux, ivar, continuum_pixels, regions=None, order=2, threads=None
):
    """Divide spectra by Chebyshev polynomials (Ness+2015).

    In each region the polynomials up to ``order``, of the wavelength scaled to
    [-1, 1], are fitted to the continuum pixels, weighted by ivar.

    Parameters
    ----------
    wavelength : (P,) array
        Increasing.
    flux : (S, P) or (P,) array
        NaN and masked pixels count as zero weight.
    ivar : array of the same shape
        Inverse variance of the flux; NaN, infinite and negative count as 0.
    continuum_pixels : (P,) bool array or array of int
        Mask or indices of the pixels to fit.
    regions : list of (start, end), optional
        Wavelengths, both ends included; a pixel in two regions belongs to the
        first. Default: one region with all pixels.
    order : int
        Highest degree.
    threads : int, optional
        Default: every core this process may use.

    Returns
    -------
    flux, ivar : float32 arrays of the same shape
        As in `sines_and_cosines`.

    Raises
    ------
    InputError
        As in `sines_and_cosines`.
    """
    _check_order(order)

    def functions(grid):
        middle, half = (grid[-1] + grid[0]) / 2, (grid[-1] - grid[0]) / 2
        return chebvander((grid - middle) / (half or 1), order).T

    grid = check_wavelength(wavelength)
    find_continuum = _region_fit(grid, continuum_pixels, regions, functions)
    return _normalise(flux, ivar, len(grid), find_continuum, threads)


def _region_fit(grid, continuum_pixels, regions, functions):
    """Return the ``find_continuum`` that fits ``functions(grid)`` (T, P) per region."""
    mask = _pixel_mask(continuum_pixels, len(grid))
    fits = []
    for pixels, name in _region_pixels(grid, regions):
        chosen = pixels[mask[pixels]]
        values = functions(grid[pixels])
        basis = _orthonormal(values, mask[pixels], name)
        fits.append(
            (pixels, chosen, basis, np.ascontiguousarray(basis[:, mask[pixels]]))
        )

    def find_continuum(flux, ivar):
        continuum = np.full(flux.shape, np.nan)
        failed = 0
        for pixels, chosen, basis, basis_chosen in fits:
            coefficients = np.empty((len(flux), len(basis)))
            status = np.empty(len(flux), np.int64)
            fit_linear_rows(
                flux[:, chosen],
                ivar[:, chosen],
                basis_chosen,
                np.empty((len(basis), len(basis))),
                np.empty(len(chosen)),
                coefficients,
                status,
            )
            good = status == FITTED
            continuum[np.ix_(good, pixels)] = coefficients[good] @ basis
            failed += np.count_nonzero(~good)
        return continuum, failed

    return find_continuum


def _normalise(flux, ivar, n_pixels, find_continuum, threads):
    """Divide by the continua, block by block.

    ``find_continuum(flux, ivar)`` returns continua and the number of failed fits.
    """
    shape = np.shape(flux)
    rows_flux, rows_ivar = _as_rows(flux, ivar, n_pixels)
    flux_out = np.empty(rows_flux.shape, np.float32)
    ivar_out = np.empty(rows_flux.shape, np.float32)

    def task(start, stop):
        block = slice(start, stop)
        clean_flux, clean_ivar, bad, n_bad = _clean(rows_flux[block], rows_ivar[block])
        continuum, failed = find_continuum(clean_flux, clean_ivar)
        continuum[bad] = np.nan
        divide_continuum(
            clean_flux, clean_ivar, continuum, flux_out[block], ivar_out[block]
        )
        return n_bad, failed

    counts = run_blocks(task, ranges(len(rows_flux), _ROWS), threads)
    _warn(sum(bad for bad, _ in counts), sum(failed for _, failed in counts))
    return flux_out.reshape(shape), ivar_out.reshape(shape)


def _as_rows(flux, ivar, n_pixels):
    """Return flux and ivar as (S, P) arrays, masks kept, without copying."""
    flux, ivar = np.ma.asarray(flux), np.ma.asarray(ivar)
    for name, array in (("flux", flux), ("ivar", ivar)):
        if array.dtype.kind not in "iuf":
            raise InputError(f"{name} has type {array.dtype}; real numbers are needed")
        if array.ndim not in (1, 2) or array.shape[-1] != n_pixels:
            raise InputError(
                f"{name} has shape {array.shape}; (S, {n_pixels}) or ({n_pixels},) is "
                "needed, one number for each wavelength"
            )
    if flux.shape != ivar.shape:
        raise InputError(
            f"flux has shape {flux.shape}, ivar {ivar.shape}; make them one"
        )
    return np.atleast_2d(flux), np.atleast_2d(ivar)


def _clean(flux, ivar):
    """Make float64 copies with unusable pixels 0 in both.

    `arrays.clean_spectra` is for normalised flux: its limits on ivar would refuse
    flux in physical units.

    Returns
    -------
    flux, ivar : (S, P) float64 arrays
    bad : (S, P) bool array
        The unusable pixels.
    n_bad : int
        How many of them had not been given ivar 0 already.
    """
    flux = flux.astype(np.float64).filled(np.nan)
    ivar = ivar.astype(np.float64).filled(np.nan)
    bad = ~(np.isfinite(flux) & np.isfinite(ivar) & (ivar >= 0))
    n_bad = np.count_nonzero(bad & (ivar != 0))
    flux[bad] = 0
    ivar[bad] = 0
    return flux, ivar, bad, n_bad


def _warn(bad, failed):
    """Say in one warning how many pixels and fits could not be used."""
    parts = []
    if bad:
        parts.append(
            f"{bad} pixels hold no usable number (NaN or masked flux; NaN, infinite or "
            "negative ivar) and count as zero weight"
        )
    if failed:
        parts.append(
            f"{failed} times a star has too few continuum pixels in a region, which "
            "gets ivar 0"
        )
    if parts:
        warnings.warn("; ".join(parts), BadPixelWarning, stacklevel=4)


def _check_order(order):
    if not isinstance(order, (int, np.integer)) or order < 0:
        raise InputError(f"order is {order!r}; a whole number from 0 is needed")


def _pixel_mask(continuum_pixels, n_pixels):
    """Return the continuum pixels, given as mask or indices, as a mask (P,)."""
    given = np.asarray(continuum_pixels)
    if given.dtype == bool and given.shape == (n_pixels,):
        return given
    mask = np.zeros(n_pixels, bool)
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise InputError(
            f"continuum_pixels has type {given.dtype} and shape {given.shape}; a "
            f"mask of {n_pixels} booleans or a list of indices is needed"
        )
    if np.any((given < 0) | (given >= n_pixels)):
        raise InputError(f"continuum_pixels must be from 0 to {n_pixels - 1}")
    mask[given] = True
    return mask


def _region_pixels(grid, regions):
    """Return (indices of its pixels, name for messages) of every region."""
    free = np.ones(len(grid), bool)
    found = []
    bounds = np.asarray([(grid[0], grid[-1])] if regions is None else regions)
    if bounds.ndim != 2 or bounds.shape[1] != 2 or len(bounds) == 0:
        raise InputError(f"regions is {regions!r}; a list of (start, end) is needed")
    for start, end in bounds:
        pixels = np.flatnonzero(free & (grid >= start) & (grid <= end))
        if len(pixels) == 0:
            raise InputError(
                f"the region {start} to {end} holds no pixel that is not in a region "
                f"before it; wavelength goes from {grid[0]} to {grid[-1]}"
            )
        free[pixels] = False
        found.append((pixels, f"{start} to {end}"))
    return found


def _orthonormal(values, chosen, name):
    """Return functions of the same span, orthonormal on the continuum pixels.

    Sines of a period longer than the region are nearly dependent; their normal
    equations would lose all digits.

    Parameters
    ----------
    values : (T, n) array
        The functions at the pixels of a region.
    chosen : (n,) bool array
        The continuum pixels among them.
    name : str
        The region, for messages.
    """
    n_functions, n_chosen = len(values), np.count_nonzero(chosen)
    if n_chosen < n_functions:
        raise InputError(
            f"the region {name} has {n_chosen} continuum pixels for {n_functions} "
            "functions; give more pixels or a lower order"
        )
    _, singular, directions = np.linalg.svd(values[:, chosen].T, full_matrices=False)
    if singular[-1] <= _SMALLEST_RATIO * singular[0]:
        raise InputError(
            f"the {n_functions} functions cannot be told apart on the continuum pixels "
            f"of the region {name}; give a lower order, more pixels or a shorter length"
        )
    return (directions @ values) / singular[:, None]
