"""Errors from repeated spectra: what was put in comes back, with honest errors."""

import numpy as np
import pytest
from astropy.table import Table

from fastcannon import InputError
from fastcannon.packed import best_and_others, independent_pairs
from fastcannon.repeats import (
    Decay,
    error_factors,
    final_errors,
    fit_precision,
    precision_bins,
)

FACTORS = np.array([3.0, 0.5])
DECAY = Decay(0.3, 20.0, 0.03)


def repeats(rng, stars, most=5):
    """Visits with noise of their own size: labels, formal errors, star, pairs."""
    star = np.repeat(np.arange(stars), rng.integers(2, most + 1, stars))
    snr = 10 ** rng.uniform(1, 2.3, len(star))
    formal = np.array([50, 1]) / snr[:, None] * rng.uniform(0.5, 2, (len(star), 2))
    true = rng.normal(size=(stars, 2))[star] * 100
    labels = true + formal * FACTORS * rng.standard_normal(formal.shape)
    pairs = independent_pairs(star.astype(str), np.ones(len(star), int))
    return labels, formal, star, pairs


def test_the_true_factors_come_back_with_true_errors():
    rng = np.random.default_rng(1)
    runs = []
    for seed in range(150):
        found = error_factors(*repeats(rng, 300), bootstraps=100, seed=seed)
        runs.append([found.factor, found.e_factor, found.robust, found.e_robust])
    factor, e_factor, robust, e_robust = np.moveaxis(np.array(runs), 1, 0)
    for values, errors in ((factor, e_factor), (robust, e_robust)):
        # Measured: means within 0.23 percent, each good to 0.25.
        np.testing.assert_allclose(values.mean(axis=0) / FACTORS, 1, atol=0.012)
        # Width of the pulls measured: 0.93 to 1.03, each good to 6 percent; 1.5 with
        # pairs as if independent.
        pulls = (values - FACTORS) / errors
        np.testing.assert_allclose(pulls.std(axis=0), 1, atol=0.2)
        # Measured: 0.65 to 0.75, each good to 0.04; 0.45 to 0.49 as if independent.
        coverage = (abs(pulls) < 1).mean(axis=0)
        np.testing.assert_allclose(coverage, 0.68, atol=0.12)


def test_rescaled_errors_describe_the_repeats():
    rng = np.random.default_rng(2)
    labels, formal, star, pairs = repeats(rng, 1000)
    found = error_factors(labels, formal, star, pairs)
    again = error_factors(labels, formal * found.factor, star, pairs)
    np.testing.assert_allclose(again.factor, 1, rtol=1e-12)
    np.testing.assert_allclose(again.e_factor, found.e_factor / found.factor)


def test_three_visits_by_hand():
    # Differences 1, 3, 2 of star a and 4 of star b over sqrt(2), errors all 1.
    labels = np.array([0.0, 1, 3, 10, 14])[:, None]
    star = np.array(["a", "a", "a", "b", "b"])
    pairs = [[0, 1], [0, 2], [1, 2], [3, 4]]
    found = error_factors(labels, np.ones((5, 1)), star, pairs)
    assert found.factor == pytest.approx(np.sqrt((1 + 9 + 4 + 16) / 8))
    assert (found.n_pairs, found.n_stars, found.n_left_out) == (4, 2, 0)
    assert found.e_factor > 0 and found.e_robust > 0


def test_the_order_in_a_pair_and_of_pairs_does_not_matter():
    labels, formal, star, pairs = repeats(np.random.default_rng(3), 50)
    one = error_factors(labels, formal, star, pairs, seed=4)
    other = error_factors(labels, formal, star, pairs[::-1, ::-1], seed=4)
    for name in ("factor", "e_factor", "robust", "e_robust"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)


def test_wild_pairs_leave_the_robust_factor():
    labels, formal, star, pairs = repeats(np.random.default_rng(5), 500)
    calm = error_factors(labels, formal, star, pairs)
    wild = labels.copy()
    wild[::100] += 1e4
    found = error_factors(wild, formal, star, pairs)
    assert (found.factor > 10 * calm.factor).all()
    # Measured: 3 percent more, as 2 percent of the pairs are wild; errors 27 more.
    np.testing.assert_allclose(found.robust, calm.robust, rtol=0.06)
    np.testing.assert_allclose(found.e_robust, calm.e_robust, rtol=0.4)


