"""Tables in FITS files of others, before fitsio takes memory for them."""

import os
import re

from .errors import FileFormatError

_DEFLATE = 1032  # bytes that one byte of a .gz file can become


def check_rows(hdu, where):
    """Refuse a table whose header announces more rows than its file has bytes for.

    Parameters
    ----------
    hdu : fitsio.TableHDU
    where : str
        File and HDU, for the error.

    Raises
    ------
    FileFormatError
    """
    path = hdu.get_filename()
    there = os.path.getsize(path) * (_DEFLATE if path.endswith(".gz") else 1)
    header = hdu.read_header()
    rows, width = header["NAXIS2"], header["NAXIS1"]
    if rows * width > there:
        raise FileFormatError(
            f"{where}: {rows:,} rows of {width:,} bytes are announced and the file has "
            f"{there:,}; it may be damaged or cut short, fetch it again"
        )


def refuse_lists(hdu, names, where):
    """Refuse columns with lists in their rows: a damaged length takes all memory.

    Parameters
    ----------
    hdu : fitsio.TableHDU
    names : collection of str
        Columns that will be read.
    where : str
        File and HDU, for the error.

    Raises
    ------
    FileFormatError
    """
    types, _, has_lists = hdu.get_rec_dtype()
    for name, a_list in zip(types.names, has_lists, strict=True):
        if a_list and name in names:
            raise FileFormatError(
                f"{where}, column {name}: lists of any length, expected a number, a "
                "text or an array; the file may be damaged, fetch it again"
            )


def fits_reason(error):
    """Return what went wrong, without the list of calls that CFITSIO adds."""
    found = re.search(r"FITSIO status = \d+: (.+)", str(error))
    return found[1] if found else " ".join(str(error).split())
