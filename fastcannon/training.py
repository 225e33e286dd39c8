"""Training: theta and s2 of every pixel, block by block of pixels.

The products of terms do not depend on the pixel: for a block of pixels the normal
matrices of all are one matrix product of the weights with the moments of the labels.
theta and s2 are then found together by Newton steps whose gradients are exact, with
a normal matrix that is renewed only where s2 has moved (kernels/README.md).
"""

from dataclasses import dataclass

import numpy as np

from .kernels.lasso import lasso_path
from .kernels.least_squares import (
    factor_normal,
    gather_pixels,
    solve_rows,
    train_weights,
)
from .kernels.scatter import (
    CONVERGED,
    joint_step,
    median_scatter,
    scatter_sums,
    start_scatter,
)
from .parallel import Scratch, ranges, run_blocks
from .terms import Terms

PIXEL_STATUS = {
    "NO_DATA": 1,  # no star has information here: theta = (1, 0, ...), s2 = inf
    "FEW_STARS": 2,  # not more stars than terms: treated like NO_DATA
    "DEPENDENT_TERMS": 4,  # some terms cannot be told apart by the stars: set to 0
    "NOT_CONVERGED": 8,  # the last steps were not yet negligible
}

PIXEL_BLOCK = 64  # pixels at a time: their arrays over all stars fit the cache
MOST_STEPS = 100
STEP_TOLERANCE = 1e-5  # of the last step: s2 relative, theta in formal errors
STALE = 0.03  # relative change of the weights after which a normal matrix is renewed
PIVOT_TOLERANCE = 1e-11
# starting grid for s2, in units of the mean squared residual
SCATTER_GRID = np.append(0.0, np.geomspace(1e-4, 4.0, 9)).astype(np.float32)
SCATTER_STEPS = 3  # Newton steps from the best of the grid
LASSO_TOLERANCE = 1e-10
LASSO_ROUNDS = 1000

scratch = Scratch()


@dataclass
class Design:
    """Training labels as the products need them, for one set of terms.

    Attributes
    ----------
    kept : ndarray, (T,), bool
        Terms of the full model in use.
    v : ndarray, (N, T_kept)
        Label vectors.
    moments : ndarray, (N, Q)
        Distinct products of two terms.
    index : ndarray, (T_kept, T_kept), int64
    """

    kept: np.ndarray
    v: np.ndarray
    moments: np.ndarray
    index: np.ndarray

    @classmethod
    def of(cls, terms: Terms, x, kept=None):
        """Design of scaled labels x (N, K), for the terms marked in ``kept`` (T,)."""
        kept = np.ones(len(terms), dtype=bool) if kept is None else kept
        subset = terms.subset(kept)
        return cls(kept, subset.vectors(x), subset.pair_vectors(x), subset.pairs[1])

    def rows(self, stars):
        """The same for a subset of the stars."""
        return Design(self.kept, self.v[stars], self.moments[stars], self.index)


def pixel_groups(terms, n_pixels, censors):
    """Return (pixels, kept terms) of every set of pixels with the same censor masks.

    Parameters
    ----------
    terms : Terms
    n_pixels : int
    censors : ndarray (P, K) bool, or None
        True where a label must not be used.
    """
    if censors is None:
        return [(np.arange(n_pixels), np.ones(len(terms), dtype=bool))]
    patterns, member = np.unique(censors, axis=0, return_inverse=True)
    return [
        (np.flatnonzero(member.ravel() == g), ~terms.containing(pattern))
        for g, pattern in enumerate(patterns)
    ]


def pixel_blocks(groups, size=None):
    """Cut groups into blocks of pixels: list of (group number, pixels)."""
    size = PIXEL_BLOCK if size is None else size
    return [
        (g, pixels[start:stop])
        for g, (pixels, _) in enumerate(groups)
        for start, stop in ranges(len(pixels), size)
    ]


