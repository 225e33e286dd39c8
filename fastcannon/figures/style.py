"""What all figures share: colours, words, panels, densities and files.

Figures are made without pyplot: no global state, no window, no settings.
"""

import math
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from PIL import Image

from .. import labels
from ..atomic import atomic_path

FEW_STARS = 1000  # up to here each star is a point, beyond it a density

# Okabe & Ito (2008): told apart by colour-blind people too. The first colour and symbol
# are survey 1's, the second survey 2's.
COLOURS = ("#0072b2", "#d55e00", "#cc79a7", "#009e73", "#e69f00", "#56b4e9")
MARKERS = ("o", "^", "s", "D", "v", "P")
INK, GRID = "#1a1a1a", "#d9d9d9"
FAINT = "#6b6b6b"  # words that explain
DENSITY = "viridis_r"  # number of stars
VALUES = "cividis"  # medians of a label
DIFFERENCES = "PuOr_r"  # about zero
HALO = (withStroke(linewidth=3.0, foreground="white"),)  # of lines over densities
TEXT_SIZE, TITLE_SIZE = 8, 9.5  # points
DPI = 150  # of PNG

_LEAST_WIDTH = {"K": 100.0, "dex": 0.1, "km/s": 1.0}


def plain(text):
    """Return text with dollar signs as they are: names of stars hold no mathematics."""
    return str(text).replace("$", r"\$")


def survey_text(survey):
    """Return the name of a survey as figures write it, in capitals."""
    return plain(survey).upper()


def label_text(name, of=""):
    """Return the words for an axis: what it is of, symbol and unit of a label.

    Parameters
    ----------
    name : str
        Label, such as "teff".
    of : str
        In front, such as "APOGEE".

    Returns
    -------
    str
        In matplotlib's mathematical text, as "APOGEE $T_\\mathrm{eff}$ (K)".
    """
    return _with_unit(f"{plain(of)} {_symbol(name)}".strip(), name)


def difference_text(name, first="", second=""):
    """Return the words for the difference of a label: "Delta symbol (unit), 1 - 2".

    Parameters
    ----------
    name : str
        Label.
    first, second : str
        What is subtracted from what; left out if "".

    Returns
    -------
    str
        In matplotlib's mathematical text.
    """
    words = _with_unit(rf"$\Delta\,${_symbol(name)}", name)
    return f"{words}, {minus(first, second)}" if first else words


def minus(first, second):
    """Return the words "first - second" with a minus sign."""
    return f"{plain(first)} $-$ {plain(second)}"


def _symbol(name):
    known = labels.symbol(name)
    return plain(name) if known == name else known


def _with_unit(words, name):
    unit = labels.unit(name)
    return f"{words} ({unit})" if unit else words


def new_figure(width=7.2, height=4.0):
    """Return an empty figure whose panels are laid out so that nothing overlaps.

    Parameters
    ----------
    width, height : float
        Inches; 7.2 is the width of a page.

    Returns
    -------
    matplotlib Figure
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels(count, height):
    """Return a new figure with a number of panels, at most three in a row.

    Parameters
    ----------
    count : int
    height : float
        Inches, of a row.

    Returns
    -------
    figure : matplotlib Figure
    axes : list of ``count`` matplotlib Axes
    """
    columns = min(count, 3)
    rows = math.ceil(count / columns)
    figure = new_figure((3.6, 5.4, 7.2)[columns - 1], height * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.remove()
    return figure, list(axes[:count])


def dress(ax, x="", y="", title=""):
    """Give a panel its words, ticks and grid.

    Parameters
    ----------
    ax : matplotlib Axes
    x, y, title : str
        Words; "" for none.
    """
    ax.set_axisbelow(True)
    ax.grid(color=GRID, linewidth=0.5)
    ax.tick_params(direction="in", top=True, right=True, labelsize=TEXT_SIZE)
    ax.set_xlabel(x, fontsize=TITLE_SIZE)
    ax.set_ylabel(y, fontsize=TITLE_SIZE)
    ax.set_title(title, fontsize=TITLE_SIZE, color=INK)


def note(ax, text, x=0.04, y=0.96, size=TEXT_SIZE):
    """Write into a panel, on white, from its upper left corner or another place.

    Parameters
    ----------
    ax : matplotlib Axes
    text : str
    x, y : float
        Share of the panel; beyond 0.5 the text ends there, else it begins there.
    size : float
        Points.
    """
    ax.text(
        x,
        y,
        text,
        transform=ax.transAxes,
        ha="right" if x > 0.5 else "left",
        va="top" if y > 0.5 else "bottom",
        fontsize=size,
        color=INK,
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 2},
    )


def nothing(ax, why="no stars"):
    """Write into a panel why it is empty.

    Parameters
    ----------
    ax : matplotlib Axes
    why : str
    """
    ax.tick_params(labelbottom=False, labelleft=False)
    ax.text(
        *(0.5, 0.5, plain(why)),
        transform=ax.transAxes,
        ha="center",
        va="center",
        fontsize=TITLE_SIZE,
        color=FAINT,
    )


def limits(name, values, percentiles=(0.5, 99.5)):
    """Return the range of an axis that a few odd values do not stretch.

    Parameters
    ----------
    name : str
        Label; equal values get a range by its unit.
    values : (N,) array, label units
        Those that are not finite do not count.
    percentiles : (float, float)

    Returns
    -------
    low, high : float, label units
        A little wider than the percentiles; 0 and 1 without values.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, percentiles)
    width = _LEAST_WIDTH.get(labels.unit(name), 1e-3 * max(abs(low), 1e-3))
    margin = max(0.05 * (high - low), (width - (high - low)) / 2)
    return float(low - margin), float(high + margin)


