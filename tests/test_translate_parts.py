"""The steps of the translator that need no training."""

import numpy as np
import pytest
from astropy.table import Table

from fastcannon.errors import InputError
from fastcannon.spread import robust_sigma
from fastcannon.translate import Settings
from fastcannon.translate.baselines import fit_baselines, term_slopes, term_values
from fastcannon.translate.columns import check_units, read_columns, read_errors
from fastcannon.translate.fitting import blend_shares, make_folds
from fastcannon.translate.intervals import (
    coverage,
    fit_error,
    half_width,
)
from fastcannon.translate.mapping import Map, combine, directions
from fastcannon.translate.network import Dense, forward, forward_along, layer_shapes
from fastcannon.translate.quality import BIT, FLAGS, Extent, comments, flag_bits
from fastcannon.translate.shapley import shapley_values


def random_layers(n_in, n_out, width, doublings, ensemble=3, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(
        Dense(
            rng.normal(size=(ensemble, *shape)) / np.sqrt(shape[0]),
            rng.normal(size=(ensemble, 1, shape[1])),
        )
        for shape in layer_shapes(n_in, n_out, width, doublings)
    )


def plain_forward(layers, x, network):
    """One network, one star, as one reads it in the paper."""

    def dense(number, h):
        weight, bias = layers[number]
        return h @ weight[network] + bias[network, 0]

    h, number = dense(0, x), 1
    while number < len(layers) - 1:
        inside = dense(number, np.maximum(h, 0))
        h = h + dense(number + 1, np.maximum(inside, 0))
        number += 2
        if number < len(layers) - 1:
            h, number = dense(number, h), number + 1
    return dense(number, h)


def test_layers_double_and_come_back():
    assert layer_shapes(6, 2, 64, 3) == [
        *[(6, 64), (64, 64), (64, 64), (64, 128), (128, 128), (128, 128), (128, 256)],
        *[(256, 256), (256, 256), (256, 512), (512, 512), (512, 512), (512, 256)],
        *[(256, 256), (256, 256), (256, 128), (128, 128), (128, 128), (128, 64)],
        *[(64, 64), (64, 64), (64, 2)],
    ]
    assert layer_shapes(3, 1, 8, 0) == [(3, 8), (8, 8), (8, 8), (8, 1)]


@pytest.mark.parametrize("doublings", [0, 1, 2])
def test_forward_is_the_plain_network(doublings):
    layers = random_layers(4, 2, 8, doublings)
    x = np.random.default_rng(1).normal(size=(7, 4))
    found = forward(layers, x)
    assert found.shape == (3, 7, 2)
    for network in range(3):
        for row in range(7):
            expected = plain_forward(layers, x[row], network)
            # measured 2e-14
            np.testing.assert_allclose(found[network, row], expected, atol=1e-12)


def test_changes_along_steps_are_the_central_difference():
    layers = random_layers(4, 2, 8, 1)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(20, 4))
    steps = rng.normal(size=(3, 2, 20, 4))
    values, changes = forward_along(layers, x, steps)
    np.testing.assert_array_equal(values, forward(layers, x))
    size = 1e-6
    for e in range(3):
        for r in range(2):
            shift = size * steps[e, r]
            change = forward(layers, x + shift)[e] - forward(layers, x - shift)[e]
            # measured 3e-9; a kink inside the step would be of the order of the slope
            np.testing.assert_allclose(changes[e, r], change / (2 * size), atol=1e-7)


