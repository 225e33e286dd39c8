"""Real spectra and a real published model, where the test data are at hand."""

import gzip
import os
from pathlib import Path

import numpy as np

from fastcannon import CannonModel, continuum, surveys
from fastcannon.checks import percentile_scaling
from fastcannon.normalise import Normaliser, continuum_pixels
from fastcannon.surveys import apogee
from fastcannon.terms import Terms

NAMES = ("teff", "logg", "fe_h", "alpha_fe")

DETECTORS = (slice(322, 3242), slice(3648, 6048), slice(6412, 8306))  # Bovy's pixels


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
    labels = np.array(rows, dtype=float)
    # published for labels without a scale; ours is the percentile range
    _, scales = percentile_scaling(labels, NAMES)
    powers = Terms.complete(NAMES, 2).exponents
    return CannonModel.from_coefficients(
        NAMES,
        theta * np.prod(scales**powers, axis=1),
        scatter**2,
        baseline,
        scales,
        wavelength=apogee.WAVELENGTH[pixels],
        training_labels=labels,
    )


def apstar_spectra(folder, model, order=4, **choice):
    """Combined rows of the two apStar files, normalised: names, flux, ivar.

    The settings are the package's own, but for ``order`` and ``choice`` (share and
    stretches), which a test of their neighbourhood varies.
    """
    paths = sorted((folder / "apogee").glob("apStar-*.fits"))
    spectra = surveys.read("apogee", paths)
    pixels = np.searchsorted(spectra.wavelength, model.wavelength)
    chosen = continuum_pixels(model, apogee.REGIONS, **choice)
    normaliser = Normaliser(model.wavelength, chosen, apogee.REGIONS, order)
    flux, ivar = normaliser.apply(spectra.flux[:, pixels], spectra.ivar[:, pixels])
    return [path.stem for path in paths], flux, ivar


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
