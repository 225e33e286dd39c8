"""Distance of inferred labels to the training set (Nandakumar+2022, eq. 5)."""

import numpy as np
from scipy.spatial import cKDTree

from .errors import InputError
from .parallel import ranges, thread_count

DISTANCE_LABELS = ("teff", "logg", "fe_h", "alpha_fe")
NEIGHBOURS = 10
SIGMAS = 2
_BLOCK = 65_536  # rows at a time: 10 MB of neighbours
_LEAF = 32  # of 8 to 48 the fastest for 4,418 stars, by little


def distance_limit(n_labels):
    """Distance above which a star is flagged: 8 for four labels (section 3.6).

    Parameters
    ----------
    n_labels : int

    Returns
    -------
    int
    """
    return SIGMAS * n_labels


def training_distance(labels, training, rms, threads=1):
    """Mean squared distance to the nearest 10 training stars, in units of the rms.

    Nandakumar+2022, eq. 5: D = mean over the 10 training stars of least distance of
    sum_l (l - l_train)^2 / K_l^2. Nearest are those of the least such sum; the search
    is exact.

    Parameters
    ----------
    labels : (S, L) array
        Inferred labels, in label units (K, dex).
    training : (N, L) array
        Labels of the training stars, as the model was trained on.
    rms : (L,) array
        K_l, the rms of the cross-validation, in label units.
    threads : int, optional
        None: every core this process may use.

    Returns
    -------
    (S,) array
        Without unit; NaN where a label is not finite.

    Raises
    ------
    InputError
        Shapes do not agree, a training label is not finite, there are fewer than 10
        training stars, an rms is not a positive number, or threads is below 1.
    """
    labels, training, rms = _check(labels, training, rms)
    threads = thread_count(threads)
    tree = cKDTree(training / rms, leafsize=_LEAF)
    distance = np.full(len(labels), np.nan)
    for start, stop in ranges(len(labels), _BLOCK):
        block = labels[start:stop] / rms
        known = np.flatnonzero(np.isfinite(block).all(axis=1))
        away, _ = tree.query(block[known], k=NEIGHBOURS, workers=threads)
        distance[start + known] = (away**2).mean(axis=1)
    return distance


def _check(labels, training, rms):
    """Return the arguments of `training_distance` as float64, or raise InputError."""
    labels, training, rms = (
        np.asarray(values, dtype=np.float64) for values in (labels, training, rms)
    )
    shapes = (labels.shape, training.shape, rms.shape)
    if labels.ndim != 2 or training.ndim != 2 or rms.shape != labels.shape[1:]:
        raise InputError(
            f"labels, training labels and rms have shapes {shapes}; expected (S, L), "
            "(N, L) and (L,)"
        )
    if training.shape[1] != len(rms) or not len(rms):
        raise InputError(
            f"labels, training labels and rms have shapes {shapes}; they must be of "
            "the same labels, one or more"
        )
    if len(training) < NEIGHBOURS:
        raise InputError(
            f"there are {len(training)} training stars; the distance to the training "
            f"set needs the nearest {NEIGHBOURS}: train on more stars"
        )
    if not np.isfinite(training).all():
        rows = np.flatnonzero(~np.isfinite(training).all(axis=1))
        raise InputError(
            f"{len(rows)} training stars have labels that are not finite, the first "
            f"in row {rows[0]}; leave them out"
        )
    if not (np.isfinite(rms) & (rms > 0)).all():
        raise InputError(
            f"the cross-validation rms of the labels are {rms}; positive numbers are "
            "expected: did the cross-validation find any labels?"
        )
    return labels, training, rms
