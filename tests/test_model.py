"""Training: against dense likelihoods in plain NumPy, and the laws it must keep."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table
from scipy.optimize import brentq
from toy import CENTRES, NAMES, WIDTHS, result_bytes, toy

from fastcannon import PIXEL_STATUS, CannonModel, InputError
from fastcannon.normalise import Normaliser
from fastcannon.terms import Terms


@pytest.fixture(scope="module")
def stars():
    return toy()


@pytest.fixture(scope="module")
def model(stars):
    return CannonModel(NAMES).train(*stars.training)


def profile(v, flux, ivar, s2):
    """theta, Q and -dQ/ds2 of one pixel at a given s2, in plain NumPy."""
    used = ivar > 0
    v, flux, ivar = v[used], flux[used].astype(float), ivar[used].astype(float)
    w = ivar / (1 + ivar * s2)
    root = np.sqrt(w)
    theta = np.linalg.lstsq(root[:, None] * v, root * flux)[0]
    r = flux - v @ theta
    return theta, (w * r**2 - np.log(w)).sum(), (w**2 * r**2 - w).sum()


def dense_optimum(v, flux, ivar):
    """(theta, s2) of one pixel: the best of a dense grid, then a root in its cell."""
    grid = np.append(0.0, np.geomspace(1e-10, 1.0, 400))
    q = [profile(v, flux, ivar, s)[1] for s in grid]
    best = int(np.argmin(q))
    low, high = grid[max(best - 1, 0)], grid[best + 1]
    slopes = [profile(v, flux, ivar, s)[2] for s in (low, high)]
    if slopes[0] <= 0:
        assert low == 0.0
        s2 = 0.0
    else:
        s2 = brentq(lambda s: profile(v, flux, ivar, s)[2], low, high, xtol=1e-18)
    return profile(v, flux, ivar, s2)[0], s2


def assert_optimal(model, labels, flux, ivar, pixels, atol=1e-8):
    """Compare pixels of a joint fit with `dense_optimum`; return the s2 found."""
    v = model.terms.vectors(model.scale_labels(labels))
    for p in pixels:
        theta, s2 = dense_optimum(v, flux[:, p], ivar[:, p])
        floor = np.median(1 / ivar[ivar[:, p] > 0, p])
        assert abs(model.s2[p] - s2) <= 1e-5 * max(s2, floor)
        np.testing.assert_allclose(model.theta[p], theta, rtol=0, atol=atol)
    return model.s2[pixels]


def test_recovers_the_truth_within_its_errors():
    stars = toy(n=400, p=300, seed=5)
    model = CannonModel(NAMES).train(*stars.training)
    v = model.terms.vectors(model.scale_labels(stars.labels))
    w = 1 / (1 / stars.ivar[0, 0] + stars.s2[0])
    errors = np.sqrt(np.diag(np.linalg.inv(w * v.T @ v)))
    pulls = (model.theta - stars.theta) / errors
    # 3000 pulls (correlated within a pixel): width good to about 2 %
    assert abs(pulls.std() - 1) < 0.06
    assert abs(pulls.mean()) < 0.1
    # maximum likelihood divides by N, not N - T: total variance is (N - T) / N of it
    n, t = v.shape
    expected = (1 / w) * (n - t) / n - 1 / stars.ivar[0, 0]
    assert abs(model.s2.mean() / expected - 1) < 4 * (1 / w / expected) / np.sqrt(
        n * 300 / 2
    )
    assert (model.status == 0).all()


def test_joint_optimum_of_equal_and_missing_data(stars, model):
    s2 = assert_optimal(model, *stars.training, range(12))
    assert (s2 > 0).all()
    ivar = stars.ivar.copy()
    ivar[np.random.default_rng(1).uniform(size=ivar.shape) < 0.3] = 0
    gaps = CannonModel(NAMES).train(stars.labels, stars.flux, ivar)
    assert_optimal(gaps, stars.labels, stars.flux, ivar, range(6))


@pytest.mark.parametrize("scatter", [0.0, 0.001, 0.02])
def test_joint_optimum_of_heteroscedastic_data(scatter):
    stars = toy(p=40, seed=2, scatter=0.0)
    rng = np.random.default_rng(3)
    ivar = 10 ** rng.uniform(2, 6, stars.flux.shape)  # four decades
    noise = np.sqrt(1 / ivar + scatter**2) * rng.normal(size=ivar.shape)
    flux, ivar = (stars.clean + noise).astype("f4"), ivar.astype("f4")
    model = CannonModel(NAMES).train(stars.labels, flux, ivar)
    s2 = assert_optimal(model, stars.labels, flux, ivar, range(40))
    if scatter == 0:
        assert 5 < (s2 == 0).sum() < 40  # both sides of the boundary are met
    assert (model.status == 0).all()


def test_joint_optimum_of_a_flat_likelihood():
    # noise that differs tenfold and two outliers in each pixel: nearly two minima
    stars = toy(n=165, p=60, seed=20, snr=100.0)
    rng = np.random.default_rng(21)
    ivar = (stars.ivar * 10 ** rng.uniform(-1, 0.5, (165, 1))).astype("f4")
    flux = stars.clean + np.sqrt(1 / ivar + stars.s2 / 4) * rng.normal(size=ivar.shape)
    for size in (0.5, 0.1):
        flux[rng.integers(0, 165, 60), np.arange(60)] += size
    model = CannonModel(NAMES).train(stars.labels, flux, ivar)
    assert (model.status == 0).all()
    # where the likelihood is flat theta follows s2 within its tolerance: 5e-8 measured
    flux = flux.astype("f4")
    assert_optimal(model, stars.labels, flux, ivar, range(60), atol=1e-6)


def test_scatter_is_zero_where_the_noise_is_overstated(stars):
    flux = stars.flux.copy()
    ivar = np.full(flux.shape, 1e3, dtype="f4")  # 30 times the true variance
    model = CannonModel(NAMES).train(stars.labels, flux, ivar)
    assert (model.s2 == 0).all()
    assert_optimal(model, stars.labels, flux, ivar, range(4))


def test_median_scatter_is_annieslasso_definition(stars):
    ivar = stars.ivar.copy()
    rng = np.random.default_rng(4)
    ivar *= rng.uniform(0.2, 2.0, ivar.shape).astype("f4")
    ivar[rng.uniform(size=ivar.shape) < 0.1] = 0
    model = CannonModel(NAMES, scatter="median").train(stars.labels, stars.flux, ivar)
    v = model.terms.vectors(model.scale_labels(stars.labels))
    for p in range(20):
        used = ivar[:, p] > 0
        theta, *_ = profile(v, stars.flux[:, p], ivar[:, p], 0.0)
        r = stars.flux[used, p] - v[used] @ theta
        s2 = max(0.0, np.median(r**2 - 1.0 / ivar[used, p].astype(float)))
        np.testing.assert_allclose(model.theta[p], theta, rtol=0, atol=1e-10)
        assert model.s2[p] == pytest.approx(s2, rel=1e-7, abs=1e-15)
    assert (model.s2 > 0).any()


@pytest.mark.parametrize("settings", [{}, {"scatter": "median"}, {"l1": 1e3}], ids=str)
def test_censors_remove_terms_and_touch_nothing_else(stars, settings):
    n_pixels = stars.flux.shape[1]
    censors = {"logg": np.zeros(n_pixels, bool), "fe_h": np.zeros(n_pixels, bool)}
    censors["logg"][10:30] = censors["fe_h"][20:40] = True
    free = CannonModel(NAMES, **settings).train(*stars.training)
    model = CannonModel(NAMES, censors=censors, **settings).train(*stars.training)
    for name, mask in censors.items():
        terms = [name in term for term in model.terms.names]
        assert (model.theta[np.ix_(mask, terms)] == 0).all()
    others = ~(censors["logg"] | censors["fe_h"])
    np.testing.assert_allclose(model.theta[others], free.theta[others], atol=1e-11)
    np.testing.assert_allclose(model.s2[others], free.s2[others], rtol=1e-7, atol=1e-12)
    # a censored pixel is the fit of the terms that are left
    small = CannonModel(NAMES, terms=["TEFF", "TEFF^2"], **settings)
    small.train(*stars.training)
    kept = [0, 1, 4]
    assert [model.terms.names[t] for t in kept] == small.terms.names
    np.testing.assert_allclose(
        model.theta[20:30][:, kept], small.theta[20:30], atol=1e-10
    )
    np.testing.assert_allclose(model.s2[20:30], small.s2[20:30], rtol=1e-6)


def subgradient_violation(v, flux, w, theta, strength):
    """Largest violation of optimality of one pixel over its largest gradient at 0."""
    slope = 2 * v.T @ (w * (v @ theta - flux))
    bad = np.where(
        theta == 0,
        np.maximum(np.abs(slope) - strength, 0),
        np.abs(slope + strength * np.sign(theta)),
    )
    bad[0] = abs(slope[0])  # the constant term is free
    return bad.max() / np.abs(2 * v.T @ (w * flux)).max()


@pytest.mark.parametrize("scatter", ["likelihood", "median"])
def test_l1_optimality_at_its_own_scatter(stars, scatter):
    model = CannonModel(NAMES, l1=3e3, scatter=scatter).train(*stars.training)
    v = model.terms.vectors(model.scale_labels(stars.labels))
    share = (model.theta[:, 1:] == 0).mean()
    assert 0.05 < share < 0.95
    for p in range(len(model.s2)):
        s2 = model.s2[p] if scatter == "likelihood" else 0.0
        flux, ivar = stars.flux[:, p].astype(float), stars.ivar[:, p].astype(float)
        w = ivar / (1 + ivar * s2)
        worst = subgradient_violation(v, flux, w, model.theta[p], 3e3)
        # s2 rests to 1e-4 relative, so that w moves by that in the likelihood fit
        assert worst <= (1e-5 if scatter == "likelihood" else 1e-8)
        if scatter == "likelihood" and s2 > 0:
            r = flux - v @ model.theta[p]
            assert abs((w**2 * r**2 - w).sum()) <= 1e-3 * w.sum()


def test_l1_path_is_optimal_and_usable(stars):
    ivar = stars.ivar.copy()
    ivar[:, 7] = 0
    ivar[5:, 8] = 0
    strengths = np.append(np.geomspace(10, 1e6, 7), 0.0)  # in no order on purpose
    path = CannonModel(NAMES).l1_path(stars.labels, stars.flux, ivar, strengths)
    model = path.model(3)
    v = model.terms.vectors(model.scale_labels(stars.labels))
    assert path.theta.shape == (8, 80, 10)
    assert model.status[7] == PIXEL_STATUS["NO_DATA"]
    assert model.status[8] == PIXEL_STATUS["FEW_STARS"]
    assert (path.violation <= 1e-8).all()
    for p in set(range(80)) - {7, 8}:
        iv = ivar[:, p].astype(float)
        w = iv / (1 + iv * path.s2[p])
        for strength, theta in zip(strengths, path.theta[:, p], strict=True):
            worst = subgradient_violation(v, stars.flux[:, p], w, theta, strength)
            assert worst <= 1e-8
    zeros = (path.theta[:7, :, 1:] == 0).sum(axis=(1, 2))
    assert zeros[0] < zeros[3] < zeros[6]
    # without strength: the fit without penalty
    free = CannonModel(NAMES).train(stars.labels, stars.flux, ivar)
    np.testing.assert_allclose(path.theta[7], free.theta, atol=1e-7)
    assert model.l1 == strengths[3]
    np.testing.assert_array_equal(model.theta, path.theta[3])
    result = path.model(0).infer(stars.flux[:5], ivar[:5])
    assert (abs(result.labels - stars.labels[:5]) < 8 * result.errors).all()


def test_l1_path_has_the_settings_of_its_model(stars, tmp_path):
    model = CannonModel(NAMES, scatter="median", l1=3.0)
    model.wavelength = np.linspace(15100.0, 15110.0, 80)
    regions = [(15100.0, 15110.0)]
    model.normaliser = Normaliser(model.wavelength, np.ones(80, bool), regions, 2)
    path = model.l1_path(*stars.training, [10.0])
    free = CannonModel(NAMES, scatter="median").train(*stars.training)
    np.testing.assert_array_equal(path.s2, free.s2)
    path.model(0).write(tmp_path / "model.fits")
    found = CannonModel.read(tmp_path / "model.fits")
    assert found.scatter == "median" and found.l1 == 10.0
    np.testing.assert_array_equal(found.wavelength, model.wavelength)
    assert found.normaliser.order == 2
    assert model.theta is None and model.l1 == 3.0


def test_l1_path_where_a_block_of_pixels_has_no_data(stars):
    ivar = stars.ivar.copy()
    ivar[:, 64:] = 0  # the second block of pixels, whole
    path = CannonModel(NAMES).l1_path(stars.labels, stars.flux, ivar, [10.0])
    assert (path.theta[0, 64:] == np.eye(10)[0]).all()


def test_terms_from_strings():
    names = ("TEFF", "LOGG", "FE_H")
    strings = ["1", "TEFF", "logg", "Fe_H", "TEFF^4", "logg*TEFF", " FE_H ^2 * TEFF"]
    model = CannonModel(names, terms=strings)
    assert model.terms.names == [
        "1",
        "TEFF",
        "LOGG",
        "FE_H",
        "TEFF^4",
        "TEFF*LOGG",
        "TEFF*FE_H^2",
    ]
    same = CannonModel(names, terms=["TEFF*LOGG", "TEFF*TEFF"])
    assert same.terms.exponents.tolist() == [[0, 0, 0], [1, 1, 0], [2, 0, 0]]
    table = CannonModel(names, terms=np.array([[0, 0, 0], [1, 0, 2]]))
    assert table.terms.names == ["1", "TEFF*FE_H^2"]
    # names that differ by case alone are told apart
    both = CannonModel(("a", "A"), terms=["a", "A^2"])
    assert both.terms.exponents.tolist() == [[0, 0], [1, 0], [0, 2]]
    for degree, n_terms in ((1, 4), (2, 10), (3, 20)):
        assert len(CannonModel(names, degree=degree).terms) == n_terms


def test_named_terms_equal_the_complete_model(stars, model):
    names = model.terms.names[::-1]
    other = CannonModel(NAMES, terms=names).train(*stars.training)
    order = [other.terms.names.index(name) for name in model.terms.names]
    np.testing.assert_allclose(other.theta[:, order], model.theta, atol=1e-9)
    np.testing.assert_allclose(other.s2, model.s2, rtol=1e-6)


def test_from_coefficients(stars, model):
    other = CannonModel.from_coefficients(
        NAMES,
        model.theta,
        model.s2,
        model.fiducials,
        model.scales,
        wavelength=np.arange(80),
        training_labels=Table(stars.labels, names=NAMES),
    )
    ours, theirs = model.infer(*stars.spectra), other.infer(*stars.spectra)
    assert result_bytes(ours) == result_bytes(theirs)
    bare = CannonModel.from_coefficients(
        NAMES, model.theta, model.s2, model.fiducials, model.scales
    )
    theirs = bare.infer(*stars.spectra)
    assert (abs(theirs.labels - ours.labels) < 1e-3 * ours.errors).all()
    assert (theirs.status == 0).all()  # without training labels nothing is flagged
    np.testing.assert_array_equal(theirs.inside_labels, theirs.labels)


def test_from_coefficients_refuses(model):
    good = (model.theta, model.s2, model.fiducials, model.scales)

    def build(**changes):
        given = dict(zip(("theta", "s2", "fiducials", "scales"), good, strict=True))
        return CannonModel.from_coefficients(NAMES, **(given | changes))

    with pytest.raises(InputError, match=r"theta has shape \(80, 9\).*10"):
        build(theta=model.theta[:, 1:])
    with pytest.raises(InputError, match="theta holds values that are not finite"):
        build(theta=model.theta * np.nan)
    with pytest.raises(InputError, match=r"s2 has shape \(79,\); expected \(80,\)"):
        build(s2=model.s2[1:])
    with pytest.raises(InputError, match="variance"):
        build(s2=-model.s2)
    with pytest.raises(InputError, match=r"s2 holds values beyond 1e\+20"):
        build(s2=model.s2 + 1e300)
    with pytest.raises(InputError, match=r"fiducials .* expected 3 finite"):
        build(fiducials=[1.0, 2.0])
    with pytest.raises(InputError, match=r"scales .* must be > 0"):
        build(scales=[1.0, 0.0, 2.0])
    with pytest.raises(InputError, match=r"wavelength has shape \(3,\)"):
        build(wavelength=[1, 2, 3])


def test_predict_flux(stars, model):
    x = (stars.labels - model.fiducials) / model.scales
    columns = [np.ones(len(x)), *x.T]
    columns += [x[:, i] * x[:, j] for i in range(3) for j in range(i, 3)]
    expected = np.column_stack(columns) @ model.theta.T
    got = model.predict_flux(stars.labels)
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    one = model.predict_flux(list(stars.labels[3]))
    assert one.shape == (80,)
    np.testing.assert_allclose(one, expected[3], rtol=1e-13)
    table = Table(stars.labels, names=NAMES)
    np.testing.assert_array_equal(model.predict_flux(table), got)
    structured = table.as_array()
    np.testing.assert_array_equal(model.predict_flux(structured), got)


def test_scaling_a_label_leaves_the_flux(stars, model):
    factors = np.array([1e-3, 1.0, -2.0])
    offsets = np.array([0.0, 10.0, 0.3])
    labels = stars.labels * factors + offsets
    other = CannonModel(NAMES).train(labels, *stars.spectra)
    np.testing.assert_allclose(
        other.predict_flux(labels), model.predict_flux(stars.labels), rtol=1e-9
    )
    np.testing.assert_allclose(other.s2, model.s2, rtol=1e-6)
    ours = model.infer(*stars.spectra, precision="double")
    theirs = other.infer(*stars.spectra, precision="double")
    np.testing.assert_allclose(theirs.errors, ours.errors * abs(factors), rtol=1e-5)
    away = abs(theirs.labels - (ours.labels * factors + offsets))
    assert (away < 1e-3 * theirs.errors).all()


def test_permuting_stars_or_pixels(stars, model):
    rng = np.random.default_rng(8)
    order = rng.permutation(len(stars.labels))
    other = CannonModel(NAMES).train(
        stars.labels[order], stars.flux[order], stars.ivar[order]
    )
    np.testing.assert_allclose(other.theta, model.theta, rtol=0, atol=1e-10)
    np.testing.assert_allclose(other.s2, model.s2, rtol=1e-6)
    pixels = rng.permutation(stars.flux.shape[1])
    other = CannonModel(NAMES).train(
        stars.labels, stars.flux[:, pixels], stars.ivar[:, pixels]
    )
    np.testing.assert_allclose(other.theta, model.theta[pixels], rtol=0, atol=1e-10)
    np.testing.assert_allclose(other.s2, model.s2[pixels], rtol=1e-6)


def test_masking_a_star_equals_leaving_it_out(stars):
    ivar = stars.ivar.copy()
    ivar[4, :40] = 0
    masked = CannonModel(NAMES).train(stars.labels, stars.flux, ivar)
    kept = np.arange(len(ivar)) != 4
    v = masked.terms.vectors(masked.scale_labels(stars.labels))
    for p in (0, 39):
        theta, _ = dense_optimum(v[kept], stars.flux[kept, p], ivar[kept, p])
        np.testing.assert_allclose(masked.theta[p], theta, rtol=0, atol=1e-8)


def test_the_callers_arrays_are_left_alone(stars):
    flux, ivar, labels = stars.flux.copy(), stars.ivar.copy(), stars.labels.copy()
    flux[3, 4], ivar[5, 6] = np.nan, -1
    before = [a.copy() for a in (labels, flux, ivar)]
    for array in (labels, flux, ivar):
        array.flags.writeable = False
    model = CannonModel(NAMES)
    with pytest.warns(UserWarning, match="2 of 12000 pixels"):
        model.train(labels, flux, ivar)
    with pytest.warns(UserWarning, match="2 of 12000 pixels"):
        model.infer(flux, ivar)
    with pytest.warns(UserWarning, match="2 of 12000 pixels") as caught:
        model.cross_validate(labels, flux, ivar, folds=2)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="2 of 12000 pixels") as caught:
        model.l1_path(labels, flux, ivar, [10.0])
    assert len(caught) == 1
    for array, copy in zip((labels, flux, ivar), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_labels_from_any_table(stars, model):
    table = Table(stars.labels, names=NAMES)
    table["other"] = "text"
    shuffled = table[["other", "fe_h", "teff", "logg"]]
    quantities = QTable(table)
    quantities["teff"] = quantities["teff"] * u.K
    masked = Table(table, masked=True)
    choices = [
        table,
        shuffled,
        quantities,
        masked,
        table.as_array(),
        dict(zip(NAMES, stars.labels.T, strict=True)),
        dict(zip(NAMES, stars.labels.T.tolist(), strict=True)),
        stars.labels.tolist(),
        np.ma.array(stars.labels),
    ]
    for labels in choices:
        other = CannonModel(NAMES).train(labels, *stars.spectra)
        assert other.theta.tobytes() == model.theta.tobytes()


@pytest.mark.parametrize("censored", [False, True])
def test_round_trip_through_a_file(stars, tmp_path, censored):
    ivar = stars.ivar.copy()
    ivar[:, 7] = 0
    censors = {"logg": np.arange(80) < 20} if censored else None
    wavelength = np.linspace(15100, 17000, 80) if censored else None
    model = CannonModel(NAMES, censors=censors, l1=2.5 if censored else 0.0)
    model.train(stars.labels, stars.flux, ivar, wavelength=wavelength)
    model.write(tmp_path / "model.fits")
    again = CannonModel.read(tmp_path / "model.fits")
    again.write(tmp_path / "again.fits")
    content = (tmp_path / "model.fits").read_bytes()
    assert content == (tmp_path / "again.fits").read_bytes()
    assert np.isinf(again.s2[7])
    assert again.label_names == model.label_names
    assert again.terms.names == model.terms.names
    assert (again.l1, again.scatter) == (model.l1, model.scatter)
    for name in ("theta", "s2", "status", "fiducials", "scales", "starts", "hull"):
        assert getattr(again, name).tobytes() == getattr(model, name).tobytes()
    if censored:
        np.testing.assert_array_equal(again.wavelength, wavelength)
        np.testing.assert_array_equal(again.censors["logg"], censors["logg"])
        assert list(again.censors) == ["logg"]
    else:
        assert again.wavelength is None and again.censors == {}
    ours, theirs = model.infer(*stars.spectra), again.infer(*stars.spectra)
    assert result_bytes(ours) == result_bytes(theirs)
    again.train(stars.labels, stars.flux, ivar, wavelength=wavelength)
    assert again.theta.tobytes() == model.theta.tobytes()


def test_round_trip_of_a_model_from_coefficients(stars, model, tmp_path):
    bare = CannonModel.from_coefficients(
        NAMES, model.theta, model.s2, model.fiducials, model.scales
    )
    bare.write(tmp_path / "bare.fits")
    again = CannonModel.read(tmp_path / "bare.fits")
    assert again.hull is None and again.wavelength is None
    ours, theirs = bare.infer(*stars.spectra), again.infer(*stars.spectra)
    assert result_bytes(ours) == result_bytes(theirs)


@pytest.mark.parametrize(
    "settings", [{}, {"scatter": "median"}, {"l1": 100.0}], ids=str
)
def test_threads_give_equal_bytes(stars, settings, monkeypatch):
    monkeypatch.setattr("fastcannon.inference.SPECTRA_BLOCK", 20)
    one, two = (
        CannonModel(NAMES, **settings).train(*stars.training, threads=t) for t in (1, 2)
    )
    assert one.theta.tobytes() == two.theta.tobytes()
    assert one.s2.tobytes() == two.s2.tobytes()
    ours, theirs = (one.infer(*stars.spectra, threads=t) for t in (1, 2))
    assert result_bytes(ours) == result_bytes(theirs)


def test_block_sizes_do_not_change_the_answer(stars, model, monkeypatch):
    ours = model.infer(*stars.spectra, precision="double")
    done = []
    for pixels, spectra in ((7, 11), (1, 1), (1000, 1000)):
        # the default of an argument is bound when the function is defined
        monkeypatch.setattr("fastcannon.training.PIXEL_BLOCK", pixels)
        monkeypatch.setattr("fastcannon.inference.SPECTRA_BLOCK", spectra)
        other = CannonModel(NAMES).train(*stars.training, progress=done.append)
        size = np.abs(model.theta).max(axis=0)
        assert (abs(other.theta - model.theta) <= 1e-9 * size).all()
        np.testing.assert_allclose(other.s2, model.s2, rtol=1e-9)
        theirs = model.infer(*stars.spectra, precision="double")
        np.testing.assert_allclose(theirs.labels, ours.labels, rtol=1e-9)
        np.testing.assert_allclose(theirs.chi2, ours.chi2, rtol=1e-9)
        np.testing.assert_allclose(theirs.covariance, ours.covariance, rtol=1e-7)
        np.testing.assert_array_equal(theirs.minima, ours.minima)
    assert {1, 7, 80} <= set(done)  # the sizes were in force


def test_block_sizes_do_not_change_penalised_fits(stars, monkeypatch):
    settings = {"l1": 1e3}
    model = CannonModel(NAMES, **settings).train(*stars.training)
    monkeypatch.setattr("fastcannon.training.PIXEL_BLOCK", 3)
    other = CannonModel(NAMES, **settings).train(*stars.training)
    assert abs(other.theta - model.theta).max() <= 1e-9
    np.testing.assert_allclose(other.s2, model.s2, rtol=1e-9)


def test_progress_counts_every_row(stars, model):
    done = []
    CannonModel(NAMES).train(*stars.training, progress=done.append)
    assert sum(done) == stars.flux.shape[1]
    for call in (
        lambda: model.infer(*stars.spectra, progress=done.append),
        lambda: model.cross_validate(*stars.training, folds=3, progress=done.append),
    ):
        done.clear()
        call()
        assert sum(done) == len(stars.labels)
    done.clear()
    model.l1_path(*stars.training, [1.0], progress=done.append)
    assert sum(done) == stars.flux.shape[1]


def test_scaling_of_the_labels(stars, model):
    low, middle, high = np.percentile(stars.labels, (2.5, 50, 97.5), axis=0)
    np.testing.assert_allclose(model.fiducials, middle)
    np.testing.assert_allclose(model.scales, high - low)
    assert (abs(middle - CENTRES) < 0.1 * WIDTHS).all()
    terms = Terms.complete(NAMES, 2)
    assert terms.names == model.terms.names
    assert terms.containing([False, True, False]).sum() == 4
