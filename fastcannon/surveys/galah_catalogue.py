"""Catalogues of GALAH: main_allstar and main_allspec of DR3, the table of 6.0.

Columns: https://docs.datacentral.org.au/galah/dr3/table-schema/
"""

import difflib
import re
from pathlib import Path

import fitsio
import numpy as np
from astropy import units
from astropy.table import Table

from ..errors import FileFormatError, InputError

# Our name: (unit, the survey's columns; the first that is there counts).
_NUMBERS = {
    "ra": ("deg", ("ra_icrs", "ra_dr2", "ra")),
    "dec": ("deg", ("dec_icrs", "dec_dr2", "dec")),
    "pmra": ("mas / yr", ("pmra_dr2", "pmra")),
    "pmdec": ("mas / yr", ("pmdec_dr2", "pmdec")),
    "teff": ("K", ("teff", "teff_r")),
    "e_teff": ("K", ("e_teff",)),
    "logg": ("dex", ("logg", "logg_r")),
    "e_logg": ("dex", ("e_logg",)),
    "fe_h": ("dex", ("fe_h", "fe_h_r")),
    "e_fe_h": ("dex", ("e_fe_h",)),
    "alpha_fe": ("dex", ("alpha_fe", "alpha_fe_r")),
    "e_alpha_fe": ("dex", ("e_alpha_fe",)),
    "vmicro": ("km / s", ("vmic", "vmic_r")),
    "e_vmicro": ("km / s", ("e_vmic",)),  # DR3 has none
    "vbroad": ("km / s", ("vbroad", "vbroad_r")),
    "e_vbroad": ("km / s", ("e_vbroad",)),
    "mg_fe": ("dex", ("Mg_fe",)),
    "e_mg_fe": ("dex", ("e_Mg_fe",)),
    "rv": ("km / s", ("rv_galah", "rv_com")),
    "e_rv": ("km / s", ("e_rv_galah", "e_rv_com")),
    "snr": ("", ("snr_c2_iraf", "snr[1]", "snr_2")),
    "snr_c2_iraf": ("", ("snr_c2_iraf", "snr[1]", "snr_2")),
    "snr_c3_iraf": ("", ("snr_c3_iraf", "snr[2]", "snr_3")),
    "chi2_sp": ("", ("chi2_sp",)),
}
_FLAGS = ("flag_sp", "flag_fe_h", "flag_alpha_fe", "flag_Mg_fe", "flag_repeat")
_IDS = {
    "id": ("sobject_id",),
    "star_id": ("star_id", "tmass_id", "2mass", "2mass_id"),
    "gaia_source_id": ("dr3_source_id", "dr2_source_id", "source_id", "gaia_id"),
}
_NEEDED = ("id", "teff", "logg", "fe_h")
_GAIA_RELEASE = {
    "dr3_source_id": "EDR3",
    "dr2_source_id": "DR2",
    "source_id": "DR2",
    "gaia_id": "EDR3",
}
EPOCH = 2015.5  # of the coordinates, which are Gaia DR2's
UNKNOWN_FLAG = -1  # every bit is set, so that it passes no cut
_MISSING = (-9999.0, 99999.0)
_MISSING_TEXT = ("", "none", "null", "nan", "n/a")

LABEL_COLUMNS = {name: columns for name, (_, columns) in _NUMBERS.items()}


def read_catalogue(path, columns=None):
    """Read a catalogue of GALAH.

    Parameters
    ----------
    path : str or Path
        FITS, the table in HDU 1, or CSV (``.csv``).
    columns : dict, optional
        Our name to the column to take instead, "NAME" or "NAME[i]".

    Returns
    -------
    astropy Table
        A row per row of the file: id (sobject_id), star_id ("2M..."), gaia_source_id
        (0 = none), coordinates and their epoch, labels with errors, mg_fe, rv, snr
        (of the green arm) and the survey's flags. Where the file has no number, NaN;
        no flag, -1: it passes no cut. ``meta`` has ``gaia_release`` and ``absent``, the
        names whose columns the file lacks.

    Raises
    ------
    InputError
        A needed or named column is not there or does not hold what it must.
    FileFormatError
        The file cannot be read.
    FileNotFoundError
    """
    chosen, absent, source = _choose(path, dict(columns or {}))
    table = Table()
    n_rows = len(source[chosen["id"]])
    table["id"] = _whole(source, chosen, "id", path).astype(str)
    table["star_id"] = _star_ids(source, chosen, n_rows)
    for name, (unit, _) in _NUMBERS.items():
        values = np.full(n_rows, np.nan)
        if name in chosen:
            values = _floats(source[chosen[name]], chosen[name], path)
        table[name] = values
        table[name].unit = units.Unit(unit)
    table["epoch"] = np.full(n_rows, EPOCH) * units.yr
    for name in ("gaia_source_id", *_FLAGS):
        unknown = UNKNOWN_FLAG if name in _FLAGS else 0
        values = np.full(n_rows, unknown, np.int64)
        if name in chosen:
            values = _whole(source, chosen, name, path, unknown)
        table[name] = values
    table["gaia_source_id"] = np.maximum(table["gaia_source_id"], 0)
    gaia_column = chosen.get("gaia_source_id")
    table.meta["gaia_release"] = _GAIA_RELEASE.get(gaia_column, "unknown")
    table.meta["absent"] = absent
    return table


