"""The simulated Galaxy: discs, halo and clusters, as two surveys see it.

Every star gets a population with its ages and chemistry, a stage of evolution, a
magnitude and, of some directions in the survey's footprint, one by the density of
its population; then the metallicity of that place, its colours from its isochrone
and the motion of its population there. There is no dust.
"""

import astropy.units as u
import numpy as np
from astropy.coordinates import (
    CartesianDifferential,
    CartesianRepresentation,
    Galactic,
    Galactocentric,
    SkyCoord,
)
from astropy.table import Table

from ..errors import InputError, check_whole
from . import clusters
from .isochrones import (
    ASYMPTOTIC,
    CLUMP,
    RED_GIANT,
    SUBGIANT,
    main_sequence_tau,
    stars_on_isochrones,
)
from .parameters import parameters
from .scales import giant_weight
from .sky import declination, gaia_ids, positions_at, tmass_names

POPULATIONS = ("thin", "thick", "halo")
SAMPLES = ("overlap", "apogee", "galah")
UNITS = {
    "ra": "deg",
    "dec": "deg",
    "distance": "pc",
    "parallax": "mas",
    "pmra": "mas / yr",
    "pmdec": "mas / yr",
    "rv": "km / s",
    "teff": "K",
    "logg": "dex",
    "fe_h": "dex",
    "alpha_fe": "dex",
    "mg_fe": "dex",
    "vmicro": "km / s",
    "vbroad": "km / s",
    "age": "Gyr",
} | dict.fromkeys(("gmag", "bp", "rp", "jmag", "hmag", "kmag"), "mag")


def draw(n_stars, overlap, rng, asymmetry=None):
    """Draw the stars that two surveys observe.

    Parameters
    ----------
    n_stars : int
        Stars of each survey.
    overlap : int
        How many of them are in both.
    rng : numpy Generator
    asymmetry : float, optional
        Difference in dex/kpc between the vertical metallicity gradients of the thin
        disc north and south of the plane; by default the frozen one, 0.

    Returns
    -------
    astropy Table
        A row for each of the 2 n_stars - overlap stars: star (row), source_id
        (int64, Gaia DR3), tmass (2MASS name), ra, dec (deg, epoch 2016.0), distance
        (pc), parallax (mas), pmra, pmdec (mas/yr), rv (km/s), teff (K), logg, fe_h,
        alpha_fe, mg_fe (dex), vmicro, vbroad (km/s), population ("thin", "thick",
        "halo", "cluster"), cluster (name or ""), stage ("dwarf", "subgiant", "giant",
        "clump", of members "asymptotic" too; of outsiders "cool", "hot"), age (Gyr),
        gmag, bp, rp, jmag, hmag, kmag (mag), in_apogee, in_galah (bool).

    Raises
    ------
    InputError
        No stars, or more stars in both surveys than in one.
    """
    n_stars, overlap = (
        check_whole(n_stars, "n_stars"),
        check_whole(overlap, "overlap", 0),
    )
    if overlap > n_stars:
        raise InputError(
            f"overlap is {overlap}, but each survey has only {n_stars} stars; "
            "give an overlap of at most n_stars"
        )
    if asymmetry is None:
        asymmetry = parameters()["galaxy"]["north_south_asymmetry"]
    alone = n_stars - overlap
    sample = rng.permutation(np.repeat(np.arange(3), [overlap, alone, alone]))
    n_members = int(parameters()["galaxy"]["cluster_share"] * len(sample))
    in_cluster = rng.permutation(len(sample)) < n_members
    field = _draw_field(sample[~in_cluster], asymmetry, rng)
    stars = _join(field, clusters.draw(n_members, rng), in_cluster)
    _add_isochrone_columns(stars)
    _add_line_columns(stars, rng)
    stars["in_apogee"], stars["in_galah"] = sample != 2, sample != 1
    _add_names(stars)
    for name, unit in UNITS.items():
        stars[name].unit = unit
    return stars[COLUMNS]


COLUMNS = (
    "star source_id tmass ra dec distance parallax pmra pmdec rv teff logg fe_h "
    "alpha_fe mg_fe vmicro vbroad population cluster stage age gmag bp rp jmag hmag "
    "kmag in_apogee in_galah"
).split()


