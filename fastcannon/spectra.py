"""Spectra with labels in one plain FITS file: its layout, read in blocks of rows.

========== ======================= ==========================================
HDU        content                 meaning
========== ======================= ==========================================
primary    keywords                kind, format version, NORMED and any facts
FLUX       float32 image (N, P)    flux, divided by the continuum if NORMED
IVAR       float32 image (N, P)    inverse variance, 0 = no information
WAVELENGTH float64 image (P,)      Angstrom, increasing
STARS      binary table, N rows    ``id`` and any labels, with units
REFUSED    binary table            optional: ``path``, ``reason`` of inputs left out
========== ======================= ==========================================

Facts of a packed survey: SURVEY its name, MEDIUM "air" or "vacuum", PLAN, PART and
PARTS which part of which packing it is.
"""

import os
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from . import fitsfiles, fitsheaders
from .errors import FileFormatError, InputError, parsing

KIND = "SPECTRA"
VERSION = 1
NORMED = "NORMED"
EXTENSIONS = ("FLUX", "IVAR", "WAVELENGTH", "STARS")
REFUSED, REFUSED_COLUMNS = "REFUSED", ("path", "reason")


class SpectraFile:
    """A spectra file, opened without reading its images.

    A context manager; to be read from one thread at a time.

    Parameters
    ----------
    path : str or Path

    Attributes
    ----------
    n_stars, n_pixels : int
    normalised : bool
        Whether the flux is divided by its continuum.
    facts : astropy.io.fits.Header
        The primary header: SURVEY, MEDIUM, ...
    identity : str
        Sums of the contents, which tell the file from others.

    Raises
    ------
    FileFormatError
        The file is not a spectra file, of another version, or cut short.
    FileNotFoundError
    """

    def __init__(self, path):
        self.path = Path(path)
        self._state = _state(path)
        spans = fitsheaders.check_layout(path, KIND, VERSION)
        self.n_stars, self.n_pixels = _check_shapes(path, spans)
        self.facts = spans[0].header
        self.normalised = self.facts[NORMED]
        self._spans = {span.name: span for span in spans}
        self.identity = " ".join(str(span.header.get("DATASUM")) for span in spans)
        self._handle = None  # opened by the first read

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Close the file; the next read opens it again."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    @cached_property
    def wavelength(self):
        """Wavelengths of the pixels, (P,) float64 array, Angstrom."""
        return self._read("WAVELENGTH", ">f8", 0, self.n_pixels)

    @cached_property
    def stars(self):
        """Table of the stars: astropy Table with N rows, ``id`` and labels."""
        return self._read_table("STARS")

    def ids(self, start, stop):
        """Return the ids of stars start, ..., stop - 1 without reading the others.

        Parameters
        ----------
        start, stop : int

        Returns
        -------
        (stop - start,) array of str
        """
        found = self.column("id", start, stop)
        if found.dtype.kind == "S":
            # as wide as the column whatever the rows: tables are written block by block
            text = np.char.decode(found, "ascii", "backslashreplace")
            width = max(found.dtype.itemsize, text.dtype.itemsize // 4)
            return text.astype(f"U{width}")
        return found.astype(str)

    def column(self, name, start=0, stop=None, default=None):
        """Return rows of one column of the table of stars without reading the others.

        Parameters
        ----------
        name : str
            Of a column of numbers or text.
        start, stop : int, optional
            Default: all stars.
        default : optional
            What stands in every row if there is no such column.

        Returns
        -------
        (stop - start,) array
            Text as bytes, as it is in the file: a quarter of the memory.

        Raises
        ------
        InputError
            There is no such column and no default.
        """
        stop = self.n_stars if stop is None else min(stop, self.n_stars)
        count = max(stop - start, 0)
        if name not in self._row.names:
            if default is None:
                raise InputError(
                    f"{self.path}, HDU STARS has no column {name!r}; it has "
                    f"{', '.join(self._row.names)}"
                )
            return np.full(count, default)
        kind, place = self._row.fields[name]
        row = {"names": [name], "formats": [kind], "offsets": [place]}
        row |= {"itemsize": self._row.itemsize}
        try:
            with open(self.path, "rb") as handle:
                handle.seek(self._spans["STARS"].data + start * self._row.itemsize)
                found = np.fromfile(handle, np.dtype(row), count)[name]
                self._check_same("STARS", handle, count - len(found))
        except OSError as error:
            raise self._unreadable("STARS", error) from error
        if kind.kind == "S":
            return np.char.rstrip(found)
        return found.astype(kind.newbyteorder("="))

    @cached_property
    def _row(self):
        """Layout of a row of STARS, a NumPy dtype."""
        header = self._spans["STARS"].header.copy()
        header["NAXIS2"] = 0
        with parsing(self.path, "HDU STARS"):
            empty = fits.BinTableHDU.fromstring(fitsheaders.header_bytes(header))
            return empty.columns.dtype.newbyteorder(">")

    @cached_property
    def refused(self):
        """Inputs left out of the file: astropy Table with ``path`` and ``reason``."""
        if REFUSED in self._spans:
            return self._read_table(REFUSED)
        return Table(names=REFUSED_COLUMNS, dtype=("U1", "U1"))

    def read_rows(self, start, stop):
        """Read the spectra of stars start, ..., stop - 1.

        Parameters
        ----------
        start, stop : int
            0 <= start <= stop <= n_stars.

        Returns
        -------
        flux : (stop - start, P) float32 array
        ivar : (stop - start, P) float32 array

        Raises
        ------
        InputError
            There are no such rows.
        FileFormatError
            The file cannot be read there.
        """
        if not 0 <= start <= stop <= self.n_stars:
            raise InputError(
                f"{self.path}: rows {start} to {stop} were asked for; it has rows "
                f"0 to {self.n_stars}"
            )
        shape = (stop - start, self.n_pixels)
        first, count = start * self.n_pixels, shape[0] * shape[1]
        return tuple(
            self._read(name, ">f4", first, count).reshape(shape)
            for name in ("FLUX", "IVAR")
        )

    def blocks(self, size):
        """Read all spectra, ``size`` stars at a time.

        Parameters
        ----------
        size : int
            At least 1.

        Yields
        ------
        start : int
            Row of the first star of the block.
        flux : (<=size, P) float32 array
        ivar : (<=size, P) float32 array
        """
        for start in range(0, self.n_stars, size):
            yield start, *self.read_rows(start, min(start + size, self.n_stars))

    def labels(self, names):
        """Return columns of the table of stars as numbers.

        Parameters
        ----------
        names : sequence of K str

        Returns
        -------
        (N, K) float64 array
            NaN where a value is masked or missing.

        Raises
        ------
        InputError
            A column does not exist or does not hold one number per star.
        """
        # Here, because it loads the compiler: processes that pack need not wait for it.
        from .arrays import label_array

        names = [names] if isinstance(names, str) else list(names)
        try:
            return label_array(self.stars, names)
        except InputError as error:
            raise InputError(f"{self.path}, HDU STARS: {error}") from None

    def require_normalised(self):
        """Refuse flux that is not divided by its continuum.

        Raises
        ------
        InputError
            Says how to normalise.
        """
        if not self.normalised:
            raise InputError(
                f"{self.path}: the flux is not normalised ({NORMED} = F), which "
                "training and inference need; divide it by its continuum with "
                "fastcannon.continuum.smooth, sines_and_cosines or chebyshev and "
                "write the result with write_spectra(..., normalised=True)"
            )

    def verify(self):
        """Check the checksums of the whole file; memory does not grow with N.

        Raises
        ------
        FileFormatError
            The file is damaged or was changed.
        """
        fitsheaders.verify_checksums(self.path)

    def _read_table(self, name):
        """Return a table of the file."""
        return fitsfiles.read_table_hdu(self.path, self._spans[name])

    def _read(self, name, dtype, first, count):
        """Return ``count`` numbers of an image from its ``first``, native-endian.

        The images are plain: bytes read by NumPy cost a third of CFITSIO's.
        """
        dtype = np.dtype(dtype)
        try:
            if self._handle is None:
                self._handle = open(self.path, "rb")
            self._handle.seek(self._spans[name].data + first * dtype.itemsize)
            numbers = np.fromfile(self._handle, dtype, count)
        except OSError as error:
            raise self._unreadable(name, error) from error
        self._check_same(name, self._handle, count - len(numbers))
        if not dtype.isnative:
            numbers = numbers.byteswap(inplace=True).view(dtype.newbyteorder("="))
        return numbers

    def _check_same(self, name, handle, missing):
        """Refuse what was read of a file that was changed since it was opened."""
        if missing:
            raise self._unreadable(name, f"{missing} numbers or rows are missing")
        if _state(handle.fileno()) != self._state:
            raise self._unreadable(name, "it is not the file that was opened")

    def _unreadable(self, name, error):
        reason = getattr(error, "strerror", None) or error
        return FileFormatError(
            f"{self.path}, HDU {name}: cannot be read ({reason}); the file is damaged "
            "or was changed: copy or write it again"
        )


def _state(file):
    """Return what a change of a file changes, of its path or of the open file."""
    found = os.stat(file)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _check_shapes(path, spans):
    """Return (N, P) of a spectra file whose HDUs agree with the format."""
    primary, *extensions = spans
    names = tuple(span.name for span in extensions)
    if names not in (EXTENSIONS, (*EXTENSIONS, REFUSED)):
        raise FileFormatError(
            f"{path}: HDUs {', '.join(names)} found, {', '.join(EXTENSIONS)} "
            "expected; write it again with fastcannon.write_spectra"
        )
    flux, ivar, wavelength, stars = (span.header for span in extensions[:4])
    n_stars, n_pixels = flux.get("NAXIS2"), flux.get("NAXIS1")
    image = {"BITPIX": -32, "NAXIS": 2, "NAXIS1": n_pixels, "NAXIS2": n_stars}
    expected = {
        "FLUX": (flux, image | {"BSCALE": None, "BZERO": None}),
        "IVAR": (ivar, image | {"BSCALE": None, "BZERO": None}),
        "WAVELENGTH": (wavelength, {"BITPIX": -64, "NAXIS": 1, "NAXIS1": n_pixels}),
        "STARS": (stars, {"XTENSION": "BINTABLE", "NAXIS2": n_stars}),
    }
    for name, (header, keywords) in expected.items():
        for keyword, value in keywords.items():
            if header.get(keyword) != value:
                raise FileFormatError(
                    f"{path}, HDU {name}: {keyword} is {header.get(keyword)}, "
                    f"{value} expected; write the file again with "
                    "fastcannon.write_spectra"
                )
    if not isinstance(primary.header.get(NORMED), bool):
        raise FileFormatError(
            f"{path}, primary HDU: {NORMED} must be T or F; set it to whether the "
            "flux is divided by its continuum"
        )
    return n_stars, n_pixels
