"""Figures of a translator: what they show, and that odd data are drawn."""

import re

import matplotlib
import numpy as np
import pytest
from astropy.table import Table
from matplotlib.collections import PathCollection, PolyCollection
from translate_examples import INPUTS, OUTPUTS, draw_stars

from fastcannon.errors import InputError
from fastcannon.figures import translation
from fastcannon.figures.networks import (
    history_figure,
    importance_figure,
    learning_steps,
)
from fastcannon.figures.translation import Residuals
from fastcannon.translate import Settings, Translator, pictures
from fastcannon.translate.columns import read_columns


def one_output(n, seed=0, offset=40.0):
    """Return Teff of n stars: an input with an offset, translated without."""
    rng = np.random.default_rng(seed)
    given = rng.uniform(4000, 6500, n)
    before, after = offset + 30 * rng.normal(size=n), 10 * rng.normal(size=n)
    return Residuals("teff_b", "K", given, before, after)


def losses(seed=0):
    """Return losses of two learning rates; networks 0 and 1 stop early in the first."""
    rng = np.random.default_rng(seed)
    epoch = np.arange(20.0)[:, None]
    trained = 0.3 + 0.5 * np.exp(-epoch / 5) + 0.02 * rng.random((20, 6))
    history = np.stack([trained, trained + 0.1], axis=1)
    history[8:12, :, :2] = np.nan
    return history


def shares(n_inputs, names=("teff_b", "mg_b")):
    rng = np.random.default_rng(n_inputs)
    table = Table({"input": [f"input_{k}" for k in range(n_inputs)]})
    table["input"][0] = "logg_a"
    for name in names:
        table[name] = rng.random(n_inputs)
        table[f"{name}_percent"] = 100 * table[name] / table[name].sum()
    return table


def kiel_stars(n, fe_h=True, seed=0):
    rng = np.random.default_rng(seed)
    logg, metals = rng.uniform(0.5, 4.5, n), rng.normal(-0.3, 0.3, n)
    teff = 3700 + 350 * logg - 300 * metals + 50 * rng.normal(size=n)
    return teff, logg, metals if fe_h else None


def drawn(figure):
    """Draw a figure, so that every warning comes."""
    figure.canvas.draw()
    return figure


def words(figure):
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def points(axis):
    return [one for one in axis.collections if isinstance(one, PathCollection)]


@pytest.mark.parametrize(
    "name, expected, text",
    [
        ("teff_apogee", ("teff", "apogee"), r"APOGEE $T_\mathrm{eff}$ (K)"),
        ("alpha_m_dr17", ("alpha_m", "dr17"), r"DR17 [$\alpha$/M] (dex)"),
        ("LOGG_SEIS", ("logg", "SEIS"), r"SEIS $\log\,g$ (dex)"),
        ("FE_H", ("fe_h", ""), "[Fe/H] (dex)"),
        ("mg_dr13", ("mg_dr13", ""), "mg_dr13"),
        ("KIC E(B-V)", ("KIC E(B-V)", ""), "KIC E(B-V)"),
        ("cost_$", ("cost_$", ""), r"cost_\$"),
    ],
)
def test_columns_have_the_words_of_the_label_in_front(name, expected, text):
    assert translation.split_name(name) == expected
    assert translation.column_text(name) == text


def test_a_unit_of_the_column_counts_more():
    assert translation.column_text("mg_dr13", "dex") == "mg_dr13 (dex)"
    assert translation.column_text("teff_b", "1000 K").endswith("(1000 K)")
    assert translation.column_text("teff_b", None) == r"B $T_\mathrm{eff}$"


def test_bands_are_the_percentiles_of_normal_residuals():
    rng = np.random.default_rng(3)
    centre, bands = translation.running_bands(
        rng.uniform(0, 1, 100_000), rng.normal(size=100_000)
    )
    assert bands.shape == (7, 20)
    np.testing.assert_allclose(centre, np.arange(0.025, 1, 0.05), atol=0.002)
    # measured 0.062, 0.089 and 0.22 at most, in bins of 5,000 stars
    for sigma, tolerance in ((1, 0.08), (2, 0.12), (3, 0.3)):
        for side in (-sigma, sigma):
            np.testing.assert_allclose(bands[3 + side], side, atol=tolerance)
    np.testing.assert_allclose(bands[3], 0, atol=0.06)  # measured 0.045


