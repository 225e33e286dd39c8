"""Columns of survey catalogues, found by our names: what all surveys share."""

import re
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import fitsio
import numpy as np
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from ..errors import FileFormatError, InputError
from ..fitstables import check_rows, fits_reason, refuse_lists

_COLUMN = re.compile(r"(10\*\*)?([\w-]+)(?:\[(\d+)\])?")
_MISSING_TEXT = ("", "none", "null", "nan", "n/a")
_LOWEST = -9990.0
FILLERS = 9990.0, np.inf  # where a survey says nothing else


class _Source(NamedTuple):
    """A column, which element of it (None = all), and whether it is a logarithm."""

    name: str
    element: int | None
    power: bool


class Columns:
    """The columns read from a catalogue, by our names.

    Parameters
    ----------
    where : str
        File and HDU, for messages.
    data : structured array or Table, (N,)
    found : dict of str to _Source
        Our names; those that the file does not have are absent.
    """

    def __init__(self, where, data, found):
        self._where = where
        self._data = data
        self._found = found

    def __len__(self):
        return len(self._data)

    def __contains__(self, ours):
        return ours in self._found

    def name(self, ours):
        """Return what the file calls a column that it has."""
        return self._found[ours].name

    def raw(self, ours):
        """Return a column as it is in the file, masked or not, (N, ...)."""
        return np.ma.asarray(self._data[self._found[ours].name])

    def one_per_row(self, ours):
        """Return a column, or its element that was asked for, masked or not, (N,).

        Raises
        ------
        InputError
            It has more than one value per row.
        """
        values, source = self.raw(ours), self._found[ours]
        if source.element is not None:
            values = values[:, source.element]
        if values.ndim != 1:
            raise self.refuse(
                ours, f"one value per row for {ours}: name an element, {source.name}[0]"
            )
        return values

    def refuse(self, ours, expected):
        """Return the error of a column that does not hold what was expected."""
        values = self.raw(ours)
        kind = "text" if values.dtype.kind in "SUO" else values.dtype.name
        return InputError(
            f"{self._where}, column {self.name(ours)} holds {kind} of shape "
            f"{values.shape}; expected {expected}; take the survey's own catalogue, or "
            "name another column in columns"
        )

    def texts(self, ours):
        """Return a column of text, (N,), blanks at its ends cut off; "" if missing."""
        return _texts(self.one_per_row(ours))

    def numbers(self, ours, fillers=FILLERS):
        """Return a column as float64, (N,); NaN where it is absent or has no value.

        Parameters
        ----------
        ours : str
        fillers : (float, float)
            Numbers from the first to below the second are the survey's fillers, as are
            all from -9990 down.

        Raises
        ------
        InputError
            It does not hold one number per row.
        """
        if ours not in self:
            return np.full(len(self), np.nan)
        values = self.one_per_row(ours)
        if values.dtype.kind not in "fiu":
            values = _texts(values)
            values = np.where(values == "", "nan", values)
        try:
            values = np.ma.filled(values.astype(np.float64), np.nan)
        except (ValueError, OverflowError) as error:
            raise self.refuse(
                ours, f"one number per row for {ours} ({error})"
            ) from None
        low, high = fillers
        known = np.isfinite(values) & (values > _LOWEST)
        values = np.where(known & ~((values >= low) & (values < high)), values, np.nan)
        return 10.0**values if self._found[ours].power else values


