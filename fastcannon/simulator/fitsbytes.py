"""FITS header and data units as bytes: far quicker than building them as objects.

Only what the simulator's spectra need (FITS standard 4.0: cards of 80 bytes,
blocks of 2880, numbers big-endian). Catalogues are written by astropy.
"""

import os

import numpy as np

BLOCK = 2880
BITPIX = {"uint8": 8, "int16": 16, "int32": 32, "float32": -32, "float64": -64}


def card(keyword, value, comment=""):
    """Return one header card of 80 characters.

    Parameters
    ----------
    keyword : str
        COMMENT and HISTORY take a text as their value.
    value : bool, int, float or str
        What is not finite is written as undefined.
    comment : str
    """
    if keyword in ("COMMENT", "HISTORY"):
        return f"{keyword:<8}{value}"[:80].ljust(80)
    if isinstance(value, (bool, np.bool_)):
        text = f"{'FT'[bool(value)]:>20}"
    elif isinstance(value, str):
        quoted = value.replace("'", "''")
        text = f"'{quoted:<8}'".ljust(20)
    elif isinstance(value, (int, np.integer)):
        text = f"{value:>20d}"
    else:
        text = f"{_float_text(float(value)):>20}" if np.isfinite(value) else " " * 20
    tail = f" / {comment}" if comment else ""
    return f"{keyword:<8}= {text}{tail}"[:80].ljust(80)


def _float_text(value):
    """Return the shortest text of a float that FITS takes for a float."""
    text = repr(value).upper()
    return text if "." in text or "E" in text else text + ".0"


def header(cards):
    """Return header bytes, padded to whole blocks.

    Parameters
    ----------
    cards : iterable of (keyword, value) or (keyword, value, comment)
    """
    text = "".join(card(*entry) for entry in cards) + "END"
    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii")


def image(array, cards=(), primary=False):
    """Return the bytes of an image HDU.

    Parameters
    ----------
    array : array of a type in BITPIX, or None
        None: a header without data.
    cards : sequence of header entries
    primary : bool
        Of the first HDU of a file.
    """
    shape = () if array is None else array.shape
    bitpix = 8 if array is None else BITPIX[array.dtype.name]
    head = header([*_image_cards(bitpix, shape, primary), *cards])
    if array is None:
        return head
    return head + _padded(array.astype(array.dtype.newbyteorder(">")).tobytes())


def blank_image(dtype, shape, cards=()):
    """Return header bytes and the length of the data of an image full of zeros."""
    head = header([*_image_cards(BITPIX[np.dtype(dtype).name], shape, False), *cards])
    length = np.dtype(dtype).itemsize * int(np.prod(shape))
    return head, -(-length // BLOCK) * BLOCK


def _image_cards(bitpix, shape, primary):
    """Return the entries that every image header must begin with."""
    first = ("SIMPLE", True) if primary else ("XTENSION", "IMAGE")
    axes = [(f"NAXIS{i + 1}", n) for i, n in enumerate(reversed(shape))]
    last = [("EXTEND", True)] if primary else [("PCOUNT", 0), ("GCOUNT", 1)]
    return [first, ("BITPIX", bitpix), ("NAXIS", len(shape)), *axes, *last]


def table(rows, cards=()):
    """Return the bytes of a binary table of a structured array.

    Parameters
    ----------
    rows : (R,) structured array
        Columns of int16, int32, int64, float32, float64 or bytes.
    cards : sequence of header entries
    """
    letters = {"int16": "I", "int32": "J", "int64": "K", "float32": "E"}
    letters |= {"float64": "D"}
    columns = []
    for i, name in enumerate(rows.dtype.names, start=1):
        kind = rows.dtype[name]
        form = f"{kind.itemsize}A" if kind.kind == "S" else letters[kind.name]
        columns += [(f"TTYPE{i}", name), (f"TFORM{i}", form)]
    head = [
        ("XTENSION", "BINTABLE"),
        ("BITPIX", 8),
        ("NAXIS", 2),
        ("NAXIS1", rows.dtype.itemsize),
        ("NAXIS2", len(rows)),
        ("PCOUNT", 0),
        ("GCOUNT", 1),
        ("TFIELDS", len(rows.dtype.names)),
        *columns,
        *cards,
    ]
    return header(head) + _padded(rows.astype(rows.dtype.newbyteorder(">")).tobytes())


def _padded(data):
    """Return bytes padded with zeros to whole blocks."""
    return data + bytes(-len(data) % BLOCK)


def write(path, parts):
    """Write a file of bytes; a number stands for so many zeros.

    Zeros become holes, which take no space on most file systems.

    Parameters
    ----------
    path : str or Path
        Its folder is made if absent.
    parts : iterable of bytes or int
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as handle:
        for part in parts:
            if isinstance(part, int):
                handle.seek(part, os.SEEK_CUR)
            else:
                handle.write(part)
        handle.truncate(handle.tell())
