"""Division of spectra by their continuum, found from each spectrum alone.

Medians and quantiles of a spectrum are not offered: they move with the signal to
noise ratio, and labels with them. Nor are weights from ivar free of that: a survey
that estimates its errors from the noisy counts gives pixels that are high by chance
less weight, and the continuum comes out low by 1 / (S/N)^2, 2.5e-3 at S/N 20. Fits to
continuum pixels therefore weigh all of them alike unless told otherwise.

References
----------
Casey et al. 2016, arXiv:1603.03040 (sines and cosines on continuum pixels);
Ho et al. 2017, ApJ 836, 5 (Gaussian-smoothed division);
Ness et al. 2015, ApJ 808, 16 (continuum pixels, Chebyshev polynomials).
"""

import warnings
from numbers import Real
from typing import NamedTuple

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from .arrays import real_spectra
from .checks import check_wavelength
from .errors import BadPixelWarning, InputError
from .kernels.continuum import FITTED, divide_continuum, fit_region
from .parallel import Scratch, ranges, run_blocks

# Weights of the Gaussian below this are dropped: at a distance beyond 6.07 widths.
SMALLEST_WEIGHT = 1e-8

_ROWS = 64  # spectra worked on at a time
_COLUMNS = 128  # pixels smoothed at a time: few, as the band is cut to a rectangle
_SMALLEST_RATIO = 1e-10  # of singular values of the functions: 6 digits remain

# Pixels whose error is above three times the median of the region's continuum pixels
# (sky lines, bad columns) are not fitted where weights are equal. Photon noise moves
# the error of a pixel by far less, so that the choice does not know the noise.
FAINTEST = {"equal": 1 / 9, "ivar": 0.0}

scratch = Scratch()


def smooth(wavelength, flux, ivar, width, threads=None):
    """Divide spectra by themselves, smoothed with a Gaussian (Ho+2017).

    The continuum at pixel j is ``sum_i g_ij ivar_i f_i / sum_i g_ij ivar_i`` with
    ``g_ij = exp(-(l_i - l_j)^2 / (2 width^2))``, dropped where below 1e-8. Errors that
    were estimated from noisy counts bias it (above).

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
    if not (isinstance(width, Real) and 0 < width < np.inf):
        raise InputError(f"width is {width!r}; a positive number in Angstrom is needed")
    reach = width * np.sqrt(-2 * np.log(SMALLEST_WEIGHT))

    def divide(flux, ivar, flux_out, ivar_out):
        flux, ivar = _native(flux, ivar)
        clean, weight = _clean(flux, ivar)
        weighted = clean * weight
        continuum = np.empty_like(clean)
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
                    weight[:, first:last] @ gauss
                )
        n_bad = divide_continuum(flux, ivar, continuum, 0, np.inf, flux_out, ivar_out)
        return n_bad, 0

    return _normalise(flux, ivar, len(grid), divide, threads)


def sines_and_cosines(
    wavelength,
    flux,
    ivar,
    continuum_pixels,
    regions=None,
    order=3,
    length=1400.0,
    weights="equal",
    clip=None,
    threads=None,
):
    """Divide spectra by sums of sines and cosines (Casey+2016).

    In each region 1, sin(2 pi k l / length) and cos(2 pi k l / length),
    k = 1 ... order, are fitted to the continuum pixels.

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
    weights : {"equal", "ivar"}
        Of the continuum pixels. "equal" leaves out those whose error is above three
        times the median of the region; "ivar" as in AnniesLasso.
    clip : float, optional
        Continuum pixels further from the fit than so many robust standard deviations,
        above or below it, are left out of a second fit.
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
    if not (isinstance(length, Real) and 0 < length < np.inf):
        raise InputError(
            f"length is {length!r}; a positive number in Angstrom is needed"
        )

    def functions(grid):
        phase = 2 * np.pi / length * np.arange(1, order + 1)[:, None] * grid
        return np.vstack([np.ones((1, len(grid))), np.sin(phase), np.cos(phase)])

    grid = check_wavelength(wavelength)
    divide = _region_fit(
        grid, continuum_pixels, regions, functions, 2 * order + 1, weights, clip
    )
    return _normalise(flux, ivar, len(grid), divide, threads)


