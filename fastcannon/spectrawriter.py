"""Spectra files (`spectra` has their layout), written block by block."""

import errno
import shutil
import tempfile
from contextlib import ExitStack

import numpy as np
from astropy.io import fits
from astropy.table import Table, vstack

from . import fitsfiles, fitsheaders
from .arrays import real_spectra
from .atomic import atomic_path
from .checks import check_wavelength
from .errors import InputError
from .spectra import EXTENSIONS, KIND, NORMED, REFUSED, REFUSED_COLUMNS, VERSION

_BLOCK_PIXELS = 2**21  # pixels written at a time


def write_spectra(
    path, flux, ivar, wavelength, stars, normalised, overwrite=True, facts=None
):
    """Write spectra with their labels as one FITS file, atomically.

    Parameters
    ----------
    path : str or Path
    flux : (N, P) array
        Flux; masked values are written as NaN.
    ivar : (N, P) array
        Inverse variance of the flux, 0 = no information.
    wavelength : (P,) array, Angstrom
        Increasing.
    stars : astropy Table, dict of columns or structured array
        N rows with a column ``id`` and any labels; units are kept.
    normalised : bool
        Whether the flux is divided by its continuum.
    overwrite : bool
        Whether an existing file may be replaced.
    facts : dict, optional
        Keywords for the primary header: value or (value, comment).

    Raises
    ------
    InputError
        Shapes disagree, ``id`` is missing, or a column cannot be kept in FITS.
    """
    writer = SpectraWriter(path, wavelength, normalised, overwrite, facts)
    _check_images(flux, ivar, np.size(wavelength))
    stars = _stars_table(stars, len(flux))
    rows = max(1, _BLOCK_PIXELS // np.size(wavelength))
    with writer:
        for start in range(0, len(flux), rows):
            block = slice(start, start + rows)
            writer.append(flux[block], ivar[block], stars[block])


class SpectraWriter:
    """Writes a spectra file block by block; the number of stars may be unknown.

    A context manager: the file appears, whole, when the block of code ends, and
    not at all if it fails. Memory holds one block and the table of stars.

    Parameters
    ----------
    path : str or Path
    wavelength : (P,) array, Angstrom
        Increasing.
    normalised : bool
        Whether the flux is divided by its continuum.
    overwrite : bool
        Whether an existing file may be replaced.
    facts : dict, optional
        Keywords for the primary header: value or (value, comment).

    Raises
    ------
    InputError
        The wavelengths or the path cannot be used.
    """

    def __init__(self, path, wavelength, normalised, overwrite=True, facts=None):
        if not isinstance(normalised, (bool, np.bool_)):
            raise InputError(f"normalised must be True or False, not {normalised!r}")
        self._path = path
        self._wavelength = check_wavelength(wavelength)
        self._normalised = bool(normalised)
        self._overwrite = overwrite
        self._facts = dict(facts or {})
        self._tables = []
        self._refused = None
        self._files = ExitStack()

    def __enter__(self):
        with ExitStack() as files:
            self._temporary = files.enter_context(
                atomic_path(self._path, self._overwrite)
            )
            self._flux = files.enter_context(open(self._temporary, "w+b"))
            # The images follow each other in the file: the second one waits here.
            self._ivar = files.enter_context(
                tempfile.TemporaryFile(dir=self._temporary.parent)
            )
            self._write_head()
            files.push(self._finish)
            self._files = files.pop_all()
        return self

    def __exit__(self, *error):
        return self._files.__exit__(*error)

    def append(self, flux, ivar, stars):
        """Write the next stars.

        Parameters
        ----------
        flux : (S, P) array
        ivar : (S, P) array
        stars : astropy Table, dict of columns or structured array
            S rows; the same columns and units in every block.

        Raises
        ------
        InputError
            Shapes or columns disagree.
        """
        _check_images(flux, ivar, len(self._wavelength))
        table = _stars_table(stars, len(flux))
        if self._tables and _columns(table) != _columns(self._tables[0]):
            raise InputError(
                f"stars has the columns {_columns(table)}, the blocks before it had "
                f"{_columns(self._tables[0])}; give every block the same"
            )
        for image, handle in ((flux, self._flux), (ivar, self._ivar)):
            handle.write(_big_endian(image).data)
        self._tables.append(table)

    def refuse(self, refused):
        """Note inputs that were left out, for a table REFUSED.

        Parameters
        ----------
        refused : sequence of (path, reason)
            Of the whole file; all in plain ASCII.
        """
        paths, reasons = zip(*refused, strict=True) if refused else ((), ())
        self._refused = Table([paths, reasons], names=REFUSED_COLUMNS, dtype=("U", "U"))

    def note(self, keyword, value):
        """Change the value of a fact of the primary header.

        Parameters
        ----------
        keyword : str
            One of those that were given.
        value : value or (value, comment)
        """
        self._facts[keyword] = value

    def _write_head(self):
        """Write the primary HDU and room for the header of FLUX."""
        self._flux.write(self._primary_header())
        self._flux.write(self._image_header("FLUX", 0))

    def _primary_header(self):
        """Return the primary header, as bytes; its length does not change."""
        primary = fits.PrimaryHDU().header
        extensions = len(EXTENSIONS) + (self._refused is not None)
        fitsheaders.identify(primary, KIND, VERSION, 1 + extensions)
        primary[NORMED] = (self._normalised, "flux is divided by its continuum")
        primary.update(self._facts)
        fitsheaders.reserve_checksum(primary)
        return fitsheaders.header_bytes(primary)

    def _image_header(self, name, rows):
        """Return the header of an image with ``rows`` stars, as bytes."""
        header = fits.ImageHDU(np.zeros((1, 1), np.float32), name=name).header
        header["NAXIS1"], header["NAXIS2"] = len(self._wavelength), rows
        header["BUNIT"] = ("", "relative flux" if name == "FLUX" else "flux**-2")
        fitsheaders.reserve_checksum(header)
        return fitsheaders.header_bytes(header)

    def _finish(self, error_type, error, trace):
        """Complete the temporary file, unless an error is on its way out."""
        if error_type is not None:
            return
        if not self._tables:
            raise InputError(f"{self._path}: no star was given; append one or more")
        stars = vstack(self._tables, join_type="exact", metadata_conflicts="silent")
        _pad(self._flux)
        self._flux.write(self._image_header("IVAR", len(stars)))
        self._ivar.seek(0)
        shutil.copyfileobj(self._ivar, self._flux)
        _pad(self._flux)
        self._flux.seek(0)
        self._flux.write(self._primary_header())
        self._flux.write(self._image_header("FLUX", len(stars)))
        self._flux.close()
        if not self._temporary.exists():  # astropy would begin another one
            raise FileNotFoundError(errno.ENOENT, "removed", str(self._temporary))
        wavelength = fits.ImageHDU(self._wavelength, name="WAVELENGTH")
        wavelength.header["BUNIT"] = "Angstrom"
        added = [wavelength, fitsfiles.table_to_hdu(stars, "STARS")]
        if self._refused is not None:
            added.append(fitsfiles.table_to_hdu(self._refused, REFUSED))
        with fits.open(self._temporary, "append") as hdus:
            for hdu in added:
                fitsheaders.reserve_checksum(hdu.header)
                hdus.append(hdu)
        fitsheaders.stamp_checksums(self._temporary)


def _check_images(flux, ivar, n_pixels):
    """Raise InputError unless flux and ivar are real numbers, (N, n_pixels)."""
    real_spectra(flux, ivar)
    for name, image in (("flux", flux), ("ivar", ivar)):
        if np.ndim(image) != 2 or np.shape(image) != (len(flux), n_pixels):
            raise InputError(
                f"{name} has shape {np.shape(image)}; (N, P) is needed, with N the "
                f"number of rows of flux and P = {n_pixels} wavelengths"
            )


def _stars_table(stars, rows):
    """Return a clean copy of the table of ``rows`` stars, ``id`` as text."""
    try:
        table = Table(stars, copy=True)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"stars cannot be made a table ({error}); give an astropy Table, a dict "
            "of columns or a structured array"
        ) from error
    if len(table) != rows:
        raise InputError(f"stars has {len(table)} rows; flux has {rows}")
    if "id" not in table.colnames:
        raise InputError(
            "stars has no column id, which names each star; the columns are "
            f"{', '.join(table.colnames)}: rename or add one"
        )
    if np.ma.is_masked(table["id"]) or table["id"].dtype.kind not in "SUiuO":
        raise InputError("the column id must hold a text or whole number for each star")
    table["id"] = np.asarray(table["id"]).astype(str)
    table.meta.clear()
    return table


def _columns(table):
    """Return the names and units of a table's columns, as text."""
    return ", ".join(f"{c.info.name} [{c.info.unit or ''}]" for c in table.itercols())


def _big_endian(image):
    """Return an image as contiguous float32 in the byte order of FITS."""
    # A number beyond float32 becomes inf, which counts as no information later.
    with np.errstate(over="ignore"):
        image = np.ma.asarray(image).astype(np.float32).filled(np.nan)
    return np.ascontiguousarray(image, dtype=">f4")


def _pad(handle):
    """Write zeros up to the next FITS block."""
    handle.write(bytes(-handle.tell() % fitsheaders.BLOCK))
