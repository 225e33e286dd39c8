"""Simulated stars and spectra, from a list of absorption lines.

A small physical model, not a polynomial in the labels: the opacity at the
centre of a line follows Boltzmann and Saha, its equivalent width a curve of
growth, its width the Doppler effect, gravity-dependent pressure broadening and
the resolution of the instrument. It is meant to be plausible, quick and the
same for every caller; its lines are drawn at random and are no real ones.

References
----------
Gray, The Observation and Analysis of Stellar Photospheres, ch. 8, 9, 11, 13
(H- opacity, electron pressure, damping); Draine, Physics of the Interstellar
and Intergalactic Medium, eq. 9.27 (curve of growth); Thompson, Cox & Hastings
1987, J. Appl. Cryst. 20, 79 (line profile).
"""

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from .errors import InputError

LIGHT_SPEED = 299792.458  # km/s
SUN = {"teff": 5772.0, "logg": 4.438, "fe_h": 0.0, "alpha_fe": 0.0}

# Name, share of the lines, atomic mass, ionisation potential (eV), alpha element.
ELEMENTS = (
    ("Fe", 0.50, 55.85, 7.90, False),
    ("Ti", 0.13, 47.87, 6.83, True),
    ("Ni", 0.10, 58.69, 7.64, False),
    ("Cr", 0.09, 52.00, 6.77, False),
    ("Ca", 0.07, 40.08, 6.11, True),
    ("Si", 0.06, 28.09, 8.15, True),
    ("Mg", 0.05, 24.31, 7.65, True),
)

LINE_DTYPE = [
    ("wavelength", "f8"),  # Angstrom
    ("element", "U2"),
    ("ionised", "?"),  # line of the singly ionised atom
    ("excitation", "f8"),  # of the lower level, eV
    ("strength", "f8"),  # log10 of the optical depth at line centre in the Sun
    ("damping", "f8"),  # Voigt parameter a in the Sun
    ("mass", "f8"),  # atomic mass units
    ("ionisation", "f8"),  # eV
    ("alpha", "?"),  # follows [alpha/Fe]
]


@dataclass(frozen=True)
class Simulation:
    """Simulated stars with their spectra.

    Attributes
    ----------
    stars : astropy Table
        id, teff (K), logg, fe_h, alpha_fe (dex) and snr (per pixel) of S stars.
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


# Stars


def draw_stars(n_stars, rng):
    """Draw dwarfs, subgiants and giants of a thin and a thick disc.

    Parameters
    ----------
    n_stars : int
    rng : numpy Generator

    Returns
    -------
    astropy Table of id, teff (K), logg, fe_h, alpha_fe (dex)
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
    stars["fe_h"], stars["alpha_fe"] = fe_h, alpha_fe
    stars["teff"].unit = "K"
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


# Lines


def draw_lines(wavelength, spacing=8, seed=1):
    """Draw a line list for a grid of wavelengths.

    Parameters
    ----------
    wavelength : (P,) array, Angstrom
    spacing : float
        Mean distance of neighbouring lines in pixels.
    seed : int

    Returns
    -------
    (L,) structured array of LINE_DTYPE
    """
    rng = np.random.default_rng(seed)
    n_lines = int(len(wavelength) / spacing) + 1
    _, shares, masses, potentials, alphas = zip(*ELEMENTS, strict=True)
    kind = rng.choice(len(ELEMENTS), n_lines, p=shares)
    lines = np.zeros(n_lines, LINE_DTYPE)
    lines["wavelength"] = np.sort(rng.uniform(wavelength[0], wavelength[-1], n_lines))
    lines["element"] = np.array([element[0] for element in ELEMENTS])[kind]
    lines["mass"] = np.array(masses)[kind]
    lines["ionisation"] = np.array(potentials)[kind]
    lines["alpha"] = np.array(alphas)[kind]
    lines["ionised"] = rng.random(n_lines) < 0.15
    lines["excitation"] = rng.uniform(0.0, 5.0, n_lines)
    lines["strength"] = np.minimum(-1.2 + rng.exponential(0.9, n_lines), 2.5)
    lines["damping"] = 0.03 * 10.0 ** rng.normal(0.0, 0.2, n_lines)
    return lines


