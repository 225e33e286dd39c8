"""Two stars of near-equal labels, and a synthetic difference to set beside theirs.

Nandakumar+2022, appendix B, figs A4 and A5.
"""

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from ..errors import FileFormatError
from ..usertables import read_any

SYNTHETIC = ("wavelength", "flux_a", "flux_b")
SHARE = 0.2  # of the stars, highest S/N first, among which twins are looked for


def twins(labels, scatter, snr) -> tuple[int, int] | None:
    """Return two stars of the nearest labels among the fifth of highest S/N.

    Parameters
    ----------
    labels : (S, K) array, label units
        Stars without one of them are left out.
    scatter : (K,) array, label units
        Of the cross-validation: the unit of distance.
    snr : (S,) array
        For stars of both surveys the smaller of the two.

    Returns
    -------
    (int, int) or None
        Their numbers, the higher S/N first; None if there are no two stars.
    """
    x = np.asarray(labels, float) / np.asarray(scatter, float)
    snr = np.asarray(snr, float)
    usable = np.flatnonzero(np.isfinite(x).all(axis=1) & np.isfinite(snr))
    best = usable[np.argsort(-snr[usable], kind="stable")]
    best = best[: max(2, round(SHARE * len(usable)))]
    if len(best) < 2:
        return None
    distance, neighbours = cKDTree(x[best]).query(x[best], k=2)
    nearest = int(np.argmin(distance[:, 1]))
    # Where stars share a place, a star need not be its own first neighbour.
    other = next(int(i) for i in neighbours[nearest] if i != nearest)
    first, second = sorted((nearest, other))
    return int(best[first]), int(best[second])


def read_synthetic(path) -> Table:
    """Read a pair of synthetic spectra.

    Parameters
    ----------
    path : str or Path
        FITS, ECSV, CSV or any other table that astropy tells by its name. Columns
        wavelength (Angstrom, increasing, in the medium of the survey), flux_a and
        flux_b (normalised).

    Returns
    -------
    astropy Table

    Raises
    ------
    FileFormatError
        It is no table, lacks a column, or its wavelengths do not increase.
    FileNotFoundError
    """
    table = read_any(path, ", ".join(SYNTHETIC))
    missing = [name for name in SYNTHETIC if name not in table.colnames]
    if missing:
        raise FileFormatError(
            f"{path} has no column {', '.join(missing)}; it has "
            f"{', '.join(table.colnames)}"
        )
    for name in SYNTHETIC:
        if table[name].dtype.kind not in "fiu" or table[name].ndim != 1:
            raise FileFormatError(
                f"{path}: column {name} has type {table[name].dtype}; one number per "
                "row is expected"
            )
    if len(table) < 2 or not (np.diff(_numbers(table, "wavelength")) > 0).all():
        raise FileFormatError(
            f"{path}: wavelengths must increase, over two rows at least; sort the rows "
            "and fill missing values"
        )
    return table


def synthetic_difference(table, wavelength) -> np.ndarray:
    """Return flux_b - flux_a of synthetic spectra, averaged over pixels.

    Parameters
    ----------
    table : astropy Table
        Of `read_synthetic`.
    wavelength : (P,) array, Angstrom
        Of the pixels, increasing; at least 2.

    Returns
    -------
    (P,) array
        NaN in pixels that the synthetic spectra do not cover, or have NaN in.
    """
    x = _numbers(table, "wavelength")
    y = _numbers(table, "flux_b") - _numbers(table, "flux_a")
    step = np.diff(wavelength)
    # Beside a gap between arms the nearer neighbour tells the width of a pixel.
    half = np.minimum(np.r_[np.inf, step], np.r_[step, np.inf]) / 2
    start, end = wavelength - half, wavelength + half
    # The mean over a pixel is the difference of the integral at its two edges.
    bad = ~np.isfinite(y)
    y = np.where(bad, 0.0, y)
    integral = np.r_[0.0, np.cumsum(np.diff(x) * (y[1:] + y[:-1]) / 2)]
    mean = (np.interp(end, x, integral) - np.interp(start, x, integral)) / (2 * half)
    first = np.maximum(np.searchsorted(x, start, side="right") - 1, 0)
    last = np.minimum(np.searchsorted(x, end), len(x) - 1)
    n_bad = np.r_[0, np.cumsum(bad)]
    whole = (start >= x[0]) & (end <= x[-1]) & (n_bad[last + 1] == n_bad[first])
    return np.where(whole, mean, np.nan)


def _numbers(table, name):
    """Return a column as floats, NaN where it is masked."""
    return np.ma.filled(np.ma.asarray(table[name]).astype(float), np.nan)
