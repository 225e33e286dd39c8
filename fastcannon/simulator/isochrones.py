"""A small analytic family of isochrones, and its text in the format of CMD.

Plausible, smooth and quick, no stellar models: a zero-age main sequence read
from a table in the mass, a lifetime that is a power of the mass, and straight
paths along the later stages. Every star of the simulated Galaxy lies on it, so
that Kiel diagrams, clusters and isochrones agree.

The place of a star on its isochrone is its age in units of its own
main-sequence lifetime, ``tau``: below 1 on the main sequence, above it through
the stages of ``STAGES`` until ``TAU_END``. Mass loss and extinction are left
out.

References
----------
Bressan et al. 2012, MNRAS 427, 127 (PARSEC; the columns and the stage labels of
its web service CMD, http://stev.oapd.inaf.it/cmd).
"""

import numpy as np
from astropy.table import Table

LOG_TEFF_SUN, LOGG_SUN, BOLOMETRIC_SUN = np.log10(5772.0), 4.438, 4.74
Z_SUN = 0.0152

# Stages: CMD label, tau at the start. The labels are those of PARSEC.
STAGES = ((1, 0.0), (2, 1.0), (3, 1.12), (4, 1.26), (7, 1.31))
SUBGIANT, RED_GIANT, CLUMP, ASYMPTOTIC = (tau for _, tau in STAGES[1:])
TAU_END = 1.32

# Zero-age main sequence at solar metallicity: mass (Sun = 1), Teff (K), log L.
MAIN_SEQUENCE = np.array(
    [
        (0.1, 2800, -3.10),
        (0.2, 3250, -2.30),
        (0.3, 3450, -1.95),
        (0.5, 3750, -1.45),
        (0.6, 4050, -1.15),
        (0.7, 4450, -0.87),
        (0.8, 4900, -0.61),
        (0.9, 5320, -0.37),
        (1.0, 5656, -0.148),
        (1.2, 6200, 0.22),
        (1.5, 7000, 0.66),
        (2.0, 8900, 1.20),
        (3.0, 12000, 1.92),
        (5.0, 16500, 2.75),
        (8.0, 21500, 3.50),
    ]
)

# Teff (K), bolometric correction in G, BP-RP, G-Ks, J-Ks, H-Ks (mag).
COLOURS = np.array(
    [
        (2800, -3.00, 3.60, 4.90, 0.92, 0.33),
        (3300, -1.85, 2.55, 3.75, 0.88, 0.25),
        (3600, -1.15, 2.15, 3.35, 0.87, 0.21),
        (4000, -0.55, 1.70, 2.80, 0.82, 0.16),
        (4500, -0.25, 1.33, 2.22, 0.67, 0.11),
        (5000, -0.07, 1.08, 1.82, 0.54, 0.08),
        (5772, 0.07, 0.82, 1.37, 0.37, 0.06),
        (6500, 0.08, 0.61, 1.00, 0.25, 0.04),
        (7500, 0.05, 0.35, 0.55, 0.13, 0.02),
        (10000, -0.25, 0.00, 0.02, 0.00, 0.00),
        (20000, -1.90, -0.32, -0.60, -0.15, -0.05),
    ]
)


def main_sequence_mass(tau, age, fe_h):
    """Return the initial mass (Sun = 1) of stars at ``tau`` on their isochrones.

    Parameters
    ----------
    tau : (S,) array
        Age over main-sequence lifetime.
    age : (S,) array, Gyr
    fe_h : (S,) array, dex
    """
    lifetime_of_sun = 10.0 * 10.0 ** (0.12 * np.asarray(fe_h))
    return (tau * lifetime_of_sun / age) ** (1.0 / 3.5)


def main_sequence_tau(mass, age, fe_h):
    """Return ``tau`` of stars of a mass: the inverse of `main_sequence_mass`.

    Parameters
    ----------
    mass : (S,) array, Sun = 1
    age : (S,) array, Gyr
    fe_h : (S,) array, dex
    """
    return age * np.asarray(mass) ** 3.5 / (10.0 * 10.0 ** (0.12 * np.asarray(fe_h)))


