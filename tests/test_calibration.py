"""Errors and limits of a case: what was put into label tables comes back."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table

from fastcannon import calibration, fitsfiles, kinds, labelfiles, parts
from fastcannon.cases import GIVEN, Case
from fastcannon.catalogue import Scale
from fastcannon.joining import Joined
from fastcannon.repeats import Decay

NAMES = ("teff", "logg", "vbroad")
WIDTHS = np.array([300.0, 0.5, 2.0])
RMS = np.array([50.0, 0.1, 0.5])
FACTORS = np.array([3.0, 1.5, 0.7])
CONFIG = SimpleNamespace(
    labels=SimpleNamespace(names=NAMES), model=SimpleNamespace(seed=0)
)


def validation(n=400, seed=0):
    rng = np.random.default_rng(seed)
    given = np.array([5000, 3, 5]) + WIDTHS * rng.normal(size=(n, 3))
    found = given + RMS * rng.normal(size=(n, 3))
    table = Table({"r_chi2": np.exp(0.1 * rng.normal(size=n))})
    table["status"] = np.zeros(n, int)
    for k, name in enumerate(NAMES):
        table[name + GIVEN], table[name] = given[:, k], found[:, k]
    return table


def repeats(folder, stars=300, visits=4, seed=1):
    """Write label tables of three parts; return their paths and what is joined."""
    rng = np.random.default_rng(seed)
    star = np.repeat(np.arange(stars), visits)
    star[-visits:] = -1  # whose star is not known
    snr = rng.uniform(20, 200, len(star))
    formal = RMS / snr[:, None] * rng.uniform(1, 2, (len(star), 3))
    truth = np.array([5000, 3, 5]) + 0.3 * WIDTHS * rng.normal(size=(stars, 3))
    noise = FACTORS * formal * rng.normal(size=formal.shape)
    labels = np.repeat(truth, visits, axis=0) + noise
    table = Table({"id": [f"s{i}" for i in range(len(star))]})
    for k, name in enumerate(NAMES):
        table[name], table[f"e_{name}"] = labels[:, k], formal[:, k]
    table["r_chi2"], table["snr"] = np.ones(len(star)), snr
    for name in ("n_pixels", "minima"):
        table[name] = np.ones(len(star), int)
    table["status"] = np.zeros(len(star), int)
    starts = np.array([0, 100, 101, len(star)])
    number = np.tile(np.arange(1, visits + 1), stars)
    joined = Joined([], {}, star, number, snr, starts)
    return table, joined, lambda: write_parts(folder, table, starts)


def write_parts(folder, table, starts):
    paths = []
    for number in range(len(starts) - 1):
        paths.append(folder / f"part-{number:05d}.fits")
        rows = table[starts[number] : starts[number + 1]]
        fitsfiles.write_table(paths[-1], rows, kinds.LABELS)
    return paths


def case():
    return Case("a-on-b", "a", "b", "model.fits", validation())


# ---- a whole case


def test_what_was_put_in_comes_back(tmp_path):
    _, joined, write = repeats(tmp_path)
    found = calibration.calibrate(CONFIG, case(), write(), joined)
    scale = found.scale
    # measured: 3, 1 and 4 percent, each good to 3; a swapped label would be off by 2
    np.testing.assert_allclose(scale.factors, FACTORS, rtol=0.12)
    np.testing.assert_allclose(scale.rms, RMS[:2], rtol=0.12)  # not of vbroad
    assert scale.training.shape == (400, 2) and np.isfinite(scale.factors).all()
    given = validation()
    np.testing.assert_array_equal(scale.training[:, 1], given[f"logg{GIVEN}"])
    # five sigma of a logarithm of width 0.1; measured 1.64
    assert 1.5 < scale.r_chi2_limit < 1.8
    n_pairs = found.counts["pairs of independent spectra"]
    assert found.counts["spectra of stars with several"] == 299 * 4
    assert n_pairs == found.factors.n_pairs[0] <= 299 * 6
    assert all(isinstance(decay, Decay) for decay in scale.decays)
    at = np.array([30.0, 150.0])
    assert all(np.diff(decay(at)) < 0 for decay in scale.decays)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("status", 1),
        ("status", 2),
        ("status", 8),
        ("minima", 2),
        ("r_chi2", 9.0),
        ("teff", 20_000.0),
        ("logg", np.nan),
    ],
)
def test_flagged_spectra_do_not_count(tmp_path, column, value):
    """Wild labels of flagged spectra must not change the factors."""
    table, joined, write = repeats(tmp_path)
    clean = calibration.calibrate(CONFIG, case(), write(), joined)
    bad = np.arange(len(table)) % 50 == 0
    table["teff"][bad] += 5e3
    table[column] = table[column].astype(type(value))
    table[column][bad] = value
    found = calibration.calibrate(CONFIG, case(), write(), joined)
    np.testing.assert_allclose(found.factors.factor, clean.factors.factor, rtol=0.05)
    lost = (
        clean.counts["of them without a flag"] - found.counts["of them without a flag"]
    )
    assert 0.8 * bad.sum() < lost <= bad.sum()


def test_without_repeats_there_are_no_factors(tmp_path):
    _, joined, write = repeats(tmp_path)
    lone = joined._replace(star=np.arange(len(joined.star)))
    found = calibration.calibrate(CONFIG, case(), write(), lone)
    assert np.isnan(found.scale.factors).all()
    assert found.scale.decays == [None] * 3 and len(found.bins) == 0
    assert set(found.counts.values()) == {0}
    # The tables of a run are written all the same.
    factors = calibration.factor_table([case()], [found])
    assert len(factors) == 3 and not factors["n_pairs"].any()
    precision = calibration.precision_table([case()], [found])
    assert precision.meta["fits"] == {f"a-on-b {name}": None for name in NAMES}


def test_tables_of_factors_and_precision(tmp_path):
    _, joined, write = repeats(tmp_path)
    found = calibration.calibrate(CONFIG, case(), write(), joined)
    one = case()
    factors = calibration.factor_table([one, one], [found, found])
    assert list(factors["label"]) == [*NAMES, *NAMES]
    assert list(factors["unit"][:3]) == ["K", "dex", "km/s"]
    difference = one.difference(NAMES)
    np.testing.assert_allclose(factors["cv_bias"][:3], difference.mean(axis=0))
    np.testing.assert_allclose(factors["cv_rms"][:2], found.scale.rms)
    np.testing.assert_allclose(factors["cv_scatter"][:3], RMS, rtol=0.15)
    bins = calibration.precision_table([one, one], [found, found])
    assert len(bins) == 2 * len(found.bins) and set(bins["case"]) == {"a-on-b"}
    fit = bins.meta["fits"]["a-on-b teff"]
    np.testing.assert_array_equal(fit, found.scale.decays[0][:3])


# ---- parts of it


def test_the_limit_of_chi2_is_robust():
    rng = np.random.default_rng(0)
    values = np.exp(0.3 + 0.2 * rng.normal(size=10_000))
    limit = calibration.chi2_limit(values)
    # measured: 3.69 for exp(0.3 + 5 x 0.2) = 3.67
    np.testing.assert_allclose(limit, np.exp(1.3), rtol=0.05)
    values[:300] = 1e6
    values[300:310] = np.nan
    np.testing.assert_allclose(calibration.chi2_limit(values), limit, rtol=0.1)


def test_rows_of_stars_with_several_spectra():
    star = np.array([3, -1, 0, 3, -1, 1, 0, 3])
    np.testing.assert_array_equal(calibration.repeated(star), [0, 2, 3, 6, 7])
    assert not len(calibration.repeated(np.array([-1, -1])))
    assert not len(calibration.repeated(np.array([2, 1, 0])))


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_read_in_the_order_asked_for(tmp_path, seed):
    table, joined, write = repeats(tmp_path, stars=40)
    paths, starts = write(), joined.starts
    rows = np.random.default_rng(seed).integers(0, len(table), 60)
    found = labelfiles.read_rows(paths, starts, rows)
    for name in ("teff", "snr", "status"):
        np.testing.assert_array_equal(found[name], table[name][rows])
    assert "id" not in found.colnames and found["minima"].dtype.kind == "i"
    assert len(labelfiles.read_rows(paths, starts, rows[:0])) == 0
    last = labelfiles.read_rows(paths, starts, np.array([len(table) - 1]))
    assert last["teff"][0] == table["teff"][-1]


def test_a_scale_is_written_exactly_and_read_by_the_workers(tmp_path):
    scale = Scale(
        label_names=NAMES,
        training=np.random.default_rng(0).normal(size=(5, 2)),
        rms=np.array([0.1, 1 / 3]),
        factors=np.array([2.0, np.nan, 1.1]),
        decays=[Decay(0.1, 2.0, 0.3, 4.0), None, Decay(0.0, 1.0, 1e-9)],
        r_chi2_limit=3.3,
    )
    path = tmp_path / "scale.json"
    digest = parts.write_scale(path, scale)
    found = parts._scale(str(path), digest)
    for one, other in zip(scale, found, strict=True):
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
        else:
            assert list(one) == list(other) if isinstance(one, tuple) else one == other
    assert parts.write_scale(path, scale) == digest
    other = parts.write_scale(path, scale._replace(r_chi2_limit=3.4))
    assert other != digest and json.loads(path.read_text())["r_chi2_limit"] == 3.4
    assert parts._scale(str(path), other).r_chi2_limit == 3.4  # not the one kept
