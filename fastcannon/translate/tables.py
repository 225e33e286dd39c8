"""Tables of any survey, read in blocks of rows: FITS, Parquet, and what astropy reads.

The first table of a FITS file, a Parquet file or a folder of them are read block by
block and column by column; other formats as a whole.
"""

import os
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import fitsio
import numpy as np
from astropy.table import Column, MaskedColumn, Table, vstack

from ..errors import FileFormatError, InputError
from ..fitstables import check_rows
from ..usertables import read_any

FITS, PARQUET, OTHER = "FITS", "Parquet", "other"
_TABLES = ("BINARY_TBL", "ASCII_TBL")
_KINDS = "iufbSU"  # types of columns that are read; others are left out


class Part(NamedTuple):
    """One file of a table.

    Attributes
    ----------
    path : str
    format : str
        FITS, PARQUET or OTHER.
    rows : int
    names : tuple of str
        Columns of one number or text per row.
    left_out : tuple of str
        Columns of anything else.
    """

    path: str
    format: str
    rows: int
    names: tuple
    left_out: tuple


def table_files(table):
    """Return the files that a table is made of.

    Parameters
    ----------
    table : str, Path or sequence of them
        FITS, Parquet, a folder of Parquet files (in the order of their names), or
        anything that astropy reads by its name; or the files of one table.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        A folder has no Parquet files, or a sequence is empty.
    """
    if not isinstance(table, (str, os.PathLike)):
        files = [Path(file) for file in table]
    elif Path(table).is_dir():
        files = sorted(Path(table).glob("*.parquet"))
    else:
        files = [Path(table)]
    if not files:
        raise InputError(
            f"{table} is a folder without Parquet files (*.parquet) or an empty list; "
            "give a file, or the folder of the partitions of a catalogue"
        )
    return files


def open_table(table):
    """Look at the files of a table.

    Parameters
    ----------
    table : str, Path or sequence of them
        See `table_files`.

    Returns
    -------
    list of Part

    Raises
    ------
    FileFormatError
        A file is no table, damaged, or has other columns than the first.
    InputError
        See `table_files`.
    FileNotFoundError
    """
    parts = [_part(file) for file in table_files(table)]
    for part in parts:
        odd = set(part.names) ^ set(parts[0].names)
        if odd:
            raise FileFormatError(
                f"{part.path}: its columns are not those of {parts[0].path} "
                f"(different: {', '.join(sorted(odd))}); give files of one table"
            )
    return parts


def read_rows(part, names, start=0, stop=None):
    """Read rows of some columns.

    Parameters
    ----------
    part : Part
    names : sequence of str
        Of ``part.names``.
    start, stop : int
        Rows; default: all.

    Returns
    -------
    astropy Table
        Masked where a value is missing; units and descriptions as in the file.

    Raises
    ------
    FileFormatError
    """
    stop = part.rows if stop is None else stop
    readers = {FITS: _read_fits, PARQUET: _read_parquet, OTHER: _read_other}
    with _reading(part.path):
        return readers[part.format](part.path, list(names), start, stop)


def read_table(table, needed, also=()):
    """Read columns of a table as a whole.

    Parameters
    ----------
    table : str, Path or sequence of them
        See `table_files`.
    needed : sequence of str
        Columns.
    also : sequence of str
        Columns that are read if they are there.

    Returns
    -------
    astropy Table
        See `read_rows`.

    Raises
    ------
    InputError
        A column is not there; see also `open_table`.
    """
    parts = open_table(table)
    check_there(parts[0], needed, "rename its columns or name others")
    used = [name for name in parts[0].names if name in {*needed, *also}]
    tables = [read_rows(part, used) for part in parts]
    return vstack(tables, metadata_conflicts="silent") if len(parts) > 1 else tables[0]


def check_there(part, names, advice):
    """Refuse a table that lacks some of these columns.

    Parameters
    ----------
    part : Part
    names : sequence of str
    advice : str

    Raises
    ------
    InputError
    """
    lost = [name for name in names if name not in part.names]
    if lost:
        raise InputError(
            f"{part.path}: no column {', '.join(lost)} of one number or text per row; "
            f"it has {', '.join(part.names)}: {advice}"
        )


def _part(path):
    """Look at a file: its format, its rows and its columns."""
    with open(path, "rb") as handle:
        start = handle.read(6)
    with _reading(path):
        if start == b"SIMPLE":
            return _fits_part(path)
        if start[:4] == b"PAR1":
            return _parquet_part(path)
        table = _whole(str(path), path.stat().st_mtime_ns)
    names = [name for name in table.colnames if _usable(name, table[name])]
    return _make(path, OTHER, len(table), table.colnames, names)


def _make(path, kind, rows, every, names):
    left_out = tuple(name for name in every if name not in names)
    return Part(str(path), kind, rows, tuple(names), left_out)


