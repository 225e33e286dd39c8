"""Figures of quality: minima, chi2, distance to the training set, and flags."""

from typing import NamedTuple

import numpy as np
from matplotlib.ticker import NullLocator

from ..catalogue import FLAGS, clean
from . import style

_MOST_MINIMA = 5  # and more
_HISTOGRAM_BINS = 80
_OTHER_FLAGS = {
    "flag_Cannon_dist": "D large or unknown",
    "flag_spectra": "spectrum flagged",
    "flag_sp_aspcap": "survey's own flag",
    "flag_survey": "survey labels invalid",
    "flag_snr": "low S/N",
}


class Quality(NamedTuple):
    """What tells how well the spectra of a survey were fitted on one scale.

    Attributes
    ----------
    minima : (N,) int array
        Minima of chi2 within 9 of the lowest.
    r_chi2, snr : (N,) arrays
        Reduced chi2, and S/N per pixel.
    distance : (M,) array
        D of the catalogue's rows (Nandakumar+2022, eq. 5).
    flags : dict of str to int
        Of `flag_counts`.
    r_chi2_limit, distance_limit : float
        Above them a spectrum is flagged.
    """

    minima: np.ndarray
    r_chi2: np.ndarray
    snr: np.ndarray
    distance: np.ndarray
    flags: dict
    r_chi2_limit: float = np.nan
    distance_limit: float = np.nan


def flag_counts(rows):
    """Count the rows of a catalogue that have each flag.

    Parameters
    ----------
    rows : astropy Table or dict of str to (N,) array
        ``flag_id`` and all other flags of the catalogue, of one survey.

    Returns
    -------
    dict of str to int
        Words to rows, any bit of the surveys' flags, each bit of flag_fastcannon;
        first "all spectra" and "clean".
    """
    found = {"all spectra": len(rows["flag_id"]), "clean": int(clean(rows).sum())}
    for name, words in _OTHER_FLAGS.items():
        found[words] = int(np.count_nonzero(np.asarray(rows[name])))
    bits = np.asarray(rows["flag_fastcannon"])
    for name, bit in FLAGS.items():
        found[name.lower().replace("_", " ")] = int(np.count_nonzero(bits & bit))
    return found


def minima(ax, counts):
    """Draw which share of the spectra has one, two ... minima of chi2.

    Parameters
    ----------
    ax : matplotlib Axes
    counts : dict of survey to (N,) int array
        Minima of each spectrum; those with none, which have no labels, do not count.
    """
    shares = {survey: _shares(np.asarray(found)) for survey, found in counts.items()}
    there = [share[share > 0].min() for share in shares.values() if share.any()]
    if there:
        numbers = np.arange(1, _MOST_MINIMA + 1)
        width = 0.8 / len(counts)
        for k, share in enumerate(shares.values()):
            x = numbers + (k - (len(counts) - 1) / 2) * width
            bars = ax.bar(x, share, width, color=style.COLOURS[k])
            words = [f"{s:.2g}" if 0 < s < 99.5 else f"{s:.3g}" for s in share]
            ax.bar_label(bars, words, fontsize=style.TEXT_SIZE, rotation=90, padding=3)
        lowest = int(np.floor(np.log10(min(there))))
        ax.set_yscale("log")
        ax.set_ylim(10.0**lowest / 2, 3000.0)  # words need room above 100 %
        ax.set_yticks(10.0 ** np.arange(lowest, 3))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        names = [*(str(n) for n in numbers[:-1]), rf"$\geq${_MOST_MINIMA}"]
        ax.set_xticks(numbers, names)
    else:
        style.nothing(ax)
    style.dress(ax, r"minima of $\chi^2$", "share of spectra (%)")


def _shares(found):
    """Return the share of spectra with 1, 2 ... minima in percent, (5,) array."""
    found = np.minimum(found[found > 0], _MOST_MINIMA).astype(np.int64)
    number = np.bincount(found, minlength=_MOST_MINIMA + 1)[1:]
    return number * 100.0 / max(len(found), 1)


def distribution(ax, samples, limits, x):
    """Draw how a positive number is distributed in each survey, and its limit.

    Parameters
    ----------
    ax : matplotlib Axes
    samples : dict of survey to (N,) array
        Such as the reduced chi2, or D; without unit. Those not finite or not positive
        are left out.
    limits : dict of survey to float
        Drawn as dashed lines; NaN: none.
    x : str
        Words for the axis.
    """
    logs = {survey: _log(values) for survey, values in samples.items()}
    everything = np.concatenate([*logs.values(), np.array([])])
    if not len(everything):
        style.nothing(ax)
    else:
        low, high = style.limits("", everything, (0.05, 99.95))
        edges = np.logspace(low, high, _HISTOGRAM_BINS + 1)
        for k, (survey, values) in enumerate(logs.items()):
            _histogram(ax, 10**values, edges, limits[survey], style.COLOURS[k])
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(bottom=0.7)
        for axis in (ax.xaxis, ax.yaxis):
            style.plain_log(axis, (1,))
    style.dress(ax, x, "spectra per bin")


