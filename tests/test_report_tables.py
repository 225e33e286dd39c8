"""Printed tables: the paper's form, honest digits, files that can be read again."""

import json
import math

import numpy as np
import pytest
from astropy.table import Table
from toy_clusters import literature, stars

from fastcannon.cluster_tables import cluster_table, isochrone_table, trend_table
from fastcannon.differences import difference_table
from fastcannon.errors import InputError
from fastcannon.isochrones import Isochrone
from fastcannon.report import forms, paper
from fastcannon.report.tables import (
    Cell,
    PrintedTable,
    as_latex,
    as_text,
    decimals,
    label_cell,
    number,
    number_cell,
    page_rows,
    write_tables,
)

NAMES = ("teff", "fe_h", "mg_fe")
CASES = ("apogee-on-galah", "galah-on-galah", "galah-on-apogee", "apogee-on-apogee")
SURVEYS = {"apogee": "apogee", "galah": "galah"}


def differences(offset=0.0, surveys=("apogee", "galah"), n_stars=400):
    rng = np.random.default_rng(5)
    table = Table({"logg_galah": rng.uniform(1, 5, n_stars)})
    for name, size in zip(NAMES, (80.0, 0.05, 0.03), strict=True):
        table[f"{name}_galah"] = np.zeros(n_stars)
        table[f"{name}_apogee"] = size * (offset + rng.normal(size=n_stars))
    return difference_table(table, surveys, NAMES, reference="galah")


def factors():
    rows = [
        {"case": case, "label": name, "unit": "", "factor": 2.5 + k, "e_factor": 0.04}
        | {"robust": 1.5, "e_robust": math.nan}
        for k, case in enumerate(CASES)
        for name in ("teff", "vmicro")
    ]
    return Table(rows)


def clusters():
    return cluster_table(stars(), ("fe_h", "alpha_fe"), literature())


@pytest.mark.parametrize(
    ("unit", "error", "digits"),
    [
        *(("K", 0.4, 1), ("K", 1.9, 1), ("K", 27.0, 0), ("K", math.nan, 0)),
        *(("dex", 0.0004, 3), ("dex", 0.012, 3), ("dex", 0.12, 2), ("dex", 0, 2)),
        *(("", 0.04, 3), ("", 1e-9, 4), ("", math.inf, 0), ("km/s", 3.0, 2)),
    ],
)
def test_decimals_follow_the_error_within_the_papers(unit, error, digits):
    assert decimals(unit, error) == digits


def test_numbers_have_no_negative_zero():
    assert number(-0.004, 2) == "0.00" and number(-0.006, 2) == "-0.01"
    assert number(math.nan, 2) == "-" and number(14406.0, 0) == "14,406"
    assert number_cell(0.5, 2, 0.001).text == "0.50 +- <0.01"
    assert number_cell(0.5, 2, math.nan) == Cell("0.50", 0.5)
    assert number_cell(math.nan, 2, 1.0).text == "-"


def test_labels_are_words_in_text_and_symbols_in_latex():
    texts = [label_cell(name).text for name in ("teff", "logg", "alpha_fe", "vsini")]
    assert texts == ["Teff (K)", "log g (dex)", "[alpha/Fe] (dex)", "v sin i (km/s)"]
    assert label_cell("alpha_fe").latex == r"[$\alpha$/Fe] (dex)"
    assert label_cell("na_fe") == Cell("na_fe", "na_fe", r"na\_fe")


def test_table_1_has_the_papers_form():
    found = differences(offset=0.5)
    table = forms.table1(found)
    lines = as_text(table).splitlines()
    giants = found["n_giants"][0]
    assert f"Giants ({giants})" in lines[2] and lines[3].startswith("Parameter (unit)")
    row = found[0]
    assert lines[5].split()[:5] == [
        *("Teff", "(K)", f"{row['mean_all']:.1f}", "+-", f"{row['e_mean_all']:.1f}")
    ]
    assert lines[6].startswith(f"[Fe/H] (dex)      {found['mean_all'][1]:.3f} +- 0.00")
    assert table.rows[0][1].value == row["mean_all"]
    assert "log g of galah < 3.5" in lines[-1]


def test_table_1_without_stars():
    text = as_text(forms.table1(differences(n_stars=0)))
    assert "All (0)" in text and text.splitlines()[5].split() == [
        *("Teff", "(K)", *["-"] * 6)
    ]


