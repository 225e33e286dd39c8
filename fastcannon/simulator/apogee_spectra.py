"""What APOGEE's pipeline makes of a star: visits with defects, and their mean.

Bits of the pixel mask are those of APOGEE_PIXMASK (surveys/bitmasks.py).
"""

from functools import cache

import numpy as np

from ..surveys.bitmasks import APOGEE_PIXMASK
from .instruments import (
    APOGEE_PIXEL,
    APOGEE_PIXELS,
    DETECTORS,
    apogee_wavelength,
    count,
    electrons_for,
    scattered,
)

BADPIX, CRPIX, BADDARK, BADFLAT, NOSKY, LITTROW_GHOST = map(
    APOGEE_PIXMASK.value,
    ("BADPIX", "CRPIX", "BADDARK", "BADFLAT", "NOSKY", "LITTROW_GHOST"),
)
PERSIST_HIGH, PERSIST_MED, PERSIST_LOW = map(  # in STARFLAG too
    APOGEE_PIXMASK.value, ("PERSIST_HIGH", "PERSIST_MED", "PERSIST_LOW")
)
SIG_SKYLINE, SIG_TELLURIC = map(APOGEE_PIXMASK.value, ("SIG_SKYLINE", "SIG_TELLURIC"))

READ_VARIANCE = 150.0  # electrons squared
BAD_ERROR = 1e13  # times the error, in pixels without information
BESIDE_ERROR = 1e5  # times the error, beside them
EDGE_PIXELS = 10  # bad ones at the ends of each detector
GHOST = slice(4389, 4445)
BAD_FIBRE_LEVEL, STRAY_LIGHT = 0.05, 0.2  # of the continuum; of the fibre's own light
# Light of an earlier exposure over the continuum, least and most, by flag.
PERSISTENCE = (
    (PERSIST_HIGH, 0.1, 0.4),
    (PERSIST_MED, 0.04, 0.1),
    (PERSIST_LOW, 0.01, 0.04),
)
H_ZERO = 1.133e7  # flux at H = 0, 1e-17 erg/s/cm^2/Angstrom


def _light():
    """Return a bool array (8575,): pixels on a detector."""
    light = np.zeros(APOGEE_PIXELS, bool)
    for start, stop in DETECTORS:
        light[start:stop] = True
    return light


LIGHT = _light()


@cache
def _sky_and_water():
    """Return pixels of sky lines (70,), and which (8575,) absorption by water has.

    Fixed, not real ones.
    """
    rng = np.random.default_rng(3)
    lines = np.sort(rng.choice(APOGEE_PIXELS, 70, replace=False))
    return lines, scattered(APOGEE_PIXELS, 0.09, rng, longest=30)


def observe_visit(clean, visit, h_magnitude, rng):
    """Observe a star once.

    Parameters
    ----------
    clean : (8575,) float32 array
        Normalised flux without noise.
    visit : record
        snr, vhelio, bc (km/s), flag (STARFLAG), bad_fibre, persistence.
    h_magnitude : float
    rng : numpy Generator

    Returns
    -------
    flux, error : (8575,) float32 arrays, 1e-17 erg/s/cm^2/Angstrom
        0 between the detectors.
    mask : (8575,) int16 array
    """
    # Stars are moved to rest by a velocity that is not quite theirs.
    shift = rng.normal(0.0, 0.03 + 5.0 / max(visit["snr"], 10.0)) / APOGEE_PIXEL
    shifted = clean + np.float32(shift) * np.gradient(clean)
    continuum = _continuum(h_magnitude, visit["bad_fibre"], rng)
    electrons = electrons_for(visit["snr"], READ_VARIANCE) * _blaze()
    drift = round((visit["bc"] - visit["vhelio"]) / APOGEE_PIXEL)
    mask, background = _sky(electrons, drift)
    if visit["bad_fibre"]:
        shifted = (shifted + STRAY_LIGHT) / (1.0 + STRAY_LIGHT)
    expected = electrons * shifted
    if visit["persistence"]:
        _persist(expected, electrons, mask, visit["flag"], rng)
    expected[GHOST] += 0.02 * electrons[GHOST]
    mask[GHOST] |= LITTROW_GHOST
    counted, error = count(expected, background, rng)
    hit = _hit(counted, electrons, mask, rng)
    error *= _spoil(hit, mask, rng)
    scale = (continuum / electrons).astype(np.float32)
    flux, error = counted * scale, error * scale
    flux[~LIGHT] = error[~LIGHT] = mask[~LIGHT] = 0
    return flux, error, mask


def _blaze():
    """Return the relative number of electrons (8575,): fewer at detectors' ends."""
    blaze = np.ones(APOGEE_PIXELS)
    for start, stop in DETECTORS:
        x = np.linspace(-1.0, 1.0, stop - start)
        blaze[start:stop] = 1.1 - 0.35 * x**2
    return blaze


