"""Scatter of every pixel by maximum likelihood, jointly with theta.

``Q(theta, s2) = sum_n [w r^2 - ln w]`` over stars with ivar > 0 (Nandakumar+2022
eq. 3), ``w = ivar / (1 + ivar s2)``, ``s2 >= 0``. The optimum over s2 at the
profile theta(s2) is the root of ``psi = sum_n (w^2 r^2 - w)``: no logarithm is
needed. ``phi = psi / sum w^2`` is nearly linear in s2 (exactly so for equal ivar),
so that Newton's method on it converges from far away.
"""

import numpy as np

from .cholesky import solve
from .compile import kernel

CONVERGED = 1
# phi has slope -1 for equal ivar; where it is far from that the slope is held within
# these bounds, so that a step neither runs away nor creeps.
STEEPEST, FLATTEST = -5.0, -0.2


@kernel
def scatter_sums(flux, ivar, s2, model_inout, w2r_out, sums_out):
    """Replace the model by weighted residuals and sum what the step in s2 needs.

    Parameters
    ----------
    flux, ivar : ndarray, (B, N), float32
        One row per pixel; ivar 0 where there is no information, flux finite.
    s2 : ndarray, (B,)
    model_inout : ndarray, (B, N)
        Predicted flux on entry, w r on return.
    w2r_out : ndarray, (B, N)
        w^2 r.
    sums_out : ndarray, (B, 5)
        Sums over stars of w, w^2, w^3, w^2 r^2, w^3 r^2.
    """
    for b in range(flux.shape[0]):
        s = s2[b]
        w1 = 0.0
        w2 = 0.0
        w3 = 0.0
        r2 = 0.0
        r3 = 0.0
        for n in range(flux.shape[1]):
            iv = ivar[b, n]
            w = iv / (1.0 + iv * s)
            wr = w * (flux[b, n] - model_inout[b, n])
            w2r = w * wr
            model_inout[b, n] = wr
            w2r_out[b, n] = w2r
            w1 += w
            w2 += w * w
            w3 += w * w * w
            r2 += wr * wr
            r3 += w2r * wr
        sums_out[b, 0] = w1
        sums_out[b, 1] = w2
        sums_out[b, 2] = w3
        sums_out[b, 3] = r2
        sums_out[b, 4] = r3


@kernel
def start_scatter(flux, ivar, model, grid, steps, work_psi, s2_out):
    """Find s2 at fixed theta: the best grid cell by Q, then Newton's method in it.

    Q is compared between grid points by integrating its derivative, -psi, so that
    of several minima the deepest is kept.

    Parameters
    ----------
    flux, ivar : ndarray, (B, N), float32
    model : ndarray, (B, N)
        Predicted flux.
    grid : ndarray, (G,), float32
        Increasing values of s2 in units of the mean squared residual, the first 0.
    steps : int
        Newton steps.
    work_psi : ndarray, (G,)
        Scratch.
    s2_out : ndarray, (B,)
        0 where there is no residual.
    """
    n_grid = grid.shape[0]
    n_stars = flux.shape[1]
    # Single precision throughout fills the vector lanes; plain numbers would end that.
    zero, one, two = np.float32(0), np.float32(1), np.float32(2)
    steepest, flattest = np.float32(STEEPEST), np.float32(FLATTEST)
    residual2 = np.empty_like(flux[0])
    weight = np.empty_like(flux[0])
    for b in range(flux.shape[0]):
        mean = zero
        used = zero
        for n in range(n_stars):
            r = flux[b, n] - np.float32(model[b, n])
            known = ivar[b, n] > zero
            residual2[n] = r * r if known else zero
            mean += residual2[n]
            used += one if known else zero
        mean /= max(used, one)
        if mean == zero:
            s2_out[b] = zero
            continue
        # From here in units of the mean: powers of ivar alone could overflow.
        for n in range(n_stars):
            residual2[n] /= mean
            weight[n] = ivar[b, n] * mean
        for g in range(n_grid):
            s = grid[g]
            psi = zero
            for n in range(n_stars):
                w = weight[n] / (one + weight[n] * s)
                psi += w * w * residual2[n] - w
            work_psi[g] = psi
        best = 0
        deepest = 0.0
        depth = 0.0
        for g in range(1, n_grid):
            depth -= 0.5 * (work_psi[g] + work_psi[g - 1]) * (grid[g] - grid[g - 1])
            if depth < deepest:
                deepest = depth
                best = g
        if best == 0 and work_psi[0] <= 0.0:
            s2_out[b] = zero
            continue
        low = grid[max(best - 1, 0)]
        high = grid[min(best + 1, n_grid - 1)]
        s = grid[best]
        for _ in range(steps):
            psi = zero
            w2 = zero
            w3 = zero
            r3 = zero
            for n in range(n_stars):
                w = weight[n] / (one + weight[n] * s)
                wr2 = w * w * residual2[n]
                psi += wr2 - w
                w2 += w * w
                w3 += w * w * w
                r3 += w * wr2
            phi = psi / w2
            slope = one - two * (r3 / w2) + two * phi * (w3 / w2)
            there = s - phi / min(max(slope, steepest), flattest)
            if there == there:  # not where absurd weights overflow
                s = min(max(there, low), high)
        s2_out[b] = s * mean


