"""Leave-one-fold-out fits without going back to the stars.

Sums over stars add, so that those of a training set without a fold are the total less
the fold, at a common s2. To reach the s2 that the reduced set wants, the weights are
expanded about the common one, ``w(s2 + d) = w - w^2 d + w^3 d^2``: sums with w, w^2 and
w^3 carry every normal matrix and gradient there. All residuals are those of the full
fit, so that nothing large cancels.
"""

import numpy as np

from .cholesky import factor_dropping, solve
from .compile import kernel
from .scatter import FLATTEST, STEEPEST

STEPS = 3  # Newton steps; each gains as many digits as s2 moves little
LAST_STEP = 10.0  # a step that still moves the weights by 1 % has not converged


@kernel
def weight_powers(
    flux, ivar, s2, edges, wr_inout, w_out, w2_out, w3_out, w2r_out, w3r_out, sums_out
):
    """Compute powers of the weights, their products with the residuals, and fold sums.

    Parameters
    ----------
    flux, ivar : ndarray, (B, N), float32
        Stars sorted by fold.
    s2 : ndarray, (B,)
    edges : ndarray, (F + 1,), int64
        First star of every fold, and N.
    wr_inout : ndarray, (B, N)
        Predicted flux on entry, w r on return.
    w_out, w2_out, w3_out, w2r_out, w3r_out : ndarray, (B, N)
    sums_out : ndarray, (B, F, 6)
        Sums per fold of w, w^2, w^3, w^2 r^2, w^3 r^2, w^4 r^2.
    """
    for b in range(flux.shape[0]):
        s = s2[b]
        for f in range(edges.shape[0] - 1):
            w1 = 0.0
            w2 = 0.0
            w3 = 0.0
            r2 = 0.0
            r3 = 0.0
            r4 = 0.0
            for n in range(edges[f], edges[f + 1]):
                iv = ivar[b, n]
                w = iv / (1.0 + iv * s)
                wr = w * (flux[b, n] - wr_inout[b, n])
                wr_inout[b, n] = wr
                w_out[b, n] = w
                w2_out[b, n] = w * w
                w3_out[b, n] = w * w * w
                w2r_out[b, n] = w * wr
                w3r_out[b, n] = w * w * wr
                w1 += w
                w2 += w * w
                w3 += w * w * w
                r2 += wr * wr
                r3 += w * wr * wr
                r4 += w * w * wr * wr
            sums_out[b, f, 0] = w1
            sums_out[b, f, 1] = w2
            sums_out[b, f, 2] = w3
            sums_out[b, f, 3] = r2
            sums_out[b, f, 4] = r3
            sums_out[b, f, 5] = r4


@kernel
def _shift_fit(
    moments, vectors, sums, index, tolerance, s2, work, work_q, lower, change_out
):
    """Newton steps in (theta, s2) from the full fit; return the change of s2.

    The last step in s2 is returned as well: it tells whether they have converged.
    """
    n_terms = index.shape[0]
    shifted = work_q[0]  # moments of the normal matrix at s2 + d
    slope = work_q[1]  # minus their derivative
    rest = work[0]
    cross = work[1]
    step = work[2]
    cross_step = work[3]
    change_out[:] = 0.0
    d = 0.0
    delta = 0.0
    for i in range(n_terms):
        for j in range(n_terms):
            lower[i, j] = moments[0, index[i, j]]
    factor_dropping(lower, n_terms, tolerance, lower)
    for _ in range(STEPS):
        for q in range(moments.shape[1]):
            shifted[q] = moments[0, q] - d * (moments[1, q] - d * moments[2, q])
            slope[q] = moments[1, q] - 2.0 * d * moments[2, q]
        square = 0.0
        for i in range(n_terms):
            rest[i] = vectors[0, i] - d * (vectors[1, i] - d * vectors[2, i])
            cross[i] = vectors[1, i] - 2.0 * d * vectors[2, i]
            square -= cross[i] * change_out[i]
            for j in range(n_terms):
                rest[i] -= shifted[index[i, j]] * change_out[j]
                cross[i] -= slope[index[i, j]] * change_out[j]
            square -= cross[i] * change_out[i]
            step[i] = rest[i]
            cross_step[i] = cross[i]
        solve(lower, n_terms, step)
        solve(lower, n_terms, cross_step)
        mixed = 0.0
        curvature = 0.0
        for i in range(n_terms):
            mixed += cross[i] * step[i]
            curvature += cross[i] * cross_step[i]
        w1 = sums[0] - d * (sums[1] - d * sums[2])
        w2 = sums[1] - 2.0 * d * sums[2]
        r2 = sums[3] - d * (2.0 * sums[4] - 3.0 * d * sums[5]) + square
        r3 = sums[4] - 3.0 * d * sums[5]
        psi = r2 - w1 - 2.0 * mixed
        phi = psi / w2
        trend = (w2 - 2.0 * r3 + 2.0 * curvature) / w2
        trend += 2.0 * psi * sums[2] / (w2 * w2)
        delta = -phi / min(max(trend, STEEPEST), FLATTEST)
        if s2 + d + delta < 0.0:
            delta = -s2 - d
        d += delta
        for i in range(n_terms):
            change_out[i] += step[i] - delta * cross_step[i]
    return d, delta


