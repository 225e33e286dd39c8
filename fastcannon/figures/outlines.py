"""What stands for many stars: contours of their density and running medians."""

import numpy as np
from scipy.ndimage import gaussian_filter

from . import style

LEAST_IN_BIN = 20  # stars for a running median
_LEAST_FOR_CONTOURS = 100
_BINS, _BLUR = 60, 1.0  # of the histogram that contours are drawn from
_PERCENTILES = (0.1, 99.9)  # odd values beyond do not make its bins coarse
_SHARES = (0.95, 0.68)  # of the stars inside a contour


def contours(ax, x, y, colour=style.INK):
    """Draw lines around 68 % (solid) and 95 % (dashed) of the stars; few as points.

    Parameters
    ----------
    ax : matplotlib Axes
        Its limits are kept.
    x, y : (N,) arrays, the units of the axes
        Stars with a value that is not finite are left out.
    colour : str
    """
    x, y = style.finite(x, y)
    box = ax.axis()
    if 0 < len(x) < _LEAST_FOR_CONTOURS:
        style.points(ax, x, y, colour, "o")
    elif len(x):
        spans = [style.limits("", values, _PERCENTILES) for values in (x, y)]
        # A margin of empty bins: no line ends at the edge of the histogram.
        wide = [(a - (b - a) / 10, b + (b - a) / 10) for a, b in spans]
        counts, *edges = np.histogram2d(x, y, bins=_BINS, range=wide)
        counts = gaussian_filter(counts, _BLUR)
        centres = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
        levels = _levels(counts)
        lines = ax.contour(*centres, counts.T, levels, colors=colour, zorder=3)
        lines.set(linestyles=["dashed", "solid"][-len(levels) :], linewidths=1.3)
        lines.set_path_effects(style.HALO)
    ax.axis(box)


def _levels(counts):
    """Return the heights above which 95 and 68 % of the counts lie, increasing."""
    heights = np.sort(counts.ravel())[::-1]
    inside = np.cumsum(heights)
    found = [heights[np.searchsorted(inside, s * inside[-1])] for s in _SHARES]
    return np.unique(found)


def profile(x, y, edges):
    """Return the running median of y and its 16 and 84 percentiles in bins of x.

    Parameters
    ----------
    x, y : (N,) arrays
        Stars with a value that is not finite are left out.
    edges : (B + 1,) array, the unit of x
        Increasing.

    Returns
    -------
    centre, p16, median, p84 : (M,) arrays
        Of the bins with 20 stars or more, at the median x of each.
    """
    x, y = style.finite(x, y)
    which = np.searchsorted(edges, x, side="right") - 1
    rows = []
    for b in range(len(edges) - 1):
        inside = which == b
        if np.count_nonzero(inside) >= LEAST_IN_BIN:
            rows.append([np.median(x[inside]), *np.percentile(y[inside], (16, 50, 84))])
    return tuple(np.array(rows).reshape(-1, 4).T)
