"""Tables in FITS files of others, before fitsio takes memory for them."""

import os
import re

from .errors import FileFormatError

_DEFLATE = 1032  # bytes that one byte of a compressed file can become


def check_rows(hdu):
    """Refuse a table whose header announces more rows than its file has bytes for.

    Parameters
    ----------
    hdu : fitsio.TableHDU

    Raises
    ------
    FileFormatError
    """
    path, header = hdu.get_filename(), hdu.read_header()
    with open(path, "rb") as file:
        is_plain = file.read(6) == b"SIMPLE"  # CFITSIO also reads compressed files
    most = os.path.getsize(path) * (1 if is_plain else _DEFLATE)
    rows, width = header["NAXIS2"], header["NAXIS1"]
    if rows * width > most:
        raise FileFormatError(
            f"{path}, HDU {hdu.get_extnum()}: {rows:,} rows of {width:,} bytes are "
            f"announced and the file can hold {most:,} bytes; it may be damaged or cut "
            "short, fetch it again"
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