@pytest.mark.parametrize(("networks", "inputs"), [(1, 3), (3, 3), (10, 6), (4, 9)])
def test_directions_are_orthogonal(networks, inputs):
    rows = directions(networks, inputs)
    assert rows.shape == (networks, -(-inputs // networks), 1, inputs)
    rows = rows.reshape(-1, inputs)
    np.testing.assert_allclose(rows.T @ rows / len(rows), np.eye(inputs), atol=1e-14)


def test_the_map_blends_and_propagates_errors():
    rng = np.random.default_rng(3)
    smooth, linear = rng.normal(size=(2, 10, 2))
    linear[4:] = 0
    skip = rng.normal(size=(3, 2))
    share = np.array([0.3, 1.0])
    layers = random_layers(3, 2, 8, 1, ensemble=5)
    trained = Map(layers, skip, smooth, linear, share)
    x = rng.normal(size=(30, 3))
    far = np.linspace(0, 1, 30)
    values, variance = trained(x, far)
    mean, spread = combine(forward(layers, x))
    near = share * (mean + x @ skip) + (1 - share) * (term_values(x) @ smooth)
    expected = (1 - far)[:, None] * near + far[:, None] * (term_values(x) @ linear)
    np.testing.assert_allclose(values, expected, atol=1e-12)
    np.testing.assert_allclose(variance, (share * spread) ** 2)


def test_propagated_errors_are_those_of_the_slopes():
    rng = np.random.default_rng(3)
    smooth, linear = rng.normal(size=(2, 10, 2))
    one = random_layers(3, 2, 8, 1, ensemble=1)
    same = tuple(Dense(*(np.repeat(a, 4, axis=0) for a in layer)) for layer in one)
    skip, share = rng.normal(size=(3, 2)), np.array([0.3, 1.0])
    x, far = rng.normal(size=(30, 3)), np.linspace(0, 1, 30)
    errors = rng.uniform(0.1, 2, (30, 3))
    step = 1e-6
    for layers in (one, same):  # three steps of one network, one step of each of four
        trained = Map(layers, skip, smooth, linear, share)
        _, variance = trained(x, far, errors)
        expected = np.zeros_like(variance)
        for f in range(3):
            shift = step * np.eye(3)[f]
            change = trained(x + shift, far)[0] - trained(x - shift, far)[0]
            expected += (change / (2 * step)) ** 2 * errors[:, [f]] ** 2
        np.testing.assert_allclose(variance, expected, rtol=1e-6)  # measured 2e-8


def test_networks_that_disagree_have_larger_errors():
    layers = random_layers(3, 1, 8, 1, ensemble=100)  # that have nothing in common
    trained = Map(layers, np.zeros((3, 1)), *np.zeros((2, 10, 1)), np.ones(1))
    x = np.random.default_rng(5).normal(size=(500, 3))
    errors = np.full((500, 3), 0.5)
    _, variance = trained(x, errors=errors)
    changes = [
        forward(layers, x + 1e-6 * shift) - forward(layers, x - 1e-6 * shift)
        for shift in np.eye(3)
    ]
    squares = (np.array(changes) / 2e-6 * 0.5) ** 2
    expected = squares.sum(axis=0).mean(axis=0)  # over inputs, over networks
    propagated = variance - combine(forward(layers, x))[1] ** 2
    assert (propagated / expected).mean() == pytest.approx(1, abs=0.1)  # measured 1.004


def test_combination_leaves_out_the_outermost():
    values = np.array([5.0, 1.0, 2.0, 3.0, 100.0])[:, None, None]
    mean, deviation = combine(values)
    assert mean[0, 0] == pytest.approx(10 / 3)
    assert deviation[0, 0] == pytest.approx(np.std([2, 3, 5], ddof=1))
    assert combine(values[:1])[1][0, 0] == 0
    assert combine(values[1:4])[0][0, 0] == pytest.approx(2)


def test_combination_of_large_numbers_keeps_its_digits():
    values = 1e6 + np.arange(10.0)[:, None, None] * 1e-3
    _, deviation = combine(values)
    assert deviation[0, 0] == pytest.approx(np.std(np.arange(1, 9), ddof=1) * 1e-3)


def test_baselines_find_what_is_there():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(400, 2))
    true = np.column_stack([x[:, 0] + 0.5, x[:, 0] * x[:, 1], 2 - x[:, 1]])
    y = true + 0.01 * rng.normal(size=true.shape)
    starts, ratios = np.array([0, 1, -1]), np.array([1.0, 1.0, 0.0])
    found = fit_baselines(x, y, starts, ratios, np.arange(400) % 5)
    scatter = {kind: (base.held - y).std(axis=0) for kind, base in found.items()}
    assert scatter["identity"][0] == pytest.approx(0.01, rel=0.15)
    assert scatter["linear"][2] == pytest.approx(0.01, rel=0.15)
    assert scatter["quadratic"][1] == pytest.approx(0.01, rel=0.15)
    assert scatter["linear"][1] > 0.5 and scatter["identity"][2] > 0.5
    for base in found.values():
        np.testing.assert_allclose(
            term_values(x) @ base.coefficients, base.held, atol=0.3
        )


def test_slopes_of_a_quadratic_are_its_differences():
    rng = np.random.default_rng(5)
    x, coefficients = rng.normal(size=(6, 3)), rng.normal(size=(10, 2))
    slopes = term_slopes(x, coefficients)
    for f in range(3):
        shift = 1e-4 * np.eye(3)[f]
        change = (term_values(x + shift) - term_values(x - shift)) @ coefficients
        np.testing.assert_allclose(slopes[..., f], change / 2e-4, atol=1e-9)


def test_blend_takes_the_better_and_the_mean_of_two_equal_ones():
    rng = np.random.default_rng(6)
    y = rng.normal(size=(5000, 3))
    good, bad = 0.01 * rng.normal(size=(2, 5000))
    held = y + np.column_stack([good, 100 * good, good])
    smooth = y + np.column_stack([100 * bad, bad, bad])
    share = blend_shares(held, smooth, y)
    assert share[0] == 1 and share[1] == 0 and abs(share[2] - 0.5) <= 0.05


def test_a_star_is_in_one_fold_and_every_star_is_held_out():
    star = np.repeat(np.arange(100), 3)
    folds = make_folds(star, 10, 0)
    assert folds.shape == (2, 300)
    for group in folds:
        assert np.unique(group).tolist() == [0, 1, 2, 3, 4]
        assert (group.reshape(100, 3) == group[::3, None]).all()
    assert (folds[0] != folds[1]).any()
    assert make_folds(star, 3, 0).shape == (1, 300)
    with pytest.raises(InputError, match="2 different stars"):
        make_folds(np.array([0, 1, 1]), 3, 0)


def test_floor_and_factor_give_pulls_of_unit_width():
    rng = np.random.default_rng(7)
    variance = rng.uniform(0.5, 2, 4000)
    residual = rng.normal(size=4000) * np.sqrt(variance + 3)
    floor, factor = fit_error(residual, variance)
    assert factor == 1 and floor == pytest.approx(np.sqrt(3), rel=0.05)
    floor, factor = fit_error(residual / 4, variance)
    assert floor < 1e-8 and 0.3 < factor < 0.5
    error = factor * np.sqrt(variance)
    assert np.median(abs(residual / 4) / error) == pytest.approx(1 / 1.4826, rel=1e-6)
    assert all(0 < part < 1e-8 for part in fit_error(np.zeros(10), np.zeros(10)))


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_intervals_cover_what_they_promise(level):
    rng = np.random.default_rng(8)
    # a distribution with wide wings: nothing is normal here
    held, new = rng.standard_t(2, size=(2, 4000, 2))
    half = half_width(np.sort(abs(held), axis=0), level)
    share, error = coverage(new, -half, half)
    # of both samples: sqrt(2) binomial errors
    assert (abs(share - level) < 3 * np.sqrt(2) * error).all()


def test_too_few_stars_for_a_level():
    scores = np.sort(np.random.default_rng(9).random((10, 2)), axis=0)
    assert np.isinf(half_width(scores, 0.95)).all()
    np.testing.assert_array_equal(half_width(scores, 0.5), scores[5])
    with pytest.raises(InputError, match="between 0 and 1"):
        half_width(scores, 95)


def test_robust_sigma_of_a_normal_distribution():
    values = np.random.default_rng(10).normal(3, 2, 100_000)
    assert robust_sigma(values) == pytest.approx(2, rel=0.02)


def test_extent_knows_ranges_and_pairs():
    rng = np.random.default_rng(11)
    x = rng.uniform(0, 1, 5000)
    extent = Extent.of(np.column_stack([x, x, rng.uniform(0, 1, 5000)]))
    new = np.array([[0.5, 0.5, 0.5], [0.2, 0.8, 0.5], [1.5, 0.5, 0.5]])
    ranges, empty = extent.outside(new)
    assert ranges.tolist() == [[False] * 3, [False] * 3, [True, False, False]]
    assert empty.tolist() == [[False] * 3, [True, False, False], [False] * 3]
    training = np.column_stack([x, x, x])
    assert not np.hstack(Extent.of(training).outside(training)).any()


def test_flags_and_words():
    reasons = {
        "INPUT_MISSING": np.array([[True, False, False, False], [False] * 4]),
        "INPUT_RANGE": np.array([[True, True, True, True], [False] * 4]),
        "FAR": np.array([[True], [False]]),
    }
    names = ["p", "q", "r", "s"]
    words = {"INPUT_MISSING": names, "INPUT_RANGE": names, "FAR": ("",)}
    flag = flag_bits(reasons)
    assert flag.tolist() == [BIT["INPUT_MISSING"] | BIT["INPUT_RANGE"] | BIT["FAR"], 0]
    assert comments(reasons, words).tolist() == [
        "missing: p; outside training range: p, q, r and 1 more; "
        "far from training stars",
        "",
    ]
    assert len(set(BIT.values())) == len(FLAGS)


def test_shapley_values_of_a_map_that_is_known():
    rng = np.random.default_rng(12)
    x, background = rng.normal(size=(5, 4)), rng.normal(size=(30, 4))

    def function(v):
        return np.column_stack([2 * v[:, 0] - v[:, 3], v[:, 1] * v[:, 2]])

    found = shapley_values(function, x, background)
    mean = background.mean(axis=0)
    np.testing.assert_allclose(found[:, 0, 0], 2 * (x[:, 0] - mean[0]), atol=1e-12)
    np.testing.assert_allclose(found[:, 3, 0], -(x[:, 3] - mean[3]), atol=1e-12)
    np.testing.assert_allclose(found[:, [1, 2], 0], 0, atol=1e-12)
    np.testing.assert_allclose(found[:, [0, 3], 1], 0, atol=1e-12)
    total = function(x) - function(background).mean(axis=0)
    np.testing.assert_allclose(found.sum(axis=1), total, atol=1e-12)


def test_shapley_values_agree_with_the_shap_package():
    shap = pytest.importorskip("shap", reason="shap is not installed")
    rng = np.random.default_rng(13)
    x, background = rng.normal(size=(3, 4)), rng.normal(size=(20, 4))
    layers = random_layers(4, 1, 8, 1, ensemble=1)

    def function(v):
        return forward(layers, v)[0]

    found = shapley_values(function, x, background)
    explainer = shap.KernelExplainer(lambda v: function(v)[:, 0], background)
    sampled = explainer.shap_values(x, silent=True)
    # its kernel regression sees all 14 proper coalitions here: measured 1e-8
    np.testing.assert_allclose(found[..., 0], sampled, atol=1e-5)


def test_shapley_values_of_too_many_inputs():
    with pytest.raises(InputError, match="13 inputs"):
        shapley_values(None, np.zeros((1, 13)), np.zeros((1, 13)))


def test_sentinels_are_missing():
    table = Table(
        {
            "logg": np.array([4.0, np.nan, -9999, -999, 99, 99.99, np.inf, 3.5]),
            "single": np.array([1, 99.9, 1, 1, 9999, 1, 1, 1], dtype=np.float32),
            "whole": np.array([1, 2, 3, 4, 5, 6, 99, -9999]),
        }
    )
    table["masked"] = np.ma.masked_equal(np.arange(8.0), 3)
    missing = np.isnan(read_columns(table, ["logg", "single", "whole", "masked"]))
    assert missing[:, 0].tolist() == [False, *[True] * 6, False]
    assert np.flatnonzero(missing[:, 1]).tolist() == [1, 4]
    assert np.flatnonzero(missing[:, 2]).tolist() == [6, 7]
    assert np.flatnonzero(missing[:, 3]).tolist() == [3]


def test_errors_that_are_missing():
    table = Table({"e": [99.0, -1.0, -9999.0, np.nan, 9999.0, 0.0]})
    errors = read_errors(table, ["", "e"])
    assert (errors[:, 0] == 0).all()
    assert np.isnan(errors[:, 1]).tolist() == [False, True, True, True, True, False]


@pytest.mark.parametrize(
    "values, text", [(4.8, "thousands of K"), (0.01, "another unit")]
)
def test_temperatures_in_another_unit(values, text):
    with pytest.raises(InputError, match=f"column Teff_X has a median.*{text}"):
        check_units(np.full((10, 1), values), ["Teff_X"])
    check_units(np.full((10, 1), values), ["colour"])
    check_units(np.full((10, 1), 5500.0), ["Teff_X"])


def test_columns_that_cannot_be_used():
    table = Table({"a": [1.0, 2.0], "b": ["x", "y"]})
    with pytest.raises(InputError, match="no column c; it has a, b"):
        read_columns(table, ["a", "c"])
    with pytest.raises(InputError, match="column b has type <U1"):
        read_columns(table, ["b"])


@pytest.mark.parametrize(
    "values",
    [
        {"width": 0},
        {"doublings": -1},
        {"rates": ()},
        {"rates": (2.0,)},
        {"dropout": 1.0},
        {"sparse": -1},
    ],
)
def test_settings_that_cannot_be_used(values):
    with pytest.raises(InputError, match=next(iter(values))):
        Settings(**values)


def test_the_original_settings():
    original = Settings.original()
    assert (original.width, original.doublings, original.batch) == (64, 3, 4096)
    assert original.rates == (1e-3, 1e-4, 1e-5) and original.patience == 5