def model_flux(stars, wavelength, lines, resolution=22000.0):
    """Return the normalised flux (S, P) of stars without noise.

    Parameters
    ----------
    stars : table or mapping of (S,) arrays
        teff (K), logg, fe_h, alpha_fe (dex).
    wavelength : (P,) array, Angstrom
    lines : (L,) structured array of LINE_DTYPE
    resolution : float
        Wavelength over the full width at half maximum of the instrument.
    """
    optical_depth = np.zeros((len(stars["teff"]), len(wavelength)))
    width = doppler_width(stars, lines)
    depth = central_depth(stars, lines)
    damping = damping_parameter(stars, lines)
    area = equivalent_width(depth, damping)
    # The wings of the profile are those of the line's true opacity:
    # area * lorentz / (pi u^2) = depth * damping / (sqrt(pi) u^2).
    lorentz = width * np.sqrt(np.pi) * depth * damping / area
    instrument = LIGHT_SPEED / resolution / np.sqrt(8.0 * np.log(2.0))
    sigma = np.hypot(np.hypot(width / np.sqrt(2.0), instrument), _broadening(stars))
    for i, line in enumerate(lines):
        velocity = LIGHT_SPEED * np.log(wavelength / line["wavelength"])
        near = slice(*np.searchsorted(velocity, (-PROFILE_REACH, PROFILE_REACH)))
        profile = pseudo_voigt(velocity[near], sigma[:, i, None], lorentz[:, i, None])
        optical_depth[:, near] += (area * width)[:, i, None] * profile
    # Blended lines multiply, and the flux stays positive.
    return np.exp(-optical_depth)


PROFILE_REACH = 150.0  # km/s from the line centre; beyond it the wings are dropped


def pseudo_voigt(velocity, sigma, lorentz):
    """Return Voigt profiles of unit area to about 1 % of their peak, in s/km.

    A Gaussian and a Lorentzian of one width, mixed: Thompson+1987.

    Parameters
    ----------
    velocity : (P,) array, km/s
        Distance from the line centre.
    sigma : (S, 1) array, km/s
        Standard deviation of the Gaussian part.
    lorentz : (S, 1) array, km/s
        Half width at half maximum of the Lorentzian part.
    """
    gauss_fwhm, lorentz_fwhm = np.sqrt(8.0 * np.log(2.0)) * sigma, 2.0 * lorentz
    powers = np.arange(6)
    terms = gauss_fwhm ** powers[::-1] * lorentz_fwhm**powers * VOIGT_WIDTH
    fwhm = terms.sum(axis=1, keepdims=True) ** 0.2
    ratio = lorentz_fwhm / fwhm
    share = 1.36603 * ratio - 0.47719 * ratio**2 + 0.11116 * ratio**3
    squared = (2.0 * velocity / fwhm) ** 2
    gauss = np.sqrt(np.log(2.0) / np.pi) * np.exp(-np.log(2.0) * squared)
    return 2.0 / fwhm * (share / np.pi / (1.0 + squared) + (1.0 - share) * gauss)


# Of the products gauss^5, gauss^4 lorentz, ..., lorentz^5 in the fifth power of the
# full width at half maximum.
VOIGT_WIDTH = np.array([1.0, 2.69269, 2.42843, 4.47163, 0.07842, 1.0])


