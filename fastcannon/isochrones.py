"""Isochrones from files of the PARSEC web service CMD, and how far stars are from them.

A file has lines of column names ("# Zini MH logAge ... logTe logg label ...") and
points; it may hold many ages and metallicities, in any photometric system. Older
files have Z instead of MH and other names of the age.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .errors import FileFormatError, InputError

Z_SUN = 0.0152  # PARSEC's; [M/H] = log10(Z / Z_SUN) (Bressan+2012)
CLOSE_MH, CLOSE_AGE = 0.15, 0.2  # dex; share of the age
SCALE_TEFF, SCALE_LOGG = 100.0, 0.1  # K, dex: one unit of distance

# What is read: the names that it has in files, in lower case.
_NAMES = {
    "mh": ("mh", "[m/h]"),
    "z": ("zini", "z"),
    "log_age": ("logage", "log(age/yr)"),
    "age": ("age",),  # yr
    "log_teff": ("logte", "logteff"),
    "logg": ("logg",),
    "stage": ("label", "stage"),
}
# Stages of CMD. After the tip of the giant branch (3) stars of small mass appear again
# far below it (4); after the last pulse (9) they cross to the white dwarfs.
_TIP, _CORE_HELIUM, _POST_AGB = 3, 4, 9
_BLOCK = 200  # stars at a time, times some 500 points


class Isochrone(NamedTuple):
    """One isochrone.

    Attributes
    ----------
    age : float
        Gyr.
    mh : float
        [M/H], dex.
    teff, logg : (P,) arrays, K and dex
        Its points in the order of mass; NaN where the line is interrupted.
    """

    age: float
    mh: float
    teff: np.ndarray
    logg: np.ndarray


class DistanceStatistics(NamedTuple):
    """Distances of stars to an isochrone: number with one, median and P84."""

    n: int
    median: float
    p84: float


def read_isochrones(path):
    """Read the isochrones of a file of CMD (stev.oapd.inaf.it/cmd).

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    list of Isochrone
        In the order of the file, without points after the asymptotic giant branch.

    Raises
    ------
    FileFormatError
        It is no such file, lacks a column, or a row holds no numbers.
    FileNotFoundError
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    where = _columns(path, lines)
    points = _numbers(path, lines, where)
    with np.errstate(divide="ignore", invalid="ignore"):
        if "mh" not in where:
            points["mh"] = np.log10(points["z"] / Z_SUN)
        if "log_age" not in where:
            points["log_age"] = np.log10(points["age"])
    if not (np.isfinite(points["mh"]) & np.isfinite(points["log_age"])).all():
        raise FileFormatError(
            f"{path}: a row has no metallicity or age above 0; fetch the file again"
        )
    new = (np.diff(points["mh"]) != 0) | (np.diff(points["log_age"]) != 0)
    edges = [0, *(np.flatnonzero(new) + 1), len(new) + 1]
    return [
        _isochrone({name: values[a:b] for name, values in points.items()})
        for a, b in pairwise(edges)
    ]


def _columns(path, lines):
    """Return {name: column} by the first line of names that has logTe and logg."""
    heads = [line.strip("# \t").split() for line in lines if line.startswith("#")]
    best: dict = {}
    names: list = []
    for head in heads:
        lower = [name.lower() for name in head]
        found = {
            ours: lower.index(next(name for name in theirs if name in lower))
            for ours, theirs in _NAMES.items()
            if any(name in lower for name in theirs)
        }
        if len(found) > len(best):
            best, names = found, head
    has_age, has_mh = {"age", "log_age"} & set(best), {"mh", "z"} & set(best)
    if {"log_teff", "logg"} <= set(best) and has_age and has_mh:
        return best
    raise FileFormatError(
        f"{path}: no line of column names with logTe, logg, MH (or Zini) and logAge"
        + (f"; the nearest has {', '.join(names)}" if names else "")
        + ": give an output file of CMD (stev.oapd.inaf.it/cmd), isochrone tables"
    )


def _numbers(path, lines, where):
    """Return the values of the columns as a dict of (P,) float arrays."""
    rows = [line for line in lines if line.partition("#")[0].strip()]
    if not rows:
        raise FileFormatError(f"{path}: column names, but no points; fetch it again")
    try:
        values = np.loadtxt(rows, usecols=list(where.values()), ndmin=2)
    except (ValueError, IndexError) as error:
        raise FileFormatError(
            f"{path}: a row of points cannot be read ({error}); fetch it again"
        ) from error
    return dict(zip(where, values.T, strict=True))


