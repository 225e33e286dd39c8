"""Any array and any table that a caller may give: answers or the package's own errors.

A profile of few, always the same examples; pytest --hypothesis-profile=long has many.
"""

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from strategies import altered, altered_table, documented
from toy import NAMES, toy

from fastcannon import CannonModel, continuum, write_spectra
from fastcannon.catalogue import clean
from fastcannon.cuts import apply_cuts
from fastcannon.fitsfiles import write_table
from fastcannon.isochrones import Isochrone, distance_to
from fastcannon.match import Catalogue, match, training_table
from fastcannon.normalise import Normaliser, continuum_pixels, first_pixels
from fastcannon.packed import best_and_others, independent_pairs, rows_of
from fastcannon.surveys.bitmasks import FLAG_SP
from fastcannon.wavelengths import convert

N, P = 24, 14
STARS = toy(n=N, p=P, seed=4)
GRID = np.linspace(5000.0, 5100.0, P)
TERMS = ("teff", "logg", "fe_h")  # few, so that few stars are enough
MODEL = CannonModel(NAMES, terms=TERMS).train(*STARS.training, wavelength=GRID)
REGIONS = [(5000.0, 5048.0), (5050.0, 5100.0)]
NUMBERS = st.sampled_from([0, 1, 2, -1, 1.5, np.nan, 1e300, True, "2", None, 7])


@given(altered(STARS.labels), altered(STARS.flux), altered(STARS.ivar), altered(GRID))
def test_training(labels, flux, ivar, grid):
    with documented(labels, flux, ivar, grid):
        CannonModel(NAMES, terms=TERMS).train(labels, flux, ivar, grid, threads=1)


@given(altered(STARS.flux), altered(STARS.ivar), NUMBERS)
def test_inference(flux, ivar, starts):
    with documented(flux, ivar):
        MODEL.infer(flux, ivar, starts=starts, threads=1)
    with documented(flux, ivar):
        found = MODEL.infer(flux, ivar, starts=1, threads=1)
        assert np.isfinite(found.labels[found.status == 0]).all()


@given(altered(STARS.labels), altered(STARS.flux), altered(STARS.ivar), NUMBERS)
def test_validation_and_a_path(labels, flux, ivar, folds):
    with documented(labels, flux, ivar):
        CannonModel(NAMES, terms=TERMS).cross_validate(
            labels, flux, ivar, folds=folds, starts=1, threads=1
        )
    with documented(labels, flux, ivar):
        CannonModel(NAMES, terms=TERMS).l1_path(labels, flux, ivar, [1.0], threads=1)


@given(altered(MODEL.theta), altered(MODEL.s2), altered(MODEL.scales), st.data())
def test_coefficients(theta, s2, scales, data):
    labels, grid = data.draw(altered(STARS.labels)), data.draw(altered(GRID))
    arguments = (theta, s2, scales, labels, grid)
    with documented(*arguments):
        model = CannonModel.from_coefficients(
            NAMES, theta, s2, MODEL.fiducials, scales, TERMS, 1, grid, labels
        )
        model.infer(*STARS.spectra, starts=2, threads=1)
        model.predict_flux(labels)


@given(altered(GRID), altered(STARS.flux), altered(STARS.ivar), st.data())
def test_continua(grid, flux, ivar, data):
    pixels = data.draw(altered(np.arange(P) % 2 == 0))
    order, width = data.draw(NUMBERS), data.draw(NUMBERS)
    arguments = (grid, flux, ivar, pixels)
    with documented(*arguments):
        continuum.smooth(grid, flux, ivar, width, threads=1)
    for name in ("sines_and_cosines", "chebyshev"):
        with documented(*arguments):
            getattr(continuum, name)(*arguments, REGIONS, order, threads=1)
    with documented(*arguments):
        Normaliser(grid, pixels, REGIONS, order).apply(flux, ivar, threads=1)
    with documented(*arguments):
        Normaliser(grid, pixels, REGIONS, None).apply(flux, ivar, threads=1)
    with documented(*arguments):
        first_pixels(grid, flux, ivar, REGIONS, stretches=order)
    with documented():
        continuum_pixels(MODEL, REGIONS, share=width)
    with documented(grid):
        convert(grid, "air", "vacuum")


