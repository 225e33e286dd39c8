"""What figures of spectra share: arms, lines, windows of elements, stacks of panels."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.ticker import MaxNLocator

from ..wavelengths import MEDIA, convert
from .style import (
    COLOURS,
    FAINT,
    INK,
    TEXT_SIZE,
    TITLE_SIZE,
    dress,
    finite,
    new_figure,
    nothing,
    plain,
)

# A gap of this many pixels and of this share of the wavelength ends an arm: 300 km/s.
# Those between APOGEE's detectors are 2.4e-3 and 3e-3; masked lines are narrower.
GAP_PIXELS, GAP_SHARE = 20, 1e-3
# Hydrogen, and the strong lines of elements that no label stands for (fig. 5); Angstrom
# in air, for the eye.
LINES = (
    (r"H$\beta$", 4861.35),
    ("Cu", 5782.13),
    (r"H$\alpha$", 6562.79),
    ("K", 7698.96),
)
_RYDBERG = 109677.58  # of hydrogen, 1 / cm
_BRACKETT = range(11, 21)  # upper levels of the lines in the H band

_SHADE = "#e4e4e4"
_LABEL_AT = -0.08  # of the words of a panel, in its widths
SPECTRUM, SMALL = 0.95, 0.72  # heights of panels, inch
_ELEMENT, _EDGE = 0.13, 0.25  # of a row of windows, of the words below an arm


def arms(wavelength, used=None) -> list[slice]:
    """Split wavelengths at the gaps between arms or detectors.

    Parameters
    ----------
    wavelength : (P,) array, Angstrom
        Increasing.
    used : (P,) bool array, optional
        Pixels that count; a stretch without any is a gap, too. Default: all.

    Returns
    -------
    list of slice
        Of each arm, from its first to its last used pixel; none without pixels.
    """
    wavelength = np.asarray(wavelength, dtype=float)
    pixels = np.flatnonzero(np.ones(len(wavelength), bool) if used is None else used)
    if not len(pixels):
        return []
    step = np.diff(wavelength, append=wavelength[-1])[pixels[:-1]]
    gap = np.diff(wavelength[pixels])
    apart = (gap > GAP_SHARE * wavelength[pixels[1:]]) & (
        gap > GAP_PIXELS * _typical(step)
    )
    edges = np.r_[0, np.flatnonzero(apart) + 1, len(pixels)]
    return [slice(int(pixels[a]), int(pixels[b - 1]) + 1) for a, b in pairwise(edges)]


def lines(medium: str) -> list[tuple[str, float]]:
    """Return strong lines by which the eye finds its way: name and wavelength.

    Parameters
    ----------
    medium : str
        "air" or "vacuum", of the wavelengths; of another there are none.

    Returns
    -------
    list of (str, float)
        Names in mathematical text; Angstrom.
    """
    if medium not in MEDIA:
        return []
    found = [(name, float(convert(at, "air", medium))) for name, at in LINES]
    for upper in _BRACKETT:
        vacuum = 1e8 / (_RYDBERG * (1 / 16 - 1 / upper**2))
        found.append((f"Br{upper}", float(convert(vacuum, "vacuum", medium))))
    return found


def element_spans(windows, medium: str, start: float, end: float) -> dict:
    """Return the windows of each element between two wavelengths.

    Parameters
    ----------
    windows : astropy Table or None
        Of `censors.read_windows`.
    medium : str
        "air" or "vacuum", of start and end; of another there are no windows.
    start, end : float, Angstrom

    Returns
    -------
    dict of str to (n, 2) array, Angstrom
        Start and end of the windows, in the order of the elements' names.
    """
    if windows is None or medium not in MEDIA:
        return {}
    found: dict[str, list] = {}
    for row in windows:
        span = convert([row["start"], row["end"]], row["medium"], medium)
        if span[1] >= start and span[0] <= end:
            found.setdefault(str(row["element"]), []).append(span)
    return {element: np.array(found[element]) for element in sorted(found)}


def element_panel(ax, spans: Mapping[str, np.ndarray]):
    """Draw where the windows of elements are, a row for each element.

    Parameters
    ----------
    ax : matplotlib Axes
        Slim; above others that share its wavelengths.
    spans : dict of str to (n, 2) array, Angstrom
        Of `element_spans`.
    """
    for row, spans_of in enumerate(spans.values()):
        bars = [(start, end - start) for start, end in spans_of]
        ax.broken_barh(bars, (row - 0.35, 0.7), color=FAINT, lw=0.8)
    ax.set_yticks(range(len(spans)), [plain(name) for name in spans])
    ax.set_ylim(max(len(spans), 1) - 0.5, -0.5)
    ax.tick_params(labelsize=TEXT_SIZE, length=0, labelbottom=False, bottom=False)
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set_visible(False)


def dress_slim(ax, y):
    """Give a slim panel its words and ticks, few and none at its edges.

    Parameters
    ----------
    ax : matplotlib Axes
    y : str
        Words of the axis.
    """
    dress(ax, y=y)
    ax.yaxis.label.set_size(TEXT_SIZE)
    # At one distance in all panels; Figure.align_ylabels takes as long as the drawing.
    ax.yaxis.set_label_coords(_LABEL_AT, 0.5)
    ax.yaxis.set_major_locator(MaxNLocator(4, prune="both"))


def spectrum_panel(ax, wavelength, spectra: Sequence[np.ndarray], medium="unknown"):
    """Draw spectra of one arm over each other, strong lines named.

    Parameters
    ----------
    ax : matplotlib Axes
    wavelength : (P,) array, Angstrom
    spectra : sequence of one or two (P,) arrays
        Normalised flux, NaN where there is none.
    medium : str
        Of the wavelengths: "air" or "vacuum"; without it no line is named.
    """
    dress_slim(ax, "flux")
    values = np.concatenate([finite(flux)[0] for flux in spectra])
    if not len(values):
        nothing(ax, "no spectrum")
        return
    colours = COLOURS if len(spectra) > 1 else (INK,)
    # The first shows on both sides of the second where they are the same.
    widths = (1.3, 0.5) if len(spectra) > 1 else (0.6,)
    for flux, colour, width in zip(spectra, colours, widths, strict=False):
        ax.plot(wavelength, flux, color=colour, lw=width)
    low, high = np.percentile(values, (0.2, 99.8))
    low, high = min(low, 0.8), max(high, 1.0)
    ax.set_ylim(low - 0.05 * (high - low), high + 0.3 * (high - low))
    for name, at in lines(medium):
        # A name at the edge of a panel would run out of it.
        if np.min(np.abs(wavelength[[0, -1]] - at)) < 0.025 * np.ptp(wavelength):
            continue
        if wavelength[0] < at < wavelength[-1]:
            top = high + 0.05 * (high - low)
            ax.plot((at, at), (top - 0.05 * (high - low), top), color=FAINT, lw=0.8)
            ax.text(at, top, name, size=TEXT_SIZE, color=INK, ha="center", va="bottom")


def stacks(wavelength, parts, heights, windows, medium):
    """Return a figure with a stack of panels for each arm, windows shaded.

    ``heights`` (inch) are of the panels of an arm; above them are its elements.
    """
    spans = [
        element_spans(windows, medium, wavelength[part][0], wavelength[part][-1])
        for part in parts
    ]
    # An arm without windows keeps a little air where others have their elements.
    rows = [[_ELEMENT * max(len(found), 1), *heights] for found in spans]
    ratios = [height for row in rows for height in row] or [SPECTRUM]
    figure = new_figure(height=sum(ratios) + _EDGE * (len(parts) + 1))
    figure.get_layout_engine().set(h_pad=0.02, hspace=0.0)
    figure.supxlabel(_axis_words(medium), fontsize=TITLE_SIZE)
    grid = figure.add_gridspec(len(ratios), 1, height_ratios=ratios)
    if not parts:
        nothing(figure.add_subplot(grid[0]), "no spectrum")
    panels = []
    for number, (part, found) in enumerate(zip(parts, spans, strict=True)):
        first = number * len(rows[0])
        axes = [figure.add_subplot(grid[first + i]) for i in range(len(rows[0]))]
        element_panel(axes[0], found)
        for ax in axes:
            ax.set_xlim(*_range(wavelength[part]))
            ax.tick_params(labelbottom=ax is axes[-1])
        for ax in axes[1:]:
            _shade(ax, found)
        panels.append(axes[1:])
    return figure, panels


def _shade(ax, spans):
    """Shade the windows of elements over the height of a panel."""
    bars = [(start, end - start) for one in spans.values() for start, end in one]
    over = ax.get_xaxis_transform()
    ax.broken_barh(bars, (0, 1), transform=over, color=_SHADE, lw=0.4, zorder=0)


def _range(wavelength):
    """Return the range of an arm; one pixel gets an Angstrom."""
    low, high = float(wavelength[0]), float(wavelength[-1])
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _axis_words(medium):
    angstrom = "wavelength (\u00c5"
    return f"{angstrom}, {medium})" if medium in MEDIA else f"{angstrom})"


def _typical(step):
    """Return the median step between pixels, 0 where there is only one."""
    return np.median(step) if len(step) else 0.0