def finite(*arrays):
    """Return arrays as float, with only the rows where all of them are finite.

    Parameters
    ----------
    *arrays : (N,) arrays

    Returns
    -------
    list of (M,) float arrays
    """
    arrays = [np.asarray(array, dtype=float) for array in arrays]
    good = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    return [array[good] for array in arrays]


def density(
    ax, x, y, bins=80, cmap=DENSITY, range=None, colour=COLOURS[0], marker=MARKERS[0]
):
    """Draw stars: few as points, many as an image of their numbers on a log scale.

    Parameters
    ----------
    ax : matplotlib Axes
        Its limits are set to ``range``.
    x, y : (N,) arrays, the units of the axes
        Stars with a value that is not finite are left out; without any the panel
        says so.
    bins : int or (int, int)
        Along x and y.
    cmap : str
    range : ((float, float), (float, float)), optional
        Of x and y; default: `limits` of each.
    colour, marker : str
        Of points.

    Returns
    -------
    AxesImage or None
        For a colour bar; None where points were drawn.
    """
    x, y = finite(x, y)
    (left, right), (low, high) = range = range or (limits("", x), limits("", y))
    image = None
    if not len(x):
        nothing(ax)
    elif len(x) <= FEW_STARS:
        points(ax, x, y, colour, marker)
    else:
        counts = np.histogram2d(x, y, bins=bins, range=range)[0].T
        image = ax.imshow(
            np.ma.masked_equal(counts, 0),
            extent=(left, right, low, high),
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap=cmap,
            norm=LogNorm(1, max(2, counts.max())),
            zorder=1,  # above the grid
        )
    ax.set(xlim=(left, right), ylim=(low, high))
    return image


def points(ax, x, y, colour=COLOURS[0], marker=MARKERS[0]):
    """Draw stars as points, the smaller and fainter the more there are.

    Parameters
    ----------
    ax : matplotlib Axes
    x, y : (N,) arrays, the units of the axes
    colour, marker : str
    """
    size, alpha = (14.0, 0.7) if len(x) <= 200 else (5.0, 0.5)
    ax.scatter(x, y, s=size, color=colour, marker=marker, alpha=alpha, linewidths=0)


def colour_bar(image, axes, words):
    """Put a colour bar beside panels, pointed where colours end before the values.

    Parameters
    ----------
    image : AxesImage
    axes : Axes or sequence of Axes
    words : str
        What the colours are, with the unit.
    """
    figure = np.ravel(axes)[0].figure
    values, norm = image.get_array(), image.norm
    ends = {(True, True): "both", (True, False): "min", (False, True): "max"}
    beyond = bool(values.min() < norm.vmin), bool(values.max() > norm.vmax)
    bar = figure.colorbar(
        image, ax=axes, pad=0.02, aspect=30, extend=ends.get(beyond, "neither")
    )
    bar.set_label(words, fontsize=TITLE_SIZE)
    bar.ax.tick_params(labelsize=TEXT_SIZE)
    bar.outline.set_linewidth(0.5)
    if isinstance(norm, LogNorm):
        plain_log(bar.ax.yaxis)


def plain_log(axis, steps=(1, 2, 5)):
    """Write the numbers of a logarithmic axis as 1, 2, 5, 10 ...

    Parameters
    ----------
    axis : matplotlib Axis
    steps : sequence of int
        Between two powers of ten.
    """
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_locator(NullLocator())


def survey_legend(figure, words, title=""):
    """Put the colours and symbols of the surveys above the panels of a figure.

    Parameters
    ----------
    figure : matplotlib Figure
    words : sequence of str
        For the first, and the second survey.
    title : str
        Above them.
    """
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.2, markersize=5)
        for colour, marker, _ in zip(COLOURS, MARKERS, words, strict=False)
    ]
    figure.legend(
        *(handles, [plain(word) for word in words]),
        loc="outside upper center",
        ncols=len(handles),
        title=title or None,
        title_fontsize=TITLE_SIZE,
        fontsize=TITLE_SIZE,
        frameon=False,
    )


def save(figure, stem):
    """Write a figure as PNG (150 dpi, 256 colours) and PDF; equal figures, equal bytes.

    Parameters
    ----------
    figure : matplotlib Figure
        Its panels stay where they are from now on.
    stem : str or Path
        File name without ending, in a folder that exists.

    Returns
    -------
    png, pdf : Path
        The files, each written whole or not at all.

    Raises
    ------
    InputError
        The folder does not exist.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Panels are in place. A layout is most of the time of a figure, and savefig would
    # do it anew for each file; that of the PDF is drawn without it.
    figure.set_layout_engine("none")
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # Of Pillow's ways the one that keeps rare colours: those of the symbols.
    way = Image.Quantize.MAXCOVERAGE
    picture = picture.quantize(256, method=way, dither=Image.Dither.NONE)
    png, pdf = Path(f"{stem}.png"), Path(f"{stem}.pdf")
    with atomic_path(png) as temporary:
        picture.save(temporary, format="PNG", dpi=(DPI, DPI))
    with atomic_path(pdf) as temporary:
        FigureCanvasPdf(figure).print_pdf(temporary, metadata={"CreationDate": None})
    figure.set_canvas(canvas)
    return png, pdf