@kernel
def joint_step(
    sums, gradient, cross, lower, scale, tolerance, theta_inout, s2_inout, status_out
):
    """Take one Newton step in (theta, s2) for every pixel of a block.

    Parameters
    ----------
    sums : ndarray, (B, 5)
        Of `scatter_sums`.
    gradient, cross : ndarray, (B, T)
        Sums of w r v and of w^2 r v; overwritten.
    lower : ndarray, (B, T, T)
        Factors of the normal matrices, at this or a nearby s2.
    scale : ndarray, (B,)
        Variance below which a change of s2 does not matter (typical 1 / ivar).
    tolerance : float
        Relative change of s2, and change of theta in its formal errors, that count
        as converged.
    theta_inout : ndarray, (B, T)
    s2_inout : ndarray, (B,)
    status_out : ndarray, (B,), int64
        CONVERGED where this step was negligible, else 0.
    """
    n_terms = theta_inout.shape[1]
    for b in range(theta_inout.shape[0]):
        s2 = s2_inout[b]
        curvature = 0.0
        mixed = 0.0
        step2 = 0.0
        q = cross[b].copy()
        g = gradient[b].copy()
        solve(lower[b], n_terms, gradient[b])
        solve(lower[b], n_terms, cross[b])
        for t in range(n_terms):
            mixed += q[t] * gradient[b, t]
            curvature += q[t] * cross[b, t]
        w1, w2, w3, r2, r3 = sums[b]
        psi = r2 - w1 - 2.0 * mixed
        slope = (w2 - 2.0 * r3 + 2.0 * curvature) / w2 + 2.0 * psi * w3 / (w2 * w2)
        phi = psi / w2
        delta = -phi / min(max(slope, STEEPEST), FLATTEST)
        if s2 + delta < 0.0:
            delta = -s2
        s2_inout[b] = s2 + delta
        for t in range(n_terms):
            step = gradient[b, t] - delta * cross[b, t]
            theta_inout[b, t] += step
            step2 += step * (g[t] - delta * q[t])
        small = abs(delta) <= tolerance * max(s2, scale[b])
        status_out[b] = CONVERGED if small and step2 <= tolerance * tolerance else 0


@kernel
def median_scatter(flux, ivar, model, work, s2_out):
    """Scatter by AnniesLasso's definition: median(chi^2) over stars is 1 (Casey+2016).

    chi_n^2 = 1 where s2 = r^2 - 1 / ivar, and falls with s2 for every star: the
    median of that quantity is the solution; 0 where it is negative.

    Parameters
    ----------
    flux, ivar : ndarray, (B, N), float32
    model : ndarray, (B, N)
        Predicted flux.
    work : ndarray, (N,)
        Scratch.
    s2_out : ndarray, (B,)
    """
    for b in range(flux.shape[0]):
        used = 0
        for n in range(flux.shape[1]):
            if ivar[b, n] > 0:
                r = flux[b, n] - model[b, n]
                work[used] = r * r - 1.0 / ivar[b, n]
                used += 1
        s2_out[b] = max(0.0, np.median(work[:used])) if used else 0.0
