"""What GALAH's pipeline makes of a star: counts and normalised flux of four arms."""

from typing import NamedTuple

import numpy as np

from .instruments import (
    ARM_PIXELS,
    ARM_START,
    ARM_STEP,
    arm_grids,
    count,
    electrons_for,
    sample,
    scattered,
)
from .synthesis import LIGHT_SPEED

READ_VARIANCE = 60.0  # electrons squared
BAD_FIBRE_LEVEL, STRAY_LIGHT = 0.1, 0.2  # of the counts; of the fibre's own light
LENGTHS, LENGTH_SHARES = (ARM_PIXELS, 4097, 4112), (0.95, 0.04, 0.01)
OXYGEN = (7593.0, 7690.0)  # band in the Earth's atmosphere, Angstrom, air


class Arm(NamedTuple):
    """One arm of one exposure.

    ``start`` and ``step`` (Angstrom, air) are of the observed wavelengths, which
    were moved by ``barycentric`` (km/s), with ``rest_`` in front those that the
    pipeline takes for the star's frame; the rest are (P,) arrays: counts without and
    with sky, their errors over themselves, and the flux over a continuum fitted to it.
    """

    barycentric: float
    start: float
    step: float
    rest_start: float
    rest_step: float
    counts: np.ndarray
    sigma: np.ndarray
    with_sky: np.ndarray
    with_sky_sigma: np.ndarray
    normalised: np.ndarray


def observe(clean, row, rng):
    """Observe a star's four arms.

    Parameters
    ----------
    clean : list of 4 arrays
        Normalised flux on arm_grids(), without noise.
    row : mapping
        snr_c1_iraf ... snr_c4_iraf, rv, rv_galah (km/s: the star's and the one that
        the pipeline found), missing_arm (0: none), bad_fibre.
    rng : numpy Generator

    Returns
    -------
    dict of int to Arm
        By number, 1 to 4, without the missing one.
    """
    length = rng.choice(LENGTHS, p=LENGTH_SHARES)
    barycentric = rng.uniform(-25.0, 25.0)
    # The grids are those of the detector, moved to the barycentre; stars are then
    # moved to rest by a velocity that is not quite theirs.
    stretch = 1.0 + barycentric / LIGHT_SPEED
    emitted = 1.0 / (1.0 + row["rv"] / LIGHT_SPEED)
    rest = 1.0 / (1.0 + row["rv_galah"] / LIGHT_SPEED)
    arms = {}
    for i, grid in enumerate(arm_grids()):
        if i + 1 == row["missing_arm"]:
            continue
        start = (ARM_START[i] + rng.normal(0.0, 0.1)) * stretch
        step = ARM_STEP[i] * stretch + rng.normal(0.0, 2e-5)
        observed = start + step * np.arange(length)
        flux = sample(clean[i], grid, observed * emitted)
        measured = _measure(flux, observed, row[f"snr_c{i + 1}_iraf"], row, rng)
        grids = (start, step, start * rest, step * rest)
        arms[i + 1] = Arm(barycentric, *grids, *measured)
    return arms


def _measure(flux, observed, snr, row, rng):
    """Return counts, their relative errors (with and without sky), and normalised.

    Parameters
    ----------
    flux : (P,) array
        Normalised, without noise.
    observed : (P,) array, Angstrom
    snr : float
    row : mapping with bad_fibre
    rng : numpy Generator
    """
    continuum = electrons_for(snr, READ_VARIANCE) * _shape(len(flux), rng)
    if row["bad_fibre"]:
        flux = (flux + STRAY_LIGHT) / (1.0 + STRAY_LIGHT)
    background = np.full(len(flux), READ_VARIANCE)
    oxygen = (observed > OXYGEN[0]) & (observed < OXYGEN[1])
    background[oxygen] += continuum[oxygen]
    sky = 0.3 * background
    counted, error = count(continuum * flux, background, rng)
    for share, found in ((5e-4, True), (1e-4, False)):
        hit = scattered(len(flux), share, rng, longest=2)
        counted[hit] += (rng.exponential(1.0, hit.sum()) * continuum[hit]).astype("f4")
        if found:
            error[hit] += 3.0 * np.abs(counted[hit])
    counted[counted == 0.0] = np.float32(1e-3)
    sigma = error / counted
    sigma[scattered(len(flux), 2e-4, rng)] = 0.0
    with_sky = counted + sky.astype(np.float32)
    fitted = continuum * _misfit(len(flux), snr, rng)
    return counted, sigma, with_sky, error / with_sky, counted / fitted


def _shape(size, rng):
    """Return the run of counts along an arm (size,): fewer at its ends."""
    x = np.linspace(-1.0, 1.0, size)
    tilt, bend = rng.normal(0.0, 0.1), rng.normal(0.4, 0.05)
    return (1.0 + tilt * x) * (1.15 - bend * x**2)


def _misfit(size, snr, rng):
    """Return the fitted continuum over the true one (size,): slow waves about 1."""
    x = np.linspace(-1.0, 1.0, size)
    scale = 0.002 + 0.03 / snr
    waves = np.polynomial.legendre.legval(x, rng.normal(0.0, scale, 5))
    return 1.0 + waves
