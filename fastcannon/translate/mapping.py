"""The trained map from standardised inputs to standardised outputs: plain arrays."""

from typing import NamedTuple

import numpy as np

from .baselines import term_slopes, term_values
from .network import forward, forward_and_jacobian


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

    def __call__(self, x, far=None, jacobian=False):
        """Return values, spread of the networks and, if asked for, derivatives.

        Parameters
        ----------
        x : (N, F) array
            Standardised.
        far : (N,) array, optional
            Part of the linear map in each star's value, 0 to 1.
        jacobian : bool

        Returns
        -------
        values, spread : (N, O) arrays, float64
        slopes : (N, O, F) array or None
        """
        far = np.zeros(len(x)) if far is None else far
        slopes = None
        single = x.astype(self.layers[0].weight.dtype)
        if jacobian:
            all_values, all_slopes = forward_and_jacobian(self.layers, single)
            slopes = all_slopes.mean(axis=0, dtype=np.float64) + self.skip.T
        else:
            all_values = forward(self.layers, single)
        values, spread = combine(all_values)
        near = (1 - far)[:, None]
        networks = near * self.share
        terms = term_values(x)
        values = networks * (values + x @ self.skip)
        values += (near - networks) * (terms @ self.smooth)
        values += far[:, None] * (terms @ self.linear)
        if jacobian:
            slopes *= networks[:, :, None]
            slopes += (near - networks)[:, :, None] * term_slopes(x, self.smooth)
            slopes += far[:, None, None] * term_slopes(x, self.linear)
        return values, spread * self.share, slopes


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