def test_unknown_values_leave_out_their_pairs_of_their_label():
    labels, formal, star, pairs = repeats(np.random.default_rng(6), 100)
    expected = error_factors(labels, formal, star, pairs)
    some, errors = labels.copy(), formal.copy()
    some[0, 0], errors[5, 1], errors[6, 1], errors[7, 1] = np.nan, 0, np.inf, -1
    given = some.copy(), errors.copy()
    found = error_factors(some, errors, star, pairs)
    bad = [np.isin(pairs, rows).any(axis=1).sum() for rows in ([0], [5, 6, 7])]
    np.testing.assert_array_equal(found.n_left_out, bad)
    np.testing.assert_array_equal(found.n_pairs, len(pairs) - np.array(bad))
    kept = pairs[~np.isin(pairs, [5, 6, 7]).any(axis=1)]
    alone = error_factors(labels[:, 1:], formal[:, 1:], star, kept)
    assert found.factor[1] == alone.factor[0] != expected.factor[1]
    np.testing.assert_array_equal(some, given[0])
    np.testing.assert_array_equal(errors, given[1])


@pytest.mark.parametrize("pairs", [np.empty((0, 2), int), [[0, 1]], [[0, 1], [0, 2]]])
def test_fewer_than_two_stars_with_pairs(pairs):
    labels = np.arange(10.0).reshape(5, 2)
    found = error_factors(labels, np.ones((5, 2)), np.array([1, 1, 1, 2, 2]), pairs)
    for name in ("factor", "e_factor", "robust", "e_robust"):
        assert np.isnan(getattr(found, name)).all()
    assert not found.n_pairs.any() and not found.n_stars.any()


@pytest.mark.parametrize(
    "change, match",
    [
        ({"errors": np.ones((4, 1))}, r"shapes \(4, 2\) and \(4, 1\)"),
        ({"labels": np.ones(4), "errors": np.ones(4)}, r"expected \(S, K\)"),
        ({"star": [1, 1, 2]}, r"star has shape \(3,\) for 4 spectra"),
        ({"pairs": [[1, 2]]}, "must be of one star"),
        ({"pairs": [[0, 4]]}, r"rows 0 to 4; there are rows 0 to 3"),
        ({"pairs": [[-1, 2]]}, r"rows -1 to 2"),
        ({"pairs": [[0.0, 1.0]]}, "type float64"),
        ({"pairs": [0, 1]}, r"shape \(2,\)"),
        ({"bootstraps": 1}, "bootstraps is 1"),
    ],
)
def test_bad_input_of_factors(change, match):
    good = {
        "labels": np.ones((4, 2)),
        "errors": np.ones((4, 2)),
        "star": [1, 1, 2, 2],
        "pairs": [[0, 1], [2, 3]],
    }
    with pytest.raises(InputError, match=match):
        error_factors(**(good | change))


def best_beside_others(rng, n, sigma=DECAY):
    """One label of n stars: perfect best spectra, others with the decay's scatter."""
    snr = np.r_[np.full(n, 1e4), 10 ** rng.uniform(1, 2.3, n)]
    noise = rng.standard_normal(2 * n) * sigma(snr) * (np.arange(2 * n) >= n)
    return noise[:, None], snr, np.c_[:n, n : 2 * n]


def test_bins_have_the_scatter_put_in():
    bins = precision_bins(*best_beside_others(np.random.default_rng(1), 8000), ["x"])
    assert len(bins) == 20 and set(bins["n"]) == {400}
    assert bins.colnames == ["snr_low", "snr_high", "snr", "n", "sigma_x", "e_sigma_x"]
    assert (bins["snr_low"][1:] >= bins["snr_high"][:-1]).all()
    assert (bins["snr_low"] < bins["snr"]).all()
    pulls = (bins["sigma_x"] - DECAY(bins["snr"])) / bins["e_sigma_x"]
    # Measured: width 0.99, mean -0.46 (percentiles 16 and 84 give 0.994 sigma).
    assert 0.6 < pulls.std() < 1.4 and abs(pulls.mean()) < 0.9


