"""Cuts on a catalogue: conditions on its columns, each with what it removed.

Cuts are a table {column: condition}. A condition is a comparison with a number
("> 80", "<= 4", "== 0"), "finite", or {"without": [names of bits]}: none of these
bits of a flag may be set. They are applied in order.
"""

import difflib
import operator
import re
from typing import NamedTuple

import numpy as np

from .errors import InputError

COMPARISONS = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_COMPARISON = re.compile(rf"\s*({'|'.join(COMPARISONS)})\s*({_NUMBER})\s*")
_ALLOWED = (
    'a comparison with a number (one of <, <=, >, >=, ==, !=; for example "> 80"), '
    '"finite", or a table { without = ["NAME OF A BIT", ...] }'
)


class Cut(NamedTuple):
    """One cut: how many rows it removed of those that were left, and what is left."""

    column: str
    condition: str
    removed: int
    left: int


def suggest(name, choices):
    """Return " (did you mean 'x'?)" for the closest of the choices, or nothing."""
    folded = {str(choice).casefold(): choice for choice in choices}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def get_column(table, name, what):
    """Return a column without its unit as a masked array.

    Parameters
    ----------
    table : astropy Table
    name : str
    what : str
        What the table is called in errors.

    Raises
    ------
    InputError
        There is no such column.
    """
    if name not in table.colnames:
        raise InputError(
            f"{what}: there is no column {name!r}{suggest(name, table.colnames)}; "
            f"the columns are {', '.join(table.colnames)}"
        )
    return np.ma.asanyarray(getattr(table[name], "value", table[name]))


def get_numbers(table, name, what):
    """Return a column as (N,) float64, NaN where masked.

    Raises
    ------
    InputError
        There is no such column, or it does not hold one number per row.
    """
    values = get_column(table, name, what)
    if values.dtype.kind not in "fiu" or values.ndim != 1:
        raise InputError(
            f"{what}: column {name!r} has type {values.dtype} and shape "
            f"{values.shape}; expected one number per row"
        )
    return np.ma.filled(values.astype(np.float64), np.nan)


def check_condition(condition):
    """Return a condition in a plain form.

    Parameters
    ----------
    condition : str or dict
        As described at the head of the module.

    Returns
    -------
    (str, object)
        A comparison and its number, ("finite", None), or ("without", list of names).

    Raises
    ------
    InputError
        It is none of these; the text says what came and what is allowed.
    """
    if isinstance(condition, str):
        if condition.strip() == "finite":
            return "finite", None
        if found := _COMPARISON.fullmatch(condition):
            digits = found[2]
            # Whole numbers stay whole: a double cannot hold every 64-bit flag.
            whole = re.fullmatch(r"[+-]?\d+", digits)
            return found[1], int(digits) if whole else float(digits)
    if isinstance(condition, dict) and set(condition) == {"without"}:
        names = condition["without"]
        is_list = isinstance(names, (list, tuple)) and len(names) > 0
        if is_list and all(isinstance(name, str) and name for name in names):
            return "without", list(names)
    raise InputError(f"{condition!r} is no condition; expected {_ALLOWED}")


def apply_cuts(table, cuts, flags=None, labels=(), where="cuts"):
    """Apply cuts to a catalogue, one after the other.

    Parameters
    ----------
    table : astropy Table, N rows
        The columns hold one number per row; NaN, infinite and masked values fail
        every condition.
    cuts : dict of column to condition, or list of such dicts
        A list is applied in its order; the same column may stand in several.
    flags : dict of column to bit mask table, optional
        For "without": an object whose ``value(names)`` is the integer of these bits
        and which raises InputError for a name it does not know.
    labels : sequence of str
        Before all cuts, rows are removed in which one of these columns is not
        finite; they count as one cut.
    where : str
        What the cuts are called in errors, for example "surveys.apogee.cuts".

    Returns
    -------
    mask : (N,) bool array
        True for rows that pass everything.
    report : list of Cut

    Raises
    ------
    InputError
        A column or bit does not exist or a condition cannot be applied to it.
    """
    mask = np.ones(len(table), dtype=bool)
    report = []
    if labels:
        passed = np.ones(len(table), dtype=bool)
        for name in labels:
            passed &= _passes(table, name, "finite", None, flags, "labels")
        mask = _record(report, mask, passed, "labels", f"valid: {', '.join(labels)}")
    for one in [cuts] if isinstance(cuts, dict) else cuts:
        for column, condition in one.items():
            try:
                kind, value = check_condition(condition)
            except InputError as error:
                raise InputError(f"{where}.{column}: {error}") from None
            passed = _passes(table, column, kind, value, flags, where)
            mask = _record(report, mask, passed, column, condition_text(condition))
    return mask, report


def condition_text(condition):
    """Return a condition as it is printed: "> 80", "without NAME, NAME"."""
    kind, value = check_condition(condition)
    if kind == "without":
        return f"without {', '.join(value)}"
    return kind if value is None else f"{kind} {value}"


def report_lines(report, start=None):
    """Return the cuts as lines of text in columns.

    Parameters
    ----------
    report : list of Cut
    start : int, optional
        Rows before the first cut; default: those that it found.

    Returns
    -------
    list of str
        A head, then a line per cut: column, condition, rows removed, rows left.
    """
    if not report:
        return ["no cuts"]
    if start is None:
        start = report[0].left + report[0].removed
    rows = [("column", "condition", "removed", "left"), ("", "", "", f"{start:,}")]
    rows += [(c.column, c.condition, f"{c.removed:,}", f"{c.left:,}") for c in report]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    # Long lists of bits stand last, so that the numbers stay in sight.
    order, sides = (2, 3, 0, 1), (">", ">", "<", "<")
    return [
        "  ".join(
            f"{row[k]:{side}{widths[k]}}" for k, side in zip(order, sides, strict=True)
        ).rstrip()
        for row in rows
    ]


def _record(report, mask, passed, column, text):
    """Append a cut to the report and return the rows that are left."""
    left = mask & passed
    count = int(left.sum())
    report.append(Cut(column, text, int(mask.sum()) - count, count))
    return left


def _passes(table, column, kind, value, flags, where):
    """Return which rows of a table meet one condition, (N,) bool."""
    key = f"{where}.{column}"
    values = get_column(table, column, key)
    known = ~np.ma.getmaskarray(values)
    values = np.ma.getdata(values)
    if values.dtype.kind not in "fiub" or values.ndim != 1:
        raise InputError(
            f"{key}: the column has type {values.dtype} and shape {values.shape}; "
            "a condition needs one number per row"
        )
    if kind == "without":
        return known & ((_bits(values, key) & _value(flags, column, value, key)) == 0)
    known &= np.isfinite(values)
    if kind == "finite":
        return known
    return known & COMPARISONS[kind](values, value)


def _bits(values, key):
    """Return a flag column as unsigned integers, so that bit 31 is like any other."""
    if values.dtype.kind not in "iu":
        raise InputError(
            f"{key}: the column has type {values.dtype}; bits need whole numbers"
        )
    return values.astype(np.int64).view(np.uint64)


def _value(flags, column, names, key):
    """Return the bits of these names in a flag column."""
    flags = flags or {}
    if column not in flags:
        raise InputError(
            f'{key}: "without" needs a flag whose bits have names'
            f"{suggest(column, flags)}; these are {', '.join(flags) or '(none)'}"
        )
    try:
        return np.uint64(flags[column].value(names))
    except InputError as error:
        raise InputError(f"{key}: {error}") from None
