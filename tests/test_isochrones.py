"""Isochrones: every layout of CMD, the nearest one, distances that are right."""

import numpy as np
import pytest

from fastcannon.errors import FileFormatError, InputError
from fastcannon.isochrones import (
    Isochrone,
    distance_statistics,
    distance_to,
    nearest,
    read_isochrones,
)
from fastcannon.simulator.isochrones import cmd_text, isochrone

NEW = "# Zini MH logAge Mini int_IMF Mass logL logTe logg label Gmag"
POINTS = (
    "0.0152 0.0 9.0 0.5 1 0.5 -1 3.60 4.8 1 8.0",
    "0.0152 0.0 9.0 1.0 1 1.0 0 3.76 4.4 3 4.0",
    "0.0152 0.0 9.0 1.1 1 1.1 1 3.70 2.4 4 0.0",
    "0.0152 0.0 9.0 1.2 1 1.2 2 3.80 2.0 9 0.0",
)
LINE = Isochrone(1.0, 0.0, np.array([5000.0, 6000.0]), np.array([4.0, 4.0]))


def write(tmp_path, *lines):
    path = tmp_path / "isochrones.dat"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_simulators_file_is_read_as_it_was_made(tmp_path):
    ages, metallicities = (0.1, 3.6, 3.6, 11.5), (0.0, 0.0, 0.16, -1.18)
    path = write(tmp_path, cmd_text(ages, metallicities))
    found = read_isochrones(path)
    assert [round(one.mh, 4) for one in found] == list(metallicities)
    # Ages are written with five decimals of their logarithm: 1e-5 of them.
    np.testing.assert_allclose([one.age for one in found], ages, rtol=3e-5)
    for one, age, mh in zip(found, ages, metallicities, strict=True):
        made = isochrone(age, mh)
        shown = np.isfinite(one.teff)
        # log Teff has four decimals: 1.2e-4 of Teff; log g has three.
        np.testing.assert_allclose(one.teff[shown], made["teff"], rtol=1.5e-4)
        np.testing.assert_allclose(one.logg[shown], made["logg"], atol=6e-4)


def test_lines_break_at_the_tip_and_end_before_white_dwarfs(tmp_path):
    (one,) = read_isochrones(write(tmp_path, "# a comment", NEW, *POINTS))
    np.testing.assert_array_equal(np.isnan(one.logg), [False, False, True, False])
    assert one.logg[-1] == 2.4
    # Half-way through the gap there is no line.
    teff, logg = (10**3.76 + 10**3.70) / 2, 3.4
    assert distance_to(one, [teff], [logg])[0] > 9


def test_older_files_have_z_and_other_names(tmp_path):
    names = "#\tZ\tlog(age/yr)\tM_ini\tlogL/Lo\tlogTe\tlogG\tmbol"
    path = write(
        tmp_path, names, "0.00152 9.3 1 0 3.7 4.4 4", "0.00152 9.3 2 1 3.8 4 3"
    )
    (one,) = read_isochrones(path)
    assert one.mh == pytest.approx(-1.0, abs=1e-12)
    assert one.age == pytest.approx(10**0.3) and len(one.teff) == 2


def test_ages_in_years_of_cmd_3_0(tmp_path):
    path = write(tmp_path, "# Zini Age Mini logTe logg label", "0.0152 2e9 1 3.7 4.4 1")
    (one,) = read_isochrones(path)
    assert one.age == pytest.approx(2.0) and one.mh == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("hello", "world"), "no line of column names"),
        (("# Zini MH logAge Gmag", "1 2 3 4"), "the nearest has Zini, MH, logAge"),
        ((NEW,), "no points"),
        ((NEW, "0.0152 0.0 9.0 0.5 1 0.5 -1 hot 4.8 1 8.0"), "cannot be read"),
        ((NEW, "0.0152 0.0"), "cannot be read"),
        ((NEW, POINTS[0].replace("9.0", "nan", 1)), "no metallicity or age"),
    ],
)
def test_other_files_are_named(tmp_path, lines, message):
    path = write(tmp_path, *lines)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_isochrones(path)
    assert str(path) in str(caught.value)


def test_the_nearest_isochrone_is_near():
    ages, metallicities = (0.1, 1.0, 1.15, 5.0), (0.0, 0.1, 0.0, -1.0)
    four = [
        LINE._replace(age=age, mh=mh)
        for age, mh in zip(ages, metallicities, strict=True)
    ]
    assert nearest(four, 1.0, 0.09) == (four[1], "")
    assert nearest(four, 1.2, 0.02) == (four[2], "")
    # Exactly at the limits, as files round them.
    assert nearest(four, 5.0, -1.15)[0] is four[3]
    assert nearest(four, 1 / 1.2 * 5.0, -1.0)[0] is four[3]
    none, why = nearest(four, 13.0, -1.9)
    assert none is None and "nearest has -1.00 and 5 Gyr" in why
    none, why = nearest(four, np.nan, 0.0)
    assert none is None
    assert why.startswith("its age or metallicity is not known (a table of literature")
    assert nearest([], 1.0, 0.0) == (None, "there are no isochrones")


def test_distances_are_to_segments():
    teff, logg = np.array([5500.0, 5500.0, 6300.0, np.nan]), [4.0, 4.2, 4.4, 4.0]
    found = distance_to(LINE, teff, logg)
    # 3 units of Teff and 4 of log g beyond the end: 5.
    np.testing.assert_allclose(found[:3], [0.0, 2.0, 5.0], atol=1e-9)
    assert np.isnan(found[3])
    assert distance_to(LINE, [5500.0], [4.2], scale_logg=0.4)[0] == pytest.approx(0.5)
    assert distance_to(LINE, [], []).shape == (0,)


def test_blocks_of_stars_do_not_change_distances():
    rng = np.random.default_rng(1)
    teff, logg = rng.uniform(4000, 7000, 501), rng.uniform(3, 5, 501)
    whole = distance_to(LINE, teff, logg)
    one_by_one = [
        distance_to(LINE, [t], [g])[0] for t, g in zip(teff, logg, strict=True)
    ]
    np.testing.assert_array_equal(whole, one_by_one)


def test_an_isochrone_of_one_point_has_no_distances():
    point = LINE._replace(teff=LINE.teff[:1], logg=LINE.logg[:1])
    with pytest.raises(InputError, match="no line"):
        distance_to(point, [5000.0], [4.0])


def test_statistics_of_distances():
    found = distance_statistics(np.array([1.0, 2.0, 3.0, np.nan]))
    assert (found.n, found.median) == (3, 2.0) and found.p84 == pytest.approx(2.68)
    empty = distance_statistics(np.array([np.nan]))
    assert empty.n == 0 and np.isnan(empty.median) and np.isnan(empty.p84)