@kernel
def leave_folds_out(
    moments, vectors, sums, index, tolerance, theta, s2, theta_out, s2_out, shift_out
):
    """Fit a block of pixels without each fold in turn.

    Parameters
    ----------
    moments : ndarray, (3, F, B, Q)
        Sums per fold of w, w^2, w^3 times the distinct products of terms.
    vectors : ndarray, (3, F, B, T)
        Sums per fold of w r v, w^2 r v, w^3 r v.
    sums : ndarray, (B, F, 6)
        Of `weight_powers`.
    index : ndarray, (T, T), int64
        Of `polynomial.pair_table`.
    tolerance : float
        Of `cholesky.factor_dropping`.
    theta, s2 : ndarray, (B, T), (B,)
        Full fit.
    theta_out, s2_out : ndarray, (F, B, T), (F, B)
        Fit without each fold.
    shift_out : ndarray, (F, B)
        Relative change of the weights, by whose cube the expansion errs; the last
        step counts LAST_STEP times, as it bounds how far the steps are from their end.
    """
    n_folds, n_pixels, n_moments = moments.shape[1:]
    n_terms = index.shape[0]
    total_moments = np.zeros((3, n_moments))
    total_vectors = np.zeros((3, n_terms))
    total_sums = np.zeros(6)
    left_moments = np.zeros((3, n_moments))
    left_vectors = np.zeros((3, n_terms))
    left_sums = np.zeros(6)
    work = np.zeros((4, n_terms))
    work_q = np.zeros((2, n_moments))
    lower = np.zeros((n_terms, n_terms))
    change = np.zeros(n_terms)
    for b in range(n_pixels):
        total_moments[:, :] = 0.0
        total_vectors[:, :] = 0.0
        total_sums[:] = 0.0
        for f in range(n_folds):
            for i in range(6):
                total_sums[i] += sums[b, f, i]
            for power in range(3):
                for q in range(n_moments):
                    total_moments[power, q] += moments[power, f, b, q]
                for t in range(n_terms):
                    total_vectors[power, t] += vectors[power, f, b, t]
        for f in range(n_folds):
            for i in range(6):
                left_sums[i] = total_sums[i] - sums[b, f, i]
            for power in range(3):
                for q in range(n_moments):
                    left_moments[power, q] = (
                        total_moments[power, q] - moments[power, f, b, q]
                    )
                for t in range(n_terms):
                    left_vectors[power, t] = (
                        total_vectors[power, t] - vectors[power, f, b, t]
                    )
            d, last = _shift_fit(
                left_moments,
                left_vectors,
                left_sums,
                index,
                tolerance,
                s2[b],
                work,
                work_q,
                lower,
                change,
            )
            s2_out[f, b] = s2[b] + d
            far = abs(d) + LAST_STEP * abs(last)
            shift_out[f, b] = far * left_sums[1] / left_sums[0]
            for t in range(n_terms):
                theta_out[f, b, t] = theta[b, t] + change[t]
