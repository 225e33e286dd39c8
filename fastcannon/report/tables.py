"""Printed tables: as text, LaTeX, and rows for the page; their numbers as ECSV and CSV.

What is in the tables of the paper is in `forms`; here is how a table looks.
"""

import math
import re
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from astropy.table import Table

from .. import labels
from ..atomic import atomic_path

NO_NUMBER = "-"
# Decimals that the paper prints, at least and at most.
_DIGITS = {"K": (0, 1), "dex": (2, 3), "km/s": (2, 3)}
_OTHER_DIGITS = (0, 4)
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
}


class Cell(NamedTuple):
    """One cell: its text, the value that it is sorted by, its LaTeX ("": the text)."""

    text: str
    value: float | str
    latex: str = ""


class PrintedTable(NamedTuple):
    """A table as people read it.

    Attributes
    ----------
    name : str
        Of its files, such as "table1".
    caption : str
    groups : list of (str, int)
        Titles above the columns and how many columns each spans; "" for none.
    heads : list of str
        One for each column.
    rows : list of list of Cell
    notes : list of str
        Sentences below the table.
    data : astropy Table
        The numbers, unrounded.
    """

    name: str
    caption: str
    groups: list
    heads: list
    rows: list
    notes: list
    data: Table


def decimals(unit, error):
    """Return how many decimals a value deserves: two digits of its error.

    Never fewer or more than the paper's: 0 or 1 for K, 2 or 3 for dex and km/s.

    Parameters
    ----------
    unit : str
    error : float
        In that unit; the fewest decimals where it is not known.

    Returns
    -------
    int
    """
    least, most = _DIGITS.get(unit, _OTHER_DIGITS)
    if not (math.isfinite(error) and error > 0):
        return least
    return min(most, max(least, 1 - math.floor(math.log10(error))))


def number(value, digits):
    """Return a number as text, "-" where there is none; never a negative zero.

    Parameters
    ----------
    value : float
    digits : int
        Decimals.
    """
    if not math.isfinite(value):
        return NO_NUMBER
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if not re.search("[1-9]", text) else text


def number_cell(value, digits, error=math.nan):
    """Return a cell "value" or "value +- error", sorted by the value.

    Parameters
    ----------
    value, error : float
    digits : int
        Decimals of both.
    """
    text = number(value, digits)
    if math.isfinite(value) and math.isfinite(error):
        last = 10.0**-digits
        small = error < last / 2
        text += (
            f" +- <{number(last, digits)}" if small else f" +- {number(error, digits)}"
        )
    return Cell(text, float(value))


def text_cell(text):
    """Return a cell of words, sorted by them."""
    return Cell(str(text), str(text))


def label_cell(name):
    """Return a cell with symbol and unit of a label, such as "Teff (K)"."""
    unit = labels.unit(name)
    end = f" ({unit})" if unit else ""
    symbol = labels.symbol(name)
    known = symbol != name
    latex = (symbol if known else _escaped(name)) + end
    return Cell(plain_symbol(name) + end, plain_symbol(name), latex)


def plain_symbol(name):
    """Return the symbol of a label without mathematics: Teff, log g, [alpha/Fe]."""
    symbol = labels.symbol(name)
    if symbol == name:
        return name
    words = re.sub(r"\\mathrm|[${}_]", "", symbol.replace(r"\,", " "))
    return " ".join(words.replace("\\", " ").split()).replace("[ ", "[")


def as_text(table):
    """Return a table as plain text in the layout of the paper.

    Parameters
    ----------
    table : PrintedTable

    Returns
    -------
    str
    """
    body = [[cell.text for cell in row] for row in table.rows]
    lines = [table.heads, *body]
    widths = [max(len(line[k]) for line in lines) for k in range(len(table.heads))]
    over, start = "", 0
    for title, span in table.groups:
        room = sum(widths[start : start + span]) + 2 * (span - 1)
        # A title that is wider than its columns widens the last of them.
        widths[start + span - 1] += max(0, len(title) - room)
        over += f"{title:<{max(room, len(title))}}  "
        start += span
    rows = [
        "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True))
        for line in lines
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    heads = [over] if over.strip() else []
    found = [table.caption, rule, *heads, rows[0], rule, *rows[1:], rule, *table.notes]
    return "\n".join(line.rstrip() for line in found) + "\n"


def as_latex(table):
    """Return a table as LaTeX that needs no package.

    Parameters
    ----------
    table : PrintedTable

    Returns
    -------
    str
        A ``table`` with caption, ``tabular`` and notes.
    """
    over = [
        rf"\multicolumn{{{span}}}{{c}}{{{_escaped(title)}}}"
        for title, span in table.groups
    ]
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escaped(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.heads) - 1)}}}",
        r"\hline",
    ]
    if any(title for title, _ in table.groups):
        lines.append(" & ".join(over) + r" \\")
    lines += [" & ".join(map(_escaped, table.heads)) + r" \\", r"\hline"]
    for row in table.rows:
        cells = (cell.latex or _escaped(cell.text) for cell in row)
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\hline", r"\end{tabular}"]
    lines += [rf"\\ {_escaped(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _escaped(text):
    """Return text for LaTeX, with a proper minus and plus-minus."""
    text = "".join(_LATEX.get(letter, letter) for letter in text)
    text = text.replace("+-", r"$\pm$")
    return re.sub(r"(?<![\w$])-(?=\d)", "$-$", text)


def page_rows(table):
    """Return a table for the page: its head and its rows as text and values.

    Parameters
    ----------
    table : PrintedTable

    Returns
    -------
    head : list of str
        One for each column, its group in front.
    rows : list of list of str
    values : list of list of float or str
        What columns are sorted by.
    """
    titles = chain.from_iterable([title] * span for title, span in table.groups)
    head = [
        f"{title} {own}".strip() for title, own in zip(titles, table.heads, strict=True)
    ]
    rows = [[cell.text for cell in row] for row in table.rows]
    return head, rows, [[cell.value for cell in row] for row in table.rows]


def write_tables(folder, tables):
    """Write tables as text, LaTeX, ECSV and CSV, each file whole or not at all.

    Parameters
    ----------
    folder : str or Path
        One that exists.
    tables : sequence of PrintedTable

    Returns
    -------
    dict of str to list of str
        For each name its files: .txt, .tex, .ecsv, .csv.

    Raises
    ------
    InputError
        The folder does not exist.
    """
    found = {}
    for table in tables:
        stem = Path(folder) / table.name
        for ending, text in (("txt", as_text(table)), ("tex", as_latex(table))):
            with atomic_path(f"{stem}.{ending}") as temporary:
                temporary.write_text(text, encoding="utf-8")
        for ending in ("ecsv", "csv"):
            with atomic_path(f"{stem}.{ending}") as temporary:
                table.data.write(temporary, format=f"ascii.{ending}")
        found[table.name] = [f"{stem}.{end}" for end in ("txt", "tex", "ecsv", "csv")]
    return found
