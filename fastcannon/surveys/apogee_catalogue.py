"""The allStar catalogue of APOGEE, DR12 to DR17.

Data model: https://data.sdss.org/datamodel/files/APOGEE_ASPCAP/APRED_VERS/ASPCAP_VERS/
allStar.html
"""

from math import isqrt

import numpy as np
from astropy.table import Column, Table

from .. import labels
from .bitmasks import unsigned
from .catalogues import FILLERS, read_columns

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
# Hot stars have temperatures up to 20,000 K. Barnard's star moves by 10,362 mas a year:
# there only -9999 and 9999.99 stand for nothing.
_FILLERS = {
    "teff": (99990.0, np.inf),
    "pmra": (9990.0, 10000.0),
    "pmdec": (9990.0, 10000.0),
}
COLUMNS = LABEL_COLUMNS | _OTHER_COLUMNS | {name: (name,) for name in _FLAGS}
_NEEDED = (
    *("telescope", "field", "star_id", "ra", "dec", "snr", "rv", *_FLAGS),
    *("teff", "e_teff", "logg", "e_logg", "fe_h", "e_fe_h", "alpha_fe", "e_alpha_fe"),
)


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
    FileNotFoundError
    """
    found = read_columns(path, COLUMNS, _NEEDED, columns)
    table = Table(meta={"survey": "apogee", "file": str(path)})
    parts = [found.texts(name) for name in ("telescope", "field", "star_id")]
    table["id"] = np.array([".".join(words) for words in zip(*parts, strict=True)], "U")
    table["star_id"] = parts[2]
    for name in ("ra", "dec"):
        table[name] = Column(found.numbers(name), unit="deg")
    for name in ("pmra", "pmdec"):
        table[name] = Column(found.numbers(name, _FILLERS[name]), unit="mas / yr")
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
        table[name] = _bits(found, name)
    for column in table.itercols():
        if column.dtype.kind == "f" and not np.isfinite(column).any():
            column.description = "no value in this catalogue"
    return table


def _labels(found):
    """Return labels and their errors, float64, by name."""
    values = {
        name: found.numbers(name, _FILLERS.get(name, FILLERS)) for name in LABEL_COLUMNS
    }
    if "mg_fe" not in found:
        values["mg_fe"] = found.numbers("mg_h") - found.numbers("iron_h")
        values["e_mg_fe"] = np.hypot(found.numbers("e_mg_h"), found.numbers("e_iron_h"))
    if "vbroad" not in found:
        vsini, vmacro = found.numbers("vsini"), found.numbers("vmacro")
        dwarf = (values["logg"] >= labels.LOGG_CUT) & np.isfinite(vsini)
        values["vbroad"] = np.where(dwarf | ~np.isfinite(vmacro), vsini, vmacro)
    for name, index in (("vmicro", 2), ("vbroad", 7)):
        if f"e_{name}" not in found:
            values[f"e_{name}"] = values[name] * np.log(10.0) * _log_error(found, index)
    return {
        name: _known_error(column) if name.startswith("e_") else column
        for name, column in values.items()
    }


def _bits(found, name):
    """Return a column of bits as int64, (N,), the bits as they are in the file."""
    values = found.one_per_row(name)
    if values.dtype.kind not in "iu":
        raise found.refuse(name, f"integers for {name}")
    # where there is no flag all bits are set, so that it passes no cut
    return np.ma.filled(unsigned(values).astype(np.int64), -1)


def _known_error(error):
    """Return an error; NaN where it is zero or negative, which stands for unknown."""
    return np.where(error > 0, error, np.nan)


def _log_error(found, index):
    """Return the error of PARAM[index], dex; NaN where PARAM_COV has none."""
    if "covariance" not in found:
        return np.full(len(found), np.nan)
    covariance = np.asarray(found.raw("covariance")).reshape(len(found), -1)
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
    ids = np.ma.filled(found.one_per_row("gaia_source_id"), 0)
    if ids.dtype.kind != "i":
        return Column(none, description="not kept as integers: digits are lost"), ""
    release = "EDR3" if "EDR3" in found.name("gaia_source_id").upper() else "DR2"
    # sources begin at 2**32; below are the fillers -9999, 0 and 999999
    return np.where(ids.astype(np.int64) >= 2**32, ids, 0).astype(np.int64), release
