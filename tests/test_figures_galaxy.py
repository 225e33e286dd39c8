"""Figures of the Galaxy: places, maps, north minus south, and odd data."""

import time

import numpy as np
import pytest
from matplotlib.text import Text

from fastcannon.figures import galaxy, style

SCALES = ("lamost", "galah")


def stars(n, seed=1, tilt=0.0):
    """Return r, z and metallicities, the latter by ``tilt`` dex higher in the north."""
    rng = np.random.default_rng(seed)
    r, z = rng.normal(8.0, 1.5, n), rng.normal(0.0, 0.6, n)
    value = -0.06 * (r - 8.0) - 0.3 * np.abs(z) + tilt * (z > 0)
    return r, z, value + rng.normal(0.0, 0.1, n)


def all_figures(r, z, value):
    """Draw every figure of the Galaxy for two scales."""
    places = {scale: (r, z) for scale in SCALES}
    values = {scale: value for scale in SCALES}
    galaxy.galaxy_figure(places).canvas.draw()
    figure = galaxy.maps_figure(places, values, "fe_h")
    figure.canvas.draw()
    return figure


def words(figure_or_axes):
    return " ".join(text.get_text() for text in figure_or_axes.findobj(Text))


def test_positions_of_known_places():
    # The Galactic centre, twice as far, its poles, the anticentre at 1 kpc.
    ra = np.array([266.4051, 266.4051, 192.8595, 12.8595, 86.4051])
    dec = np.array([-28.936175, -28.936175, 27.1283, -27.1283, 28.936175])
    distance = 1000 * np.array([8.122, 16.244, 1.0, 1.0, 1.0])
    r, z = galaxy.positions(ra, dec, distance)
    # The plane of the frame is that of the Sun's height: measured 3 pc off.
    np.testing.assert_allclose(r, [0.0, 8.122, 8.122, 8.122, 9.122], atol=5e-3)
    np.testing.assert_allclose(z, [0.0, -0.0208, 1.0208, -0.9792, 0.0234], atol=5e-3)


def test_positions_without_a_distance_are_nan():
    r, z = galaxy.positions(
        [10.0, 10.0, 10.0, np.nan], [5.0] * 4, [np.nan, 0.0, -3.0, 100.0]
    )
    assert np.isnan(r).all() and np.isnan(z).all()
    assert all(not len(found) for found in galaxy.positions([], [], []))


@pytest.mark.parametrize("n", [0, 1, 30, 2000])
def test_odd_data_are_drawn(n):
    r, z, value = stars(n)
    nan = np.full(n, np.nan)
    places = {"good": (r, z), "nowhere": (nan, z), "unknown": (r, z), "equal": (r, z)}
    values = {"good": value, "nowhere": value, "unknown": nan, "equal": np.zeros(n)}
    figure = galaxy.maps_figure(places, values, "fe_h")
    figure.set_layout_engine("none")  # quicker; other tests have the layout
    figure.canvas.draw()
    assert words(figure).count("too few stars") == {0: 8, 1: 8, 30: 6, 2000: 4}[n]


def test_a_scale_without_stars_says_so():
    places = {"lamost": ([], []), "galah": stars(50)[:2]}
    figure = galaxy.galaxy_figure(places)
    figure.canvas.draw()
    assert "no stars" in words(figure.axes[0])
    assert "no stars" not in words(figure.axes[1])
    assert "GALAH scale: 50" in words(figure)


def test_a_hundred_thousand_stars_are_drawn_in_seconds():
    begin = time.perf_counter()
    all_figures(*stars(100_000))
    assert time.perf_counter() - begin < 20.0  # measured: 2 s, with busy cores 6 s


