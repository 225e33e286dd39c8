"""A quick sample of stars with normalised spectra on one short grid.

For tests, trials and small demonstrations; whole surveys with their files are
made by survey.simulate.
"""

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from ..errors import InputError
from .lines import draw_lines
from .synthesis import LIGHT_SPEED, model_flux


@dataclass(frozen=True)
class Simulation:
    """Simulated stars with their spectra.

    Attributes
    ----------
    stars : astropy Table
        id, teff (K), logg, fe_h, alpha_fe, mg_fe (dex), vmicro, vbroad (km/s) and
        snr (per pixel) of S stars.
    wavelength : (P,) array, Angstrom
    flux, ivar : (S, P) float32 arrays
        Continuum-normalised flux and its inverse variance (0: bad pixel).
    """

    stars: Table
    wavelength: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray


def simulate_spectra(n_stars, n_pixels=2000, seed=0, snr=(30.0, 200.0)):
    """Simulate the normalised spectra of a survey's stars, with noise.

    The grid and the lines do not depend on the seed, so that two calls give two
    samples of one survey.

    Parameters
    ----------
    n_stars, n_pixels : int
        S and P.
    seed : int
        Of the stars and the noise.
    snr : (float, float)
        Range of the signal-to-noise ratio per pixel in the continuum; the
        stars are drawn uniformly in its logarithm.

    Returns
    -------
    Simulation

    Raises
    ------
    InputError
        Fewer than one star, fewer than two pixels or an impossible snr.
    """
    if n_stars < 1 or n_pixels < 2:
        raise InputError(
            f"a simulation needs at least 1 star and 2 pixels, not {n_stars} and "
            f"{n_pixels}"
        )
    if not 0 < snr[0] <= snr[1] < np.inf:
        raise InputError(f"snr must be (low, high) with 0 < low <= high, not {snr}")
    rng = np.random.default_rng(seed)
    wavelength = wavelength_grid(n_pixels)
    stars = draw_stars(n_stars, rng)
    stars["snr"] = np.exp(rng.uniform(*np.log(snr), n_stars))
    clean = model_flux(stars, wavelength, draw_lines(wavelength))
    flux, ivar = add_noise(clean, stars["snr"], rng)
    return Simulation(stars, wavelength, flux, ivar)


def wavelength_grid(n_pixels, start=5000.0, step=5.0):
    """Return wavelengths (P,) in Angstrom, from ``start``, ``step`` km/s apart."""
    return start * np.exp(np.arange(n_pixels) * step / LIGHT_SPEED)


def draw_stars(n_stars, rng):
    """Draw dwarfs, subgiants and giants of a thin and a thick disc.

    Parameters
    ----------
    n_stars : int
    rng : numpy Generator

    Returns
    -------
    astropy Table of id, teff (K), logg, fe_h, alpha_fe, mg_fe (dex), vmicro,
    vbroad (km/s)
    """
    thick = rng.random(n_stars) < 0.25
    fe_h = np.where(
        thick, rng.normal(-0.55, 0.25, n_stars), rng.normal(-0.08, 0.2, n_stars)
    )
    fe_h = np.clip(fe_h, -1.5, 0.5)
    alpha_fe = np.where(thick, 0.22, 0.02) - 0.1 * fe_h
    alpha_fe += rng.normal(0.0, 0.025, n_stars)
    teff, logg = _draw_kiel(fe_h, rng)
    stars = Table()
    stars["id"] = [f"sim-{i:07d}" for i in range(n_stars)]
    stars["teff"], stars["logg"] = teff, logg
    stars["fe_h"], stars["alpha_fe"], stars["mg_fe"] = fe_h, alpha_fe, alpha_fe
    stars["vmicro"] = np.maximum(1.1 + 2e-4 * (teff - 5500.0) - 0.2 * (logg - 4.0), 0.5)
    stars["vbroad"] = 4.0 + 8.0e-6 * np.maximum(teff - 5500.0, 0.0) ** 2
    stars["teff"].unit = "K"
    stars["vmicro"].unit = stars["vbroad"].unit = "km/s"
    return stars


def _draw_kiel(fe_h, rng):
    """Draw (teff, logg) along the main sequence, subgiant and giant branches.

    Given fe_h (S,) in dex; returns two arrays (S,), K and dex.
    """
    n_stars = len(fe_h)
    kind = rng.choice(["dwarf", "subgiant", "giant", "clump"], n_stars, p=KIEL_SHARES)
    teff = rng.uniform(4400.0, 6600.0, n_stars)
    logg = 4.66 - 1.2e-4 * (teff - 4400.0) - np.abs(rng.normal(0.0, 0.1, n_stars))

    subgiant = kind == "subgiant"
    teff = np.where(subgiant, rng.uniform(5000.0, 6300.0, n_stars), teff)
    age = rng.uniform(-0.15, 0.15, n_stars)
    logg = np.where(subgiant, 3.75 + 2.5e-4 * (teff - 5700.0) + age, logg)

    giant = (kind == "giant") | (kind == "clump")
    branch = np.where(
        kind == "clump",
        rng.normal(2.45, 0.08, n_stars),
        4.0 - 3.2 * np.sqrt(rng.random(n_stars)),
    )
    logg = np.where(giant, branch, logg)
    on_branch = 4700.0 + 320.0 * (logg - 2.4) - 280.0 * fe_h
    on_branch += rng.normal(0.0, 60.0, n_stars)
    return np.where(giant, on_branch, teff), logg


KIEL_SHARES = (0.45, 0.1, 0.3, 0.15)  # dwarf, subgiant, giant branch, red clump


def add_noise(clean, snr, rng, bad_share=0.005):
    """Add photon noise and bad pixels to spectra.

    Parameters
    ----------
    clean : (S, P) array
        Normalised flux without noise, positive.
    snr : (S,) array
        Signal-to-noise ratio per pixel in the continuum.
    rng : numpy Generator
    bad_share : float
        Share of the pixels hit by a cosmic ray; their ivar is 0.

    Returns
    -------
    flux, ivar : (S, P) float32 arrays
    """
    # The variance is that of the true flux: one estimated from the noisy flux
    # would bias weighted fits.
    sigma = np.sqrt(clean) / np.asarray(snr, dtype=float)[:, None]
    flux = clean + sigma * rng.standard_normal(clean.shape)
    ivar = sigma**-2
    bad = rng.random(clean.shape) < bad_share
    flux[bad] += rng.exponential(1.0, np.count_nonzero(bad))
    ivar[bad] = 0.0
    return flux.astype(np.float32), ivar.astype(np.float32)
