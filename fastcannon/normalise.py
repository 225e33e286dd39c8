"""Normalisation of a survey's spectra: continuum pixels found once, fits per spectrum.

The continuum of a spectrum is a Chebyshev polynomial in each region (detector, arm),
fitted to continuum pixels that all spectra share: pixels whose flux is near 1 and
hardly depends on the labels (Ness et al. 2015, ApJ 808, 16, section 2.3). Because the
pixels come from a trained model and training needs normalised spectra, they are found
in turns (`refine`). The first ones come from the spectra alone (`first_pixels`).

Which pixels are fitted must not depend on a spectrum's noise: they are the same for
all, weigh alike, and only outliers are clipped, above and below the fit alike. Weights
from ivar would move the continuum by 1 / (S/N)^2 (`continuum`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from astropy.table import Table

from . import continuum
from .arrays import real_spectra
from .checks import check_wavelength
from .errors import FileFormatError, InputError, check_whole
from .kernels.gate import keep_rows
from .parallel import ranges, run_blocks

if TYPE_CHECKING:  # models keep a normaliser
    from .model import CannonModel

# Of the pixels of a stretch are chosen; Ness+2015 chose 5 to 9 %.
SHARE = 0.07
# Per region. A polynomial of order 4 is then held by two stretches per coefficient,
# and a stretch (55 to 78 Angstrom in APOGEE) is longer than most blends.
STRETCHES = 8
ERROR_FLOOR = 0.005  # relative; as ASPCAP has it
CLIP = 5.0  # robust standard deviations: of clean pixels none in a million is lost
CRUDE_LEVEL = 0.9  # quantile of a stretch that passes for the continuum at first
MOST_STARS = 300  # enough for medians over stars
_BLOCK = 256  # spectra at a time
NORMALISED = -1  # the order that stands for "normalised already" in a table


@dataclass(frozen=True)
class Normaliser:
    """How the spectra of a survey are normalised.

    Attributes
    ----------
    wavelength : (P,) array, Angstrom
        Increasing.
    pixels : (P,) bool array
        Continuum pixels.
    regions : list of (start, end)
        Wavelengths, both ends included; pixels outside are not used (ivar 0).
    order : int or None
        Of the Chebyshev polynomial of each region; None for spectra that the survey
        has normalised.
    error_floor : float
        Smallest relative error: ivar is at most 1 / error_floor^2.
    """

    wavelength: np.ndarray
    pixels: np.ndarray
    regions: list[tuple[float, float]]
    order: int | None = 4
    error_floor: float = ERROR_FLOOR

    def __post_init__(self):
        grid = check_wavelength(self.wavelength)
        pixels = np.asarray(self.pixels)
        if pixels.dtype != bool or pixels.shape != grid.shape:
            raise InputError(
                f"pixels has type {pixels.dtype} and shape {pixels.shape}; a mask of "
                f"{len(grid)} booleans is needed"
            )
        if self.order is not None:
            order = check_whole(self.order, "order", least=0)
            if order >= pixels.sum():
                raise InputError(
                    f"order is {order}, but there are {pixels.sum()} continuum pixels; "
                    "a lower order, or more pixels, are needed"
                )
        if not 0 <= self.error_floor < 1:
            raise InputError(f"error_floor is {self.error_floor!r}; expected 0 to 1")
        object.__setattr__(self, "wavelength", grid)
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "regions", _check_regions(self.regions))

    def apply(self, flux, ivar, threads=None):
        """Normalise spectra.

        Parameters
        ----------
        flux, ivar : (S, P) or (P,) arrays
            In any unit; NaN and masked pixels count as zero weight.
        threads : int, optional
            Default: every core this process may use.

        Returns
        -------
        flux, ivar : float32 arrays of the same shape
            1 and 0 where there is no continuum: outside the regions, and in a region
            where a spectrum has too few continuum pixels.

        Raises
        ------
        InputError
            Shapes or types disagree, or the continuum pixels do not determine the
            polynomials of a region.
        """
        if self.order is None:
            return self._as_given(flux, ivar, threads)
        return continuum.chebyshev(
            self.wavelength,
            flux,
            ivar,
            self.pixels,
            self.regions,
            self.order,
            clip=CLIP,
            error_floor=self.error_floor,
            threads=threads,
        )

    def to_table(self):
        """Return the normaliser as a table, for a FITS file.

        Columns wavelength (Angstrom) and continuum (bool); ORDER, ERRFLOOR and REGION1
        ... are in its meta, with names and values that a FITS header can hold.
        """
        table = Table({"wavelength": self.wavelength, "continuum": self.pixels})
        table["wavelength"].unit = "Angstrom"
        table.meta["ORDER"] = NORMALISED if self.order is None else int(self.order)
        table.meta["ERRFLOOR"] = float(self.error_floor)
        for i, (start, end) in enumerate(self.regions, start=1):
            table.meta[f"REGION{i}"] = f"{start!r} {end!r}"
        return table

    @classmethod
    def from_table(cls, table):
        """Return the normaliser of a table made by `to_table`.

        Raises
        ------
        FileFormatError
            A column or an entry of the meta is missing or has no meaning.
        """
        try:
            meta, regions = table.meta, []
            while f"REGION{len(regions) + 1}" in meta:
                start, end = str(meta[f"REGION{len(regions) + 1}"]).split()
                regions.append((float(start), float(end)))
            order = int(meta["ORDER"])
            return cls(
                np.array(table["wavelength"], dtype=np.float64),
                np.array(table["continuum"], dtype=bool),
                regions,
                None if order == NORMALISED else order,
                float(meta["ERRFLOOR"]),
            )
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise FileFormatError(
                f"the table holds no normaliser ({error}); columns wavelength and "
                "continuum and the keywords ORDER, ERRFLOOR and REGION1 ... are needed"
            ) from error

    def _as_given(self, flux, ivar, threads):
        """Pass normalised spectra on: clean, float32, ivar 0 outside the regions."""
        inside = _inside(self.wavelength, self.regions)
        flux, ivar = real_spectra(flux, ivar)
        if flux.shape != ivar.shape or flux.shape[-1:] != inside.shape:
            raise InputError(
                f"flux has shape {flux.shape}, ivar {ivar.shape}; (S, {len(inside)}) "
                "is needed for both"
            )
        shape = flux.shape
        flux, ivar = (
            np.ma.filled(image.astype(np.float32, copy=False), np.nan).reshape(
                -1, len(inside)
            )
            for image in (flux, ivar)
        )
        limit = np.float32(self.error_floor**-2 if self.error_floor else np.inf)
        made = np.empty_like(flux), np.empty_like(ivar)

        def task(start, stop):
            rows = slice(start, stop)
            keep_rows(
                flux[rows], ivar[rows], inside, limit, made[0][rows], made[1][rows]
            )

        run_blocks(task, ranges(len(flux), _BLOCK), threads)
        return made[0].reshape(shape), made[1].reshape(shape)


class Pass(NamedTuple):
    """What one pass of `refine` did.

    ``changed``: pixels that are new, as a share of the continuum pixels; ``moved``:
    median change of the normalised flux; ``n_pixels``: continuum pixels.
    """

    changed: float
    moved: float
    n_pixels: int


class Refined(NamedTuple):
    """Normaliser found by `refine`, the spectra (S, P) it gives, and its passes."""

    normaliser: Normaliser
    flux: np.ndarray
    ivar: np.ndarray
    passes: list[Pass]


def first_pixels(wavelength, flux, ivar, regions, share=SHARE, stretches=STRETCHES):
    """Choose continuum pixels without a model, from many spectra.

    Each spectrum is divided by a crude envelope: the 0.9 quantile of its flux in each
    stretch, joined by straight lines. In each stretch those pixels are chosen whose
    median over the stars is nearest to its own 0.9 quantile there, and whose spread
    over the stars, (P84 - P16) / 2, is small. The envelope knows the noise, but it only
    ranks the pixels, and alike for all spectra.

    Parameters
    ----------
    wavelength : (P,) array, Angstrom
    flux, ivar : (S, P) arrays
        In any unit; ivar 0 where there is no information. Of more than 300 spectra,
        300 evenly spaced ones are used.
    regions : list of (start, end)
    share : float
        Of the pixels of each stretch that is chosen.
    stretches : int
        Stretches of equal length in each region.

    Returns
    -------
    (P,) bool array

    Raises
    ------
    InputError
        Shapes disagree, or the settings cannot be used.
    """
    wavelength = check_wavelength(wavelength)
    parts = _stretches(wavelength, regions, stretches)
    flux, ivar = _sample(flux, ivar, len(wavelength))
    flux = np.where(np.isfinite(flux) & (ivar > 0), flux, np.nan)
    crude = np.full(flux.shape, np.nan)
    for region in parts:
        centres = [wavelength[part].mean() for part in region]
        levels = np.array([_quantile(flux[:, part].T, CRUDE_LEVEL) for part in region])
        pixels = np.concatenate(region)
        for s in range(len(flux)):
            known = levels[:, s] > 0
            if known.any():
                level = np.interp(
                    wavelength[pixels], np.compress(known, centres), levels[known, s]
                )
                crude[s, pixels] = flux[s, pixels] / level
    low, middle, high = (_quantile(crude, share) for share in (0.16, 0.5, 0.84))
    distance = np.full(len(middle), np.nan)
    for part in (part for region in parts for part in region):
        top = _quantile(middle[part][:, None], CRUDE_LEVEL)[0]
        distance[part] = np.hypot(middle[part] - top, (high - low)[part] / 2)
    return _nearest(distance, parts, share)


def continuum_pixels(model, regions, share=SHARE, stretches=STRETCHES):
    """Choose continuum pixels from a trained model (Ness+2015, section 2.3).

    The distance of a pixel from an ideal continuum pixel is the root of the sum of
    squares of: theta_0 - 1; the linear coefficients, which are the change of the flux
    over the 2.5 to 97.5 percentile range of each label; and the scatter. In each
    stretch the nearest pixels are chosen, so that the threshold follows the crowding of
    the lines and every part of a region holds the polynomial.

    Parameters
    ----------
    model : CannonModel
        Trained, with its wavelength.
    regions, share, stretches :
        As in `first_pixels`.

    Returns
    -------
    (P,) bool array

    Raises
    ------
    InputError
        The model is not trained or has no wavelength, or the settings cannot be used.
    """
    if model.theta is None or model.wavelength is None:
        raise InputError(
            "the model is not trained or does not know its wavelength: call "
            "train(..., wavelength=...) first"
        )
    linear = model.terms.exponents.sum(axis=1) == 1
    squared = (model.theta[:, 0] - 1) ** 2 + model.s2
    squared += np.sum(model.theta[:, linear] ** 2, axis=1)
    distance = np.where(np.isfinite(squared), np.sqrt(squared), np.nan)
    parts = _stretches(model.wavelength, regions, stretches)
    return _nearest(distance, parts, share)


def refine(
    labels,
    wavelength,
    flux,
    ivar,
    regions,
    make_model: Callable[[], "CannonModel"],
    order=4,
    share=SHARE,
    stretches=STRETCHES,
    error_floor=ERROR_FLOOR,
    passes=5,
    settled=0.05,
    threads=None,
):
    """Find continuum pixels and normalise training spectra in turns (Ness+2015).

    First pixels, normalise, then: train, continuum pixels of the model, normalise; till
    the pixels change by less than ``settled``, or ``passes`` times.

    Parameters
    ----------
    labels : (S, K) array or table
    wavelength : (P,) array, Angstrom
    flux, ivar : (S, P) arrays
        Not normalised.
    regions : list of (start, end)
    make_model : callable
        Returns a new untrained model: ``lambda: CannonModel(names, degree=1)``.
    order, error_floor :
        As in `Normaliser`.
    share, stretches :
        As in `first_pixels`.
    passes : int
        Most times the model is trained.
    settled : float
        Share of new pixels at which to stop.
    threads : int, optional

    Returns
    -------
    Refined

    Raises
    ------
    InputError
        As in `first_pixels`, `Normaliser.apply` and `CannonModel.train`.
    """
    check_whole(passes, "passes")
    pixels = first_pixels(wavelength, flux, ivar, regions, share, stretches)
    normaliser = Normaliser(wavelength, pixels, regions, order, error_floor)
    normed = normaliser.apply(flux, ivar, threads)
    done: list[Pass] = []
    for _ in range(passes):
        model = make_model().train(
            labels, normed[0], normed[1], wavelength, threads=threads
        )
        pixels = continuum_pixels(model, regions, share, stretches)
        changed = np.mean(~normaliser.pixels[pixels])
        normaliser = Normaliser(wavelength, pixels, regions, order, error_floor)
        before, normed = normed, normaliser.apply(flux, ivar, threads)
        moved = _median_change(before, normed)
        done.append(Pass(float(changed), moved, int(pixels.sum())))
        if changed < settled:
            break
    return Refined(normaliser, normed[0], normed[1], done)


def _check_regions(regions):
    """Return regions as a list of pairs of numbers, or raise InputError."""
    try:
        bounds = np.array(regions, dtype=np.float64)
    except (TypeError, ValueError):
        bounds = np.empty(0)
    if (
        bounds.ndim != 2
        or bounds.shape[1] != 2
        or not (bounds[:, 0] < bounds[:, 1]).all()
    ):
        raise InputError(
            f"regions is {regions!r}; a list of (start, end), start < end, is needed"
        )
    return [(float(start), float(end)) for start, end in bounds]


def _median_change(before, after):
    """Median of abs(change of flux) over the used pixels of a sample of spectra."""
    rows = _rows(len(after[0]))
    used = (before[1][rows] > 0) & (after[1][rows] > 0)
    change = np.abs(after[0][rows] - before[0][rows])[used]
    return float(np.median(change)) if change.size else 0.0


def _rows(n_stars):
    """Indices of at most MOST_STARS evenly spaced rows."""
    return np.unique(np.linspace(0, n_stars - 1, min(n_stars, MOST_STARS)).astype(int))


def _sample(flux, ivar, n_pixels):
    """Return some rows of the spectra in double precision, masked pixels NaN."""
    flux, ivar = real_spectra(flux, ivar)
    shape = flux.shape
    if shape != ivar.shape or len(shape) != 2 or shape[1] != n_pixels or not shape[0]:
        raise InputError(
            f"flux has shape {shape}, ivar {ivar.shape}; (S, {n_pixels}) is needed for "
            "both, with at least one spectrum"
        )
    rows = _rows(shape[0])
    return tuple(
        np.ma.filled(array[rows].astype(np.float64), np.nan) for array in (flux, ivar)
    )


def _stretches(grid, regions, stretches):
    """Cut every region into stretches of equal length: lists of arrays of pixels."""
    if check_whole(stretches, "stretches") > len(grid):
        raise InputError(f"stretches is {stretches}; there are {len(grid)} pixels")
    stretches = int(stretches)
    cut = []
    for start, end in _check_regions(regions):
        inside = (grid >= start) & (grid <= end)
        if not inside.any():
            raise InputError(
                f"the region {start} to {end} holds no pixel; wavelength goes from "
                f"{grid[0]} to {grid[-1]}"
            )
        number = ((grid - start) / (end - start) * stretches).clip(0, stretches - 1)
        found = [
            np.flatnonzero(inside & (number.astype(int) == i)) for i in range(stretches)
        ]
        cut.append([pixels for pixels in found if len(pixels)])
    return cut


def _nearest(distance, parts, share):
    """Mark the share of the pixels of every stretch of the smallest distance (P,).

    At least one pixel; those of distance NaN are none.
    """
    if not (isinstance(share, Real) and 0 < share <= 1):
        raise InputError(f"share is {share!r}; a part of the pixels, 0 to 1, is needed")
    chosen = np.zeros(len(distance), bool)
    for part in (part for region in parts for part in region):
        usable = part[np.isfinite(distance[part])]
        order = np.argsort(distance[usable], kind="stable")
        chosen[usable[order[: int(np.ceil(share * len(usable)))]]] = True
    return chosen


def _quantile(values, share):
    """Quantile (m,), by rank, of the finite values of each column of (n, m), or NaN."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(ordered).sum(axis=0)
    rank = np.rint(share * np.maximum(count - 1, 0)).astype(int)
    return np.take_along_axis(ordered, rank[None], axis=0)[0]


def _inside(grid, regions):
    inside = np.zeros(len(grid), bool)
    for start, end in regions:
        inside |= (grid >= start) & (grid <= end)
    return inside