def _join(field, members, in_cluster):
    """Return one table of field stars and members (dicts), as in_cluster (S,) says."""
    field["cluster"] = np.full(np.count_nonzero(~in_cluster), "")
    members["population"] = np.full(np.count_nonzero(in_cluster), "cluster")
    stars = Table({"star": np.arange(len(in_cluster))})
    for name in members:
        kind = np.result_type(field[name], members[name])
        stars[name] = np.empty(len(in_cluster), kind)
        stars[name][in_cluster], stars[name][~in_cluster] = members[name], field[name]
    return stars


# Field stars


def _draw_field(sample, asymmetry, rng):
    """Draw field stars: sample (S,) of SAMPLES' indices; a dict of (S,) arrays."""
    galaxy, n_stars = parameters()["galaxy"], len(sample)
    share = np.array([galaxy[name]["share"] for name in POPULATIONS])
    population = rng.choice(len(POPULATIONS), n_stars, p=share / share.sum())
    young, old = _per_star(population, "age")
    age = rng.uniform(young, old)
    mean, scatter = _per_star(population, "fe_h")
    fe_h = mean + scatter * rng.standard_normal(n_stars)
    stage, tau, age = _draw_stages(sample, age, fe_h, rng)
    distance = _draw_distances(sample, tau, age, fe_h, rng)
    longitude, latitude = _draw_directions(sample, population, distance, rng)
    place = _place(longitude, latitude, distance)
    fe_h += _metallicity_gradients(population, place, age, asymmetry)
    fe_h = np.clip(fe_h, *_per_star(population, "fe_h_range"))
    start, slope, scatter = _per_star(population, "alpha_fe")
    stars = {
        "population": np.array(POPULATIONS)[population],
        "stage": stage,
        "distance": distance,
        "age": age,
        "tau": tau,
        "fe_h": fe_h,
        "alpha_fe": start + slope * fe_h + scatter * rng.standard_normal(n_stars),
    }
    return stars | _draw_motions(population, place, rng)


def _per_star(population, name):
    """Return a parameter of each star's population, (S,) or (numbers, S)."""
    values = [parameters()["galaxy"][each][name] for each in POPULATIONS]
    return np.array(values).T[..., population]


def _draw_stages(sample, age, fe_h, rng):
    """Return stage, tau and age (S,): outsiders among the hot stars are young."""
    n_stars, samples = len(sample), parameters()["galaxy"]["samples"]
    stage = np.empty(n_stars, "U8")
    for i, name in enumerate(SAMPLES):
        shares = samples[name]["stages"]
        weight = np.array(list(shares.values()))
        here = sample == i
        stage[here] = rng.choice(
            list(shares), np.count_nonzero(here), p=weight / weight.sum()
        )
    share, climb = rng.random(n_stars), rng.beta(1.4, 2.2, n_stars)
    hot = stage == "hot"
    age = np.where(hot, 0.3 + 0.9 * share, age)  # Gyr
    # Giants seen to a limit of magnitude spread more evenly in log L than in time.
    rising = (1.0 - 10.0 ** (-2.1 * climb)) / (1.0 - 10.0**-2.1)
    mass_share = 1.0 - 0.42 * rng.beta(1.2, 1.8, n_stars)
    tau = {
        "dwarf": mass_share**3.5,
        "hot": (0.75 + 0.22 * climb) ** 3.5,
        "cool": main_sequence_tau(0.22 + 0.33 * share, age, fe_h),
        "subgiant": SUBGIANT + share * (RED_GIANT - SUBGIANT),
        "giant": RED_GIANT + rising * (CLUMP - RED_GIANT),
        "clump": CLUMP + share * (ASYMPTOTIC - CLUMP),
    }
    chosen = np.select([stage == name for name in tau], list(tau.values()))
    return stage, chosen, age


