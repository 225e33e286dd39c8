"""What the members of clusters say about the catalogues (Nandakumar+2022, section 4).

Medians and scatter beside the literature (tables 5 and 6), trends with temperature and
gravity (figs 12 to 14), distances to isochrones (figs 10 and 11); all from the table of
`clusters.cluster_stars`.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from scipy import stats

from .clusters import OPEN, PIPELINES, known_of, ordered, sources
from .isochrones import distance_statistics, distance_to, nearest

# Open clusters younger than this do not count in the mean scatter (section 4.1.2). The
# paper names no limit; its young clusters have 0.03 to 0.1 Gyr, the next one 3 Gyr.
YOUNG = 0.5  # Gyr
LEAST_STARS = 5  # for a scatter that counts, and for a trend
_UNIT_OF_TREND = {"teff": 1000.0}  # a slope is per 1000 K; else per unit of the label


class Trend(NamedTuple):
    """A straight line through the labels of a cluster.

    Attributes
    ----------
    n : int
        Stars.
    slope, error : float
        Label units per 1000 K or per dex; NaN with too few stars.
    significance : float
        Of the slope in standard deviations of a Gaussian, with its sign.
    """

    n: int
    slope: float
    error: float
    significance: float


def cluster_table(stars, names, literature=None):
    """Compare the labels of clusters in all cases (Nandakumar+2022, tables 5 and 6).

    Parameters
    ----------
    stars : astropy Table
        As `cluster_stars` returns.
    names : sequence of str
        Labels to compare, such as fe_h and alpha_fe.
    literature : astropy Table, optional
        As `read_literature` returns.

    Returns
    -------
    astropy Table
        A row for each cluster, scale and survey: cluster, kind, age (Gyr), case, scale,
        survey, n (stars, also 0) and for each label ``<label>`` and ``e_<label>`` of
        the literature, ``median_<label>``, ``std_<label>`` of the case and
        ``median_<label>_pipelines``, ``std_<label>_pipelines`` of the same stars, in
        label units. Standard deviations are those of samples; NaN where there are too
        few stars. Its ``meta`` has the names.
    """
    rows = []
    for cluster in ordered(stars, literature):
        known = known_of(literature, cluster)
        cases = product(stars.meta["scales"], stars.meta["surveys"])
        for scale, survey in cases:
            own = _select(stars, cluster, survey)
            row = {"cluster": cluster, "kind": known["kind"], "age": known["age"]}
            row |= {"case": f"{survey}-on-{scale}", "scale": scale, "survey": survey}
            row["n"] = len(own)
            for name in names:
                row[name] = known.get(name, np.nan)
                row[f"e_{name}"] = known.get(f"e_{name}", np.nan)
                for source, end in ((scale, ""), (PIPELINES, f"_{PIPELINES}")):
                    found = _median_and_std(own[f"{name}_{source}"])
                    row[f"median_{name}{end}"], row[f"std_{name}{end}"] = found
            rows.append(row)
    return Table(rows or None, meta={"names": list(names)})


def _select(stars, cluster, survey):
    """Return the stars of a survey in a cluster."""
    own = np.asarray(stars["cluster"]) == cluster
    return stars[own & (np.asarray(stars["survey"]) == survey)]


def _median_and_std(values):
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    median = float(np.median(values)) if len(values) else np.nan
    return median, float(values.std(ddof=1)) if len(values) > 1 else np.nan


def mean_scatter(table, name):
    """Return the mean scatter of a label in clusters, for each scale.

    Of all clusters and surveys with 5 stars or more, without open clusters younger than
    0.5 Gyr: their activity changes spectra (Nandakumar+2022, 4.1.2 and 4.1.3).

    Parameters
    ----------
    table : astropy Table
        As `cluster_table` returns.
    name : str
        Label.

    Returns
    -------
    dict of str to (float, int)
        For each scale the mean of ``std_<label>``, label units, and of how many; also
        for the pipelines.
    """
    if not len(table):
        return {}
    young = (np.asarray(table["kind"]) == OPEN) & (np.asarray(table["age"]) < YOUNG)
    used = ~young & (np.asarray(table["n"]) >= LEAST_STARS)
    scale = np.asarray(table["scale"])
    scales = dict.fromkeys(scale.tolist())
    # The pipelines' values are the same on each scale: those of the first.
    one = scale == next(iter(scales))
    columns = {PIPELINES: (f"std_{name}_{PIPELINES}", one)}
    columns |= {own: (f"std_{name}", scale == own) for own in scales}
    found = {}
    for source, (column, rows) in columns.items():
        values = np.asarray(table[column])[used & rows]
        values = values[np.isfinite(values)]
        mean = float(values.mean()) if len(values) else np.nan
        found[source] = mean, len(values)
    return found


def trend(x, y, unit=1.0):
    """Return the slope of a label with temperature or gravity, and how sure it is.

    Ordinary least squares: catalogue errors do not know what differs from star to star
    in a model, so they are no weights. The error comes from the residuals and does not
    suppose that all are of one size (HC3, MacKinnon & White 1985). Its significance is
    by Student's t of n - 2, written in standard deviations of a Gaussian.

    Parameters
    ----------
    x, y : (N,) arrays, label units
        Stars with a value that is not finite are left out.
    unit : float, the unit of x
        Slopes are per this: 1000 for Teff.

    Returns
    -------
    Trend
        NaN with fewer than 5 stars, or where all have one x.
    """
    x, y = np.asarray(x, dtype=float) / unit, np.asarray(y, dtype=float)
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    n = len(x)
    if n < LEAST_STARS or np.ptp(x) == 0:
        return Trend(n, np.nan, np.nan, np.nan)
    away = x - x.mean()
    total = away @ away
    slope = away @ y / total
    residual = y - y.mean() - slope * away
    # A star that is far from all others pulls the line to itself: leverage near 1.
    free = np.maximum(1.0 - 1.0 / n - away**2 / total, 1e-6)
    error = np.sqrt(np.sum((away * residual / free) ** 2)) / total
    if error == 0:
        return Trend(n, float(slope), 0.0, np.nan)
    chance = stats.t.logsf(abs(slope / error), n - 2)
    sigma = -stats.norm.ppf(np.exp(max(chance, -600.0)))
    return Trend(n, float(slope), float(error), float(np.copysign(sigma, slope)))


def trend_table(stars, names, literature=None):
    """Return the trends of labels with Teff and log g in clusters.

    Parameters
    ----------
    stars : astropy Table
        As `cluster_stars` returns, with teff or logg or both.
    names : sequence of str
        Labels.
    literature : astropy Table, optional
        For the order of the clusters.

    Returns
    -------
    astropy Table
        A row for each cluster, survey and source (pipelines, scales), label and what
        it is compared ``with``: n, slope, e_slope (label units per 1000 K or per dex)
        and significance; see `trend`. Only with 5 stars or more.
    """
    against = [x for x in ("teff", "logg") if x in stars.meta["names"]]
    rows = []
    for cluster in ordered(stars, literature):
        for survey in stars.meta["surveys"]:
            own = _select(stars, cluster, survey)
            for name, x, source in product(names, against, sources(stars)):
                unit = _UNIT_OF_TREND.get(x, 1.0)
                found = trend(own[f"{x}_{source}"], own[f"{name}_{source}"], unit)
                if np.isfinite(found.slope):
                    values = (cluster, survey, source, name, x, *found)
                    rows.append(dict(zip(_TREND_COLUMNS, values, strict=True)))
    return Table(rows or None, names=None if rows else _TREND_COLUMNS)


_TREND_COLUMNS = (
    *("cluster", "survey", "source", "label", "with"),
    *("n", "slope", "e_slope", "significance"),
)


def cluster_isochrones(stars, isochrones, literature=None):
    """Return the isochrone of each cluster by its age and metallicity.

    Parameters
    ----------
    stars : astropy Table
        As `cluster_stars` returns.
    isochrones : sequence of Isochrone
    literature : astropy Table, optional

    Returns
    -------
    dict of str to (Isochrone or None, str)
        The isochrone, or None and why there is none; see `nearest`.
    """
    found = {}
    for cluster in ordered(stars, literature):
        known = known_of(literature, cluster)
        found[cluster] = nearest(isochrones, known["age"], known["fe_h"])
    return found


def isochrone_table(stars, isochrones):
    """Return how far the stars of clusters are from their isochrones.

    Parameters
    ----------
    stars : astropy Table
        As `cluster_stars` returns, with teff and logg.
    isochrones : dict of str to (Isochrone or None, str)
        As `cluster_isochrones` returns.

    Returns
    -------
    astropy Table
        A row for each cluster that has an isochrone, survey and source (pipelines,
        scales): n, median and p84 of `distance_to`: units of 100 K and 0.1 dex.
    """
    rows = []
    for cluster, (isochrone, _) in isochrones.items():
        if isochrone is None:
            continue
        for survey, source in product(stars.meta["surveys"], sources(stars)):
            own = _select(stars, cluster, survey)
            distance = distance_to(
                isochrone, own[f"teff_{source}"], own[f"logg_{source}"]
            )
            found = (cluster, survey, source, *distance_statistics(distance))
            rows.append(dict(zip(_DISTANCE_COLUMNS, found, strict=True)))
    return Table(rows or None, names=None if rows else _DISTANCE_COLUMNS)


_DISTANCE_COLUMNS = ("cluster", "survey", "source", "n", "median", "p84")
