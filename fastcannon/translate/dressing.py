"""What the columns of a translated catalogue look like: types, units, descriptions."""

import numpy as np

from ..catalogue import Column
from ..errors import InputError
from .quality import BIT

MISSING = -9999


def result_columns(translator, level):
    """Return the columns that a translator makes, dressed for a catalogue.

    Parameters
    ----------
    translator : Translator
    level : float

    Returns
    -------
    list of Column
        In the order of `Translator.apply`; the width of comments is left open.
    """
    outputs = translator.trained.outputs
    of = f"of the {100 * level:g} % interval of a measured value"
    columns = []
    for name, unit in zip(outputs.names, outputs.units, strict=True):
        described = (
            (name, "", f"{_plain_text(name)}, translated"),
            (f"e_{name}", "stat.error", "Error of the true value"),
            (f"{name}_low", "stat.min", f"Lower bound {of}"),
            (f"{name}_high", "stat.max", f"Upper bound {of}"),
        )
        columns += [Column(n, "f8", unit, ucd, text) for n, ucd, text in described]
    bits = ", ".join(f"{bit} {name}" for name, bit in BIT.items())
    away = "Mean squared distance to the nearest 10 training stars"
    return [
        *columns,
        Column("translate_flag", "i4", "", "meta.code.qual", f"Sum of: {bits}"),
        Column("translate_comment", "U1", "", "meta.note", "Why it is flagged"),
        Column("translate_distance", "f8", "", "stat.value", away),
    ]


def plain_values(column):
    """Return a column as an array that a partition and FITS can hold.

    Missing text becomes "", a missing float NaN, a missing whole number -9999.

    Parameters
    ----------
    column : astropy Column
        One number, text or truth value per row.

    Returns
    -------
    (S,) array
        Of 2, 4 or 8 bytes per number; truth values are numbers.

    Raises
    ------
    InputError
        Whole numbers are too large.
    """
    values = np.ma.asarray(column)
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind in "SU":
        text = np.ma.filled(values.astype(str), "")
        return text.astype("U1") if text.dtype.itemsize == 0 else text
    if kind == "f":
        values = values.astype(np.float32 if size <= 4 else np.float64)
        return np.ma.filled(values, np.nan)
    if kind == "b" or size == 1:
        values = values.astype(np.int16)
    elif kind == "u":
        if size == 8 and values.max(initial=0) > np.iinfo(np.int64).max:
            raise InputError(
                f"column {column.name} has whole numbers above 2**63, which cannot be "
                "passed on: leave it out (--keep)"
            )
        values = values.astype(np.int32 if size == 2 else np.int64)
    return np.ma.filled(values, MISSING)


def is_ascii(values):
    """Tell whether an array has no text beyond ASCII."""
    if values.dtype.kind != "U":
        return True
    return np.ascontiguousarray(values).view(np.uint32).max(initial=0) < 128


def _plain_text(text):
    return str(text or "").encode("ascii", "replace").decode()


def kept_column(column, values):
    """Return how a kept column is described."""
    unit = "" if column.unit is None else column.unit.to_string()
    return Column(
        str(column.name),
        values.dtype.str[1:],
        _plain_text(unit),
        "",
        _plain_text(column.description),
    )


def widest(tables):
    """Return the columns of all partitions, text as wide as in the widest."""
    columns = []
    for same in zip(*tables, strict=True):
        widest = max(same, key=lambda column: np.dtype(column.dtype).itemsize)
        columns.append(widest)
    return columns
