"""Starting points of the descents: they fill the training set and its box."""

import warnings

import numpy as np

N_STARTS = 64  # points at which chi^2 is evaluated before any descent


def make_starts(x):
    """Return starting points in scaled labels that fill the training set and its box.

    The fiducial point; centres of clusters of the training labels (k-means); points
    that fill their bounding box evenly (Sobol sequence). Seeded.

    Parameters
    ----------
    x : ndarray, (N, K)
        Scaled training labels.

    Returns
    -------
    ndarray, (J, K)
        J is at most N_STARTS.
    """
    # Slow to import, and inference with a trained model does without.
    from scipy.cluster.vq import kmeans2
    from scipy.stats import qmc

    n_labels = x.shape[1]
    n_centres = min(N_STARTS // 2 - 1, len(np.unique(x, axis=0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty cluster: left out
        centres, members = kmeans2(
            x, n_centres, minit="++", rng=np.random.default_rng(0)
        )
    centres = centres[np.unique(members)]
    box = qmc.scale(
        qmc.Sobol(n_labels, rng=np.random.default_rng(0)).random(N_STARTS // 2),
        x.min(axis=0),
        x.max(axis=0),
    )
    return np.vstack([np.zeros((1, n_labels)), centres, box])


def nearest_starts(starts):
    """Nearest other starts of each, (J, n) indices, n at most twice the labels."""
    n = min(2 * starts.shape[1], len(starts) - 1)
    if n == 0:
        return np.zeros((len(starts), 0), dtype=np.int64)
    apart = ((starts[:, None, :] - starts[None, :, :]) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.argsort(apart, axis=1, kind="stable")[:, :n].astype(np.int64)
