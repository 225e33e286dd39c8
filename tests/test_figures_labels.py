"""Figures of labels and of quality: what they show, and that odd data are drawn."""

import time

import matplotlib
import numpy as np
import pytest
from astropy.table import Table, vstack
from matplotlib.collections import PathCollection, PolyCollection
from PIL import Image

from fastcannon.catalogue import FLAGS
from fastcannon.errors import InputError
from fastcannon.figures import diagnostics, labels, outlines, style
from fastcannon.figures.style import FEW_STARS

SURVEYS = ("lamost", "galah")
NAMES = ("teff", "logg", "age")
CENTRES, WIDTHS = np.array([5000.0, 3.0, 4.0]), np.array([600.0, 1.0, 1.0])
SHIFT = np.array([50.0, 0.0, -0.2])


def stars(n, seed=1):
    """Return labels of the same stars by two surveys; the first has SHIFT added."""
    rng = np.random.default_rng(seed)
    values = CENTRES + WIDTHS * rng.normal(size=(n, 3))
    table = Table()
    for k, name in enumerate(NAMES):
        noise = 0.1 * WIDTHS[k] * rng.normal(size=n)
        table[f"{name}_lamost"] = values[:, k] + SHIFT[k] + noise
        table[f"{name}_galah"] = values[:, k]
        table[f"{name}_given"], table[name] = values[:, k], values[:, k] + noise
    return table


def odd(n):
    """Return stars whose second label is NaN throughout."""
    table = stars(n)
    for name in table.colnames:
        if name.startswith("logg"):
            table[name] = np.nan
    return table


def drawn(figure):
    """Draw a figure, so that every warning comes."""
    figure.canvas.draw()
    return figure


def words(figure_or_axes):
    return " ".join(
        text.get_text() for text in figure_or_axes.findobj(matplotlib.text.Text)
    )


def precision_rows():
    snr = np.geomspace(10, 200, 8)
    rows = Table({"case": ["lamost-on-galah"] * 8 + ["galah-on-galah"] * 8})
    rows["snr"] = np.tile(snr, 2)
    for name in NAMES:
        rows[f"sigma_{name}"] = 3 * np.exp(-rows["snr"] / 40) + 0.5
        rows[f"e_sigma_{name}"] = 0.1
    return rows, {f"lamost-on-galah {name}": [3.0, 40.0, 0.5] for name in NAMES}


