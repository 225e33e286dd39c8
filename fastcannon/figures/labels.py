"""Figures of labels: Kiel diagrams, differences, cross-validation and precision."""

import numpy as np

from ..cuts import get_numbers
from ..differences import mean_and_scatter
from ..labels import unit, useful_digits
from ..plots import one_to_one
from ..repeats import Decay
from . import style
from .outlines import contours, profile

_KIEL_PERCENTILES = (0.1, 99.9)  # the rare coolest giants are wanted, too
_PROFILE_BINS = 16
_FOR_WORDS = 0.2  # of a panel's height above the stars


def kiel(ax, teff, logg, training_teff, training_logg, title="", survey=0, box=None):
    """Draw log g against Teff of all stars, with contours of the training stars.

    Nandakumar+2022, fig. 1. Both axes are reversed; contours hold 68 % (solid) and
    95 % (dashed) of the training stars.

    Parameters
    ----------
    ax : matplotlib Axes
    teff, logg : (N,) arrays, K and dex
        Stars with a value that is not finite are left out.
    training_teff, training_logg : (T,) arrays, K and dex
    title : str
    survey : int
        0 or 1: the first or the second, for the symbol of few stars.
    box : ((float, float), (float, float)), optional
        Range of Teff (K) and log g (dex); default: that of the stars.

    Returns
    -------
    AxesImage or None
        For a colour bar; None where stars are points.
    """
    box = box or _kiel_box([(teff, logg)])
    image = style.density(
        *(ax, teff, logg),
        bins=(100, 100),
        range=box,
        colour=style.COLOURS[survey],
        marker=style.MARKERS[survey],
    )
    contours(ax, training_teff, training_logg)
    ax.set(xlim=box[0][::-1], ylim=box[1][::-1])
    style.dress(ax, style.label_text("teff"), style.label_text("logg"), title)
    return image


def kiel_figure(stars, training):
    """Put the Kiel diagrams of surveys side by side (Nandakumar+2022, fig. 1).

    Parameters
    ----------
    stars, training : dict of survey to (teff, logg)
        (N,) and (T,) arrays, K and dex; a survey may be missing in ``training``.

    Returns
    -------
    matplotlib Figure
    """
    figure = style.new_figure(7.2, 3.8)
    axes = figure.subplots(1, len(stars), sharex=True, sharey=True, squeeze=False)[0]
    box = _kiel_box(stars.values())
    for k, (ax, (survey, values)) in enumerate(zip(axes, stars.items(), strict=True)):
        count = len(style.finite(*values)[0])
        title = f"{style.survey_text(survey)}: {count:,} spectra"
        image = kiel(ax, *values, *training.get(survey, ([], [])), title, k, box)
        if image:
            style.colour_bar(image, ax, "Spectra")
        if k:
            ax.set_ylabel("")
    return figure


def _kiel_box(pairs):
    """Return the range of Teff and log g that holds nearly all stars."""
    teff, logg = (np.concatenate([np.ravel(pair[k]) for pair in pairs]) for k in (0, 1))
    return (
        style.limits("teff", teff, _KIEL_PERCENTILES),
        style.limits("logg", logg, _KIEL_PERCENTILES),
    )


def differences(ax, x, difference, name, box):
    """Draw differences of a label against another, with their running median.

    Black lines are the median and the 16 and 84 percentiles in bins of 20 stars or
    more; the panel says mu, the mean, and sigma, (P84 - P16) / 2, of all stars.

    Parameters
    ----------
    ax : matplotlib Axes
    x : (N,) array, the unit of the axis
    difference : (N,) array, the unit of the label
        Stars with a value that is not finite are left out.
    name : str
        Label.
    box : ((float, float), (float, float))
        Range of x and difference.
    """
    x, difference = style.finite(x, difference)
    style.density(ax, x, difference, bins=(60, 40), range=box)
    ax.axhline(0.0, color=style.FAINT, linewidth=0.8, linestyle="dotted", zorder=3)
    if not len(x):
        return
    edges = np.linspace(*box[0], _PROFILE_BINS + 1)
    centre, low, median, high = profile(x, difference, edges)
    look = {"color": style.INK, "path_effects": style.HALO, "zorder": 4}
    for line, dashes, width in (low, "--", 0.9), (high, "--", 0.9), (median, "-", 1.4):
        ax.plot(centre, line, linestyle=dashes, linewidth=width, **look)
    _, mean, _, scatter, _ = mean_and_scatter(difference)
    digits = useful_digits(scatter)
    style.note(
        ax,
        rf"$\mu={mean:+.{digits}f}$, $\sigma={scatter:.{digits}f}$ {unit(name)}",
        y=0.94,
    )


