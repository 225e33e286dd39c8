"""GALAH DR3 spectra in the survey's layout: one file of five HDUs per arm.

Described at docs.datacentral.org.au/galah; HDU 0 flux, 1 its relative error,
2 and 3 the same before the sky was taken away, 4 normalised flux on rest-frame
wavelengths of its own.
"""

import os

import numpy as np

from .fitsbytes import image, write

NAMES = ("input_sigma", "no_sky_subspectrum", "no_sky_sigma", "normalised spectra")
NAMELESS_SHARE = 0.03  # of the spectra, whose extensions have an empty EXTNAME


def arm_path(folder, sobject_id, arm):
    """Return the path of an arm's file below the survey's folder of spectra.

    Parameters
    ----------
    folder : str or Path
    sobject_id : int
    arm : int
        1 to 4.
    """
    return os.path.join(folder, str(sobject_id)[:6], f"{sobject_id}{arm}.fits")


def write_spectrum(folder, row, arms, rng):
    """Write the files of one spectrum, one for each arm.

    Parameters
    ----------
    folder : str or Path
    row : mapping
        sobject_id, ra, dec (deg).
    arms : dict of int to galah_spectra.Arm
        By number, 1 to 4.
    rng : numpy Generator
    """
    names = ("",) * 4 if rng.random() < NAMELESS_SHARE else NAMES
    for number, arm in arms.items():
        path = arm_path(folder, row["sobject_id"], number)
        write(path, _hdus(arm, _cards(row, arm), names))


def _hdus(arm, cards, names):
    """Yield the five HDUs of an arm."""
    yield image(arm.counts.astype(np.float32), cards, primary=True)
    errors_and_sky = (arm.sigma, arm.with_sky, arm.with_sky_sigma)
    for array, name in zip(errors_and_sky, names[:3], strict=True):
        yield image(array.astype(np.float32), [*_grid(arm), ("EXTNAME", name)])
    grid = [
        ("CRPIX1", 1.0),
        ("CRVAL1", arm.rest_start),
        ("CDELT1", arm.rest_step),
        ("CUNIT1", "Angstroms"),
        ("EXTNAME", names[3]),
    ]
    yield image(arm.normalised.astype(np.float64), grid)


def _grid(arm):
    """Return the entries of the observed wavelengths."""
    return [
        ("CTYPE1", "LINEAR"),
        ("CRVAL1", arm.start),
        ("CDELT1", arm.step),
        ("CRPIX1", 1.0),
        ("CUNIT1", "Angstroms"),
        ("CTYPE2", "Wavelength"),
    ]


def _cards(row, arm):
    """Return the entries of the primary header."""
    name = str(row["sobject_id"])
    date = f"20{name[:2]}-{name[2:4]}-{name[4:6]}"
    midnight = np.datetime64(date) - np.datetime64("1858-11-17")
    return [
        ("ORIGIN", "GALAH DR3", "FITS file originator"),
        ("OBJECT", name, "Name of the object observed"),
        ("TELESCOP", "Anglo-Australian Telescope", "Telescope Name"),
        ("INSTRUME", "HERMES-2dF", "Instrument in use"),
        ("TOTALEXP", 3600.0, "Total exposure (seconds)"),
        ("UTDATE", date.replace("-", ":"), "UT date"),
        ("UTMJD", midnight.astype(float), "Modified Julian Date (UTC)"),
        ("MEANRA", float(row["ra"])),
        ("MEANDEC", float(row["dec"])),
        ("NCOMBINE", 3),
        ("PIPE_VER", 5.3),
        ("BARYEFF", arm.barycentric),
        ("W_RMS", 0.02),
        ("HISTORY", "simulated by fastcannon"),
        *_grid(arm),
    ]
