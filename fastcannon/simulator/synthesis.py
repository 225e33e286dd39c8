"""Spectra of simulated stars from a list of absorption lines.

A small physical model, not a polynomial in the labels: the opacity at the
centre of a line follows Boltzmann and Saha, its equivalent width a curve of
growth, its width the Doppler effect, gravity-dependent pressure broadening,
rotation and the resolution of the instrument. It is meant to be plausible,
quick and the same for every caller.

References
----------
Gray, The Observation and Analysis of Stellar Photospheres, ch. 8, 9, 11, 13
(H- opacity, electron pressure, damping); Draine, Physics of the Interstellar
and Intergalactic Medium, eq. 9.27 (curve of growth); Thompson, Cox & Hastings
1987, J. Appl. Cryst. 20, 79 (line profile).
"""

import numpy as np

LIGHT_SPEED = 299792.458  # km/s
SUN = {
    "teff": 5772.0,
    "logg": 4.438,
    "fe_h": 0.0,
    "alpha_fe": 0.0,
    "mg_fe": 0.0,
    "vmicro": 1.0668,
    "vbroad": 4.6,
}

PROFILE_REACH = 150.0  # km/s from the line centre; beyond it the wings are dropped
BROADENING = 0.5  # standard deviation of rotation and macroturbulence over vbroad
LEAST_DEPTH = 1e-4  # of a line in the strongest star: weaker ones are left out


def model_flux(stars, wavelength, lines, resolution=22000.0):
    """Return the normalised flux (S, P) of stars without noise, float32.

    Parameters
    ----------
    stars : table or mapping of (S,) arrays
        teff (K), logg, fe_h, alpha_fe, mg_fe (dex), vmicro, vbroad (km/s).
    wavelength : (P,) array, Angstrom
        Increasing, at rest.
    lines : (L,) structured array of lines.LINE_DTYPE
    resolution : float
        Wavelength over the full width at half maximum of the instrument.
    """
    # Blended lines multiply, and the flux stays positive.
    return np.exp(-line_opacity(stars, wavelength, lines, resolution))


def line_opacity(stars, wavelength, lines, resolution):
    """Return minus the logarithm of the flux (S, P), float32; as model_flux."""
    total = np.zeros((len(stars["teff"]), len(wavelength)), np.float32)
    width = doppler_width(stars, lines)
    depth = central_depth(stars, lines)
    damping = damping_parameter(stars, lines)
    area = equivalent_width(depth, damping)
    # The wings of the profile are those of the line's true opacity:
    # area * lorentz / (pi u^2) = depth * damping / (sqrt(pi) u^2).
    lorentz = width * np.sqrt(np.pi) * depth * damping / area
    instrument = LIGHT_SPEED / resolution / np.sqrt(8.0 * np.log(2.0))
    broadening = BROADENING * _star(stars, "vbroad")
    sigma = np.hypot(np.hypot(width / np.sqrt(2.0), instrument), broadening)
    shape = voigt_shape(sigma, lorentz, area * width)
    log_wavelength = np.log(wavelength)
    for i in np.flatnonzero(depth.max(axis=0) > LEAST_DEPTH):
        centre = np.log(lines["wavelength"][i])
        reach = PROFILE_REACH / LIGHT_SPEED
        near = slice(*np.searchsorted(log_wavelength, (centre - reach, centre + reach)))
        velocity = LIGHT_SPEED * (log_wavelength[near] - centre)
        total[:, near] += pseudo_voigt(velocity, *(part[:, i] for part in shape))
    return total


def voigt_shape(sigma, lorentz, area):
    """Return what pseudo_voigt needs of profiles of the area (km/s) given.

    A Gaussian and a Lorentzian of one full width at half maximum: Thompson+1987.

    Parameters
    ----------
    sigma : array, km/s
        Standard deviation of the Gaussian part.
    lorentz : array, km/s
        Half width at half maximum of the Lorentzian part.
    area : array, km/s

    Returns
    -------
    scale (2 / full width, s/km), lorentz_peak, gauss_peak : float32 arrays
    """
    gauss, other = np.sqrt(8.0 * np.log(2.0)) * sigma, 2.0 * lorentz
    terms = [c * gauss ** (5 - k) * other**k for k, c in enumerate(VOIGT_WIDTH)]
    fwhm = sum(terms) ** 0.2
    ratio = other / fwhm
    share = 1.36603 * ratio - 0.47719 * ratio**2 + 0.11116 * ratio**3
    scale = 2.0 / fwhm
    lorentz_peak = area * scale * share / np.pi
    gauss_peak = area * scale * (1.0 - share) * np.sqrt(np.log(2.0) / np.pi)
    return tuple(part.astype(np.float32) for part in (scale, lorentz_peak, gauss_peak))


