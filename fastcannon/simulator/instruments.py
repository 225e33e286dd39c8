"""The two spectrographs: grids, resolution, line lists, and what they count.

APOGEE: the logarithmic apStar grid in vacuum, three detectors, R = 22,500.
GALAH: four HERMES arms in air, 4096 pixels each on a grid of every exposure's
own, R = 28,000.
"""

from functools import lru_cache

import numpy as np

from ..censors import default_windows
from .lines import BALMER_AIR, BRACKETT_UPPER, brackett_lines, survey_lines
from .synthesis import LIGHT_SPEED, hydrogen_opacity, line_opacity

# data.sdss.org/datamodel, apStar: log10 of the wavelength in Angstrom.
APOGEE_START, APOGEE_STEP, APOGEE_PIXELS = 4.179, 6e-6, 8575
APOGEE_RESOLUTION = 22500.0
APOGEE_PIXEL = LIGHT_SPEED * np.log(10.0) * APOGEE_STEP  # km/s
DETECTORS = ((201, 3320), (3537, 6126), (6295, 8378))  # pixels with light: blue first

GALAH_RESOLUTION = 28000.0
ARM_START = (4713.4, 5648.9, 6478.3, 7585.5)  # Angstrom, air, for a star at rest
ARM_STEP = (0.046012, 0.054685, 0.063135, 0.073560)  # Angstrom
ARM_PIXELS = 4096
ARM_MARGIN = 16.0  # Angstrom beyond an arm where spectra of fast stars reach
ARM_GRID = 2.0  # km/s, step of the model on which the star's own grid is laid

# Chosen so that mean absorption and its change with the labels are near those of
# a real forward model (tests/test_simulator_lines.py).
APOGEE_LINES = {
    "spacing": 40.0,
    "excitation": (1.0, 6.5),
    "ionised": 0.2,
    "strength": (-1.2, 0.9, 2.0),
    "window_strength": (0.0, 0.4),
}
GALAH_LINES = {
    "excitation": (0.0, 5.0),
    "ionised": 0.15,
    "strength": (-1.2, 0.9, 2.5),
    "window_strength": (0.0, 0.4),
}
BALMER_STRENGTH, BRACKETT_STRENGTH = 4.7, 0.06  # see hydrogen_opacity
GALAH_SPACING = (17.0, 38.0, 60.0, 85.0)  # km/s between lines, by arm


def apogee_wavelength():
    """Return the apStar grid (8575,) in Angstrom, vacuum."""
    return 10.0 ** (APOGEE_START + APOGEE_STEP * np.arange(APOGEE_PIXELS))


@lru_cache(maxsize=1)
def arm_grids():
    """Return the logarithmic grids on which the models of the arms are computed.

    A list of four arrays in Angstrom, air, ARM_GRID km/s apart.
    """
    grids = []
    for start, step in zip(ARM_START, ARM_STEP, strict=True):
        low, high = start - ARM_MARGIN, start + step * ARM_PIXELS + ARM_MARGIN
        size = int(np.log(high / low) * LIGHT_SPEED / ARM_GRID) + 1
        grids.append(low * np.exp(np.arange(size) * ARM_GRID / LIGHT_SPEED))
    return grids


@lru_cache(maxsize=1)
def apogee_lines():
    """Return the line list of the H band, vacuum."""
    wavelength = apogee_wavelength()
    regions = [(wavelength[a], wavelength[b]) for a, b in DETECTORS]
    return survey_lines(default_windows("apogee"), regions, APOGEE_LINES, seed=2)


@lru_cache(maxsize=1)
def galah_lines():
    """Return the line lists of the four arms, air."""
    windows = default_windows("galah")
    lists = []
    for arm, grid in enumerate(arm_grids()):
        inside = (windows["start"] > grid[0]) & (windows["end"] < grid[-1])
        settings = GALAH_LINES | {"spacing": GALAH_SPACING[arm]}
        region = [(grid[0], grid[-1])]
        lists.append(survey_lines(windows[inside], region, settings, seed=10 + arm))
    return lists