def train_pixels(
    flux, ivar, designs, blocks, n_terms, fit, threads=None, progress=None
):
    """Fit every block of pixels and return theta (P, T), s2 (P,) and status (P,).

    Parameters
    ----------
    flux, ivar : ndarray, (N, P), float32
        Clean (`arrays.clean_spectra`).
    designs : list of Design
        One per group.
    blocks : list of (group number, pixels)
    n_terms : int
        T of the full model.
    fit : JointFit, MedianFit or LassoFit
        ``fit(block, design)`` returns theta, s2 and status of a `PixelBlock`.
    """
    theta = np.zeros((flux.shape[1], n_terms))
    s2 = np.zeros(flux.shape[1])
    status = np.zeros(flux.shape[1], dtype=np.int64)
    stars = np.arange(flux.shape[0])

    def train(group, pixels):
        design = designs[group]
        block = PixelBlock.gather(flux, ivar, stars, pixels)
        some_theta, s2[pixels], status[pixels] = fit_usable(block, design, fit)
        theta[np.ix_(pixels, np.flatnonzero(design.kept))] = some_theta

    def advance(block):
        progress(len(block[1]))

    run_blocks(train, blocks, threads, None if progress is None else advance)
    return theta, s2, status


@dataclass
class PixelBlock:
    """Some pixels of all training stars, pixel-major (B, N), float32."""

    flux: np.ndarray
    ivar: np.ndarray

    @classmethod
    def gather(cls, flux, ivar, stars, pixels):
        shape = (len(pixels), len(stars))
        block = cls(np.empty(shape, np.float32), np.empty(shape, np.float32))
        gather_pixels(flux, stars, pixels, block.flux)
        gather_pixels(ivar, stars, pixels, block.ivar)
        return block

    def __len__(self):
        return len(self.flux)

    def __getitem__(self, rows):
        return PixelBlock(self.flux[rows], self.ivar[rows])


def fit_usable(block, design, fit):
    """Fit the pixels with enough stars; give the others weight 0 and a status."""
    n_terms = design.v.shape[1]
    n_stars = np.count_nonzero(block.ivar, axis=1)
    status = np.zeros(len(block), dtype=np.int64)
    status[n_stars <= n_terms] = PIXEL_STATUS["FEW_STARS"]
    status[n_stars == 0] = PIXEL_STATUS["NO_DATA"]
    theta = np.zeros((len(block), n_terms))
    theta[:, 0] = 1.0
    s2 = np.full(len(block), np.inf)
    usable = status == 0
    if usable.any():
        chosen = block if usable.all() else block[usable]
        theta[usable], s2[usable], status[usable] = fit(chosen, design)
    return theta, s2, status


class JointFit:
    """Maximum likelihood in (theta, s2) jointly (Nandakumar+2022 eq. 3)."""

    expands = True  # fits without a fold follow from this one (`validation`)

    def __call__(self, block, design):
        scale = typical_variance(block)
        s2 = scale.copy()
        lower, dropped = normal_factors(block, s2, design)
        theta = weighted_fit(block, s2, design, lower)
        s2 = scatter_at(block, theta, design)

        out_theta, out_s2 = theta.copy(), s2.copy()
        status = np.where(dropped > 0, PIXEL_STATUS["DEPENDENT_TERMS"], 0)
        active = np.arange(len(block))
        lower_s2 = np.full(len(block), np.nan)
        stale = np.ones(len(block), dtype=bool)
        for _ in range(MOST_STEPS):
            if stale.any():
                some = block if stale.all() else block[stale]
                lower[stale], _ = normal_factors(some, s2[stale], design)
                lower_s2[stale] = s2[stale]
            sums, gradient, cross = likelihood_gradient(block, theta, s2, design)
            done = np.zeros(len(active), dtype=np.int64)
            joint_step(
                sums, gradient, cross, lower, scale, STEP_TOLERANCE, theta, s2, done
            )
            stale = abs(s2 - lower_s2) * sums[:, 1] > STALE * sums[:, 0]
            done = done == CONVERGED
            out_theta[active], out_s2[active] = theta, s2
            # carry on with the rest alone, once that saves more than the copies cost
            if done.mean() > 0.3:
                rest = ~done
                active, block, scale = active[rest], block[rest], scale[rest]
                theta, s2, lower = theta[rest], s2[rest], lower[rest]
                lower_s2, stale = lower_s2[rest], stale[rest]
                done = done[rest]
            if not len(active):
                break
        status[active[~done]] |= PIXEL_STATUS["NOT_CONVERGED"]
        return out_theta, out_s2, status


