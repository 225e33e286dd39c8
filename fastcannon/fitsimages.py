"""Images and keywords of small FITS files, straight from their bytes.

Surveys of one file per star have headers longer than their data, and data that most
readers leave out. CFITSIO parses every card of every header when it opens a file;
here only the cards and rows asked for are looked at, which is some ten times faster.
Only what such files need is known: uncompressed HDUs (FITS standard 4.0, sections 3
and 4) and images of one or two dimensions.
"""

import os
from functools import cached_property
from math import prod

import numpy as np

from .errors import FileFormatError

_BLOCK = 2880
_CARD = 80
_LARGEST = 1e300
_TYPES = {16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
# Below this length (bytes) a file is read at once.
_SMALL = 2**18


class Hdu:
    """One header and its data.

    Parameters
    ----------
    path : str
        For messages.
    number : int
        0 is the primary HDU.
    content : bytes or _Large
        Of the file.
    start : int
        Where in ``content`` the header begins.

    Attributes
    ----------
    where : str
        File and HDU, for messages.
    shape : tuple of int
        Of the image; () if there is none.
    end : int
        Where in ``content`` the data end, without the filling of their last block.

    Raises
    ------
    FileFormatError
        The header has no end, or keywords that describe no data, or the file ends
        before the data.
    """

    def __init__(self, path, number, content, start):
        self.where = f"{path}, HDU {number}"
        self._content = content
        self._data = _header_end(content, start)
        if self._data < 0:
            raise FileFormatError(
                f"{self.where}: the header has no END card, the file is cut short or "
                "damaged; copy it again"
            )
        self._header = content[start : self._data]
        self._bits, self.shape, n_bytes = self._layout()
        self.end = self._data + n_bytes
        if self.end > len(content):
            raise FileFormatError(
                f"{self.where}: the file is cut short: its headers demand {self.end} "
                f"bytes or more, it has {len(content)}; copy it again"
            )

    def _layout(self):
        """Return bits per value, shape of the image and length in bytes of the data."""
        # these cards come first (FITS standard 4.0, section 4.4.1)
        cards = _index(self._header[: 12 * _CARD])
        n_axes = self._count(cards, "NAXIS")
        shape = tuple(self._count(cards, f"NAXIS{i}") for i in range(n_axes, 0, -1))
        bits = self._value(cards, "BITPIX")
        if bits not in (8, 16, 32, 64, -32, -64):
            raise FileFormatError(
                f"{self.where}: BITPIX is {bits!r}, which FITS does not know; the file "
                "is damaged, copy it again"
            )
        n_values = prod(shape) if n_axes else 0
        if self._header.startswith(b"XTENSION"):
            extra = self._count(cards, "PCOUNT")
            groups = self._count(cards, "GCOUNT")
            is_image = self._value(cards, "XTENSION") == "IMAGE"
            # The shape would not be what the file has bytes for (standard 4.0, 7.1.1).
            for key, value, allowed in (("PCOUNT", extra, 0), ("GCOUNT", groups, 1)):
                if is_image and value != allowed:
                    raise FileFormatError(
                        f"{self.where}: {key} is {value}; {allowed} is expected of an "
                        "image: the file is damaged, copy it again"
                    )
            n_values = groups * (extra + n_values)
            if not is_image:
                shape = ()
        return bits, shape, n_values * abs(bits) // 8

    def _count(self, cards, key):
        """Return a keyword that is a whole number from 0."""
        value = self._value(cards, key)
        if type(value) is not int or value < 0:
            raise FileFormatError(
                f"{self.where}: {key} is {value!r}; a whole number is expected: the "
                "file is damaged, copy it again"
            )
        return value

    def get(self, key, default=None):
        """Return the value of a keyword: text, bool, int or float.

        Parameters
        ----------
        key : str
            At most 8 characters; of several cards the first counts.
        default : object
            Returned where the keyword is absent or its value undefined.
        """
        return self._value(self._cards, key, default)

    @cached_property
    def _cards(self):
        return _index(self._header)

    def _value(self, cards, key, default=None):
        """Return the value of a keyword by the index of the cards."""
        at = cards.get(key.ljust(8).encode())
        if at is None or self._header[at + 8 : at + 10] != b"= ":
            return default
        text = self._header[at + 10 : at + _CARD].decode("latin-1").strip()
        if text.startswith("'"):
            # a quote in a text is written twice
            inside = text[1:].replace("''", "\0").partition("'")[0]
            return inside.replace("\0", "'").rstrip()
        text = text.partition("/")[0].strip()
        if text in ("T", "F"):
            return text == "T"
        for kind in (int, float):
            try:
                return kind(text.replace("D", "E"))
            except ValueError:
                pass
        return text or default

    def number(self, key):
        """Return the number of a keyword that must be there.

        Raises
        ------
        FileFormatError
            It is absent or not a finite number.
        """
        value = self.get(key)
        # A whole number may be too large for a float.
        known = type(value) in (int, float) and abs(value) < _LARGEST
        if not known:
            raise FileFormatError(
                f"{self.where}: {key} is {'absent' if value is None else repr(value)}; "
                "a number is expected: the file is damaged or of another kind"
            )
        return float(value)

    def spectrum(self):
        """Return the image, which must be of one dimension and of floats, (n,).

        Raises
        ------
        FileFormatError
            It has another shape or is not of 32- or 64-bit floats.
        """
        self._expect((1,), (-32, -64))
        return self._values(self._read(0, prod(self.shape)))

    def rows(self, chosen):
        """Return rows of the image, (R, n).

        Parameters
        ----------
        chosen : sequence of int
            An image of one dimension has only row 0.

        Returns
        -------
        array
            In the type of the file, or unsigned if its BZERO says so; float64 if it
            has integers of another scale.

        Raises
        ------
        FileFormatError
            It has another shape or another type than integers of 16 to 64 bits and
            floats.
        """
        self._expect((1, 2), _TYPES)
        n_rows, length = prod(self.shape[:-1]), self.shape[-1]
        rows = np.empty((len(chosen), length), _TYPES[self._bits])
        for i, row in enumerate(chosen):
            rows[i] = self._read(range(n_rows)[row] * length, length)
        return self._values(rows)

    def _expect(self, dimensions, types):
        """Refuse an image of another number of dimensions or another BITPIX."""
        if len(self.shape) not in dimensions or self._bits not in types:
            raise FileFormatError(
                f"{self.where}: an image of shape {self.shape} with BITPIX "
                f"{self._bits} came; {' or '.join(map(str, dimensions))} dimensions "
                f"and BITPIX {', '.join(map(str, types))} are expected"
            )

    def _read(self, first, count):
        """Return ``count`` values of the image from its ``first``, as in the file."""
        kind = np.dtype(_TYPES[self._bits])
        start = self._data + first * kind.itemsize
        content = self._content[start : start + count * kind.itemsize]
        if len(content) < count * kind.itemsize:
            raise FileFormatError(
                f"{self.where}: the file became shorter while it was read; copy it "
                "again"
            )
        return np.frombuffer(content, kind)

    def _values(self, values):
        """Return the numbers that values of the image stand for, native-endian."""
        values = values.astype(values.dtype.newbyteorder("="))
        if b"BSCALE" not in self._header and b"BZERO" not in self._header:
            return values
        scale = 1 if self.get("BSCALE") is None else self.number("BSCALE")
        zero = 0 if self.get("BZERO") is None else self.number("BZERO")
        if self._bits < 0:
            with np.errstate(over="ignore", invalid="ignore"):
                return values * values.dtype.type(scale) + values.dtype.type(zero)
        if (scale, zero) == (1, 2 ** (self._bits - 1)):
            # unsigned integers (FITS standard 4.0, section 5.2.5)
            return values.view(f"u{values.itemsize}") ^ 2 ** (self._bits - 1)
        scaled = values.astype(np.float64) * scale + zero
        return np.where(values == self.get("BLANK"), np.nan, scaled)


def read_hdus(path, count=None):
    """Read a FITS file; images when they are asked for.

    Parameters
    ----------
    path : str or Path
    count : int, optional
        Only the first so many HDUs; what follows them is not looked at.

    Returns
    -------
    list of Hdu
        Fewer than ``count`` where the file has no more.

    Raises
    ------
    FileFormatError
        Not a FITS file, or cut short.
    FileNotFoundError
    """
    content = _content(path)
    if content[:9] != b"SIMPLE  =":
        raise FileFormatError(
            f"{path} is not a FITS file: it begins with {content[:20]!r} instead of "
            "SIMPLE; copy it again, or unpack it if it is compressed"
        )
    hdus, start = [], 0
    while start == 0 or content[start : start + 8] == b"XTENSION":
        hdus.append(Hdu(path, len(hdus), content, start))
        if len(hdus) == count:
            break
        start = -(-hdus[-1].end // _BLOCK) * _BLOCK
    return hdus


class _Large:
    """The bytes of a large file, read when asked for.

    Mapping the file would be as fast, but one that is cut short while it is mapped
    ends the process.
    """

    def __init__(self, path):
        self._descriptor = None
        self._descriptor = os.open(path, os.O_RDONLY)
        self._size = os.fstat(self._descriptor).st_size

    def __del__(self):
        if self._descriptor is not None:
            os.close(self._descriptor)

    def __len__(self):
        return self._size

    def __getitem__(self, part):
        start, stop, _ = part.indices(self._size)
        return os.pread(self._descriptor, max(stop - start, 0), start)


def _content(path):
    """Return the bytes of a file; of a large one only those that are used are read."""
    if os.stat(path).st_size >= _SMALL:
        return _Large(path)
    with open(path, "rb") as file:
        return file.read()


def _index(header):
    """Return where the card of each keyword begins; of several, the first."""
    return {header[at : at + 8]: at for at in range(len(header) - _CARD, -1, -_CARD)}


def _header_end(content, start):
    """Return where the header that begins at start ends, END included, or -1."""
    for end in range(start + _BLOCK, len(content) + 1, _BLOCK):
        # END is the last card, but for blank ones that fill its block
        cards = content[end - _BLOCK : end].rstrip()
        if cards.endswith(b"END") and len(cards) % _CARD == len(b"END"):
            return end
    return -1