def test_table_3_puts_scales_side_by_side():
    scales = {"galah": differences(0.1), "apogee": differences(-0.1)}
    table = forms.table3(scales)
    assert table.groups[1:] == [
        ("apogee-on-galah - galah-on-galah", 2),
        ("apogee-on-apogee - galah-on-apogee", 2),
    ]
    assert table.rows[0][1].value == scales["galah"]["mean_all"][0]
    assert table.rows[0][3].value == scales["apogee"]["mean_all"][0]
    assert list(table.data["scale"]) == ["galah"] * 3 + ["apogee"] * 3
    assert "scale" not in scales["galah"].colnames


def test_table_4_has_a_column_for_each_case():
    table = forms.table4(factors())
    assert [title for title, _ in table.groups[1:]] == list(CASES)
    assert table.rows[0][1].text == "2.50 +- 0.04" and table.rows[0][2].text == "2"
    one = factors()[1:]
    assert forms.table4(one).rows[1][1].text == "-"


def test_tables_5_and_6_are_for_their_kinds():
    found = forms.cluster_forms(clusters())
    assert [table.name for table in found] == ["table5", "table6"]
    names = [row[0].text for row in found[0].rows]
    assert names == ["Young"] * 4 + ["Old"] * 4
    row = clusters()[4]
    assert found[0].rows[4][3] == Cell("0.00, 0.03", 0.0)
    text = f"{number(row['median_fe_h'], 2)}, {row['std_fe_h']:.2f}"
    assert found[0].rows[4][4].text == text
    assert found[1].rows[0][3].text == "-1.00"
    assert any(
        note.startswith("Mean scatter of [Fe/H]: pipelines 0.0")
        for note in found[0].notes
    )
    unknown = cluster_table(stars(), ("fe_h",))
    assert [table.name for table in forms.cluster_forms(unknown)] == ["clusters"]
    assert forms.cluster_forms(cluster_table(stars()[:0], ("fe_h",))) == []


def test_trends_and_distances_have_a_row_each():
    trends = trend_table(stars(), ("fe_h",))
    form = forms.trend_form(trends)
    assert len(form.rows) == len(trends) and form.rows[0][3].text == "[Fe/H]"
    line = Isochrone(4.0, 0.0, np.array([4000.0, 7000.0]), np.array([3.0, 4.0]))
    distances = isochrone_table(stars(), {"Old": (line, ""), "Far": (None, "why")})
    form = forms.distance_form(distances)
    assert len(form.rows) == 6 and form.rows[0][4].value == distances["median"][0]


def test_text_columns_are_aligned():
    table = forms.cluster_forms(clusters())[0]
    lines = as_text(table).splitlines()
    start = lines[3].index("Case")
    assert all(line[start - 2 : start] == "  " for line in lines[5:13])
    assert all(line[start:].startswith(("north", "south")) for line in lines[5:13])


def test_latex_is_escaped():
    rows = [[Cell("a_b & 50 % {x} #1 \\", ""), Cell("-0.5 +- 0.1", -0.5)]]
    table = PrintedTable("t", "$ < ^ ~", [("", 2)], ["A", "B"], rows, ["-"], Table())
    latex = as_latex(table)
    assert r"a\_b \& 50 \% \{x\} \#1 \textbackslash{} & $-$0.5 $\pm$ 0.1 \\" in latex
    assert r"\caption{\$ $<$ \textasciicircum{} \textasciitilde{}}" in latex


def test_latex_has_as_many_cells_in_each_row():
    for table in (
        forms.table1(differences()),
        forms.table4(factors()),
        *forms.cluster_forms(clusters()),
    ):
        rows = [line for line in as_latex(table).splitlines() if line.endswith(r" \\")]
        counts = {line.count(" & ") for line in rows if "multicolumn" not in line}
        assert counts == {len(table.heads) - 1} and len(rows) == len(table.rows) + 2


def test_the_page_gets_texts_and_values():
    head, rows, values = page_rows(forms.table1(differences()))
    assert head[:3] == ["Parameter (unit)", "All (400) mu", "All (400) sigma"]
    assert rows[0][0] == "Teff (K)" and values[0][0] == "Teff"
    assert all(isinstance(value, float) for value in values[0][1:])


def test_files_can_be_read_again(tmp_path):
    found = differences()
    tables = [forms.table1(found), *forms.cluster_forms(clusters())]
    written = write_tables(tmp_path, tables)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.{end}" for name in written for end in ("txt", "tex", "ecsv", "csv")
    )
    for ending in ("ecsv", "csv"):
        again = Table.read(tmp_path / f"table1.{ending}")
        np.testing.assert_array_equal(again["mean_all"], found["mean_all"])
    before = (tmp_path / "table1.tex").read_bytes()
    write_tables(tmp_path, tables)
    assert (tmp_path / "table1.tex").read_bytes() == before
    with pytest.raises(InputError, match="does not exist"):
        write_tables(tmp_path / "absent", tables)