@pytest.mark.parametrize("n", [0, 1, 19, 20, 39, 41, 300])
def test_bins_of_bands_have_twenty_stars_or_more(n):
    x = np.random.default_rng(n).exponential(size=n)
    centre, bands = translation.running_bands(np.append(x, np.nan), np.arange(n + 1.0))
    assert len(centre) <= n // 20 and (n < 20) == (len(centre) == 0)
    assert bands.shape == (7, len(centre)) and np.isfinite(bands).all()
    assert (np.diff(bands, axis=0) >= 0).all()


def test_bins_are_joined_where_stars_are_sparse():
    x = np.concatenate([np.linspace(0, 1, 1000), np.linspace(1, 10, 30)])
    centre, _ = translation.running_bands(x, x)
    assert centre[0] < 0.5 and centre[-1] > 3


def test_rows_show_offset_and_scatter_before_and_after():
    figure = drawn(translation.residual_figure([one_output(500), one_output(500, 1)]))
    assert len(figure.axes) == 8
    before, side, after, _ = figure.axes[:4]
    assert "Before" in before.get_title() and "After" in after.get_title()
    assert before.get_ylim() == after.get_ylim() == side.get_ylim()
    assert before.get_ylabel() == r"$\Delta\,$$T_\mathrm{eff}$ (K)"
    assert after.get_ylabel() == "" and figure.axes[4].get_title() == ""
    one = one_output(500)
    for axis, values in ((before, one.before), (after, one.after)):
        middle = np.median(values)
        sigma = 1.4826 * np.median(abs(values - middle))
        text = rf"median ${middle:+.1f}$, $\sigma$ ${sigma:.1f}$ K"
        assert text in words(axis)
        dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert dashed[0].get_ydata()[0] == pytest.approx(middle)


def test_the_gaussian_has_the_area_of_the_histogram():
    figure = translation.residual_figure([one_output(5000)])
    side = figure.axes[1]
    heights = [patch.get_width() for patch in side.patches]
    bar = side.patches[0].get_height()
    curve = max(side.lines, key=lambda line: len(line.get_xdata()))
    x, y = curve.get_data()
    # measured 1.0003
    assert np.trapezoid(x, y) / (bar * sum(heights)) == pytest.approx(1, abs=0.02)


def test_an_output_without_start_has_only_the_right_column():
    one = one_output(300)
    alone = one._replace(before=None)
    assert len(drawn(translation.residual_figure([alone])).axes) == 2
    figure = drawn(translation.residual_figure([alone, one]))
    titles = [axis.get_title().split(":")[0] for axis in figure.axes]
    assert titles == ["After", "", "Before", "", "", ""]
    first, _, before, _, after, _ = (axis.get_position() for axis in figure.axes)
    assert first.x0 == pytest.approx(after.x0) and before.x1 < first.x0
    assert figure.axes[0].get_ylabel()


def test_of_many_stars_only_those_beyond_three_sigma_are_points():
    few, many = one_output(900), one_output(20_000)
    counts = []
    for one in (few, many):
        axis = translation.residual_figure([one]).axes[2]
        counts.append(sum(len(c.get_offsets()) for c in points(axis)))
    assert counts[0] == 900
    # 0.27 % of normal residuals; measured 74
    assert 20 < counts[1] < 120


def test_stars_beyond_the_panel_are_triangles_at_its_edge():
    one = one_output(400)
    one.after[:1], one.after[1:2] = 1e6, -1e6
    axis = translation.residual_figure([one]).axes[2]
    low, high = axis.get_ylim()
    above, below = (c.get_offsets()[:, 1] for c in points(axis)[1:])
    assert len(above) >= 1 and len(below) >= 1
    assert (above < high).all() and (below > low).all()
    assert high - low < 1000


