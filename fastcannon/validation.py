"""Cross-validation: every training star inferred by a model that has not seen it."""

from copy import copy
from dataclasses import dataclass

import numpy as np

from .arrays import clean_spectra, label_array
from .errors import InputError, check_whole
from .kernels.folds import leave_folds_out, weight_powers
from .parallel import run_blocks
from .result import InferenceResult
from .spread import half_range, robust_sigma
from .training import (
    PIVOT_TOLERANCE,
    PIXEL_BLOCK,
    PixelBlock,
    fit_usable,
    pixel_blocks,
    scratch,
)

FOLDS = 12  # with more, blocks of pixels shrink, so that memory does not grow
LARGEST_SHIFT = 0.06  # relative change of the weights that the expansion may carry


@dataclass
class CrossValidation:
    """Out-of-fold labels of the training stars.

    Attributes
    ----------
    label_names : tuple of str
    labels : ndarray, (N, K)
        As given for training.
    result : InferenceResult
        Of the N stars, each by the model without its fold.
    fold : ndarray, (N,), int64
    """

    label_names: tuple
    labels: np.ndarray
    result: InferenceResult
    fold: np.ndarray

    @property
    def difference(self):
        """Inferred minus given labels, (N, K)."""
        return self.result.labels - self.labels

    @property
    def bias(self):
        """Mean difference per label, (K,)."""
        return np.nanmean(self.difference, axis=0)

    @property
    def scatter(self):
        """Half the 16 to 84 percentile range of the differences, (K,)."""
        return half_range(self.difference)

    @property
    def mad(self):
        """1.4826 times the median absolute deviation from the median, (K,)."""
        return robust_sigma(self.difference)

    @property
    def rms(self):
        """Root mean square of the differences, (K,)."""
        return np.sqrt(np.nanmean(self.difference**2, axis=0))

    def to_table(self):
        """Return an astropy Table, one row per star: given labels, then the result."""
        table = self.result.to_table()
        for k, name in reversed(list(enumerate(self.label_names))):
            table.add_column(self.labels[:, k], name=f"{name}_given", index=0)
        table["fold"] = self.fold
        return table


def assign_folds(n_stars, folds, seed):
    """Return the fold of every star: equal shares in random order, (N,) int64."""
    if check_whole(folds, "folds", 2) > n_stars:
        raise InputError(
            f"folds is {folds!r}; a whole number from 2 to the number of stars "
            f"({n_stars}) is expected"
        )
    fold = np.arange(n_stars) % folds
    return np.random.default_rng(check_whole(seed, "seed", 0)).permutation(fold)


def cross_validate(model, labels, flux, ivar, folds, seed, starts, threads, progress):
    """See `CannonModel.cross_validate`."""
    labels = label_array(labels, model.label_names)
    flux, ivar = clean_spectra(flux, ivar)
    fold = assign_folds(len(labels), folds, seed)
    model.train(labels, flux, ivar, wavelength=model.wavelength, threads=threads)
    x = model.scale_labels(labels)
    groups, designs = model.designs(x, flux.shape[1])
    theta, s2 = leave_out_models(
        flux, ivar, designs, groups, fold, model.theta, model.s2, model.fit, threads
    )
    result = InferenceResult.empty(model.label_names, len(labels))
    for f in range(folds):
        stars = np.flatnonzero(fold == f)
        one = copy(model)
        one.theta, one.s2 = theta[f], s2[f]
        inferrer = one.inferrer(starts, len(stars))
        result.put(stars, inferrer.infer(flux[stars], ivar[stars], threads, progress))
    return CrossValidation(model.label_names, labels, result, fold)


