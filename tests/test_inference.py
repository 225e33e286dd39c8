"""Inference: against scipy's optimisers, finite differences, and its own laws."""

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize
from scipy.spatial import ConvexHull
from toy import NAMES, result_bytes, toy, weights

from fastcannon import STAR_STATUS, CannonModel

MODES = [
    ("compressed", "single"),
    ("compressed", "double"),
    ("streaming", "single"),
    ("streaming", "double"),
]


@pytest.fixture(scope="module")
def stars():
    return toy(seed=10)


@pytest.fixture(scope="module")
def model(stars):
    return CannonModel(NAMES).train(*stars.training)


@pytest.fixture(scope="module")
def result(stars, model):
    return model.infer(*stars.spectra)


def chi2_of(model, labels, flux, ivar):
    """chi^2 of one spectrum, in plain NumPy."""
    r = flux.astype(float) - model.predict_flux(list(labels))
    return (weights(model, ivar[None])[0] * r**2).sum()


def jacobian_of(model, labels, error):
    """d flux / d label (P, K) by central differences of a hundredth of the error."""
    columns = []
    for k, step in enumerate(1e-2 * error):
        away = np.zeros(len(labels))
        away[k] = step
        up, down = model.predict_flux(np.array([labels + away, labels - away]))
        columns.append((up - down) / (2 * step))
    return np.column_stack(columns)


@pytest.mark.parametrize(("method", "precision"), MODES)
def test_labels_equal_least_squares(stars, model, method, precision):
    flux = stars.flux.copy()
    ivar = stars.ivar.copy()
    rng = np.random.default_rng(0)
    ivar[rng.uniform(size=ivar.shape) < 0.2] = 0
    ivar *= 10 ** rng.uniform(-2, 1, (len(ivar), 1)).astype("f4")
    result = model.infer(flux, ivar, method=method, precision=precision)
    root = np.sqrt(weights(model, ivar))
    for i, truth in enumerate(stars.labels[:60]):

        def residual(x, i=i):
            labels = x * model.scales + model.fiducials
            return root[i] * (flux[i] - model.predict_flux(list(labels)))

        best = min(
            (
                least_squares(
                    residual,
                    model.scale_labels(start),
                    xtol=1e-12,
                    ftol=1e-12,
                    gtol=1e-12,
                )
                for start in (truth, result.labels[i])
            ),
            key=lambda fit: fit.cost,
        )
        labels = best.x * model.scales + model.fiducials
        assert (abs(result.labels[i] - labels) < 1e-3 * result.errors[i]).all()
        assert result.chi2[i] == pytest.approx(2 * best.cost, rel=1e-9)
    assert not (result.status & ~STAR_STATUS["OUTSIDE_HULL"]).any()


@pytest.mark.parametrize(("method", "precision"), MODES)
def test_covariance_in_label_units(stars, model, method, precision):
    result = model.infer(*stars.spectra, method=method, precision=precision)
    w = weights(model, stars.ivar)
    for i in range(40):
        j = jacobian_of(model, result.labels[i], result.errors[i])
        expected = np.linalg.inv(j.T @ (w[i, :, None] * j))
        size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        # single-precision products carry 1e-7 of the largest term into J^T W J;
        # that of the last step but one is used (1e-7 measured in double precision)
        tolerance = 1e-6 if precision == "double" else 1e-4
        assert (abs(result.covariance[i] - expected) < tolerance * size).all()
    np.testing.assert_array_equal(
        result.errors, np.sqrt(result.covariance[:, range(3), range(3)])
    )


