"""GALAH: HERMES spectra of Data Release 3 and of reduction 6.0, four arms per star.

A star is four files, named by its ``sobject_id`` and the arm (blue 1, green 2, red 3,
infrared 4). HDUs are known by their number, because many have no EXTNAME:

============== ============================== ==============================
number of HDUs 5: DR3 (pipeline 5.3)          8: reduction 6.0
============== ============================== ==============================
counts         0                              0
normalised     4                              1
relative error 1                              2
wavelengths    of HDU 4: air, at rest         of HDU 0: air, barycentric
============== ============================== ==============================

Each HDU has linear wavelengths. The pixels of DR3's HDU 4 are those of its HDU 0,
shifted to rest. Those of 6.0 are shifted here, by RVCOM, the velocity that 6.0
measures from the four arms together; RV is of one arm, and often of few lines.

https://docs.datacentral.org.au/galah/dr3/ (Buder+2021; reductions: Kos+2017)
"""

import os
import re
from typing import NamedTuple

import numpy as np

from ..errors import FileFormatError, InputError
from ..fitsimages import read_hdus
from ..kernels import resample_row
from .base import LARGEST, Group, Refused, Row
from .bitmasks import FLAG_SP
from .galah_catalogue import read_catalogue

__all__ = [
    "CUTS",
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

NAME = "galah"
MEDIUM = "air"


class Arm(NamedTuple):
    """The common grid of one arm: first wavelength, step (Angstrom), pixels."""

    first: float
    step: float
    n_pixels: int

    @property
    def last(self):
        return self.first + self.step * (self.n_pixels - 1)


# The steps are the medians of the spectra's own, so that nothing is smoothed more
# than it must be. The ends are those that the median spectrum still covers at +-200
# km/s (of 30 real stars, whose arms begin and end within 2 A of the median), which is
# nearly every star; one that does not has ivar 0 there. The infrared arm begins behind
# the telluric A band (7594-7660 A, where errors are up to 8 times the arm's), but
# before the lines of Si and Mg at 7680-7692 A. In all 14,617 pixels.
ARMS = (
    Arm(4716.70, 0.0460, 3957),
    Arm(5652.50, 0.0547, 3955),
    Arm(6482.15, 0.0631, 3959),
    Arm(7679.00, 0.0736, 2746),
)
WAVELENGTH = np.concatenate([a.first + a.step * np.arange(a.n_pixels) for a in ARMS])
REGIONS = [(arm.first, arm.last) for arm in ARMS]
_STARTS = np.cumsum([0] + [arm.n_pixels for arm in ARMS])
_GREEN = 1

FACTS = {
    "id": "U15",
    "star_id": "U18",
    "visit": np.int32,
    "snr": np.float32,
    "file": "U",
    "pipeline": "U8",
    "mjd": np.float64,
    "rv_shift": np.float64,
    "wav_rms": np.float32,
}

# Nandakumar+2022, section 3.2; that all labels are there is the first cut of any.
CUTS = {"snr_c2_iraf": "> 25", "chi2_sp": "< 4", "flag_sp": "== 0"}
EXTRA_CUTS = {
    "galah-advice": {
        "flag_fe_h": "== 0",
        "flag_alpha_fe": "== 0",
        "snr_c3_iraf": "> 30",
    }
}
FLAGS = {"flag_sp": FLAG_SP}
FLAG_ID = 0  # in a combined catalogue (Nandakumar+2022, table A1)
GOOD_SNR = 40.0  # of labels by the Cannon (the same, section 5.3)

LIGHT = 299792.458  # km/s
# Where the relative error passes through zero (it was resampled, too), it is absurdly
# small as well. In the arms of 24 real stars sigma is either nowhere below 0.45 of
# its median, or below 0.2 exactly around such pixels. A sigma absurdly large needs no
# bound: its weight is small by itself.
_LEAST_SIGMA = 0.2
_FILE_NAME = re.compile(r"(\d{15})([1-4])\.fits")


class _Layout(NamedTuple):
    """Which HDU holds what."""

    counts: int
    normalised: int
    relative_error: int
    wavelengths: int


_LAYOUTS = {5: _Layout(0, 4, 1, 4), 8: _Layout(0, 1, 2, 0)}


class _Spectrum(NamedTuple):
    """One arm as in its file: first and step at rest, rv in km/s, its headers."""

    flux: np.ndarray
    ivar: np.ndarray
    first: float
    step: float
    rv: float
    hdus: list


def groups(paths):
    """Sort files into stars.

    Parameters
    ----------
    paths : sequence of str or Path
        In any order, from any number of folders.

    Returns
    -------
    groups : list of Group
        By sobject_id; paths in the order of the arms, some of which may be missing.
    refused : list of Refused
        Files of other names, and second files of the same star and arm.
    """
    found = {}
    refused = []
    for path in sorted(set(map(os.fspath, paths))):
        match = _FILE_NAME.fullmatch(os.path.basename(path))
        if match is None:
            reason = (
                "the name is not that of a GALAH spectrum: 15 digits of the "
                "sobject_id, the arm 1 to 4, .fits"
            )
            refused.append(Refused(path, reason))
            continue
        first = found.setdefault(match[1], {}).setdefault(match[2], path)
        if first != path:
            reason = (
                f"sobject_id {match[1]}, arm {match[2]} is there twice; {first} is "
                "used: give one of them"
            )
            refused.append(Refused(path, reason))
    stars = [
        Group(key, tuple(arms[arm] for arm in sorted(arms)))
        for key, arms in sorted(found.items())
    ]
    return stars, refused


def is_normalised(groups, flux="normalised"):
    """Return whether `read_group` gives flux that is divided by its continuum."""
    return flux == "normalised"


def read_group(group, flux="normalised"):
    """Read the four arms of a star at rest, resampled to the common grid.

    Parameters
    ----------
    group : Group
        Of `groups`.
    flux : str
        "normalised": by the survey; "counts": electrons, not normalised.

    Returns
    -------
    list of one Row
        ``snr`` is the median of flux over its error of the green arm, per pixel of
        the file; ``rv_shift`` (km/s) was taken out by DR3 or here; ``wav_rms`` (A) is
        the worst of the arms; ``star_id`` is empty in DR3, whose headers lack it.

    Raises
    ------
    InputError
        ``flux`` is neither.
    FileFormatError
        An arm is missing or cannot be used; names the file and the reason.
    """
    if flux not in ("normalised", "counts"):
        raise InputError(f'flux is {flux!r}; "normalised" or "counts" is needed')
    _check_arms(group)
    flux_out = np.empty(len(WAVELENGTH), np.float32)
    ivar_out = np.empty(len(WAVELENGTH), np.float32)
    arms = [_read_arm(path, flux) for path in group.paths]
    for i, (grid, arm) in enumerate(zip(ARMS, arms, strict=True)):
        part = slice(_STARTS[i], _STARTS[i + 1])
        work = np.empty((2, len(arm.flux)), np.float32)
        resample_row(
            arm.flux,
            arm.ivar,
            arm.first,
            arm.step,
            grid.first,
            grid.step,
            work,
            flux_out[part],
            ivar_out[part],
        )
        if not ivar_out[part].any():
            last = arm.first + arm.step * (len(arm.flux) - 1)
            raise FileFormatError(
                f"{group.paths[i]}: no good pixel between {grid.first:.2f} and "
                f"{grid.last:.2f} A; the file goes from {arm.first:.2f} to "
                f"{last:.2f} A at rest: leave this star out"
            )
    return [Row(flux_out, ivar_out, _facts(group, arms))]


def _check_arms(group):
    """Refuse a star without all of its arms, as the paper does."""
    names = {os.path.basename(path) for path in group.paths}
    expected = [f"{group.key}{arm}.fits" for arm in range(1, len(ARMS) + 1)]
    missing = [name for name in expected if name not in names]
    if missing:
        raise FileFormatError(
            f"{group.key}: {', '.join(missing)} missing; all four arms are needed: "
            "give these files, too, or leave this star out"
        )


def _read_arm(path, flux):
    """Read one file: its flux "normalised" or in "counts", with wavelengths at rest."""
    hdus = read_hdus(path)
    layout = _layout(path, hdus)
    values = hdus[getattr(layout, flux)].spectrum()
    error = hdus[layout.relative_error].spectrum()
    grid = hdus[layout.wavelengths].spectrum()
    if not len(values) == len(error) == len(grid):
        raise FileFormatError(
            f"{path}: HDUs {getattr(layout, flux)}, {layout.relative_error} and "
            f"{layout.wavelengths} have {len(values)}, {len(error)} and {len(grid)} "
            "pixels; equal numbers are expected: copy the file again"
        )
    first, step = _wavelengths(hdus[layout.wavelengths])
    if layout.wavelengths == 0:
        rv = _radial_velocity(path, hdus[0])
        first, step = first / (1 + rv / LIGHT), step / (1 + rv / LIGHT)
    else:
        observed, _ = _wavelengths(hdus[0])
        rv = LIGHT * (observed / first - 1)
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
        error = error.astype(np.float32, copy=False)
    return _Spectrum(values, _inverse_variance(values, error), first, step, rv, hdus)


def _layout(path, hdus):
    """Tell the release by the number of HDUs."""
    if len(hdus) == 4:
        raise FileFormatError(
            f"{path} has 4 HDUs: DR3 did not normalise it, and without HDU 4 it has no "
            "wavelengths at rest; leave this star out"
        )
    if len(hdus) not in _LAYOUTS:
        raise FileFormatError(
            f"{path} has {len(hdus)} HDUs; 5 (DR3) or 8 (reduction 6.0) are expected: "
            "the file is cut short or of another release"
        )
    return _LAYOUTS[len(hdus)]


def _wavelengths(hdu):
    """Return the first wavelength and the step of a header, Angstrom."""
    has_matrix_only = hdu.get("CDELT1") is None and hdu.get("CD1_1") is not None
    step = hdu.number("CD1_1" if has_matrix_only else "CDELT1")
    pixel = 1 if hdu.get("CRPIX1") is None else hdu.number("CRPIX1")
    first = hdu.number("CRVAL1") + (1 - pixel) * step
    if not (step > 0 and first > 0):
        raise FileFormatError(
            f"{hdu.where}: wavelengths begin at {first} with steps of {step}; positive "
            "numbers (Angstrom) are expected"
        )
    return first, step


def _radial_velocity(path, hdu):
    """Return the velocity of the star by the header of a file of reduction 6.0."""
    rv, known = hdu.get("RVCOM"), hdu.get("RVCOM_OK")
    if known != 1 or type(rv) not in (int, float) or not abs(rv) < LIGHT:
        raise FileFormatError(
            f"{path}, HDU 0: RVCOM is {rv!r} and RVCOM_OK {known!r}; a velocity (km/s) "
            "and 1 are expected: without it the spectrum has no wavelengths at rest; "
            "leave this star out"
        )
    return rv


def _inverse_variance(flux, relative_error):
    """Return 1 / (relative error * flux)^2, 0 where that is no error, (n,)."""
    with np.errstate(all="ignore"):
        sigma = np.abs(flux) * relative_error
        good = (relative_error > 0) & (sigma > 0) & (sigma < np.inf)
        typical = np.median(sigma[good]) if good.any() else np.inf
        return np.where(good & (sigma > _LEAST_SIGMA * typical), 1 / sigma**2, 0)


def _facts(group, arms):
    """Return the row of FACTS of a star."""
    headers = [arm.hdus[0] for arm in arms]
    pipelines = [str(header.get("PIPE_VER", "")) for header in headers]
    if len(set(pipelines)) > 1:
        raise FileFormatError(
            f"{group.key}: its arms are of the pipelines {', '.join(pipelines)}; give "
            "files of one"
        )
    star_id = str(headers[0].get("2MASS_ID", "None"))
    good = arms[_GREEN].ivar > 0
    flux, ivar = arms[_GREEN].flux[good], arms[_GREEN].ivar[good]
    return {
        "id": group.key,
        "star_id": "" if star_id in ("None", "") else f"2M{star_id}",
        "visit": 0,
        "snr": np.median(np.abs(flux) * np.sqrt(ivar)),
        "file": group.paths[0],
        "pipeline": pipelines[0],
        "mjd": _number(headers[0], "UTMJD"),
        "rv_shift": arms[0].rv,
        "wav_rms": max(_number(header, "W_RMS", "WAV_RMS") for header in headers),
    }


def _number(header, *keys):
    """Return the first of the keywords that is a number, or NaN."""
    values = (header.get(key) for key in keys)
    numbers = (v for v in values if type(v) in (int, float) and abs(v) < LARGEST)
    return float(next(numbers, np.nan))


def quality_flags(table):
    """Return flag_spectra and flag_sp_aspcap of catalogue entries.

    Parameters
    ----------
    table : astropy Table, N rows
        Of `read_catalogue`.

    Returns
    -------
    spectra, pipeline : (N,) int64 arrays
        1 where flag_sp tells of a faulty reduction; bits of flag_sp
        (Nandakumar+2022, table A1).
    """
    pipeline = np.asarray(table["flag_sp"], np.int64)
    return (pipeline & FLAG_SP.value("REDUCTION_ISSUE") > 0).astype(np.int64), pipeline
