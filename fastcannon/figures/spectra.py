"""Figures of spectra: how well models fit, twins, and what models are made of."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .. import labels as label_words
from ..errors import InputError
from .arms import SMALL, SPECTRUM, arms, dress_slim, spectrum_panel, stacks
from .style import (
    COLOURS,
    FAINT,
    INK,
    TEXT_SIZE,
    TITLE_SIZE,
    finite,
    note,
    nothing,
    plain,
)

_FLOOR = 0.01  # residuals are shown to this at least


def labels_text(labels: Mapping[str, float]) -> str:
    """Return the labels of a star in words: symbol, value and unit.

    Parameters
    ----------
    labels : dict of str to float, label units

    Returns
    -------
    str
        In matplotlib's mathematical text.
    """
    return ", ".join(_amount(name, value) for name, value in labels.items())


def residual_panel(ax, wavelength, median, p16, p84, colour=COLOURS[0], words=""):
    """Draw median and 16 to 84 percentiles of residuals of one arm.

    Parameters
    ----------
    ax : matplotlib Axes
        Its range of flux is that of 99 % of the percentiles.
    wavelength : (P,) array, Angstrom
    median, p16, p84 : (P,) arrays
        Observed minus model flux; NaN where there is none.
    colour : str
    words : str
        Written into the panel.
    """
    dress_slim(ax, "residual")
    ends = np.abs(np.concatenate([finite(p16)[0], finite(p84)[0]]))
    if not len(ends):
        nothing(ax)
        return
    reach = max(_FLOOR, np.percentile(ends, 99))
    ax.fill_between(
        *(wavelength, p16, p84), color=colour, alpha=0.35, lw=0, rasterized=True
    )
    ax.axhline(0.0, color=INK, lw=0.6)
    ax.plot(wavelength, median, color=colour, lw=0.6)
    _leave_room(ax, reach)
    note(ax, plain(words), x=0.008, y=0.94)


def residual_figure(
    residuals: Mapping, spectrum, labels: Mapping, windows=None, medium="unknown"
) -> Figure:
    """Draw how well models fit: per arm a spectrum, and residuals of each case.

    Nandakumar+2022, figs 5 and 6.

    Parameters
    ----------
    residuals : dict of str to report.samples.Residuals
        By case, all of P pixels; at least one.
    spectrum : (P,) array
        Normalised flux of a solar-type star, NaN where there is none.
    labels : dict of str to float, label units
        Of that star.
    windows : astropy Table, optional
        Of `censors.read_windows`.
    medium : str
        Of the wavelengths and thereby of the windows: "air" or "vacuum".

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        There is no case.
    """
    if not residuals:
        raise InputError("residuals are of no case; one or more are needed")
    wavelength = next(iter(residuals.values())).wavelength
    used = np.any([np.isfinite(one.median) for one in residuals.values()], axis=0)
    parts = arms(wavelength, used)
    heights = [SPECTRUM] + [SMALL] * len(residuals)
    figure, panels = stacks(wavelength, parts, heights, windows, medium)
    for part, axes in zip(parts, panels, strict=True):
        spectrum_panel(axes[0], wavelength[part], [spectrum[part]], medium)
        for ax, colour, (case, one) in zip(
            axes[1:], _colours(len(residuals)), residuals.items(), strict=True
        ):
            median, p16, p84 = one.median[part], one.p16[part], one.p84[part]
            words = f"{case}: median and 16-84 % of {one.n_stars:,} stars"
            residual_panel(ax, wavelength[part], median, p16, p84, colour, words)
    if labels:
        words = f"spectrum: a star like the Sun, {labels_text(labels)}"
        figure.suptitle(words, fontsize=TEXT_SIZE, color=INK)
    return figure


def twins_figure(
    wavelength,
    first,
    second,
    names: tuple[str, str],
    synthetic=None,
    windows=None,
    medium="unknown",
) -> Figure:
    """Draw two spectra and their difference, per arm, with its mean.

    Nandakumar+2022, figs A4 and A5.

    Parameters
    ----------
    wavelength : (P,) array, Angstrom
    first, second : (P,) arrays
        Normalised flux, NaN where there is none.
    names : (str, str)
        Of the two stars.
    synthetic : (P,) array, optional
        Of `report.twins.synthetic_difference`.
    windows, medium :
        As in `residual_figure`.

    Returns
    -------
    matplotlib Figure
    """
    wavelength = np.asarray(wavelength, dtype=float)
    difference = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    parts = arms(wavelength, np.isfinite(difference))
    heights = [SPECTRUM, 1.2 * SMALL]
    figure, panels = stacks(wavelength, parts, heights, windows, medium)
    for part, (top, bottom) in zip(parts, panels, strict=True):
        spectrum_panel(top, wavelength[part], [first[part], second[part]], medium)
        drawn = None if synthetic is None else synthetic[part]
        _difference_panel(bottom, wavelength[part], difference[part], drawn)
    words = [*map(plain, names), "second minus first", "synthetic"]
    colours = [*COLOURS[:2], COLOURS[3], INK]
    lines = [Line2D([], [], color=colour) for colour in colours]
    count = 3 if synthetic is None else 4
    figure.legend(
        *(lines[:count], words[:count]),
        loc="outside upper center",
        ncols=count,
        fontsize=TEXT_SIZE,
        frameon=False,
    )
    return figure


def coefficients_figure(
    model, part: slice, windows=None, medium="unknown", title=""
) -> Figure:
    """Draw the linear coefficients of a model and its scatter in one arm.

    A coefficient is the change of the flux over the 2.5 to 97.5 percentile range of the
    label (Ness+2015, fig. 5).

    Parameters
    ----------
    model : CannonModel
        Trained, with its wavelength; P pixels.
    part : slice
        Pixels, of `arms`.
    windows, medium :
        As in `residual_figure`.
    title : str
        What model it is.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        The model is not trained or does not know its wavelengths.
    """
    if model.theta is None or model.wavelength is None:
        raise InputError(
            "the model is not trained or does not know its wavelength: call "
            "train(..., wavelength=...) first"
        )
    wavelength, names = model.wavelength, model.label_names
    heights = [SMALL] * (len(names) + 1)
    figure, panels = stacks(wavelength, [part], heights, windows, medium)
    trained = np.isfinite(model.s2[part])
    for ax, name, width in zip(panels[0], names, model.scales, strict=False):
        _coefficient_panel(ax, model, part, name, width)
    scatter = np.full(len(trained), np.nan)
    scatter[trained] = np.sqrt(model.s2[part][trained])
    last = panels[0][-1]
    dress_slim(last, "scatter")
    last.plot(wavelength[part], scatter, color=INK, lw=0.6)
    last.set_ylim(0, 1.2 * max(_FLOOR, _reach(scatter)))
    figure.suptitle(plain(title), fontsize=TITLE_SIZE, color=INK)
    return figure


def _coefficient_panel(ax, model, part, name, width):
    """Draw the linear coefficient of a label."""
    dress_slim(ax, label_words.symbol(name))
    k = model.label_names.index(name)
    row = (model.terms.exponents.sum(axis=1) == 1) & (model.terms.exponents[:, k] == 1)
    if not row.any():
        nothing(ax, "no linear term")
        return
    values = np.where(np.isfinite(model.s2[part]), model.theta[part, row.argmax()], 0.0)
    ax.axhline(0.0, color=INK, lw=0.6)
    ax.plot(model.wavelength[part], values, color=COLOURS[0], lw=0.6)
    _leave_room(ax, max(_FLOOR / 2, _reach(values)))
    note(ax, f"per {_amount(name, width, symbol=False)}", x=0.008, y=0.94)


def _difference_panel(ax, wavelength, difference, synthetic):
    """Draw the difference of two spectra, its mean, and that of synthetic ones."""
    dress_slim(ax, "difference")
    ax.axhline(0.0, color=FAINT, lw=0.6)
    ax.plot(wavelength, difference, color=COLOURS[3], lw=0.6)
    reach = _reach(difference, 99)  # bad pixels are a few in a thousand
    if synthetic is not None and np.isfinite(synthetic).any():
        ax.plot(wavelength, synthetic, color=INK, lw=0.8)
        reach = max(reach, _reach(synthetic, 100))
    _leave_room(ax, max(_FLOOR, reach))
    note(ax, f"mean {np.nanmean(difference):+.4f}", x=0.008, y=0.94)


def _leave_room(ax, reach):
    """Show values to ``reach`` on both sides of 0, and words above them."""
    ax.set_ylim(-1.1 * reach, 2.4 * reach)
    unit = 10.0 ** np.floor(np.log10(reach))
    tick = np.floor(reach / unit) * unit  # one digit
    ax.set_yticks([-tick, 0, tick])


def _colours(count):
    """Return a colour for each of some cases, again and again."""
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _reach(values, percentile=99.8):
    """Return how far nearly all values are from 0; 0 without values."""
    values = np.abs(finite(values)[0])
    return float(np.percentile(values, percentile)) if len(values) else 0.0


def _amount(name, value, symbol=True):
    """Return the value of a label in words: kelvins without decimals."""
    unit = label_words.unit(name)
    digits = {"K": 0, "km/s": 1}.get(unit, 2)
    words = f"{label_words.symbol(name)} " if symbol else ""
    return f"{words}{value:.{digits}f} {unit}".rstrip()