def test_pulls_have_unit_width():
    train, survey = toy(n=500, p=200, seed=3), toy(n=400, p=200, seed=3)
    model = CannonModel(NAMES).train(*train.training)
    rng = np.random.default_rng(1)
    labels = train.labels[rng.permutation(500)[:400]]
    sigma = np.sqrt(1 / survey.ivar[0, 0] + model.s2)
    flux = model.predict_flux(labels) + sigma * rng.normal(size=(400, 200))
    result = model.infer(flux, survey.ivar)
    pulls = (result.labels - labels) / result.errors
    # 400 stars: the width is good to 3.5 %, the mean to 5 %
    assert (abs(pulls.std(axis=0) - 1) < 0.12).all()
    assert (abs(pulls.mean(axis=0)) < 0.18).all()
    assert abs(result.r_chi2.mean() - 1) < 0.02


def test_precisions_and_methods_agree(stars, model):
    results = [
        model.infer(*stars.spectra, method=method, precision=precision)
        for method, precision in MODES
    ]
    last = results[-1]
    for other in results[:-1]:
        assert (abs(other.labels - last.labels) < 1e-3 * last.errors).all()
        np.testing.assert_allclose(other.chi2, last.chi2, rtol=1e-9)
        np.testing.assert_allclose(other.errors, last.errors, rtol=1e-4)
        np.testing.assert_allclose(other.snr, last.snr, rtol=1e-6)
        np.testing.assert_array_equal(other.status, last.status)
        np.testing.assert_array_equal(other.minima, last.minima)
        away = abs(other.inside_labels - last.inside_labels)
        assert (away < 0.01 * last.errors).all()


def cubic_model(eps, training):
    """One label; the flux of pixel 0 is x^3 - 0.75 x (three labels per flux)."""
    theta = np.array([[1, -0.75, 0, 1], [1, eps, 0, 0]], dtype=float)
    # more than one pixel with weight per label is needed: repeat each
    theta = np.repeat(theta, 5, axis=0)
    return CannonModel.from_coefficients(
        ("x",), theta, np.zeros(10), [0.0], [1.0], degree=3, training_labels=training
    )


@pytest.mark.parametrize(("method", "precision"), MODES)
def test_more_starts_find_the_global_minimum(method, precision):
    model = cubic_model(0.01, np.linspace(-1, 1, 101)[:, None])
    truth = np.linspace(0.9, 0.99, 10)[:, None]
    flux, ivar = model.predict_flux(truth), np.full((10, 10), 1e5)
    settings = {"method": method, "precision": precision}
    one = model.infer(flux, ivar, starts=1, **settings)
    assert (one.labels[:, 0] < 0).all() and (one.chi2 > 45).all()
    many = model.infer(flux, ivar, starts=8, **settings)
    np.testing.assert_allclose(many.labels, truth, rtol=0, atol=1e-5)
    assert (many.chi2 < 1e-3).all()
    assert (many.minima == 1).all()  # the others are further than 9 in chi^2


@pytest.mark.parametrize(("method", "precision"), MODES)
def test_equal_minima_are_counted(method, precision):
    rng = np.random.default_rng(3)
    theta = np.zeros((20, 3))
    theta[:, 0], theta[:, 2] = 1, rng.normal(0, 0.2, 20)
    model = CannonModel.from_coefficients(("x",), theta, np.zeros(20), [0.1], [2.0])
    flux = model.predict_flux(np.array([[0.9], [0.1], [-0.7]]))
    result = model.infer(
        flux, np.full((3, 20), 1e4), method=method, precision=precision
    )
    assert result.minima.tolist() == [2, 1, 2]
    np.testing.assert_allclose(abs(result.labels[[0, 2], 0] - 0.1), 0.8, rtol=1e-4)


def test_double_precision_settles_near_ties():
    # chi^2 of the two minima differs by a few, in a chi^2 of 1e9 at the pivot
    theta = np.repeat([[1.0, 0, 1], [1, 0.01, 0]], 5, axis=0)
    model = CannonModel.from_coefficients(("x",), theta, np.zeros(10), [0.0], [1.0])
    truth = np.linspace(0.5, 0.9, 60)[:, None]
    rng = np.random.default_rng(5)
    ivar = np.full((60, 10), 2e3)
    ivar[:, :5] = 1e9
    flux = model.predict_flux(truth) + rng.normal(size=ivar.shape) / np.sqrt(ivar)
    single = model.infer(flux, ivar)
    double = model.infer(flux, ivar, precision="double")
    assert (double.minima == 2).mean() > 0.9
    np.testing.assert_allclose(single.chi2, double.chi2, atol=1e-3)
    assert (abs(single.labels - double.labels) < 1e-3 * double.errors).all()
    np.testing.assert_allclose(single.errors, double.errors, rtol=1e-4)


