"""Figures of the Galaxy: where the stars are, and how a label changes over it."""

import numpy as np
from astropy import units
from astropy.coordinates import Galactocentric, SkyCoord
from astropy.table import Table
from matplotlib.colors import Normalize, TwoSlopeNorm

from ..differences import mean_and_scatter
from . import style

# astropy's values of 2022 ("latest"), written down: positions shall not change with it.
R_SUN = 8.122  # kpc; GRAVITY collaboration 2018
Z_SUN = 0.0208  # kpc above the plane; Bennett & Bovy 2019
LEAST_IN_BIN = 5  # stars for a median
LEAST_ON_SIDE = 10  # stars north, and south, for their difference
SIGNIFICANT = 3.0  # standard errors

_PERCENTILES = (0.2, 99.8)
_STARS_PER_BIN = {"map": 20, "asymmetry": 100}  # on average
_FEWEST, _MOST = 6, 60  # bins along an axis
_UNKNOWN = "#ededed"
_MEDIAN_ERROR = np.sqrt(np.pi / 2)  # of a median over that of a mean, normal errors


def positions(ra, dec, distance_pc):
    """Return where stars are in the Galaxy, in cylindrical coordinates.

    astropy's Galactocentric frame, with the Sun 8.122 kpc from the centre and 20.8 pc
    above the plane (Nandakumar+2022, fig. 15, does not say which it took).

    Parameters
    ----------
    ra, dec : (N,) arrays, degrees (ICRS)
    distance_pc : (N,) array, pc

    Returns
    -------
    r, z : (N,) arrays, kpc
        Distance from the axis, and height above the plane; NaN where a coordinate is
        not finite or the distance not positive.
    """
    ra, dec, distance = (np.asarray(a, dtype=float) for a in (ra, dec, distance_pc))
    good = np.isfinite(ra) & np.isfinite(dec) & np.isfinite(distance) & (distance > 0)
    r, z = np.full(len(ra), np.nan), np.full(len(ra), np.nan)
    if good.any():
        sky = SkyCoord(
            ra[good] * units.deg, dec[good] * units.deg, distance[good] * units.pc
        )
        frame = Galactocentric(
            galcen_distance=R_SUN * units.kpc, z_sun=Z_SUN * units.kpc
        )
        x, y, up = sky.transform_to(frame).cartesian.xyz.to_value("kpc")
        r[good], z[good] = np.hypot(x, y), up
    return r, z


def zr(ax, r, z, title="", box=None):
    """Draw the heights of stars against their distance from the axis.

    Nandakumar+2022, fig. 15, as a density.

    Parameters
    ----------
    ax : matplotlib Axes
    r, z : (N,) arrays, kpc
        Stars with a value that is not finite are left out.
    title : str
    box : ((float, float), (float, float)), optional
        Range of r and z, kpc; default: that of the stars.

    Returns
    -------
    AxesImage or None
        For a colour bar; None where stars are points.
    """
    image = style.density(ax, r, z, bins=120, range=box or _box([(r, z)]))
    _sun(ax)
    style.dress(ax, "$R$ (kpc)", "$Z$ (kpc)", title)
    return image


def median_map(ax, r, z, value, box=None, norm=None):
    """Draw the median of a label over the Galaxy, in bins of 5 stars or more.

    Parameters
    ----------
    ax : matplotlib Axes
    r, z : (N,) arrays, kpc
    value : (N,) array, label unit
        Stars with a value that is not finite are left out.
    box : ((float, float), (float, float)), optional
        Range of r and z, kpc; default: that of the stars.
    norm : matplotlib Normalize, optional
        Of the colours, label unit; default: from the medians.

    Returns
    -------
    QuadMesh or None
        For a colour bar; None where no bin has enough stars.
    """
    r, z, value = style.finite(r, z, value)
    box = box or _box([(r, z)])
    edges = [np.linspace(*span, _bin_count(len(r), "map") + 1) for span in box]
    median = np.full((len(edges[0]) - 1, len(edges[1]) - 1), np.nan)
    for place, inside in _bins(r, z, edges):
        if len(inside) >= LEAST_IN_BIN:
            median[place] = np.median(value[inside])
    mesh = _mesh(ax, edges, median, style.VALUES, norm)
    if mesh:
        _sun(ax)
    ax.set(xlim=box[0], ylim=box[1])
    style.dress(ax, "$R$ (kpc)", "$Z$ (kpc)")
    return mesh


