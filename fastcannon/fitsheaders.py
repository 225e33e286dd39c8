"""Headers and checksums of the package's FITS files, byte by byte.

Every file names its kind (FCTYPE), the version of its format (FCVERS) and how
many HDUs it has (FCNHDUS) in the primary header, and carries DATASUM and
CHECKSUM in every HDU (FITS standard 4.0, 4.4.2.7 and appendix J). What a header
announces is held against the bytes that are there before anything makes room for it.
"""

import os
import re
import warnings
from math import prod
from typing import NamedTuple

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from .errors import FileFormatError

KIND = "FCTYPE"
VERSION = "FCVERS"
HDU_COUNT = "FCNHDUS"

BLOCK = 2880  # FITS files are made of blocks of this many bytes
_CHUNK = 100 * BLOCK  # read at a time when summing: stays in the cache
_SUM_MASK = 0xFFFFFFFF
_UNUSABLE = (
    KeyError,
    TypeError,
    ValueError,
    EOFError,
    OverflowError,
    fits.VerifyError,
    AstropyWarning,
)
# What a header may announce: astropy would make room for any of it.
_MOST_CARDS = 50_000
_MOST_COLUMNS = 999  # FITS standard 4.0, 7.2.1
_WIDTHS = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8}


class HduSpan(NamedTuple):
    """One header and data unit: its header and where in the file its bytes are."""

    name: str
    header: fits.Header
    start: int
    data: int
    end: int


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
    with open(path, "rb") as handle:
        return scan_open(path, handle)


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
    check_kind(path, found, kind, version)
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
    with open(path, "rb") as handle:
        verify_open(path, handle, scan_open(path, handle))


def stamp_checksums(path, facts=None):
    """Fill in the checksum cards that `reserve_checksum` made room for.

    Parameters
    ----------
    path : str or Path
        Changed in place.
    facts : dict, optional
        Numbers for keywords that the primary header has, known only now.
    """
    with open(path, "r+b") as handle:
        for number, span in enumerate(scan(path)):
            header = span.header
            if facts and number == 0:
                header.update(facts)
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


def scan_open(path, handle):
    """Return the HDUs of an open file; see `scan`."""
    found = []
    size = handle.seek(0, os.SEEK_END)
    handle.seek(0)
    if handle.read(9) != b"SIMPLE  =":
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


def check_kind(path, found, kind, version):
    """Refuse HDUs that are not all of a file of this kind and version."""
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


def verify_open(path, handle, found):
    """Refuse HDUs of an open file whose checksums are missing or do not agree."""
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
        name = str(header.get("EXTNAME", name))
        length = _data_length(header)
    except _UNUSABLE as error:
        raise FileFormatError(
            f"{path}, HDU {name}: the header at byte {start} cannot be read "
            f"({error}); the file is cut short or damaged: copy or write it again"
        ) from error
    end = data + -(-length // BLOCK) * BLOCK
    return HduSpan(name, header, start, data, end)


def _data_length(header):
    """Return the length of the data in bytes; refuses what astropy would inflate."""
    shape = [header[f"NAXIS{i + 1}"] for i in range(header["NAXIS"])]
    keys = [key for key in header if key not in ("COMMENT", "HISTORY", "")]
    if len(set(keys)) < len(keys):  # of two cards readers take this or that
        raise ValueError("a keyword stands twice")
    if header.get("XTENSION", "IMAGE") not in ("IMAGE", "BINTABLE"):
        raise ValueError(f"XTENSION is {header['XTENSION']!r}")
    numbers = [header["BITPIX"], *shape, header.get("TFIELDS", 0)]
    if any(type(number) is not int for number in numbers) or min(shape, default=1) < 0:
        raise ValueError("its sizes are no whole numbers from 0")
    # Rows without bytes may be any number; so may those of no group.
    if 0 in shape[:-1] or (header.get("GCOUNT", 1), header.get("PCOUNT", 0)) != (1, 0):
        raise ValueError("an axis is 0, GCOUNT is not 1 or PCOUNT not 0")
    if header.get("XTENSION") == "BINTABLE":
        _check_columns(header, shape)
    return abs(header["BITPIX"]) // 8 * prod(shape) if shape else 0


def _check_columns(header, shape):
    """Refuse a table whose columns are not plain, or not as wide as its rows."""
    if len(shape) != 2 or not 0 <= header["TFIELDS"] <= _MOST_COLUMNS:
        raise ValueError("it has no rows or no number of columns")
    width = 0
    for number in range(1, header["TFIELDS"] + 1):
        form = re.fullmatch(r"(\d{0,9})([LBAIJEKD])", str(header[f"TFORM{number}"]))
        if form is None or not isinstance(header[f"TTYPE{number}"], str):
            raise ValueError(f"its column {number} has no name or no known type")
        width += int(form[1] or 1) * _WIDTHS[form[2]]
    if width != shape[0]:
        raise ValueError(f"its columns have {width} bytes, its rows {shape[0]}")


def _read_header(handle):
    """Return the header that starts here; what astropy would mend is refused."""
    text = ""
    while True:
        block = handle.read(BLOCK).decode("ascii")
        if len(block) < BLOCK or len(text) > 80 * _MOST_CARDS:
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
            f"{VERSION}); write one with fastcannon.write_spectra"
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
