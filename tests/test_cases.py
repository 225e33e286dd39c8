"""Cases: what can be wrong with a training set, and what a model is made from."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from small_run import NAMES, load, write
from test_runfolder import TEXT

from fastcannon import cases
from fastcannon.cases import GIVEN, Case
from fastcannon.config import Labels
from fastcannon.errors import InputError
from fastcannon.spectra import SpectraFile
from fastcannon.spectrawriter import write_spectra


@pytest.fixture
def config(tmp_path):
    for name in ("apogee", "galah"):
        (tmp_path / f"{name}.fits").touch()
    return with_labels(load(write(tmp_path, TEXT)), NAMES)


def with_labels(config, names):
    return replace(config, labels=Labels(tuple(names), {}, None, ()))


def training_table(n_stars, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"{name}_{survey}" for name in NAMES for survey in ("apogee", "galah")]
    return Table({name: rng.normal(size=n_stars) for name in names})


def test_differences_are_inferred_minus_given():
    table = Table({f"teff{GIVEN}": [1.0, 2.0, 3.0], "teff": [1.5, 1.0, 9e9]})
    table["status"] = [0, 4, 2]  # the last did not converge
    case = Case("a-on-b", "a", "b", "model", table)
    np.testing.assert_array_equal(case.difference(["teff"]), [[0.5], [-1.0], [np.nan]])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("vmicro", "vbroad"), "labels.names are vmicro, vbroad; the distance to the"),
        (("fe_h", "feh"), "two columns .*rename a label"),
        (("teff", "snr"), "two columns .*snr"),
    ],
)
def test_labels_that_make_no_catalogue(config, names, message):
    with pytest.raises(InputError, match=message):
        cases.check_labels(with_labels(config, names))


def test_one_label_of_the_distance_is_enough(config):
    cases.check_labels(with_labels(config, ("vbroad", "alpha_fe")))


@pytest.mark.parametrize("survey", ["apogee", "galah"])
def test_a_label_that_is_constant_in_one_survey(config, survey):
    training = training_table(200)
    cases.check_training(config, training)
    training[f"logg_{survey}"] = 4.5
    with pytest.raises(InputError, match=f"surveys.{survey}: logg is 4.5 for all 200"):
        cases.check_training(config, training)


def test_fewer_stars_than_the_distance_needs(config):
    cases.check_training(config, training_table(10))
    with pytest.raises(InputError, match="9 common stars pass all cuts; 10 are the"):
        cases.check_training(config, training_table(9))


def test_few_stars_for_a_model_are_a_warning(config):
    # Three labels have ten terms of degree two, four of degree one.
    cases.warn_of_few(config, training_table(100))
    with pytest.warns(UserWarning, match="99 training stars for 10 terms of the model"):
        cases.warn_of_few(config, training_table(99))
    linear = replace(config, model=replace(config.model, degree=1))
    cases.warn_of_few(linear, training_table(40))
    with pytest.warns(UserWarning, match="39 training stars for 4 terms .* 40 or more"):
        cases.warn_of_few(linear, training_table(39))


def test_labels_of_a_scale_are_in_the_order_asked_for():
    training = training_table(3)
    found = cases.labels_of(training, ("fe_h", "teff"), "galah")
    np.testing.assert_array_equal(found[:, 0], training["fe_h_galah"])
    np.testing.assert_array_equal(found[:, 1], training["teff_galah"])


def test_parts_are_told_apart(tmp_path):
    """By what they hold, wherever they are and whatever they were planned from."""

    def identity(name, level, facts=None):
        grid, path = np.arange(4.0), tmp_path / name
        flux, ivar = np.full((1, 4), level), np.ones((1, 4))
        write_spectra(path, flux, ivar, grid, {"id": ["a"]}, True, facts=facts)
        with SpectraFile(path) as part:
            return part.identity

    first = identity("a.fits", 1.0)
    assert first == identity("b.fits", 1.0) == identity("c.fits", 1.0, {"PLAN": "x"})
    assert first != identity("a.fits", 2.0)