STAR_TABLE = Table(STARS.labels, names=NAMES)
STAR_TABLE["id"] = [f"star {i}" for i in range(N)]
STAR_TABLE["star_id"] = [f"2M{i % 20}" for i in range(N)]
STAR_TABLE["gaia_source_id"] = 2**60 + np.arange(N)
STAR_TABLE["ra"], STAR_TABLE["dec"] = 10.0 + np.arange(N), np.arange(N) - 5.0
STAR_TABLE["snr"], STAR_TABLE["flags"] = np.full(N, 90.0), np.arange(N) % 4
STAR_TABLE.meta["gaia_release"] = "DR3"


@given(altered(STARS.flux), altered_table(STAR_TABLE), altered(GRID))
def test_writing_spectra(tmp_path_factory, flux, stars, grid):
    path = tmp_path_factory.mktemp("spectra") / "stars.fits"
    with documented(flux, stars, grid):
        write_spectra(path, flux, flux, grid, stars, normalised=True)
    with documented(stars):
        write_table(path, stars, "STARS")


@given(altered_table(STAR_TABLE), altered_table(STAR_TABLE))
def test_matching(one, other):
    cuts = {"snr": "> 80", "flags": {"without": ["REDUCTION_ISSUE"]}}
    flags = {"flags": FLAG_SP}
    for by in ("star_id", "gaia", "position"):
        with documented(one, other):
            match(one, other, by, names=("a", "b"))
    with documented(one, other):
        first, second = Catalogue("a", one, cuts, {}), Catalogue("b", other, {}, {})
        training_table(first, second, NAMES)
    with documented(one):
        apply_cuts(one, cuts, flags, NAMES)


@given(st.data())
def test_pairs_of_spectra(data):
    ids = np.array([f"2M{i % 5}" for i in range(N)])
    star_id, snr = ids, data.draw(altered(np.full(N, 50.0), shapes=False))
    if np.asarray(snr).dtype.kind in "fiu":
        best_and_others(star_id, snr)
    independent_pairs(star_id, np.arange(N) % 3)
    assert (rows_of(ids, np.unique(ids)) >= 0).all()


@given(altered_table(Table({f"flag_{n}": np.zeros(4, np.int64) for n in "ab"})))
def test_what_is_clean_needs_its_columns(table):
    with documented(table, allowed=(KeyError,)):
        clean(table)


@given(altered(np.linspace(4000.0, 6000.0, 9)), altered(np.linspace(1.0, 4.0, 9)))
def test_distances_from_an_isochrone(teff, logg):
    line = Isochrone(4.0, 0.0, np.linspace(3e3, 7e3, 20), np.linspace(0.0, 5.0, 20))
    flat = all(
        np.shape(x) == (9,) and np.asarray(x).dtype.kind in "fiu" for x in (teff, logg)
    )
    if flat:
        with documented(teff, logg):
            assert distance_to(line, teff, logg).shape == (9,)


def test_translation(tmp_path):
    pytest.importorskip("optax", reason="fastcannon[translate] is not installed")
    from bench import fuzz_seeds
    from fastcannon.translate import Translator

    fuzz_seeds.write_translator(tmp_path)
    translator = Translator.read(tmp_path / "translator.fits")
    labels = fuzz_seeds.stars(n=N)[0]
    table = Table(labels, names=fuzz_seeds.INPUTS)

    @given(altered_table(table), NUMBERS)
    def apply(table, level):
        with documented(table):
            translator.apply(table, threads=1)
        with documented(table):
            translator.importance(table, stars=2, background=2)
        with documented(table):
            Translator(fuzz_seeds.INPUTS, fuzz_seeds.OUTPUTS).train(table)
        with documented(table):
            translator.summary(level)

    apply()
