"""FITS files of the package: written whole or not at all, read only if intact.

Every file names its kind (FCTYPE), the version of its format (FCVERS) and how
many HDUs it has (FCNHDUS) in the primary header, and carries DATASUM and
CHECKSUM in every HDU (FITS standard 4.0, 4.4.2.7 and appendix J). Nothing in a
file depends on the time or place of writing: equal content is equal bytes.
"""

import os
import uuid
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from .errors import FileFormatError, InputError

KIND = "FCTYPE"
VERSION = "FCVERS"
HDU_COUNT = "FCNHDUS"
TABLE_VERSION = 1

BLOCK = 2880  # FITS files are made of blocks of this many bytes
_CHUNK = 1000 * BLOCK  # read at a time when summing
_SUM_MASK = 0xFFFFFFFF
_UNUSABLE = (
    KeyError,
    TypeError,
    ValueError,
    EOFError,
    fits.VerifyError,
    AstropyWarning,
)


class HduSpan(NamedTuple):
    """One header and data unit: its header and where in the file its bytes are."""

    name: str
    header: fits.Header
    start: int
    data: int
    end: int


@contextmanager
def atomic_path(path, overwrite=True):
    """Give a temporary path in the same folder that becomes ``path`` on success.

    On any exception the temporary file is removed and ``path`` is as before.

    Parameters
    ----------
    path : str or Path
        A symbolic link stays a link; its target is replaced.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        The folder does not exist, the file exists and must not be replaced, or
        the name asks for compression.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise InputError(f"{path}: the folder {target.parent} does not exist; make it")
    if target.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file")
    if target.exists() and not overwrite:
        raise InputError(f"{path} exists; choose another name or pass overwrite=True")
    if target.suffix in (".gz", ".bz2", ".xz", ".Z", ".zip"):
        raise InputError(
            f"{path}: files are written uncompressed; drop {target.suffix}"
        )
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        with open(temporary, "r+b") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def identify(header, kind, version, hdu_count):
    """Write kind, version and number of HDUs into a primary header.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Changed in place.
    kind : str
        "SPECTRA", "MODEL", ...
    version : int
        Version of the format.
    hdu_count : int
    """
    header[KIND] = (kind, "what this fastcannon file holds")
    header[VERSION] = (version, "version of this file format")
    header[HDU_COUNT] = (hdu_count, "number of HDUs, the primary included")


def reserve_checksum(header):
    """Make room for the checksum cards that `stamp_checksums` fills in.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Changed in place.
    """
    header["CHECKSUM"] = ("0" * 16, "HDU checksum")
    header["DATASUM"] = ("0", "data unit checksum")


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
    try:
        hdu = fits.table_to_hdu(plain)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the table {extname} cannot be written as FITS: {error}; "
            "use numbers, booleans and plain ASCII text"
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


def read_any(path, expected):
    """Read a table of a user's, in any format that astropy knows, with its masks.

    Parameters
    ----------
    path : str or Path
    expected : str
        Names of its columns, for the error.

    Returns
    -------
    astropy Table

    Raises
    ------
    FileFormatError
        It is no table.
    FileNotFoundError
    """
    try:
        with warnings.catch_warnings():
            # Units that FITS does not know (dex) are of no concern here.
            warnings.simplefilter("ignore", AstropyWarning)
            return Table.read(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # astropy's readers raise whatever their parsers raise
        reason = next(iter(str(error).splitlines()), "")
        raise FileFormatError(
            f"{path}: no table that can be read ({reason}); write FITS, ECSV or CSV "
            f"with the columns {expected}"
        ) from error


def scan(path):
    """Return the HDUs of a file from their headers alone, and check its length.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    list of HduSpan

    Raises
    ------
    FileFormatError
        The file is no FITS file, or shorter or longer than its headers demand.
    FileNotFoundError
    """
    found = []
    with open(path, "rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        if handle.read(6) != b"SIMPLE":
            raise FileFormatError(f"{path} is not a FITS file; give a fastcannon file")
        position = 0
        while position < size:
            found.append(_read_span(handle, path, len(found), position))
            position = found[-1].end
            if position > size:
                raise FileFormatError(
                    f"{path}, HDU {found[-1].name}: the file is cut short: its "
                    f"headers demand {position} bytes or more, it has {size}; "
                    "copy or write it again"
                )
    return found


def read_kind(path):
    """Return what a file holds, by its own words.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    kind : str
    version : int

    Raises
    ------
    FileFormatError
        Not a file of this package; see also `scan`.
    """
    return _kind_of(path, scan(path)[0].header)


def check_layout(path, kind, version):
    """Check that a file is complete and of the kind and version asked for.

    Only headers are read.

    Parameters
    ----------
    path : str or Path
    kind : str
    version : int

    Returns
    -------
    list of HduSpan

    Raises
    ------
    FileFormatError
        Not ours, of another kind or version, or cut short.
    """
    found = scan(path)
    primary = found[0].header
    its_kind, its_version = _kind_of(path, primary)
    if its_kind != kind:
        raise FileFormatError(
            f"{path}, primary HDU: this is a fastcannon file of kind {its_kind}; "
            f"one of kind {kind} is needed here"
        )
    if its_version != version:
        raise FileFormatError(
            f"{path}, primary HDU: {kind} format version {its_version}; this "
            f"fastcannon reads version {version}; use the fastcannon that wrote "
            "the file, or write it again with this one"
        )
    if primary.get(HDU_COUNT) != len(found):
        raise FileFormatError(
            f"{path}: cut short or added to: its primary header announces "
            f"{primary.get(HDU_COUNT)} HDUs, it has {len(found)} "
            f"({', '.join(span.name for span in found)}); copy or write it again"
        )
    return found


def verify_checksums(path):
    """Check DATASUM and CHECKSUM of every HDU; memory does not grow with the file.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileFormatError
        A checksum is missing or wrong; see also `scan`.
    """
    found = scan(path)
    with open(path, "rb") as handle:
        for span in found:
            if not {"CHECKSUM", "DATASUM"} <= set(span.header):
                raise FileFormatError(
                    f"{path}, HDU {span.name}: CHECKSUM or DATASUM is missing; "
                    "the file was changed by another program: write it again"
                )
            handle.seek(span.start)
            header_sum = _sum_bytes(handle, span.data - span.start)
            data_sum = _sum_bytes(handle, span.end - span.data)
            if str(data_sum) != str(span.header["DATASUM"]).strip():
                damaged = "data"
            elif _fold(header_sum + data_sum) != _SUM_MASK:
                damaged = "header"
            else:
                continue
            raise FileFormatError(
                f"{path}, HDU {span.name}: the checksum of the {damaged} does not "
                "agree: the file is damaged or was changed; copy or write it again"
            )


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
    check_layout(path, kind, version)
    verify_checksums(path)
    return fits.open(path, memmap=False)


def stamp_checksums(path):
    """Fill in the checksum cards that `reserve_checksum` made room for.

    Parameters
    ----------
    path : str or Path
        Changed in place.
    """
    with open(path, "r+b") as handle:
        for span in scan(path):
            header = span.header
            handle.seek(span.data)
            data_sum = _sum_bytes(handle, span.end - span.data)
            header["DATASUM"] = str(data_sum)
            header["CHECKSUM"] = "0" * 16
            total = _fold(data_sum + _word_sum(header_bytes(header)))
            header["CHECKSUM"] = _encode(_SUM_MASK - total)
            handle.seek(span.start)
            handle.write(header_bytes(header))


def header_bytes(header):
    """Return a header as the bytes of a file, padded to whole blocks."""
    return header.tostring().encode("ascii")


def _unit_text(unit):
    """Return a unit in the words of FITS, else in astropy's own."""
    try:
        return unit.to_string(format="fits")
    except ValueError:
        return unit.to_string()


