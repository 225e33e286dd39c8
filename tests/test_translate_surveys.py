"""The translator against the truth of simulated surveys, and maps of both together."""

import re

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.text import Text

from bench import translate_surveys as surveys
from bench.simulated_catalogues import LABELS, SURVEYS, make_catalogues
from fastcannon.figures import combined
from fastcannon.figures.galaxy import asymmetry_edges, asymmetry_table
from fastcannon.translate import Settings

QUICK = Settings(width=16, batch=128, rates=(3e-3, 5e-4), epochs=12)
SHORT = {"settings": QUICK, "ensemble": 5}


def needs_training():
    pytest.importorskip("optax", reason="fastcannon[translate] is not installed")


@pytest.fixture(scope="module")
def lopsided():
    """Surveys of a Galaxy whose thin disc is more metal-rich north of the plane."""
    return make_catalogues(14_000, 8_000, 7, asymmetry=0.3)


@pytest.fixture(scope="module")
def translator(lopsided):
    needs_training()
    return surveys.train(lopsided.common, **SHORT)


@pytest.fixture(scope="module")
def both(lopsided, translator):
    return surveys.combine(lopsided, translator)


def stars(n, seed=1, slope=0.0):
    """Return r, z and a metallicity that differs by ``slope`` times |z|, north - south.

    Symmetric about the plane else, with gradients in both directions.
    """
    rng = np.random.default_rng(seed)
    r, z = rng.normal(8.0, 1.5, n), rng.normal(0.0, 0.6, n)
    value = -0.06 * (r - 8.0) - 0.3 * np.abs(z) + 0.5 * slope * z
    return r, z, value + rng.normal(0.0, 0.1, n)


# The truth


@pytest.mark.parametrize("name", SURVEYS)
def test_catalogues_know_their_stars(lopsided, name):
    table = lopsided.catalogues[name]
    assert len(np.unique(table["star"])) == len(table) > 3000
    assert lopsided.stars[f"in_{name}"][table["star"]].all()
    for label in LABELS:
        true = lopsided.stars[f"{label}_{name}_scale"][table["star"]]
        pulls = np.asarray((table[label] - true) / table[f"e_{label}"])
        # Measured: within 0.03 of 1; a table one row off has pulls of 5 and more.
        assert surveys.robust_sigma(pulls[np.isfinite(pulls)]) == pytest.approx(
            1, abs=0.1
        )
    shared = lopsided.stars[lopsided.common["star"]]
    assert (shared["in_apogee"] & shared["in_galah"]).all()


@pytest.mark.parametrize("name", LABELS)
def test_translated_labels_against_the_truth(lopsided, translator, name):
    others = surveys.only_galah(lopsided)
    found = translator.apply(others)
    true = np.asarray(lopsided.stars[f"{name}_apogee_scale"][others["star"]])
    bins = surveys.bias_in_bins(found, name, true, lopsided.common, least=150)
    assert len(bins.bias) >= 10
    # Measured, of bins with few noisy training stars: 0.04 to 0.21; pulls 0.96 to 1.02.
    assert surveys.rms(bins.bias) < 0.3
    assert bins.pull == pytest.approx(1, abs=0.1)
    given = others.copy()
    for label in LABELS:
        given[f"{label}_apogee"] = given[f"{label}_galah"]
        given[f"e_{label}_apogee"] = given[f"e_{label}_galah"]
    given["translate_flag"] = found["translate_flag"]
    # Measured: 0.33 to 0.85.
    before = surveys.bias_in_bins(given, name, true, lopsided.common, least=150)
    assert surveys.rms(before.bias) > 2 * surveys.rms(bins.bias)


def test_the_extrinsic_network_recovers_offset_and_trends(lopsided):
    needs_training()
    recovered, errors = surveys.recover_velocity(lopsided, **SHORT)
    # Measured: 0.4, 0.7 and 0.5 errors off, which are 0.008, 0.011 and 0.019.
    assert (abs(recovered - surveys.INJECTED) < 3 * errors).all()
    assert (errors < 0.15 * surveys.INJECTED).all()


# One scale


def test_both_catalogues_have_one_row_per_star(lopsided, both):
    assert len(both.r) == len(both.z) == len(both.apogee)
    assert 0.3 < both.apogee.mean() < 0.9
    for name in LABELS:
        part = both.apogee
        # APOGEE's own labels are not touched
        assert (both.given[name][part] == both.translated[name][part]).all()
        assert (both.given[name][~part] != both.translated[name][~part]).all()


