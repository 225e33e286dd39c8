"""APOGEE, DR12 to DR17: the spectra of apStar, asStar and aspcapStar files.

An apStar file (asStar: the southern telescope) holds a star's spectra of one field,
resampled to the rest frame: HDU 1 flux, HDU 2 error, HDU 3 bit mask (APOGEE_PIXMASK),
each with a row combined pixel by pixel, a row combined with one weight per visit, and
a row for each visit. Stars of one visit have an all-zero second row and no more, in
early releases a single row. An aspcapStar file holds the combined spectrum as ASPCAP
fitted it, divided by its continuum, on the same grid with zeros between the detectors:
HDU 1 flux, HDU 2 error, HDU 3 best fit, HDU 4 the star's row of the catalogue.

Data model: https://data.sdss.org/datamodel/files/APOGEE_REDUX/APRED_VERS/stars/
TELESCOPE/FIELD/apStar.html
"""

import os
import re
from pathlib import Path

import fitsio
import numpy as np

from ..errors import FileFormatError, InputError
from ..fitsimages import read_hdus
from ..fitstables import check_rows, fits_reason, refuse_lists
from .apogee_catalogue import read_catalogue
from .base import LARGEST, Group, Refused, Row
from .bitmasks import APOGEE_PIXMASK, ASPCAPFLAG, EXTRATARG, STARFLAG, unsigned

__all__ = [
    "CUTS",
    "DEFAULT_BAD_PIXELS",
    "EXTRA_CUTS",
    "FACTS",
    "FLAGS",
    "FLAG_ID",
    "GOOD_SNR",
    "MEDIUM",
    "NAME",
    "REGIONS",
    "WAVELENGTH",
    "groups",
    "is_normalised",
    "quality_flags",
    "read_catalogue",
    "read_group",
]

NAME = "apogee"
MEDIUM = "vacuum"

# log10 of the wavelength in Angstrom; headers may hold it in single precision
_GRID = {"CRVAL1": 4.179, "CDELT1": 6e-6, "CRPIX1": 1}
_GRID_TOLERANCE = 1e-7
_PIXELS = 8575
WAVELENGTH = 10 ** (_GRID["CRVAL1"] + _GRID["CDELT1"] * np.arange(_PIXELS))
# The three detectors without their edges, as Ness+2015 and Bovy cut them.
REGIONS = [
    (WAVELENGTH[first], WAVELENGTH[end - 1])
    for first, end in ((322, 3242), (3648, 6048), (6412, 8306))
]

# What APOGEE itself counts as bad: no measurement (bad, hit by a cosmic ray, saturated,
# beyond repair, bad in dark or flat, of unknown error, without a sky to subtract), or
# less than half of the weight of the line spread function. Its warnings stay. What sky
# and telluric lines leave behind is nearly all in the errors: on their pixels, 7 % of
# a real spectrum, visits differ from the combined row by 0.8-1.2 (sky) and 1.1-2.2
# errors (telluric; rms of three visits), elsewhere by 0.9-1.2; labels by a published
# model stay within 10 K and 0.02 dex without them. APOGEE keeps pixels of Littrow ghost
# and persistence, too; the cuts on STARFLAG leave out what persistence has spoiled.
DEFAULT_BAD_PIXELS = (
    *("BADPIX", "CRPIX", "SATPIX", "UNFIXABLE", "BADDARK", "BADFLAT", "BADERR"),
    *("NOSKY", "NOT_ENOUGH_PSF"),
)

FACTS = {
    "id": "U",
    "star_id": "U",
    "visit": "i4",  # 0: combined
    "snr": "f4",  # per pixel
    "file": "U",
    "telescope": "U",
    "field": "U",
    "n_visits": "i4",  # in the combined spectrum; 0: the file does not say
    "n_empty": "i4",  # spectra of the file that were left out: no usable pixel
    "jd": "f8",  # Julian date of a visit; NaN: combined
    "fiber": "i4",  # of a visit; 0: combined
    "rv": "f8",  # km/s, barycentric
    "STARFLAG": "i8",
}

