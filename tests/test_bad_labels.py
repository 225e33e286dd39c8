"""Labels that no model can be trained on: refused by name and row."""

import re

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from toy import NAMES, toy

from fastcannon import CannonModel, InputError


@pytest.fixture(scope="module")
def stars():
    return toy(n=80, p=70, seed=30)


@pytest.fixture(scope="module")
def model(stars):
    return CannonModel(NAMES).train(*stars.training)


def train(stars, **changes):
    """Train on the toy survey with some of its arrays replaced."""
    given = {"labels": stars.labels, "flux": stars.flux, "ivar": stars.ivar}
    return CannonModel(NAMES).train(**(given | changes))


def test_missing_labels_in_training(stars):
    for value in (np.nan, np.inf):
        labels = stars.labels.copy()
        labels[[4, 9], 1] = value
        with pytest.raises(InputError, match=r"'logg'.* 2 of 80 stars.*row 4.*remove"):
            train(stars, labels=labels)


@pytest.mark.parametrize("n_different", [0, 1])
def test_constant_label(stars, n_different):
    labels = stars.labels.copy()
    labels[n_different:, 2] = 0.1
    with pytest.raises(
        InputError, match=r"'fe_h' is \(nearly\) constant.*leave it out"
    ):
        train(stars, labels=labels)


def test_two_identical_labels(stars):
    labels = stars.labels.copy()
    labels[:, 2] = labels[:, 1]
    with pytest.raises(InputError, match=r"terms fe_h.* depend .*two labels identical"):
        train(stars, labels=labels)
    labels[:, 2] = 5 - 2 * labels[:, 1]
    with pytest.raises(InputError, match="two labels identical"):
        train(stars, labels=labels)


def test_a_label_of_two_values(stars):
    labels = stars.labels.copy()
    labels[:, 2] = np.arange(80) % 2  # its square is itself
    with pytest.raises(InputError, match=r"fe_h.*too few values"):
        train(stars, labels=labels)


def test_labels_whose_product_is_always_zero(stars):
    labels = stars.labels - np.median(stars.labels, axis=0)
    labels = np.vstack([labels, labels])
    labels[:80, 1], labels[80:, 2] = 0, 0  # a cross: logg or fe_h, never both
    flux, ivar = (np.vstack([a, a]) for a in stars.spectra)
    labels = np.vstack([labels, -labels])  # the median is 0 in both
    flux, ivar = np.vstack([flux, flux]), np.vstack([ivar, ivar])
    with pytest.raises(InputError, match=r"logg\*fe_h depend"):
        CannonModel(NAMES).train(labels, flux, ivar)


def test_a_label_name_that_does_not_exist(stars, model):
    table = Table(stars.labels, names=("teff", "logg", "feh"))
    expected = "no column 'fe_h'; it has teff, logg, feh"
    for labels in (table, table.as_array(), {n: table[n] for n in table.colnames}):
        with pytest.raises(InputError, match=expected):
            train(stars, labels=labels)
        with pytest.raises(InputError, match=expected):
            model.predict_flux(labels)
    with pytest.raises(InputError, match=r"'FEH'; the labels are teff, logg, fe_h"):
        CannonModel(NAMES, terms=["teff", "FEH^2"])
    with pytest.raises(InputError, match=r"censors name feh; the labels are teff"):
        CannonModel(NAMES, censors={"feh": np.ones(70, bool)})


@pytest.mark.parametrize("value", [1e30, -9999.0])
@pytest.mark.parametrize("n", [30, 60])
def test_a_label_that_no_star_has_is_refused(stars, value, n):
    labels = stars.labels[:n].copy()
    labels[7, 2] = value
    flux, ivar = (image[:n] for image in stars.spectra)
    said = re.escape(f"label 'fe_h' of row 7 is {value:g}, more than")
    with pytest.raises(InputError, match=said):
        CannonModel(NAMES).train(labels, flux, ivar)
    with pytest.raises(InputError, match=said):
        CannonModel(NAMES).cross_validate(labels, flux, ivar, folds=2)


def test_a_training_label_far_from_the_given_scale_is_refused(model, stars):
    labels = stars.labels.copy()
    labels[7, 0] = 1e300
    with pytest.raises(InputError, match=r"label 'teff' of row 7 is 1e\+300"):
        CannonModel.from_coefficients(
            NAMES,
            model.theta,
            model.s2,
            model.fiducials,
            model.scales,
            training_labels=labels,
        )


def test_masked_labels_that_are_not_real_are_refused(stars):
    labels = np.ma.masked_array(stars.labels.astype("c8"), mask=stars.labels < 0)
    with pytest.raises(InputError, match=r"labels have type complex64.*real"):
        CannonModel(NAMES).train(labels, *stars.spectra)


def test_masked_labels_are_refused_in_training(stars):
    table = Table(stars.labels, names=NAMES)
    table["logg"] = MaskedColumn(table["logg"], mask=np.arange(80) == 6)
    with pytest.raises(InputError, match=r"'logg' is missing.*1 of 80.*row 6"):
        CannonModel(NAMES).train(table, *stars.spectra)
