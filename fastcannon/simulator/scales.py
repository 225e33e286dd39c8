"""The label scales of the two surveys: the truth plus offsets and trends.

The difference APOGEE - GALAH of each label has an offset and a trend with the
temperature, different for giants and dwarfs (paper: Table 1 and Fig. 2); a share
of it is APOGEE's, the rest, with the other sign, GALAH's. Errors come on top.
"""

import numpy as np
from astropy.table import Table

from .parameters import parameters

LABELS = ("teff", "logg", "fe_h", "alpha_fe", "vmicro", "vbroad", "mg_fe", "rv")
SURVEYS = ("apogee", "galah")


def label_scales(stars):
    """Return the labels that each survey would give without errors.

    Parameters
    ----------
    stars : astropy Table
        From `galaxy.draw`, S rows.

    Returns
    -------
    astropy Table
        S rows: <label>_apogee_scale and <label>_galah_scale for each of LABELS.
    """
    found = Table()
    teff, giant = np.asarray(stars["teff"]), giant_weight(stars["logg"])
    for label in LABELS:
        values = parameters()["scales"][label]
        difference = giant * _trend(values["giants"], "giants", teff)
        difference += (1.0 - giant) * _trend(values["dwarfs"], "dwarfs", teff)
        share, truth = values["apogee_share"], np.asarray(stars[label])
        found[f"{label}_apogee_scale"] = truth + share * difference
        found[f"{label}_galah_scale"] = truth - (1.0 - share) * difference
    found["vmicro_galah_scale"] = empirical_vmicro(
        found["teff_galah_scale"], found["logg_galah_scale"]
    )
    for label in ("vmicro", "vbroad"):
        name = f"{label}_apogee_scale"
        found[name] = np.maximum(found[name], LEAST[label])
    for name in found.colnames:
        found[name].unit = stars[name.rsplit("_", 2)[0]].unit
    return found


LEAST = {"vmicro": 0.3, "vbroad": 1.0}  # km/s; of the speeds' scales and failures


def _trend(values, kind, teff):
    """Return the difference (S,) of giants or dwarfs at teff (S,) in K."""
    scales = parameters()["scales"]
    teff = np.clip(teff, *scales["teff_range"])
    bent = teff - values["bend_from"]
    bent = np.minimum(bent, 0.0) if kind == "giants" else np.maximum(bent, 0.0)
    straight = values["slope"] * (teff - scales["pivot"][kind]) / 1000.0
    return values["offset"] + straight + values["bend"] * (bent / 1000.0) ** 2


def giant_weight(logg):
    """Return 1 for giants and 0 for dwarfs, with a smooth step at log g 3.5.

    Parameters
    ----------
    logg : (S,) array, dex
    """
    scales = parameters()["scales"]
    step = (np.asarray(logg, float) - scales["class_logg"]) / scales["class_width"]
    return 1.0 / (1.0 + np.exp(np.clip(step, -50.0, 50.0)))


def empirical_vmicro(teff, logg):
    """Return GALAH's microturbulence (S,) in km/s, a relation and no measurement.

    Parameters
    ----------
    teff : (S,) array, K
    logg : (S,) array, dex

    References
    ----------
    Buder et al. 2021, MNRAS 506, 150, equations 4 and 5.
    """
    hot = np.asarray(teff) - 5500.0
    cool_dwarf = (hot <= 0.0) & (np.asarray(logg) > 4.2)
    return np.where(
        cool_dwarf, 1.1 + 1.6e-4 * hot, 1.1 + 1.0e-4 * hot + 4.0e-7 * hot**2
    )


def label_errors(label, survey, logg, snr):
    """Return the errors (S,) that a survey's labels have and state.

    They fall with the signal-to-noise ratio to a floor. Those of speeds are cut at a
    share of the speed (pipelines).

    Parameters
    ----------
    label : str
        One of LABELS.
    survey : str
        "apogee" or "galah".
    logg : (S,) array, dex
        True surface gravity.
    snr : (S,) array
        Of the spectrum (APOGEE) or of its second arm (GALAH).
    """
    scales = parameters()["scales"]
    values, giant = scales[label], giant_weight(logg)
    scatter = giant * values["giants"]["scatter"]
    scatter = scatter + (1.0 - giant) * values["dwarfs"]["scatter"]
    share = values["apogee_variance"]
    share = share if survey == "apogee" else 1.0 - share
    floor, ratio = scales["error_floor"], scales[f"{survey}_snr"] / np.asarray(snr)
    factor = np.sqrt(floor**2 + (1.0 - floor**2) * ratio**2)
    return scatter * np.sqrt(share) * np.minimum(factor, scales["error_most"])