FLAGS = {"STARFLAG": STARFLAG, "ASPCAPFLAG": ASPCAPFLAG, "EXTRATARG": EXTRATARG}
# Nandakumar+2022, section 3.2, and only the best of a star's entries.
CUTS = {
    "snr": "> 80",
    "ASPCAPFLAG": {
        "without": [
            *("TEFF_BAD", "LOGG_BAD", "VMICRO_BAD"),
            *("M_H_BAD", "ALPHA_M_BAD", "STAR_BAD"),
        ]
    },
    "STARFLAG": {
        "without": [
            *("BAD_PIXELS", "VERY_BRIGHT_NEIGHBOR", "LOW_SNR"),
            *("PERSIST_HIGH", "PERSIST_MED", "PERSIST_LOW"),
            *("PERSIST_JUMP_POS", "PERSIST_JUMP_NEG", "SUSPECT_BROAD_LINES"),
        ]
    },
    "EXTRATARG": {"without": ["DUPLICATE"]},
}
EXTRA_CUTS: dict[str, dict] = {}
FLAG_ID = 1  # in a combined catalogue (Nandakumar+2022, table A1)
GOOD_SNR = 80.0  # of labels by the Cannon (the same, section 5.3)

_TELESCOPES = ("apo25m", "apo1m", "lco25m")
_FILE = re.compile(r"(apStar|asStar|aspcapStar)C?-[^-]+-(?:l\d[^-]*-)?(.+)\.fits")
# Flux and errors beyond these are no measurements (bad pixels have errors up to 1e14).
_FLUX_LIMIT = 1e30
_ERROR_RANGE = (1e-7, 1e10)


def groups(paths):
    """Sort files into those to read, one group for each, and those of other kinds.

    Parameters
    ----------
    paths : sequence of str or Path

    Returns
    -------
    groups : list of Group
        Sorted by key: the last two folders (telescope and field) and the star.
    refused : list of Refused
        Files of other names, and second files of the same key, be they of another
        reduction.
    """
    found, refused = {}, []
    for path in sorted(set(map(os.fspath, paths))):
        *folders, name = path.split(os.sep)[-3:]
        match = _FILE.fullmatch(name)
        if match is None:
            refused.append(Refused(path, _why_not(name)))
            continue
        key = "/".join([*folders, match[2]])
        first = found.setdefault(key, path)
        if first != path:
            reason = f"{key} is there twice; {first} is used: give one of them"
            refused.append(Refused(path, reason))
    return [Group(key, (path,)) for key, path in sorted(found.items())], refused


def is_normalised(groups, **options):
    """Tell whether the spectra are divided by their continuum (aspcapStar files).

    Parameters
    ----------
    groups : sequence of Group
    **options
        Of `read_group`; none of them matters here.

    Raises
    ------
    InputError
        There are files of both kinds.
    """
    kinds = {_is_aspcap(group.paths[0]) for group in groups}
    if len(kinds) > 1:
        raise InputError(
            "aspcapStar files (normalised) and apStar or asStar files (not normalised) "
            "were given together; read them apart"
        )
    return kinds == {True}


def read_group(group, visits=False, bad_pixels=DEFAULT_BAD_PIXELS):
    """Read the spectra of one file.

    A spectrum without a usable pixel is left out and counted in ``n_empty``. A star
    of one visit has no visit spectra: its combined spectrum is that visit.

    Parameters
    ----------
    group : Group
    visits : bool
        Whether the spectra of the visits follow the combined one.
    bad_pixels : sequence of str
        Names of APOGEE_PIXMASK: pixels with one of these bits get ivar 0.

    Returns
    -------
    list of Row
        flux and ivar (8575,) float32 in the units of the file: 1e-17 erg/s/cm2/A,
        or of the continuum for aspcapStar.

    Raises
    ------
    FileFormatError
        Not a file of this kind, another grid, cut short or without a usable pixel.
    InputError
        A name in ``bad_pixels`` is unknown.
    """
    path = Path(group.paths[0])
    bits = APOGEE_PIXMASK.value(bad_pixels)
    planes = 2 if _is_aspcap(path) else 3
    try:
        hdus = read_hdus(path, planes + 1)
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} cannot be read as FITS: it is gone") from error
    star = _star(path, hdus[0])
    _check_layout(path, hdus, planes)
    return _rows(path, hdus[0], star, *_spectra(hdus, visits, bits))