@pytest.fixture(scope="module")
def flat():
    """A model of two labels, and spectra of stars around its training set."""
    rng = np.random.default_rng(12)
    training = rng.normal(size=(60, 2)) * [300, 0.4] + [5000, 3]
    theta = np.column_stack(
        [np.ones(40), rng.normal(0, 0.05, (40, 2)), rng.normal(0, 0.01, (40, 3))]
    )
    model = CannonModel.from_coefficients(
        ("a", "b"), theta, np.full(40, 1e-6), [5000, 3], [1000, 1.5],
        training_labels=training,
    )  # fmt: skip
    labels = rng.normal(size=(80, 2)) * [500, 0.7] + [5000, 3]
    flux = model.predict_flux(labels) + rng.normal(0, 0.02, (80, 40))
    return model, training, flux.astype("f4"), np.full((80, 40), 2500, dtype="f4")


@pytest.mark.parametrize(("method", "precision"), MODES)
def test_outside_the_hull_and_the_best_inside(flat, method, precision):
    model, training, flux, ivar = flat
    result = model.infer(flux, ivar, method=method, precision=precision)
    x = model.scale_labels(training)
    walls = ConvexHull(x).equations
    beyond = model.scale_labels(result.labels) @ walls[:, :2].T + walls[:, 2]
    outside = beyond.max(axis=1) > 0
    flagged = (result.status & STAR_STATUS["OUTSIDE_HULL"]) > 0
    np.testing.assert_array_equal(flagged, outside)
    assert 15 < outside.sum() < 65
    np.testing.assert_array_equal(
        result.inside_labels[~outside], result.labels[~outside]
    )
    np.testing.assert_array_equal(result.inside_chi2[~outside], result.chi2[~outside])
    inside = model.scale_labels(result.inside_labels)
    assert (inside @ walls[:, :2].T + walls[:, 2]).max() < 1e-5
    for i in np.flatnonzero(outside):

        def chi2(y, i=i):
            return chi2_of(model, y * model.scales + model.fiducials, flux[i], ivar[i])

        best = min(
            (
                minimize(
                    chi2,
                    start,
                    method="SLSQP",
                    constraints={
                        "type": "ineq",
                        "fun": lambda y: -(walls[:, :2] @ y + walls[:, 2]),
                    },
                    options={"ftol": 1e-10, "maxiter": 200},
                ).fun
                for start in (x.mean(axis=0), inside[i])
            ),
        )
        here = chi2(inside[i])
        assert here < best + 1e-3
        assert here > result.chi2[i] - 1e-6
        assert result.inside_chi2[i] == pytest.approx(here, abs=1e-2, rel=1e-5)


def test_hull_of_one_label():
    model = cubic_model(0.5, np.linspace(-0.3, 0.3, 7)[:, None])
    flux = model.predict_flux(np.array([[0.0], [0.29], [0.4], [-0.45]]))
    result = model.infer(flux, np.full((4, 10), 1e4))
    assert (result.status == [0, 0, 4, 4]).all()
    np.testing.assert_allclose(result.inside_labels[2:, 0], [0.3, -0.3], atol=1e-5)


