"""Figures look as they did when somebody last looked at them.

Small pictures of toy data are compared with those in ``images``. After a wanted change
make them anew, look at each, and commit them: ``python tests/test_figures_images.py``
(or names of figures behind it, to make only those).
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import test_figures_galaxy as galaxy_data
import test_figures_labels as label_data
import test_figures_spectra as spectra_data
import test_figures_translation as translation_data
import toy_clusters
from matplotlib.testing.compare import compare_images
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from toy import NAMES, toy

from fastcannon.censors import default_windows
from fastcannon.figures import (
    clusters,
    diagnostics,
    galaxy,
    labels,
    networks,
    spectra,
    translation,
)
from fastcannon.figures.arms import arms
from fastcannon.isochrones import Isochrone
from fastcannon.model import CannonModel

IMAGES = Path(__file__).parent / "images"
DPI, COLOURS = 54, 100  # small: 5 to 19 kB each
# RMS of colours of 0 to 255. Measured: 2.8 at most, of the fewer colours of the files;
# without what is drawn in the panels 15 or more.
TOLERANCE = 4.0

VERSION = "matplotlib " + ".".join(matplotlib.__version__.split(".")[:2])

SURVEYS, CASE = label_data.SURVEYS, "lamost-on-galah"
SCALES = galaxy_data.SCALES
GRID, WINDOWS = spectra_data.GRID, default_windows("galah")


def kiel():
    many, few = label_data.stars(5000), label_data.stars(150, seed=2)
    stars = {"lamost": many, "galah": few}
    found = {s: (t[f"teff_{s}"], t[f"logg_{s}"]) for s, t in stars.items()}
    trained = label_data.stars(800, seed=3)
    trained = (trained["teff_galah"] + 400, trained["logg_galah"])
    return labels.kiel_figure(found, {"lamost": trained})


def differences():
    before, after = label_data.stars(4000), label_data.stars(900, seed=2)
    for name in label_data.NAMES:
        noise = after[f"{name}_lamost"] - after[f"{name}_galah"]
        after[f"{name}_lamost"] = after[f"{name}_galah"] + noise / 3
    tables = {"Pipelines": before, "GALAH-scaled": after}
    return labels.differences_figure(tables, SURVEYS, label_data.NAMES)


def cross_validation():
    return labels.cross_validation_figure(
        label_data.stars(1500), label_data.NAMES, CASE
    )


def precision():
    rows, fits = label_data.precision_rows()
    return labels.precision_figure(rows, fits, label_data.NAMES, SURVEYS, "galah")


def convergence():
    found = {
        survey: label_data.quality(2000, seed)._replace(flags=FLAGS)
        for seed, survey in enumerate(SURVEYS)
    }
    return diagnostics.convergence_figure(found, "galah")


FLAGS = {"all spectra": 2000, "clean": 1500, "low S/N": 300, "no data": 0}


def places():
    found = {s: galaxy_data.stars(6000, seed, 0.1) for seed, s in enumerate(SCALES)}
    return (
        {scale: one[:2] for scale, one in found.items()},
        {scale: one[2] for scale, one in found.items()},
    )


def galaxy_places():
    return galaxy.galaxy_figure(places()[0])


def galaxy_maps():
    return galaxy.maps_figure(*places(), "fe_h")


def residuals():
    cases = {
        "galah-on-apogee": spectra_data.residuals(),
        "galah-on-galah": spectra_data.residuals(seed=1),
    }
    return spectra.residual_figure(
        cases, spectra_data.flux(), spectra_data.SUN, WINDOWS, "air"
    )


def twins():
    first, second = spectra_data.flux(), spectra_data.flux() + 0.01 * np.sin(GRID)
    synthetic = np.where(GRID < 7000, 0.012 * np.sin(GRID), np.nan)
    names = ("star 1", "star 2")
    return spectra.twins_figure(GRID, first, second, names, synthetic, WINDOWS, "air")


def coefficients():
    made = toy(60, 600)
    model = CannonModel(NAMES).train(*made.training, wavelength=GRID)
    part = arms(GRID)[0]
    return spectra.coefficients_figure(model, part, WINDOWS, "air", "galah-on-galah")


LINE = Isochrone(4.0, 0.0, np.array([4300.0, 5200, 6800]), np.array([2.0, 3.6, 4.4]))


def cluster_kiel():
    table = toy_clusters.stars()
    return clusters.cluster_kiel_figure(
        table, ["Old", "Young"], {"Old": (LINE, ""), "Young": (None, "no age")}
    )


def cluster_abundance():
    return clusters.cluster_abundance_figure(
        toy_clusters.stars(), ["Old", "Far"], "fe_h", "teff"
    )


def translated_residuals():
    few, many = translation_data.one_output(300), translation_data.one_output(4000)
    alone = many._replace(name="mg_fe_b", unit="", before=None)
    return translation.residual_figure([few, alone])


def translated_kiel():
    few, many = translation_data.kiel_stars(400), translation_data.kiel_stars(4000)
    return translation.kiel_figure({"Before: A": few, "Translated": many})


def losses():
    return networks.history_figure(translation_data.losses())


def importance():
    return networks.importance_figure(translation_data.shares(8))


FIGURES = {
    function.__name__: function
    for function in (
        *(kiel, differences, cross_validation, precision, convergence),
        *(galaxy_places, galaxy_maps, residuals, twins, coefficients),
        *(cluster_kiel, cluster_abundance),
        *(translated_residuals, translated_kiel, losses, importance),
    )
}


def save(figure, path):
    figure.savefig(path, dpi=DPI)
    return path


def away(figure, name, folder):
    """Return how far a figure is from its picture: RMS of colours of 0 to 255."""
    expected = IMAGES / f"{name}.png"
    with Image.open(expected) as image:
        made_with = image.text["Software"]
    if made_with != VERSION:  # each draws letters its own way
        pytest.skip(f"pictures were made with {made_with}, not with {VERSION}")
    drawn = save(figure, folder / expected.name)
    found = compare_images(str(expected), str(drawn), tol=0.0, in_decorator=True)
    return 0.0 if found is None else found["rms"]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_look_as_they_did(name, tmp_path):
    assert away(FIGURES[name](), name, tmp_path) < TOLERANCE


@pytest.mark.parametrize("name", FIGURES)
def test_changed_figures_are_seen(name, tmp_path):
    figure = FIGURES[name]()
    for ax in figure.axes:
        for artist in (*ax.images, *ax.collections, *ax.lines, *ax.patches):
            artist.remove()
    assert away(figure, name, tmp_path) > 2 * TOLERANCE


def main(names):
    """Make the pictures of some figures, or of all, anew."""
    IMAGES.mkdir(exist_ok=True)
    for name in names or FIGURES:
        path = save(FIGURES[name](), IMAGES / f"{name}.png")
        with Image.open(path) as image:
            few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        facts = PngInfo()
        facts.add_text("Software", VERSION)
        few.save(path, optimize=True, pnginfo=facts)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