class MedianFit:
    """theta at s2 = 0, then s2 from median(chi^2) = 1 (AnniesLasso, Casey+2016)."""

    expands = False

    def __call__(self, block, design):
        zero = np.zeros(len(block))
        lower, dropped = normal_factors(block, zero, design)
        theta = weighted_fit(block, zero, design, lower)
        s2 = median_scatter_at(block, theta, design)
        return theta, s2, np.where(dropped > 0, PIXEL_STATUS["DEPENDENT_TERMS"], 0)


@dataclass
class LassoFit:
    """Penalised fit (Casey+2016): chi^2 + strength sum abs(theta), constant term free.

    With ``scatter="likelihood"`` theta and s2 alternate until s2 rests; with
    ``"median"`` theta is found at s2 = 0 and s2 follows, as in AnniesLasso.
    """

    strength: float
    scatter: str

    expands = False

    def __call__(self, block, design):
        s2 = np.zeros(len(block))
        if self.scatter == "median":
            theta, status = _lasso_at(block, s2, design, self.strength)
            return theta, median_scatter_at(block, theta, design), status
        scale = typical_variance(block)
        lower, _ = normal_factors(block, scale, design)
        s2 = scatter_at(block, weighted_fit(block, scale, design, lower), design)
        theta = np.zeros((len(block), design.v.shape[1]))
        status = np.zeros(len(block), dtype=np.int64)
        # a pixel at rest is left alone: its answer must not depend on its block
        active = np.arange(len(block))
        for _ in range(MOST_STEPS):
            some, before = block[active], s2[active]
            theta[active], status[active] = _lasso_at(
                some, before, design, self.strength
            )
            s2[active] = _settle_scatter(
                some, theta[active], before, lower[active], scale[active], design
            )
            largest = np.maximum(s2[active], scale[active])
            active = active[abs(s2[active] - before) > 10 * STEP_TOLERANCE * largest]
            if not len(active):
                break
        status[active] |= PIXEL_STATUS["NOT_CONVERGED"]
        return theta, s2, status


def typical_variance(block):
    """Harmonic mean of 1 / ivar over the stars with information, (B,)."""
    used = np.count_nonzero(block.ivar, axis=1)
    return used / block.ivar.sum(axis=1, dtype=np.float64)


def star_weights(block, s2):
    """Weights 1 / (1 / ivar + s2) of all stars, (B, N), in scratch memory."""
    weights = scratch.array("weights", block.flux.shape)
    train_weights(block.ivar, s2, weights)
    return weights


def normal_factors(block, s2, design):
    """Factored normal matrices (B, T, T) at fixed s2, dropped terms (B,)."""
    moments = star_weights(block, s2) @ design.moments
    n_terms = design.v.shape[1]
    lower = np.zeros((len(block), n_terms, n_terms))
    dropped = np.zeros(len(block), dtype=np.int64)
    factor_normal(moments, design.index, PIVOT_TOLERANCE, lower, dropped)
    return lower, dropped


def right_side(block, s2, design):
    """Sums of w f v over stars, (B, T)."""
    weights = star_weights(block, s2)
    weights *= block.flux
    return weights @ design.v


def weighted_fit(block, s2, design, lower):
    """theta (B, T) at fixed s2 from factored normal matrices."""
    theta = right_side(block, s2, design)
    solve_rows(lower, theta)
    return theta


def scatter_at(block, theta, design):
    """s2 (B,) of highest likelihood at fixed theta."""
    s2 = np.empty(len(block))
    model = theta @ design.v.T
    work = np.empty(len(SCATTER_GRID))
    start_scatter(block.flux, block.ivar, model, SCATTER_GRID, SCATTER_STEPS, work, s2)
    return s2