def _read_span(handle, path, number, start):
    """Return the HDU that starts at byte ``start``."""
    handle.seek(start)
    name = f"number {number}" if number else "primary"
    try:
        if number and handle.read(8) != b"XTENSION":
            raise ValueError("no extension starts where the HDU before it ends")
        handle.seek(start)
        header = _read_header(handle)
        data = handle.tell()
        name = header.get("EXTNAME", name)
        shape = [header[f"NAXIS{i + 1}"] for i in range(header["NAXIS"])]
        values = header.get("PCOUNT", 0) + int(np.prod(shape, dtype=object))
        count = header.get("GCOUNT", 1) * values if shape else 0
        length = abs(header["BITPIX"]) // 8 * count
        end = data + -(-length // BLOCK) * BLOCK
        if end < data:
            raise ValueError("its header gives a negative size")
    except _UNUSABLE as error:
        raise FileFormatError(
            f"{path}, HDU {name}: the header at byte {start} cannot be read "
            f"({error}); the file is cut short or damaged: copy or write it again"
        ) from error
    return HduSpan(name, header, start, data, end)


def _read_header(handle):
    """Return the header that starts here; what astropy would mend is refused."""
    text = ""
    while True:
        block = handle.read(BLOCK).decode("ascii")
        if len(block) < BLOCK:
            raise EOFError("it has no END")
        text += block
        if any(block[i : i + 80] == f"{'END':80}" for i in range(0, BLOCK, 80)):
            break
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)
        header = fits.Header.fromstring(text)
        list(header.values())  # cards are parsed, and found bad, when asked for
    return header


def _kind_of(path, primary):
    """Return (kind, version) of a primary header."""
    if KIND not in primary or VERSION not in primary:
        raise FileFormatError(
            f"{path}, primary HDU: not a fastcannon file (no keywords {KIND} and "
            f"{VERSION}); write one with fastcannon.spectra.write_spectra"
        )
    return primary[KIND], primary[VERSION]


def _fold(total):
    """Return a sum of 32-bit words in ones' complement: carries are added back."""
    while total >> 32:
        total = (total & _SUM_MASK) + (total >> 32)
    return total


def _word_sum(chunk):
    """Return the ones' complement sum of the big-endian 32-bit words of a chunk."""
    return _fold(int(np.frombuffer(chunk, ">u4").sum(dtype=np.uint64)))


def _sum_bytes(handle, count):
    """Return the ones' complement sum of the next ``count`` bytes of a file."""
    total = 0
    for start in range(0, count, _CHUNK):
        total += _word_sum(handle.read(min(_CHUNK, count - start)))
    return _fold(total)


def _encode(value):
    """Return a 32-bit number as 16 letters and digits (FITS 4.0, appendix J).

    Each byte is the sum of four characters above "0". Pairs of characters are
    moved apart until none is punctuation; the card's value starts one byte
    before a word, hence the rotation.
    """
    text = bytearray(16)
    for column in range(4):
        byte = value >> (24 - 8 * column) & 0xFF
        parts = [byte // 4 + ord("0")] * 4
        parts[0] += byte % 4
        for first in (0, 2):
            while not all(chr(c).isalnum() for c in parts[first : first + 2]):
                parts[first] += 1
                parts[first + 1] -= 1
        text[column::4] = bytes(parts)
    return (text[-1:] + text[:-1]).decode("ascii")
