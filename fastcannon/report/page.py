"""The report as one web page: all that it shows is inside, nothing is fetched."""

import base64
import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from bokeh.resources import Resources
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ..atomic import atomic_path
from ..errors import InputError
from .glance import Summary
from .interactive import Interactive


@dataclass
class Figure:
    """A picture with its words.

    Attributes
    ----------
    png : str or Path
        Goes into the page.
    pdf : str or Path or None
        The page has a link to it, from its own folder.
    caption : str
        What to see.
    alt : str
        The picture in words.
    """

    png: str | Path
    pdf: str | Path | None
    caption: str
    alt: str


@dataclass
class PageTable:
    """A table that readers can sort.

    Attributes
    ----------
    title : str
    head : sequence of K str
    rows : sequence of sequences of K str
    sort : sequence of sequences of K float, str or None
        What the cells are sorted by, None last; empty: their text.
    caption : str
    files : sequence of str or Path
        Links to the same table, from the page's own folder.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    sort: Sequence[Sequence[float | str | None]] = ()
    caption: str = ""
    files: Sequence[str | Path] = ()


@dataclass
class Section:
    """A part of the page.

    Attributes
    ----------
    title : str
    anchor : str
        Its name in links: letters, digits and hyphens.
    text : str
        Paragraphs are parted by an empty line.
    figures : sequence of Figure
    tables : sequence of PageTable
    notes : sequence of str
        What is missing, and why.
    """

    title: str
    anchor: str
    text: str = ""
    figures: Sequence[Figure] = ()
    tables: Sequence[PageTable] = ()
    notes: Sequence[str] = field(default_factory=list)


def write_page(
    path,
    summary: Summary,
    sections: Sequence[Section],
    interactive: Interactive | None = None,
) -> Path:
    """Write the report as one HTML file, whole or not at all.

    A policy in its head forbids the browser to fetch anything and to run any script
    but the ones written here, which it knows by their SHA-256; names of stars and
    files are text, whatever they hold.

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    summary : Summary
        Numbers at a glance.
    sections : sequence of Section
    interactive : Interactive, optional

    Returns
    -------
    Path

    Raises
    ------
    InputError
        The folder does not exist, a picture cannot be read, or a row of a table does
        not fit its head.
    """
    path = Path(path)
    for section in sections:
        for table in section.tables:
            _check(table)
    interactive = interactive or Interactive()
    scripts = _scripts(bool(interactive.roots))
    data = {name: one for name, one in vars(interactive).items() if name != "document"}
    text = _template(path.parent).render(
        summary=summary,
        sections=sections,
        interactive=interactive,
        data=_json(data),
        document=_json(interactive.document),
        style=Markup(_read("report.css")),
        scripts=[Markup(script) for script in scripts],
        hashes=[_sha256(script) for script in scripts],
    )
    with atomic_path(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8", newline="\n")
    return path


def _template(home):
    """Return the page's template, whose links count from a folder."""
    environment = Environment(
        loader=PackageLoader("fastcannon.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "picture": _picture,
        "link": lambda file: Path(os.path.relpath(file, home)).as_posix(),
        "suffix": lambda file: Path(file).suffix[1:].upper(),
        "key": _key,
    }
    return environment.get_template("report.html")


def _check(table):
    """Refuse a table whose rows do not fit its head."""
    for what, rows in (("row", table.rows), ("sort values of row", table.sort)):
        for number, row in enumerate(rows):
            if len(row) != len(table.head):
                raise InputError(
                    f"table {table.title!r}: {what} {number} has {len(row)} cells, "
                    f"its head {len(table.head)}; give one for each column"
                )
    if table.sort and len(table.sort) != len(table.rows):
        raise InputError(
            f"table {table.title!r} has {len(table.rows)} rows and {len(table.sort)} "
            "rows of sort values; give one for each row, or none at all"
        )


def _key(table, row, column):
    """Return what a cell is sorted by as text, None where it is its own text."""
    if not table.sort:
        return None
    value = table.sort[row][column]
    return "" if value is None or value != value else str(value)


def _picture(path):
    """Return a PNG file as a data URI with its size in pixels."""
    try:
        content = Path(path).read_bytes()
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(
            f"{path} cannot be read as a PNG picture ({error}); make it again"
        ) from error
    text = base64.b64encode(content).decode("ascii")
    return {"uri": f"data:image/png;base64,{text}", "width": width, "height": height}


def _scripts(plots):
    """Return the page's scripts: Bokeh, if there are plots, and our own."""
    library = (
        Resources(mode="inline", components=["bokeh"], log_level="warn").js_raw
        if plots
        else []
    )
    # Browsers read any end of a line as \n, and the hashes are of what they read.
    return [
        one.replace("\r\n", "\n").replace("\r", "\n")
        for one in (*library, _read("report.js"))
    ]


def _read(name):
    """Return the text of a file beside the template."""
    folder = resources.files("fastcannon.report") / "templates"
    return (folder / name).read_text(encoding="ascii")


def _sha256(script):
    """Return the hash of a script as a policy of a page names it."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _json(content):
    """Return plain values as JSON that cannot end the element it stands in."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)
