"""The trained networks as plain matrix products: values and slopes along directions.

A first layer to ``width``; for each doubling a residual block and a layer to twice the
width; a block in the middle; the mirror image back; a last layer to the outputs. A
residual block is its input plus dense(relu(dense(relu(input)))). The arrays of all E
networks of an ensemble are kept together, the network first; they are computed one
after the other, so that what is between the layers stays in the processor's cache.
"""

from typing import NamedTuple

import numpy as np


class Dense(NamedTuple):
    """One layer of E networks: ``x @ weight + bias``.

    weight : ndarray, (E, inputs, outputs)
    bias : ndarray, (E, 1, outputs)
    """

    weight: np.ndarray
    bias: np.ndarray


def layer_shapes(n_inputs, n_outputs, width, doublings):
    """Return (inputs, outputs) of every layer, in the order of the data.

    Parameters
    ----------
    n_inputs, n_outputs, width, doublings : int

    Returns
    -------
    list of (int, int)
    """
    widths = [width * 2**i for i in range(doublings + 1)]
    path = widths + widths[-2::-1]
    shapes = [(n_inputs, width)]
    for i, w in enumerate(path):
        shapes += [(w, w), (w, w)]
        if i + 1 < len(path):
            shapes.append((w, path[i + 1]))
    return [*shapes, (width, n_outputs)]


def stages(layers):
    """Split the layers between first and last: list of (one, two, change or None)."""
    inner = layers[1:-1]
    return [
        (*inner[i : i + 2], inner[i + 2] if i + 2 < len(inner) else None)
        for i in range(0, len(inner), 3)
    ]


def forward(layers, x):
    """Return what the networks make of standardised inputs, without the skip.

    Parameters
    ----------
    layers : sequence of Dense
        Shapes as of `layer_shapes`.
    x : ndarray, (N, F)
        Of the type of the weights.

    Returns
    -------
    ndarray, (E, N, O)
    """
    return np.array([_one(net, x, ())[0] for net in _nets(layers)])


def forward_along(layers, x, steps):
    """Return the networks' values, and how these change along steps of the inputs.

    Parameters
    ----------
    layers, x :
        As in `forward`.
    steps : ndarray, (E, R, N, F)
        R directions of each network and star, of the type of the weights.

    Returns
    -------
    values : ndarray, (E, N, O)
    changes : ndarray, (E, R, N, O)
        Jacobian times step.
    """
    found = [_one(net, x, own) for net, own in zip(_nets(layers), steps, strict=True)]
    values, changes = zip(*found, strict=True)
    return np.array(values), np.array(changes)


def _nets(layers):
    """Each network's (weight, bias) of every layer."""
    for e in range(len(layers[0].weight)):
        yield [(layer.weight[e], layer.bias[e]) for layer in layers]


def _one(net, x, steps):
    """Values (N, O) of one network, and changes along steps, each (N, O)."""
    weight, bias = net[0]
    h = _dense(x, weight, bias)
    moves = [step @ weight for step in steps]
    for (first, bias), (second, last_bias), change in stages(net):
        lit = h > 0
        inside = _dense(np.maximum(h, 0), first, bias)
        for move in moves:
            within = (move * lit) @ first
            within *= inside > 0
            move += within @ second
        h += _dense(np.maximum(inside, 0, out=inside), second, last_bias)
        if change is not None:
            h = _dense(h, *change)
            moves = [move @ change[0] for move in moves]
    weight, bias = net[-1]
    return _dense(h, weight, bias), [move @ weight for move in moves]


def _dense(x, weight, bias):
    out = x @ weight
    out += bias
    return out