@pytest.mark.parametrize("kind", ["nan", "part", "one", "none", "constant", "far"])
def test_odd_residuals_are_drawn(kind):
    one = one_output(60)
    nan = np.full(60, np.nan)
    odd = {
        "nan": one._replace(given=nan, before=nan, after=nan),
        "part": one._replace(before=nan),
        "one": Residuals(*one[:2], *(a[:1] for a in one[2:])),
        "none": Residuals(*one[:2], *(a[:0] for a in one[2:])),
        "constant": one._replace(
            given=np.full(60, 5000.0), before=np.full(60, 3.0), after=np.zeros(60)
        ),
        "far": one._replace(name="a rather long name of a column", unit=""),
    }
    figure = drawn(translation.residual_figure([odd[kind]]))
    expected = {"nan": 2, "part": 1, "none": 2}.get(kind, 0)
    assert words(figure).count("no stars") == expected
    assert len(figure.axes) == 4


def test_losses_are_thin_lines_with_a_thick_median():
    history = losses()
    axis = drawn(history_figure(history)).axes[0]
    thick = [line for line in axis.lines if line.get_linewidth() == 2.0]
    thin = [line for line in axis.lines if line.get_linewidth() == 0.6]
    assert len(thick) == 2 and len(thin) == 12 and axis.get_yscale() == "log"
    for k, line in enumerate(thick):
        median = np.median(history[:, k], axis=1)
        running = np.isfinite(median)
        assert running.sum() == 16
        np.testing.assert_allclose(line.get_ydata()[running], median[running])
        # those that stopped keep their last losses: the median has no gap
        kept = np.concatenate([history[10, k, 2:], history[7, k, :2]])
        assert line.get_ydata()[10] == pytest.approx(np.median(kept))


def test_a_new_learning_rate_is_seen_where_networks_go_on():
    history = losses()
    np.testing.assert_array_equal(learning_steps(history), [12])
    axis = history_figure(history).axes[0]
    dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [12.5]
    assert len(learning_steps(np.ones((5, 2, 3)))) == 0


@pytest.mark.parametrize(
    "history",
    [
        np.full((4, 2, 3), np.nan),
        np.empty((0, 2, 3)),
        np.zeros((4, 2, 3)),
        np.full((1, 2, 1), 0.4),
        np.where(np.arange(3) > 1, np.nan, np.ones((6, 2, 3))),
    ],
    ids=["nan", "no epochs", "zeros", "one epoch", "a network of NaN"],
)
def test_odd_losses_are_drawn(history):
    text = words(drawn(history_figure(history)))
    assert ("no losses" in text) == (not (history > 0).any())


@pytest.mark.parametrize("n_inputs", [1, 5, 12])
def test_segments_of_importance_are_stacked_to_hundred(n_inputs):
    table = shares(n_inputs)
    figure = drawn(importance_figure(table))
    axis = figure.axes[0]
    ends = np.zeros(2)
    for k, bars in enumerate(axis.containers):
        for row, bar in enumerate(bars):
            name = ("teff_b", "mg_b")[row]
            assert bar.get_x() == pytest.approx(ends[row])
            assert bar.get_width() == pytest.approx(table[f"{name}_percent"][k])
            ends[row] += bar.get_width()
    np.testing.assert_allclose(ends, 100)
    looks = {bars[0].get_facecolor() for bars in axis.containers}
    assert len(looks) == n_inputs
    rows = [label.get_text() for label in axis.get_yticklabels()]
    assert rows == [r"B $T_\mathrm{eff}$", "mg_b"]


def test_only_wide_segments_have_numbers():
    table = shares(2)
    for name in ("teff_b", "mg_b"):
        table[f"{name}_percent"] = [97.6, 2.4]
    texts = [text.get_text() for text in importance_figure(table).axes[0].texts]
    assert sorted(texts) == ["", "", "98", "98"]


def test_the_legend_of_importance_is_read_line_by_line():
    figure = drawn(importance_figure(shares(5)))
    legend = figure.legends[0]
    places = {
        text.get_text(): text.get_window_extent().get_points()[0]
        for text in legend.get_texts()
    }
    names = [r"A $\log\,g$", *(f"input_{k}" for k in range(1, 5))]
    assert set(places) == set(names)
    x, y = np.array([places[name] for name in names]).T
    assert (np.diff(x[:3]) > 0).all() and x[3] < x[4] < x[2]
    assert max(y[3:]) < min(y[:3])


