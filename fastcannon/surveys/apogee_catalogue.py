"""The allStar catalogue of APOGEE, DR12 to DR17.

Data model: https://data.sdss.org/datamodel/files/APOGEE_ASPCAP/APRED_VERS/ASPCAP_VERS/
allStar.html
"""

import re
from difflib import get_close_matches
from math import isqrt
from typing import NamedTuple

import fitsio
import numpy as np
from astropy.table import Column, Table

from .. import labels
from ..errors import FileFormatError, InputError

# Our name: the columns of allStar that may hold it, the first one present counts.
# DR12 calls some otherwise; PARAM[2] is the logarithm of vmicro. Those without a column
# are made of others, see read_catalogue.
LABEL_COLUMNS = {
    "teff": ("TEFF",),
    "e_teff": ("TEFF_ERR",),
    "logg": ("LOGG",),
    "e_logg": ("LOGG_ERR",),
    "fe_h": ("M_H", "PARAM_M_H"),
    "e_fe_h": ("M_H_ERR", "PARAM_M_H_ERR"),
    "alpha_fe": ("ALPHA_M", "PARAM_ALPHA_M"),
    "e_alpha_fe": ("ALPHA_M_ERR", "PARAM_ALPHA_M_ERR"),
    "vmicro": ("VMICRO", "10**PARAM[2]"),
    "e_vmicro": (),
    "vbroad": (),
    "e_vbroad": (),
    "mg_fe": ("MG_FE",),
    "e_mg_fe": ("MG_FE_ERR",),
}
_OTHER_COLUMNS = {
    "telescope": ("TELESCOPE",),
    "field": ("FIELD",),
    "star_id": ("APOGEE_ID",),
    "ra": ("RA",),
    "dec": ("DEC",),
    "pmra": ("GAIAEDR3_PMRA", "GAIA_PMRA", "PMRA"),
    "pmdec": ("GAIAEDR3_PMDEC", "GAIA_PMDEC", "PMDEC"),
    "gaia_source_id": ("GAIAEDR3_SOURCE_ID", "GAIA_SOURCE_ID"),
    "rv": ("VHELIO_AVG",),
    "rv_scatter": ("VSCATTER",),
    "rv_error": ("VERR",),
    "snr": ("SNR",),
    "vsini": ("VSINI",),
    "vmacro": ("VMACRO",),
    "mg_h": ("MG_H",),
    "e_mg_h": ("MG_H_ERR",),
    "iron_h": ("FE_H",),
    "e_iron_h": ("FE_H_ERR",),
    "covariance": ("PARAM_COV",),
}
_FLAGS = ("STARFLAG", "ASPCAPFLAG", "EXTRATARG")
COLUMNS = LABEL_COLUMNS | _OTHER_COLUMNS | {name: (name,) for name in _FLAGS}
_NEEDED = (
    *("telescope", "field", "star_id", "ra", "dec", "snr", "rv", *_FLAGS),
    *("teff", "e_teff", "logg", "e_logg", "fe_h", "e_fe_h", "alpha_fe", "e_alpha_fe"),
)
DWARF_LOGG = 3.5  # where Nandakumar+2022 divide dwarfs from giants


def read_catalogue(path, columns=None):
    """Read an allStar file, HDU 1, of any release from DR12 to DR17.

    ``vbroad`` is VSINI for dwarfs (log g >= 3.5) and VMACRO for giants, the other one
    where that is not given. Errors of vmicro and vbroad come from PARAM_COV. DR12 has
    no [Mg/Fe]: it is [Mg/H] - [Fe/H], as if their errors were independent. Bit 31 of
    ASPCAPFLAG is the same in the 32-bit column of DR12-DR16 and the 64-bit one of DR17.

    Parameters
    ----------
    path : str or Path
    columns : dict of str to str, optional
        Our name to the file's column, where it differs from LABEL_COLUMNS or another
        is wanted: "NAME", "NAME[i]", "10**NAME[i]".

    Returns
    -------
    astropy Table
        A row per entry: id, star_id, ra, dec, pmra, pmdec, epoch, gaia_source_id,
        labels, mg_fe and rv with errors (``e_``), snr, STARFLAG, ASPCAPFLAG,
        EXTRATARG. What is missing is NaN (0 for gaia_source_id); the description of a
        column says if the file has none. ``meta["gaia_release"]``: "DR2", "EDR3" or "".

    Raises
    ------
    InputError
        A needed column is missing, or ``columns`` cannot be used.
    FileFormatError
        The file is damaged or has no table in HDU 1.
    """
    found = _read_columns(path, COLUMNS, _NEEDED, columns)
    table = Table(meta={"survey": "apogee", "file": str(path)})
    parts = [found.texts(name) for name in ("telescope", "field", "star_id")]
    table["id"] = np.array([".".join(words) for words in zip(*parts, strict=True)], "U")
    table["star_id"] = parts[2]
    for name in ("ra", "dec"):
        table[name] = Column(found.numbers(name), unit="deg")
    for name in ("pmra", "pmdec"):
        table[name] = Column(found.numbers(name), unit="mas / yr")
    # positions are those of 2MASS, which observed from 1997 to 2001
    table["epoch"] = Column(np.full(len(found), 2000.0), unit="yr")
    table["gaia_source_id"], table.meta["gaia_release"] = _gaia_ids(found)
    for name, values in _labels(found).items():
        table[name] = Column(values, unit=labels.unit(name.removeprefix("e_")))
    table["rv"] = Column(found.numbers("rv"), unit="km / s")
    error = np.hypot(found.numbers("rv_scatter"), found.numbers("rv_error"))
    table["e_rv"] = Column(_known_error(error), unit="km / s")
    table["snr"] = found.numbers("snr")
    for name in _FLAGS:
        table[name] = found.flags(name)
    for column in table.itercols():
        if column.dtype.kind == "f" and not np.isfinite(column).any():
            column.description = "no value in this catalogue"
    return table