def _continuum(h_magnitude, bad_fibre, rng):
    """Return a continuum (8575,): the star's slope and errors of calibration."""
    wavelength = apogee_wavelength()
    level = H_ZERO * 10.0 ** (-0.4 * h_magnitude)
    continuum = level * (wavelength / 16000.0) ** -3.0
    if bad_fibre:
        continuum *= BAD_FIBRE_LEVEL
    for start, stop in DETECTORS:
        x = np.linspace(-1.0, 1.0, stop - start)
        a, b, c = rng.normal(0.0, (0.01, 0.02, 0.02))
        continuum[start:stop] *= 1.0 + a + b * x + c * x**2
    return continuum


def _sky(electrons, drift):
    """Return the mask and the background's variance (8575,), with lines of the sky.

    They move by ``drift`` pixels in the star's frame of rest.
    """
    mask = np.zeros(APOGEE_PIXELS, np.int16)
    background = np.full(APOGEE_PIXELS, READ_VARIANCE)
    sky_lines, water = _sky_and_water()
    for offset in (-1, 0, 1):
        lines = np.clip(sky_lines + drift + offset, 0, APOGEE_PIXELS - 1)
        mask[lines] |= SIG_SKYLINE
        background[lines] += 50.0 * electrons[lines]
    water = np.roll(water, drift)
    mask[water] |= SIG_TELLURIC
    background[water] += electrons[water]
    return mask, background


def _persist(expected, electrons, mask, flag, rng):
    """Add light of an earlier exposure on the blue detector. Changes the arrays."""
    start, stop = DETECTORS[0]
    bit, least, most = next(entry for entry in PERSISTENCE if flag & entry[0])
    ramp = np.linspace(1.0, 0.5, stop - start) * rng.uniform(least, most)
    expected[start:stop] += ramp * electrons[start:stop]
    mask[start:stop] |= bit


def _hit(counted, electrons, mask, rng):
    """Let cosmic rays strike; return those found, (8575,). Changes counted and mask."""
    for share, found in ((1e-3, True), (1e-4, False)):
        hit = scattered(APOGEE_PIXELS, share, rng, longest=2)
        strength = rng.exponential(1.0, np.count_nonzero(hit))
        counted[hit] += strength * electrons[hit]
        if found:
            mask[hit] |= CRPIX
    return mask & CRPIX != 0


def _spoil(hit, mask, rng):
    """Mark bad pixels; their neighbours have large errors only. Changes mask.

    Returns what errors are multiplied by, (8575,): once, also in pixels that
    cosmic rays hit.
    """
    bad = scattered(APOGEE_PIXELS, 0.008, rng, longest=8)
    beside = np.roll(bad, 2) | np.roll(bad, -2)
    kind = rng.choice([BADPIX, BADPIX | BADDARK, BADPIX | BADFLAT], APOGEE_PIXELS)
    mask[bad] |= kind[bad].astype(np.int16)
    for start, stop in DETECTORS:
        for edge in (slice(start, start + EDGE_PIXELS), slice(stop - 3, stop)):
            bad[edge] = True
            mask[edge] |= BADPIX | NOSKY
    green = slice(*DETECTORS[1])
    low = rng.random(green.stop - green.start) < 0.15
    mask[green][low] |= PERSIST_LOW
    factor = np.where(beside, BESIDE_ERROR, 1.0)
    factor[bad | hit] = BAD_ERROR
    return factor.astype(np.float32)


def combine(flux, error, mask, snr):
    """Combine visits as apStar files do.

    Parameters
    ----------
    flux, error : (V, 8575) float32 arrays
    mask : (V, 8575) int16 array
    snr : (V,) array

    Returns
    -------
    flux, error : (2, 8575) float32 arrays
        NaN between the detectors. First row: mean weighted by pixel; second:
        weighted by visit, or all 0 where there is one visit only.
    mask : (2, 8575) int16 array
        The bits that every visit has; 0 in the second row.
    """
    mean = np.zeros((2, APOGEE_PIXELS), np.float32)
    sigma = np.zeros_like(mean)
    bits = np.zeros((2, APOGEE_PIXELS), np.int16)
    wide = error.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = 1.0 / wide**2
        total = weight.sum(axis=0)
        mean[0] = (weight * flux).sum(axis=0) / total
        sigma[0] = 1.0 / np.sqrt(total)
    bits[0] = np.bitwise_and.reduce(mask, axis=0)
    if len(flux) > 1:
        share = (np.asarray(snr, float) ** 2 / np.sum(np.square(snr, dtype=float)))[
            :, None
        ]
        mean[1] = (share * flux).sum(axis=0)
        capped = np.minimum(wide, 2.0 * np.abs(flux))
        sigma[1] = np.sqrt((share**2 * capped**2).sum(axis=0))
        mean[1, ~LIGHT] = sigma[1, ~LIGHT] = np.nan
    mean[0, ~LIGHT] = sigma[0, ~LIGHT] = np.nan
    return mean, sigma, bits


def signal_to_noise(flux, error):
    """Return the median of flux / error (8575,) over pixels with light."""
    return float(np.median(flux[LIGHT] / error[LIGHT]))