def asymmetry_table(r, z, value, edges):
    """Compare the medians of a label north and south of the plane.

    Parameters
    ----------
    r, z : (N,) arrays, kpc
    value : (N,) array, label unit
        Stars with a value that is not finite are left out.
    edges : (array, array), kpc
        Of bins of r and \\|z\\|, increasing.

    Returns
    -------
    astropy Table
        A row for each bin with 10 stars or more on both sides: ``r_low``, ``r_high``,
        ``z_low``, ``z_high`` (kpc), ``n_north``, ``n_south``, ``difference``, north
        minus south, and ``error``, its standard error: sqrt(pi / 2) (P84 - P16) / 2 /
        sqrt(n) of each side, as for normal errors (label unit).
    """
    r, z, value = style.finite(r, z, value)
    names = ("r_low", "r_high", "z_low", "z_high", "n_north", "n_south")
    rows = []
    for (i, j), inside in _bins(r, np.abs(z), edges):
        north = z[inside] > 0
        sides = value[inside][north], value[inside][~north]
        if min(len(side) for side in sides) < LEAST_ON_SIDE:
            continue
        errors = [
            _MEDIAN_ERROR * mean_and_scatter(side)[3] / np.sqrt(len(side))
            for side in sides
        ]
        rows.append(
            (
                *(*edges[0][i : i + 2], *edges[1][j : j + 2]),
                *(len(side) for side in sides),
                *(np.median(sides[0]) - np.median(sides[1]), np.hypot(*errors)),
            )
        )
    kinds = (*4 * (float,), int, int, float, float)
    return Table(rows=rows or None, names=(*names, "difference", "error"), dtype=kinds)


def asymmetry_map(ax, r, z, value, box=None):
    """Draw the difference of the median of a label north minus south of the plane.

    Dots mark bins beyond 3 standard errors; the panel counts them. See
    `asymmetry_table`.

    Parameters
    ----------
    ax : matplotlib Axes
    r, z : (N,) arrays, kpc
    value : (N,) array, label unit
        Stars with a value that is not finite are left out.
    box : ((float, float), (float, float)), optional
        Range of r and z, kpc; default: that of the stars.

    Returns
    -------
    QuadMesh or None
        For a colour bar; None where no bin has enough stars.
    """
    r, z, value = style.finite(r, z, value)
    edges = asymmetry_edges(r, z, box)
    found = asymmetry_table(r, z, value, edges)
    difference = np.full((len(edges[0]) - 1, len(edges[1]) - 1), np.nan)
    i, j = (
        np.searchsorted(edge, found[name])
        for edge, name in zip(edges, ("r_low", "z_low"), strict=True)
    )
    difference[i, j] = found["difference"]
    norm = about_zero(found["difference"])
    mesh = _mesh(ax, edges, difference, style.DIFFERENCES, norm)
    words = ""
    if mesh:
        ax.set_facecolor(_UNKNOWN)  # white is no difference
        words = _mark(ax, found)
    ax.set(xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    style.dress(ax, "$R$ (kpc)", r"$|Z|$ (kpc)", words)
    return mesh


def asymmetry_edges(r, z, box=None):
    """Return the edges of bins of r and \\|z\\| with some 100 stars on average.

    Parameters
    ----------
    r, z : (N,) arrays, kpc
    box : ((float, float), (float, float)), optional
        Range of r and z, kpc; default: that of the stars.

    Returns
    -------
    (array, array), kpc
    """
    r, z = style.finite(r, z)
    across, up = box or _box([(r, z)])
    count = _bin_count(len(r), "asymmetry")
    return np.linspace(*across, count + 1), np.linspace(
        0.0, max(map(abs, up)), count + 1
    )


def galaxy_figure(places):
    """Show where the clean stars of each catalogue are (Nandakumar+2022, fig. 15).

    Parameters
    ----------
    places : dict of str to (r, z)
        Scale to (N,) arrays, kpc, of `positions`.

    Returns
    -------
    matplotlib Figure
    """
    figure = style.new_figure(7.2, 3.4)
    axes = figure.subplots(1, len(places), sharex=True, sharey=True, squeeze=False)[0]
    box = _box(places.values())
    for ax, (scale, (r, z)) in zip(axes, places.items(), strict=True):
        count = len(style.finite(r, z)[0])
        image = zr(ax, r, z, f"{_scale_title(scale)}: {count:,} spectra", box)
        if image:
            style.colour_bar(image, ax, "Spectra")
        ax.label_outer()
    return figure


def maps_figure(places, values, name):
    """Show maps of the median of a label and of its difference north minus south.

    The science case of a common scale: both hemispheres, seen by different surveys.
    Colours of the medians end at the 16 and 84 percentiles of the stars.

    Parameters
    ----------
    places : dict of str to (r, z)
        Scale to (N,) arrays, kpc, of `positions`.
    values : dict of str to (N,) array
        The same scales to values of the label, in its unit.
    name : str
        Label.

    Returns
    -------
    matplotlib Figure
        A row for each scale; all rows on one range and one set of colours.
    """
    figure = style.new_figure(7.2, 2.9 * len(places))
    axes = figure.subplots(len(places), 2, squeeze=False)
    box = _box(places.values())
    low, high = style.limits(name, np.concatenate(list(values.values())), (16, 84))
    colours = Normalize(low, high)
    meshes = []
    for row, (scale, (r, z)) in zip(axes, places.items(), strict=True):
        medians = median_map(row[0], r, z, values[scale], box, colours)
        meshes.append((medians, asymmetry_map(row[1], r, z, values[scale], box)))
        row[0].set_title(_scale_title(scale), fontsize=style.TITLE_SIZE)
    found = [mesh.get_array().compressed() for _, mesh in meshes if mesh]
    words = (
        style.label_text(name, "median"),
        style.difference_text(name, "north", "south"),
    )
    for row, pair in zip(axes, meshes, strict=True):
        if pair[1]:
            pair[1].set_norm(about_zero(np.concatenate(found)))
        for ax, mesh, word in zip(row, pair, words, strict=True):
            if mesh:
                style.colour_bar(mesh, ax, word)
    return figure


def _scale_title(scale):
    return f"{style.survey_text(scale)} scale"


def _box(places):
    """Return the range of r and z that holds nearly all stars, kpc."""
    r, z = (np.concatenate([np.ravel(place[k]) for place in places]) for k in (0, 1))
    return style.limits("", r, _PERCENTILES), style.limits("", z, _PERCENTILES)


def _bin_count(n_stars, kind):
    """Return how many bins an axis gets, so that bins are neither empty nor coarse."""
    return int(np.clip(np.sqrt(n_stars / _STARS_PER_BIN[kind]), _FEWEST, _MOST))


def _bins(x, y, edges):
    """Give ((i, j), rows) of every bin of x and y that has stars."""
    i, j = (
        np.searchsorted(edge, values, side="right") - 1
        for edge, values in zip(edges, (x, y), strict=True)
    )
    shape = [len(edge) - 1 for edge in edges]
    rows = np.flatnonzero((i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1]))
    which = i[rows] * shape[1] + j[rows]
    order = np.argsort(which, kind="stable")
    bins, starts = np.unique(which[order], return_index=True)
    groups = np.split(rows[order], starts[1:]) if len(bins) else []
    for b, inside in zip(bins, groups, strict=True):
        yield divmod(int(b), shape[1]), inside


