"""Training: the same networks in JAX and NumPy, and what it does with its settings."""

from dataclasses import replace

import numpy as np
import pytest
from translate_examples import SMALL

from fastcannon.translate import Settings
from fastcannon.translate.network import Dense, forward, layer_shapes

pytest.importorskip("optax", reason="fastcannon[translate] is not installed")

import jax
import jax.numpy as jnp

from fastcannon.translate import training
from fastcannon.translate.training import Sample, train_networks


def make_sample(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    y = np.column_stack([abs(x[:, 0]), x[:, 1] * x[:, 2]]).astype(np.float32)
    return Sample(x, y, np.ones_like(y))


def parts(n=400, ensemble=3):
    fold = np.arange(n) % 5
    trained = [np.flatnonzero(fold != e % 5) for e in range(ensemble)]
    return trained, [np.flatnonzero(fold == e % 5) for e in range(ensemble)]


@pytest.mark.parametrize("doublings", [0, 1])
def test_numpy_gives_what_jax_gives(doublings):
    rng = np.random.default_rng(1)
    nets = training._initial(layer_shapes(4, 2, 16, doublings), 3, rng)
    # everything drawn: gains and biases begin at other values in training
    leaves, tree = jax.tree.flatten(nets)
    leaves = [a + 0.1 * rng.standard_normal(a.shape).astype(np.float32) for a in leaves]
    nets = jax.tree.unflatten(tree, leaves)
    x = rng.standard_normal((200, 4)).astype(np.float32)
    # single precision, relative to the size of the output: measured 3e-7
    assert far_from_jax(nets, x) < 1e-6


# Measured 2e-7, 5e-7, 2e-6: single precision; the last has the twenty layers of
# Thomas+2024, and both are as far from the same weights in double precision.
@pytest.mark.parametrize(
    ("width", "doublings", "limit"), [(16, 1, 1e-6), (32, 2, 1e-6), (64, 3, 5e-6)]
)
def test_trained_networks_are_the_same_without_jax(
    width, doublings, limit, monkeypatch
):
    trained = []
    plain_layers = training._plain_layers

    def keep(nets):
        trained.append(nets)
        return plain_layers(nets)

    monkeypatch.setattr(training, "_plain_layers", keep)
    sample = make_sample()
    settings = replace(SMALL, width=width, doublings=doublings, epochs=2)
    train_networks(sample, *parts(), settings, 0)
    monkeypatch.undo()
    assert far_from_jax(trained[0], sample.x) < limit
    layers = [
        Dense(*(a.astype(np.float64) for a in layer))
        for layer in plain_layers(trained[0])
    ]
    double = forward(layers, sample.x)
    single = forward(plain_layers(trained[0]), sample.x)
    assert abs(single - double).max() < limit * abs(double).max()


def far_from_jax(nets, x):
    """Largest difference of NumPy's networks from JAX's, relative to the outputs."""
    found, worst = forward(training._plain_layers(nets), x), 0.0
    for e in range(len(found)):
        one = jax.tree.map(lambda a, e=e: a[e], nets)
        expected = np.asarray(one(jnp.asarray(x), 0.5, None))
        away = abs(found[e] - expected).max() / abs(expected).max()
        worst = max(worst, float(away))
    return worst


def test_networks_learn_and_stop():
    sample = make_sample()
    seen = []
    layers, history = train_networks(sample, *parts(), SMALL, 0, seen.append)
    assert seen == list(range(1, len(history) + 1))
    assert history.shape == (len(history), 2, 3)
    assert len(history) <= len(SMALL.rates) * SMALL.epochs
    away = abs(forward(layers, sample.x) - sample.y).mean()
    begin = abs(sample.y).mean()
    assert away < 0.35 * begin  # measured 0.2
    assert layers[0].weight.dtype == np.float32


def test_the_best_of_the_held_out_rows_is_kept():
    sample = make_sample()
    trained, held = parts()
    layers, history = train_networks(sample, trained, held, SMALL, 0)
    best = np.nanmin(history[:, 1], axis=0)
    for e in range(3):
        away = abs(forward(layers, sample.x)[e] - sample.y)[held[e]].mean()
        assert away == pytest.approx(best[e], rel=1e-4)


def test_patience_ends_a_descent():
    sample = make_sample()
    settings = replace(SMALL, rates=(1e-7,), patience=2, epochs=50)
    noise = np.random.default_rng(2).standard_normal(sample.y.shape)
    sample = sample._replace(y=noise.astype(np.float32))
    _, history = train_networks(sample, *parts(), replace(settings, rates=(0.3,)), 0)
    assert len(history) < 50
    stopped = np.isnan(history[:, 0])
    assert (np.diff(stopped.astype(int), axis=0) >= 0).all()


def test_weights_decide_what_is_learnt():
    sample = make_sample()
    y = np.ones_like(sample.y)
    y[::4] = -1
    weight = np.where(y > 0, 0.1, 3.7).astype(np.float32)
    sample = sample._replace(x=0 * sample.x, y=y, weight=weight)
    layers, _ = train_networks(sample, *parts(), SMALL, 0)
    # one value for all stars: the weighted median
    assert (forward(layers, sample.x) < 0).all()


def test_dropout_thins_wide_layers_only():
    key = jax.random.key(0)
    h = jnp.ones((100, 256))
    thinned = np.asarray(training._thin(h, 0.5, key, 0))
    assert set(np.unique(thinned)) == {0.0, 2.0}
    assert abs((thinned == 0).mean() - 0.5) < 0.02
    assert training._thin(h, 0.5, None, 0) is h
    assert training._thin(h[:, :255], 0.5, key, 0) is not None
    np.testing.assert_array_equal(training._thin(h[:, :255], 0.5, key, 0), h[:, :255])


def test_redrawn_noise_moves_what_the_outputs_start_from():
    """With y = x the correction is zero, however much x is redrawn."""
    sample = make_sample()
    ones = np.ones_like(sample.x)
    noisy = Sample(
        sample.x,
        0 * sample.y,
        np.ones_like(sample.y),
        ones,
        0 * sample.y,
        np.eye(3, 2, dtype=np.float32),
    )
    loss = training._loss
    nets = training._initial(layer_shapes(3, 2, 8, 0), 1, np.random.default_rng(0))
    net = jax.tree.map(lambda a: a[0], nets)
    rows = np.arange(400)
    found = loss(net, Sample(*map(jnp.asarray, noisy)), rows, 0.0, jax.random.key(1))
    # the net is zero; the shift of x is what remains: mean |N(0, 1)|
    assert float(found) == pytest.approx(np.sqrt(2 / np.pi), abs=0.05)


def test_the_original_is_as_wide_as_published():
    settings = Settings.original()
    shapes = layer_shapes(6, 4, settings.width, settings.doublings)
    assert max(shape[1] for shape in shapes) == 512
