"""Clusters: who is a member, and what is said of members is true."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from toy_clusters import (
    FE_H,
    FIRST_ID,
    NAMES,
    SIZES,
    SURVEYS,
    catalogues,
    literature,
    members_table,
    stars,
)

from fastcannon.cluster_files import read_literature, read_members
from fastcannon.cluster_tables import (
    cluster_isochrones,
    cluster_table,
    isochrone_table,
    mean_scatter,
    trend,
    trend_table,
)
from fastcannon.clusters import (
    catalogue_columns,
    clean_members,
    cluster_stars,
    members,
    ordered,
)
from fastcannon.errors import FileFormatError, InputError
from fastcannon.isochrones import Isochrone


@pytest.mark.parametrize("ending", ["ecsv", "csv", "fits"])
def test_members_are_read_with_exact_ids(tmp_path, ending):
    table = members_table()
    path = tmp_path / f"members.{ending}"
    table.rename_column("dr3_source_id", "source_id")
    table.write(path)
    found = read_members(path)
    assert found.colnames == ["cluster", "probability", "dr3_source_id"]
    np.testing.assert_array_equal(found["dr3_source_id"], table["source_id"])
    assert found["dr3_source_id"].dtype == np.int64
    assert list(found["cluster"]) == list(table["cluster"])


def test_missing_values_are_no_members(tmp_path):
    path = tmp_path / "members.ecsv"
    table = members_table()
    table["probability"] = MaskedColumn(table["probability"])
    table["dr3_source_id"] = MaskedColumn(table["dr3_source_id"])
    table["probability"].mask[0] = table["dr3_source_id"].mask[1] = True
    table.write(path)
    found = members(catalogues()["north"], read_members(path))
    assert len(found["Old"]) == 2 * (SIZES["Old"] - 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.remove_column("cluster"), "no column cluster"),
        (lambda t: t.remove_column("probability"), "no column probability"),
        (lambda t: t.remove_column("dr3_source_id"), "no column of identifiers"),
        (lambda t: t.replace_column("probability", [90.0] * len(t)), "percent"),
        (
            lambda t: t.replace_column("dr3_source_id", np.arange(len(t)) + 0.5),
            "column dr3_source_id: type float64.*64-bit whole numbers",
        ),
        (lambda t: t.replace_column("probability", ["x"] * len(t)), "one number"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path, change, message):
    table, path = members_table(), tmp_path / "members.ecsv"
    change(table)
    table.write(path)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_members(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_table(tmp_path):
    path = tmp_path / "members.fits"
    path.write_text("nothing\n")
    with pytest.raises(FileFormatError, match="no table that can be read"):
        read_members(path)
    with pytest.raises(FileNotFoundError):
        read_members(tmp_path / "absent.fits")


def test_literature_may_know_little(tmp_path):
    path = tmp_path / "clusters.ecsv"
    Table({"name": ["A", "B"], "type": ["open", ""], "age": [1, 2]}).write(path)
    found = read_literature(path)
    assert list(found["cluster"]) == ["A", "B"] and list(found["kind"]) == ["open", ""]
    assert list(found["age"]) == [1.0, 2.0] and np.isnan(found["fe_h"]).all()
    Table({"name": ["A", "A"]}).write(path, overwrite=True)
    with pytest.raises(FileFormatError, match="A: more than one row"):
        read_literature(path)


def test_masked_text_is_empty_but_names_are_needed(tmp_path):
    path = tmp_path / "clusters.ecsv"
    kinds = MaskedColumn(["open", "open"], mask=[False, True])
    Table({"cluster": ["A", "B"], "kind": kinds}).write(path)
    assert list(read_literature(path)["kind"]) == ["open", ""]
    names = MaskedColumn(["A", "B"], mask=[False, True])
    Table({"cluster": names, "kind": kinds}).write(path, overwrite=True)
    with pytest.raises(FileFormatError, match="column cluster: row 1 is empty"):
        read_literature(path)


def test_members_have_exact_ids_and_a_larger_probability():
    table = members_table()
    table["probability"][0] = 0.5
    found = members(catalogues()["north"], table)
    n = len(table)
    np.testing.assert_array_equal(found["Old"], [*range(1, 30), *range(n + 1, n + 30)])
    # One id more: as floats it would be that of the neighbour.
    table["dr3_source_id"] += 2 * n
    assert all(
        len(rows) == 0 for rows in members(catalogues()["north"], table).values()
    )


def test_members_by_any_id_count_once():
    catalogue, table = catalogues()["north"], members_table()
    table["survey_id"] = [f"star-{k}" for k in range(len(table))]
    table["dr2_source_id"] = np.zeros(len(table), np.int64)  # 0 is no id
    found = members(catalogue, table)
    assert {name: len(rows) for name, rows in found.items()} == {
        name: 2 * size for name, size in SIZES.items()
    }
    table.remove_column("dr3_source_id")
    found = members(catalogue, table)
    np.testing.assert_array_equal(found["Old"], np.arange(SIZES["Old"]))


def test_clusters_need_less_signal_than_clean_galah_stars():
    catalogue = {name: values[:6] for name, values in catalogues()["north"].items()}
    catalogue["flag_id"] = np.array([0, 0, 1, 1, 2, 2])
    catalogue["snr"] = np.array([30.0, 25.0, 90.0, np.nan, 1.0, 1.0])
    catalogue["flag_snr"] = np.array([1, 1, 0, 0, 0, 1])
    found = clean_members(catalogue)
    np.testing.assert_array_equal(found, [True, False, True, False, True, False])
    found = clean_members(catalogue, {})
    np.testing.assert_array_equal(found, catalogue["flag_snr"] == 0)
    np.testing.assert_array_equal(catalogue["flag_snr"], [1, 1, 0, 0, 0, 1])


def test_stars_have_the_labels_of_all_scales():
    found = stars()
    assert len(found) == 2 * sum(SIZES.values())
    one, other = catalogues().values()
    assert set(catalogue_columns(NAMES, members_table().colnames)) <= set(one)
    np.testing.assert_array_equal(
        found["fe_h_north"][:30], one["fehCann"][:30].astype(float)
    )
    np.testing.assert_array_equal(
        found["fe_h_south"][:30], other["fehCann"][:30].astype(float)
    )
    assert list(found["survey"][:31]) == ["north"] * 30 + ["south"]
    assert found["survey_id"][0] == "star-0"


def test_stars_are_clean_on_every_scale():
    found = catalogues()
    found["south"]["flag_Cannon_dist"][:5] = 1
    table = cluster_stars(found, members_table(), SURVEYS, NAMES)
    assert len(table) == 2 * sum(SIZES.values()) - 5


def test_surveys_without_members_and_without_stars():
    nobody = members_table()
    nobody["probability"] = 0.1
    table = cluster_stars(catalogues(), nobody, SURVEYS, NAMES)
    assert len(table) == 0 and "fe_h_south" in table.colnames
    assert ordered(table) == [] and len(cluster_table(table, ("fe_h",))) == 0
    assert mean_scatter(cluster_table(table, ("fe_h",)), "fe_h") == {}
    assert len(trend_table(table, ("fe_h",))) == 0
    assert len(isochrone_table(table, {})) == 0


def test_catalogues_of_other_stars_are_refused():
    found = catalogues()
    found["south"]["survey_id"][0] = "another"
    with pytest.raises(InputError, match="same stars"):
        cluster_stars(found, members_table(), SURVEYS, NAMES)
    with pytest.raises(InputError, match="no catalogue"):
        cluster_stars({}, members_table(), SURVEYS, NAMES)


def test_open_clusters_by_age_then_globular_ones_by_metallicity():
    assert ordered(stars(), literature()) == ["Young", "Old", "Far"]
    assert ordered(stars()) == ["Far", "Old", "Young"]
    two = literature()
    two["kind"] = "globular"
    assert ordered(stars(), two) == ["Young", "Old", "Far"]


def test_medians_and_scatter_of_each_case():
    found = cluster_table(stars(), ("fe_h", "alpha_fe"), literature())
    assert len(found) == 3 * 4
    row = found[(found["cluster"] == "Old") & (found["case"] == "south-on-south")][0]
    catalogue = catalogues()["south"]
    own = members(catalogue, members_table())["Old"][30:]
    assert row["n"] == 30 and row["fe_h"] == 0.0 and row["e_fe_h"] == 0.03
    assert row["median_fe_h"] == pytest.approx(np.median(catalogue["fehCann"][own]))
    spread = catalogue["feh"][own].astype(float).std(ddof=1)
    assert row["std_fe_h_pipelines"] == pytest.approx(spread, rel=1e-6)
    assert row["median_fe_h"] - row["median_fe_h_pipelines"] == pytest.approx(
        0.1, abs=1e-6
    )
    assert abs(row["median_fe_h_pipelines"] - FE_H["Old"]) < 0.05


def test_a_case_without_stars_has_a_row():
    catalogue = catalogues()
    for one in catalogue.values():
        one["snr"][one["flag_id"] == 0] = 1.0
    table = cluster_stars(catalogue, members_table(), SURVEYS, NAMES)
    found = cluster_table(table, ("fe_h",), literature())
    empty = found[found["survey"] == "south"]
    assert len(empty) == 6 and not empty["n"].any()
    assert np.isnan(empty["median_fe_h"]).all() and np.isnan(empty["std_fe_h"]).all()


def test_mean_scatter_leaves_young_clusters_out():
    table = cluster_table(stars(), ("fe_h",), literature())
    old = table[(table["cluster"] != "Young") & (table["scale"] == "north")]
    found = mean_scatter(table, "fe_h")
    assert found["north"] == (pytest.approx(old["std_fe_h"].mean()), 4)
    assert found["pipelines"] == (pytest.approx(old["std_fe_h_pipelines"].mean()), 4)
    table["n"][table["cluster"] == "Far"] = 4
    assert mean_scatter(table, "fe_h")["north"][1] == 2


def test_trends_are_least_squares():
    x = np.array([4000.0, 4500.0, 5000.0, 5500.0, 6000.0, np.nan])
    y = 0.1 * (x - 5000.0) / 1000.0 + np.array([0.01, -0.01, 0.0, -0.01, 0.01, 0.0])
    found = trend(x, y, 1000.0)
    assert found.n == 5
    assert found.slope == pytest.approx(np.polyfit(x[:5] / 1000, y[:5], 1)[0])
    # HC3 by its definition: X'X^-1 X' diag(e^2 / (1 - h)^2) X X'X^-1.
    design = np.column_stack([np.ones(5), x[:5] / 1000])
    inverse = np.linalg.inv(design.T @ design)
    hat = np.einsum("ij,jk,ik->i", design, inverse, design)
    residual = y[:5] - design @ (inverse @ design.T @ y[:5])
    middle = (design * ((residual / (1 - hat)) ** 2)[:, None]).T @ design
    assert found.error == pytest.approx(np.sqrt((inverse @ middle @ inverse)[1, 1]))
    assert trend(x, -y, 1000.0).significance == pytest.approx(-found.significance)


def test_trends_of_nothing_are_as_rare_as_they_should_be():
    rng = np.random.default_rng(3)
    x = rng.uniform(4000, 6500, (2000, 15))
    # Hot stars scatter more: errors that suppose one size would be too small.
    y = rng.normal(size=x.shape) * (0.02 + 4e-5 * (x - 4000))
    found = np.array(
        [trend(a, b, 1000.0).significance for a, b in zip(x, y, strict=True)]
    )
    # Gaussian: 0.046 and 0.0027; measured 0.048 and 0.0035.
    assert 0.03 < np.mean(np.abs(found) > 2) < 0.06
    assert np.mean(np.abs(found) > 3) < 0.007
    strong = [trend(a, b + 2e-4 * a, 1000.0) for a, b in zip(x[:200], y, strict=False)]
    assert np.mean([one.slope for one in strong]) == pytest.approx(0.2, abs=0.01)
    assert np.median([one.significance for one in strong]) > 4


def test_trends_that_cannot_be():
    nan = trend([1.0, 2.0], [1.0, 2.0])
    assert nan.n == 2 and np.isnan([nan.slope, nan.error, nan.significance]).all()
    assert np.isnan(trend(np.full(9, 5000.0), np.arange(9.0)).slope)
    exact = trend(np.arange(8.0), np.zeros(8))
    assert exact.slope == 0 and np.isnan(exact.significance)
    # A slope beyond doubt does not overflow.
    x = np.arange(2000.0)
    sure = trend(x, x + 1e-9 * (-1) ** np.arange(2000)).significance
    assert 30 < sure < np.inf


def test_a_planted_trend_is_in_the_table():
    table = stars()
    old = (table["cluster"] == "Old") & (table["survey"] == "north")
    table["fe_h_north"] += np.where(old, (table["teff_north"] - 5500) / 1000, 0.0)
    found = trend_table(table, ("fe_h", "alpha_fe"), literature())
    # Clusters x surveys x sources x labels x (teff, logg).
    assert len(found) == 3 * 2 * 3 * 2 * 2
    row = found[
        (found["cluster"] == "Old")
        & (found["survey"] == "north")
        & (found["source"] == "north")
        & (found["label"] == "fe_h")
        & (found["with"] == "teff")
    ][0]
    assert abs(row["slope"] - 1.0) < 4 * row["e_slope"] and row["significance"] > 5


def test_isochrones_of_clusters_and_distances_to_them():
    line = Isochrone(4.1, 0.05, np.array([4000.0, 7000.0]), np.array([3.0, 3.0]))
    found = cluster_isochrones(stars(), [line], literature())
    assert found["Old"] == (line, "") and found["Young"][0] is None
    assert "not known" in found["Far"][1]
    table = isochrone_table(stars(), found)
    assert set(table["cluster"]) == {"Old"} and len(table) == 2 * 3
    own = stars()[(stars()["cluster"] == "Old") & (stars()["survey"] == "south")]
    expected = np.median(np.abs(own["logg_north"] - 3.0) / 0.1)
    row = table[(table["survey"] == "south") & (table["source"] == "north")][0]
    assert row["median"] == pytest.approx(expected) and row["n"] == 30


def test_ids_differ_by_less_than_floats_can_tell():
    assert float(FIRST_ID) == float(FIRST_ID - 1)