def _mesh(ax, edges, values, cmap, norm):
    """Draw a value for each bin, nothing where it is NaN."""
    if not np.isfinite(values).any():
        style.nothing(ax, "too few stars in a bin")
        return None
    return ax.pcolormesh(
        *edges,
        np.ma.masked_invalid(values.T),
        cmap=cmap,
        norm=norm,
        rasterized=True,
        zorder=1,  # above the grid
    )


def about_zero(differences):
    """Return a norm of colours that is the same on both sides of zero.

    Parameters
    ----------
    differences : (N,) array
        Colours end at the 95th percentile of their sizes.

    Returns
    -------
    matplotlib TwoSlopeNorm
    """
    most = (np.percentile(np.abs(differences), 95) if len(differences) else 0.0) or 1.0
    return TwoSlopeNorm(0.0, -most, most)


def _mark(ax, found):
    """Put dots on bins beyond 3 standard errors; return how many there are in words."""
    beyond = np.abs(found["difference"]) > SIGNIFICANT * found["error"]
    far = found[beyond]
    ax.scatter(
        (far["r_low"] + far["r_high"]) / 2,
        (far["z_low"] + far["z_high"]) / 2,
        s=5.0,
        color=style.INK,
        zorder=3,
    )
    return rf"{len(far)} of {len(found)} bins beyond {SIGNIFICANT:g}$\,\sigma$"


def _sun(ax):
    """Mark the place of the Sun."""
    ax.plot(
        *(R_SUN, Z_SUN),
        marker="o",
        markersize=5,
        markerfacecolor="white",
        markeredgecolor=style.INK,
        zorder=5,
    )
