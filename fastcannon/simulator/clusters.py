"""Star clusters: members on one isochrone, with common labels and motions.

The list stands in parameters.toml: real names with rounded literature values.
"""

import numpy as np
from astropy.table import Table

from .isochrones import (
    ASYMPTOTIC,
    CLUMP,
    RED_GIANT,
    TAU_END,
    main_sequence_mass,
    main_sequence_tau,
    stars_on_isochrones,
)
from .parameters import parameters

COLUMN_UNITS = {
    "ra": "deg",
    "dec": "deg",
    "distance": "pc",
    "age": "Gyr",
    "fe_h": "dex",
    "alpha_fe": "dex",
    "rv": "km / s",
    "pmra": "mas / yr",
    "pmdec": "mas / yr",
}


def table():
    """Return the clusters with their literature values.

    Returns
    -------
    astropy Table
        name, type ("open", "globular"), ra, dec (deg), distance (pc), age (Gyr),
        fe_h, alpha_fe (dex), rv (km/s), pmra, pmdec (mas/yr).
    """
    values = parameters()["clusters"]
    found = Table({"name": list(values["names"]), "type": list(values["type"])})
    for column, unit in COLUMN_UNITS.items():
        found[column] = np.array(values[column])
        found[column].unit = unit
    return found


def draw(n_stars, rng):
    """Draw members of the clusters.

    Parameters
    ----------
    n_stars : int
        S, over all clusters.
    rng : numpy Generator

    Returns
    -------
    dict of (S,) arrays
        cluster (name), ra, dec (deg), distance (pc), age (Gyr), fe_h, alpha_fe
        (dex), rv (km/s), pmra, pmdec (mas/yr) and tau, the place on the isochrone,
        with its stage ("dwarf", "giant", "clump", "asymptotic").
    """
    values = parameters()["clusters"]
    weight = np.array(values["weight"])
    which = rng.choice(len(weight), n_stars, p=weight / weight.sum())
    of = {name: np.array(values[name])[which] for name in (*COLUMN_UNITS, "radius")}
    dispersion = np.array(values["dispersion"])[which]
    noise = rng.standard_normal((8, n_stars))
    scatter = values["label_scatter"]
    size = of["radius"] * np.abs(noise[0]) ** 1.2
    angle = rng.uniform(0.0, 2.0 * np.pi, n_stars)
    dec = np.clip(of["dec"] + size * np.cos(angle), -89.9, 89.9)
    # As deep as it is wide.
    distance = of["distance"] * (1.0 + np.radians(of["radius"]) * noise[1])
    speed = dispersion / (4.74047e-3 * distance)  # mas/yr
    members = {
        "cluster": np.array(values["names"])[which],
        "ra": (of["ra"] + size * np.sin(angle) / np.cos(np.radians(dec))) % 360.0,
        "dec": dec,
        "distance": distance,
        "age": of["age"],
        "fe_h": of["fe_h"] + scatter * noise[2],
        "alpha_fe": of["alpha_fe"] + scatter * noise[3],
        "rv": of["rv"] + dispersion * noise[4],
        "pmra": of["pmra"] + speed * noise[5],
        "pmdec": of["pmdec"] + speed * noise[6],
    }
    tau = _draw_tau(members, rng)
    stage = np.array(["dwarf", "giant", "clump", "asymptotic"])
    starts = (RED_GIANT, CLUMP, ASYMPTOTIC)
    return members | {"tau": tau, "stage": stage[np.searchsorted(starts, tau, "right")]}


def _draw_tau(members, rng):
    """Return the place on the isochrone (S,) of members that a survey can reach.

    Of some candidates for each star the first in the range of magnitudes and
    temperatures, or, where there is none, the brightest.
    """
    values = parameters()["clusters"]
    n_stars, n_tries = len(members["age"]), parameters()["galaxy"]["candidates"]
    age, fe_h = members["age"][:, None], members["fe_h"][:, None]
    turn_off = main_sequence_mass(1.0, age, fe_h)
    share = rng.random((n_stars, n_tries))
    dwarf_mass = values["least_mass"] + share * (turn_off - values["least_mass"])
    tau = main_sequence_tau(dwarf_mass, age, fe_h)
    evolved = rng.random((n_stars, n_tries)) < values["giant_share"]
    # Stars of small mass live long: the young clusters have hardly any giants.
    evolved &= turn_off < 2.2
    tau = np.where(evolved, RED_GIANT + share * (TAU_END - RED_GIANT), tau)
    stars = stars_on_isochrones(tau, age, fe_h)
    gmag = stars["gmag"] + 5.0 * np.log10(members["distance"][:, None] / 10.0)
    low, high = values["gmag"]
    reached = (gmag > low) & (gmag < high) & (stars["teff"] < values["hottest"])
    brightest = np.where(stars["teff"] < values["hottest"], gmag, np.inf).argmin(axis=1)
    chosen = np.where(reached.any(axis=1), reached.argmax(axis=1), brightest)
    return tau[np.arange(n_stars), chosen]


def members(stars, rng):
    """Return the membership table as the literature might give it.

    True members with mostly high probabilities, and for every cluster some false
    ones: the field stars nearest to it on the sky, with mostly low probabilities.

    Parameters
    ----------
    stars : astropy Table
        From `galaxy.draw`: source_id, ra, dec, pmra, pmdec, cluster.
    rng : numpy Generator

    Returns
    -------
    astropy Table
        cluster, source_id (Gaia DR3), ra, dec (deg), pmra, pmdec (mas/yr),
        probability; by cluster, then source_id.
    """
    values = parameters()["clusters"]
    of = np.asarray(stars["cluster"])
    rows, names = [np.flatnonzero(of != "")], [of[of != ""]]
    probabilities = [rng.beta(*values["probability"], len(rows[0]))]
    field = np.flatnonzero(of == "")
    position = _unit_vectors(stars["ra"][field], stars["dec"][field])
    for cluster in table():
        n_true = np.count_nonzero(of == cluster["name"])
        n_false = min(int(np.ceil(values["false_members"] * n_true)), len(field))
        cosine = position @ _unit_vectors(cluster["ra"], cluster["dec"])
        nearest = np.argsort(-cosine, kind="stable")[:n_false]
        rows.append(field[nearest])
        names.append(np.full(n_false, cluster["name"]))
        probabilities.append(rng.beta(*values["false_probability"], n_false))
    rows = np.concatenate(rows)
    found = Table({"cluster": np.concatenate(names).astype("U16")})
    for column in ("source_id", "ra", "dec", "pmra", "pmdec"):
        found[column] = stars[column][rows]
    found["probability"] = np.round(np.concatenate(probabilities), 3)
    return found[np.lexsort((found["source_id"], found["cluster"]))]


def _unit_vectors(ra, dec):
    """Return unit vectors (..., 3) of positions in deg."""
    ra, dec = np.radians(np.asarray(ra)), np.radians(np.asarray(dec))
    across = np.cos(dec)
    return np.stack([across * np.cos(ra), across * np.sin(ra), np.sin(dec)], axis=-1)
