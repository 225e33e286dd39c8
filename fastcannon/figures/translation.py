"""Figures of translated labels: residuals before and after, and Kiel diagrams."""

from typing import NamedTuple

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from .. import labels
from ..labels import useful_digits
from ..spread import robust_sigma
from . import style
from .outlines import LEAST_IN_BIN

BEFORE, AFTER = style.FAINT, style.COLOURS[0]

_TITLES = {"before": "Before: input $-$ given", "after": "After: translated $-$ given"}
# Of 1, 2 and 3 sigma, and the median in the middle.
_BANDS = (0.135, 2.275, 15.865, 50.0, 84.135, 97.725, 99.865)
_BAND_ALPHA = (0.12, 0.16, 0.24)  # one over the other, from 3 sigma to 1
_BAND_BINS = 20
_HISTOGRAM_BINS = 48  # of the side histograms
_RANGE = (0.3, 99.7)  # percentiles of the residuals that are shown
_FOR_WORDS = 0.22  # of a panel's height above the stars
_ROW, _HEAD = 1.85, 0.35  # inches
_LONGEST = 16  # letters, of a label beside a panel
_KIEL_PERCENTILES = (0.1, 99.9)  # the rare coolest giants are wanted, too
_HEXAGONS = 60  # along an axis


class Residuals(NamedTuple):
    """What a translator makes of one output, for `residual_figure`.

    Attributes
    ----------
    name, unit : str
        Column of the output, and its unit; "" for none or that of the label.
    given : (S,) array, label unit
        Value by survey B.
    before : (S,) array or None
        The input that the output starts from, minus given, label unit.
    after : (S,) array
        Translated minus given, label unit.
    """

    name: str
    unit: str
    given: np.ndarray
    before: np.ndarray | None
    after: np.ndarray


def split_name(name):
    """Split the name of a column into a known label and what stands behind it.

    Parameters
    ----------
    name : str
        Such as "teff_apogee" or "LOGG_SEIS".

    Returns
    -------
    label : str
        The longest known label in front, as "teff"; else the whole name.
    survey : str
        The rest, as "apogee"; "" where there is none.
    """
    parts = name.split("_")
    for n in range(len(parts), 0, -1):
        label = "_".join(parts[:n]).lower()
        if label in labels.KNOWN:
            return label, "_".join(parts[n:])
    return name, ""


def column_text(name, unit=""):
    """Return the words for a column: "SURVEY symbol (unit)".

    Parameters
    ----------
    name : str
        Of `split_name`; a column without a known label keeps its name.
    unit : str or None
        "": the usual unit of the label; None: without.

    Returns
    -------
    str
        In matplotlib's mathematical text.
    """
    words = f"{style.survey_text(split_name(name)[1])} {_symbol(name)}".strip()
    return words if unit is None else _with_unit(words, name, unit)


def _symbol(name):
    label, _ = split_name(name)
    return labels.symbol(label) if label in labels.KNOWN else style.plain(name)


def _unit(name, unit):
    return unit or labels.unit(split_name(name)[0])


def _with_unit(words, name, unit):
    unit = style.plain(_unit(name, unit))
    return f"{words} ({unit})" if unit else words


def running_bands(x, y):
    """Return running percentiles of y: the median and those of 1, 2 and 3 sigma.

    Bins are 20 of equal width; one with fewer than 20 stars is joined with the next,
    so that there are bands in sparse regions too. Where a bin has few stars the
    outermost percentiles are near their extremes.

    Parameters
    ----------
    x, y : (N,) arrays
        Stars with a value that is not finite are left out.

    Returns
    -------
    centre : (M,) array
        Median x of the stars in each bin; M is 0 with fewer than 20 stars.
    bands : (7, M) array
        Percentiles 0.135, 2.275, 15.865, 50, 84.135, 97.725 and 99.865 of y.
    """
    x, y = style.finite(x, y)
    if len(x) < LEAST_IN_BIN:
        return np.empty(0), np.empty((len(_BANDS), 0))
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    edges = np.linspace(x[0], x[-1], _BAND_BINS + 1)[1:-1]
    cuts = [0]
    for stop in np.searchsorted(x, edges):
        if min(stop - cuts[-1], len(x) - stop) >= LEAST_IN_BIN:
            cuts.append(int(stop))
    centre = [np.median(part) for part in np.split(x, cuts[1:])]
    bands = [np.percentile(part, _BANDS) for part in np.split(y, cuts[1:])]
    return np.array(centre), np.array(bands).T