def _draw_distances(sample, tau, age, fe_h, rng):
    """Return distances (S,) in pc from magnitudes drawn for each sample."""
    samples = parameters()["galaxy"]["samples"]
    values = np.array([samples[name]["gmag"] for name in SAMPLES])
    mean, scatter, low, high = values.T[:, sample]
    gmag = np.clip(mean + scatter * rng.standard_normal(len(sample)), low, high)
    # At the limits themselves nothing should pile up.
    gmag += rng.uniform(-0.2, 0.2, len(sample))
    absolute = stars_on_isochrones(tau, age, fe_h)["gmag"]
    return 10.0 ** (0.2 * (gmag - absolute) + 1.0)


def _draw_directions(sample, population, distance, rng):
    """Return Galactic longitude and latitude (S,) in rad.

    Of several directions within the footprint one is taken by the density of the
    star's population at its distance.
    """
    footprint = parameters()["galaxy"]["footprint"]
    shape = (len(sample), parameters()["galaxy"]["candidates"])
    longitude = rng.uniform(0.0, 2.0 * np.pi, shape)
    latitude = np.arcsin(rng.uniform(-1.0, 1.0, shape))
    place = _place(longitude, latitude, distance[:, None])
    weight = _log_density(population[:, None], place)
    outside = declination(longitude, latitude) > footprint["galah_declination"]
    outside |= np.abs(np.degrees(latitude)) < footprint["galah_latitude"]
    weight -= 1.0e6 * (outside & (SAMPLES.index("apogee") != sample)[:, None])
    # Gumbel's trick: the largest of log weight plus Gumbel noise is a fair draw.
    chosen = np.argmax(weight + rng.gumbel(size=shape), axis=1)
    rows = np.arange(len(sample))
    return longitude[rows, chosen], latitude[rows, chosen]


def _place(longitude, latitude, distance):
    """Return Galactocentric x, y, z (kpc) of directions (rad) at distances (pc)."""
    galaxy, kpc = parameters()["galaxy"], distance / 1000.0
    return (
        kpc * np.cos(latitude) * np.cos(longitude) - galaxy["sun_radius"],
        kpc * np.cos(latitude) * np.sin(longitude),
        kpc * np.sin(latitude) + galaxy["sun_height"],
    )


def _log_density(population, place):
    """Return the logarithm of the density of each star's population at a place."""
    galaxy = parameters()["galaxy"]
    x, y, z = place
    radius = np.hypot(x, y)
    found = np.empty(np.broadcast_shapes(radius.shape, population.shape))
    for i, name in enumerate(POPULATIONS):
        values = galaxy[name]
        if name == "halo":
            far = np.sqrt(radius**2 + (z / values["flattening"]) ** 2 + 0.25)
            density = values["power"] * np.log(far)
        else:
            density = -radius / values["scale_length"]
            density -= np.abs(z) / values["scale_height"]
        found = np.where(population == i, density, found)
    return found


def _metallicity_gradients(population, place, age, asymmetry):
    """Return what position and age (S,) add to [Fe/H] (S,)."""
    x, y, z = place
    from_sun = np.hypot(x, y) - parameters()["galaxy"]["sun_radius"]
    vertical = _per_star(population, "vertical_gradient")
    vertical = vertical + 0.5 * asymmetry * np.sign(z) * (population == 0)
    return (
        _per_star(population, "radial_gradient") * np.clip(from_sun, -5.0, 5.0)
        + vertical * np.minimum(np.abs(z), 3.0)
        + _per_star(population, "age_gradient") * (age - 4.0)
    )


def _draw_motions(population, place, rng):
    """Return ra, dec (deg), pmra, pmdec (mas/yr) and rv (km/s) of field stars."""
    galaxy = parameters()["galaxy"]
    x, y, z = place
    spread = _per_star(population, "dispersion")
    outward, along, up = spread * rng.standard_normal(spread.shape)
    along += galaxy["rotation"] - _per_star(population, "lag")
    radius = np.hypot(x, y)
    # The disc turns clockwise seen from the north: at the Sun towards +y.
    velocity = CartesianDifferential(
        (outward * x + along * y) / radius * u.km / u.s,
        (outward * y - along * x) / radius * u.km / u.s,
        up * u.km / u.s,
    )
    at = CartesianRepresentation(
        x * u.kpc, y * u.kpc, z * u.kpc, differentials=velocity
    )
    right, ahead, above = galaxy["solar_motion"]
    frame = Galactocentric(
        at,
        galcen_distance=np.hypot(galaxy["sun_radius"], galaxy["sun_height"]) * u.kpc,
        galcen_v_sun=[right, galaxy["rotation"] + ahead, above] * u.km / u.s,
        z_sun=galaxy["sun_height"] * u.kpc,
        galcen_coord=SkyCoord(0.0, 0.0, unit="deg", frame=Galactic).icrs,
        roll=0.0 * u.deg,
    )
    sky = SkyCoord(frame).icrs
    return {
        "ra": sky.ra.deg,
        "dec": sky.dec.deg,
        "pmra": sky.pm_ra_cosdec.to_value(u.mas / u.yr),
        "pmdec": sky.pm_dec.to_value(u.mas / u.yr),
        "rv": sky.radial_velocity.to_value(u.km / u.s),
    }