def test_the_papers_numbers_agree_with_each_other():
    # 4.1.2: mean scatter without the three young clusters, to the digits printed.
    old = (*list(paper.TABLE_5.items())[3:], *paper.TABLE_6.items())
    spread = {"AA": [], "GS": []}
    for _, cases in old:
        for case, _, _, std, *_ in cases:
            spread[case[2:]].append(std)
    assert np.mean(spread["AA"]) == pytest.approx(0.06, abs=0.005)
    assert np.mean(spread["GS"]) == pytest.approx(0.065, abs=0.0005)
    # The same stars have the same pipeline values on both scales.
    for cases in (*paper.TABLE_5.values(), *paper.TABLE_6.values()):
        for survey in "AG":
            own = {(n, *rest[2:]) for case, n, *rest in cases if case[0] == survey}
            assert len(own) <= 1
    assert set(paper.TABLE_1) == set(paper.TABLE_3) == set(paper.TABLE_4)
    assert set(paper.LITERATURE) == {*paper.TABLE_5, *paper.TABLE_6}


def test_a_run_beside_the_paper():
    found = paper.beside(SURVEYS, differences(), {"galah": differences()})
    ours = differences()[0]
    first = found[0]
    assert tuple(first)[:5] == ("1", "mean", "teff", "all", "K")
    assert first["difference"] == pytest.approx(ours["mean_all"] - 14)
    assert np.isnan(first["ratio"])
    assert found["ratio"][1] == pytest.approx(ours["scatter_all"] / 84)
    # Teff and [Fe/H] of three groups, then of one scale; [Mg/Fe] is not the paper's.
    assert len(found) == 2 * 2 * 3 + 2 * 2
    third = found[found["table"] == "3"]
    assert set(third["group"]) == {"galah-scaled"} and third["paper"][1] == 66
    form = forms.beside_form(found)
    assert form.rows[0][2].text == "Teff (K)" and len(form.rows) == len(found)


def test_a_run_that_subtracts_the_other_way_round():
    one = paper.beside(SURVEYS, differences(0.3))
    other = paper.beside(SURVEYS, differences(0.3, surveys=("galah", "apogee")))
    np.testing.assert_allclose(other["ours"], one["ours"], rtol=1e-12)
    swapped = {"apogee": "north", "galah": "south"}
    assert len(paper.beside(swapped, differences())) == 0


def test_the_papers_factors_are_divided_by_the_scale():
    scales = {case: {"teff": 2000.0, "vmicro": 0.5} for case in CASES}
    found = paper.beside(SURVEYS, factors=factors(), label_scales=scales)
    row = found[(found["group"] == "ACGS") & (found["label"] == "teff")][0]
    assert row["paper"] == pytest.approx(6.1) and row["ours"] == 2.5
    assert row["ratio"] == pytest.approx(2.5 / 6.1) and row["unit"] == ""
    unknown = found[(found["group"] == "ACAA") & (found["label"] == "vmicro")][0]
    assert np.isnan(unknown["paper"]) and np.isnan(unknown["ratio"])
    assert len(paper.beside(SURVEYS, factors=factors())) == 0


def test_clusters_beside_the_paper():
    table = clusters()
    table["cluster"] = np.where(table["cluster"] == "Old", "NGC 2682", table["cluster"])
    table["case"] = [case.replace("north", "apogee") for case in table["case"]]
    table["case"] = [case.replace("south", "galah") for case in table["case"]]
    found = paper.beside(SURVEYS, clusters=table)
    own = found[found["table"] == "5"]
    assert len(own) == 4 * 5 and set(own["what"][:2]) == {"n", "median"}
    row = own[(own["group"] == "NGC 2682 ACAA") & (own["what"] == "n")][0]
    assert (row["paper"], row["ours"]) == (109, 30)
    assert np.sum(found["what"] == "mean scatter") == 4


def test_counts_beside_the_paper():
    summary = {
        "match": [["apogee: entries", 9], ["matched", 7203], ["training stars", 2209]],
        "stars": {"apogee": {"stars": 10}, "galah": {"stars": 20}},
        "catalogues": {"galah-scaled": {"apogee": {"clean": 85000}}},
    }
    found = paper.beside_counts(SURVEYS, json.loads(json.dumps(summary)))
    assert list(found["what"]) == [
        *("matched", "training stars", "stars", "stars", "clean stars")
    ]
    np.testing.assert_allclose(found["ratio"][[0, 1, 4]], 0.5)
    assert len(paper.beside_counts(SURVEYS, {})) == 0
    assert as_text(forms.beside_form(found, "counts")).count("matched") == 1