def _log(values):
    """Return log10 of those values that have one."""
    values = np.asarray(values, dtype=float)
    return np.log10(values[np.isfinite(values) & (values > 0)])


def _histogram(ax, values, edges, limit, colour):
    """Draw the numbers of one survey, those beyond the edges in the outermost bins."""
    values = np.clip(values, edges[0], edges[-1])
    ax.hist(values, edges, histtype="step", color=colour, linewidth=1.2)
    if np.isfinite(limit):
        ax.axvline(limit, color=colour, linewidth=1.0, linestyle="dashed")


def chi2_snr(ax, r_chi2, snr, limit=np.nan, title="", survey=0):
    """Draw the reduced chi2 of spectra against their S/N, with the limit.

    Parameters
    ----------
    ax : matplotlib Axes
    r_chi2, snr : (N,) arrays
        Without unit, and per pixel; those not finite or not positive are left out.
    limit : float
        A dashed line; NaN: none.
    title : str
    survey : int
        0 or 1: the first or the second, for the symbol of few stars.
    """
    x, y = style.finite(snr, r_chi2)
    there = (x > 0) & (y > 0)
    x, y = np.log10(x[there]), np.log10(y[there])
    wide = style.limits("", x, (0.1, 99.9)), style.limits("", y, (0.1, 99.9))
    style.density(
        *(ax, x, y),
        range=wide,
        colour=style.COLOURS[survey],
        marker=style.MARKERS[survey],
    )
    if np.isfinite(limit) and len(x):
        ax.axhline(
            np.log10(limit),
            color=style.INK,
            linewidth=1.0,
            linestyle="dashed",
            path_effects=style.HALO,
            zorder=3,
        )
    words = r"$\log_{10}$ S/N per pixel", r"$\log_{10}\,\chi^2_\mathrm{r}$"
    style.dress(ax, *words, title)


def flags(ax, counts):
    """Draw how many spectra have each flag, as bars with their numbers.

    Parameters
    ----------
    ax : matplotlib Axes
    counts : dict of survey to dict of str to int
        Of `flag_counts`; the first survey's words are those of all.
    """
    words = list(next(iter(counts.values()), {}))
    most = max((max(found.values(), default=0) for found in counts.values()), default=0)
    if not most:
        style.nothing(ax)
        style.dress(ax, "spectra")
        return
    height = 0.8 / len(counts)
    for k, found in enumerate(counts.values()):
        y = np.arange(len(words)) + (k - (len(counts) - 1) / 2) * height
        n = [found.get(word, 0) for word in words]
        bars = ax.barh(y, n, height, color=style.COLOURS[k])
        numbers = [f"{value:,}" for value in n]
        ax.bar_label(bars, numbers, fontsize=style.TEXT_SIZE, padding=3)
    # Linear below 1, so that a count of none has a place.
    ax.set_xscale("symlog", linthresh=1.0, linscale=0.3)
    ax.set_xlim(0.0, 8 * most)
    ax.set_yticks(range(len(words)), words)
    ax.invert_yaxis()
    style.dress(ax, "spectra")
    ax.grid(visible=False, axis="y")


def convergence_figure(qualities, scale):
    """Put minima, chi2, D and flags of all surveys on one scale together.

    Parameters
    ----------
    qualities : dict of survey to Quality
    scale : str

    Returns
    -------
    matplotlib Figure
    """
    figure = style.new_figure(7.2, 9.0)
    grid = figure.add_gridspec(3, 2, height_ratios=(1.0, 1.0, 1.9))
    top = [figure.add_subplot(grid[0, k]) for k in (0, 1)]
    minima(top[0], {s: q.minima for s, q in qualities.items()})
    chi2 = {s: q.r_chi2 for s, q in qualities.items()}
    limits = {s: q.r_chi2_limit for s, q in qualities.items()}
    distribution(top[1], chi2, limits, r"reduced $\chi^2$")
    middle = grid[1, :].subgridspec(1, len(qualities) + 1)
    for k, (survey, q) in enumerate(qualities.items()):
        ax = figure.add_subplot(middle[k])
        title = style.survey_text(survey)
        chi2_snr(ax, q.r_chi2, q.snr, q.r_chi2_limit, title, k)
    far = {s: q.distance for s, q in qualities.items()}
    limits = {s: q.distance_limit for s, q in qualities.items()}
    distribution(figure.add_subplot(middle[-1]), far, limits, "distance $D$")
    bottom = figure.add_subplot(grid[2, :])
    flags(bottom, {s: q.flags for s, q in qualities.items()})
    names = [style.survey_text(s) for s in qualities]
    style.survey_legend(figure, names, f"{style.survey_text(scale)} scale")
    return figure
