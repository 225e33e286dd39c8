"""The trained map from standardised inputs to standardised outputs: plain arrays."""

from typing import NamedTuple

import numpy as np
from scipy.fft import dct

from .baselines import term_slopes, term_values
from .network import forward, forward_along


class Map(NamedTuple):
    """An ensemble of networks, blended with a smooth map output by output.

    layers : sequence of network.Dense, of E networks
    skip : (F, O) array
        What the networks' correction is added to: x @ skip.
    smooth : (T, O) array
        The best smooth map, coefficients of `baselines.term_values`.
    linear : (T, O) array
        The linear map, for stars far from the training sample.
    share : (O,) array
        Part of the networks in the blend, 0 to 1; the rest is the smooth map.
    """

    layers: tuple
    skip: np.ndarray
    smooth: np.ndarray
    linear: np.ndarray
    share: np.ndarray

    def __call__(self, x, far=None, errors=None):
        """Return values, and what is known of their variance.

        The errors of the inputs are propagated by Jacobian-vector products. Each
        network carries one of D directions ``errors * q``, where the rows q of a (D, F)
        array have orthogonal columns of mean square one: the mean square of the D
        changes is the propagated variance, for any number of outputs at the cost of one
        more forward pass. Where the networks' slopes differ it is that much larger.

        Parameters
        ----------
        x : (N, F) array
            Standardised.
        far : (N,) array, optional
            Part of the linear map in each star's value, 0 to 1.
        errors : (N, F) array, optional
            Standard deviations of the inputs, standardised; none: zero.

        Returns
        -------
        values, variance : (N, O) arrays, float64
            Variance of the networks' mean and of the inputs' errors.
        """
        far = np.zeros(len(x)) if far is None else far
        near = (1 - far)[:, None]
        networks = near * self.share
        smooth, linear = near - networks, far[:, None]
        kind = self.layers[0].weight.dtype
        if errors is None:
            found = forward(self.layers, x.astype(kind))
            propagated = 0.0
        else:
            steps = errors * directions(len(self.layers[0].weight), x.shape[1])
            found, changes = forward_along(
                self.layers, x.astype(kind), steps.astype(kind)
            )
            slopes = smooth[:, :, None] * term_slopes(x, self.smooth)
            slopes += linear[:, :, None] * term_slopes(x, self.linear)
            changes = networks * (changes + steps @ self.skip)
            changes += np.einsum("nof,ernf->erno", slopes, steps)
            propagated = (changes**2).mean(axis=(0, 1))
        values, spread = combine(found)
        terms = term_values(x)
        values = networks * (values + x @ self.skip)
        values += smooth * (terms @ self.smooth) + linear * (terms @ self.linear)
        return values, (spread * self.share) ** 2 + propagated


def directions(n_networks, n_inputs):
    """Return R directions for each network, (E, R, 1, F): see `Map`.

    They are the first columns of a cosine transform of E R >= F points.
    """
    rounds = -(-n_inputs // n_networks)
    count = n_networks * rounds
    columns = dct(np.eye(count), axis=0, norm="ortho")[:, :n_inputs]
    return np.sqrt(count) * columns.reshape(n_networks, rounds, 1, n_inputs)


def combine(values):
    """Return mean and standard deviation of networks without the two outermost.

    Parameters
    ----------
    values : (E, N, O) array
        With fewer than four networks all of them count.

    Returns
    -------
    mean, deviation : (N, O) arrays, float64
    """
    values = values.astype(np.float64)
    count = len(values)
    if count == 1:
        return values[0], np.zeros_like(values[0])
    middle = values.mean(axis=0)
    away = values - middle
    squares = (away**2).sum(axis=0)
    total = away.sum(axis=0)
    if count > 3:
        for outermost in (away.min(axis=0), away.max(axis=0)):
            total = total - outermost
            squares = squares - outermost**2
        count -= 2
    mean = total / count
    variance = np.maximum(squares / count - mean**2, 0) * count / (count - 1)
    return middle + mean, np.sqrt(variance)