def _why_not(name):
    """Return why a file of this name is not read."""
    if name.startswith(("apVisit", "asVisit")):
        return (
            "a visit as the detectors saw it, neither resampled nor in the rest frame; "
            "give the star's apStar or asStar file and read it with visits=True"
        )
    return (
        "not named like a spectrum of APOGEE (apStar-*.fits, asStar-*.fits or "
        "aspcapStar-*.fits, not compressed)"
    )


def _is_aspcap(path):
    return os.path.basename(path).startswith("aspcapStar")


def _check_layout(path, hdus, planes):
    """Refuse images that disagree or do not lie on the survey's grid."""
    if len(hdus) <= planes:
        raise FileFormatError(
            f"{path} has {len(hdus)} HDUs; expected at least {planes + 1}: it is cut "
            "short or no spectrum of APOGEE; fetch it again"
        )
    first = hdus[1].shape
    for hdu in hdus[1:]:
        shape = hdu.shape
        known = len(shape) in (1, 2) and shape[-1] == _PIXELS and shape[0] > 0
        if shape != first or not known:
            raise FileFormatError(
                f"{hdu.where}: an image of shape {shape}; expected ({_PIXELS},) or "
                f"(rows, {_PIXELS}), the same in HDU 1 to {planes}"
            )
    for key, expected in _GRID.items():
        value = hdus[1].get(key, hdus[0].get(key, 1 if key == "CRPIX1" else None))
        away = abs(_number(value) / expected - 1)
        if not away < _GRID_TOLERANCE:  # NaN where the header has no number
            raise FileFormatError(
                f"{hdus[1].where}: {key} is {'missing' if value is None else value}; "
                f"expected {expected} (log10 of Angstrom), the survey's grid"
            )


def _spectra(hdus, visits, bits):
    """Return flux and ivar, (R, 8575) float32: the combined row, then the visits."""
    _, flux, error, *masks = hdus
    chosen = [0]
    if visits and masks and len(flux.shape) == 2:
        chosen += range(2, flux.shape[0])  # row 1 is combined, too
    flux, error = flux.rows(chosen), error.rows(chosen)
    # NaN fails each of these comparisons
    real = abs(flux) < _FLUX_LIMIT
    good = real & (error > _ERROR_RANGE[0]) & (error < _ERROR_RANGE[1])
    for hdu in masks:
        mask = hdu.rows(chosen)
        if mask.dtype.kind not in "iu":
            raise FileFormatError(
                f"{hdu.where}: the bit mask has type {mask.dtype.name}; expected "
                "integers: this is not a complete apStar file"
            )
        good &= unsigned(mask) & np.uint64(bits) == 0
    ivar = 1.0 / np.where(good, error, np.inf) ** 2
    flux = np.where(real, flux, 0.0)
    return flux.astype(np.float32), ivar.astype(np.float32)


def _star(path, header):
    """Return telescope, field and name: of header or catalogue row, else of the path.

    Directories tell telescopes apart; headers do not.
    """
    kind, name = _FILE.fullmatch(path.name).groups()
    row = _catalogue_row(path) if kind == "aspcapStar" else {}
    folder = next((part for part in path.parts[:-1] if part in _TELESCOPES), None)
    by_kind = "lco25m" if kind == "asStar" else "apo25m"
    field, object_name = (
        str(header.get(key, "")).strip() for key in ("FIELD", "OBJID")
    )
    return (
        folder or row.get("TELESCOPE") or by_kind,
        field or row.get("FIELD") or path.parent.name,
        object_name or row.get("APOGEE_ID") or name,
    )


