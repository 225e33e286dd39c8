"""Differences between two scales, and their errors."""

import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, Table

from fastcannon import InputError
from fastcannon.differences import (
    difference_lines,
    difference_table,
    mean_and_scatter,
)

# Differences as injected: for giants and dwarfs, mean and standard deviation.
TRUTH = {
    "teff": ((35.0, 68.0), (0.0, 94.0)),
    "logg": ((0.03, 0.13), (0.08, 0.10)),
    "fe_h": ((0.05, 0.10), (0.0, 0.06)),
}
CENTRES = {"teff": 5000.0, "logg": 3.5, "fe_h": -0.2}


@pytest.fixture(scope="module")
def stars():
    """4000 stars on two scales, some giants, some dwarfs."""
    rng = np.random.default_rng(8)
    n = 4000
    giant = rng.random(n) < 0.4
    table = Table()
    for label, ((mu_g, sigma_g), (mu_d, sigma_d)) in TRUTH.items():
        values = CENTRES[label] + np.zeros(n)
        if label == "logg":
            values = np.where(giant, 2.5, 4.3)
        noise = rng.normal(size=n)
        change = np.where(giant, mu_g + sigma_g * noise, mu_d + sigma_d * noise)
        table[f"{label}_galah"] = values
        table[f"{label}_apogee"] = values + change
    return table


def test_the_injected_differences_come_back(stars):
    found = difference_table(stars, ("apogee", "galah"), TRUTH)
    giants = (stars["logg_galah"] < 3.5).sum()
    for row in found:
        assert (row["n_giants"], row["n_dwarfs"]) == (giants, 4000 - giants)
        assert row["n_all"] == 4000
        for group, (mu, sigma) in zip(
            ("giants", "dwarfs"), TRUTH[row["parameter"]], strict=True
        ):
            # Largest pull measured: 2.5; 4 would be lost to a wrong sign or group.
            for name, true in (("mean", mu), ("scatter", sigma)):
                pull = (row[f"{name}_{group}"] - true) / row[f"e_{name}_{group}"]
                assert abs(pull) < 4
    assert list(found["unit"]) == ["K", "dex", "dex"]


def test_exchanging_surveys_changes_the_sign_only(stars):
    one = difference_table(stars, ("apogee", "galah"), TRUTH)
    other = difference_table(stars, ("galah", "apogee"), TRUTH, reference="galah")
    np.testing.assert_allclose(one["mean_all"], -other["mean_all"])
    for name in ("scatter", "e_mean", "e_scatter"):
        np.testing.assert_allclose(
            one[f"{name}_giants"], other[f"{name}_giants"], rtol=1e-9
        )


def test_the_reference_decides_who_is_a_giant():
    table = Table({"logg_a": [3.0, 3.4, 3.6], "logg_b": [3.6, 3.4, 3.0]})
    table["logg_a"][2] = np.nan
    by_a = difference_table(table, ("a", "b"), ["logg"], reference="a")
    by_b = difference_table(table, ("a", "b"), ["logg"])
    # The third has no log g of a, and so no difference either.
    assert (by_a["n_all"][0], by_a["n_giants"][0], by_a["n_dwarfs"][0]) == (2, 2, 0)
    assert (by_b["n_all"][0], by_b["n_giants"][0], by_b["n_dwarfs"][0]) == (2, 1, 1)
    assert by_b.meta["reference"] == "b"


def test_a_star_at_the_cut_is_a_dwarf():
    table = Table({"logg_a": [3.5, 3.4], "logg_b": [3.5, 3.4]})
    found = difference_table(table, ("a", "b"), ["logg"])
    assert (found["n_giants"][0], found["n_dwarfs"][0]) == (1, 1)


def test_mean_and_scatter_of_known_values():
    n, mean, e_mean, scatter, _ = mean_and_scatter(np.r_[np.arange(101.0), np.nan])
    assert n == 101 and mean == 50 and scatter == pytest.approx(34)
    assert e_mean == pytest.approx(np.std(np.arange(101), ddof=1) / np.sqrt(101))


def test_few_values():
    assert mean_and_scatter(np.array([np.nan]))[0] == 0
    assert np.isnan(mean_and_scatter(np.empty(0))[1:]).all()
    n, mean, e_mean, scatter, e_scatter = mean_and_scatter(np.array([3.0]))
    assert (n, mean, scatter) == (1, 3.0, 0.0) and np.isnan([e_mean, e_scatter]).all()
    assert np.isfinite(mean_and_scatter(np.array([1.0, 2.0]))).all()


@pytest.mark.parametrize("shape", ["normal", "tails"])
def test_errors_are_those_of_repeated_samples(shape):
    rng = np.random.default_rng(3)
    draw = rng.standard_normal if shape == "normal" else lambda s: rng.standard_t(4, s)
    found = np.array([mean_and_scatter(v)[1:] for v in draw((1500, 300))])
    mean, e_mean, scatter, e_scatter = found.T
    # Measured: ratios 1.01 to 1.03, each good to 2 percent.
    assert np.median(e_mean) / mean.std() == pytest.approx(1, abs=0.1)
    assert np.mean(e_scatter) / scatter.std() == pytest.approx(1, abs=0.1)


def test_masked_values_are_left_out(stars):
    table = stars.copy()
    table["teff_apogee"] = MaskedColumn(
        stars["teff_apogee"], mask=np.arange(4000) < 100
    )
    assert difference_table(table, ("apogee", "galah"), ["teff"])["n_all"][0] == 3900


def test_lines_have_the_layout_of_the_paper(stars):
    lines = difference_lines(difference_table(stars, ("apogee", "galah"), TRUTH))
    assert lines[0].startswith("apogee-galah") and "All (4,000)" in lines[0]
    assert lines[0].index("Giants") < lines[0].index("Dwarfs")
    assert lines[1].split() == ["Parameter", "(unit)", *["mu", "sigma"] * 3]
    assert lines[2].startswith("teff (K)") and lines[2].count("+-") == 6
    assert "log g of galah < 3.5" in lines[-1]
    assert len({line.index("+-") for line in lines[2:5]}) == 1


def test_columns_that_are_missing_or_no_numbers(stars):
    with pytest.raises(
        InputError, match=r"no column 'teff_apoge' \(did you mean 'teff_"
    ):
        difference_table(stars, ("apoge", "galah"), ["teff"])
    with pytest.raises(InputError, match=r"no column 'logg_x'"):
        difference_table(stars, ("apogee", "galah"), ["teff"], reference="x")
    table = stars.copy()
    table.replace_column("teff_apogee", Column(["a"] * 4000))
    with pytest.raises(InputError, match=r"'teff_apogee' has type <U1"):
        difference_table(table, ("apogee", "galah"), ["teff"])


def test_without_a_log_g_there_are_no_giants_nor_dwarfs():
    table = Table({"teff_a": [5000.0, 5010.0], "teff_b": [4990.0, 5000.0]})
    found = difference_table(table, ("a", "b"), ["teff"])
    row = found[0]
    assert (row["n_all"], row["n_giants"], row["n_dwarfs"]) == (2, 0, 0)
    assert row["mean_all"] == 10 and np.isnan(row["mean_giants"])
    assert "nan" in difference_lines(found)[2]
