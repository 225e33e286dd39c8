"""The labels of a training star, and how labels are written for people."""

import math
from typing import NamedTuple

import numpy as np

LOGG_CUT = 3.5  # giants lie below, dwarfs from there up (Nandakumar+2022, section 3.2)

# All of these must be valid.
LABELS = ("teff", "logg", "fe_h", "alpha_fe", "vmicro", "vbroad")


class Label(NamedTuple):
    """Symbol in mathematical text, unit, UCD1+ and words of a label."""

    symbol: str
    unit: str
    ucd: str
    words: str


_MICRO = ("km/s", "phys.veloc.microTurb", "microturbulence")
KNOWN = {
    "teff": Label(
        r"$T_\mathrm{eff}$", "K", "phys.temperature.effective", "effective temperature"
    ),
    "logg": Label(
        r"$\log\,g$", "dex", "phys.gravity", "surface gravity, log10 of cm/s^2"
    ),
    "fe_h": Label("[Fe/H]", "dex", "phys.abund.Fe", "metallicity [Fe/H]"),
    "m_h": Label("[M/H]", "dex", "phys.abund.Z", "metallicity [M/H]"),
    "alpha_fe": Label(r"[$\alpha$/Fe]", "dex", "phys.abund", "[alpha/Fe]"),
    "alpha_m": Label(r"[$\alpha$/M]", "dex", "phys.abund", "[alpha/M]"),
    "mg_fe": Label("[Mg/Fe]", "dex", "phys.abund", "[Mg/Fe]"),
    "vmic": Label(r"$v_\mathrm{mic}$", *_MICRO),
    "vmicro": Label(r"$v_\mathrm{micro}$", *_MICRO),
    "vbroad": Label(
        r"$v_\mathrm{broad}$", "km/s", "spect.line.broad", "broadening velocity"
    ),
    "vsini": Label(
        r"$v\,\sin i$", "km/s", "phys.veloc.rotat", "projected rotational velocity"
    ),
}


def describe(name):
    """Return what is known of a label; of others the name, and no unit.

    Parameters
    ----------
    name : str
        In capitals or not.

    Returns
    -------
    Label
    """
    return KNOWN.get(name.lower(), Label(name, "", "stat.fit.param", name))


def symbol(name):
    """Return the symbol of a label in matplotlib's mathematical text, or its name."""
    return describe(name).symbol


def unit(name):
    """Return the usual unit of a label, empty where it is not known."""
    return describe(name).unit


def useful_digits(spread):
    """Return the decimals that write three digits of a spread: 87.3, 4.21, 0.0532."""
    return max(0, 2 - math.floor(math.log10(spread))) if spread > 0 else 3


def empirical_vmicro(teff, logg):
    """Return the microturbulence that GALAH adopts for a star.

    Parameters
    ----------
    teff : (N,) array, K
    logg : (N,) array, dex

    Returns
    -------
    (N,) array, km/s
        1.1 + 1.6e-4 (Teff - 5500) for cool dwarfs (Teff <= 5500 K, log g > 4.2), else
        1.1 + 1e-4 (Teff - 5500) + 4e-7 (Teff - 5500)^2 (GALAH DR3; Nandakumar+2022,
        appendix and fig. A3).
    """
    teff, logg = np.asarray(teff, float), np.asarray(logg, float)
    away = teff - 5500.0
    cool_dwarf = (away <= 0) & (logg > 4.2)
    other = 1.1 + 1e-4 * away + 4e-7 * away**2
    return np.where(cool_dwarf, 1.1 + 1.6e-4 * away, other)