def _labels(found):
    """Return labels and their errors, float64, by name."""
    # hot stars have temperatures up to 20,000 K
    limits = {"teff": 99990.0}
    values = {
        name: found.numbers(name, limits.get(name, 9990.0)) for name in LABEL_COLUMNS
    }
    if "mg_fe" not in found:
        values["mg_fe"] = found.numbers("mg_h") - found.numbers("iron_h")
        values["e_mg_fe"] = np.hypot(found.numbers("e_mg_h"), found.numbers("e_iron_h"))
    if "vbroad" not in found:
        vsini, vmacro = found.numbers("vsini"), found.numbers("vmacro")
        dwarf = (values["logg"] >= DWARF_LOGG) & np.isfinite(vsini)
        values["vbroad"] = np.where(dwarf | ~np.isfinite(vmacro), vsini, vmacro)
    for name, index in (("vmicro", 2), ("vbroad", 7)):
        if f"e_{name}" not in found:
            values[f"e_{name}"] = values[name] * np.log(10.0) * _log_error(found, index)
    return {
        name: _known_error(column) if name.startswith("e_") else column
        for name, column in values.items()
    }


def _known_error(error):
    """Return an error; NaN where it is zero or negative, which stands for unknown."""
    return np.where(error > 0, error, np.nan)


def _log_error(found, index):
    """Return the error of PARAM[index], dex; NaN where PARAM_COV has none."""
    if "covariance" not in found:
        return np.full(len(found), np.nan)
    covariance = found.raw("covariance").reshape(len(found), -1)
    size = isqrt(covariance.shape[1])
    if index >= size:
        return np.full(len(found), np.nan)
    variance = covariance[:, index * (size + 1)].astype(np.float64)
    return np.sqrt(np.where(variance > 0, variance, np.nan))


def _gaia_ids(found):
    """Return Gaia identifiers, int64, 0 = none, and the release they belong to."""
    none = np.zeros(len(found), dtype=np.int64)
    if "gaia_source_id" not in found:
        return none, ""
    ids = found.raw("gaia_source_id")
    if ids.dtype.kind != "i":
        return Column(none, description="not kept as integers: digits are lost"), ""
    release = "EDR3" if "EDR3" in found.name("gaia_source_id").upper() else "DR2"
    # sources begin at 2**32; below are the fillers -9999, 0 and 999999
    return np.where(ids.astype(np.int64) >= 2**32, ids, 0).astype(np.int64), release


_COLUMN = re.compile(r"(10\*\*)?([\w-]+)(?:\[(\d+)\])?")


class _Source(NamedTuple):
    """A column, which element of it (None = all), and whether it is a logarithm."""

    name: str
    element: int | None
    power: bool


