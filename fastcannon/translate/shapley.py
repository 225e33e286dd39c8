"""Exact Shapley values of a map's inputs, over all coalitions."""

from math import comb

import numpy as np

from ..errors import InputError

MOST_INPUTS = 12  # 4096 coalitions


def shapley_values(function, x, background):
    """Share of every input in what a map makes of every star.

    The value of a coalition of inputs is the mean of the map over the background stars
    with these inputs replaced by the star's own (the interventional expectation that
    the sampling explainers of SHAP estimate). All 2^F coalitions are computed.

    Parameters
    ----------
    function : callable
        (M, F) array to (M, O) array; called once per coalition with M = S * B.
    x : (S, F) array
        Stars to explain.
    background : (B, F) array

    Returns
    -------
    (S, F, O) array
        They add up to the map of the star less its mean over the background.

    Raises
    ------
    InputError
        There are more than 12 inputs.
    """
    n_inputs = x.shape[1]
    if n_inputs > MOST_INPUTS:
        raise InputError(
            f"there are {n_inputs} inputs; exact Shapley values are computed for up to "
            f"{MOST_INPUTS}, as their cost doubles with each"
        )
    bits = 1 << np.arange(n_inputs)
    values = np.array(
        [
            _coalition_value(function, x, background, (code & bits) > 0)
            for code in range(2**n_inputs)
        ]
    )
    sizes = np.array([code.bit_count() for code in range(2**n_inputs)])
    weight = 1 / np.array([n_inputs * comb(n_inputs - 1, s) for s in range(n_inputs)])
    shares = np.empty((len(x), n_inputs, values.shape[2]))
    codes = np.arange(2**n_inputs)
    for i in range(n_inputs):
        without = codes[(codes & bits[i]) == 0]
        gain = values[without | bits[i]] - values[without]
        shares[:, i] = np.einsum("c,cso->so", weight[sizes[without]], gain)
    return shares


def _coalition_value(function, x, background, inside):
    """Mean over the background of the map with the inputs ``inside`` from the star."""
    mixed = np.where(inside, x[:, None], background)
    value = function(mixed.reshape(-1, x.shape[1]))
    return value.reshape(len(x), len(background), -1).mean(axis=1)