def test_signal_to_noise_and_reduced_chi2(stars, model):
    ivar = stars.ivar.copy()
    rng = np.random.default_rng(4)
    ivar[rng.uniform(size=ivar.shape) < 0.3] = 0
    result = model.infer(stars.flux, ivar)
    w = weights(model, ivar)
    for i in range(len(w)):
        used = w[i] > 0
        assert result.n_pixels[i] == used.sum()
        snr = np.median(stars.flux[i, used] * np.sqrt(w[i, used]))
        assert result.snr[i] == pytest.approx(snr, rel=1e-6)
        chi2 = chi2_of(model, result.labels[i], stars.flux[i], ivar[i])
        assert result.chi2[i] == pytest.approx(chi2, rel=1e-9)
        assert result.r_chi2[i] == pytest.approx(chi2 / (used.sum() - 3 - 1), rel=1e-9)


def test_pixels_the_model_does_not_know_have_no_weight(stars):
    ivar = stars.ivar.copy()
    ivar[:, 5] = 0
    model = CannonModel(NAMES).train(stars.labels, stars.flux, ivar)
    assert np.isinf(model.s2[5])
    masked = model.infer(stars.flux, ivar)
    for method, precision in MODES:
        settings = {"method": method, "precision": precision}
        masked = model.infer(stars.flux, ivar, **settings)
        given = model.infer(stars.flux, stars.ivar, **settings)
        assert result_bytes(given) == result_bytes(masked)
        assert (given.n_pixels == 79).all()


def pathological(stars):
    """Spectra like those of the survey, but for six rows."""
    flux, ivar = stars.flux.copy(), stars.ivar.copy()
    ivar[3] = 0
    flux[10, 5] = 1e20
    ivar[20, 5:9] = 1e30
    flux[30] = np.nan
    flux[40, ::2], ivar[40, 1::2] = np.inf, np.nan
    flux[50], ivar[50] = 1e9, 1e14  # passes the gate, fits nothing
    return flux, ivar, [3, 10, 20, 30, 40, 50]


@pytest.mark.parametrize(("method", "precision"), MODES)
def test_pathological_spectra_leave_their_neighbours_alone(
    stars, model, method, precision
):
    settings = {"method": method, "precision": precision}
    good = model.infer(*stars.spectra, **settings)
    flux, ivar, rows = pathological(stars)
    with pytest.warns(UserWarning, match="165 of 12000 pixels"):
        result = model.infer(flux, ivar, **settings)
    assert (good.bad_pixels, result.bad_pixels) == (0, 165)
    others = sorted(set(range(150)) - set(rows))
    for name, values in vars(good).items():
        if not isinstance(values, np.ndarray):
            continue
        given, found = values[others], getattr(result, name)[others]
        assert found.tobytes() == given.tobytes(), name
    for row in (3, 30, 40):
        assert result.status[row] == STAR_STATUS["NO_DATA"]
        assert result.n_pixels[row] == result.minima[row] == 0
        for name in ("labels", "covariance", "chi2", "r_chi2", "snr", "inside_labels"):
            assert np.isnan(getattr(result, name)[row]).all()
    assert result.n_pixels[[10, 20]].tolist() == [79, 76]
    assert (result.status[[10, 20]] & ~STAR_STATUS["OUTSIDE_HULL"] == 0).all()
    assert (abs(result.labels - stars.labels) < 6 * result.errors)[[10, 20]].all()
    assert result.status[50] & STAR_STATUS["NOT_CONVERGED"]


def test_too_few_pixels(stars, model):
    ivar = stars.ivar[:4].copy()
    for row, used in enumerate((0, 3, 4, 5)):
        ivar[row, used:] = 0
    result = model.infer(stars.flux[:4], ivar)
    assert result.n_pixels.tolist() == [0, 3, 4, 5]
    assert (result.status[:2] == STAR_STATUS["NO_DATA"]).all()
    assert (result.status[2:] & STAR_STATUS["NO_DATA"] == 0).all()
    assert np.isnan(result.r_chi2[:3]).all()  # no degree of freedom
    assert np.isfinite(result.r_chi2[3])


