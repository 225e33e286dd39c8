"""Figures of spectra: what they show and say, and that odd data do not stop them."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from toy import NAMES, toy

from fastcannon.censors import default_windows
from fastcannon.errors import InputError
from fastcannon.figures import spectra
from fastcannon.figures.arms import arms, element_spans, lines
from fastcannon.figures.style import COLOURS, save
from fastcannon.model import CannonModel
from fastcannon.report.samples import Residuals
from fastcannon.surveys import apogee, galah

# Two arms of 300 pixels of GALAH's red part, H alpha in the first.
GRID = np.r_[6480 + 0.4 * np.arange(300), 7680 + 0.4 * np.arange(300)]
SUN = {"teff": 5772.0, "logg": 4.44, "vbroad": 5.0}
WINDOWS = default_windows("galah")


def residuals(wavelength=GRID, n_stars=30, seed=0):
    median = 0.001 * np.random.default_rng(seed).normal(size=len(wavelength))
    return Residuals(wavelength, median, median - 0.02, median + 0.03, n_stars)


def flux(wavelength=GRID, seed=0):
    return 1 - 0.5 * np.random.default_rng(seed).random(len(wavelength)) ** 8


def words(figure):
    """Return all that a figure says, drawn first."""
    figure.canvas.draw()
    found = [text.get_text() for ax in figure.axes for text in ax.texts]
    if figure.get_suptitle():
        found.append(figure.get_suptitle())
    return "\n".join(found)


def drawn(figure):
    """Return the panels with lines of data, top down; the windows' have none."""
    return [ax for ax in figure.axes if ax.lines]


def test_arms_end_at_gaps():
    assert arms(GRID) == [slice(0, 300), slice(300, 600)]
    assert [len(galah.WAVELENGTH[part]) for part in arms(galah.WAVELENGTH)] == [
        arm.n_pixels for arm in galah.ARMS
    ]
    assert arms(GRID[:1]) == [slice(0, 1)]
    assert arms(GRID, np.zeros(600, bool)) == []


def test_unused_stretches_are_gaps_and_masked_lines_are_not():
    grid = apogee.WAVELENGTH
    used = np.zeros(len(grid), bool)
    for start, end in apogee.REGIONS:
        used |= (grid >= start) & (grid <= end)
    detectors = arms(grid, used)
    assert [(grid[p][0], grid[p][-1]) for p in detectors] == list(apogee.REGIONS)
    used[detectors[1].start + 100 : detectors[1].start + 120] = False  # 80 km/s
    assert arms(grid, used) == detectors


def test_lines_are_where_the_medium_has_them():
    air, vacuum = dict(lines("air")), dict(lines("vacuum"))
    assert air[r"H$\alpha$"] == pytest.approx(6562.79)
    assert vacuum[r"H$\alpha$"] == pytest.approx(6564.60, abs=0.01)
    assert vacuum["Br11"] == pytest.approx(16811.1, abs=0.1)  # NIST: 16811.11
    assert lines("unknown") == []


def test_windows_of_an_arm():
    air = element_spans(WINDOWS, "air", 6478.0, 6735.0)
    assert list(air) == ["Ca", "Si", "Ti"] and air["Ca"].shape == (3, 2)
    vacuum = element_spans(WINDOWS, "vacuum", 6478.0, 6735.0)
    assert vacuum["Ca"][0, 0] - air["Ca"][0, 0] == pytest.approx(1.79, abs=0.01)
    assert element_spans(None, "air", 1e3, 1e4) == {}
    assert element_spans(WINDOWS, "unknown", 1e3, 1e4) == {}


