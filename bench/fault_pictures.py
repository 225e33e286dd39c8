"""The figures of docs/reliability.md: what was done to the program, what came of it."""

from collections import Counter

import numpy as np

from fastcannon.figures import style

from .fault_flips import OUTCOMES
from .fault_kills import SAME
from .fault_stops import FITS, KEPT
from .reliability import WELL, WRONG, finish_rows

SIGNS = {"SIGKILL": "o", "SIGINT": "^", "SIGTERM": "s"}
WORDS = {
    "SIGKILL": "kill -9",
    "SIGINT": "Ctrl-C",
    "SIGTERM": "SIGTERM",
}


def kills_figure(kills, signals):
    """Return the figure of kills: moment against the step that was hit.

    Parameters
    ----------
    kills : list of Kill
    signals : sequence of str
        Which of them are shown, each with its symbol.
    """
    kills = [kill for kill in kills if kill.signal in signals]
    steps = list(dict.fromkeys(_step(kill) for kill in sorted(kills, key=_order)))
    figure = style.new_figure(6.4, 0.7 + 0.24 * len(steps))
    axes = figure.subplots()
    chance = np.random.default_rng(0)
    for name in signals:
        for good in (True, False):
            chosen = [
                kill
                for kill in kills
                if kill.signal == name and (kill.outcome == SAME) == good
            ]
            if not chosen:
                continue
            x = [kill.seconds for kill in chosen]
            y = [steps.index(_step(kill)) for kill in chosen]
            axes.scatter(
                x,
                np.array(y, dtype=float) + chance.uniform(-0.25, 0.25, len(y)),
                s=14,
                marker=SIGNS[name],
                color=WELL if good else WRONG,
                label=f"{WORDS[name]}: {len(x)}, {SAME if good else 'other bytes'}",
                alpha=0.8,
                linewidths=0,
            )
    return finish_rows(figure, axes, steps, "seconds after the start of the command")


def flips_figure(flips):
    """Return the figure of flipped bits: bars of outcomes by kind of file."""
    kinds = list(dict.fromkeys(flip.kind for flip in flips))
    counts = Counter((flip.kind, flip.outcome) for flip in flips)
    figure = style.new_figure(6.4, 0.8 + 0.19 * len(kinds))
    axes = figure.subplots()
    left = np.zeros(len(kinds))
    colours = (WELL, style.COLOURS[5], WRONG, style.INK)
    for outcome, colour in zip(OUTCOMES, colours, strict=True):
        width = np.array([counts[kind, outcome] for kind in kinds])
        label = f"{outcome}: {width.sum():,}"
        axes.barh(
            range(len(kinds)), width, left=left, color=colour, label=label, height=0.7
        )
        left += width
    return finish_rows(figure, axes, kinds, "flipped bits")


def disks_figure(fills):
    """Return the figure of full disks: room against command."""
    commands = list(dict.fromkeys(one.command for one in fills))
    figure = style.new_figure(6.4, 0.8 + 0.24 * len(commands))
    axes = figure.subplots()
    looks = {KEPT: (WELL, "o"), FITS: (style.FAINT, "."), "wrong": (WRONG, "X")}
    for outcome, (colour, marker) in looks.items():
        chosen = [one for one in fills if one.outcome.startswith(outcome)]
        if not chosen:
            continue
        axes.scatter(
            [100 * one.share for one in chosen],
            [commands.index(one.command) for one in chosen],
            color=colour,
            marker=marker,
            s=26,
            label=f"{outcome}: {len(chosen)}",
        )
    what = "room on the disk, % of what the command writes"
    return finish_rows(figure, axes, commands, what)


def checks_figure(checks):
    """Return the figure of all other faults: one line each, well or not."""
    figure = style.new_figure(6.4, 0.4 + 0.2 * len(checks))
    axes = figure.subplots()
    colours = [WELL if one.well else WRONG for one in checks]
    axes.scatter(np.zeros(len(checks)), range(len(checks)), color=colours, s=40)
    for number, one in enumerate(checks):
        words = style.plain(one.what) + ("" if one.well else ": NOT as it should be")
        axes.text(0.03, number, words, va="center", fontsize=style.TEXT_SIZE)
    axes.set_xlim(-0.03, 1)
    axes.set_ylim(len(checks) - 0.5, -0.5)
    axes.set_axis_off()
    return figure


def _step(kill):
    return kill.step if kill.step == kill.command else f"{kill.command}: {kill.step}"


def _order(kill):
    """Sort steps by command and the moment at which they come."""
    from .fault_ground import STEPS

    steps = [step for step, _ in STEPS]
    place = steps.index(kill.step) if kill.step in steps else -1
    return kill.command != "run", kill.command, place