def residuals(ax, side, x, residual, unit="", colour=AFTER):
    """Draw residuals against a label, their bands, and their histogram beside them.

    Lines are the running median (solid) and the median of all (dashed), shades the
    bands of `running_bands`. Few stars are points; of many only those beyond 3 sigma;
    triangles at the edge are stars beyond the panel.
    The histogram has a Gaussian of the median and the robust sigma.

    Parameters
    ----------
    ax, side : matplotlib Axes
        With the limits they shall have; ``side`` shares the y-axis of ``ax``.
    x : (N,) array, the unit of the axis
    residual : (N,) array, ``unit``
        Stars with a value that is not finite are left out.
    unit : str
        For the numbers in the panel.
    colour : str
    """
    x, residual = style.finite(x, residual)
    look = {"color": style.INK, "linewidth": 0.7, "zorder": 1.5}
    for panel in (ax, side):
        panel.axhline(0.0, linestyle="dotted", **look)
    if not len(x):
        style.nothing(ax)
        return
    centre, bands = running_bands(x, residual)
    for k, alpha in enumerate(_BAND_ALPHA):
        ax.fill_between(
            centre, bands[k], bands[-1 - k], color=colour, alpha=alpha, linewidth=0
        )
    shown = np.ones(len(x), dtype=bool)
    if len(x) > style.FEW_STARS:
        low, high = (np.interp(x, centre, bands[k]) for k in (0, -1))
        shown = (residual < low) | (residual > high)
    _stars(ax, x[shown], residual[shown], colour)
    look = {"color": style.INK, "linewidth": 1.5, "zorder": 4}
    ax.plot(centre, bands[3], path_effects=style.HALO, **look)
    middle, sigma = np.median(residual), float(robust_sigma(residual))
    for panel in (ax, side):
        panel.axhline(middle, color=colour, linewidth=1.0, linestyle="dashed", zorder=3)
    _side_histogram(side, residual, middle, sigma, colour)
    digits = useful_digits(sigma)
    numbers = rf"median ${middle:+.{digits}f}$, $\sigma$ ${sigma:.{digits}f}$ {unit}"
    style.note(ax, numbers.strip(), x=0.03)
    style.note(side, f"{len(x):,} stars", x=0.06, size=style.TEXT_SIZE - 1)


def _stars(ax, x, y, colour):
    """Draw stars as points, those above and below the panel as triangles."""
    low, high = ax.get_ylim()
    edge = 0.02 * (high - low)
    look = {"color": colour, "alpha": 0.45, "linewidths": 0}
    inside = (y >= low) & (y <= high)
    ax.scatter(x[inside], y[inside], s=5.0, **look)
    for marker, beyond, place in (
        ("^", y > high, high - edge),
        ("v", y < low, low + edge),
    ):
        ax.scatter(x[beyond], np.full(beyond.sum(), place), 12.0, marker=marker, **look)


def _side_histogram(side, values, middle, sigma, colour):
    """Draw a histogram that lies on its side, with its Gaussian."""
    low, high = side.get_ylim()
    edges = np.linspace(low, high, _HISTOGRAM_BINS + 1)
    counts, *_ = side.hist(
        values, edges, orientation="horizontal", color=colour, alpha=0.45
    )
    most = counts.max()
    if sigma > 0:
        y = np.linspace(low, high, 400)
        width = edges[1] - edges[0]
        peak = len(values) * width / (sigma * np.sqrt(2 * np.pi))
        curve = peak * np.exp(-0.5 * ((y - middle) / sigma) ** 2)
        side.plot(curve, y, color=style.INK, linewidth=1.0)
        most = max(most, curve.max())
    side.set_xlim(0.0, 1.08 * max(most, 1.0))


def residual_figure(outputs):
    """Show residuals before and after translation, a row for each output (Thomas+2024).

    Outputs that start from no input have only the column after translation; all
    columns of a row have one range. Numbers are the median and the robust sigma, 1.4826
    times the median absolute deviation.

    Parameters
    ----------
    outputs : sequence of Residuals

    Returns
    -------
    matplotlib Figure
    """
    n_columns = 1 + any(one.before is not None for one in outputs)
    figure = style.new_figure((4.2, 7.2)[n_columns - 1], _HEAD + _ROW * len(outputs))
    grid = figure.add_gridspec(
        len(outputs), 2 * n_columns, width_ratios=(3.2, 1.0) * n_columns
    )
    titles = dict(_TITLES)
    firsts = []
    for row, one in enumerate(outputs):
        columns = [k for k in _TITLES if getattr(one, k) is not None]
        box = _residual_box(one, [getattr(one, k) for k in columns])
        for k in columns:
            place = 2 * n_columns - (2 if k == "after" else 4)
            ax = figure.add_subplot(grid[row, place], xlim=box[0], ylim=box[1])
            side = figure.add_subplot(grid[row, place + 1], sharey=ax)
            _residual_cell(ax, side, one, k, titles.pop(k, ""))
            if k == columns[0]:
                firsts.append(ax)
            else:
                ax.set_ylabel("")
                ax.tick_params(labelleft=False)
    figure.align_ylabels(firsts)
    return figure