def test_residuals_of_each_arm_stand_below_a_spectrum():
    cases = {"galah-on-apogee": residuals(), "galah-on-galah": residuals(seed=1)}
    figure = spectra.residual_figure(cases, flux(), SUN, WINDOWS, "air")
    said = words(figure)
    assert said.count("galah-on-apogee: median and 16-84 % of 30 stars") == 2
    assert r"H$\alpha$" in said and "5772 K" in said and "4.44 dex" in said
    assert len(drawn(figure)) == 6
    top, *below = drawn(figure)[:3]
    np.testing.assert_array_equal(top.lines[0].get_ydata(), flux()[:300])
    for ax, one, colour in zip(below, cases.values(), COLOURS, strict=False):
        median = ax.lines[-1]
        np.testing.assert_array_equal(median.get_ydata(), one.median[:300])
        assert median.get_color() == colour
        # The band is seen whole, with room for words above.
        assert ax.get_ylim()[0] < -0.02 and ax.get_ylim()[1] > 0.05
        assert ax.get_xlim() == top.get_xlim() == (GRID[0], GRID[299])
    elements = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert elements == ["Ca", "Si", "Ti"]


def test_axes_say_medium_and_unit():
    figure = spectra.residual_figure({"a": residuals()}, flux(), {}, None, "vacuum")
    assert figure.get_supxlabel() == "wavelength (\u00c5, vacuum)"
    figure = spectra.residual_figure({"a": residuals()}, flux(), {}, WINDOWS)
    assert figure.get_supxlabel() == "wavelength (\u00c5)"
    assert r"H$\alpha$" not in words(figure)


def test_wild_pixels_do_not_stretch_residuals():
    one = residuals()
    one.p84[[10, 400]] = 50.0
    figure = spectra.residual_figure({"a": one}, flux(), SUN)
    assert all(ax.get_ylim()[1] < 2.0 for ax in figure.axes)


def test_twins_show_their_difference_and_its_mean():
    first, second = flux(), flux() + 0.0125
    second[:300] -= 0.02
    second[7] = np.nan
    names = ("star $1", "star 2")
    figure = spectra.twins_figure(GRID, first, second, names, None, WINDOWS, "air")
    said = words(figure)
    assert "mean -0.0075" in said and "mean +0.0125" in said
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [r"star \$1", "star 2", "second minus first"]
    top, bottom = drawn(figure)[:2]
    assert [line.get_color() for line in top.lines[:2]] == list(COLOURS[:2])
    np.testing.assert_array_equal(bottom.lines[1].get_ydata(), (second - first)[:300])


def test_a_synthetic_difference_is_drawn_over_it():
    wave = np.where(GRID < 7000, 0.2 * np.sin(GRID), np.nan)
    names = ("a", "b")
    figure = spectra.twins_figure(GRID, flux(), flux(seed=1), names, wave)
    assert figure.legends[0].get_texts()[-1].get_text() == "synthetic"
    first, second = drawn(figure)[1], drawn(figure)[3]
    np.testing.assert_array_equal(first.lines[-1].get_ydata(), wave[:300])
    assert first.get_ylim()[0] < -0.2
    assert len(second.lines) == len(first.lines) - 1  # it does not reach that arm


@pytest.fixture(scope="module")
def model():
    """A model of 600 pixels, log g used in the second arm only, one pixel unseen."""
    made = toy(60, 600)
    made.ivar[:, 5] = 0.0
    censors = {"logg": np.arange(600) < 300}
    return CannonModel(NAMES, censors=censors).train(*made.training, wavelength=GRID)


def test_coefficients_are_those_of_each_label(model):
    part = slice(300, 600)
    figure = spectra.coefficients_figure(model, part, WINDOWS, "air", "case $1")
    said = words(figure)
    assert r"case \$1" in said and f"per {model.scales[0]:.0f} K" in said
    *panels, scatter = drawn(figure)
    assert len(panels) == 3
    for k, ax in enumerate(panels):
        # Terms begin with the constant and the linear ones.
        np.testing.assert_array_equal(
            ax.lines[-1].get_ydata(), model.theta[part, 1 + k]
        )
    assert "mathrm{eff}" in panels[0].get_ylabel()
    np.testing.assert_allclose(scatter.lines[0].get_ydata() ** 2, model.s2[part])