@contextmanager
def _reading(path):
    """Turn what readers raise on a damaged file into FileFormatError."""
    try:
        yield
    except (FileFormatError, InputError, FileNotFoundError):
        raise
    except Exception as error:  # readers raise whatever their parsers raise
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise FileFormatError(
            f"{path}: no table that can be read ({reason}); it is damaged or of an "
            "unknown format: give FITS, Parquet, ECSV or CSV"
        ) from error


def _usable(name, column):
    """Tell whether a column has one number or text per row and a plain name."""
    return (
        isinstance(column, Column)
        and column.ndim == 1
        and column.dtype.kind in _KINDS
        and name.isascii()
    )


def _fits_part(path):
    with fitsio.FITS(str(path)) as file:
        hdu = _first_table(path, file)
        check_rows(hdu)
        types, _, variable = hdu.get_rec_dtype()
        rows = hdu.get_nrows()
    names = [
        name
        for name, varies in zip(types.names, variable, strict=True)
        if not varies
        and types[name].shape == ()
        and types[name].kind in _KINDS
        and name.isascii()
    ]
    return _make(path, FITS, rows, types.names, names)


def _first_table(path, file):
    for hdu in file:
        if hdu.get_exttype() in _TABLES:
            return hdu
    raise FileFormatError(f"{path}: a FITS file without a table; give one that has one")


def _read_fits(path, names, start, stop):
    found = Table()
    with fitsio.FITS(path) as file:
        hdu = _first_table(path, file)
        header = hdu.read_header()
        numbers = {name: n for n, name in enumerate(hdu.get_colnames(), start=1)}
        rows = hdu[names][start:stop] if names and stop > start else None
        for name in names:
            if rows is None:
                values = np.empty(0, hdu.get_rec_dtype()[0][name])
            else:
                values = rows[name]
            null = header.get(f"TNULL{numbers[name]}")
            whole = values.dtype.kind in "iu" and null is not None
            found[name] = _column(
                values,
                values == null if whole else False,
                header.get(f"TUNIT{numbers[name]}"),
                header.get(f"TCOMM{numbers[name]}"),
            )
    return found


def _parquet_part(path):
    import pyarrow.parquet as parquet
    import pyarrow.types as kinds

    with parquet.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    tests = (
        kinds.is_integer,
        kinds.is_floating,
        kinds.is_boolean,
        kinds.is_string,
        kinds.is_large_string,
    )
    names = [
        field.name
        for field in schema
        if any(test(field.type) for test in tests) and field.name.isascii()
    ]
    return _make(path, PARQUET, rows, schema.names, names)


def _read_parquet(path, names, start, stop):
    """Read the groups of rows that hold the rows asked for, and cut them."""
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path, page_checksum_verification=True) as file:
        meta = file.metadata
        sizes = [meta.row_group(n).num_rows for n in range(meta.num_row_groups)]
        ends = np.cumsum(sizes, dtype=np.int64)
        used = np.flatnonzero((ends > start) & (ends - sizes < stop))
        # one thread: workers share the processors already
        rows = file.read_row_groups(used.tolist(), columns=names, use_threads=False)
        first = int(ends[used[0]] - sizes[used[0]]) if len(used) else 0
    rows = rows.slice(start - first, stop - start)
    found = Table()
    for name in names:
        field = rows.schema.field(name)
        said = {key.decode(): text.decode() for key, text in _metadata(field).items()}
        values, mask = _arrow_values(rows[name])
        found[name] = _column(values, mask, said.get("unit"), said.get("description"))
    return found


def _metadata(field):
    return field.metadata or {}


def _arrow_values(chunked):
    """Return a column of Arrow as an array and a mask."""
    import pyarrow.types as kinds

    if chunked.null_count == 0:
        mask = False
    else:
        mask = chunked.is_null().to_numpy()
        of_text = kinds.is_string(chunked.type) or kinds.is_large_string(chunked.type)
        chunked = chunked.fill_null("" if of_text else 0)
    values = chunked.to_numpy()
    if values.dtype.kind == "O":
        values = values.astype(str)
    return values, mask


def _read_other(path, names, start, stop):
    return _whole(path, Path(path).stat().st_mtime_ns)[names][start:stop]


@lru_cache(1)
def _whole(path, _):
    """Return a table that only astropy reads; kept for the next block of rows."""
    return read_any(path)


def _column(values, mask, unit, description):
    """Return a column in the machine's byte order, masked where it has to be."""
    if values.dtype.kind in "SU":
        values = np.char.rstrip(values.astype(str))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    kind = MaskedColumn if np.any(mask) else Column
    column = kind(values, unit=unit or None, description=description or None)
    if np.any(mask):
        column.mask = mask
    return column
