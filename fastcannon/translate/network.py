"""The trained networks as plain matrix products: value and Jacobian.

A first layer to ``width``; for each doubling a residual block and a layer to twice the
width; a block in the middle; the mirror image back; a last layer to the outputs. A
residual block is its input plus dense(relu(dense(relu(input)))). All E networks of an
ensemble are computed together: every array has the network first.
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

    def __call__(self, x):
        """Return the layer's output for x (N, inputs) or (E, N, inputs)."""
        out = np.matmul(x, self.weight)
        out += self.bias
        return out


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
    h = layers[0](x)
    for one, two, change in stages(layers):
        inside = np.maximum(h, 0)
        inside = one(inside)
        h += two(np.maximum(inside, 0, out=inside))
        if change is not None:
            h = change(h)
    return layers[-1](h)


def forward_and_jacobian(layers, x):
    """Return the networks' values and their derivatives by the inputs.

    Parameters
    ----------
    layers, x :
        As in `forward`.

    Returns
    -------
    value : ndarray, (E, N, O)
    jacobian : ndarray, (E, N, O, F)
        Of standardised outputs by standardised inputs, without the skip.
    """
    h = layers[0](x)
    lit = []
    for one, two, change in stages(layers):
        inside = one(np.maximum(h, 0))
        lit.append((h > 0, inside > 0))
        h = h + two(np.maximum(inside, 0, out=inside))
        if change is not None:
            h = change(h)
    return layers[-1](h), _backward(layers, lit, h.shape[1])


def _backward(layers, lit, n_rows):
    """Chain rule from the last layer to the first; lit: where each ReLU was open."""
    last = np.swapaxes(layers[-1].weight, 1, 2)[:, None]  # (E, 1, O, width)
    slope = np.repeat(last, n_rows, axis=1)
    for (one, two, change), (outer, inner) in zip(
        stages(layers)[::-1], lit[::-1], strict=True
    ):
        if change is not None:
            slope = _pull(slope, change)
        inside = _pull(slope, two) * inner[:, :, None]
        slope = slope + _pull(inside, one) * outer[:, :, None]
    return _pull(slope, layers[0])


def _pull(slope, layer):
    """Slopes (E, N, O, outputs) by the layer's outputs to slopes by its inputs."""
    e, n, o, width = slope.shape
    back = np.matmul(slope.reshape(e, n * o, width), np.swapaxes(layer.weight, 1, 2))
    return back.reshape(e, n, o, back.shape[-1])