def _choose(path, overrides):
    """Find the column of every name and read these columns.

    Returns
    -------
    chosen : dict
        Our name to the survey's column.
    absent : list of str
    source : dict
        The survey's column to its values.
    """
    candidates = _IDS | LABEL_COLUMNS | {name: (name,) for name in _FLAGS}
    unknown = sorted(set(overrides) - set(candidates))
    if unknown:
        raise InputError(
            f"columns names {', '.join(unknown)}; the names of a GALAH catalogue are "
            f"{', '.join(candidates)}"
        )
    where, present, read = _open(path)
    chosen = {}
    for name, columns in candidates.items():
        columns = (overrides[name],) if name in overrides else columns
        there = [column for column in columns if _base(column) in present]
        if there:
            chosen[name] = there[0]
        elif name in _NEEDED or name in overrides:
            raise InputError(
                f"{where}: no column {' or '.join(columns)}, which {name} is taken "
                f"from; {_alike(columns, present)}: name another with columns"
            )
    absent = [name for name in candidates if name not in chosen]
    data = read(sorted({_base(column) for column in chosen.values()}))
    source = {
        column: _element(data[_base(column)], column, where)
        for column in chosen.values()
    }
    return chosen, absent, source


def _open(path):
    """Return where the table is, its columns, and the function that reads some."""
    if Path(path).suffix.lower() == ".csv":
        try:
            table = Table.read(path, format="ascii.csv")
        except (ValueError, UnicodeDecodeError) as error:
            raise FileFormatError(
                f"{path}: no CSV table can be read ({error}); copy it again"
            ) from error
        if not table.colnames:
            raise FileFormatError(f"{path}: no CSV table can be read (it is empty)")
        return str(path), table.colnames, lambda names: table[names]
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist; give the catalogue's file")
    where = f"{path}, HDU 1"

    def read(names):
        try:
            return hdu.read(columns=names)
        except OSError as error:
            raise _unreadable(where, error) from error

    try:
        hdu = fitsio.FITS(str(path))[1]
        return where, hdu.get_colnames(), read
    except (OSError, AttributeError) as error:
        raise _unreadable(where, error) from error


def _unreadable(where, error):
    reason = str(error).splitlines()[0]
    return FileFormatError(
        f"{where}: no table can be read ({reason}); the file is damaged or another"
    )


def _base(column):
    """Return the column's name without the "[i]" of one element."""
    return re.sub(r"\[\d+\]$", "", column)


def _element(values, column, where):
    """Return one number or text per row: the column, or the element it names."""
    values = np.ma.asarray(values)
    if values.dtype.kind in "iuf":
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if found := re.search(r"\[(\d+)\]$", column):
        if values.ndim != 2 or int(found[1]) >= values.shape[1]:
            raise InputError(
                f"{where}: column {column} does not exist; {_base(column)} has "
                f"shape {values.shape}"
            )
        values = values[:, int(found[1])]
    if values.ndim != 1:
        raise InputError(
            f"{where}: column {column} has shape {values.shape}; one value per row is "
            f'expected: name an element, "{column}[0]"'
        )
    return values


def _alike(columns, present):
    """Say which columns look like those that are missing."""
    folded = {name.casefold(): name for name in present}
    close = [
        folded[name]
        for column in columns
        for name in difflib.get_close_matches(_base(column).casefold(), folded, 4, 0.5)
    ]
    if close:
        return f"alike are {', '.join(dict.fromkeys(close))}"
    return f"its columns are {', '.join(present[:20])}"


def _texts(values):
    """Return text without blanks; masked and missing ones are empty."""
    values = np.ma.filled(values.astype(str), "")
    values = np.char.strip(values)
    return np.where(np.isin(np.char.lower(values), _MISSING_TEXT), "", values)


def _floats(values, column, path):
    """Return numbers as float64, NaN where there is none."""
    if values.dtype.kind in "SUO":
        values = _texts(values)
        values = np.where(values == "", "nan", values)
    try:
        numbers = np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)
    except ValueError as error:
        raise InputError(
            f"{path}: column {column} holds text ({error}); numbers are expected"
        ) from error
    return np.where(np.isin(numbers, _MISSING), np.nan, numbers)


def _whole(source, chosen, name, path, missing=0):
    """Return a column as int64."""
    column = chosen[name]
    values = source[column]
    if values.dtype.kind in "SUO":
        values = _texts(values)
        values = np.where(values == "", str(missing), values)
    if values.dtype.kind == "f" and name in _IDS:
        raise InputError(
            f"{path}: column {column} has type {values.dtype}, which cannot hold all "
            "digits of an id; read it from a file with whole numbers"
        )
    if values.dtype.kind == "f":
        values = np.ma.masked_invalid(values)
    try:
        return np.ma.filled(np.ma.asarray(values).astype(np.int64), missing)
    except ValueError as error:
        raise InputError(
            f"{path}: column {column} holds text ({error}); whole numbers are expected"
        ) from error


def _star_ids(source, chosen, n_rows):
    """Return "2M" and the 2MASS designation, empty where there is none."""
    if "star_id" not in chosen:
        return np.full(n_rows, "", "U18")
    names = _texts(source[chosen["star_id"]])
    return np.where(names == "", "", np.char.add("2M", names))