def differences_figure(tables, surveys, names):
    """Show the differences of labels between two surveys, before and after.

    Nandakumar+2022, figs 2, 7 and 8: a column for each table, a row for each label,
    all columns on one range. The x-axis is the second survey's Teff, or its first
    label if there is no Teff.

    Parameters
    ----------
    tables : dict of str to astropy Table
        Title of the column, such as "Pipelines", to stars with ``<label>_<survey>``
        for both surveys, in the labels' units.
    surveys : (str, str)
        Differences are the first minus the second.
    names : sequence of K str
        Labels.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        A column is missing or holds no numbers.
    """
    first, second = surveys
    across = "teff" if "teff" in names else names[0]
    figure = style.new_figure(7.2, 1.0 + 1.25 * len(names))
    axes = figure.subplots(
        len(names), len(tables), sharex=True, sharey="row", squeeze=False
    )
    xs = [
        get_numbers(table, f"{across}_{second}", "stars") for table in tables.values()
    ]
    wide = style.limits(across, np.concatenate(xs))
    for row, name in zip(axes, names, strict=True):
        values = [
            get_numbers(table, f"{name}_{first}", "stars")
            - get_numbers(table, f"{name}_{second}", "stars")
            for table in tables.values()
        ]
        low, high = style.limits(name, np.concatenate(values), (1, 99))
        box = (wide, (low, high + _FOR_WORDS * (high - low)))
        for ax, x, difference in zip(row, xs, values, strict=True):
            differences(ax, x, difference, name, box)
            style.dress(ax)
        row[0].set_ylabel(style.difference_text(name), fontsize=style.TITLE_SIZE)
    for ax, title in zip(axes[0], tables, strict=True):
        ax.set_title(style.plain(title), fontsize=style.TITLE_SIZE)
    of = [style.survey_text(survey) for survey in surveys]
    figure.align_ylabels(axes[:, 0])
    figure.supxlabel(style.label_text(across, of[1]), fontsize=style.TITLE_SIZE)
    figure.supylabel(style.minus(*of), fontsize=style.TITLE_SIZE)
    return figure


def cross_validation_figure(validation, names, case):
    """Show inferred against given labels of a cross-validation, a panel for each.

    Nandakumar+2022, figs 3, 4 and A1 to A3; see `fastcannon.plots.one_to_one`.

    Parameters
    ----------
    validation : astropy Table
        With ``<label>_given`` and ``<label>`` in the labels' units.
    names : sequence of str
        Labels.
    case : str
        SURVEY-on-SCALE.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        A column is missing or holds no numbers.
    """
    figure, axes = style.panels(len(names), 2.5)
    for ax, name in zip(axes, names, strict=True):
        given = get_numbers(validation, f"{name}_given", "the validation")
        inferred = get_numbers(validation, name, "the validation")
        if len(style.finite(given, inferred)[0]):
            one_to_one(given[:, None], inferred[:, None], [name], axes=[ax])
        else:
            style.nothing(ax)
            style.dress(ax, title=style.label_text(name))
    survey, _, scale = (style.survey_text(word) for word in case.partition("-on-"))
    figure.suptitle(
        f"{survey} spectra, {scale} scale: labels of left-out stars",
        fontsize=style.TITLE_SIZE,
    )
    return figure


def precision(ax, bins, fit, name, survey=0):
    """Draw the precision of a label against S/N with the decay fitted to it.

    Parameters
    ----------
    ax : matplotlib Axes
        With a logarithmic x-axis.
    bins : astropy Table
        Of `fastcannon.repeats.precision_bins`: ``snr``, ``sigma_<name>``,
        ``e_sigma_<name>``.
    fit : (a, b, c) or None
        Of a exp(-S/N / b) + c, in the label's unit and S/N.
    name : str
        Label.
    survey : int
        0 or 1: the first or the second, for colour, symbol and place of the words.
    """
    colour = style.COLOURS[survey]
    snr, sigma, error = (
        get_numbers(bins, column, "the precision")
        for column in ("snr", f"sigma_{name}", f"e_sigma_{name}")
    )
    used = np.isfinite(sigma) & (snr > 0)
    if not used.any():
        return
    ax.errorbar(
        *(snr[used], sigma[used], error[used]),
        fmt=style.MARKERS[survey],
        markersize=3.5,
        color=colour,
        elinewidth=0.8,
    )
    if fit is None:
        return
    curve = np.geomspace(snr[used].min(), snr[used].max(), 200)
    ax.plot(curve, Decay(*fit)(curve), color=colour, linewidth=1.2)
    a, b, c = fit
    numbers = f"{a:.2g}, {b:.2g}, {c:.2g}" if a > 0 else f"$c$ = {c:.2g}"
    ax.text(
        *(0.97, 0.95 - 0.11 * survey, numbers),
        transform=ax.transAxes,
        ha="right",
        va="top",
        fontsize=style.TEXT_SIZE,
        color=colour,
    )


def precision_figure(bins, fits, names, surveys, scale):
    """Show the precision of each label against S/N (Nandakumar+2022, fig. 9).

    Panels give a, b and c of the fit.

    Parameters
    ----------
    bins : astropy Table
        Those of `precision` and ``case``, SURVEY-on-SCALE.
    fits : dict of str to (a, b, c)
        "CASE LABEL" to the numbers of the decay; missing where there is none.
    names : sequence of str
        Labels.
    surveys : sequence of str
        Whose spectra; at most two.
    scale : str

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = style.panels(len(names), 2.2)
    for ax, name in zip(axes, names, strict=True):
        ax.set_xscale("log")
        for k, survey in enumerate(surveys):
            case = f"{survey}-on-{scale}"
            rows = bins[np.asarray(bins["case"]) == case]
            precision(ax, rows, fits.get(f"{case} {name}"), name, k)
        if ax.lines:
            ax.set_ylim(0.0, (1 + _FOR_WORDS) * ax.get_ylim()[1])
        else:
            style.nothing(ax, "no repeated spectra")
        style.dress(ax, "S/N per pixel", rf"$\sigma$ {style.label_text(name)}")
        style.plain_log(ax.xaxis)
    words = [
        f"{style.survey_text(s)} spectra, {style.survey_text(scale)} scale"
        for s in surveys
    ]
    formula = r"curves: $a\,\exp(-\mathrm{S/N}\,/\,b) + c$, with $a,\ b,\ c$ as given"
    style.survey_legend(figure, words, formula)
    return figure