def quality(n, seed=1):
    rng = np.random.default_rng(seed)
    flags = {"all spectra": n, "clean": n // 2}
    chi2, snr, far = rng.lognormal(size=(3, n))
    minima = rng.integers(1, 4, n)
    return diagnostics.Quality(minima, chi2, 50 * snr, 3 * far, flags, 5.0, 8.0)


def all_figures(table):
    """Draw every figure of labels and quality from one table of stars."""
    values = {s: (table[f"teff_{s}"], table[f"logg_{s}"]) for s in SURVEYS}
    drawn(labels.kiel_figure(values, values))
    drawn(labels.differences_figure({"Pipelines": table}, SURVEYS, NAMES))
    drawn(labels.cross_validation_figure(table, NAMES, "lamost-on-galah"))
    found = quality(len(table))
    drawn(diagnostics.convergence_figure({"lamost": found, "galah": found}, "galah"))


@pytest.mark.parametrize(("make", "n"), [(stars, 0), (stars, 1), (odd, 1), (odd, 300)])
def test_odd_tables_are_drawn(make, n):
    all_figures(make(n))


def test_a_hundred_thousand_stars_are_drawn_in_seconds():
    table = stars(100_000)
    begin = time.perf_counter()
    all_figures(table)
    assert time.perf_counter() - begin < 30.0  # measured: 2 s, with busy cores 5 s


def test_a_survey_without_stars_says_so():
    table = stars(50)
    values = {"lamost": ([], []), "galah": (table["teff_galah"], table["logg_galah"])}
    figure = drawn(labels.kiel_figure(values, {}))
    assert "no stars" in words(figure.axes[0])
    assert "no stars" not in words(figure.axes[1])
    assert "LAMOST: 0 spectra" in words(figure) and "GALAH: 50" in words(figure)
    empty = quality(0)._replace(flags={})
    found = {"lamost": empty, "galah": quality(50)}
    drawn(diagnostics.convergence_figure(found, "galah"))
    figure = drawn(diagnostics.convergence_figure({"lamost": empty}, "galah"))
    assert words(figure).count("no stars") == 5


def test_kiel_diagrams_are_reversed_and_outline_the_training_stars():
    table = stars(FEW_STARS + 1)
    ax = style.new_figure().subplots()
    columns = [table[f"{name}_galah"] for name in ("teff", "logg")]
    image = labels.kiel(ax, *columns, *columns)
    assert image is not None and image.get_array().sum() > 0.98 * len(table)
    assert ax.get_xlim()[0] > ax.get_xlim()[1] and ax.get_ylim()[0] > ax.get_ylim()[1]
    assert "(K)" in ax.get_xlabel() and "(dex)" in ax.get_ylabel()
    few = style.new_figure().subplots()
    assert (
        labels.kiel(few, *(c[:50] for c in columns), *(c[:9] for c in columns)) is None
    )
    assert sum(isinstance(c, PathCollection) for c in few.collections) == 2


def test_contours_hold_68_and_95_percent():
    x, y = np.random.default_rng(3).normal(size=(2, 50_000))
    ax = style.new_figure().subplots()
    ax.axis((-3, 3, -3, 3))
    outlines.contours(ax, x, y)
    for path, share in zip(ax.collections[0].get_paths(), (0.95, 0.68), strict=True):
        radius = np.median(np.hypot(*path.vertices.T))
        # Measured: 1.0 and 1.2 % off the circles of a normal distribution.
        assert radius == pytest.approx(np.sqrt(-2 * np.log(1 - share)), rel=0.05)
    assert ax.axis() == (-3, 3, -3, 3)


def test_differences_say_mean_and_scatter_before_and_after():
    before, after = stars(3000), stars(3000)
    for name in NAMES:
        after[f"{name}_lamost"] = after[name]
    figure = drawn(
        labels.differences_figure({"Before": before, "After": after}, SURVEYS, NAMES)
    )
    grid = np.array(figure.axes).reshape(3, 2)
    assert [ax.get_title() for ax in grid[0]] == ["Before", "After"]
    difference = before["teff_lamost"] - before["teff_galah"]
    low, high = np.percentile(difference, (16, 84))
    assert f"{difference.mean():+.1f}" in words(grid[0, 0])
    assert f"{(high - low) / 2:.1f}" in words(grid[0, 0])
    for row in grid:  # one range for both, which holds nearly all
        assert row[0].get_ylim() == row[1].get_ylim()
    inside = (difference > grid[0, 0].get_ylim()[0]) & (
        difference < grid[0, 0].get_ylim()[1]
    )
    assert inside.mean() > 0.97
    median = grid[0, 0].lines[-1].get_ydata()
    assert np.abs(median - SHIFT[0]).max() < 40.0  # measured: 20 K
    assert "LAMOST $-$ GALAH" in words(figure) and "GALAH $T" in words(figure)


def test_differences_of_any_labels_and_a_missing_column():
    table = stars(30)
    figure = labels.differences_figure({"Before": table}, SURVEYS, ["age", "logg"])
    assert "GALAH age" in words(figure)
    with pytest.raises(InputError, match="mass_lamost"):
        labels.differences_figure({"Before": table}, SURVEYS, ["teff", "mass"])


def test_cross_validation_panels_leave_a_label_without_stars_empty():
    figure = drawn(
        labels.cross_validation_figure(odd(FEW_STARS + 1), NAMES, "lamost-on-galah")
    )
    assert "no stars" in words(figure.axes[1])
    assert isinstance(figure.axes[0].collections[0], PolyCollection)
    assert "scatter 58.9 K" in words(figure.axes[0])  # 0.1 of 600 K
    assert "LAMOST spectra, GALAH scale" in words(figure)


def test_precision_shows_bins_and_the_numbers_of_the_fit():
    rows, fits = precision_rows()
    rows["sigma_age"] = np.nan
    rows["e_sigma_teff"][0] = np.nan
    figure = drawn(labels.precision_figure(rows, fits, NAMES, SURVEYS, "galah"))
    assert "3, 40, 0.5" in words(figure.axes[0])
    assert "no repeated spectra" in words(figure.axes[2])
    assert figure.axes[0].get_ylim()[0] == 0.0
    curves = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 200]
    assert len(curves) == 1  # the other survey has no fit
    x, y = curves[0].get_data()
    np.testing.assert_allclose(y, 3 * np.exp(-x / 40) + 0.5)
    none = drawn(labels.precision_figure(rows[:0], {}, NAMES, SURVEYS, "galah"))
    assert words(none).count("no repeated spectra") == 3


