"""Figures of a translator's networks: their losses, and what their inputs matter."""

from itertools import pairwise

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from . import style
from .translation import column_text

_WORDS_FIT = 5.0  # percent: a narrower segment has no number
_MOST_COLUMNS = 4  # of a legend
_PALER = 0.55  # colours of inputs beyond the sixth
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue


def history_figure(history):
    """Show the losses of trained and of held-out stars against the epoch.

    Thin lines are networks, thick ones their median, for which a network that has
    stopped keeps its last losses. Dashed lines are where a new learning rate began, if
    a network had stopped before.

    Parameters
    ----------
    history : (epochs, 2, E) array
        Mean absolute error of trained and of held-out stars, standardised; NaN after a
        network has stopped.

    Returns
    -------
    matplotlib Figure
    """
    history = np.asarray(history, dtype=float)
    history = np.where(history > 0, history, np.nan)
    figure = style.new_figure(5.4, 3.6)
    ax = figure.subplots()
    style.dress(ax, "Epoch", "Mean absolute error (standardised)")
    if not np.isfinite(history).any():
        style.nothing(ax, "no losses")
        return figure
    epoch = np.arange(1, len(history) + 1)
    for k, (words, colour) in enumerate(zip(_LOSSES, style.COLOURS, strict=False)):
        losses = history[:, k]
        middle = np.median(_last_kept(losses), axis=1)
        ax.plot(epoch, losses, color=colour, alpha=0.4, linewidth=0.6)
        look = {"linewidth": 2.0, "path_effects": style.HALO, "label": words}
        ax.plot(epoch, middle, color=colour, **look)
    look = {"color": style.FAINT, "linewidth": 0.8, "linestyle": "dashed"}
    for k, step in enumerate(learning_steps(history)):
        words = "" if k else "new learning rate"
        ax.axvline(step + 0.5, label=words, zorder=1.5, **look)
    ax.set_yscale("log")
    style.plain_log(ax.yaxis, tuple(range(1, 10)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(
        fontsize=style.TEXT_SIZE,
        facecolor="white",
        edgecolor="none",
        title=f"{history.shape[2]} networks and their median",
        title_fontsize=style.TEXT_SIZE,
    )
    return figure


_LOSSES = ("stars trained on", "stars held out")


def _last_kept(losses):
    """Return losses (epochs, E) with a network's last one after it has stopped."""
    kept = losses.copy()
    for before, now in pairwise(kept):
        now[np.isnan(now)] = before[np.isnan(now)]
    return kept


def learning_steps(history):
    """Return the numbers of epochs after which a network that had stopped went on.

    Parameters
    ----------
    history : (epochs, 2, E) array
        NaN after a network has stopped, until the next learning rate.

    Returns
    -------
    (M,) int array
    """
    running = np.isfinite(history[:, 1])
    return 1 + np.flatnonzero((running[1:] & ~running[:-1]).any(axis=1))


def importance_figure(table):
    """Show what each input contributes to each output, as stacked percentages.

    Parameters
    ----------
    table : astropy Table
        Of `fastcannon.translate.Translator.importance`: ``input`` and, for each
        output, ``<output>_percent``.

    Returns
    -------
    matplotlib Figure
    """
    end = "_percent"
    names = [name[: -len(end)] for name in table.colnames if name.endswith(end)]
    lines = -(-len(table) // _MOST_COLUMNS)  # of the legend
    figure = style.new_figure(7.2, 0.9 + 0.42 * len(names) + 0.18 * lines)
    ax = figure.subplots()
    rows, left, bars = np.arange(len(names)), np.zeros(len(names)), []
    for k in range(len(table)):
        share = np.array([table[name + end][k] for name in names], dtype=float)
        bars.append(_segments(ax, rows, share, left, k))
        left += share
    style.dress(ax, "Share of mean absolute Shapley values (%)")
    ax.set_yticks(rows, [_without_unit(name) for name in names])
    ax.set(xlim=(0.0, 100.0), ylim=(len(names) - 0.4, -0.6))
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0, labelsize=style.TITLE_SIZE)
    # Legends are filled column by column, but read line by line.
    columns = -(-len(table) // lines)
    order = [k for first in range(columns) for k in range(len(table))[first::columns]]
    figure.legend(
        [bars[k] for k in order],
        [_without_unit(table["input"][k]) for k in order],
        loc="outside upper center",
        ncols=columns,
        fontsize=style.TEXT_SIZE,
        frameon=False,
    )
    return figure


def _segments(ax, rows, share, left, k):
    """Draw the segments of input k, with their numbers where they are wide enough."""
    turn, which = divmod(k, len(style.COLOURS))
    tint = _PALER * (turn % 2)  # of white
    colour = (1 - tint) * np.array(to_rgb(style.COLOURS[which])) + tint
    look = {"edgecolor": "white", "linewidth": 0.8}
    bars = ax.barh(rows, share, 0.72, left, color=colour, **look)
    dark = colour @ _LUMINANCE < 0.5
    ax.bar_label(
        *(bars, [f"{s:.0f}" if s >= _WORDS_FIT else "" for s in share]),
        label_type="center",
        fontsize=style.TEXT_SIZE,
        color="white" if dark else style.INK,
    )
    return bars


def _without_unit(name):
    """Return the words for a column, whose unit does not matter here."""
    return column_text(name, unit=None)