class _Columns:
    """The columns read from a catalogue, by our names.

    Parameters
    ----------
    path : str or Path
    records : structured array, (N,)
    found : dict of str to _Source
        Our names; those that the file does not have are absent.
    """

    def __init__(self, path, records, found):
        self._path = path
        self._records = records
        self._found = found

    def __len__(self):
        return len(self._records)

    def __contains__(self, ours):
        return ours in self._found

    def name(self, ours):
        """Return what the file calls a column that it has."""
        return self._found[ours].name

    def raw(self, ours):
        """Return a column as it is in the file, (N, ...)."""
        return self._records[self._found[ours].name]

    def texts(self, ours):
        """Return a column of text, (N,), without blanks at its ends."""
        return np.char.strip(self.raw(ours).astype("U"))

    def numbers(self, ours, below=9990.0):
        """Return a column as float64, (N,); NaN where it is absent or has no value.

        Parameters
        ----------
        ours : str
        below : float
            Numbers from here up, and from -9990 down, are the survey's fillers.
        """
        if ours not in self:
            return np.full(len(self), np.nan)
        source = self._found[ours]
        values = self.raw(ours)
        if source.element is not None:
            values = values[:, source.element]
        if values.dtype.kind not in "fiu" or values.ndim != 1:
            raise InputError(
                f"{self._path}, HDU 1, column {source.name}: type "
                f"{values.dtype.name} and shape {values.shape}; expected one number "
                f"per row for {ours}, for example NAME[0] of a vector"
            )
        values = values.astype(np.float64)
        values = np.where((values > -9990.0) & (values < below), values, np.nan)
        return 10.0**values if source.power else values

    def flags(self, ours):
        """Return a column of bits as int64, (N,), the bits as they are in the file.

        Raises
        ------
        InputError
            It holds no integers.
        """
        values = self.raw(ours)
        if values.dtype.kind not in "iu":
            raise InputError(
                f"{self._path}, HDU 1, column {self.name(ours)}: type "
                f"{values.dtype.name}; expected integers for {ours}: take them from "
                "the original catalogue"
            )
        return unsigned(values).astype(np.int64)


def _read_columns(path, candidates, needed, given=None):
    """Read the columns of the table in HDU 1 that are wanted, and no others.

    Parameters
    ----------
    path : str or Path
    candidates : dict of str to sequence of str
        Our name: the columns that may hold it, the first one present counts.
    needed : collection of str
        Our names without which the catalogue is of no use.
    given : dict of str to str, optional
        Our name: the column to take instead of the candidates.

    Returns
    -------
    _Columns

    Raises
    ------
    InputError
        A needed or given column is missing, or ``given`` cannot be used.
    FileFormatError
        The file is damaged or has no table in HDU 1.
    """
    given = given or {}
    unknown = [ours for ours in given if ours not in candidates]
    if unknown:
        raise InputError(
            f"columns names {', '.join(map(repr, unknown))}; "
            f"expected some of {', '.join(candidates)}"
        )
    try:
        with fitsio.FITS(str(path)) as file:
            if len(file) < 2 or file[1].get_exttype() != "BINARY_TBL":
                raise FileFormatError(
                    f"{path} has no table in HDU 1; expected the survey's catalogue"
                )
            dtype = file[1].get_rec_dtype()[0]
            found = {}
            for ours, texts in candidates.items():
                texts = (given[ours],) if ours in given else texts
                source = _first_present(ours, texts, dtype)
                if source is not None:
                    found[ours] = source
                elif ours in needed or ours in given:
                    raise InputError(_no_column(path, ours, texts, dtype.names))
            names = sorted({source.name for source in found.values()})
            return _Columns(path, file[1].read(columns=names), found)
    except OSError as error:
        raise FileFormatError(
            f"{path}, HDU 1, cannot be read as a FITS table: {fits_reason(error)}; it "
            "may be damaged or cut short, fetch it again"
        ) from error


def _first_present(ours, texts, dtype):
    """Return the first column that the file has, as the file writes it, or None."""
    present = {name.upper(): name for name in dtype.names}
    for text in texts:
        match = _COLUMN.fullmatch(str(text))
        if match is None:
            raise InputError(
                f"the column of {ours} is {text!r}; "
                "expected NAME, NAME[i] or 10**NAME[i]"
            )
        name = present.get(match[2].upper())
        element = None if match[3] is None else int(match[3])
        shape = dtype[name].shape if name else ()
        if name and (element is None or (len(shape) == 1 and element < shape[0])):
            return _Source(name, element, match[1] is not None)
    return None


def _no_column(path, ours, texts, names):
    """Return what to say of a missing column: which, what looks alike, what to do."""
    by_upper = {name.upper(): name for name in names}
    alike = []
    for text in texts:
        wanted = _COLUMN.fullmatch(text)[2].upper()
        close = get_close_matches(wanted, by_upper, n=4)
        alike += [by_upper[key] for key in close]
        alike += [name for key, name in by_upper.items() if wanted in key]
    shown = list(dict.fromkeys(alike))[:8]
    hint = f"alike are {', '.join(shown)}" if shown else f"it has {', '.join(names)}"
    return (
        f"{path}, HDU 1, has no column {' or '.join(texts)} for {ours}; {hint}: "
        f"name the one to take in columns, {ours} = ..."
    )


def unsigned(bits):
    """Return integers as uint64, so that bit 31 of 32 does not become bits 31 to 63."""
    return bits.astype(f"u{bits.dtype.itemsize}").astype(np.uint64)


def fits_reason(error):
    """Return what went wrong, without the list of calls that CFITSIO adds."""
    found = re.search(r"FITSIO status = \d+: (.+)", str(error))
    return found[1] if found else " ".join(str(error).split())
