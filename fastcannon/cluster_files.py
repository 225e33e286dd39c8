"""Tables of clusters that users give: members, and what the literature knows."""

import numpy as np
from astropy.table import Table

from .errors import FileFormatError
from .usertables import read_any

IDS = ("dr3_source_id", "dr2_source_id", "survey_id")
# Our name: the names that it may have in files.
_MEMBER_NAMES = {
    "cluster": ("cluster", "name"),
    "probability": ("probability",),
    "dr3_source_id": ("dr3_source_id", "source_id"),
    "dr2_source_id": ("dr2_source_id",),
    "survey_id": ("survey_id",),
}
_LITERATURE_TEXT = {
    "cluster": ("cluster", "name"),
    "kind": ("kind", "type"),
    "reference": ("reference",),
}
_LITERATURE_NUMBERS = ("age", "fe_h", "e_fe_h", "alpha_fe", "e_alpha_fe")


def read_members(path):
    """Read a table of members of clusters.

    Parameters
    ----------
    path : str or Path
        FITS, ECSV, CSV or what else astropy reads by its name, with a row for each
        star and cluster: ``cluster`` (or ``name``), ``probability`` (0 to 1) and one
        or more of ``dr3_source_id`` (or ``source_id``: Gaia EDR3 and DR3 have the
        same), ``dr2_source_id``, ``survey_id``.

    Returns
    -------
    astropy Table
        cluster, probability (NaN where missing) and the ids under our names: int64, 0
        where missing, or text, "" where missing.

    Raises
    ------
    FileFormatError
        The file is no table, lacks a column, or a column cannot be used.
    FileNotFoundError
    """
    table = read_any(path, "cluster, probability and dr3_source_id")
    found = Table()
    found["cluster"] = _text(path, table, _MEMBER_NAMES["cluster"], needed=True)
    probability = _numbers(path, table, "probability", needed=True)
    if np.any((probability < 0) | (probability > 1)):
        raise FileFormatError(
            f"{path}, column probability: values from {np.nanmin(probability):g} to "
            f"{np.nanmax(probability):g}; expected 0 to 1 (percent: divide by 100)"
        )
    found["probability"] = probability
    for name in IDS:
        theirs = _first(table, _MEMBER_NAMES[name])
        if theirs is not None:
            is_text = name == "survey_id"
            found[name] = (
                _text(path, table, (theirs,)) if is_text else _ids(path, table, theirs)
            )
    if not set(IDS) & set(found.colnames):
        raise FileFormatError(
            f"{path}: no column of identifiers; expected one of {', '.join(IDS)}; "
            f"the columns are {', '.join(table.colnames)}"
        )
    return found


def read_literature(path):
    """Read what is known of clusters.

    Parameters
    ----------
    path : str or Path
        As in `read_members`, with a row for each cluster: ``cluster`` (or ``name``)
        and, as far as known, ``kind`` (or ``type``: open, globular), ``age`` (Gyr),
        ``fe_h``, ``e_fe_h``, ``alpha_fe``, ``e_alpha_fe`` (dex), ``reference``.

    Returns
    -------
    astropy Table
        All of these columns; NaN and "" where the file has none.

    Raises
    ------
    FileFormatError
        The file is no table, has no names, names a cluster twice, or a column cannot
        be used.
    FileNotFoundError
    """
    table = read_any(path, "cluster, kind, age and fe_h")
    found = Table()
    for name, theirs in _LITERATURE_TEXT.items():
        found[name] = _text(path, table, theirs, needed=name == "cluster")
    for name in _LITERATURE_NUMBERS:
        found[name] = _numbers(path, table, name)
    names, counts = np.unique(np.asarray(found["cluster"]), return_counts=True)
    if np.any(counts > 1):
        raise FileFormatError(
            f"{path}: {', '.join(names[counts > 1])}: more than one row; one row for "
            "each cluster is expected"
        )
    return found


def _first(table, theirs):
    """Return the first of some names that is a column, or None."""
    return next((name for name in theirs if name in table.colnames), None)


def _values(path, table, theirs, kinds, expected, needed):
    """Return a column of one value per row as a masked array, or None."""
    name = _first(table, theirs)
    if name is None:
        if needed:
            raise FileFormatError(
                f"{path}: no column {theirs[0]}; it is needed; the columns are "
                f"{', '.join(table.colnames)}"
            )
        return None
    values = np.ma.asarray(getattr(table[name], "value", table[name]))
    if values.ndim != 1 or (len(values) and values.dtype.kind not in kinds):
        raise FileFormatError(
            f"{path}, column {name}: type {values.dtype}, shape {values.shape}; "
            f"expected {expected}"
        )
    return values


def _text(path, table, theirs, needed=False):
    """Return a column of text, "" where it is missing; names may be numbers."""
    values = _values(path, table, theirs, "USOiu", "text", needed)
    if values is None:
        return np.full(len(table), "", dtype="U1")
    filled = [
        "" if value is np.ma.masked else _decoded(value).strip() for value in values
    ]
    if needed and "" in filled:
        row = filled.index("")
        raise FileFormatError(
            f"{path}, column {_first(table, theirs)}: row {row} is empty; name its "
            "cluster or remove it"
        )
    return np.array(filled, dtype=str)


def _decoded(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _numbers(path, table, name, needed=False):
    """Return a column as float64, NaN where it is missing."""
    values = _values(path, table, (name,), "fiu", "one number per row", needed)
    if values is None:
        return np.full(len(table), np.nan)
    return np.ma.filled(values.astype(np.float64), np.nan)


def _ids(path, table, name):
    """Return a column of Gaia ids as int64, 0 where they are missing."""
    expected = (
        "64-bit whole numbers (identifiers of 19 digits do not survive as floats)"
    )
    values = _values(path, table, (name,), "iu", expected, True)
    return np.ma.filled(values, 0).astype(np.int64)