def central_depth(stars, lines):
    """Return the optical depth (S, L) at the centre of each line.

    Its logarithm is the line's strength in the Sun, plus the abundance, plus
    the differences from the Sun in the number of absorbers (Boltzmann, Saha),
    in the continuous opacity (H-) and in the Doppler width.
    """
    differences = _log_absorbers_per_opacity(stars, lines)
    differences -= _log_absorbers_per_opacity(_sun(), lines)
    differences -= np.log10(doppler_width(stars, lines) / doppler_width(_sun(), lines))
    abundance = _star(stars, "fe_h") + _star(stars, "alpha_fe") * lines["alpha"]
    return 10.0 ** (lines["strength"] + abundance + differences)


def _log_absorbers_per_opacity(stars, lines):
    """Return log10 (S, L) of absorbers per atom over H- opacity, plus a constant."""
    teff = _star(stars, "teff")
    theta = 5040.0 / teff
    log_pressure = _log_electron_pressure(stars)
    log_ions_per_neutral = (
        2.5 * np.log10(teff) - theta * lines["ionisation"] - log_pressure + 0.12
    )
    log_neutral = -np.log10(1.0 + 10.0**log_ions_per_neutral)
    log_stage = log_neutral + np.where(lines["ionised"], log_ions_per_neutral, 0.0)
    log_opacity = log_pressure + 2.5 * np.log10(theta) + 0.754 * theta
    return log_stage - theta * lines["excitation"] - log_opacity


def _log_electron_pressure(stars):
    """Return log10 of the electron pressure (S, 1) in dyn/cm^2, as a rough scaling."""
    return (
        1.5
        + 4.3e-4 * (_star(stars, "teff") - SUN["teff"])
        + (_star(stars, "logg") - SUN["logg"] + _star(stars, "fe_h")) / 3.0
    )


def doppler_width(stars, lines):
    """Return the Doppler width b (S, L) in km/s, thermal and microturbulent."""
    teff = _star(stars, "teff")
    micro = 1.1 + 2.0e-4 * (teff - 5500.0) - 0.2 * (_star(stars, "logg") - 4.0)
    micro = np.maximum(micro, 0.5)
    thermal_squared = 0.016629 * teff / lines["mass"]
    return np.sqrt(thermal_squared + micro**2)


def damping_parameter(stars, lines):
    """Return the Voigt parameter a (S, L): collisions follow the gas pressure."""
    log_pressure = (2.0 / 3.0) * (_star(stars, "logg") - SUN["logg"])
    log_rate = log_pressure - 0.7 * np.log10(_star(stars, "teff") / SUN["teff"])
    narrowing = doppler_width(_sun(), lines) / doppler_width(stars, lines)
    return lines["damping"] * 10.0**log_rate * narrowing


def equivalent_width(depth, damping):
    """Return the equivalent width of lines, in units of their Doppler width b.

    Linear, then flat, then damped growth: Draine (2011), eq. 9.27.

    Parameters
    ----------
    depth : array
        Optical depth at the line centre.
    damping : array of the same shape
        Voigt parameter a.
    """
    linear = np.sqrt(np.pi) * depth / (1.0 + depth / (2.0 * np.sqrt(2.0)))
    saturated = np.maximum(depth, GROWTH_JOIN)
    wings = 4.0 * np.sqrt(np.pi) * damping * (saturated - GROWTH_JOIN)
    flat = np.sqrt(4.0 * np.log(saturated / np.log(2.0)) + wings)
    return np.where(depth < GROWTH_JOIN, linear, flat)


GROWTH_JOIN = 1.25393  # optical depth where Draine's two branches meet


def _broadening(stars):
    """Return the broadening by rotation and macroturbulence (S, 1), sigma in km/s."""
    hot = np.maximum(_star(stars, "teff") - 5500.0, 0.0)
    return 2.0 + 4.0e-6 * hot**2


def _star(stars, name):
    """Return one parameter of the stars as an array (S, 1)."""
    return np.asarray(stars[name], dtype=float)[:, None]


def _sun():
    """Return the Sun as a sample of one star."""
    return {name: np.array([value]) for name, value in SUN.items()}


# Noise


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
