"""Columns of tables as numbers: what is missing, what cannot be right."""

import numpy as np

from ..errors import InputError

LEAST_STARS = 200
FILLS = (99.0, 99.9, 99.99, 99.999, 999.0, 9999.0)
NO_ERROR = 9000.0
LOWEST = -900.0  # surveys write -999 or -9999 for a label they do not have
TEFF_RANGE = (2000.0, 60_000.0)  # K, for the median of a sample


def read_columns(table, names):
    """Return columns of a table as numbers, NaN where a value is missing.

    Missing is what is masked, not finite, below -900 (-999, -9999) or exactly one of
    `FILLS` (99, 99.9, ... 9999).

    Parameters
    ----------
    table : astropy Table, or anything with columns by name
        S rows.
    names : sequence of F str

    Returns
    -------
    (S, F) array, float64

    Raises
    ------
    InputError
        A column is not there or does not hold one number per row.
    """
    values = _columns(table, names)
    with np.errstate(over="ignore"):
        # 99.9 in single precision is another number
        single = values.astype(np.float32)
    missing = (values < LOWEST) | np.isin(single, np.array(FILLS, dtype=np.float32))
    values[missing] = np.nan
    return values


def _columns(table, names):
    """Return columns side by side, (S, F) float64."""
    there = list(getattr(table, "colnames", getattr(table, "columns", table)))
    lost = [name for name in names if name not in there]
    if lost:
        raise InputError(
            f"the table has no column {', '.join(lost)}; it has {', '.join(there)}: "
            "rename its columns or name others"
        )
    values = [_numbers(table[name], name) for name in names]
    lengths = {len(column) for column in values}
    if len(lengths) > 1:
        raise InputError(f"the columns {', '.join(names)} have lengths {lengths}")
    return np.column_stack(values) if values else np.empty((len(table), 0))


def _numbers(column, name):
    """Return one column as float64, NaN where it is masked or infinite."""
    values = np.ma.asarray(getattr(column, "value", column))
    if values.dtype.kind not in "fiu" or values.ndim != 1:
        raise InputError(
            f"column {name} has type {values.dtype} and shape {values.shape}; one "
            "number per row is expected"
        )
    plain = np.array(np.ma.filled(values.astype(np.float64), np.nan))
    plain[~np.isfinite(plain)] = np.nan
    return plain


def read_errors(table, names):
    """Return columns of errors; a name "" gives zeros.

    Missing is what is masked, not finite, negative or 9000 and more. An error of
    exactly 99 is taken as it is: 99 K is one.

    Parameters
    ----------
    table : as in `read_columns`
    names : sequence of F str

    Returns
    -------
    (S, F) array, float64
        NaN where an error is missing.
    """
    used = [name for name in names if name]
    errors = np.zeros((len(table), len(names)))
    if used:
        given = _columns(table, used)
        given[(given < 0) | (given >= NO_ERROR)] = np.nan
        errors[:, [bool(name) for name in names]] = given
    return errors


def check_units(values, names):
    """Refuse effective temperatures that are not in K.

    A column is known by its name, which starts with "teff" in upper or lower case.

    Parameters
    ----------
    values : (S, F) array
        Of `read_columns`.
    names : sequence of F str

    Raises
    ------
    InputError
    """
    low, high = TEFF_RANGE
    for column, name in zip(values.T, names, strict=True):
        known = column[np.isfinite(column)]
        if not name.lower().startswith("teff") or not len(known):
            continue
        middle = np.median(known)
        if not low <= middle <= high:
            unit = "in thousands of K" if 2 <= middle <= 60 else "in another unit"
            raise InputError(
                f"column {name} has a median of {middle:g}; effective temperatures "
                f"in K are expected ({low:g} to {high:g}): it seems to be {unit}"
            )


def check_sample(values, names, complete):
    """Refuse a training sample that is too small, or has an empty or constant column.

    Parameters
    ----------
    values : (S, F) array
    names : sequence of F str
    complete : (S,) bool array

    Raises
    ------
    InputError
    """
    if not len(values):
        raise InputError("the table has no rows; give one of common stars")
    share = np.isnan(values).mean(axis=0)
    if (share == 1).any():
        which = ", ".join(np.array(names)[share == 1])
        raise InputError(
            f"column {which} has no value in any of {len(values)} rows; is it the "
            "right column? Leave it out otherwise"
        )
    if complete.sum() < LEAST_STARS:
        gaps = ", ".join(
            f"{name} {part:.0%}" for name, part in zip(names, share, strict=True)
        )
        raise InputError(
            f"{complete.sum()} of {len(complete)} stars have every column; a "
            f"translator needs {LEAST_STARS} or more (missing: {gaps}): "
            "match more stars, or leave out the emptiest column"
        )
    flat = np.ptp(values[complete], axis=0) == 0
    if flat.any():
        which = ", ".join(np.array(names)[flat])
        raise InputError(
            f"column {which} has one value for all training stars: leave it out"
        )