def test_bins_hold_the_noise_of_both_spectra():
    rng = np.random.default_rng(2)
    n = 4000
    star = np.repeat(np.arange(n), 2).astype(str)
    visits = rng.standard_normal((n, 2))
    for best in ("visit", "sum"):
        labels = visits.copy()
        if best == "sum":
            labels[:, 0] = visits.mean(axis=1)
        snr = np.tile([50.0 if best == "visit" else 70.0, 49.0], n)
        pairs = best_and_others(star, snr)
        bins = precision_bins(labels.reshape(-1, 1), snr, pairs, ["x"])
        expected = np.sqrt(2) if best == "visit" else np.sqrt(0.5)
        # Measured: 0.988 of it.
        assert bins["sigma_x"].mean() == pytest.approx(expected, rel=0.03)


def test_an_offset_of_the_differences_is_not_scatter():
    labels, snr, pairs = best_beside_others(np.random.default_rng(3), 500)
    one = precision_bins(labels, snr, pairs, ["x"])
    labels[:500] += 7
    np.testing.assert_allclose(
        precision_bins(labels, snr, pairs, ["x"])["sigma_x"], one["sigma_x"]
    )


@pytest.mark.parametrize("n, bins, least", [(0, 0, 20), (19, 0, 20), (60, 3, 20)])
def test_bins_of_few_pairs(n, bins, least):
    labels, snr, pairs = best_beside_others(np.random.default_rng(4), n)
    found = precision_bins(labels, snr, pairs, ["x"], least)
    assert len(found) == bins and found["n"].sum() == n * (bins > 0)
    assert found.colnames[-1] == "e_sigma_x" and found["n"].dtype.kind == "i"
    assert (found["n"] >= least).all()


def test_bins_grow_with_the_number_of_pairs():
    def number(n):
        data = best_beside_others(np.random.default_rng(4), n)
        return len(precision_bins(*data, ["x"]))

    assert [number(n) for n in (100, 400, 1600, 6400)] == [5, 10, 20, 20]


def test_pairs_without_snr_or_labels_are_left_out():
    labels, snr, pairs = best_beside_others(np.random.default_rng(5), 200)
    labels = np.tile(labels, 2)
    labels[200], labels[201, 0] = np.nan, np.nan  # no label; the second only
    snr[202], snr[203], snr[204], snr[0] = np.nan, 0, np.inf, np.nan
    found = precision_bins(labels, snr, pairs, ["x", "y"])
    assert found["n"].sum() == 196
    assert np.isfinite(found["sigma_x"]).all() and np.isfinite(found["sigma_y"]).all()


def test_bad_input_of_bins():
    labels, snr, pairs = best_beside_others(np.random.default_rng(6), 30)
    with pytest.raises(InputError, match=r"\(60, 1\); expected \(60, 2\) for 60 S/N"):
        precision_bins(labels, snr, pairs, ["x", "y"])
    with pytest.raises(InputError, match=r"\(60, 1\); expected \(59, 1\)"):
        precision_bins(labels, snr[:-1], pairs, ["x"])
    with pytest.raises(InputError, match="there are rows 0 to 59"):
        precision_bins(labels, snr, pairs + 1, ["x"])
    with pytest.raises(InputError, match="least is 0"):
        precision_bins(labels, snr, pairs, ["x"], 0)


def exact_bins(decay, snr):
    return Table(
        {"snr": snr, "n": np.full(len(snr), 100), "sigma_x": decay(np.array(snr))}
    )


@pytest.mark.parametrize("true", [DECAY, Decay(90, 60, 0), Decay(5.0, 8.0, 20.0)])
def test_a_decay_without_noise_comes_back(true):
    found = fit_precision(exact_bins(true, np.linspace(12, 150, 15)), "x")
    # Measured: 2e-5 at most.
    np.testing.assert_allclose(found[:3], true[:3], rtol=0, atol=1e-4)
    assert found.lowest == 12


def test_the_fit_is_good_and_its_bias_small():
    rng = np.random.default_rng(7)
    snr = np.array([5.0, 10, 20, 50, 100, 200])
    ratios = []
    for _ in range(60):
        bins = precision_bins(*best_beside_others(rng, 2000), ["x"])
        ratios.append(fit_precision(bins, "x")(snr) / DECAY(snr))
    # Measured: 0.977 to 0.983, of percentiles of 100 values; 3 to 6 percent in a fit.
    np.testing.assert_allclose(np.mean(ratios, axis=0), 0.98, atol=0.02)
    assert (np.std(ratios, axis=0) < 0.08).all()


