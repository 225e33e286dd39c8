"""Cases of training: least squares, scatter, penalised fits, folds left out."""

import itertools

import numba
import numpy as np
from numpy.testing import assert_array_equal

from bench.kernel_cases import (
    N_BLOCK,
    N_PIXELS,
    N_STARS,
    N_TERMS,
    Case,
    assert_close,
    assert_solved,
    case,
    pack,
    refill,
)
from fastcannon import training
from fastcannon.kernels import folds, lasso, least_squares, scatter

N_FOLDS = 12
STRENGTHS = np.geomspace(1e5, 1e2, 7)
DESCENT = training.LASSO_TOLERANCE, training.LASSO_ROUNDS


@case(least_squares, N_BLOCK)
def gather_pixels(world):
    # the rows are as far apart as in a whole training set, the memory is not used
    spectra = np.zeros((N_STARS, N_PIXELS), dtype=np.float32)
    pixels = np.arange(1000, 1000 + N_BLOCK)
    spectra[:, pixels] = world.block.flux.T
    stars = np.arange(N_STARS)
    block = np.empty((N_BLOCK, N_STARS), dtype=np.float32)
    return Case(
        lambda: least_squares.gather_pixels(spectra, stars, pixels, block),
        lambda _: assert_array_equal(block, world.block.flux),
    )


@case(least_squares, N_BLOCK)
def train_weights(world):
    w = np.empty((N_BLOCK, N_STARS))
    return Case(
        lambda: least_squares.train_weights(world.block.ivar, world.fit[1], w),
        lambda _: assert_close(w, world.block_w, 1e-12),
    )


@case(least_squares, N_BLOCK)
def factor_normal(world):
    lower = np.zeros((N_BLOCK, N_TERMS, N_TERMS))
    dropped = np.empty(N_BLOCK, dtype=np.int64)

    def check(_):
        assert not dropped.any()
        assert_close(pack(lower), pack(world.lower), 1e-9)

    return Case(
        lambda: least_squares.factor_normal(
            world.moments, world.design.index, training.PIVOT_TOLERANCE, lower, dropped
        ),
        check,
    )


@case(least_squares, N_BLOCK)
def solve_rows(world):
    theta = world.right.copy()
    return Case(
        lambda: least_squares.solve_rows(world.lower, theta),
        lambda _: assert_solved(world.lower, theta, world.right),
        refill((theta, world.right)),
    )


@case(scatter, N_BLOCK)
def start_scatter(world):
    flux, ivar = world.block.flux, world.block.ivar
    model = world.fit[0] @ world.v.T
    grid, steps = training.SCATTER_GRID, training.SCATTER_STEPS
    work, s2 = np.empty(len(grid)), np.empty(N_BLOCK)

    def check(_):
        # the slope of the likelihood in s2 vanishes; the error of s2 is (2 / w2)^1/2
        w = ivar / (1.0 + ivar * s2[:, None])
        slope = (w**2 * (flux - model) ** 2 - w).sum(axis=1)
        w2 = (w**2).sum(axis=1)
        off = np.where((s2 == 0.0) & (slope < 0.0), 0.0, slope / w2)
        assert (abs(off) / np.sqrt(2.0 / w2)).max() < 0.01

    return Case(
        lambda: scatter.start_scatter(flux, ivar, model, grid, steps, work, s2), check
    )


@case(scatter, N_BLOCK)
def scatter_sums(world):
    theta, s2 = world.fit
    flux, ivar, w = world.block.flux, world.block.ivar, world.block_w
    model = theta @ world.v.T
    wr, w2r, sums = model.copy(), np.empty(model.shape), np.empty((N_BLOCK, 5))

    def check(_):
        r = flux - model
        assert_close(wr, w * r, 1e-12)
        assert_close(w2r, w**2 * r, 1e-12)
        terms = w, w**2, w**3, (w * r) ** 2, w * (w * r) ** 2
        assert_close(sums.T, [term.sum(axis=1) for term in terms], 1e-12)

    return Case(
        lambda: scatter.scatter_sums(flux, ivar, s2, wr, w2r, sums),
        check,
        refill((wr, model)),
    )


