"""One-to-one plots of labels, and which files figures can be saved in."""

from pathlib import Path

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.ticker import MaxNLocator

from . import labels
from .errors import InputError
from .figures import style
from .spread import half_range


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

    Each panel says the mean and scatter, (P84 - P16) / 2, of inferred minus given.
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
        _, axes = style.panels(len(names), 2.5)
    if len(axes) != len(names):
        raise InputError(f"there are {len(axes)} axes for {len(names)} labels")
    for k, (axis, name) in enumerate(zip(axes, names, strict=True)):
        _panel(axis, true[:, k], inferred[:, k], name)
    return axes[0].figure


def _panel(axis, true, inferred, name):
    """Draw one label."""
    both = np.isfinite(true) & np.isfinite(inferred)
    if not both.any():
        raise InputError(
            f"label {name!r} has no star with a given and an inferred value"
        )
    true, inferred = true[both], inferred[both]
    low, high = _limits(true)
    if len(true) <= style.FEW_STARS:
        style.points(axis, true, inferred)
    else:
        axis.hexbin(
            *(true, inferred),
            gridsize=60,
            extent=(low, high, low, high),
            bins="log",
            mincnt=1,
            cmap=style.DENSITY,
            linewidths=0.1,
        )
    axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axis.plot((low, high), (low, high), color=style.INK, linewidth=0.8)
    beyond = np.count_nonzero((inferred < low) | (inferred > high))
    style.note(axis, _summary(inferred - true, labels.unit(name), beyond))
    style.dress(axis, *(style.label_text(name, of) for of in ("given", "inferred")))
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(MaxNLocator(4))


def _limits(true):
    """Return the range of a panel: that of the given labels, a little widened."""
    low, high = true.min(), true.max()
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def _summary(difference, unit, beyond):
    """Return the text of a panel."""
    half = half_range(difference)
    digits = labels.useful_digits(half)
    lines = [
        f"mean {difference.mean():+.{digits}f} {unit}",
        f"scatter {half:.{digits}f} {unit}",
        f"{len(difference):,} stars" + (f", {beyond:,} outside" if beyond else ""),
    ]
    return "\n".join(line.rstrip() for line in lines)