# Of the products gauss^5, gauss^4 lorentz, ..., lorentz^5 in the fifth power of the
# full width at half maximum.
VOIGT_WIDTH = (1.0, 2.69269, 2.42843, 4.47163, 0.07842, 1.0)


def pseudo_voigt(velocity, scale, lorentz_peak, gauss_peak):
    """Return Voigt profiles (S, P) to about 1 % of their peak, float32.

    Parameters
    ----------
    velocity : (P,) array, km/s
        Distance from the line centre.
    scale, lorentz_peak, gauss_peak : (S,) float32 arrays
        From voigt_shape.
    """
    squared = velocity.astype(np.float32) * scale[:, None]
    squared *= squared
    gauss = np.exp(np.float32(-np.log(2.0)) * squared)
    gauss *= gauss_peak[:, None]
    squared += np.float32(1.0)
    np.divide(lorentz_peak[:, None], squared, out=squared)
    squared += gauss
    return squared


def hydrogen_opacity(stars, wavelength, centres, strength, width):
    """Return minus the logarithm of the flux (S, P) by hydrogen lines, float32.

    Depth and width of a Lorentzian grow with temperature as the second level and
    the electrons of the wings do, until the core saturates; a sketch, in which
    only heat matters.

    Parameters
    ----------
    stars : table or mapping of (S,) arrays
        teff (K).
    wavelength : (P,) array, Angstrom
    centres : sequence of float, Angstrom
    strength : sequence of float
        Optical depth at the centre of each line in the Sun, were it not saturated.
    width : float, km/s
        Half width at half maximum in the Sun.
    """
    teff = np.minimum(_star(stars, "teff"), HYDROGEN_TEFF).astype(np.float32)
    kilo_kelvin = (teff - np.float32(SUN["teff"])) / 1000.0
    widths = np.float32(width) * 10.0 ** (0.12 * kilo_kelvin)
    total = np.zeros((len(kilo_kelvin), len(wavelength)), np.float32)
    for centre, sun in zip(centres, strength, strict=True):
        depth = np.float32(sun) * 10.0 ** (0.35 * kilo_kelvin)
        depth /= 1.0 + depth / np.float32(HYDROGEN_DEPTH)
        velocity = (LIGHT_SPEED * np.log(wavelength / centre)).astype(np.float32)
        total += depth / (1.0 + (velocity / widths) ** 2)
    return total


HYDROGEN_TEFF = (
    8300.0  # K; beyond it hydrogen is ionised and the lines stay as they are
)
HYDROGEN_DEPTH = 2.2  # that the strongest lines approach: their cores are not black


def central_depth(stars, lines):
    """Return the optical depth (S, L) at the centre of each line.

    Its logarithm is the line's strength in the Sun, plus the abundance, plus
    the differences from the Sun in the number of absorbers (Boltzmann, Saha),
    in the continuous opacity (H-) and in the Doppler width.
    """
    differences = _log_absorbers_per_opacity(stars, lines)
    differences -= _log_absorbers_per_opacity(_sun(), lines)
    differences -= np.log10(doppler_width(stars, lines) / doppler_width(_sun(), lines))
    magnesium = lines["element"] == "Mg"
    enhancement = np.where(magnesium, _star(stars, "mg_fe"), _star(stars, "alpha_fe"))
    abundance = _star(stars, "fe_h") + enhancement * lines["alpha"]
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
    thermal_squared = 0.016629 * _star(stars, "teff") / lines["mass"]
    return np.sqrt(thermal_squared + _star(stars, "vmicro") ** 2)


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


def _star(stars, name):
    """Return one parameter of the stars as an array (S, 1)."""
    return np.asarray(stars[name], dtype=float)[:, None]


def _sun():
    """Return the Sun as a sample of one star."""
    return {name: np.array([value]) for name, value in SUN.items()}
