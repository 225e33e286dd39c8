"""Differences between two scales of labels, in the form of Nandakumar+2022, table 1."""

import numpy as np
from astropy.table import Table

from .cuts import get_numbers
from .labels import LABELS, LOGG_CUT, unit
from .spread import half_range

GROUPS = ("all", "giants", "dwarfs")
_LOW, _HIGH = 0.16, 0.84


def difference_table(table, surveys, labels=LABELS, reference=None, logg_cut=LOGG_CUT):
    """Compare the labels of two surveys for all stars, giants and dwarfs.

    Parameters
    ----------
    table : astropy Table, N rows
        With ``<label>_<survey>`` for both surveys and ``logg_<reference>``; where
        the second has none, no star counts as giant or dwarf.
    surveys : (str, str)
        Differences are the first minus the second.
    labels : sequence of str
    reference : str, optional
        The survey whose log g tells giants (log g < logg_cut) from dwarfs; stars
        without one count among all only. Default: the second. The paper does not say
        which it took; its figure 2 has the second, GALAH, on the x-axis.
    logg_cut : float
        dex.

    Returns
    -------
    astropy Table
        A row for each label: ``parameter``, ``unit`` and for each group ``n_<group>``
        (stars with both labels), ``mean_<group>``, ``e_mean_<group>``,
        ``scatter_<group>`` ((P84 - P16) / 2) and ``e_scatter_<group>``; see
        `mean_and_scatter`. Its ``meta`` has surveys, reference and logg_cut.

    Raises
    ------
    InputError
        A column is missing or holds no numbers.
    """
    first, second = surveys
    logg = np.full(len(table), np.nan)
    if reference is not None or f"logg_{second}" in table.colnames:
        reference = second if reference is None else reference
        logg = get_numbers(table, f"logg_{reference}", "the table")
    members = (np.ones(len(table), dtype=bool), logg < logg_cut, logg >= logg_cut)
    rows = []
    for label in labels:
        difference = get_numbers(table, f"{label}_{first}", "the table")
        difference = difference - get_numbers(table, f"{label}_{second}", "the table")
        row = {"parameter": label, "unit": unit(label)}
        for group, member in zip(GROUPS, members, strict=True):
            n, *found = mean_and_scatter(difference[member])
            row[f"n_{group}"] = n
            for name, value in zip(_STATISTICS, found, strict=True):
                row[f"{name}_{group}"] = value
        rows.append(row)
    meta = {"surveys": list(surveys), "reference": reference, "logg_cut": logg_cut}
    return Table(rows, meta=meta)


_STATISTICS = ("mean", "e_mean", "scatter", "e_scatter")


def mean_and_scatter(values):
    """Return the mean and (P84 - P16) / 2 of values with their standard errors.

    The error of the mean is the standard deviation over sqrt(n). That of the scatter
    needs no distribution: the error of each percentile p is half the range of the
    percentiles p +- sqrt(p (1 - p) / n) (Woodruff 1952), and the two are combined with
    their correlation 0.16 / 0.84 in large samples.

    Parameters
    ----------
    values : (N,) array
        Those that are not finite are left out.

    Returns
    -------
    n : int
    mean, e_mean, scatter, e_scatter : float
        NaN where n is too small: 0 for the values, below 2 for the errors.
    """
    values = values[np.isfinite(values)]
    n = len(values)
    if n == 0:
        return 0, np.nan, np.nan, np.nan, np.nan
    mean, scatter = values.mean(), half_range(values)
    if n == 1:
        return 1, mean, np.nan, scatter, np.nan
    step = np.sqrt(_LOW * _HIGH / n)
    around = np.clip([_LOW - step, _LOW + step, _HIGH - step, _HIGH + step], 0, 1)
    edges = np.quantile(values, around)
    e_low, e_high = (edges[1] - edges[0]) / 2, (edges[3] - edges[2]) / 2
    variance = e_low**2 + e_high**2 - 2 * (_LOW / _HIGH) * e_low * e_high
    return n, mean, values.std(ddof=1) / np.sqrt(n), scatter, np.sqrt(variance) / 2


def difference_lines(found):
    """Return a table of `difference_table` as text in the layout of the paper.

    Parameters
    ----------
    found : astropy Table

    Returns
    -------
    list of str
    """
    first, second = found.meta["surveys"]
    cut, reference = found.meta["logg_cut"], found.meta["reference"] or second
    heads, units = [f"{first}-{second}"], ["Parameter (unit)"]
    for group in GROUPS:
        heads += [f"{group.capitalize()} ({max(found[f'n_{group}'], default=0):,})", ""]
        units += ["mu", "sigma"]
    rows = [heads, units]
    for row in found:
        digits = 1 if row["unit"] == "K" else 3
        cells = [f"{row['parameter']} ({row['unit']})"]
        for group in GROUPS:
            for name in ("mean", "scatter"):
                value, error = row[f"{name}_{group}"], row[f"e_{name}_{group}"]
                cells.append(f"{value:7.{digits}f} +- {error:.{digits}f}")
        rows.append(cells)
    widths = [max(len(row[k]) for row in rows) for k in range(len(units))]
    lines = [
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [
        *lines,
        "mu: mean; sigma: (P84 - P16) / 2; +- standard errors",
        f"Giants: log g of {reference} < {cut:g}, dwarfs: the others with a log g",
    ]
