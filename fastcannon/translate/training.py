"""Training of an ensemble of networks in one vectorised program (JAX).

Nothing else of the package imports this module, or JAX, before networks are trained.
"""

from typing import NamedTuple

import numpy as np

from ..extras import needing
from ..interrupts import interrupts_later
from .network import Dense, layer_shapes, stages
from .settings import WIDE

with needing("translate"):
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax


class Sample(NamedTuple):
    """Standardised stars to train on.

    x : (N, F) float32, inputs
    y : (N, O) float32, outputs less what they start from, of unit size
    weight : (N, O) float32, of each absolute residual; mean 1
    e_x : (N, F) float32, scatter to add to the inputs, anew in each batch; or None
    e_y : (N, O) float32, the same for the outputs; or None
    carry : (F, O) float32, of e_x into what the outputs start from
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    e_x: np.ndarray | None = None
    e_y: np.ndarray | None = None
    carry: np.ndarray | None = None


class Layer(eqx.Module):
    """Dense layer; with a gain its weight vectors are normalised to that length."""

    weight: jax.Array
    bias: jax.Array
    gain: jax.Array | None

    def plain(self):
        """Return the weight as it multiplies."""
        if self.gain is None:
            return self.weight
        return self.weight * (self.gain / jnp.linalg.norm(self.weight, axis=0))

    def __call__(self, x):
        return x @ self.plain() + self.bias


class Net(eqx.Module):
    """One residual network, or E of them on the first axis of every array."""

    layers: list

    def __call__(self, x, dropout, key):
        h = self.layers[0](x)
        for number, (one, two, change) in enumerate(stages(self.layers)):
            inside = _thin(jax.nn.relu(h), dropout, key, 2 * number)
            inside = _thin(jax.nn.relu(one(inside)), dropout, key, 2 * number + 1)
            h = h + two(inside)
            h = h if change is None else change(h)
        return self.layers[-1](h)


def _thin(h, dropout, key, number):
    """Leave out units of wide layers while training (key is not None)."""
    if key is None or h.shape[-1] < WIDE or dropout == 0:
        return h
    kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - dropout, h.shape)
    return jnp.where(kept, h / (1 - dropout), 0)


def train_networks(sample, trained, held, settings, seed, progress=None):
    """Train E networks on parts of one sample, all at once.

    Parameters
    ----------
    sample : Sample
    trained, held : sequences of E int arrays
        Rows that each network is trained on, and that it is watched on.
    settings : Settings
    seed : int
    progress : callable, optional
        Called with the number of epochs done, after each.

    Returns
    -------
    layers : list of network.Dense, float32
    history : ndarray, (epochs, 2, E)
        Mean absolute error of the trained and the held-out rows, standardised; NaN
        after a network has stopped.
    """
    rng = np.random.default_rng(seed)
    shapes = layer_shapes(
        sample.x.shape[1], sample.y.shape[1], settings.width, settings.doublings
    )
    # XLA that is stopped while it compiles ends Python by a segmentation fault.
    with interrupts_later():
        key = jax.random.key(seed)
        nets = _initial(shapes, len(trained), rng)
        batches = _Batches(trained, settings.batch, rng)
        watched = _Watched.of(held)
        sample = Sample(*(None if a is None else jnp.asarray(a) for a in sample))
    history: list[np.ndarray] = []
    for rate in settings.rates:
        nets, key = _descend(
            nets, sample, batches, watched, rate, settings, key, history, progress
        )
    return _plain_layers(nets), np.array(history)


def _initial(shapes, n_networks, rng):
    """E networks whose correction is zero; drawn by NumPy, which need not compile."""
    layers = []
    for number, (n_in, n_out) in enumerate(shapes):
        first, last = number == 0, number == len(shapes) - 1
        limit = np.sqrt(6 / n_in)  # He: before most layers there is a ReLU
        weight = rng.uniform(-limit, limit, (n_networks, n_in, n_out))
        weight = weight.astype(np.float32) * (not last)
        gain = None
        if not first and not last and number % 3 > 0:  # the others change the width
            gain = jnp.asarray(np.linalg.norm(weight, axis=1))
        bias = jnp.zeros((n_networks, n_out), dtype=jnp.float32)
        layers.append(Layer(jnp.asarray(weight), bias, gain))
    return Net(layers)


class _Batches:
    """Which rows come when.

    Sorted by NumPy: XLA takes a minute to compile a permutation.
    """

    def __init__(self, trained, size, rng):
        least = min(map(len, trained))  # the networks differ by a few rows
        self.trained, self.rng = trained, rng
        self.size = min(size, least)
        self.steps = least // self.size

    def __call__(self):
        """Return the rows of every network and step, (E, steps, size), anew.

        The rows that do not fill a batch are others in each epoch.
        """
        used = self.steps * self.size
        orders = [self.rng.permutation(rows)[:used] for rows in self.trained]
        return np.reshape(orders, (len(orders), self.steps, self.size))


class _Watched(NamedTuple):
    """Held-out rows of every network, (E, n), and which of them count."""

    rows: jax.Array
    counted: jax.Array

    @classmethod
    def of(cls, held):
        most = max(map(len, held))
        rows = np.array([np.resize(rows, most) for rows in held])
        counted = np.array([np.arange(most) < len(rows) for rows in held])
        return cls(jnp.asarray(rows), jnp.asarray(counted, dtype=jnp.float32))


def _descend(nets, sample, batches, watched, rate, settings, key, history, progress):
    """Train at one learning rate until no network improves; return the best of each."""
    with interrupts_later():
        rate = jnp.float32(rate)
        state = _begin(nets, rate, settings.decay)
        best, best_loss = nets, np.asarray(_watch(nets, sample, watched))
    waited = np.zeros(len(best_loss), dtype=int)
    for _ in range(settings.epochs):
        active = waited < settings.patience
        if not active.any():
            break
        with interrupts_later():
            key, now = jax.random.split(key)
            keys = jax.random.split(now, len(waited))
            given = nets, state, sample, batches(), keys, rate
            nets, state, loss = _epoch(*given, settings.decay, settings.dropout)
            held_loss = np.asarray(_watch(nets, sample, watched))
            better = active & (held_loss < best_loss)
            best_loss = np.where(better, held_loss, best_loss)
            best = jax.block_until_ready(_choose(jnp.asarray(better), nets, best))
            history.append(np.where(active, np.array([loss, held_loss]), np.nan))
        waited = np.where(better, 0, waited + 1)
        if progress is not None:
            progress(len(history))
    return best, key


# Compiled once per shape and settings, not once per training.


@eqx.filter_jit
def _begin(nets, rate, decay):
    """The optimiser's state at the start of a learning rate."""
    return eqx.filter_vmap(optax.adamw(rate, weight_decay=decay).init)(nets)