def apogee_flux(stars):
    """Return the normalised flux (S, 8575) of stars on the apStar grid, float32.

    Parameters
    ----------
    stars : table or mapping of (S,) arrays
        teff (K), logg, fe_h, alpha_fe, mg_fe (dex), vmicro, vbroad (km/s).
    """
    grid = apogee_wavelength()
    opacity = line_opacity(stars, grid, apogee_lines(), APOGEE_RESOLUTION)
    strength = BRACKETT_STRENGTH * (11.0 / np.array(BRACKETT_UPPER)) ** 2
    opacity += hydrogen_opacity(stars, grid, brackett_lines(), strength, 200.0)
    return np.exp(-opacity)


def galah_flux(stars):
    """Return the normalised flux of stars on arm_grids(): four (S, P), float32.

    Parameters
    ----------
    stars : table or mapping of (S,) arrays
        As for apogee_flux.
    """
    arms = []
    for grid, lines in zip(arm_grids(), galah_lines(), strict=True):
        opacity = line_opacity(stars, grid, lines, GALAH_RESOLUTION)
        centres = [c for c in BALMER_AIR if grid[0] < c < grid[-1]]
        strength = [BALMER_STRENGTH] * len(centres)
        opacity += hydrogen_opacity(stars, grid, centres, strength, 60.0)
        arms.append(np.exp(-opacity))
    return arms


def sample(flux, grid, wavelength):
    """Read a model at other wavelengths, by cubic interpolation.

    Parameters
    ----------
    flux : (P,) array
    grid : (P,) array, Angstrom
        Logarithmic, ARM_GRID km/s apart.
    wavelength : (Q,) array, Angstrom
        Beyond the grid's ends the outermost values are continued.
    """
    place = np.log(wavelength / grid[0]) * (LIGHT_SPEED / ARM_GRID)
    place = np.clip(place, 1.0, len(grid) - 2.001)
    left = place.astype(np.intp)
    x = place - left
    # Lagrange's weights of the points at -1, 0, 1, 2.
    return (
        flux[left - 1] * (-x * (x - 1.0) * (x - 2.0) / 6.0)
        + flux[left] * ((x * x - 1.0) * (x - 2.0) / 2.0)
        + flux[left + 1] * (-x * (x + 1.0) * (x - 2.0) / 2.0)
        + flux[left + 2] * (x * (x * x - 1.0) / 6.0)
    )


def electrons_for(snr, background):
    """Return the electrons per pixel that give a signal-to-noise ratio.

    snr = n / sqrt(n + background), solved for n.

    Parameters
    ----------
    snr : float or array
    background : float
        Variance of sky and read-out, electrons squared.
    """
    squared = np.square(snr, dtype=float)
    return 0.5 * (squared + np.sqrt(squared * squared + 4.0 * squared * background))


def dimmed(snr, level, background):
    """Return the signal-to-noise ratio that a part of the light would have given.

    Parameters
    ----------
    snr : (S,) array
    level : float
        Part of the light, 0 to 1.
    background : float
        Variance of sky and read-out, electrons squared.
    """
    electrons = level * electrons_for(snr, background)
    return electrons / np.sqrt(electrons + background)


def count(expected, background, rng):
    """Draw the electrons counted and the error a pipeline would state for them.

    Parameters
    ----------
    expected : array
        Electrons of the star without noise.
    background : array or float
        Variance of sky and read-out, electrons squared.
    rng : numpy Generator

    Returns
    -------
    counted, error : float32 arrays
        The error is that of the noisy counts, as the true ones are not known.
    """
    noise = rng.standard_normal(expected.shape, np.float32)
    noise *= np.sqrt(expected + background, dtype=np.float32)
    counted = expected.astype(np.float32) + noise
    error = np.sqrt(np.maximum(counted, 0.0) + background, dtype=np.float32)
    return counted, error


def scattered(size, share, rng, longest=1):
    """Mark pixels in runs at random: a bool array (size,).

    Parameters
    ----------
    size : int
    share : float
        Expected share of marked pixels.
    rng : numpy Generator
    longest : int
        Runs are 1 to ``longest`` pixels long.
    """
    mean = 0.5 * (1 + longest)
    marked = np.zeros(size + longest, bool)
    for start in rng.integers(0, size, rng.poisson(share * size / mean)):
        marked[start : start + rng.integers(1, longest + 1)] = True
    return marked[:size]