def _catalogue_row(path):
    """Return the names in the catalogue row of an aspcapStar file, where it has one."""
    try:
        with fitsio.FITS(str(path)) as file:
            if len(file) < 5 or file[4].get_exttype() != "BINARY_TBL":
                return {}
            names = {"TELESCOPE", "FIELD", "APOGEE_ID"} & set(file[4].get_colnames())
            refuse_lists(file[4], names, f"{path}, HDU 4")
            check_rows(file[4])
            return {name: str(file[4][name][0]).strip() for name in names}
    except FileFormatError:
        raise
    except (OSError, ValueError, LookupError) as error:
        raise FileFormatError(
            f"{path}, HDU 4: cannot be read as FITS: {fits_reason(error)}; it may be "
            "damaged or cut short, fetch it again"
        ) from error


def _rows(path, header, star, flux, ivar):
    """Return the rows that have usable pixels, with their facts."""
    usable = (ivar > 0).any(axis=1)
    n_empty = int((~usable).sum())
    if usable[1:].sum() < 2:  # a single visit is the combined spectrum once more
        usable[1:] = False
    if not usable.any():
        raise FileFormatError(
            f"{path}, HDU 1-3: no usable pixel (all are masked, NaN, zero or of absurd "
            "error); leave this star out"
        )
    telescope, field, name = star
    common = {
        "star_id": name,
        "file": str(path),
        "telescope": telescope,
        "field": field,
        "n_visits": _whole(header.get("NVISITS")),
        "n_empty": n_empty,
    }
    rows = []
    for visit in np.flatnonzero(usable):
        key = ".".join(star) + (f".v{visit}" if visit else "")
        facts = {"id": key, "visit": int(visit), **common}
        facts |= _visit_facts(header, visit)
        if not facts["snr"] > 0:
            # what the header's SNR is: the median over pixels
            good = ivar[visit] > 0
            facts["snr"] = float(np.median((flux[visit] * ivar[visit] ** 0.5)[good]))
        rows.append(Row(flux[visit], ivar[visit], facts))
    return rows


def _visit_facts(header, visit):
    """Return what the header says of a visit, or of the combined spectrum (0)."""
    n = visit or ""
    flag = header.get(f"FLAG{n}" if visit else "STARFLAG")
    return {
        "snr": _number(header.get(f"SNRVIS{n}" if visit else "SNR")),
        "jd": _number(header.get(f"JD{n}")) if visit else np.nan,
        "fiber": _whole(header.get(f"FIBER{n}")) if visit else 0,
        "rv": _number(header.get(f"VHELIO{n}")),
        # An unreadable flag has all bits set: it passes no cut.
        "STARFLAG": _whole(flag, 63, -1),
    }


def _number(value):
    """Return a header's value as float; NaN where it is none or the filler -9999."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return np.nan
    return number if -9990 < number < LARGEST else np.nan


def _whole(value, bits=31, missing=0):
    """Return a header's value as int, ``missing`` where it is none of so many bits."""
    known = type(value) is int and -(2**bits) <= value < 2**bits
    return value if known else missing


def quality_flags(table):
    """Return flag_spectra and flag_sp_aspcap of catalogue entries.

    Parameters
    ----------
    table : astropy Table, N rows
        Of `read_catalogue`.

    Returns
    -------
    spectra, pipeline : (N,) int64 arrays
        Bits of STARFLAG; bits of ASPCAPFLAG (Nandakumar+2022, table A1).
    """
    spectra, pipeline = table["STARFLAG"], table["ASPCAPFLAG"]
    return np.asarray(spectra, np.int64), np.asarray(pipeline, np.int64)