def chebyshev(
    wavelength,
    flux,
    ivar,
    continuum_pixels,
    regions=None,
    order=2,
    weights="equal",
    clip=None,
    error_floor=0.0,
    threads=None,
):
    """Divide spectra by Chebyshev polynomials (Ness+2015).

    In each region the polynomials up to ``order``, of the wavelength scaled to
    [-1, 1], are fitted to the continuum pixels.

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
    weights, clip :
        As in `sines_and_cosines`.
    error_floor : float
        Smallest relative error: ivar is at most ``1 / error_floor**2``.
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
    divide = _region_fit(
        grid,
        continuum_pixels,
        regions,
        functions,
        order + 1,
        weights,
        clip,
        error_floor,
    )
    return _normalise(flux, ivar, len(grid), divide, threads)


class _Region(NamedTuple):
    """What is fitted in a region and where it is divided.

    ``pixels`` (n,) and ``basis`` (T, n): continuum pixels and the functions there;
    ``runs``: (first pixel, functions (T, m)) of each stretch without a gap.
    """

    pixels: np.ndarray
    basis: np.ndarray
    runs: list[tuple[int, np.ndarray]]


def _region_fit(
    grid,
    continuum_pixels,
    regions,
    functions,
    n_functions,
    weights,
    clip,
    error_floor=0.0,
):
    """Return the ``divide`` that fits ``functions(grid)`` (T, P) per region."""
    if weights not in FAINTEST:
        raise InputError(f"weights is {weights!r}; expected one of {tuple(FAINTEST)}")
    if clip is not None and not clip > 0:
        raise InputError(f"clip is {clip!r}; a positive number or None is needed")
    if not 0 <= error_floor < 1:
        raise InputError(f"error_floor is {error_floor!r}; a number 0 to 1 is needed")
    mask = _pixel_mask(continuum_pixels, len(grid))
    fits, outside = [], np.ones(len(grid), bool)
    for pixels, name in _region_pixels(grid, regions):
        chosen = mask[pixels]
        n_chosen = np.count_nonzero(chosen)
        if n_chosen < n_functions:  # before they take the memory
            raise InputError(
                f"the region {name} has {n_chosen} continuum pixels for "
                f"{n_functions} functions; give more pixels or a lower order"
            )
        basis = _orthonormal(functions(grid[pixels]), chosen, name)
        outside[pixels] = False
        runs = _runs(pixels, basis)
        fits.append(_Region(pixels[chosen], _rows(basis[:, chosen]), runs))
    nowhere = np.flatnonzero(outside)
    rest = _runs(nowhere, np.ones((1, len(nowhere))))
    faintest, clip = FAINTEST[weights], np.inf if clip is None else float(clip)
    largest = error_floor**-2 if error_floor > 0 else np.inf

    def divide(flux, ivar, *out):
        flux, ivar = _native(flux, ivar)
        n_bad = failed = 0
        for region in fits:
            coefficients, status = _fit(flux, ivar, region, faintest, clip)
            failed += np.count_nonzero(status != FITTED)
            n_bad += _divide(flux, ivar, coefficients, region.runs, largest, *out)
        none = np.full((len(flux), 1), np.nan)
        n_bad += _divide(flux, ivar, none, rest, largest, *out)
        return n_bad, failed

    return divide


def _fit(flux, ivar, region, faintest, clip):
    """Return coefficients (S, T) of a block's continua in a region, and status (S,)."""
    n_terms, n_chosen = region.basis.shape
    coefficients = np.empty((len(flux), n_terms))
    status = np.empty(len(flux), np.int64)
    fit_region(
        flux,
        ivar,
        region.pixels,
        region.basis,
        faintest,
        clip,
        scratch.array("gram", (n_terms + 1, n_terms)),
        scratch.array("pixels", (5, n_chosen)),
        coefficients,
        status,
    )
    return coefficients, status


def _divide(flux, ivar, coefficients, runs, largest, flux_out, ivar_out):
    """Divide the runs of a block by its continua; returns how many pixels are bad."""
    n_bad = 0
    for first, basis in runs:
        level = scratch.array("level", (len(flux), basis.shape[1]))
        np.matmul(coefficients, basis, out=level)
        n_bad += divide_continuum(flux, ivar, level, first, largest, flux_out, ivar_out)
    return n_bad


def _runs(pixels, basis):
    """Cut pixels (n,) and functions (T, n) where an index is left out."""
    cuts = np.flatnonzero(np.diff(pixels) > 1) + 1
    parts = np.split(np.arange(len(pixels)), cuts)
    return [(int(pixels[p[0]]), _rows(basis[:, p])) for p in parts if len(p)]


def _rows(array):
    return np.ascontiguousarray(array)


def _native(flux, ivar):
    """Return flux and ivar of a block as the kernels take them, copied only if needed.

    Both float32 or both float64; masked pixels are NaN.
    """
    single = flux.dtype == ivar.dtype == np.float32
    kind = np.float32 if single else np.float64
    return tuple(
        np.ascontiguousarray(np.ma.filled(a.astype(kind, copy=False), np.nan))
        for a in (flux, ivar)
    )


def _normalise(flux, ivar, n_pixels, divide, threads):
    """Divide by the continua, block by block.

    ``divide(flux, ivar, flux_out, ivar_out)`` returns the numbers of bad pixels and of
    failed fits.
    """
    shape = np.shape(flux)
    rows_flux, rows_ivar = _as_rows(flux, ivar, n_pixels)
    flux_out = np.empty(rows_flux.shape, np.float32)
    ivar_out = np.empty(rows_flux.shape, np.float32)

    def task(start, stop):
        block = slice(start, stop)
        return divide(
            rows_flux[block], rows_ivar[block], flux_out[block], ivar_out[block]
        )

    counts = run_blocks(task, ranges(len(rows_flux), _ROWS), threads)
    _warn(sum(bad for bad, _ in counts), sum(failed for _, failed in counts))
    return flux_out.reshape(shape), ivar_out.reshape(shape)


def _as_rows(flux, ivar, n_pixels):
    """Return flux and ivar as (S, P) arrays, masks kept, without copying."""
    flux, ivar = real_spectra(flux, ivar)
    for name, array in (("flux", flux), ("ivar", ivar)):
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
    """Return flux and ivar (S, P) in double precision, 0 at unusable pixels.

    `arrays.clean_spectra` is for normalised flux: its limits on ivar would refuse
    flux in physical units.
    """
    usable = np.isfinite(flux) & np.isfinite(ivar) & (ivar >= 0)
    return (
        np.where(usable, flux, 0).astype(np.float64),
        np.where(usable, ivar, 0).astype(np.float64),
    )


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
    _, singular, directions = np.linalg.svd(values[:, chosen].T, full_matrices=False)
    if singular[-1] <= _SMALLEST_RATIO * singular[0]:
        raise InputError(
            f"the {len(values)} functions cannot be told apart on the continuum pixels "
            f"of the region {name}; give a lower order, more pixels or a shorter length"
        )
    return (directions @ values) / singular[:, None]
