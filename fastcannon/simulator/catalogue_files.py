"""Everything of a simulated survey that is not a spectrum: tables and settings."""

from pathlib import Path

import numpy as np
from astropy.io import ascii as text_tables
from astropy.io import fits

from ..fitsfiles import table_to_hdu, without_odd_units
from .pipelines import MISSING

# Columns of the simulator's own in the surveys' tables, which no survey publishes.
HIDDEN = ("star", "missing_arm", "bad_fibre", "VMICRO_ERR", "VBROAD_ERR")

# Fitted minus calibrated parameters: no real ones, but large enough to be noticed.
FIT_OFFSET = np.array([-90.0, 0.12, 0, 0.04, 0, 0, -0.02, 0, 0], np.float32)

ALL_STAR = "apogee/allStar-r12-l33.fits"
APOGEE_SPECTRA = "apogee/spectra"
GALAH_SPECTRA = "galah/spectra"
GALAH_STARS = "galah/GALAH_DR3_main_allstar_v2.fits"
GALAH_ALL = "galah/GALAH_DR3_main_allspec_v2.fits"
GAIA = "gaia/gaia.fits"
CLUSTERS, MEMBERS = "clusters/clusters.ecsv", "clusters/members.ecsv"
ISOCHRONES = "isochrones/parsec.dat"
TRUTH = "truth/truth.fits"
CONFIGURATION = "fastcannon.toml"


def configuration():
    """Return the text of a configuration for the folder of a simulation."""
    return f"""\
# Configuration of fastcannon for the simulated surveys in this folder.
# `fastcannon init` writes one that explains every key.

[output]
folder = "run"

[surveys.apogee]
format = "apogee"
spectra = ["{APOGEE_SPECTRA}/**/a[ps]Star-*.fits"]
catalogue = "{ALL_STAR}"
visits = true

[surveys.galah]
format = "galah"
spectra = ["{GALAH_SPECTRA}/**/*.fits"]
catalogue = "{GALAH_STARS}"
catalogue_repeats = "{GALAH_ALL}"
flux = "normalised"

[match]
by = "star_id"

[gaia]
table = "{GAIA}"

[labels]
names = ["teff", "logg", "fe_h", "alpha_fe", "vmicro", "vbroad"]

[model]
degree = 2
"""


def write_tables(path, tables):
    """Write tables to a FITS file, one extension each.

    Parameters
    ----------
    path : str or Path
        Its folder is made if absent.
    tables : mapping of str to astropy Table
        By EXTNAME; "" for none, as the surveys' own files have it.
    """
    hdus = [fits.PrimaryHDU()]
    for name, table in tables.items():
        hdus.append(table_to_hdu(without_odd_units(table), name))
    _folder_of(path)
    fits.HDUList(hdus).writeto(path)


def all_star(entries):
    """Add to APOGEE's entries the columns that follow from others.

    FILE, APSTAR_ID, TARGET_ID, and the arrays PARAM and FPARAM (9) of ASPCAP: Teff,
    log g, log10 of vmicro, [M/H], [C/M], [N/M], [alpha/M], log10 of vsini (dwarfs)
    or vmacro (giants), [O/M]. FPARAM is as it was fitted, before calibration;
    PARAM_COV (9 x 9) holds the squares of PARAM's errors on its diagonal.

    Parameters
    ----------
    entries : astropy Table
        From pipelines.observe_apogee.
    """
    made = entries.copy()
    field, star = np.asarray(made["FIELD"]), np.asarray(made["APOGEE_ID"])
    telescope = np.asarray(made["TELESCOPE"])
    kind = np.where(telescope == "lco25m", "as", "ap")
    made["FILE"] = [f"{k}Star-r12-{s}.fits" for k, s in zip(kind, star, strict=True)]
    made["TARGET_ID"] = _joined(telescope, field, star)
    made["APSTAR_ID"] = _joined("apogee", telescope, "stars", field, star)
    broadening = np.maximum(made["VSINI"], made["VMACRO"])  # the other is -9999
    missing = np.asarray(made["TEFF"]) == MISSING
    param = np.zeros((len(made), 9), np.float32)
    for i, name in ((0, "TEFF"), (1, "LOGG"), (3, "M_H"), (6, "ALPHA_M")):
        param[:, i] = made[name]
    for i, speed in ((2, made["VMICRO"]), (7, broadening)):
        param[:, i] = np.log10(np.maximum(speed, 0.01))
    fitted = param + FIT_OFFSET
    param[missing] = fitted[missing] = MISSING
    made["PARAM"], made["FPARAM"] = param, fitted
    variance = np.zeros((len(made), 9), np.float32)
    for i, name in ((0, "TEFF"), (1, "LOGG"), (3, "M_H"), (6, "ALPHA_M")):
        variance[:, i] = made[f"{name}_ERR"] ** 2
    for i, speed, error in (
        (2, made["VMICRO"], made["VMICRO_ERR"]),
        (7, broadening, made["VBROAD_ERR"]),
    ):
        variance[:, i] = (error / (speed * np.log(10.0))) ** 2
    made["PARAM_COV"] = variance[:, :, None] * np.eye(9, dtype=np.float32)
    made["PARAM_COV"][missing] = MISSING
    return made


def _joined(*parts):
    """Return the texts (E,) of parts joined by full stops."""
    total = np.asarray(parts[0])
    for part in parts[1:]:
        total = np.strings.add(np.strings.add(total, "."), part)
    return total


def published(table):
    """Return a survey's table without the simulator's own columns."""
    return table[[name for name in table.colnames if name not in HIDDEN]]


def write_text_table(path, table):
    """Write a table as ECSV; its folder is made if absent."""
    _folder_of(path)
    text_tables.write(table, path, format="ecsv")


def write_text(path, text):
    """Write a text file; its folder is made if absent."""
    _folder_of(path)
    Path(path).write_text(text, encoding="utf-8")


def truth_tables(stars, entries, visits, spectra):
    """Return what the surveys' files hide, by extension.

    Parameters
    ----------
    stars : astropy Table
        The true parameters, and noise-free labels on both scales.
    entries, visits : astropy Table
        APOGEE's entries and visits.
    spectra : astropy Table
        GALAH's spectra.

    Returns
    -------
    dict of str to astropy Table
        STARS; ENTRIES (FILE, star), VISITS (entry is a row of ENTRIES) and SPECTRA
        (sobject_id, star) say which spectra belong to a star and have defects.
    """
    hidden = [name for name in HIDDEN if name in spectra.colnames]
    entry_names = ("star", "APOGEE_ID", "TELESCOPE", "FIELD", "FILE")
    return {
        "STARS": stars,
        "ENTRIES": entries[list(entry_names)],
        "VISITS": visits,
        "SPECTRA": spectra[["sobject_id", *hidden]],
    }


def rows_of(table, names):
    """Return a table's rows as dicts of Python numbers and texts.

    Parameters
    ----------
    table : astropy Table
    names : sequence of str
        The columns wanted.
    """
    columns = [np.asarray(table[name]).tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _folder_of(path):
    """Make the folder that a file is to be in."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
