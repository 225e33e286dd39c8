"""The labels of a training star, and how labels are written for people."""

import numpy as np

# All of these must be valid.
LABELS = ("teff", "logg", "fe_h", "alpha_fe", "vmicro", "vbroad")

# Name: (symbol in mathematical text, unit).
KNOWN = {
    "teff": (r"$T_\mathrm{eff}$", "K"),
    "logg": (r"$\log\,g$", "dex"),
    "fe_h": ("[Fe/H]", "dex"),
    "m_h": ("[M/H]", "dex"),
    "alpha_fe": (r"[$\alpha$/Fe]", "dex"),
    "alpha_m": (r"[$\alpha$/M]", "dex"),
    "mg_fe": ("[Mg/Fe]", "dex"),
    "vmic": (r"$v_\mathrm{mic}$", "km/s"),
    "vmicro": (r"$v_\mathrm{micro}$", "km/s"),
    "vbroad": (r"$v_\mathrm{broad}$", "km/s"),
    "vsini": (r"$v\,\sin i$", "km/s"),
}


def symbol(name):
    """Return the symbol of a label in matplotlib's mathematical text, or its name."""
    return KNOWN.get(name.lower(), (name, ""))[0]


def unit(name):
    """Return the usual unit of a label, empty where it is not known."""
    return KNOWN.get(name.lower(), (name, ""))[1]


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
