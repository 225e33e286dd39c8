"""Panels of figures with odd data: NaN, one star, none of a survey, 100,000 stars.

Whole figures with such data are in the tests of each module; these are the panels and
figures that those do not reach.
"""

import numpy as np
import pytest
import test_figures_galaxy as galaxy_data
import test_figures_labels as label_data
import test_figures_spectra as spectra_data
import toy_clusters
from matplotlib.text import Text
from toy import NAMES, toy

from fastcannon.figures import (
    arms,
    clusters,
    diagnostics,
    galaxy,
    labels,
    outlines,
    spectra,
    style,
)
from fastcannon.model import CannonModel

MANY = 100_000
SURVEYS = label_data.SURVEYS


def values(n, kind):
    """Return four columns of n stars; "nan": the first is NaN, "all nan": all are."""
    found = np.random.default_rng(n).normal(5.0, 1.0, (4, n))
    if kind == "nan":
        found[0] = np.nan
    if kind == "all nan":
        found[:] = np.nan
    return found


PANELS = {
    "kiel": lambda ax, a, b, c, d: labels.kiel(ax, a, b, c, d),
    "differences": lambda ax, a, b, *_: labels.differences(
        ax, a, b, "teff", ((0.0, 9.0), (0.0, 9.0))
    ),
    "zr": lambda ax, a, b, *_: galaxy.zr(ax, a, b),
    "median_map": lambda ax, a, b, c, d: galaxy.median_map(ax, a, b, c),
    "asymmetry_map": lambda ax, a, b, c, d: galaxy.asymmetry_map(ax, a, b - 5, c),
    "chi2_snr": lambda ax, a, b, *_: diagnostics.chi2_snr(ax, a, b, 4.0),
    "distribution": lambda ax, a, b, *_: diagnostics.distribution(
        ax, {"one": a, "two": b}, {"one": 3.0, "two": np.nan}, "D"
    ),
    "contours": lambda ax, a, b, *_: outlines.contours(ax, a, b),
    "density": lambda ax, a, b, *_: style.density(ax, a, b),
    "residual_panel": lambda ax, a, b, c, d: spectra.residual_panel(
        ax, np.arange(len(a)), a, b, c
    ),
    "spectrum_panel": lambda ax, a, b, *_: arms.spectrum_panel(
        ax, np.arange(float(len(a))), [a, b]
    ),
}


@pytest.mark.parametrize("name", PANELS)
@pytest.mark.parametrize(
    ("n", "kind"), [(0, ""), (1, ""), (1, "nan"), (30, "all nan"), (300, "nan")]
)
def test_panels_with_little_data(name, n, kind):
    ax = style.new_figure().subplots()
    PANELS[name](ax, *values(n, kind))
    ax.figure.canvas.draw()


@pytest.mark.parametrize("name", PANELS)
def test_panels_of_many_stars_are_no_points(name):
    ax = style.new_figure().subplots()
    PANELS[name](ax, *values(MANY, ""))
    ax.figure.canvas.draw()
    assert sum(len(one.get_offsets()) for one in ax.collections) < 1000


@pytest.mark.parametrize("survey", [0, 1])
def test_surveys_without_stars(survey):
    """Of two surveys one has stars, in every figure that has both."""
    table, none = label_data.stars(50), label_data.stars(0)
    pair = [table, table]
    pair[survey] = none
    both = dict(zip(SURVEYS, pair, strict=True))
    kiel = {s: (t[f"teff_{s}"], t[f"logg_{s}"]) for s, t in both.items()}
    quality = {s: label_data.quality(len(t)) for s, t in both.items()}
    rows, fits = label_data.precision_rows()
    rows = rows[np.char.startswith(rows["case"], f"{SURVEYS[1 - survey]}-")]
    one = table.copy()
    for name in label_data.NAMES:
        one[f"{name}_{SURVEYS[survey]}"] = np.nan
    places = {s: galaxy_data.stars(len(t))[:2] for s, t in both.items()}
    medians = {s: galaxy_data.stars(len(t))[2] for s, t in both.items()}
    stars = toy_clusters.stars()
    stars = stars[stars["survey"] == ("north", "south")[1 - survey]]
    for figure, empty in (
        (labels.kiel_figure(kiel, kiel), 1),
        (labels.differences_figure({"a": one}, SURVEYS, label_data.NAMES), 3),
        (labels.precision_figure(rows, fits, label_data.NAMES, SURVEYS, "galah"), 0),
        (diagnostics.convergence_figure(quality, "galah"), 1),
        (galaxy.galaxy_figure(places), 1),
        (galaxy.maps_figure(places, medians, "fe_h"), 0),
        (clusters.cluster_kiel_figure(stars, ["Old"]), 0),
        (clusters.cluster_abundance_figure(stars, ["Old"]), 0),
    ):
        figure.canvas.draw()
        said = [text.get_text() for text in figure.findobj(Text)]
        assert said.count("no stars") == empty


def test_precision_of_one_bin_and_of_nan():
    rows, fits = label_data.precision_rows()
    for column in ("e_sigma_logg", "snr"):
        odd = rows.copy()
        odd[column] = np.nan
        for some in (odd, odd[:1]):
            labels.precision_figure(
                some, fits, label_data.NAMES, SURVEYS, "galah"
            ).canvas.draw()


def test_minima_and_flags_of_one_star_and_of_many():
    for n in (1, MANY):
        top, bottom = style.new_figure().subplots(2, 1)
        diagnostics.minima(top, {"one": np.full(n, 2), "two": np.zeros(n, int)})
        diagnostics.flags(bottom, {"one": {"all": n, "bad": 0}, "two": {}})
        top.figure.canvas.draw()
        assert max(bar.get_height() for bar in top.patches) == 100.0
        assert f"{n:,}" in [text.get_text() for text in bottom.texts]


def test_twins_and_coefficients_of_100_000_pixels():
    grid = np.linspace(4700.0, 7900.0, MANY)
    first, second = (spectra_data.flux(grid, seed) for seed in (0, 1))
    spectra.twins_figure(grid, first, second, ("a", "b")).canvas.draw()
    made = toy(30, 500)
    model = CannonModel(NAMES).train(*made.training, wavelength=grid[:500])
    model.theta, model.s2 = np.tile(model.theta, (200, 1)), np.tile(model.s2, 200)
    model.wavelength = grid
    model.s2[1000:2000] = np.inf
    spectra.coefficients_figure(model, slice(0, MANY)).canvas.draw()
