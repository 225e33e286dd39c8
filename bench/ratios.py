"""How far what tells of slower kernels scatters: python -m bench.ratios.

Shows the processors of bench/baseline.json that measured all cases several times, with
the same code; instructions (bench/instructions.json) were counted twice. Fills its part
of docs/reliability.md.
"""

import sys

import numpy as np

from fastcannon.figures import style

from .compare import BASELINE, FACTOR, read_baseline
from .instructions import read_counts
from .reliability import WELL, WRONG, finish_rows, put_part, save

ABOVE = 100 * (FACTOR - 1)  # per cent


def main():
    """Draw the scatter, and write what it is."""
    known = scatter_of(read_baseline(BASELINE))
    save(ratios_figure(known), "ratios")
    put_part("ratios", ratios_text(known))


def scatter_of(known):
    """Return {machine: {name: (R,) ratios to their median}} of those measured often."""
    return {
        machine: {
            name: np.array(found) / np.median(found) for name, found in own.items()
        }
        for machine, own in known.items()
        if min(map(len, own.values())) > 1
    }


def ratios_text(known):
    """Return the scatter as the lines of the page.

    Parameters
    ----------
    known : dict of str to dict
        Of `scatter_of`.
    """
    lines = [
        "",
        "| processor | cases | rounds | scatter | above the gate | after repeats |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for machine, own in known.items():
        found = np.array(list(own.values()))
        low, high = np.percentile(found, (16, 84))
        once = np.count_nonzero(found > FACTOR)
        lines.append(
            f"| {machine} | {len(found)} | {found.shape[1]} "
            f"| {50 * (high - low):.1f} % | {once} of {found.size} "
            f"| {alarms(found)} of {len(found)} |"
        )
    counts = read_counts()
    lines += [
        "",
        f"Instructions of {len(counts['instructions'])} kernels, counted twice: the "
        f"largest difference is {100 * counts['spread']:.2g} %.",
    ]
    return "\n".join([*lines, ""])


def alarms(found):
    """Return how many cases the gate would call slower than their first measurement.

    Parameters
    ----------
    found : (C, R) array
        Ratios of every case, all of the same code.
    """
    return int(np.count_nonzero(np.median(found[:, 1:], axis=1) > FACTOR * found[:, 0]))


def ratios_figure(known):
    """Return the figure of the scatter: a row for each case, a dot for each round."""
    names = list(dict.fromkeys(name for own in known.values() for name in own))
    figure = style.new_figure(6.4, 0.8 + 0.14 * len(names))
    axes = figure.subplots()
    axes.axvline(0, color=style.FAINT, linewidth=1)
    axes.axvline(
        ABOVE, color=style.INK, linewidth=1, label=f"gate, {ABOVE:.0f} % slower"
    )
    for number, (machine, own) in enumerate(known.items()):
        slower = 100 * (np.array(list(own.values())) - 1)
        places = [[names.index(name)] for name in own]
        rows = np.broadcast_to(places, slower.shape)
        colours = np.where(slower.ravel() <= ABOVE, WELL, WRONG)
        marker = "osv^"[number % 4]
        axes.scatter(
            slower, rows, s=9, marker=marker, c=colours, alpha=0.7, label=machine
        )
    return finish_rows(figure, axes, names, "% slower than the median of its rounds")


if __name__ == "__main__":
    sys.exit(main())
