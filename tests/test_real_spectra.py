"""The main job on real spectra: MILES stars, and a published model of APOGEE giants."""

import numpy as np
import pytest

from bench.realdata import apstar_spectra, bovy_model, miles_spectra
from fastcannon import STAR_STATUS, CannonModel


@pytest.fixture(scope="module")
def miles(data_dir):
    return miles_spectra(data_dir)


@pytest.fixture(scope="module")
def bovy(data_dir):
    return bovy_model(data_dir)


def test_miles_cross_validation(miles):
    labels, flux, ivar, _ = miles
    assert labels.shape == (514, 3)
    model = CannonModel(("teff", "logg", "fe_h"))
    folds = [model.cross_validate(labels, flux, ivar, seed=seed) for seed in range(10)]
    mad = np.mean([fold.mad for fold in folds], axis=0)
    # measured: 109.2 K, 0.244, 0.157 dex
    assert (mad <= (112, 0.26, 0.162)).all(), mad
    for fold in folds:
        assert np.isfinite(fold.result.labels).all()


def test_miles_folds_equal_brute_force(miles):
    labels, flux, ivar, _ = miles
    model = CannonModel(("teff", "logg", "fe_h"))
    found = model.cross_validate(labels, flux, ivar, seed=3)
    out = found.fold == 5
    # a model really trained without the fold, with the full set's scaling
    rest = CannonModel(("teff", "logg", "fe_h"))
    rest.train(labels[~out], flux[~out], ivar[~out])
    ratio = rest.scales / model.scales
    shift = (rest.fiducials - model.fiducials) / model.scales
    assert np.isfinite(ratio).all() and np.isfinite(shift).all()
    # its own scaling leaves the model the same polynomial of the labels
    brute = rest.infer(flux[out], ivar[out])
    away = abs(found.result.labels[out] - brute.labels) / brute.errors
    assert away.max() < 0.02  # measured: 3e-4


def test_bovy_model_on_apstar(data_dir, bovy):
    names, flux, ivar = apstar_spectra(data_dir, bovy)
    found = bovy.infer(flux, ivar)
    assert [name[12:] for name in names] == ["2M17335483-2753043", "2M19485057+5005279"]
    # another continuum gave 3644/0.84/+0.08 and 5027/3.95/-0.21
    expected = np.array([[3644, 0.84, 0.08], [5027, 3.95, -0.21]])
    away = abs(found.labels[:, :3] - expected)
    assert (away < (60, 0.15, 0.1)).all(), found.labels
    assert (found.r_chi2 <= (5.3, 3.5)).all(), found.r_chi2  # measured: 5.17, 3.49
    assert (found.minima == 1).all()
    # the second is a dwarf; the model knows giants only
    assert found.status[1] & STAR_STATUS["OUTSIDE_HULL"]


def test_bovy_model_single_start_fails_where_eight_succeed(bovy):
    from bench.survey import draw_spectra

    rng = np.random.default_rng(8)
    box = bovy.hull * bovy.scales[:, None] + bovy.fiducials[:, None]
    labels = rng.uniform(box.min(axis=1), box.max(axis=1), size=(300, 4))
    flux, ivar = draw_spectra(bovy, labels, np.full(300, 100.0), rng)
    one, eight = bovy.infer(flux, ivar, starts=1), bovy.infer(flux, ivar)
    worse = one.chi2 > eight.chi2 + 1e-3
    assert 0.01 < worse.mean() < 0.15  # measured: 0.05
    assert (eight.chi2 <= one.chi2 + 1e-3).all()
    pull = (eight.labels - labels) / eight.errors
    assert (abs(pull.std(axis=0) - 1) < 0.15).all()