@case(scatter, N_BLOCK)
def joint_step(world):
    theta, s2 = world.fit
    begin_theta, begin_s2 = 1.001 * theta, 0.9 * s2 + 1e-6
    scale = training.typical_variance(world.block)
    sums, g, q = training.likelihood_gradient(
        world.block, begin_theta, begin_s2, world.design
    )
    gradient, cross = g.copy(), q.copy()
    new_theta, new_s2 = begin_theta.copy(), begin_s2.copy()
    status = np.empty(N_BLOCK, dtype=np.int64)
    outputs = new_theta, new_s2, status

    def check(_):
        step = np.linalg.solve(world.normal, g[:, :, None])[:, :, 0]
        cross_step = np.linalg.solve(world.normal, q[:, :, None])[:, :, 0]
        w1, w2, w3, r2, r3 = sums.T
        psi = r2 - w1 - 2.0 * (q * step).sum(axis=1)
        curvature = (q * cross_step).sum(axis=1)
        slope = (w2 - 2.0 * r3 + 2.0 * curvature) / w2 + 2.0 * psi * w3 / w2**2
        delta = -psi / w2 / np.clip(slope, scatter.STEEPEST, scatter.FLATTEST)
        delta = np.maximum(delta, -begin_s2)
        assert_close(new_s2, begin_s2 + delta, 1e-9)
        expected = begin_theta + step - delta[:, None] * cross_step
        assert_close(new_theta, expected, 1e-9)
        assert not status.any()

    return Case(
        lambda: scatter.joint_step(
            sums, gradient, cross, world.lower, scale, training.STEP_TOLERANCE, *outputs
        ),
        check,
        refill((gradient, g), (cross, q), (new_theta, begin_theta), (new_s2, begin_s2)),
    )


@case(scatter, N_BLOCK)
def median_scatter(world):
    flux, ivar = world.block.flux, world.block.ivar
    model = 0.98 * world.fit[0] @ world.v.T  # poor, so that s2 is not 0
    work, s2 = np.empty(N_STARS), np.empty(N_BLOCK)

    def check(_):
        variance = 1.0 / np.where(ivar > 0, ivar, np.nan).astype(np.float64)
        excess = (flux - model) ** 2 - variance
        assert_close(s2, np.maximum(np.nanmedian(excess, axis=1), 0.0), 1e-6)
        assert s2.min() > 0.0

    return Case(lambda: scatter.median_scatter(flux, ivar, model, work, s2), check)


def assert_sparse(world, strength, theta):
    """Check the sub-gradient conditions of penalised fits theta (B, T)."""
    slope = 2.0 * (np.einsum("bij,bj->bi", world.normal, theta) - world.right)
    limit = np.full(N_TERMS, strength)
    limit[0] = 0.0
    error = np.abs(slope + limit * np.sign(theta))
    error[theta == 0.0] = np.maximum(np.abs(slope) - limit, 0.0)[theta == 0.0]
    assert error.max() <= 1e-9 * np.abs(2.0 * world.right).max()


@numba.njit
def violation_each(normal, right, strength, theta, out):
    for i in range(normal.shape[0]):
        out[i] = lasso.violation(normal[i], right[i], strength, theta[i])


@case(lasso, N_BLOCK)
def violation(world):
    theta = 1.01 * world.fit[0]
    strength = STRENGTHS[3]
    found = np.empty(N_BLOCK)

    def check(_):
        slope = 2.0 * (np.einsum("bij,bj->bi", world.normal, theta) - world.right)
        slope[:, 1:] += strength * np.sign(theta[:, 1:])
        largest = np.abs(2.0 * world.right).max(axis=1)
        assert_close(found, np.abs(slope).max(axis=1) / largest, 1e-10)

    return Case(
        lambda: violation_each(world.normal, world.right, strength, theta, found), check
    )


@numba.njit
def coordinate_descent_each(
    normal, right, strength, tolerance, rounds, lower, work, active, theta_inout
):
    failed = 0
    for i in range(normal.shape[0]):
        failed += lasso.coordinate_descent(
            normal[i],
            right[i],
            strength,
            tolerance,
            rounds,
            lower,
            work,
            active,
            theta_inout[i],
        )
    return failed