def stars_on_isochrones(tau, age, fe_h):
    """Return what a star is at a place on its isochrone.

    Parameters
    ----------
    tau : (S,) array
        Age over main-sequence lifetime, 0 to TAU_END.
    age : (S,) array, Gyr
    fe_h : (S,) array, dex

    Returns
    -------
    dict of (S,) arrays
        mass (Sun = 1), label (stage, as CMD numbers them), log_l (Sun = 0), teff
        (K), logg (dex) and the absolute magnitudes gmag, bp, rp, jmag, hmag, kmag.
    """
    tau, age, fe_h = np.broadcast_arrays(
        *(np.asarray(x, float) for x in (tau, age, fe_h))
    )
    mass = main_sequence_mass(tau, age, fe_h)
    log_l, log_te = _main_sequence(mass, np.minimum(tau, 1.0), fe_h)
    base = log_l + 0.05
    share = np.clip((tau - SUBGIANT) / (RED_GIANT - SUBGIANT), 0.0, 1.0)
    log_te += share * (_giant_log_teff(base, mass, fe_h) - log_te)
    log_l += share * 0.05
    later = tau >= RED_GIANT
    giant_l = _giant_log_l(tau, base, mass)
    blue = np.where(tau >= CLUMP, 0.006 + 0.03 * np.maximum(-1.0 - fe_h, 0.0), 0.0)
    blue = np.where(tau >= ASYMPTOTIC, 0.005, blue)
    log_te = np.where(later, _giant_log_teff(giant_l, mass, fe_h) + blue, log_te)
    log_l = np.where(later, giant_l, log_l)
    found = {
        "mass": mass,
        "label": np.array([label for label, _ in STAGES])[
            np.searchsorted([start for _, start in STAGES], tau, "right") - 1
        ],
        "log_l": log_l,
        "teff": 10.0**log_te,
        "logg": LOGG_SUN + np.log10(mass) + 4.0 * (log_te - LOG_TEFF_SUN) - log_l,
    }
    return found | _magnitudes(log_l, found["teff"])


def _main_sequence(mass, tau, fe_h):
    """Return log L and log Teff (S,) of main-sequence stars: mass, tau, fe_h (S,)."""
    log_mass = np.log10(mass)
    table = np.log10(MAIN_SEQUENCE[:, 0])
    log_te = np.interp(log_mass, table, np.log10(MAIN_SEQUENCE[:, 1]))
    log_l = np.interp(log_mass, table, MAIN_SEQUENCE[:, 2])
    log_te -= 0.055 * fe_h * np.clip(mass / 0.7, 0.2, 1.0)
    log_te += 0.022 * tau - 0.03 * tau**4
    log_te -= 0.15 * np.maximum(log_mass - np.log10(1.2), 0.0) * tau**2
    log_l += -0.18 * fe_h + 0.30 * tau + 0.10 * tau**3
    return log_l, log_te


def _giant_log_teff(log_l, mass, fe_h):
    """Return log Teff (S,) on the giant branch at log_l, mass and fe_h (S,)."""
    above = log_l - 1.75
    log_te = 3.678 - 0.020 * above - 0.0431 * np.maximum(above, 0.0) ** 2
    return log_te + 0.06 * np.log10(mass / 1.2) - 0.040 * fe_h - 0.006 * fe_h**2


def _giant_log_l(tau, base, mass):
    """Return log L (S,) after the subgiants: tau, log L at the base, mass (S,)."""
    tip = np.maximum(3.4, base + 0.3)
    # Stars spend a time per log L that falls as L^-0.7 while they climb.
    share = np.clip((tau - RED_GIANT) / (CLUMP - RED_GIANT), 0.0, 1.0)
    log_l = base - np.log10(1.0 - share * (1.0 - 10.0 ** (-0.7 * (tip - base)))) / 0.7
    clump = 1.70 + 2.5 * np.maximum(np.log10(mass / 2.2), 0.0)
    share = np.clip((tau - CLUMP) / (ASYMPTOTIC - CLUMP), 0.0, 1.0)
    log_l = np.where(tau >= CLUMP, clump + 0.12 * share, log_l)
    share = np.clip((tau - ASYMPTOTIC) / (TAU_END - ASYMPTOTIC), 0.0, 1.0)
    return np.where(tau >= ASYMPTOTIC, clump + 0.12 + 1.0 * share, log_l)


def _magnitudes(log_l, teff):
    """Return the absolute magnitudes of stars as a dict: log_l, teff (S,)."""
    correction, bp_rp, g_k, j_k, h_k = (
        np.interp(teff, COLOURS[:, 0], column) for column in COLOURS[:, 1:].T
    )
    gmag = BOLOMETRIC_SUN - 2.5 * log_l - correction
    kmag = gmag - g_k
    return {
        "gmag": gmag,
        "bp": gmag + 0.4 * bp_rp,
        "rp": gmag - 0.6 * bp_rp,
        "jmag": kmag + j_k,
        "hmag": kmag + h_k,
        "kmag": kmag,
    }