def test_profile_is_the_running_median():
    x = np.repeat(np.arange(4.0), 30)[:-15]  # the last bin has 15 stars: left out
    y = x + np.tile(np.linspace(-1, 1, 30), 4)[:-15]
    centre, low, median, high = outlines.profile(x, y, np.arange(5) - 0.5)
    np.testing.assert_allclose(centre, [0, 1, 2])
    np.testing.assert_allclose(median, [0, 1, 2], atol=1e-12)
    np.testing.assert_allclose(high - low, 2 * 0.68)
    assert all(not len(found) for found in outlines.profile([], [], [0.0, 1.0]))


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [3.0, np.inf], [0.0, 0.0]])
def test_limits_are_never_empty(values):
    for name in (*NAMES, "vbroad"):
        low, high = style.limits(name, values)
        assert np.isfinite([low, high]).all() and high > low
    assert style.limits("teff", [5000.0]) == (4950.0, 5050.0)


def test_words_have_units_and_dollars_of_names_are_no_mathematics():
    assert style.label_text("teff", "APOGEE") == r"APOGEE $T_\mathrm{eff}$ (K)"
    assert style.label_text("age") == "age"
    assert style.label_text("a$b$") == r"a\$b\$"
    assert style.difference_text("fe_h", "A", "B") == r"$\Delta\,$[Fe/H] (dex), A $-$ B"


def test_files_are_equal_bytes_and_settings_stay(tmp_path):
    before = dict(matplotlib.rcParams)
    kept = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        table = stars(2000)
        figure = labels.differences_figure({"Before": table}, SURVEYS, NAMES[:1])
        files = style.save(figure, tmp_path / folder / "figure.1")
        assert [file.name for file in files] == ["figure.1.png", "figure.1.pdf"]
        kept.append([file.read_bytes() for file in files])
    assert kept[0] == kept[1] and kept[0][1].startswith(b"%PDF")
    assert len(list((tmp_path / "a").iterdir())) == 2
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(InputError, match="does not exist"):
        style.save(figure, tmp_path / "none" / "figure")


def test_few_colours_are_enough(tmp_path):
    """A page holds many pictures."""
    table = stars(2000)
    figure = labels.differences_figure({"Before": table}, SURVEYS, NAMES[:1])
    png, _ = style.save(figure, tmp_path / "figure")
    figure.savefig(tmp_path / "all.png", dpi=style.DPI)
    with Image.open(png) as few, Image.open(tmp_path / "all.png") as first:
        assert few.mode == "P" and few.size == first.size
        away = np.asarray(few.convert("RGB"), int) - np.asarray(first.convert("RGB"))
    # Measured: 0.5 of 255 on average; a panel that moved by a pixel is 8 away.
    assert np.abs(away).mean() < 1.5
    assert png.stat().st_size < 0.7 * (tmp_path / "all.png").stat().st_size


def test_flags_are_counted_bit_by_bit():
    names = ("flag_Cannon_dist", "flag_spectra", "flag_sp_aspcap", "flag_survey")
    rows = {name: np.zeros(6, int) for name in (*names, "flag_snr", "flag_id")}
    rows["flag_fastcannon"] = np.array([0, 3, 2, 64, 0, 0])
    rows["flag_snr"][-1] = 1
    found = diagnostics.flag_counts(rows)
    assert found["all spectra"] == 6 and found["low S/N"] == 1
    assert found["no data"] == 1 and found["not converged"] == 2
    assert found["not catalogued"] == 1 and found["chi2 outlier"] == 0
    assert found["clean"] == 3  # not catalogued is no fault of the spectrum
    assert len(found) == 7 + len(FLAGS)


def test_minima_are_shares_and_limits_are_lines():
    figure = style.new_figure()
    left, right = figure.subplots(1, 2)
    diagnostics.minima(left, {"lamost": np.array([1, 1, 1, 2, 0]), "galah": [9, 9]})
    heights = [bar.get_height() for bar in left.patches]
    np.testing.assert_allclose(heights, [75, 25, 0, 0, 0, 0, 0, 0, 0, 100])
    samples = {"lamost": np.array([1.0, 2.0, np.nan, -1.0]), "galah": np.array([])}
    diagnostics.distribution(right, samples, {"lamost": 1.5, "galah": np.nan}, "D")
    assert [line.get_xdata()[0] for line in right.lines] == [1.5]
    drawn(figure)


def test_bars_have_the_numbers_of_the_flags():
    counts = {"lamost": {"all": 1200, "bad": 0}, "galah": {"all": 7}}
    figure = style.new_figure()
    ax = figure.subplots()
    diagnostics.flags(ax, counts)
    drawn(figure)
    assert {"1,200", "0", "7"} <= {text.get_text() for text in ax.texts}
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["all", "bad"]


def test_tables_of_several_parts_are_equal_to_one():
    table = stars(400)
    parts = vstack([table[:100], table[100:]])
    one, two = (
        labels.differences_figure({"a": t}, SURVEYS, NAMES[:1]) for t in (table, parts)
    )
    assert words(one) == words(two)
