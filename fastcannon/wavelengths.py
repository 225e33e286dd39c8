"""Wavelengths in air and in vacuum.

The refractive index is that of Ciddor (1996, Applied Optics 35, 1566) for dry air at
15 C, 101325 Pa and 450 ppm CO2, as SDSS uses it. Between 4700 and 17000 Angstrom the
formula of Morton (2000, ApJS 130, 403), which VALD uses, differs from it by less than
1e-4 Angstrom.
"""

import numpy as np

from .checks import real_array
from .errors import InputError

SHORTEST = 2000.0  # Angstrom; below, lists of lines give vacuum wavelengths only
MEDIA = ("air", "vacuum")

_ITERATIONS = 4  # each gains about five digits


def vacuum_to_air(wavelength):
    """Convert wavelengths in vacuum to wavelengths in standard air.

    Parameters
    ----------
    wavelength : array_like, Angstrom
        Of any shape.

    Returns
    -------
    float64 array of the same shape, Angstrom

    Raises
    ------
    InputError
        A wavelength is not finite or is not above 2000 Angstrom.
    """
    wavelength = _check(wavelength)
    return wavelength / refractive_index(wavelength)


def air_to_vacuum(wavelength):
    """Convert wavelengths in standard air to wavelengths in vacuum.

    The inverse of `vacuum_to_air`, by iteration.

    Parameters
    ----------
    wavelength : array_like, Angstrom
        Of any shape.

    Returns
    -------
    float64 array of the same shape, Angstrom

    Raises
    ------
    InputError
        A wavelength is not finite or is not above 2000 Angstrom.
    """
    wavelength = _check(wavelength)
    vacuum = wavelength
    for _ in range(_ITERATIONS):
        vacuum = wavelength * refractive_index(vacuum)
    return vacuum


def convert(wavelength, medium, to):
    """Convert wavelengths from one medium, "air" or "vacuum", to another.

    Parameters
    ----------
    wavelength : array_like, Angstrom
    medium, to : {"air", "vacuum"}

    Raises
    ------
    InputError
        Another medium; or as in `vacuum_to_air`.
    """
    for name in (medium, to):
        if name not in MEDIA:
            raise InputError(f"medium is {name!r}; expected 'air' or 'vacuum'")
    if medium == to:
        return real_array(wavelength, "wavelength")
    return vacuum_to_air(wavelength) if to == "air" else air_to_vacuum(wavelength)


def refractive_index(wavelength):
    """Return the refractive index of standard air at vacuum wavelengths in Angstrom."""
    squared = (1e4 / wavelength) ** 2  # of the wavenumber in 1 / micrometre
    return 1 + 0.05792105 / (238.0185 - squared) + 0.00167917 / (57.362 - squared)


def _check(wavelength):
    wavelength = real_array(wavelength, "wavelength")
    bad = ~(np.isfinite(wavelength) & (wavelength > SHORTEST))
    if bad.any():
        raise InputError(
            f"{bad.sum()} wavelengths (first: {wavelength[bad].flat[0]}) are not above "
            f"{SHORTEST:.0f}; air and vacuum wavelengths in Angstrom are needed"
        )
    return wavelength