def test_outputs_that_nothing_moves_are_drawn():
    table = shares(3)
    table["teff_b_percent"] = 0.0
    assert drawn(importance_figure(table)).axes[0].get_xlim() == (0, 100)


def test_kiel_diagrams_have_one_range_and_one_colour_bar():
    stars = {"Before": kiel_stars(300), "Given: B": kiel_stars(5000, seed=1)}
    figure = drawn(translation.kiel_figure(stars))
    few, many, bar = figure.axes
    assert few.get_xlim() == many.get_xlim() and few.get_ylim() == many.get_ylim()
    assert few.xaxis_inverted() and few.yaxis_inverted()
    assert [axis.get_title() for axis in (few, many)] == list(stars)
    assert bar.get_ylabel() == "[Fe/H] (dex)"
    assert isinstance(few.collections[0], PathCollection)
    np.testing.assert_array_equal(few.collections[0].get_array(), stars["Before"][2])
    assert isinstance(many.collections[0], PolyCollection)


def test_many_stars_have_the_colour_of_their_median():
    teff, logg, _ = kiel_stars(4000)
    fe_h = np.where(teff > 4700, 0.2, -0.8)
    figure = drawn(translation.kiel_figure({"Given": (teff, logg, fe_h)}))
    hexagons = figure.axes[0].collections[0]
    middle = hexagons.get_offsets()[:, 0]
    away = abs(middle - 4700) > 50  # a hexagon is 36 K wide
    expected = np.where(middle > 4700, 0.2, -0.8)
    assert away.sum() > 400
    np.testing.assert_allclose(hexagons.get_array()[away], expected[away])


@pytest.mark.parametrize("kind", ["no fe_h", "nan", "part", "one", "none", "constant"])
def test_odd_kiel_diagrams_are_drawn(kind):
    many, nan = kiel_stars(2000), np.full(50, np.nan)
    odd = {
        "no fe_h": kiel_stars(50, fe_h=False),
        "nan": (nan, nan, nan),
        "part": (*kiel_stars(50)[:2], nan),
        "one": kiel_stars(1),
        "none": kiel_stars(0),
        "constant": tuple(np.full(50, value) for value in (5000.0, 3.0, 0.0)),
    }
    alone = drawn(translation.kiel_figure({"Given": odd[kind]}))
    assert words(alone).count("no stars") == (kind in ("nan", "part", "none"))
    bars = kind in ("one", "constant")
    assert len(alone.axes) == 1 + bars
    both = drawn(translation.kiel_figure({"Before": many, "Given": odd[kind]}))
    # without [Fe/H] of all there is a density, with a bar of its own
    assert len(both.axes) == 3
    assert both.axes[-1].get_ylabel() == (
        "Stars" if kind == "no fe_h" else "[Fe/H] (dex)"
    )


@pytest.fixture(scope="module")
def translator():
    pytest.importorskip("optax", reason="fastcannon[translate] is not installed")
    quick = Settings(width=8, batch=128, rates=(3e-3,), epochs=2)
    made = Translator(INPUTS, OUTPUTS, ensemble=2, settings=quick)
    return made.train(draw_stars(300))


@pytest.fixture
def figures(monkeypatch):
    """Figures by the name of their file, which is not written."""
    found = {}

    def keep(figure, stem):
        figure.draw_without_rendering()
        found[stem.name] = figure
        return [stem]

    monkeypatch.setattr(pictures.style, "save", keep)
    return found


def test_pictures_of_a_validation_are_written(translator, tmp_path):
    stars = draw_stars(120, seed=1)
    before = stars.copy()
    paths = pictures.write_pictures(translator, stars, tmp_path / "new" / "folder")
    names = ("residuals", "history", "importance", "kiel")
    assert [path.name for path in paths] == [
        f"{name}.{end}" for name in names for end in ("png", "pdf")
    ]
    for path in paths:
        start = b"%PDF" if path.suffix == ".pdf" else b"\x89PNG"
        assert path.read_bytes().startswith(start)
    assert (stars == before).all()