def median_scatter_at(block, theta, design):
    """s2 (B,) at which the median of chi^2 over the stars is 1, at fixed theta."""
    s2 = np.empty(len(block))
    model = theta @ design.v.T
    median_scatter(block.flux, block.ivar, model, np.empty(model.shape[1]), s2)
    return s2


def _settle_scatter(block, theta, s2, lower, scale, design):
    """s2 (B,) at rest at fixed theta, by Newton steps from a value nearby."""
    s2 = s2.copy()
    done = np.zeros(len(block), dtype=np.int64)
    for _ in range(MOST_STEPS):
        sums, _, _ = likelihood_gradient(block, theta, s2, design)
        new, resting = s2.copy(), done.copy()
        none = np.zeros((2, *theta.shape))
        joint_step(
            sums, *none, lower, scale, STEP_TOLERANCE, theta.copy(), new, resting
        )
        s2 = np.where(done == CONVERGED, s2, new)
        done = np.maximum(done, resting)
        if (done == CONVERGED).all():
            break
    return s2


def likelihood_gradient(block, theta, s2, design):
    """Sums over stars for one joint step: (B, 5), sums of w r v and of w^2 r v."""
    wr = np.matmul(theta, design.v.T, out=scratch.array("wr", block.flux.shape))
    w2r = scratch.array("w2r", wr.shape)
    sums = np.empty((len(block), 5))
    scatter_sums(block.flux, block.ivar, s2, wr, w2r, sums)
    return sums, wr @ design.v, w2r @ design.v


def _lasso_at(block, s2, design, strength):
    theta, _, status = lasso_block(block, s2, design, np.array([float(strength)]))
    return theta[0], status[0]


def lasso_block(block, s2, design, strengths):
    """Solve a path of L1 strengths at fixed s2.

    Returns
    -------
    theta : ndarray, (L, B, T)
    violation : ndarray, (L, B)
        Certificate of optimality (`kernels.lasso.violation`).
    status : ndarray, (L, B), int64
    """
    shape = (len(strengths), len(block))
    weights = star_weights(block, s2)
    moments = weights @ design.moments
    weights *= block.flux
    theta = np.empty((*shape, design.v.shape[1]))
    violation = np.empty(shape)
    status = np.empty(shape, dtype=np.int64)
    lasso_path(
        moments,
        design.index,
        weights @ design.v,
        strengths,
        LASSO_TOLERANCE,
        LASSO_ROUNDS,
        theta,
        violation,
        status,
    )
    return theta, violation, status * PIXEL_STATUS["NOT_CONVERGED"]


def train_path(
    flux, ivar, designs, blocks, theta, s2, strengths, threads=None, progress=None
):
    """Fit a path of L1 strengths to every pixel at fixed s2.

    Parameters
    ----------
    flux, ivar, designs, blocks :
        As in `train_pixels`.
    theta, s2 : ndarray, (P, T), (P,)
        Fit without penalty; pixels with s2 = inf keep its theta.
    strengths : ndarray, (L,)

    Returns
    -------
    theta : ndarray, (L, P, T)
    violation : ndarray, (L, P)
        Certificate of optimality (`kernels.lasso.violation`).
    status : ndarray, (P,), int64
    """
    path = np.repeat(theta[None], len(strengths), axis=0)
    violation = np.zeros((len(strengths), len(s2)))
    status = np.zeros(len(s2), dtype=np.int64)
    stars = np.arange(len(flux))
    order = np.argsort(-strengths)  # each start is the solution of a stronger penalty

    def task(group, pixels):
        pixels = pixels[np.isfinite(s2[pixels])]
        design = designs[group]
        block = PixelBlock.gather(flux, ivar, stars, pixels)
        fits, worst, failed = lasso_block(block, s2[pixels], design, strengths[order])
        kept = np.flatnonzero(design.kept)
        path[np.ix_(order, pixels, kept)] = fits
        violation[np.ix_(order, pixels)] = worst
        status[pixels] = failed.max(axis=0)

    def advance(block):
        progress(len(block[1]))

    run_blocks(task, blocks, threads, None if progress is None else advance)
    return path, violation, status
