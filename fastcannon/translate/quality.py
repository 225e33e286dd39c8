"""Where the training sample is empty: ranges, pair histograms, reasons in words."""

from itertools import combinations
from typing import NamedTuple

import numpy as np

BINS = 30  # of a pair histogram, per axis (Thomas+2024)
FLAGS = {
    "INPUT_MISSING": "an input is missing; the mean of the training sample is used",
    "INPUT_RANGE": "an input is outside of its range in the training sample",
    "INPUT_PAIR": "no training star has such a pair of inputs",
    "OUTPUT_RANGE": "an output is outside of its range in the training sample",
    "OUTPUT_PAIR": "no training star has such a pair of outputs",
    "FAR": "far from the nearest training stars; see the distance",
    "SMOOTH": "far out: partly or wholly the linear map instead of the networks",
    "NO_ERROR": "an input's error is missing; that of a typical training star is used",
}
BIT = {name: 1 << number for number, name in enumerate(FLAGS)}
_MOST_NAMED = 3  # of a kind in one comment


class Extent(NamedTuple):
    """Where F values of the training stars lie.

    low, high : (F,) arrays, label units
    occupied : (F (F - 1) / 2, 30, 30) bool array
        Whether a training star is in a bin, for each pair of values in order.
    """

    low: np.ndarray
    high: np.ndarray
    occupied: np.ndarray

    @classmethod
    def of(cls, values):
        """Return the extent of training values, (N, F)."""
        low, high = values.min(axis=0), values.max(axis=0)
        # the file keeps both, so that they are what bins are made from
        empty = np.zeros((0, BINS, BINS), dtype=bool)
        bins = cls(low, high, empty).bins(values)
        occupied = np.zeros((len(pairs(len(low))), BINS, BINS), dtype=bool)
        for number, (i, j) in enumerate(pairs(len(low))):
            occupied[number, bins[:, i], bins[:, j]] = True
        return cls(low, high, occupied)

    def bins(self, values):
        """Return the bin of every value, (S, F) int; those outside in the last ones."""
        width = np.where(self.high > self.low, self.high - self.low, 1.0) / BINS
        place = np.clip((values - self.low) / width, 0, BINS - 1)
        return place.astype(np.intp)

    def outside(self, values):
        """Return which values are out of range and which pairs are in empty bins.

        Parameters
        ----------
        values : (S, F) array
            Finite.

        Returns
        -------
        ranges : (S, F) bool array
        empty : (S, F (F - 1) / 2) bool array
            Of pairs of which both values are in range.
        """
        ranges = (values < self.low) | (values > self.high)
        bins = self.bins(values)
        empty = np.zeros((len(values), len(self.occupied)), dtype=bool)
        for number, (i, j) in enumerate(pairs(len(self.low))):
            empty[:, number] = ~self.occupied[number, bins[:, i], bins[:, j]]
            empty[:, number] &= ~(ranges[:, i] | ranges[:, j])
        return ranges, empty


def pairs(n_values):
    """Return the pairs of values in the order of the histograms."""
    return list(combinations(range(n_values), 2))


def flag_bits(reasons):
    """Return the flag of every star.

    Parameters
    ----------
    reasons : dict of str to (S, n) bool array
        Of names of `FLAGS`.

    Returns
    -------
    (S,) array, int32
    """
    first = next(iter(reasons.values()))
    flag = np.zeros(len(first), dtype=np.int32)
    for name, which in reasons.items():
        flag |= np.where(which.any(axis=1), BIT[name], 0).astype(np.int32)
    return flag


def comments(reasons, words):
    """Return in words why stars are flagged, empty where they are not.

    Parameters
    ----------
    reasons : dict of str to (S, n) bool array
    words : dict of str to sequence of n str
        What each column of the reasons is about.

    Returns
    -------
    (S,) array of str
    """
    packed = [np.packbits(which, axis=1) for which in reasons.values()]
    rows = np.ascontiguousarray(np.hstack(packed))
    keys = rows.view(np.dtype((np.void, rows.shape[1])))[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    texts = [
        "; ".join(
            _clause(
                name, [w for w, on in zip(words[name], which[row], strict=True) if on]
            )
            for name, which in reasons.items()
            if which[row].any()
        )
        for row in first
    ]
    return np.array(texts, dtype=str)[inverse]


_CLAUSES = {
    "INPUT_MISSING": "missing",
    "INPUT_RANGE": "outside training range",
    "INPUT_PAIR": "empty bin of inputs",
    "OUTPUT_RANGE": "output outside training range",
    "OUTPUT_PAIR": "empty bin of outputs",
    "FAR": "far from training stars",
    "SMOOTH": "linear map",
    "NO_ERROR": "error missing",
}


def _clause(name, about):
    """Return one reason with the first few things that it is about."""
    about = [word for word in about if word]
    more = f" and {len(about) - _MOST_NAMED} more" if len(about) > _MOST_NAMED else ""
    named = ", ".join(about[:_MOST_NAMED]) + more
    return f"{_CLAUSES[name]}: {named}" if named else _CLAUSES[name]