def test_pictures_show_what_the_table_says(translator, figures, tmp_path):
    stars = draw_stars(150, seed=1)
    stars["teff_b"][:20] = -9999.0
    stars["fe_h_a"][20:50] = np.nan
    pictures.write_pictures(translator, stars, tmp_path)
    before = figures["residuals"].axes[0]
    difference = (stars["teff_a"] - stars["teff_b"])[20:]
    assert f"median ${np.median(difference):+.1f}$" in " ".join(words(before))
    assert "130 stars" in words(figures["residuals"].axes[1])
    # inputs that are missing are not the translator's fault
    assert "100 stars" in words(figures["residuals"].axes[3])
    kiel = figures["kiel"].axes
    assert [axis.get_title() for axis in kiel[:3]] == [
        *("Before: A", "Translated", "Given: B")
    ]
    # B has no [Fe/H]: its stars have the colours of A's
    colours = [axis.collections[0].get_array() for axis in kiel[:3]]
    for found in colours:
        np.testing.assert_array_equal(found, stars["fe_h_a"][50:])
    outputs = [
        label.get_text() for label in figures["importance"].axes[0].get_yticklabels()
    ]
    assert outputs == [r"B $T_\mathrm{eff}$", r"B $\log\,g$"]


@pytest.mark.parametrize("kind", ["one", "nan output", "nan input"])
def test_pictures_of_odd_tables_are_made(translator, figures, tmp_path, kind):
    stars = draw_stars(1 if kind == "one" else 60, seed=2)
    if kind == "nan output":
        stars["logg_b"] = np.nan
    if kind == "nan input":
        stars["fe_h_a"] = np.nan
    pictures.write_pictures(translator, stars, tmp_path)
    few = {"residuals", "history", "kiel"}
    there = few if kind in ("one", "nan input") else few | {"importance"}
    assert set(figures) == there


def test_without_gravities_there_is_no_kiel_diagram(
    translator, figures, tmp_path, monkeypatch
):
    assert pictures.find_kiel(("TEFF_a", "fe_H_raw", "my_logg")) == {
        "teff": 0,
        "fe_h": 1,
    }
    assert pictures.find_kiel(("logg_2", "logg_1")) == {"logg": 0}
    monkeypatch.setattr(pictures, "find_kiel", lambda names: {"teff": 0})
    monkeypatch.setattr(translator, "starts", (-1, 1))
    pictures.write_pictures(translator, draw_stars(60), tmp_path)
    assert set(figures) == {"residuals", "history", "importance"}
    # an output that starts from no input has no panels before translation
    assert len(figures["residuals"].axes) == 6


def test_pictures_need_both_surveys(translator, tmp_path):
    stars = draw_stars(60)
    for name in ("teff_b", "fe_h_a"):
        with pytest.raises(InputError, match=f"no column {name}"):
            pictures.write_pictures(
                translator,
                stars[[n for n in stars.colnames if n != name]],
                tmp_path / "no",
            )
    with pytest.raises(InputError, match="not trained"):
        pictures.write_pictures(Translator(INPUTS, OUTPUTS), stars, tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_real_labels_are_drawn(translator, figures, tmp_path, data_dir):
    stars = Table.read(data_dir / "catalogues" / "apogee_dr12_x_dr13.csv")
    names = ("TEFF_dr12", "LOGG_dr12", "FE_H_dr12")
    made = Translator(
        *(names, ("teff_dr13", "logg_dr13")), ensemble=2, settings=translator.settings
    )
    complete = np.isfinite(read_columns(stars, (*names, *made.outputs))).all(axis=1)
    stars = stars[complete]
    made.train(stars[:300])  # as many as of `translator`: nothing is compiled anew
    pictures.write_pictures(made, stars[300:600], tmp_path)
    assert set(figures) == {"residuals", "history", "importance", "kiel"}
    sigma = [
        float(re.search(r"sigma\$ \$([0-9.]+)\$ K", " ".join(words(axis)))[1])
        for axis in figures["residuals"].axes[:4:2]
    ]
    # measured 28.7 and 15.3 K; two networks, hardly trained, and the best simple map
    assert sigma[1] < 0.75 * sigma[0]
    assert figures["kiel"].axes[-1].get_ylabel() == "[Fe/H] (dex)"