def test_maps_are_medians_of_bins_with_enough_stars():
    r, z, value = stars(20_000)
    value[::100] = 50.0  # a mean would see these
    ax = style.new_figure().subplots()
    mesh = galaxy.median_map(ax, r, z, value)
    across, up = (
        edges[:-1] + np.diff(edges) / 2
        for edges in (mesh.get_coordinates()[0, :, 0], mesh.get_coordinates()[:, 0, 1])
    )
    expected = -0.06 * (across - 8.0) - 0.3 * np.abs(up[:, None])
    found = mesh.get_array()
    assert 0.3 < found.mask.mean() < 0.8  # corners have no stars
    # Measured: 0.016 dex, of 0.1 dex / sqrt(n) and the slope within a bin.
    assert np.median(np.abs(found - expected).compressed()) < 0.03
    assert "kpc" in ax.get_xlabel() and "kpc" in ax.get_ylabel()


def test_asymmetry_finds_a_difference_between_north_and_south():
    edges = np.array([6.0, 8.0, 10.0]), np.array([0.0, 0.5, 1.0])
    table = galaxy.asymmetry_table(*stars(5000, tilt=0.1), edges)
    assert len(table) == 4
    assert table["r_low"].tolist() == [6, 6, 8, 8]
    assert table["z_high"].tolist() == [0.5, 1, 0.5, 1]
    assert (np.abs(table["difference"] - 0.1) < 3 * table["error"]).all()
    assert (table["difference"] > 5 * table["error"]).all()
    r, z, _ = stars(5000)
    inside = (r >= 6) & (r < 8) & (np.abs(z) < 0.5)
    assert table["n_north"][0] == (inside & (z > 0)).sum()
    assert table["n_north"][0] + table["n_south"][0] == inside.sum()


def test_asymmetry_has_an_honest_error_and_is_odd_in_z():
    edges = np.linspace(5, 11, 7), np.linspace(0, 1.2, 5)
    pulls = []
    for seed in range(10):
        r, z, value = stars(5000, seed)
        table = galaxy.asymmetry_table(r, z, value, edges)
        pulls.append(table["difference"] / table["error"])
        turned = galaxy.asymmetry_table(r, -z, value, edges)
        np.testing.assert_allclose(turned["difference"], -table["difference"])
    # Measured: 0.94, from 237 bins (standard error 0.05).
    assert np.std(np.concatenate(pulls)) == pytest.approx(1.0, abs=0.15)


def test_asymmetry_leaves_out_bins_with_few_stars_on_a_side():
    r, value = np.full(40, 8.0), np.linspace(0, 1, 40)
    z = np.where(np.arange(40) < 9, 0.3, -0.3)
    edges = [7.0, 9.0], [0.0, 1.0]
    assert len(galaxy.asymmetry_table(r, z, value, edges)) == 0
    z[9] = 0.3
    assert galaxy.asymmetry_table(r, z, value, edges)["n_north"].tolist() == [10]


def test_maps_mark_and_count_bins_beyond_three_errors():
    r, z, value = stars(5000, tilt=0.1)
    ax = style.new_figure().subplots()
    mesh = galaxy.asymmetry_map(ax, r, z, value)
    table = galaxy.asymmetry_table(r, z, value, galaxy.asymmetry_edges(r, z))
    far = np.abs(table["difference"]) > 3 * table["error"]
    assert len(ax.collections[1].get_offsets()) == far.sum() > 5
    assert f"{far.sum()} of {len(table)} bins" in ax.get_title()
    assert mesh.norm.vmin == -mesh.norm.vmax and mesh.norm.vcenter == 0.0
    found = mesh.get_array().compressed()
    np.testing.assert_allclose(np.sort(found), np.sort(table["difference"]))


def test_both_scales_have_one_range_and_one_set_of_colours():
    first, second = stars(3000), stars(4000, seed=2, tilt=0.2)
    places = {"lamost": first[:2], "galah": second[:2]}
    values = {"lamost": first[2], "galah": second[2]}
    figure = galaxy.maps_figure(places, values, "fe_h")
    maps = [ax for ax in figure.axes if ax.get_xlabel()]
    assert len(maps) == 4 and maps[0].get_xlim() == maps[2].get_xlim()
    for above, below in (maps[0], maps[2]), (maps[1], maps[3]):
        meshes = above.collections[0], below.collections[0]
        assert meshes[0].get_clim() == meshes[1].get_clim()
    assert "[Fe/H] (dex), north $-$ south" in words(figure)
