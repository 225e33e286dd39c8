"""Figures. They are made without pyplot: no global state, no window, no settings."""

import math
from pathlib import Path

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import labels
from .errors import InputError

FEW_STARS = 1000  # up to here each star is a point, beyond it a density
INK, POINTS, GRID = "#1a1a1a", "#0072b2", "#d9d9d9"  # Okabe & Ito's blue


def check_format(path):
    """Refuse a file name whose ending is no format that figures can be saved in.

    Raises
    ------
    InputError
    """
    known = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in known:
        raise InputError(
            f"{path}: the name of a figure must end in one of "
            f"{', '.join('.' + name for name in sorted(known))}"
        )


def one_to_one(true, inferred, names, axes=None):
    """Draw inferred against given labels, one panel for each label.

    Each panel says the mean difference and half the 16 to 84 percentile range.
    Its range is that of the given labels; stars inferred beyond it are counted
    in the panel.

    Parameters
    ----------
    true, inferred : (S, K) arrays
        In the labels' own units; stars with a value that is not finite are left out.
    names : sequence of K str
    axes : sequence of K matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        Shapes disagree, or a label has no finite pair of values.
    """
    true, inferred = np.asarray(true, dtype=float), np.asarray(inferred, dtype=float)
    if true.ndim != 2 or true.shape != inferred.shape or true.shape[1] != len(names):
        raise InputError(
            f"true has shape {true.shape}, inferred {inferred.shape} and there are "
            f"{len(names)} names; (stars, labels) twice and one name a label are needed"
        )
    if axes is None:
        axes = _new_axes(len(names))
    if len(axes) != len(names):
        raise InputError(f"there are {len(axes)} axes for {len(names)} labels")
    for k, (axis, name) in enumerate(zip(axes, names, strict=True)):
        _panel(axis, true[:, k], inferred[:, k], name)
    return axes[0].figure


def _new_axes(count):
    """Return ``count`` square panels of a new figure, at most three in a row."""
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(3.6 * columns, 3.6 * rows), dpi=150, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in grid[count:]:
        unused.remove()
    return list(grid[:count])


def _panel(axis, true, inferred, name):
    """Draw one label."""
    both = np.isfinite(true) & np.isfinite(inferred)
    if not both.any():
        raise InputError(
            f"label {name!r} has no star with a given and an inferred value"
        )
    true, inferred = true[both], inferred[both]
    low, high = _limits(true)
    axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axis.set_axisbelow(True)
    axis.grid(color=GRID, linewidth=0.5)
    if len(true) <= FEW_STARS:
        size = 14.0 if len(true) <= 200 else 5.0
        axis.scatter(true, inferred, s=size, color=POINTS, alpha=0.5, linewidths=0)
    else:
        extent = (low, high, low, high)
        axis.hexbin(
            true,
            inferred,
            gridsize=60,
            extent=extent,
            bins="log",
            mincnt=1,
            cmap="viridis_r",
            linewidths=0.1,
        )
    axis.plot((low, high), (low, high), color=INK, linewidth=0.8)
    beyond = np.count_nonzero((inferred < low) | (inferred > high))
    axis.text(
        0.04,
        0.96,
        _summary(inferred - true, labels.unit(name), beyond),
        transform=axis.transAxes,
        va="top",
        fontsize=8,
        color=INK,
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 2},
    )
    title = labels.symbol(name)
    if labels.unit(name):
        title += f" [{labels.unit(name)}]"
    axis.set_xlabel(f"given {title}")
    axis.set_ylabel(f"inferred {title}")
    axis.tick_params(direction="in", top=True, right=True, labelsize=8)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(MaxNLocator(5))


def _limits(true):
    """Return the range of a panel: that of the given labels, a little widened."""
    low, high = true.min(), true.max()
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def _summary(difference, unit, beyond):
    """Return the text of a panel."""
    low, high = np.percentile(difference, (16, 84))
    half = (high - low) / 2
    # Three digits of the spread: 87.3, 4.21, 0.0532.
    digits = max(0, 2 - math.floor(math.log10(half))) if half > 0 else 3
    lines = [
        f"mean {difference.mean():+.{digits}f} {unit}",
        f"(P84 - P16)/2 = {half:.{digits}f} {unit}",
        f"{len(difference):,} stars" + (f", {beyond:,} outside" if beyond else ""),
    ]
    return "\n".join(line.rstrip() for line in lines)