# Columns of all stars


def _add_isochrone_columns(stars):
    """Add teff, logg, the apparent magnitudes and the parallax of the stars."""
    found = stars_on_isochrones(stars["tau"], stars["age"], stars["fe_h"])
    modulus = 5.0 * np.log10(np.asarray(stars["distance"]) / 10.0)
    stars["teff"], stars["logg"] = found["teff"], found["logg"]
    for band in ("gmag", "bp", "rp", "jmag", "hmag", "kmag"):
        stars[band] = found[band] + modulus
    stars["parallax"] = 1000.0 / np.asarray(stars["distance"])


def _add_line_columns(stars, rng):
    """Add mg_fe, vmicro and vbroad: smooth relations with scatter."""
    galaxy = parameters()["galaxy"]
    noise = rng.standard_normal((3, len(stars)))
    slope, scatter = galaxy["mg_slope"], galaxy["mg_scatter"]
    stars["mg_fe"] = slope * stars["alpha_fe"] + scatter * noise[0]
    teff, logg = np.asarray(stars["teff"]), np.asarray(stars["logg"])
    giant = giant_weight(logg)
    start, gravity = galaxy["vmicro"]["giant"]
    of_giants = start + gravity * (np.maximum(logg, 0.0) - 2.5)
    level, linear, square = galaxy["vmicro"]["dwarf"]
    hot = np.minimum(teff, galaxy["vmicro"]["hottest"]) - 5500.0
    of_dwarfs = level + linear * hot + square * np.maximum(hot, 0.0) ** 2
    vmicro = giant * of_giants + (1.0 - giant) * of_dwarfs
    vmicro += galaxy["vmicro"]["scatter"] * noise[1]
    stars["vmicro"] = np.maximum(vmicro, 0.4)
    stars["vbroad"] = _broadening(teff, logg, giant, noise[2], rng)


def _broadening(teff, logg, giant, noise, rng):
    """Return the broadening (S,) in km/s: macroturbulence, and rotation if hot."""
    values = parameters()["galaxy"]["vbroad"]
    start, gravity = values["giant"]
    of_giants = start + gravity * (np.maximum(logg, 0.0) - 2.5)
    quiet = giant * of_giants + (1.0 - giant) * values["dwarf"]
    cool, hot, limit = values["rotation"]
    mean = cool + hot * (np.maximum(teff - limit, 0.0) / 1000.0) ** 1.5
    rotation = (1.0 - giant) * rng.gamma(2.0, mean / 2.0)
    rotation = np.minimum(rotation, values["fastest"])
    return np.maximum(quiet + values["scatter"] * noise, 3.0) + rotation


# Names


def _add_names(stars):
    """Add tmass and source_id, and move stars that would share a 2MASS name."""
    epoch = parameters()["gaia"]["two_mass_epoch"]
    tmass = tmass_names(*positions_at(stars, epoch))
    while len(np.unique(tmass)) < len(tmass):
        _, first = np.unique(tmass, return_index=True)
        again = np.setdiff1d(np.arange(len(tmass)), first)
        stars["dec"][again] -= np.sign(stars["dec"][again]) / 3600.0
        tmass = tmass_names(*positions_at(stars, epoch))
    stars["tmass"] = tmass
    stars["source_id"] = gaia_ids(stars["ra"], stars["dec"], stars["star"])
