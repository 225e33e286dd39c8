"""FITS files of the package: written whole or not at all, read only if intact.

`fitsheaders` says what every file carries. Nothing in a file depends on the time or
place of writing: equal content is equal bytes.
"""

import io
from pathlib import Path

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.table import Table

from .atomic import atomic_path
from .errors import InputError, parsing
from .fitsheaders import (
    check_kind,
    identify,
    reserve_checksum,
    scan_open,
    stamp_checksums,
    verify_open,
)

TABLE_VERSION = 1
_WRITABLE = "use numbers, booleans and plain ASCII text"


def write_hdus(path, hdus, kind, version, overwrite=True):
    """Write HDUs atomically, identified and with checksums.

    Parameters
    ----------
    path : str or Path
    hdus : sequence of astropy HDUs
        The first is a PrimaryHDU; their headers get the keywords.
    kind : str
    version : int
        What `open_verified` will be asked for.
    overwrite : bool

    Raises
    ------
    InputError
        See `atomic_path`.
    """
    identify(hdus[0].header, kind, version, len(hdus))
    for hdu in hdus:
        reserve_checksum(hdu.header)
    with atomic_path(path, overwrite) as temporary:
        fits.HDUList(hdus).writeto(temporary)
        stamp_checksums(temporary)


def write_table(path, table, extname, facts=None, overwrite=True):
    """Write one table as a FITS file of kind ``extname``.

    Parameters
    ----------
    path : str or Path
    table : astropy.table.Table
        Units and descriptions of its columns are kept, ``meta`` is not.
    extname : str
        Name of the table's HDU and kind of the file, for example "LABELS".
    facts : dict, optional
        Keywords for the primary header: value or (value, comment).
    overwrite : bool

    Raises
    ------
    InputError
        A column cannot be kept in FITS; see also `atomic_path`.
    """
    primary = fits.PrimaryHDU()
    primary.header.update(facts or {})
    hdus = [primary, table_to_hdu(table, extname)]
    write_hdus(path, hdus, extname, TABLE_VERSION, overwrite)


def table_to_hdu(table, extname):
    """Return a table as a FITS table with TUNIT and TCOMM for every column.

    astropy refuses units that FITS does not know (dex); they are kept as text.

    Parameters
    ----------
    table : astropy.table.Table
        N rows; masked numbers become NaN (floats) or TNULL (integers).
    extname : str

    Raises
    ------
    InputError
        A column has a type that FITS cannot keep, or text that is not ASCII.
    """
    plain = Table(table)
    plain.meta.clear()
    for column in plain.itercols():
        column.unit = column.description = None
        if column.dtype.hasobject:
            raise InputError(
                f"the table {extname} cannot be written as FITS: column "
                f"{column.name!r} holds Python objects; {_WRITABLE}"
            )
    try:
        # the filler of masked half-precision numbers is beyond them
        with np.errstate(over="ignore"):
            hdu = fits.table_to_hdu(plain)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the table {extname} cannot be written as FITS: {error}; {_WRITABLE}"
        ) from error
    hdu.name = extname
    for number, name in enumerate(plain.colnames, start=1):
        info = table[name].info
        if info.unit is not None:
            hdu.columns[name].unit = _unit_text(info.unit)
        if info.description:
            hdu.header[f"TCOMM{number}"] = info.description
    return hdu


def without_odd_units(table):
    """Return a copy of a table without the units that FITS does not know (dex).

    astropy warns of such a unit whenever it reads the file; for tables that are to
    be opened by anything else than this package.

    Parameters
    ----------
    table : astropy.table.Table
    """
    plain = table.copy()
    for column in plain.itercols():
        if column.unit is not None and "dex" in _unit_text(column.unit):
            column.unit = None
    return plain


def hdu_to_table(hdu):
    """Return a FITS table as an astropy Table, units and descriptions included.

    Parameters
    ----------
    hdu : astropy.io.fits.BinTableHDU
        N rows; NaN stays NaN, only integers equal to TNULL are masked.
    """
    table = Table.read(hdu, mask_invalid=False, unit_parse_strict="silent")
    table.meta.clear()
    for number, column in enumerate(table.itercols(), start=1):
        text = hdu.header.get(f"TUNIT{number}")
        if text is not None:
            column.unit = units.Unit(text, parse_strict="silent")
        column.description = hdu.header.get(f"TCOMM{number}")
    table.convert_bytestring_to_unicode()
    return table


def open_verified(path, kind, version):
    """Open a small file after checking kind, version, length and checksums.

    Parameters
    ----------
    path : str or Path
    kind : str
    version : int
        What was given to `write_hdus`.

    Returns
    -------
    astropy.io.fits.HDUList
        A context manager.

    Raises
    ------
    FileFormatError
        See `check_layout` and `verify_checksums`.
    """
    # Read once: what is parsed is what was verified, whatever the path says later.
    content = io.BytesIO(Path(path).read_bytes())
    found = scan_open(path, content)
    check_kind(path, found, kind, version)
    verify_open(path, content, found)
    content.seek(0)
    with parsing(path, "the file"):
        # A table may call itself a compressed image of any size.
        return fits.open(content, memmap=False, disable_image_compression=True)


def read_table(path, kind):
    """Read the table of a file of `write_table` after checking all of the file.

    Parameters
    ----------
    path : str or Path
    kind : str
        Of the file, and name of the table's HDU.

    Returns
    -------
    astropy Table

    Raises
    ------
    FileFormatError
        See `open_verified`; or the table is not one.
    """
    opened = open_verified(path, kind, TABLE_VERSION)
    with opened as hdus, parsing(path, f"HDU {kind}"):
        return hdu_to_table(hdus[kind])


def read_table_hdu(path, span):
    """Return one table of a file, its checksums checked, without reading the others.

    Parameters
    ----------
    path : str or Path
    span : HduSpan
        Of `scan`.

    Returns
    -------
    astropy Table

    Raises
    ------
    FileFormatError
        The checksums do not agree, or it is no table.
    """
    with open(path, "rb") as handle:
        handle.seek(span.start)
        content = handle.read(span.end - span.start)
    moved = span._replace(start=0, data=span.data - span.start, end=len(content))
    verify_open(path, io.BytesIO(content), [moved])
    with parsing(path, f"HDU {span.name}"):
        return hdu_to_table(fits.BinTableHDU.fromstring(content))


def _unit_text(unit):
    """Return a unit in the words of FITS, else in astropy's own."""
    try:
        return unit.to_string(format="fits")
    except ValueError:
        return unit.to_string()