def read_columns(path, candidates, needed, given=None):
    """Read the columns of a catalogue that are wanted, and no others.

    Parameters
    ----------
    path : str or Path
        FITS, the table in HDU 1, or CSV (``.csv``).
    candidates : dict of str to sequence of str
        Our name: the columns that may hold it, the first one present counts.
    needed : collection of str
        Our names without which the catalogue is of no use.
    given : dict of str to str, optional
        Our name: the column to take instead, "NAME", "NAME[i]" or "10**NAME[i]".

    Returns
    -------
    Columns

    Raises
    ------
    InputError
        A needed or given column is missing, or ``given`` cannot be used.
    FileFormatError
        The file is damaged or has no table.
    FileNotFoundError
    """
    given = given or {}
    unknown = [ours for ours in given if ours not in candidates]
    if unknown:
        raise InputError(
            f"columns names {', '.join(map(repr, unknown))}; "
            f"expected some of {', '.join(candidates)}"
        )
    candidates = candidates | {ours: (name,) for ours, name in given.items()}
    needed = {*needed, *given}
    if Path(path).suffix.lower() == ".csv":
        table = _read_csv(path)
        return Columns(str(path), table, _find(path, table.dtype, candidates, needed))
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist; give the catalogue's file")
    where = f"{path}, HDU 1"
    try:
        with fitsio.FITS(str(path)) as file:
            if len(file) < 2 or file[1].get_exttype() != "BINARY_TBL":
                raise FileFormatError(f"{where}: no table; give the survey's catalogue")
            found = _find(where, file[1].get_rec_dtype()[0], candidates, needed)
            names = sorted({source.name for source in found.values()})
            refuse_lists(file[1], names, where)
            check_rows(file[1])
            return Columns(where, file[1].read(columns=names), found)
    except (FileFormatError, InputError):
        raise
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{where}: a column of text holds {error.object!r}, which is no ASCII; the "
            "file may be damaged, fetch it again, or mend this text"
        ) from error
    except Exception as error:  # CFITSIO's reader raises whatever a header makes it
        raise FileFormatError(
            f"{where}: no table can be read: {fits_reason(error)}; the file may be "
            "damaged or cut short, fetch it again"
        ) from error


def _read_csv(path):
    """Return the table of a CSV file, whole."""
    try:
        with warnings.catch_warnings():
            # A column of too large numbers is read as text, and refused if it is used.
            warnings.simplefilter("ignore", AstropyWarning)
            table = Table.read(path, format="ascii.csv")
    except (ValueError, UnicodeDecodeError) as error:
        raise FileFormatError(
            f"{path}: no CSV table can be read ({error}); fetch it again"
        ) from error
    if not table.colnames:
        raise FileFormatError(f"{path}: no CSV table can be read (it is empty)")
    return table


def _find(where, dtype, candidates, needed):
    """Return the source of each of our names that the file has a column for."""
    found = {}
    for ours, texts in candidates.items():
        source = _first_present(ours, texts, dtype)
        if source is not None:
            found[ours] = source
        elif ours in needed:
            raise InputError(_no_column(where, ours, texts, dtype.names))
    return found


def _first_present(ours, texts, dtype):
    """Return the first column that the file has, as the file writes it, or None."""
    present = {name.upper(): name for name in dtype.names}
    for text in texts:
        match = _COLUMN.fullmatch(str(text))
        if match is None:
            raise InputError(
                f"the column of {ours} is {text!r}; "
                "expected NAME, NAME[i] or 10**NAME[i]"
            )
        name = present.get(match[2].upper())
        element = None if match[3] is None else int(match[3])
        shape = dtype[name].shape if name else ()
        if name and (element is None or (len(shape) == 1 and element < shape[0])):
            return _Source(name, element, match[1] is not None)
    return None


def _no_column(where, ours, texts, names):
    """Return what to say of a missing column: which, what looks alike, what to do."""
    by_upper = {name.upper(): name for name in names}
    alike = []
    for text in texts:
        wanted = _COLUMN.fullmatch(text)[2].upper()
        close = get_close_matches(wanted, by_upper, n=4)
        alike += [by_upper[key] for key in close]
        alike += [name for key, name in by_upper.items() if wanted in key]
    shown = list(dict.fromkeys(alike))[:8]
    hint = f"alike are {', '.join(shown)}" if shown else f"it has {', '.join(names)}"
    return (
        f"{where}: no column {' or '.join(texts)} for {ours}; {hint}: name the one to "
        f"take in columns, {ours} = ..."
    )


def _texts(values):
    """Return text without blanks at its ends; "" where masked or a word for none."""
    values = np.char.strip(np.ma.filled(values.astype("U"), ""))
    return np.where(np.isin(np.char.lower(values), _MISSING_TEXT), "", values)
