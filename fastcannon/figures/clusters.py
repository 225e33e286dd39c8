"""Clusters: Kiel diagrams with isochrones, abundances against Teff and log g.

Columns are clusters, rows the sources of the labels: the pipelines, then each scale
(Nandakumar+2022, figs 10 to 14). Functions take the table of
`fastcannon.clusters.cluster_stars`.
"""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..clusters import PIPELINES, sources
from ..isochrones import Isochrone
from . import style

PER_PAGE = 4  # clusters: with three rows 12 panels
METALLICITY_RANGE = 0.3  # dex, of the colours
_MARKER_SIZE = 13.0
_LEAST_HEIGHT = 0.25  # label units to both sides of the median, in abundance panels


def pages(clusters, per_page=PER_PAGE):
    """Return clusters in groups of as many as a page can show.

    Parameters
    ----------
    clusters : sequence of str
    per_page : int

    Returns
    -------
    list of list of str
    """
    count = max(1, -(-len(clusters) // per_page))
    # Nearly equal pages: no last one with a single cluster.
    groups = np.array_split(np.array(clusters, dtype=str), count)
    return [group.tolist() for group in groups]


def cluster_kiel(ax, stars, surveys, source, colour=None, isochrone=None):
    """Draw the Kiel diagram of one cluster (Nandakumar+2022, figs 10 and 11).

    More than 1000 stars are a density.

    Parameters
    ----------
    ax : matplotlib Axes
    stars : astropy Table
        Of the cluster: survey, ``teff_<source>`` (K), ``logg_<source>`` (dex).
    surveys : sequence of str
        In the order of their colours and markers.
    source : str
        "pipelines" or a scale.
    colour : (N,) array, dex, optional
        Colours of the stars from -0.3 to 0.3: [Fe/H] minus that of the cluster;
        default: the surveys' colours.
    isochrone : Isochrone, optional
        A line.
    """
    teff, logg = (_numbers(stars[f"{name}_{source}"]) for name in ("teff", "logg"))
    shown = np.isfinite(teff) & np.isfinite(logg)
    if isochrone is not None:
        ax.plot(isochrone.teff, isochrone.logg, color=style.INK, lw=0.9, zorder=1)
    if not shown.any() or np.count_nonzero(shown) > style.FEW_STARS:
        style.density(ax, teff, logg)
        return
    for k, survey in enumerate(surveys):
        own = shown & (np.asarray(stars["survey"]) == survey)
        if not own.any():
            continue
        # Stars without a metallicity keep the middle of the colours.
        tint = style.COLOURS[k] if colour is None else np.nan_to_num(colour[own])
        ax.scatter(
            *(teff[own], logg[own]),
            s=_MARKER_SIZE,
            c=tint,
            marker=style.MARKERS[k],
            linewidths=0.5,
            edgecolors=style.COLOURS[k],
            **({} if colour is None else _COLOURS),
        )


# Purple to green: the surveys have blue and orange.
_COLOURS = {
    "cmap": "PRGn",
    "norm": Normalize(-METALLICITY_RANGE, METALLICITY_RANGE),
}


def cluster_kiel_figure(stars, clusters, isochrones=None, metallicity="fe_h"):
    """Return Kiel diagrams of clusters on all scales (Nandakumar+2022, figs 10, 11).

    Rows: pipelines, then each scale. Colours: metallicity minus the median of the
    pipelines' in that cluster, so that a colour means the same in all panels.

    Parameters
    ----------
    stars : astropy Table
        As `cluster_stars` returns, with teff and logg.
    clusters : sequence of str
        A page of them: see `pages`.
    isochrones : dict of str to (Isochrone or None, str), optional
        As `cluster_isochrones` returns; where there is none the panel says so.
    metallicity : str or None
        Its label; None where the catalogues have none.

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = _grid(stars, clusters)
    colours = []
    for k, cluster in enumerate(clusters):
        own = _of(stars, cluster)
        isochrone, _ = (isochrones or {}).get(cluster, (None, ""))
        box = _kiel_box(own, sources(stars), isochrone)
        for row, source in enumerate(sources(stars)):
            ax = axes[row, k]
            colour = _colour(own, metallicity, source)
            cluster_kiel(ax, own, stars.meta["surveys"], source, colour, isochrone)
            colours.append(colour)
            _finish(ax, row, k, axes.shape[0], cluster, source, "teff", "logg")
            if isochrones is not None and isochrone is None and row == 0:
                style.note(ax, "no isochrone")
            ax.set(xlim=box[0], ylim=box[1])
    if metallicity is not None:
        drawn = ScalarMappable(**_COLOURS)
        drawn.set_array(np.nan_to_num(np.concatenate([[0.0], *colours])))
        words = f"{style.label_text(metallicity)} minus cluster's median"
        style.colour_bar(drawn, list(axes.ravel()), words)
    filled = metallicity is None
    _legend(figure, stars.meta["surveys"], isochrones, filled)
    return figure


def cluster_abundance(ax, stars, surveys, source, y="fe_h", x="teff"):
    """Draw a label of one cluster against another, with the surveys' medians.

    More than 1000 stars are a density.

    Parameters
    ----------
    ax : matplotlib Axes
    stars : astropy Table
        Of the cluster: survey, ``<x>_<source>``, ``<y>_<source>``, label units.
    surveys : sequence of str
        In the order of their colours and markers.
    source : str
        "pipelines" or a scale.
    y, x : str
        Labels (Nandakumar+2022, figs 12 to 14).
    """
    across, up = _numbers(stars[f"{x}_{source}"]), _numbers(stars[f"{y}_{source}"])
    shown = np.isfinite(across) & np.isfinite(up)
    dense = np.count_nonzero(shown) > style.FEW_STARS
    if dense or not shown.any():
        style.density(ax, across, up)
    for k, survey in enumerate(surveys):
        own = shown & (np.asarray(stars["survey"]) == survey)
        if not own.any():
            continue
        if not dense:
            style.points(ax, across[own], up[own], style.COLOURS[k], style.MARKERS[k])
        ax.axhline(np.median(up[own]), color=style.COLOURS[k], lw=1.2, ls=(0, (4, 2)))


def cluster_abundance_figure(stars, clusters, y="fe_h", x="teff"):
    """Return a label against Teff or log g of clusters (Nandakumar+2022, figs 12-14).

    Rows: pipelines, then each scale; dashed: the median of each survey's stars.

    Parameters
    ----------
    stars : astropy Table
        As `cluster_stars` returns, with x and y.
    clusters : sequence of str
        A page of them: see `pages`.
    y, x : str
        Labels.

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = _grid(stars, clusters)
    for k, cluster in enumerate(clusters):
        own = _of(stars, cluster)
        box = [_box(own, sources(stars), x), _abundance_box(own, sources(stars), y)]
        for row, source in enumerate(sources(stars)):
            ax = axes[row, k]
            cluster_abundance(ax, own, stars.meta["surveys"], source, y, x)
            _finish(ax, row, k, axes.shape[0], cluster, source, x, y)
            # Both temperature and gravity fall to the right, as in Kiel diagrams.
            ax.set(xlim=box[0][::-1], ylim=box[1])
            up = _numbers(own[f"{y}_{source}"])
            if beyond := np.count_nonzero((up < box[1][0]) | (up > box[1][1])):
                style.note(ax, f"{beyond} outside")
    _legend(figure, stars.meta["surveys"])
    return figure


def _grid(stars, clusters):
    """Return a figure and its panels, (sources, clusters)."""
    rows, columns = len(sources(stars)), max(1, len(clusters))
    figure = style.new_figure(7.2, 0.6 + 1.75 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex="col", sharey="col")
    return figure, axes


def _of(stars, cluster):
    return stars[np.asarray(stars["cluster"]) == cluster]


def _numbers(values):
    return np.asarray(values, dtype=float)


def _box(own, found, name):
    """Return the range of a label in all rows of a cluster."""
    values = np.concatenate([_numbers(own[f"{name}_{source}"]) for source in found])
    return style.limits(name, values, (0.0, 100.0))


def _abundance_box(own, found, name):
    """Return the range of an abundance: a star of the field must not stretch it."""
    values = np.concatenate([_numbers(own[f"{name}_{source}"]) for source in found])
    values = values[np.isfinite(values)]
    if not len(values):
        return style.limits(name, values)
    low, middle, high = np.percentile(values, (16, 50, 84))
    half = max(_LEAST_HEIGHT, 2.0 * (high - low))
    return middle - half, middle + half


def _kiel_box(own, found, isochrone):
    """Return the ranges of Teff and log g, reversed, with a margin for the line."""
    box = []
    for name, margin in (("teff", 200.0), ("logg", 0.3)):
        low, high = _box(own, found, name)
        box.append((high + margin, low - margin))
    return box


def _colour(own, metallicity, source):
    """Return metallicities minus their median by the pipelines (N,), or None."""
    if metallicity is None:
        return None
    middle = _numbers(own[f"{metallicity}_{PIPELINES}"])
    middle = middle[np.isfinite(middle)]
    middle = np.median(middle) if len(middle) else np.nan
    return _numbers(own[f"{metallicity}_{source}"]) - middle


def _finish(ax, row, column, rows, cluster, source, x, y):
    """Give a panel its words: only those at the edges of the figure have labels."""
    last, first = row == rows - 1, column == 0
    row_name = source if source == PIPELINES else f"{style.survey_text(source)}-scaled"
    style.dress(
        ax,
        style.label_text(x) if last else "",
        f"{row_name}\n{style.label_text(y)}" if first else "",
        style.plain(cluster) if row == 0 else "",
    )
    for axis, most in ((ax.xaxis, 3), (ax.yaxis, 5)):
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))


def _legend(figure, surveys, isochrones=None, filled=True):
    """Say which marker is which survey, above all panels."""
    handles = [
        Line2D(
            *([], []),
            color=style.COLOURS[k],
            marker=style.MARKERS[k],
            fillstyle="full" if filled else "none",
            ls="none",
            ms=5,
            label=f"{style.survey_text(survey)} spectra",
        )
        for k, survey in enumerate(surveys)
    ]
    if isochrones and any(isinstance(one, Isochrone) for one, _ in isochrones.values()):
        handles.append(Line2D([], [], color=style.INK, lw=0.9, label="isochrone"))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        fontsize=style.TEXT_SIZE,
        frameon=False,
    )