def _isochrone(points):
    """Return the isochrone of a dict of (P,) arrays."""
    teff, logg = 10.0 ** points["log_teff"], points["logg"]
    if "stage" in points:
        kept = points["stage"] < _POST_AGB
        stage, teff, logg = points["stage"][kept], teff[kept], logg[kept]
        jumps = (stage[:-1] <= _TIP) & (stage[1:] >= _CORE_HELIUM)
        places = np.flatnonzero(jumps) + 1
        teff, logg = (np.insert(x, places, np.nan) for x in (teff, logg))
    age = float(10.0 ** (points["log_age"][0] - 9.0))
    return Isochrone(age, float(points["mh"][0]), teff, logg)


def nearest(isochrones, age, mh):
    """Return the isochrone next to an age and metallicity, if there is one.

    [M/H] is compared as it is: who has [Fe/H] and [alpha/Fe] decides what to ask for
    (Nandakumar+2022, figs 10 and 11, take the metallicity of the literature).

    Parameters
    ----------
    isochrones : sequence of Isochrone
    age : float, Gyr
    mh : float, dex

    Returns
    -------
    found : Isochrone or None
        None where none is within 0.15 dex and 20 % of the age.
    reason : str
        Why there is none, else "".
    """
    if not (np.isfinite(age) and np.isfinite(mh) and age > 0):
        return (
            None,
            "its age or metallicity is not known (a table of literature gives them)",
        )
    if not isochrones:
        return None, "there are no isochrones"
    far = [
        np.hypot((one.mh - mh) / CLOSE_MH, (one.age / age - 1) / CLOSE_AGE)
        for one in isochrones
    ]
    for place in np.argsort(far, kind="stable"):
        one = isochrones[place]
        # Rounding of [M/H] and log age in files must not decide.
        close_mh = abs(one.mh - mh) <= CLOSE_MH + 1e-6
        if close_mh and abs(one.age / age - 1) <= CLOSE_AGE + 1e-6:
            return one, ""
    one = isochrones[int(np.argmin(far))]
    return None, (
        f"no isochrone within {CLOSE_MH} dex of [M/H] = {mh:.2f} and "
        f"{100 * CLOSE_AGE:.0f} % of {age:.3g} Gyr; the nearest has "
        f"{one.mh:.2f} and {one.age:.3g} Gyr"
    )


def distance_to(isochrone, teff, logg, scale_teff=SCALE_TEFF, scale_logg=SCALE_LOGG):
    """Return how far stars are from the line of an isochrone in the Kiel diagram.

    Parameters
    ----------
    isochrone : Isochrone
    teff, logg : (N,) arrays, K and dex
    scale_teff, scale_logg : float, K and dex
        One unit of distance along each axis.

    Returns
    -------
    (N,) float array
        sqrt((dTeff / scale_teff)^2 + (dlogg / scale_logg)^2) to the nearest place on
        the straight lines between its points; NaN where a value is missing.

    Raises
    ------
    InputError
        The isochrone has no two points in a row.
    """
    x, y = isochrone.teff / scale_teff, isochrone.logg / scale_logg
    start, step = (
        np.column_stack(pair) for pair in ((x[:-1], y[:-1]), (np.diff(x), np.diff(y)))
    )
    whole = np.isfinite(start + step).all(axis=1)
    if not whole.any():
        raise InputError(
            f"the isochrone of {isochrone.age:.3g} Gyr has no line: two points in a "
            "row are needed; give another"
        )
    start, step = start[whole], step[whole]
    length = np.maximum((step**2).sum(axis=1), np.finfo(float).tiny)
    stars = np.column_stack(
        [
            np.asarray(teff, dtype=float) / scale_teff,
            np.asarray(logg, dtype=float) / scale_logg,
        ]
    )
    found = np.empty(len(stars))
    # A star of absurd labels is infinitely far, or nowhere.
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(stars), _BLOCK):
            away = stars[first : first + _BLOCK, None] - start
            share = np.clip((away * step).sum(axis=2) / length, 0.0, 1.0)
            away -= share[:, :, None] * step
            found[first : first + _BLOCK] = np.sqrt((away**2).sum(axis=2).min(axis=1))
    return found


def distance_statistics(distance):
    """Return number, median and P84 of distances of `distance_to`.

    Parameters
    ----------
    distance : (N,) array
        Those that are not finite do not count.

    Returns
    -------
    DistanceStatistics
        NaN without stars.
    """
    distance = np.asarray(distance, dtype=float)
    distance = distance[np.isfinite(distance)]
    if not len(distance):
        return DistanceStatistics(0, np.nan, np.nan)
    median, p84 = np.percentile(distance, (50, 84))
    return DistanceStatistics(len(distance), float(median), float(p84))
