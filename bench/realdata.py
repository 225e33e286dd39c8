"""Real spectra and a real published model, where the test data are at hand."""

import gzip
import os
from pathlib import Path

import numpy as np

from fastcannon import CannonModel, continuum

DETECTORS = (slice(322, 3242), slice(3648, 6048), slice(6412, 8306))  # Bovy's pixels
APOGEE_WAVELENGTH = 10 ** (4.179 + 6e-6 * np.arange(8575))
BAD_BITS = sum(1 << bit for bit in (0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14))  # PIXMASK
ERROR_FLOOR = 0.005


def data_folder():
    """The folder of test data, or None."""
    given = os.environ.get("FASTCANNON_TEST_DATA")
    folder = Path(given or Path(__file__).parents[2] / "shared" / "data")
    return folder if folder.is_dir() else None


def bovy_model(folder):
    """Bovy's Cannon of APOGEE giants, K = 4, 7214 pixels, with its training labels."""
    stem = str(folder / "apogee_cannon_bovy" / "trained_apokasc_gc_ind_feh_fix")
    theta = np.loadtxt(f"{stem}.txt.gz").T
    scatter = np.loadtxt(f"{stem}_scatter.txt.gz")
    baseline = np.loadtxt(f"{stem}_baseline_labels.txt.gz")
    table = folder / "apogee_cannon_bovy" / "training_apokasc_gc_ind_feh_fix.txt.gz"
    with gzip.open(table, "rt") as lines:
        rows = [line.replace(",", " ").split()[1:5] for line in lines]
    pixels = np.concatenate([np.arange(8575)[part] for part in DETECTORS])
    return CannonModel.from_coefficients(
        ("teff", "logg", "fe_h", "alpha_fe"),
        theta,
        scatter**2,
        baseline,
        np.ones(4),
        wavelength=APOGEE_WAVELENGTH[pixels],
        training_labels=np.array(rows, dtype=float),
    )


def apstar_spectra(folder, model):
    """Combined rows of the two apStar files, normalised: names, flux, ivar.

    Continuum: Chebyshev polynomials of order 4 per detector on pixels where the model's
    flux is within 3 % of 1 and hardly changes with any label.
    """
    import fitsio

    pixels = np.searchsorted(APOGEE_WAVELENGTH, model.wavelength)
    extent = np.ptp(model.hull, axis=1) * model.scales
    slope = abs(model.theta[:, 1:5] * extent / model.scales).max(axis=1)
    flat = (abs(model.theta[:, 0] - 1) < 0.03) & (slope < 0.05) & (model.s2 < 4e-4)
    regions = [
        (APOGEE_WAVELENGTH[part][0], APOGEE_WAVELENGTH[part][-1]) for part in DETECTORS
    ]
    names, fluxes, ivars = [], [], []
    for path in sorted((folder / "apogee").glob("apStar-*.fits")):
        flux, error, mask = (fitsio.read(path, ext=i)[0][pixels] for i in (1, 2, 3))
        good = np.isfinite(flux) & (error > 0) & (mask & BAD_BITS == 0)
        ivar = np.where(good, 1.0 / np.where(good, error, 1.0) ** 2, 0.0)
        flux, ivar = continuum.chebyshev(
            model.wavelength, np.where(good, flux, 0.0), ivar, flat, regions, order=4
        )
        names.append(path.stem)
        fluxes.append(flux)
        ivars.append(np.minimum(ivar, 1.0 / ERROR_FLOOR**2))
    return names, np.array(fluxes), np.array(ivars)


def miles_spectra(folder):
    """MILES stars of 4000-7000 K above 4200 A: labels, flux, ivar, wavelength."""
    with np.load(folder / "miles" / "miles.npz") as miles:
        found = {name: miles[name] for name in miles.files}
    teff, logg, fe_h = found["teff"], found["logg"], found["fe_h"]
    stars = (teff > 4000) & (teff < 7000) & (fe_h > -1.5) & (fe_h < 0.6) & (logg < 5.2)
    flux = found["flux"][stars]
    ivar = np.where(flux > 0, 1e4, 0.0)
    flux, ivar = continuum.smooth(found["wavelength"], flux, ivar, 50.0)
    red = found["wavelength"] > 4200
    labels = np.column_stack([teff, logg, fe_h])[stars]
    return labels, flux[:, red], ivar[:, red], found["wavelength"][red]
