"""The labels of a training star, and how labels are written for people."""

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
