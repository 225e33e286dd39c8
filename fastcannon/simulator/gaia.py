"""A table as Gaia gives it: astrometry with errors, magnitudes, distances.

References
----------
Bailer-Jones et al. 2018, AJ 156, 58 (r_est, r_lo, r_hi).
"""

import numpy as np
from astropy.table import Table

from .parameters import parameters

QUANTILE_POINTS = 200


def dr2_source_id(source_id):
    """Return the identifiers in DR2 of DR3's: for a few sources another number.

    Parameters
    ----------
    source_id : (S,) int64 array
    """
    source_id = np.asarray(source_id)
    changed = source_id // 128 % parameters()["gaia"]["changed_ids"] == 0
    return source_id + 64 * changed


def table(stars, rng):
    """Observe the stars with Gaia.

    Parameters
    ----------
    stars : astropy Table
        From `galaxy.draw`.
    rng : numpy Generator

    Returns
    -------
    astropy Table
        A row per star: source_id (DR3), dr2_source_id, ra, dec (deg), ref_epoch
        (yr), parallax, parallax_error (mas), pmra, pmra_error, pmdec, pmdec_error
        (mas/yr), phot_g_mean_mag, phot_bp_mean_mag, phot_rp_mean_mag (mag), r_est,
        r_lo, r_hi (pc): median, 16 and 84 % of the distance given the parallax.
    """
    values, n_stars = parameters()["gaia"], len(stars)
    bright, faint_from = values["parallax_error"]
    gmag = np.asarray(stars["gmag"])
    error = bright * 10.0 ** (0.2 * np.maximum(gmag - faint_from, 0.0))
    error = error * np.exp(0.15 * rng.standard_normal(n_stars))
    motion_error = values["motion_over_parallax_error"] * error
    noise = rng.standard_normal((6, n_stars))
    found = Table({"source_id": np.asarray(stars["source_id"])})
    found["dr2_source_id"] = dr2_source_id(stars["source_id"])
    found["ra"], found["dec"] = stars["ra"], stars["dec"]
    found["ref_epoch"] = np.full(n_stars, parameters()["galaxy"]["epoch"])
    found["parallax"] = np.asarray(stars["parallax"]) + error * noise[0]
    found["parallax_error"] = error
    for name, each in (("pmra", noise[1]), ("pmdec", noise[2])):
        found[name] = np.asarray(stars[name]) + motion_error * each
        found[f"{name}_error"] = motion_error
    spread = values["magnitude_error"]
    for name, band, each in zip(("g", "bp", "rp"), BANDS, noise[3:], strict=True):
        found[f"phot_{name}_mean_mag"] = np.asarray(stars[band]) + spread * each
    low, middle, high = distance_quantiles(found["parallax"], error)
    found["r_est"], found["r_lo"], found["r_hi"] = middle, low, high
    for name in found.colnames[2:]:
        found[name].unit = _unit(name)
    return found


BANDS = ("gmag", "bp", "rp")


def _unit(name):
    """Return the unit of a column of the table."""
    if name.startswith("r_"):
        return "pc"
    if name.startswith("pm"):
        return "mas / yr"
    starts = {"ra": "deg", "dec": "deg", "ref": "yr", "parallax": "mas", "phot": "mag"}
    return next(unit for start, unit in starts.items() if name.startswith(start))


def distance_quantiles(parallax, error):
    """Return 16, 50 and 84 % of the distance (3, S) in pc given parallaxes.

    The posterior of a Gaussian parallax with the exponentially decreasing space
    density r^2 exp(-r / L), on a grid around each star's parallax.

    Parameters
    ----------
    parallax, error : (S,) array, mas
    """
    parallax, error = np.asarray(parallax), np.asarray(error)
    found = np.empty((3, len(parallax)))
    for start in range(0, len(parallax), BLOCK):
        block = slice(start, start + BLOCK)
        found[:, block] = _quantiles_of_block(parallax[block, None], error[block, None])
    return found


BLOCK = 2000  # stars at a time, so that memory stays small


def _quantiles_of_block(parallax, error):
    """Return the quantiles (3, S): parallax, error (S, 1) in mas."""
    scale = parameters()["gaia"]["distance_scale"]
    nearest = 1000.0 / np.maximum(parallax + 6.0 * error, 1e-3)
    farthest = 1000.0 / np.maximum(parallax - 6.0 * error, 1e-9)
    farthest = np.minimum(farthest, np.maximum(20.0 * scale, 2.0 * nearest))
    distance = nearest + (farthest - nearest) * np.linspace(0.0, 1.0, QUANTILE_POINTS)
    log_density = -0.5 * ((parallax - 1000.0 / distance) / error) ** 2
    log_density += 2.0 * np.log(distance) - distance / scale
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    cumulative = np.cumsum(0.5 * (density[:, 1:] + density[:, :-1]), axis=1)
    share = np.hstack([np.zeros_like(parallax), cumulative / cumulative[:, -1:]])
    rows = np.arange(len(distance))
    width = distance[:, 1] - distance[:, 0]
    found = []
    for quantile in (0.15866, 0.5, 0.84134):
        at = np.argmax(share >= quantile, axis=1)
        part = (share[rows, at] - quantile) / (share[rows, at] - share[rows, at - 1])
        found.append(distance[rows, at] - part * width)
    return np.array(found)
