"""Scripts that hand models of other Cannons over, on stand-ins of their attributes."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from toy import NAMES, toy

from fastcannon import CannonModel

DOCS = Path(__file__).parents[1] / "docs"
TERMS = [[(0, 1.0)], [(1, 1)], [(2, 1)], [(0, 2)], [(1, 1), (0, 1.0)]]  # structured


def script(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ours():
    """A trained model with five terms beside the constant, and its training set."""
    stars = toy()
    terms = ["teff", "logg", "fe_h", "teff^2", "teff*logg"]
    model = CannonModel(NAMES, terms=terms)
    return model.train(*stars.training, np.linspace(5000, 5100, 80)), stars


def handed(path):
    """What a user does with the file: no pickle is allowed."""
    return CannonModel.from_coefficients(**np.load(path, allow_pickle=False))


def annieslasso_model(model, labels):
    """The attributes that AnniesLasso 0.2.96 has, with their types."""
    return SimpleNamespace(
        theta=model.theta.copy(),
        s2=model.s2.copy(),
        _fiducials=model.fiducials,
        _scales=model.scales,
        dispersion=model.wavelength,
        training_set_labels=labels,
        vectorizer=SimpleNamespace(label_names=NAMES, terms=TERMS),
    )


def test_annieslasso_models_infer_the_same(ours, tmp_path):
    model, stars = ours
    theirs = annieslasso_model(model, stars.labels)
    script("export_annieslasso").export(theirs, tmp_path / "model.npz")
    found = handed(tmp_path / "model.npz")
    assert found.terms.names == model.terms.names
    np.testing.assert_array_equal(found.hull, model.hull)
    a, b = found.infer(*stars.spectra), model.infer(*stars.spectra)
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(a.status, b.status)


def test_pixels_that_annieslasso_does_not_know_have_no_weight(ours, tmp_path):
    model, stars = ours
    theirs = annieslasso_model(model, stars.labels)
    theirs.theta[3] = np.nan
    theirs.s2[5] = np.nan
    theirs.dispersion = None
    script("export_annieslasso").export(theirs, tmp_path / "model.npz")
    found = handed(tmp_path / "model.npz")
    assert list(np.flatnonzero(np.isinf(found.s2))) == [3, 5]
    assert found.wavelength is None
    assert found.infer(*stars.spectra).n_pixels.max() == 78


def test_thecannon_models_infer_the_same(tmp_path):
    stars = toy()
    model = CannonModel(NAMES).train(*stars.training, np.linspace(5000, 5100, 80))
    # Its scales are a quarter of ours, and so are coefficients of the first power.
    powers = 4.0 ** model.terms.exponents.sum(axis=1)
    theirs = SimpleNamespace(
        coeffs=model.theta / powers,
        scatters=np.sqrt(model.s2),
        pivots=model.fiducials,
        scales=model.scales / 4,
    )
    data = SimpleNamespace(
        get_plotting_labels=lambda: list(NAMES),
        wl=model.wavelength,
        tr_label=stars.labels,
    )
    script("export_thecannon").export(theirs, data, tmp_path / "model.npz")
    found = handed(tmp_path / "model.npz")
    a, b = found.infer(*stars.spectra), model.infer(*stars.spectra)
    # 2e-7 measured: the products are in single precision; an order of terms that
    # is not TheCannon's moves labels by many errors
    assert (abs(a.labels - b.labels) < 1e-4 * b.errors).all()
    np.testing.assert_array_equal(a.status, b.status)


def test_what_cannot_be_handed_over_says_why(ours):
    model, stars = ours
    theirs = annieslasso_model(model, stars.labels)
    theirs.vectorizer.terms = [[(0, 0.5)]]
    with pytest.raises(ValueError, match="not a whole number"):
        script("export_annieslasso").arrays(theirs)
    theirs.theta = None
    with pytest.raises(ValueError, match="not trained"):
        script("export_annieslasso").arrays(theirs)
    with pytest.raises(ValueError, match="not trained"):
        script("export_thecannon").arrays(SimpleNamespace(coeffs=None), None)