def test_a_label_without_trend_or_with_a_rise_is_constant():
    snr = np.linspace(10, 100, 12)
    flat = fit_precision(exact_bins(Decay(0, 1, 0.2), snr), "x")
    np.testing.assert_allclose(flat(snr), 0.2, rtol=1e-6)
    rising = exact_bins(DECAY, snr)
    rising["sigma_x"] = np.linspace(1, 2, 12)
    found = fit_precision(rising, "x")
    assert found.a == 0 and 1 < found.c < 2


def test_the_steepest_decay_has_a_bound_below_the_lowest_bin():
    bins = exact_bins(DECAY, np.linspace(30, 100, 10))
    bins["sigma_x"] = np.r_[5.0, np.ones(9)]
    found = fit_precision(bins, "x")
    assert found.b >= 10 * (1 - 1e-9) and found(0) < 30 * 5


def test_few_bins():
    bins = exact_bins(DECAY, [20.0, 40.0, 60.0])
    bins["n"] = [10, 10, 40]
    found = fit_precision(bins, "x")
    assert found.a == 0 and found.lowest == 20
    assert found.c == pytest.approx(np.average(bins["sigma_x"], weights=bins["n"]))
    bins["sigma_x"] = [np.nan, 0, 0.5]  # no scatter known, none at all
    assert fit_precision(bins, "x")(np.array([1.0, 100])) == pytest.approx([0.5, 0.5])
    bins["sigma_x"] = np.nan
    assert fit_precision(bins, "x") is None
    assert fit_precision(bins[:0], "x") is None


def test_decay_at_odd_snr():
    decay = Decay(2.0, 10.0, 1.0, lowest=10.0)
    found = decay(np.array([np.nan, np.inf, -5, 0, 10]))
    at_lowest = 1 + 2 / np.e
    np.testing.assert_allclose(found, [at_lowest, 1, 3, 3, at_lowest])


def test_final_errors_are_the_larger_ones():
    formal = np.array([[1.0, 1, 1], [10, 10, 10], [np.nan, np.nan, np.nan]])
    given = formal.copy()
    decays = [Decay(0, 1, 5.0), Decay(0, 1, 5.0), None]
    found = final_errors(formal, [50.0, np.nan, 50], [2.0, np.nan, 3], decays)
    expected = [[5, 5, 3], [20, 10, 30], [np.nan] * 3]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(formal, given)


def test_final_errors_cover_the_repeats():
    rng = np.random.default_rng(8)
    labels, formal, star, pairs = repeats(rng, 2000)
    # Noise that the formal errors do not know, of all visits alike.
    labels = labels + rng.normal(0, [3, 0.005], labels.shape)
    factors = error_factors(labels, formal, star, pairs)
    snr = 1 / formal[:, 1]
    bins = precision_bins(labels, snr, best_and_others(star.astype(str), snr), "xy")
    decays = [fit_precision(bins, name) for name in "xy"]
    errors = final_errors(formal, snr, factors.factor, decays)
    first, second = pairs.T
    bright = snr[pairs].min(axis=1) > 100

    def coverage(errors):
        width = np.hypot(errors[first], errors[second])
        inside = abs(labels[first] - labels[second]) < width
        return inside.mean(axis=0), inside[bright].mean(axis=0)

    # Measured: 0.86 and 0.75; both spectra bright: 0.85 and 0.91, 0.42 and 0.50 without
    # the precision.
    (every, high), (_, rescaled) = coverage(errors), coverage(formal * factors.factor)
    assert (every > 0.68).all() and (high > 0.68).all() and (every < 0.92).all()
    assert (rescaled < 0.68).all()


def test_bad_input_of_final_errors():
    decays = [None, None]
    with pytest.raises(InputError, match=r"\(3, 2\), \(4,\), \(2,\) with 2 decays"):
        final_errors(np.ones((3, 2)), np.ones(4), [1, 1], decays)
    with pytest.raises(InputError, match=r"\(3,\) with 2 decays"):
        final_errors(np.ones((3, 2)), np.ones(3), [1, 1, 1], decays)
