"""The Cannon beside the translator: how far left-out stars scatter."""

import numpy as np

from .. import labels
from ..comparison import IDENTITY
from ..runfolder import CANNON, TRANSLATOR
from . import style

WORDS = ("the Cannon, from spectra", "translator, from labels", "labels as they are")
_SHOWN = ((CANNON, -0.13), (TRANSLATOR, 0.13))  # and their place in a row
_LEAST_RANGE = 0.45, 1.4  # of the axis
_MARGIN = 1.15


def comparison_figure(table):
    """Show the scatter of all methods relative to that of the labels as they are.

    A panel for each case, a row for each label; left of the line is a gain. Bars are
    standard errors.

    Parameters
    ----------
    table : astropy Table
        Of `fastcannon.comparison.comparison_table`.

    Returns
    -------
    matplotlib Figure
    """
    cases, names = (list(dict.fromkeys(table[key])) for key in ("case", "label"))
    figure = style.new_figure(0.6 + 3.3 * len(cases), 1.2 + 0.36 * len(names))
    axes = figure.subplots(1, len(cases), sharex=True, sharey=True, squeeze=False)[0]
    handles, (low, high) = [], _LEAST_RANGE
    for ax, case in zip(axes, cases, strict=True):
        own = table[table["case"] == case]
        style.dress(ax, "Scatter / that of labels as they are", "", style.plain(case))
        line = ax.axvline(1.0, color=style.FAINT, linewidth=1.0, zorder=1.5)
        handles = [line]
        for k, (method, place) in enumerate(_SHOWN):
            ratio, error = relative_scatter(own, names, method)
            look = {"color": style.COLOURS[k], "marker": style.MARKERS[k]}
            row = np.arange(len(names)) + place
            points = ax.errorbar(ratio, row, xerr=error, linestyle="", **look)
            handles.insert(k, points)
            low, high = np.nanmin([low, *ratio]), np.nanmax([high, *ratio])
    ax = axes[0]
    ax.set_xscale("log")
    ax.set_xlim(low / _MARGIN, high * _MARGIN)
    style.plain_log(ax.xaxis)
    ax.set_yticks(range(len(names)), [_symbol(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    figure.legend(
        handles,
        WORDS,
        loc="outside upper center",
        ncols=len(WORDS),
        fontsize=style.TITLE_SIZE,
        frameon=False,
    )
    return figure


def relative_scatter(own, names, method):
    """Return the scatter of a method over that of the labels as they are.

    Parameters
    ----------
    own : astropy Table
        Rows of one case.
    names : sequence of K str
        Labels.
    method : str
        One of `fastcannon.comparison.METHODS`.

    Returns
    -------
    ratio, error : (K,) arrays
        Without the error of the labels as they are; NaN where there is no scatter.
    """
    rows = {(row["label"], row["method"]): row for row in own}
    base = np.array([rows[name, IDENTITY]["scatter"] for name in names])
    base[base <= 0] = np.nan
    scatter, error = (
        np.array([rows[name, method][key] for name in names])
        for key in ("scatter", "e_scatter")
    )
    scatter[scatter <= 0] = np.nan  # no place on a logarithmic axis
    return scatter / base, error / base


def _symbol(name):
    symbol = labels.symbol(name)
    return style.plain(name) if symbol == name else symbol