def isochrone(age, fe_h, n_points=250, least_mass=0.1):
    """Return the points of one isochrone in the order of their masses.

    Parameters
    ----------
    age : float, Gyr
    fe_h : float, dex
    n_points : int
    least_mass : float, Sun = 1

    Returns
    -------
    astropy Table
        tau and the columns of `stars_on_isochrones`.
    """
    start = main_sequence_tau(least_mass, age, fe_h)
    n_dwarfs = n_points // 3
    # Even steps in mass on the main sequence, in time after it.
    dwarfs = np.linspace(start ** (1 / 3.5), 1.0, n_dwarfs, endpoint=False) ** 3.5
    tau = np.append(dwarfs, np.linspace(1.0, TAU_END, n_points - n_dwarfs))
    return Table({"tau": tau} | stars_on_isochrones(tau, age, fe_h))


CMD_COLUMNS = (
    "Zini MH logAge Mini int_IMF Mass logL logTe logg label McoreTP C_O period0 "
    "period1 period2 period3 period4 pmode Mloss tau1m X Y Xc Xn Xo Cexcess Z "
    "mbolmag Gmag G_BPmag G_RPmag Jmag Hmag Ksmag"
).split()


def cmd_text(ages, metallicities):
    """Return isochrones as text in the format of the PARSEC service CMD.

    Comment lines, then for every isochrone its line of column names and its
    points. What this family does not know (core masses, periods, composition)
    is 0, as CMD writes it for stars to which it does not apply.

    Parameters
    ----------
    ages : sequence of float, Gyr
        One for each isochrone.
    metallicities : sequence of float, dex
        As many: [Fe/H], written as MH.

    Returns
    -------
    str
    """
    lines = [
        "# File in the format of CMD 3.7 (http://stev.oapd.inaf.it/cmd)",
        "# isochrones of the analytic family of fastcannon.simulator, not of PARSEC",
        "# Photometric system: Gaia EDR3 (Vegamags) and 2MASS",
        "# No extinction",
        "# Kind of output: isochrone tables",
    ]
    for age, fe_h in zip(ages, metallicities, strict=True):
        lines.append("# " + " ".join(CMD_COLUMNS))
        lines.extend(_cmd_rows(age, fe_h))
    lines.append("#isochrone terminated")
    return "\n".join(lines) + "\n"


def _cmd_rows(age, fe_h):
    """Return the lines of one isochrone: age (Gyr), fe_h (dex)."""
    points = isochrone(age, fe_h)
    mass = np.asarray(points["mass"])
    # Kroupa's mass function above and below half a solar mass, as an integral.
    number = np.where(mass > 0.5, mass**-2.3, 2.0 * mass**-1.3)
    steps = 0.5 * (number[1:] + number[:-1]) * np.diff(mass)
    values = dict.fromkeys(CMD_COLUMNS, np.zeros(len(mass))) | {
        "Zini": np.full(len(mass), Z_SUN * 10.0**fe_h),
        "Z": np.full(len(mass), Z_SUN * 10.0**fe_h),
        "MH": np.full(len(mass), fe_h),
        "logAge": np.full(len(mass), 9.0 + np.log10(age)),
        "Mini": mass,
        "Mass": mass,
        "int_IMF": 1.0 + np.append(0.0, np.cumsum(steps)),
        "logL": points["log_l"],
        "logTe": np.log10(points["teff"]),
        "logg": points["logg"],
        "label": points["label"],
        "pmode": np.full(len(mass), -1.0),
        "mbolmag": BOLOMETRIC_SUN - 2.5 * points["log_l"],
        "Gmag": points["gmag"],
        "G_BPmag": points["bp"],
        "G_RPmag": points["rp"],
        "Jmag": points["jmag"],
        "Hmag": points["hmag"],
        "Ksmag": points["kmag"],
    }
    formats = [CMD_FORMATS.get(name, ".3f") for name in CMD_COLUMNS]
    columns = [
        [format(value, form) for value in np.asarray(values[name])]
        for name, form in zip(CMD_COLUMNS, formats, strict=True)
    ]
    return [" ".join(row) for row in zip(*columns, strict=True)]


CMD_FORMATS = {
    "Zini": ".7f",
    "Z": ".7f",
    "MH": ".5f",
    "logAge": ".5f",
    "Mini": ".10f",
    "int_IMF": ".8f",
    "Mass": ".6f",
    "logTe": ".4f",
    "label": ".0f",
    "pmode": ".0f",
}
