"""Two catalogues in one map of the Galaxy: what a common scale does to asymmetries."""

import numpy as np
from astropy.table import Table
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from .. import labels
from . import style
from .galaxy import (
    about_zero,
    asymmetry_edges,
    asymmetry_map,
    asymmetry_table,
    median_map,
)

_COLUMNS = (1.05, 1.05, 1.0)  # relative widths
_HEAD, _ROW = 0.3, 2.35  # inches
_COLOUR_PERCENTILES = (10, 90)  # of the stars, for medians
_PLACE_PERCENTILES = (1, 99)  # few stars are farther; no bin has enough of them


def asymmetry_slope(found):
    """Return how the difference between north and south grows with height.

    Parameters
    ----------
    found : astropy Table
        Of `galaxy.asymmetry_table`.

    Returns
    -------
    slope, error : float, label unit per kpc
        Of a straight line through zero in \\|Z\\|, bins weighted by their errors; NaN
        without bins.
    """
    if not len(found):
        return np.nan, np.nan
    height = np.asarray(found["z_low"] + found["z_high"]) / 2
    weight = height / np.asarray(found["error"]) ** 2
    total = (weight * height).sum()
    slope = (weight * np.asarray(found["difference"])).sum() / total
    return float(slope), float(1 / np.sqrt(total))


def asymmetry_profile(found):
    """Return the difference between north and south at each height.

    Differences are of bins of R, so that its gradient plays no part.

    Parameters
    ----------
    found : astropy Table
        Of `galaxy.asymmetry_table`.

    Returns
    -------
    astropy Table
        A row for each \\|Z\\|: ``z`` (kpc, middle of the bin), ``difference`` and its
        ``error``, means of all R weighted by their errors (label unit).
    """
    lows, which = np.unique(np.asarray(found["z_low"]), return_inverse=True)
    weight = 1 / np.asarray(found["error"]) ** 2
    total = np.bincount(which, weight, len(lows))
    table = Table()
    table["z"] = (lows + np.unique(np.asarray(found["z_high"]))) / 2
    sums = np.bincount(which, weight * np.asarray(found["difference"]), len(lows))
    table["difference"] = sums / total
    table["error"] = 1 / np.sqrt(total)
    return table


def combined_figure(r, z, values, name):
    """Show what translation does to the map of two catalogues taken together.

    A row for each way of combining: the median of a label over the Galaxy, its
    difference north minus south of the plane, and that with height (Thomas+2024).

    Parameters
    ----------
    r, z : (N,) arrays, kpc
        Of `galaxy.positions`; a row per star.
    values : dict of str to (N,) array, label unit
        Title to values of the same stars, such as as given by the surveys, and on
        one scale.
    name : str
        Label.

    Returns
    -------
    matplotlib Figure
        All rows on one range and one set of colours.
    """
    figure = style.new_figure(9.6, _HEAD + _ROW * len(values))
    axes = figure.subplots(
        len(values), 3, squeeze=False, gridspec_kw={"width_ratios": _COLUMNS}
    )
    box = tuple(style.limits("", place, _PLACE_PERCENTILES) for place in (r, z))
    everything = np.concatenate(list(values.values()))
    colours = Normalize(*style.limits(name, everything, _COLOUR_PERCENTILES))
    meshes, found = [], []
    for row, (title, value) in zip(axes, values.items(), strict=True):
        meshes.append(
            (
                median_map(row[0], r, z, value, box, colours),
                asymmetry_map(row[1], r, z, value, box),
            )
        )
        good = style.finite(r, z, value)
        found.append(asymmetry_table(*good, asymmetry_edges(*good[:2], box)))
        row[0].set_title(style.plain(title), fontsize=style.TITLE_SIZE)
    norm = about_zero(np.concatenate([table["difference"] for table in found]))
    for row, (medians, differences), table in zip(axes, meshes, found, strict=True):
        if medians:
            style.colour_bar(medians, row[0], style.label_text(name, "median"))
        if differences:
            differences.set_norm(norm)
            style.colour_bar(differences, row[1], style.difference_text(name))
        _profile(row[2], table, name)
    _same_limits(axes[:, 2], found)
    return figure


def _profile(ax, found, name):
    """Draw the difference north minus south against height, and say its slope."""
    words = style.difference_text(name, "north", "south")
    style.dress(ax, r"$|Z|$ (kpc)", words)
    if not len(found):
        style.nothing(ax, "too few stars in a bin")
        return
    slope, error = asymmetry_slope(found)
    points = asymmetry_profile(found)
    height = np.array([0.0, points["z"].max()])
    ax.axhline(0.0, color=style.INK, linewidth=0.8)
    ax.plot(height, slope * height, color=style.COLOURS[1], linewidth=1.5)
    ax.errorbar(
        *(points["z"], points["difference"], points["error"]),
        fmt="o",
        markersize=3.5,
        color=style.COLOURS[0],
        elinewidth=1.0,
    )
    unit = f"{labels.unit(name) or 1}/kpc"
    sign = "+" if slope > 0 else "\N{MINUS SIGN}"
    text = f"slope {sign}{abs(slope):.3f} \N{PLUS-MINUS SIGN} {error:.3f} {unit}"
    style.note(ax, text)


def _same_limits(axes, found):
    """Give panels one range in y: that of the differences, zero in its middle."""
    sizes = [abs(asymmetry_profile(table)["difference"]) for table in found]
    most = 1.4 * max(np.concatenate(sizes), default=1.0)
    for ax in axes:
        ax.set_ylim(-most, most)
        ax.yaxis.set_major_locator(MaxNLocator(5))
