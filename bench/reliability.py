"""The page docs/reliability.md: parts that programs fill, and the look of its plots."""

from pathlib import Path

from PIL import Image

from fastcannon.figures import style

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "reliability.md"
WELL, WRONG = style.COLOURS[3], style.COLOURS[1]


def put_part(name, text, path=PAGE):
    """Put a text between the marks of a part of a page."""
    page = path.read_text(encoding="utf-8")
    path.write_text(with_part(page, name, text), encoding="utf-8")


def with_part(page, name, text):
    """Return the text of a page with another text between the marks of a part."""
    begin, end = _marks(name)
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return before + begin + text + end + after


def read_part(name, path=PAGE):
    """Return what stands between the marks of a part of a page."""
    begin, end = _marks(name)
    return path.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]


def _marks(name):
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def picture(name):
    """Return the path of a picture of the page."""
    return DOCS / "pictures" / f"reliability-{name}.png"


def save(figure, name):
    """Write a figure of the page as a PNG of few colours."""
    path = picture(name)
    figure.savefig(path, dpi=110)
    with Image.open(path) as image:
        # This way keeps the colour of a single dot, too.
        small = image.convert("RGB").quantize(64, Image.Quantize.FASTOCTREE)
    small.save(path, optimize=True)


def plain(axes):
    """Give a panel small words and few lines."""
    axes.tick_params(labelsize=style.TEXT_SIZE, length=2)
    axes.xaxis.label.set_size(style.TEXT_SIZE)
    axes.grid(axis="x", color=style.GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def legend(figure, *entries):
    """Put the legend of a figure above it, of these handles and labels or of all."""
    figure.legend(
        *entries,
        loc="outside upper left",
        ncols=4,
        frameon=False,
        fontsize=style.TEXT_SIZE,
    )


def finish_rows(figure, axes, names, xlabel):
    """Name the rows of a panel, the first above, and finish the figure.

    Parameters
    ----------
    figure : matplotlib Figure
    axes : matplotlib Axes
        Whose y are the numbers of the rows.
    names : sequence of str
    xlabel : str

    Returns
    -------
    matplotlib Figure
        The same.
    """
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel(xlabel)
    plain(axes)
    legend(figure)
    return figure