@eqx.filter_jit
def _epoch(nets, state, sample, order, keys, rate, decay, dropout):
    """One pass of every network through its rows."""
    optimiser = optax.adamw(rate, weight_decay=decay)

    def one(net, state, order, key):
        def step(carry, batch):
            net, state, number = carry
            now = jax.random.fold_in(key, number)
            loss, slope = jax.value_and_grad(_loss)(net, sample, batch, dropout, now)
            change, state = optimiser.update(slope, state, net)
            return (optax.apply_updates(net, change), state, number + 1), loss

        (net, state, _), losses = jax.lax.scan(step, (net, state, 0), order)
        return net, state, losses.mean()

    return eqx.filter_vmap(one)(nets, state, order, keys)


def _loss(net, sample, rows, dropout, key):
    """Weighted mean absolute error of one network and batch."""
    x, y = sample.x[rows], sample.y[rows]
    if sample.e_x is not None:
        key_x, key_y, key = jax.random.split(key, 3)
        shift = sample.e_x[rows] * jax.random.normal(key_x, x.shape)
        x = x + shift
        y = y + sample.e_y[rows] * jax.random.normal(key_y, y.shape)
        y = y - shift @ sample.carry  # what the outputs start from moves too
    return (sample.weight[rows] * jnp.abs(net(x, dropout, key) - y)).mean()


@eqx.filter_jit
def _watch(nets, sample, watched):
    """Weighted mean absolute error of each network's held-out rows."""

    def one(net, rows, counted):
        away = jnp.abs(net(sample.x[rows], 0.0, None) - sample.y[rows])
        loss = (sample.weight[rows] * away).mean(axis=1)
        return (loss * counted).sum() / counted.sum()

    return eqx.filter_vmap(one)(nets, watched.rows, watched.counted)


@eqx.filter_jit
def _choose(better, new, old):
    """Take the networks that are better from ``new``, the others from ``old``."""

    def pick(a, b):
        return jnp.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, new, old)


@eqx.filter_jit
def _fold(nets):
    """Weights as they multiply, and biases."""
    return eqx.filter_vmap(lambda net: [(e.plain(), e.bias) for e in net.layers])(nets)


def _plain_layers(nets):
    """Return the trained networks as arrays of NumPy."""
    return [
        Dense(np.array(weight, order="C"), np.array(bias, order="C")[:, None])
        for weight, bias in _fold(nets)
    ]