def test_the_asymmetry_is_recovered(both):
    found = surveys.asymmetry(both, both.translated, "fe_h")
    slope, error = combined.asymmetry_slope(found)
    # Measured: 0.293 +- 0.017 dex/kpc.
    assert abs(slope - 0.3) < 3 * error
    assert slope > 10 * error


def test_scales_of_two_surveys_make_an_asymmetry_that_is_not_there(translator):
    # scales are the surveys', not the Galaxy's
    both = surveys.combine(make_catalogues(36_000, 12_000, 8), translator)
    part = surveys.one_on_each_side(both)
    means = {}
    for kind in ("given", "translated", "true"):
        found = surveys.asymmetry(both, getattr(both, kind), "mg_fe", part)
        weight = 1 / np.asarray(found["error"]) ** 2
        middle = (weight * found["difference"]).sum() / weight.sum()
        means[kind] = middle, 1 / weight.sum()
    # Measured, in standard errors: 9.1 and 0.0.
    away = {
        kind: abs(middle - means["true"][0]) / np.sqrt(variance + means["true"][1])
        for kind, (middle, variance) in means.items()
    }
    assert away["given"] > 4
    assert away["translated"] < 3


# Figures


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_slope_and_profile_of_an_asymmetry(slope):
    r, z, value = stars(20_000, slope=slope)
    found = asymmetry_table(r, z, value, asymmetry_edges(r, z))
    measured, error = combined.asymmetry_slope(found)
    assert abs(measured - slope) < 3 * error and error < 0.01
    profile = combined.asymmetry_profile(found)
    away = (profile["difference"] - slope * profile["z"]) / profile["error"]
    assert len(profile) > 5 and (np.diff(profile["z"]) > 0).all()
    assert (abs(away) < 4).all()


def test_slope_without_bins_is_unknown():
    found = asymmetry_table([], [], [], ([0.0, 1.0], [0.0, 1.0]))
    assert np.isnan(combined.asymmetry_slope(found)).all()
    assert len(combined.asymmetry_profile(found)) == 0


def test_profile_weighs_bins_of_r():
    found = Table(
        {
            "z_low": [0.0, 0.0, 0.5],
            "z_high": [0.5, 0.5, 1.0],
            "difference": [0.1, 0.4, 0.3],
            "error": [0.1, 0.2, 0.1],
        }
    )
    profile = combined.asymmetry_profile(found)
    np.testing.assert_allclose(profile["z"], [0.25, 0.75])
    np.testing.assert_allclose(profile["difference"], [0.16, 0.3])
    np.testing.assert_allclose(profile["error"], [1 / np.sqrt(125), 0.1])


def test_rows_of_the_figure_have_one_range_and_one_set_of_colours():
    r, z, even = stars(4000)
    tilted = stars(4000, slope=0.3)[2]
    figure = combined.combined_figure(r, z, {"before": tilted, "after": even}, "fe_h")
    figure.set_layout_engine("none")
    figure.canvas.draw()
    panels = [ax for ax in figure.axes if ax.get_xlabel()]
    assert len(panels) == 6
    for above, below in zip(panels[:3], panels[3:], strict=True):
        assert above.get_xlim() == pytest.approx(below.get_xlim(), rel=0.2)
        assert above.get_ylim() == below.get_ylim()
    for above, below in ((panels[0], panels[3]), (panels[1], panels[4])):
        clims = [ax.collections[0].get_clim() for ax in (above, below)]
        assert clims[0] == clims[1]
    text = " ".join(each.get_text() for each in figure.findobj(Text))
    assert "before" in text and "after" in text
    slopes = [float(words) for words in re.findall(r"slope \+([0-9.]+)", text)]
    assert slopes[0] == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("n", [0, 1, 30])
def test_few_stars_are_no_map(n):
    r, z, value = stars(n)
    figure = combined.combined_figure(r, z, {"a": value, "b": value * np.nan}, "fe_h")
    figure.set_layout_engine("none")
    figure.canvas.draw()
    text = " ".join(each.get_text() for each in figure.findobj(Text))
    assert text.count("too few stars") >= 5