def test_censored_labels_and_pixels_without_training_are_drawn(model):
    figure = spectra.coefficients_figure(model, slice(0, 300))
    words(figure)
    _, logg, _, scatter = drawn(figure)
    assert not logg.lines[-1].get_ydata().any()
    assert np.isnan(scatter.lines[0].get_ydata()[5])


def test_models_without_linear_terms_or_wavelengths(model):
    made = toy(60, 600)
    bent = CannonModel(NAMES, terms=["teff", "logg^2", "fe_h"])
    bent.train(*made.training, wavelength=GRID)
    assert "no linear term" in words(spectra.coefficients_figure(bent, slice(0, 300)))
    with pytest.raises(InputError, match="wavelength"):
        spectra.coefficients_figure(CannonModel(NAMES), slice(0, 1))


NOTHING = np.full(len(GRID), np.nan)


@pytest.mark.parametrize("windows", [None, WINDOWS[:0], WINDOWS])
def test_figures_survive_what_is_missing(windows):
    none = Residuals(GRID, NOTHING, NOTHING, NOTHING, 0)
    for cases in ({"a": none}, {"a": none, "b": residuals(n_stars=1)}):
        figure = spectra.residual_figure(cases, NOTHING, {}, windows, "air")
        assert "no s" in words(figure)
    figure = spectra.twins_figure(GRID, NOTHING, flux(), ("", ""), NOTHING, windows)
    assert "no spectrum" in words(figure)
    half = np.where(GRID < 7000, flux(), np.nan)
    words(spectra.residual_figure({"a": residuals()}, half, SUN, windows, "air"))
    one = np.where(np.arange(600) == 400, 1.0, np.nan)
    words(spectra.twins_figure(GRID, one, flux(), ("a", "b"), None, windows, "air"))
    with pytest.raises(InputError, match="no case"):
        spectra.residual_figure({}, flux(), SUN)


def test_elements_may_be_many_and_long_spectra_are_drawn():
    elements = [f"E{i}" for i in range(30)]
    start = np.linspace(4720, 7870, 30)
    windows = Table({"element": elements, "start": start, "end": start + 2})
    windows["medium"] = "air"
    grid = np.linspace(4700, 7900, 100_000)
    figure = spectra.residual_figure(
        {"a": residuals(grid)}, flux(grid), SUN, windows, "air"
    )
    words(figure)
    assert len(figure.axes[0].get_yticks()) == 30


def test_figures_are_files_of_equal_bytes(tmp_path):
    cases = {"galah-on-apogee": residuals()}
    found = []
    for number in range(2):
        figure = spectra.residual_figure(cases, flux(), SUN, WINDOWS, "air")
        paths = save(figure, tmp_path / f"{number}")
        found.append([Path(path).read_bytes() for path in paths])
    assert found[0] == found[1]


def test_panels_hold_their_words():
    """Words end inside the figure, and names of lines inside their panel."""
    cases = {"galah-on-apogee": residuals()}
    labels = SUN | {"fe_h": 0.01, "alpha_fe": -0.02, "vmicro": 1.1}
    figure = spectra.residual_figure(cases, flux(), labels, WINDOWS, "air")
    figure.canvas.draw()
    assert figure.bbox.contains(*figure._suptitle.get_window_extent().min)
    for ax in figure.axes:
        box = ax.get_tightbbox()
        assert figure.bbox.contains(*box.min) and figure.bbox.contains(*box.max)
    edge = dict(lines("air"))[r"H$\alpha$"]
    near = np.linspace(edge - 0.1, edge + 20, 200)
    one = spectra.residual_figure({"a": residuals(near)}, flux(near), {}, None, "air")
    assert r"H$\alpha$" not in words(one)  # it would run out of the panel
