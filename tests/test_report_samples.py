"""Spectra for the report: residuals, stars for the viewer, twins, synthetic pairs."""

import numpy as np
import pytest
from astropy.table import Table
from toy import CENTRES, NAMES, WIDTHS, toy

from fastcannon.errors import FileFormatError, InputError
from fastcannon.model import CannonModel
from fastcannon.packed import PackedSurvey
from fastcannon.report import samples, twins
from fastcannon.spectrawriter import SpectraWriter

STARS, PIXELS = 150, 80
WAVELENGTH = 5000.0 + 0.1 * np.arange(PIXELS)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Toy spectra in two files, pixel 5 never seen, and the model trained on them."""
    made = toy(STARS, PIXELS)
    made.ivar[:, 5] = 0.0
    folder = tmp_path_factory.mktemp("packed")
    ids = np.array([f"star{i:03d}" for i in range(STARS)])
    for number, rows in enumerate((slice(0, 90), slice(90, STARS))):
        path = folder / f"part-{number:05d}.fits"
        with SpectraWriter(path, WAVELENGTH, normalised=True) as writer:
            stars = Table({"id": ids[rows]})
            writer.append(made.flux[rows], made.ivar[rows], stars)
    model = CannonModel(NAMES).train(*made.training, wavelength=WAVELENGTH)
    with PackedSurvey.open(folder) as packed:
        yield made, model, packed


def catalogue(labels, chi2):
    """Return catalogue rows without a flag."""
    rows = {"survey_id": np.array([f"star{i:03d}" for i in range(len(labels))])}
    for k, name in enumerate(("teff", "logg", "feh")):
        rows[f"{name}Cann"] = labels[:, k].astype(np.float32)
    rows["r_chi_sq"] = np.asarray(chi2, np.float32)
    for name in ("id", "Cannon_dist", "survey", "snr", "spectra", "sp_aspcap"):
        rows[f"flag_{name}"] = np.zeros(len(labels), np.int64)
    rows["flag_fastcannon"] = np.zeros(len(labels), np.int32)
    return rows


def test_spectra_come_with_their_model_and_nan_where_nothing_is_known(world):
    made, model, packed = world
    rows = [120, 3]
    pair = samples.spectra(model, packed, rows, made.labels[rows])
    seen = np.arange(PIXELS) != 5
    np.testing.assert_array_equal(pair.observed[:, seen], made.flux[rows][:, seen])
    assert np.isnan(pair.observed[:, 5]).all() and np.isnan(pair.model[:, 5]).all()
    # The error of a model of 150 stars: measured 0.009 at most; of another star 0.06.
    assert np.abs(pair.model - made.clean[rows])[:, seen].max() < 0.02


def test_a_star_without_labels_has_no_model(world):
    made, model, packed = world
    labels = np.where([[True, False, False]], np.nan, made.labels[:1])
    pair = samples.spectra(model, packed, [0], labels)
    assert np.isnan(pair.model).all() and np.isfinite(pair.observed[0, 0])


def test_labels_rows_and_pixels_must_go_together(world):
    made, model, packed = world
    with pytest.raises(InputError, match=r"\(2 spectra, 3 labels"):
        samples.spectra(model, packed, [0, 1], made.labels[:3])
    other = toy(STARS, 60)
    shorter = CannonModel(NAMES).train(*other.training)
    with pytest.raises(InputError, match="80 pixels and the model has 60"):
        samples.spectra(shorter, packed, [0], made.labels[:1])


def test_residuals_are_the_noise(world, monkeypatch):
    made, model, packed = world
    monkeypatch.setattr(samples, "BLOCK", 64)  # three blocks
    found = samples.residuals(model, packed, np.arange(STARS), made.labels)
    assert found.n_stars == STARS
    seen = np.arange(PIXELS) != 5
    assert np.isnan(found.median[5])
    half = np.median((found.p84 - found.p16)[seen]) / 2
    # Noise 0.005 and scatter 0.006 make 0.0078; measured 0.0073.
    assert half == pytest.approx(0.0078, rel=0.1)
    assert np.abs(found.median[seen]).max() < 0.0025  # measured 0.0012
    difference = made.flux - model.predict_flux(made.labels)
    expected = np.percentile(difference, (16, 50, 84), axis=0)[:, seen]
    got = np.array([found.p16, found.median, found.p84])[:, seen]
    np.testing.assert_allclose(got, expected, atol=2e-7)  # of float32; measured 5e-8


def test_residuals_leave_out_stars_without_spectrum_or_labels(world):
    made, model, packed = world
    labels = made.labels.copy()
    labels[7, 1] = np.nan
    rows = np.arange(STARS)
    rows[3] = -1
    assert samples.residuals(model, packed, rows, labels).n_stars == STARS - 2
    none = samples.residuals(model, packed, np.full(4, -1), made.labels[:4])
    assert none.n_stars == 0 and np.isnan(none.median).all()


def test_of_many_stars_some_are_drawn_by_the_seed(world, monkeypatch):
    made, model, packed = world
    monkeypatch.setattr(samples, "MOST_STARS", 40)
    first, again, other = (
        samples.residuals(model, packed, np.arange(STARS), made.labels, seed)
        for seed in (1, 1, 2)
    )
    assert first.n_stars == 40
    np.testing.assert_array_equal(first.p16, again.p16)
    assert (first.p16 != other.p16).any()


def test_quantiles_are_those_of_the_finite_values():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(37, 6))
    values[rng.random(values.shape) < 0.4] = np.nan
    values[:, 2] = np.nan
    values[:, 4] = np.where(np.arange(37) == 9, 1.5, np.nan)
    found = np.array(samples.quantiles(values, (0.16, 0.5, 0.84)))
    assert np.isnan(found[:, 2]).all() and (found[:, 4] == 1.5).all()
    known = [0, 1, 3, 4, 5]
    expected = np.nanpercentile(values[:, known], (16, 50, 84), axis=0)
    np.testing.assert_allclose(found[:, known], expected, rtol=1e-12)


def test_the_viewer_has_usual_stars_and_the_worst(world):
    made, model, packed = world
    chi2 = np.linspace(0.8, 1.2, STARS)
    chi2[[10, 20]] = 90.0, 50.0
    stars = catalogue(made.labels, chi2)
    stars["flag_fastcannon"][[10, 20]] = 32 + 4
    stars["flag_snr"][20] = 1
    chosen = samples.viewer_sample(model, packed, stars, "toy")
    assert len(chosen) == 20 and len({star.id for star in chosen}) == 20
    assert [star.worst for star in chosen] == [False] * 12 + [True] * 8
    worst, second = chosen[12:14]
    assert (worst.id, second.id) == ("star010", "star020")
    assert worst.flags == ["OUTSIDE_HULL", "CHI2_OUTLIER"]
    assert second.flags == ["flag_snr", "OUTSIDE_HULL", "CHI2_OUTLIER"]
    assert worst.title == "toy: star010 (reduced chi2 90, among the worst)"
    assert not any(star.flags for star in chosen[:12])
    teff = [star.labels["teff"] for star in chosen[:12]]
    assert np.ptp(teff) > 0.6 * np.ptp(made.labels[:, 0])  # measured 0.83
    for star in (chosen[0], worst):
        row = int(star.id[4:])
        assert star.labels["teff"] == pytest.approx(made.labels[row, 0], abs=1e-3)
        assert star.observed.dtype == np.float32 and np.isnan(star.observed[5])
        np.testing.assert_allclose(star.observed[:5], made.flux[row, :5], atol=6e-5)
        assert star.wavelength is chosen[0].wavelength


def test_the_viewer_takes_what_is_there(world):
    made, model, packed = world
    stars = catalogue(made.labels[:3], [1.0, np.nan, 2.0])
    stars["survey_id"] = np.array([b"star000", b"star001", b"unknown"])
    assert [s.id for s in samples.viewer_sample(model, packed, stars, "toy")] == [
        "star000"
    ]
    assert (
        samples.viewer_sample(model, packed, catalogue(made.labels[:0], []), "") == []
    )


def test_stars_are_spread_over_cells_of_equal_numbers():
    rng = np.random.default_rng(3)
    places = rng.random((1200, 2)) ** 3  # crowded in a corner
    chosen = samples.spread(places)
    assert len(set(chosen)) == 12
    layers = np.argsort(np.argsort(places[:, 1])) * 3 // 1200
    assert sorted(layers[chosen]) == [0] * 4 + [1] * 4 + [2] * 4
    assert list(samples.spread(places[:1])) == [0]
    assert len(samples.spread(places[:0])) == 0


def test_the_star_like_the_sun():
    labels = np.array([[5000.0, 4.4, 0.0], [5800.0, 4.4, 0.1], [5772, np.nan, 0.0]])
    assert samples.sunlike(labels, NAMES, [50.0, 0.1, 0.05]) == 1
    assert samples.sunlike(labels[2:], NAMES, [50.0, 0.1, 0.05]) is None
    assert samples.sunlike(labels[:, :1], ["vbroad"], [1.0]) is None


def test_twins_are_the_nearest_of_high_snr():
    rng = np.random.default_rng(1)
    labels = CENTRES + WIDTHS * rng.uniform(-0.5, 0.5, (200, 3))
    scatter = 0.05 * WIDTHS
    snr = np.r_[rng.uniform(100, 200, 40), rng.uniform(10, 90, 160)]
    labels[33] = labels[4] + 0.1 * scatter
    labels[150] = labels[151]  # nearer, but of low S/N
    snr[[4, 33]] = 150.0, 160.0
    labels[0, 1] = np.nan
    assert twins.twins(labels, scatter, snr) == (33, 4)
    # In units of the scatter: a label that is badly known counts little.
    labels[33] = labels[4] + np.array([0.2, 0.0, 0.0]) * WIDTHS
    assert twins.twins(labels, scatter * [1e4, 1, 1], snr) == (33, 4)


def test_there_may_be_no_twins():
    assert twins.twins(np.ones((1, 2)), [1, 1], [50.0]) is None
    assert twins.twins(np.ones((0, 2)), [1, 1], []) is None
    assert set(twins.twins(np.ones((5, 2)), [1, 1], np.full(5, 9.0))) <= set(range(5))
    assert twins.twins(np.ones((3, 2)), [1, 1], [np.nan, 5.0, 7.0]) == (2, 1)


def synthetic(wavelength, difference):
    return Table(
        {
            "wavelength": wavelength,
            "flux_a": np.ones(len(wavelength)),
            "flux_b": 1 + difference,
        }
    )


def test_synthetic_differences_are_means_over_pixels():
    fine = np.linspace(4990, 5020, 60001)
    line = -0.3 * np.exp(-0.5 * ((fine - 5004.0) / 0.02) ** 2)  # narrower than a pixel
    found = twins.synthetic_difference(synthetic(fine, line), WAVELENGTH)
    # The area of the line stays; sampled at the pixels it would be 2.0 times that.
    area = -0.3 * 0.02 * np.sqrt(2 * np.pi)
    assert found.sum() * 0.1 == pytest.approx(area, rel=1e-5)
    assert found[40] < -0.1 and abs(found[45]) < 1e-12


def test_synthetic_differences_end_where_the_spectra_do():
    wavelength = np.r_[WAVELENGTH[:5], WAVELENGTH[:5] + 100.0]  # two arms
    x = np.linspace(5000.1, 5100.32, 2000)
    y = np.where(x > 5050, 0.02, 0.01)
    found = twins.synthetic_difference(synthetic(x, y), wavelength)
    known = np.isfinite(found)
    assert list(known) == [False] * 2 + [True] * 6 + [False] * 2
    # The wide gap is no part of the pixels beside it.
    np.testing.assert_allclose(found[known], [0.01] * 3 + [0.02] * 3, rtol=1e-9)
    y[1000] = np.nan
    there = twins.synthetic_difference(synthetic(x, y), x[990:1011])
    assert list(np.flatnonzero(np.isnan(there))) == [9, 10, 11]


def test_synthetic_tables_are_checked(tmp_path):
    path = tmp_path / "pair.ecsv"
    table = synthetic(np.array([1.0, 2.0, 3.0]), np.zeros(3))
    table.write(path)
    assert len(twins.read_synthetic(path)) == 3
    for column, wrong, message in (
        ("wavelength", [1.0, 3.0, 2.0], "must increase"),
        ("wavelength", [1.0, np.nan, 2.0], "must increase"),
        ("flux_b", ["a", "b", "c"], "flux_b has type"),
        ("flux_b", None, "no column flux_b"),
    ):
        bad = table.copy()
        del bad[column]
        if wrong:
            bad[column] = wrong
        bad.write(path, overwrite=True)
        with pytest.raises(FileFormatError, match=message):
            twins.read_synthetic(path)
    path.write_text("\x00")
    with pytest.raises(FileFormatError, match=r"pair\.ecsv"):
        twins.read_synthetic(path)
    with pytest.raises(FileNotFoundError):
        twins.read_synthetic(tmp_path / "absent.ecsv")
