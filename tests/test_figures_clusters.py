"""Figures of clusters: what they show, and that little data does not stop them."""

import matplotlib
import numpy as np
import pytest
from astropy.table import Table
from matplotlib.collections import PathCollection
from toy_clusters import literature, stars

from fastcannon.clusters import ordered
from fastcannon.figures.clusters import (
    cluster_abundance_figure,
    cluster_kiel_figure,
    pages,
)
from fastcannon.isochrones import Isochrone

LINE = Isochrone(4.0, 0.0, np.array([4000.0, np.nan, 7000.0]), np.array([3.0, 3, 3]))


def panels(figure, count):
    figure.draw_without_rendering()
    return figure.axes[:count]


def texts(axis):
    return [text.get_text() for text in axis.texts]


def drawn(axis):
    return sum(
        len(one.get_offsets())
        for one in axis.collections
        if isinstance(one, PathCollection)
    )


def empty(table):
    found = table[:0]
    found.meta = table.meta
    return found


def test_rows_are_sources_and_columns_clusters():
    table = stars()
    clusters = ordered(table, literature())
    found = panels(cluster_kiel_figure(table, clusters, {"Old": (LINE, "")}), 9)
    assert [axis.get_title() for axis in found[:3]] == ["Young", "Old", "Far"]
    assert [axis.get_ylabel().split("\n")[0] for axis in found[::3]] == [
        *("pipelines", "NORTH-scaled", "SOUTH-scaled")
    ]
    assert found[0].xaxis_inverted() and found[0].yaxis_inverted()
    assert [drawn(axis) for axis in found[:3]] == [40, 60, 16]
    assert [len(axis.lines) for axis in found[:3]] == [0, 1, 0]
    assert [texts(axis) for axis in found[:3]] == [
        ["no isochrone"],
        [],
        ["no isochrone"],
    ]


def test_colours_are_metallicities_above_the_pipelines_median():
    table = stars()
    figure = cluster_kiel_figure(table, ["Old"])
    own = table[(table["cluster"] == "Old")]
    middle = np.median(own["fe_h_pipelines"])
    north = own[own["survey"] == "north"]
    for axis, source in zip(figure.axes, ("pipelines", "north", "south"), strict=False):
        colours = np.asarray(axis.collections[0].get_array())
        np.testing.assert_allclose(colours, north[f"fe_h_{source}"] - middle)
    plain = cluster_kiel_figure(table, ["Old"], metallicity=None)
    assert len(plain.axes) == 3 and plain.axes[0].collections[0].get_array() is None


def test_surveys_have_their_markers_and_medians():
    table = stars()
    figure = cluster_abundance_figure(table, ["Old", "Far"])
    axis = panels(figure, 6)[0]
    circles, triangles = axis.collections
    assert len(circles.get_paths()[0]) != len(triangles.get_paths()[0])
    own = table[(table["cluster"] == "Old") & (table["survey"] == "south")]
    lines = [line.get_ydata()[0] for line in axis.lines]
    assert lines[1] == pytest.approx(np.median(own["fe_h_pipelines"]))


def test_a_field_star_does_not_stretch_the_panel():
    table = stars()
    old = np.flatnonzero(table["cluster"] == "Old")
    for source in ("pipelines", "north", "south"):
        table[f"fe_h_{source}"][old[0]] = -2.0
    axis = panels(cluster_abundance_figure(table, ["Old"]), 3)[0]
    assert axis.get_ylim()[0] > -0.5 and texts(axis) == ["1 outside"]


@pytest.mark.parametrize("draw", [cluster_kiel_figure, cluster_abundance_figure])
def test_little_data_does_not_stop_figures(draw):
    table = stars()
    everything_nan = table.copy()
    for name in everything_nan.colnames[4:]:
        everything_nan[name] = np.nan
    one_survey = table[table["survey"] == "north"]
    for some in (table[:1], one_survey, everything_nan, empty(table)):
        clusters = ordered(some) or ["Old"]
        found = panels(draw(some, clusters), 3)
        if some is everything_nan or not len(some):
            assert texts(found[0]) == ["no stars"]
        else:
            assert drawn(found[0]) > 0


def test_100_000_stars_are_drawn():
    table = stars()
    many = table[np.resize(np.flatnonzero(table["cluster"] == "Old"), 100_000)]
    many.meta = table.meta
    for draw in (cluster_kiel_figure, cluster_abundance_figure):
        axis = panels(draw(many, ["Old"]), 3)[0]
        # The density's range leaves a hundredth out along each axis.
        assert not drawn(axis) and axis.images[0].get_array().sum() > 97_000


def test_names_of_clusters_are_no_mathematics():
    table = stars()
    table["cluster"] = np.where(
        table["cluster"] == "Old", "$x_1$ & $", table["cluster"]
    )
    found = panels(cluster_abundance_figure(table, ["$x_1$ & $"]), 3)
    assert found[0].get_title() == r"\$x_1\$ & \$"


def test_pages_are_nearly_equal():
    assert pages(list("abcde")) == [["a", "b", "c"], ["d", "e"]]
    assert pages(list("abcd")) == [list("abcd")] and pages([]) == [[]]


def test_drawing_leaves_data_and_settings_alone():
    table, before = stars(), dict(matplotlib.rcParams)
    copy = Table(table, copy=True)
    cluster_kiel_figure(table, ["Old"])
    cluster_abundance_figure(table, ["Old"], "alpha_fe", "logg")
    assert dict(matplotlib.rcParams) == before
    assert all(np.array_equal(table[name], copy[name]) for name in table.colnames)