def leave_out_models(flux, ivar, designs, groups, fold, theta, s2, fit, threads=None):
    """Fit the model without each fold in turn.

    Joint fits are carried from the full one by expanding the weights about its s2
    (`kernels.folds`); where s2 moves too far for that, and for every other kind of fit,
    the pixel is fitted again to the stars that are left.

    Parameters
    ----------
    flux, ivar : ndarray, (N, P), float32
        Clean.
    designs, groups :
        Of `training.pixel_groups`, for all stars.
    fold : ndarray, (N,), int64
    theta, s2 : ndarray, (P, T), (P,)
        Full fit.
    fit : training fit
        Its attribute ``expands`` tells whether the expansion holds.
    threads : int, optional

    Returns
    -------
    theta, s2 : ndarray, (F, P, T), (F, P)
    """
    order = np.argsort(fold, kind="stable")
    edges = np.searchsorted(fold[order], np.arange(fold.max() + 2))
    n_folds = len(edges) - 1
    theta_out = np.zeros((n_folds, *theta.shape))
    theta_out[..., 0] = 1.0
    s2_out = np.full((n_folds, len(s2)), np.inf)
    sorted_designs = [design.rows(order) for design in designs]

    def task(group, pixels):
        design = sorted_designs[group]
        kept = np.flatnonzero(design.kept)
        block = PixelBlock.gather(flux, ivar, order, pixels)
        if fit.expands:
            some_theta, some_s2, again = _shift_block(
                block, design, edges, theta[np.ix_(pixels, kept)], s2[pixels]
            )
        else:
            some_theta = np.empty((n_folds, len(pixels), len(kept)))
            some_s2 = np.empty((n_folds, len(pixels)))
            again = np.ones((n_folds, len(pixels)), dtype=bool)
        for f in np.flatnonzero(again.any(axis=1)):
            left = np.r_[0 : edges[f], edges[f + 1] : edges[-1]]
            rows = np.flatnonzero(again[f])
            rest = PixelBlock(block.flux[rows][:, left], block.ivar[rows][:, left])
            some_theta[f, rows], some_s2[f, rows], _ = fit_usable(
                rest, design.rows(left), fit
            )
        theta_out[np.ix_(np.arange(n_folds), pixels, kept)] = some_theta
        s2_out[:, pixels] = some_s2

    run_blocks(
        task, pixel_blocks(groups, max(1, PIXEL_BLOCK * FOLDS // n_folds)), threads
    )
    return theta_out, s2_out


def _shift_block(block, design, edges, theta, s2):
    """Fits without each fold by expansion, and where they need a fit of their own."""
    n_folds, n_terms = len(edges) - 1, design.v.shape[1]
    theta_out = np.empty((n_folds, *theta.shape))
    s2_out, shift = np.empty((n_folds, len(s2))), np.empty((n_folds, len(s2)))
    finite = np.isfinite(s2)
    known = np.where(finite, s2, 0.0)

    wr = np.matmul(theta, design.v.T, out=scratch.array("wr", block.flux.shape))
    names = ("weights", "w2", "w3", "w2r", "w3r")
    w, w2, w3, w2r, w3r = (scratch.array(name, wr.shape) for name in names)
    sums = np.empty((len(block), n_folds, 6))
    weight_powers(block.flux, block.ivar, known, edges, wr, w, w2, w3, w2r, w3r, sums)
    shape = (3, n_folds, len(block), design.moments.shape[1])
    moments = scratch.array("moments", shape)
    vectors = np.empty((3, n_folds, len(block), n_terms))
    for f in range(n_folds):
        stars = slice(edges[f], edges[f + 1])
        for power, (weight, weighted) in enumerate(((w, wr), (w2, w2r), (w3, w3r))):
            np.matmul(weight[:, stars], design.moments[stars], out=moments[power, f])
            np.matmul(weighted[:, stars], design.v[stars], out=vectors[power, f])
    leave_folds_out(
        moments,
        vectors,
        sums,
        design.index,
        PIVOT_TOLERANCE,
        theta,
        known,
        theta_out,
        s2_out,
        shift,
    )
    used = np.add.reduceat(block.ivar > 0, edges[:-1], axis=1).T
    left = used.sum(axis=0) - used
    again = ~(shift < LARGEST_SHIFT) | (left <= n_terms) | ~finite
    again |= ~np.isfinite(theta_out).all(axis=2)
    return theta_out, s2_out, again