def _residual_cell(ax, side, one, kind, title):
    """Draw the residuals of one output before or after translation."""
    colour = AFTER if kind == "after" else BEFORE
    unit = _unit(one.name, one.unit)
    residuals(ax, side, one.given, getattr(one, kind), unit, colour)
    # A name longer than its panel is high stands below the panel only.
    short = len(split_name(one.name)[0]) <= _LONGEST
    words = r"$\Delta\,$" + (_symbol(one.name) if short else "")
    style.dress(
        *(ax, column_text(one.name, unit), _with_unit(words, one.name, unit), title)
    )
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 2.5, 5, 10)))
    style.dress(side)
    side.set_xticks([])
    side.tick_params(labelleft=False)


def _residual_box(one, columns):
    """Return the range of the given label and of all residuals of one output."""
    label, _ = split_name(one.name)
    low, high = style.limits(label, np.concatenate(columns), _RANGE)
    low, high = min(low, 0.0), max(high, 0.0)
    return (
        style.limits(label, one.given, (0.1, 99.9)),
        (low, high + _FOR_WORDS * (high - low)),
    )


def kiel_figure(stars):
    """Put Kiel diagrams of several sources of labels side by side, on the same axes.

    Colours are [Fe/H] if all sources have it: of each star, or its median where there
    are many. Else few stars are points and many a density.

    Parameters
    ----------
    stars : dict of str to (teff, logg, fe_h)
        Title of the panel to (N,) arrays, K, dex and dex; fe_h may be None.

    Returns
    -------
    matplotlib Figure
    """
    figure = style.new_figure(1.0 + 2.2 * len(stars), 3.4)
    axes = figure.subplots(1, len(stars), sharex=True, sharey=True, squeeze=False)[0]
    coloured = all(fe_h is not None for *_, fe_h in stars.values())
    box = tuple(_kiel_limits(name, stars, k) for k, name in enumerate(("teff", "logg")))
    norm = None
    if coloured:
        norm = Normalize(*style.limits("fe_h", _joined(stars, 2), (2, 98)))
    images = []
    for ax, (title, values) in zip(axes, stars.items(), strict=True):
        images.append(_kiel(ax, *values, box, norm))
        ax.set(xlim=box[0][::-1], ylim=box[1][::-1])
        style.dress(ax, style.label_text("teff"), "", style.plain(title))
        ax.xaxis.set_major_locator(MaxNLocator(4))
    axes[0].set_ylabel(style.label_text("logg"), fontsize=style.TITLE_SIZE)
    drawn = [k for k, image in enumerate(images) if image is not None]
    if coloured and drawn:
        style.colour_bar(images[drawn[-1]], axes, style.label_text("fe_h"))
    for k in () if coloured else drawn:
        style.colour_bar(images[k], axes[k], "Stars")
    return figure


def _kiel_limits(name, stars, k):
    """Return the range of values k: of few stars all, of many nearly all."""
    values = _joined(stars, k)
    few = len(values) <= style.FEW_STARS * len(stars)
    return style.limits(name, values, (0.0, 100.0) if few else _KIEL_PERCENTILES)


def _joined(stars, k):
    """Return values k of all panels, one after the other."""
    return np.concatenate([np.ravel(values[k]) for values in stars.values()])


def _kiel(ax, teff, logg, fe_h, box, norm):
    """Draw one Kiel diagram; return what has colours, or None."""
    if norm is None:
        return style.density(ax, teff, logg, range=box)
    teff, logg, fe_h = style.finite(teff, logg, fe_h)
    if not len(teff):
        style.nothing(ax)
        return None
    look = {"cmap": style.VALUES, "norm": norm}
    if len(teff) <= style.FEW_STARS:
        return ax.scatter(teff, logg, 9.0, fe_h, linewidths=0, **look)
    return ax.hexbin(
        *(teff, logg, fe_h),
        gridsize=_HEXAGONS,
        extent=(*box[0], *box[1]),
        reduce_C_function=np.median,
        linewidths=0.1,
        **look,
    )