def test_a_label_without_any_pixel_is_singular(stars):
    censors = {"fe_h": np.arange(80) < 60}
    model = CannonModel(NAMES, censors=censors).train(*stars.training)
    ivar = stars.ivar.copy()
    ivar[:5, 60:] = 0
    result = model.infer(stars.flux, ivar)
    assert (result.status[:5] & STAR_STATUS["SINGULAR"]).all()
    assert np.isnan(result.covariance[:5]).all()
    assert not (result.status[5:] & STAR_STATUS["SINGULAR"]).any()
    others = model.infer(*stars.spectra)
    assert (abs(result.labels[5:] - others.labels[5:]) < 1e-3 * others.errors[5:]).all()


@pytest.mark.parametrize("method", ["compressed", "streaming"])
def test_permuting_spectra_permutes_rows(stars, model, method):
    order = np.random.default_rng(2).permutation(150)
    ours = model.infer(*stars.spectra, precision="double", method=method)
    theirs = model.infer(
        stars.flux[order], stars.ivar[order], precision="double", method=method
    )
    for name in ("labels", "chi2", "snr", "n_pixels", "minima", "status"):
        np.testing.assert_allclose(
            getattr(theirs, name), getattr(ours, name)[order], rtol=1e-9
        )


def test_masking_a_pixel_equals_leaving_it_out(stars, model):
    ivar = stars.ivar.copy()
    ivar[:, :30] = 0
    masked = model.infer(stars.flux, ivar)
    rest = CannonModel.from_coefficients(
        NAMES, model.theta[30:], model.s2[30:], model.fiducials, model.scales,
        training_labels=stars.labels,
    ).infer(stars.flux[:, 30:], stars.ivar[:, 30:])  # fmt: skip
    assert (abs(rest.labels - masked.labels) < 1e-3 * rest.errors).all()
    np.testing.assert_allclose(rest.chi2, masked.chi2, rtol=1e-9)
    np.testing.assert_array_equal(rest.n_pixels, masked.n_pixels)


def test_scaling_flux_noise_scales_errors(stars, model):
    free = CannonModel.from_coefficients(
        NAMES, model.theta, 0 * model.s2, model.fiducials, model.scales
    )
    ours = free.infer(*stars.spectra)
    theirs = free.infer(stars.flux, stars.ivar / 16)
    np.testing.assert_allclose(theirs.errors, 4 * ours.errors, rtol=1e-3)
    np.testing.assert_allclose(theirs.chi2, ours.chi2 / 16, rtol=1e-6)


def test_single_spectrum_and_none(stars, model, result):
    one = model.infer(stars.flux[7:8], stars.ivar[7:8])
    assert one.labels.shape == (1, 3)
    assert (abs(one.labels[0] - result.labels[7]) < 1e-3 * result.errors[7]).all()
    none = model.infer(stars.flux[:0], stars.ivar[:0])
    assert len(none) == 0 and none.errors.shape == (0, 3)
    assert len(none.to_table()) == 0


def test_table_of_results(stars, result):
    table = result.to_table()
    assert table.colnames == [
        *("teff", "e_teff", "logg", "e_logg", "fe_h", "e_fe_h"),
        *("chi2", "r_chi2", "snr", "n_pixels", "minima", "status"),
        *("teff_inside", "logg_inside", "fe_h_inside", "chi2_inside", "covariance"),
    ]
    assert len(table) == len(result) == 150
    np.testing.assert_array_equal(table["e_logg"], result.errors[:, 1])
    np.testing.assert_array_equal(table["fe_h"], result.labels[:, 2])
    np.testing.assert_array_equal(table["logg_inside"], result.inside_labels[:, 1])
    assert table["covariance"].shape == (150, 3, 3)


def test_inference_in_parts_equals_inference_at_once(stars, model):
    whole = model.infer(*stars.spectra, precision="double")
    inferrer = model.inferrer(n_spectra=150, precision="double")
    part = inferrer.infer(stars.flux[:60], stars.ivar[:60])
    np.testing.assert_allclose(part.labels, whole.labels[:60], rtol=1e-9)
    np.testing.assert_allclose(part.chi2, whole.chi2[:60], rtol=1e-9)