@case(lasso, N_BLOCK)
def coordinate_descent(world):
    theta, start = np.empty(world.right.shape), np.zeros(world.right.shape)
    lower, work = np.empty((N_TERMS, N_TERMS)), np.empty(N_TERMS)
    active = np.empty(N_TERMS, dtype=np.int64)
    strength = STRENGTHS[3]

    def check(failed):
        assert failed == 0
        assert (theta == 0.0).any()
        assert_sparse(world, strength, theta)

    return Case(
        lambda: coordinate_descent_each(
            world.normal, world.right, strength, *DESCENT, lower, work, active, theta
        ),
        check,
        refill((theta, start)),
    )


@case(lasso, N_BLOCK)
def lasso_path(world):
    shape = len(STRENGTHS), N_BLOCK
    theta, worst = np.empty((*shape, N_TERMS)), np.empty(shape)
    status = np.empty(shape, dtype=np.int64)
    equations = world.moments, world.design.index, world.right
    outputs = theta, worst, status

    def check(_):
        assert not status.any()
        for strength, fit in zip(STRENGTHS, theta, strict=True):
            assert_sparse(world, strength, fit)

    return Case(
        lambda: lasso.lasso_path(*equations, STRENGTHS, *DESCENT, *outputs),
        check,
    )


def fold_edges():
    return np.linspace(0, N_STARS, N_FOLDS + 1).astype(np.int64)


def fold_arrays(world):
    """Powers (3, B, N) of the weights and, times the residuals, (3, B, N); sums."""
    theta, _ = world.fit
    w = world.block_w
    r = world.block.flux - theta @ world.v.T
    power = np.array([w, w**2, w**3])
    terms = np.array([w, w**2, w**3, w**2 * r**2, w**3 * r**2, w**4 * r**2])
    sums = np.add.reduceat(terms, fold_edges()[:-1], axis=2).transpose(1, 2, 0)
    return power, power * r, np.ascontiguousarray(sums)


@case(folds, N_BLOCK)
def weight_powers(world):
    theta, s2 = world.fit
    flux, ivar, edges = world.block.flux, world.block.ivar, fold_edges()
    model = theta @ world.v.T
    out = [model.copy(), *(np.empty(model.shape) for _ in range(5))]
    sums = np.empty((N_BLOCK, N_FOLDS, 6))
    power, weighted, expected = fold_arrays(world)

    def check(_):
        wr, w, w2, w3, w2r, w3r = out
        assert_close([w, w2, w3], power, 1e-12)
        assert_close([wr, w2r, w3r], weighted, 1e-12)
        assert_close(sums, expected, 1e-12)

    return Case(
        lambda: folds.weight_powers(flux, ivar, s2, edges, *out, sums),
        check,
        refill((out[0], model)),
    )


@case(folds, N_BLOCK)
def leave_folds_out(world):
    theta, s2 = world.fit
    power, weighted, sums = fold_arrays(world)
    parts = list(itertools.pairwise(fold_edges()))
    design = world.design
    moments = np.stack([power[:, :, a:b] @ design.moments[a:b] for a, b in parts], 1)
    vectors = np.stack([weighted[:, :, a:b] @ design.v[a:b] for a, b in parts], 1)
    theta_out = np.empty((N_FOLDS, *theta.shape))
    s2_out, shift = np.empty((2, N_FOLDS, N_BLOCK))
    equations = moments, vectors, sums, design.index
    outputs = theta_out, s2_out, shift

    def check(_):
        # the first fold left out for good
        stars = slice(parts[0][1], None)
        block = training.PixelBlock(
            world.block.flux[:, stars].copy(), world.block.ivar[:, stars].copy()
        )
        expected, expected_s2, _ = training.JointFit()(block, design.rows(stars))
        error = np.sqrt(np.linalg.inv(world.normal).diagonal(axis1=1, axis2=2))
        assert (abs(theta_out[0] - expected) / error).max() < 1e-3
        assert_close(s2_out[0], expected_s2, 1e-3)

    return Case(
        lambda: folds.leave_folds_out(
            *equations, training.PIVOT_TOLERANCE, theta, s2, *outputs
        ),
        check,
    )
