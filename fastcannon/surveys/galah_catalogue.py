"""Catalogues of GALAH: main_allstar and main_allspec of DR3, the table of 6.0.

Columns: https://docs.datacentral.org.au/galah/dr3/table-schema/
"""

import numpy as np
from astropy.table import Column, Table

from .catalogues import read_columns

# Our name: (unit, the survey's columns; the first that is there counts).
_NUMBERS = {
    "ra": ("deg", ("ra_icrs", "ra_dr2", "ra")),
    "dec": ("deg", ("dec_icrs", "dec_dr2", "dec")),
    "pmra": ("mas / yr", ("pmra_dr2", "pmra")),
    "pmdec": ("mas / yr", ("pmdec_dr2", "pmdec")),
    "teff": ("K", ("teff", "teff_r")),
    "e_teff": ("K", ("e_teff",)),
    "logg": ("dex", ("logg", "logg_r")),
    "e_logg": ("dex", ("e_logg",)),
    "fe_h": ("dex", ("fe_h", "fe_h_r")),
    "e_fe_h": ("dex", ("e_fe_h",)),
    "alpha_fe": ("dex", ("alpha_fe", "alpha_fe_r")),
    "e_alpha_fe": ("dex", ("e_alpha_fe",)),
    "vmicro": ("km / s", ("vmic", "vmic_r")),
    "e_vmicro": ("km / s", ("e_vmic",)),  # DR3 has none
    "vbroad": ("km / s", ("vbroad", "vbroad_r")),
    "e_vbroad": ("km / s", ("e_vbroad",)),
    "mg_fe": ("dex", ("Mg_fe",)),
    "e_mg_fe": ("dex", ("e_Mg_fe",)),
    "rv": ("km / s", ("rv_galah", "rv_com")),
    "e_rv": ("km / s", ("e_rv_galah", "e_rv_com")),
    "snr": ("", ("snr_c2_iraf", "snr[1]", "snr_2")),
    "snr_c2_iraf": ("", ("snr_c2_iraf", "snr[1]", "snr_2")),
    "snr_c3_iraf": ("", ("snr_c3_iraf", "snr[2]", "snr_3")),
    "chi2_sp": ("", ("chi2_sp",)),
}
_FLAGS = ("flag_sp", "flag_fe_h", "flag_alpha_fe", "flag_Mg_fe", "flag_repeat")
_IDS = {
    "id": ("sobject_id",),
    "star_id": ("star_id", "tmass_id", "2mass", "2mass_id"),
    "gaia_source_id": ("dr3_source_id", "dr2_source_id", "source_id", "gaia_id"),
}
_NEEDED = ("id", "teff", "logg", "fe_h")
_GAIA_RELEASE = {
    "dr3_source_id": "EDR3",
    "dr2_source_id": "DR2",
    "source_id": "DR2",
    "gaia_id": "EDR3",
}
EPOCH = 2015.5  # of the coordinates, which are Gaia DR2's
UNKNOWN_FLAG = -1  # every bit is set, so that it passes no cut
_FILLERS = 99990.0, np.inf  # numbers that stand for none

LABEL_COLUMNS = {name: columns for name, (_, columns) in _NUMBERS.items()}


def read_catalogue(path, columns=None):
    """Read a catalogue of GALAH.

    Parameters
    ----------
    path : str or Path
        FITS, the table in HDU 1, or CSV (``.csv``).
    columns : dict, optional
        Our name to the column to take instead, "NAME" or "NAME[i]".

    Returns
    -------
    astropy Table
        A row per row of the file: id (sobject_id), star_id ("2M..."), gaia_source_id
        (0 = none), coordinates and their epoch, labels with errors, mg_fe, rv, snr
        (of the green arm) and the survey's flags. Where the file has no number, NaN;
        no flag, -1: it passes no cut. ``meta`` has ``gaia_release`` and ``absent``, the
        names whose columns the file lacks.

    Raises
    ------
    InputError
        A needed or named column is not there or does not hold what it must.
    FileFormatError
        The file cannot be read.
    FileNotFoundError
    """
    candidates = _IDS | LABEL_COLUMNS | {name: (name,) for name in _FLAGS}
    found = read_columns(path, candidates, _NEEDED, columns)
    table = Table()
    table["id"] = _whole(found, "id").astype(str)
    table["star_id"] = _star_ids(found)
    for name, (unit, _) in _NUMBERS.items():
        table[name] = Column(found.numbers(name, _FILLERS), unit=unit)
    table["epoch"] = Column(np.full(len(found), EPOCH), unit="yr")
    table["gaia_source_id"] = np.maximum(_whole(found, "gaia_source_id"), 0)
    for name in _FLAGS:
        table[name] = _whole(found, name, UNKNOWN_FLAG)
    release = "unknown"
    if "gaia_source_id" in found:
        release = _GAIA_RELEASE.get(found.name("gaia_source_id").lower(), release)
    table.meta["gaia_release"] = release
    table.meta["absent"] = [name for name in candidates if name not in found]
    return table


def _whole(found, name, missing=0):
    """Return a column as int64, (N,); ``missing`` where it is absent or has none."""
    if name not in found:
        return np.full(len(found), missing, np.int64)
    values = found.one_per_row(name)
    if values.dtype.kind == "f" and name in _IDS:
        raise found.refuse(name, "integers: floats cannot hold all digits of an id")
    if values.dtype.kind == "f":
        values = np.ma.filled(np.ma.masked_invalid(values), missing)
    elif values.dtype.kind not in "iu":
        values = found.texts(name)
        values = np.where(values == "", str(missing), values)
    try:
        return np.ma.filled(values.astype(np.int64), missing)
    except (ValueError, OverflowError) as error:
        raise found.refuse(name, f"whole numbers for {name} ({error})") from None


def _star_ids(found):
    """Return "2M" and the 2MASS designation, empty where there is none, (N,)."""
    if "star_id" not in found:
        return np.full(len(found), "", "U18")
    names = found.texts("star_id")
    return np.where(names == "", "", np.char.add("2M", names))
