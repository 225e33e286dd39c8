"""Plain NumPy twins of the kernels of training; the convention is in `reference`."""

from itertools import pairwise

import numpy as np

from .lasso import CONVERGED, NOT_CONVERGED
from .reference import factor_dropping, solve


def gather_pixels(spectra, stars, pixels):
    """Return some pixels of some stars, pixel-major (B, N)."""
    return spectra[np.ix_(stars, pixels)].T


def train_weights(ivar, s2):
    """Return ``ivar / (1 + ivar s2)`` of pixels (B, N) with scatter s2 (B,)."""
    return ivar / (1 + ivar * s2[:, None])


def factor_normal(moments, index, tolerance):
    """Return `factor_dropping` of every pixel's normal matrix: (B, T, T) and (B,).

    Parameters
    ----------
    moments : ndarray, (B, Q)
    index : ndarray, (T, T), int64
    tolerance : float
    """
    factors = [factor_dropping(row[index], tolerance) for row in moments]
    return np.array([f[0] for f in factors]), np.array([f[1] for f in factors])


def solve_rows(normal, rows):
    """Solve the normal equations of every pixel, (B, T, T) and (B, T)."""
    return np.array([solve(a, b) for a, b in zip(normal, rows, strict=True)])


def likelihood(flux, ivar, model, s2):
    """Return Q of one pixel and its slope psi = -dQ/ds2 (Nandakumar+2022 eq. 3).

    Parameters
    ----------
    flux, ivar, model : ndarray, (N,)
    s2 : float
    """
    known = ivar > 0
    w = ivar[known] / (1 + ivar[known] * s2)
    r2 = (flux - model)[known] ** 2
    return np.sum(w * r2 - np.log(w)), np.sum(w * w * r2 - w)


def fit_pixel(flux, ivar, v):
    """Fit theta and s2 of one pixel jointly: bisection on s2, theta by `lstsq`.

    Parameters
    ----------
    flux, ivar : ndarray, (N,)
    v : ndarray, (N, T)
        Label vectors.

    Returns
    -------
    theta : ndarray, (T,)
    s2 : float
    """

    def theta_at(s2):
        root = np.sqrt(ivar / (1 + ivar * s2))
        return np.linalg.lstsq(v * root[:, None], flux * root)[0]

    def profile(s2):
        return likelihood(flux, ivar, v @ theta_at(s2), s2)

    known = ivar > 0
    s2 = _best_scatter(profile, np.var(flux[known]) + np.mean(1 / ivar[known]))
    return theta_at(s2), s2


def _best_scatter(profile, largest):
    """Return the s2 >= 0 of the lowest Q: a grid, then bisection on the slope."""
    grid = np.append(0, largest * np.geomspace(1e-8, 10, 60))
    best = np.argmin([profile(s2)[0] for s2 in grid])
    if best == 0 and profile(0.0)[1] <= 0:
        return 0.0
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if profile(middle)[1] > 0 else (low, middle)
    return (low + high) / 2


def scatter_sums(flux, ivar, s2, model):
    """Return w r, w^2 r (B, N), and sums of w, w^2, w^3, w^2 r^2, w^3 r^2 (B, 5).

    Parameters
    ----------
    flux, ivar, model : ndarray, (B, N)
    s2 : ndarray, (B,)
    """
    w = train_weights(ivar.astype(float), s2)
    r = flux - model
    terms = (w, w**2, w**3, w**2 * r**2, w**3 * r**2)
    return w * r, w**2 * r, np.column_stack([term.sum(axis=1) for term in terms])


def start_scatter(flux, ivar, model):
    """Return the s2 (B,) of highest likelihood at fixed predicted flux (B, N)."""
    s2 = []
    for f, iv, m in zip(flux, ivar, model, strict=True):
        mean = np.mean((f - m)[iv > 0] ** 2)
        s2.append(
            _best_scatter(lambda s, f=f, iv=iv, m=m: likelihood(f, iv, m, s), mean)
        )
    return np.array(s2)


def joint_step(sums, gradient, cross, normal, scale, tolerance, theta, s2):
    """Take one Newton step in (theta, s2), by elimination of theta.

    Parameters
    ----------
    sums, gradient, cross, scale, tolerance, theta, s2 :
        As for the kernel.
    normal : ndarray, (B, T, T)
        Normal matrices.

    Returns
    -------
    theta : ndarray, (B, T)
    s2 : ndarray, (B,)
    status : ndarray, (B,), int64
    """
    inverse = np.linalg.inv(normal)
    step = np.einsum("bij,bj->bi", inverse, gradient)
    turn = np.einsum("bij,bj->bi", inverse, cross)
    w1, w2, w3, r2, r3 = sums.T
    psi = r2 - w1 - 2 * (cross * step).sum(axis=1)
    curvature = (cross * turn).sum(axis=1)
    slope = (w2 - 2 * r3 + 2 * curvature) / w2 + 2 * psi * w3 / w2**2
    delta = psi / w2 / -np.clip(slope, -5, -0.2)
    delta = np.maximum(delta, -s2)
    change = step - delta[:, None] * turn
    step2 = np.einsum("bi,bij,bj->b", change, normal, change)
    small = abs(delta) <= tolerance * np.maximum(s2, scale)
    status = (small & (step2 <= tolerance**2)).astype(int)
    return theta + change, s2 + delta, status


def median_scatter(flux, ivar, model):
    """Return the s2 (B,) at which median(chi^2) over stars is 1, or 0 (Casey+2016)."""
    s2 = np.zeros(len(flux))
    for b, known in enumerate(ivar > 0):
        if known.any():
            r2 = (flux[b, known] - model[b, known]) ** 2
            s2[b] = max(0, np.median(r2 - 1 / ivar[b, known]))
    return s2


def weight_powers(flux, ivar, s2, edges, model):
    """Return w r, w, w^2, w^3, w^2 r, w^3 r (B, N), and sums per fold (B, F, 6).

    Parameters
    ----------
    flux, ivar, model : ndarray, (B, N)
    s2 : ndarray, (B,)
    edges : ndarray, (F + 1,), int64
    """
    w = train_weights(ivar.astype(float), s2)
    wr = w * (flux - model)
    terms = (w, w**2, w**3, wr**2, w * wr**2, w**2 * wr**2)
    folds = [slice(a, b) for a, b in pairwise(edges)]
    sums = [[term[:, fold].sum(axis=1) for term in terms] for fold in folds]
    return wr, w, w**2, w**3, w * wr, w**2 * wr, np.transpose(sums, (2, 0, 1))


def leave_folds_out(flux, ivar, edges, v):
    """Fit every pixel without each fold in turn, from scratch by `fit_pixel`.

    Parameters
    ----------
    flux, ivar : ndarray, (B, N)
        Stars sorted by fold.
    edges : ndarray, (F + 1,), int64
    v : ndarray, (N, T)

    Returns
    -------
    theta, s2 : ndarray, (F, B, T), (F, B)
    """
    fits = []
    for start, stop in pairwise(edges):
        left = np.r_[0:start, stop : edges[-1]]
        fits.append(
            [
                fit_pixel(f[left], iv[left], v[left])
                for f, iv in zip(flux, ivar, strict=True)
            ]
        )
    theta = np.array([[theta for theta, _ in row] for row in fits])
    return theta, np.array([[s2 for _, s2 in row] for row in fits])


def violation(normal, right, strength, theta):
    """Return the largest violation of the sub-gradient conditions, relative."""
    slope = 2 * (normal @ theta - right)
    penalty = np.where(np.arange(len(theta)) > 0, strength, 0.0)
    at_rest = np.maximum(abs(slope) - penalty, 0)
    wrong = np.where(theta == 0, at_rest, abs(slope + penalty * np.sign(theta)))
    return wrong.max() / max(abs(2 * right).max(), 1e-300)


def coordinate_descent(normal, right, strength, tolerance, most_sweeps, theta):
    """Minimise the penalised chi^2 of one pixel by coordinate descent alone.

    Parameters
    ----------
    normal, right, strength, tolerance, theta :
        As for the kernel.
    most_sweeps : int

    Returns
    -------
    theta : ndarray, (T,)
    status : int
    """
    theta = theta.copy()
    for _ in range(most_sweeps):
        for t in range(len(theta)):
            rest = right[t] - normal[t] @ theta + normal[t, t] * theta[t]
            threshold = 0.5 * strength if t > 0 else 0.0
            size = max(abs(rest) - threshold, 0)
            theta[t] = np.sign(rest) * size / max(normal[t, t], 1e-300)
        if violation(normal, right, strength, theta) <= tolerance:
            return theta, CONVERGED
    return theta, NOT_CONVERGED


def lasso_path(moments, index, right, strengths, tolerance, most_sweeps):
    """Solve a path of strengths for a block of pixels, each from zero.

    Parameters
    ----------
    moments, index, right, strengths, tolerance :
        As for the kernel.
    most_sweeps : int

    Returns
    -------
    theta : ndarray, (L, B, T)
    violation, status : ndarray, (L, B)
    """
    theta = np.zeros((len(strengths), *right.shape))
    worst = np.zeros(theta.shape[:2])
    status = np.zeros(theta.shape[:2], dtype=int)
    for s, strength in enumerate(strengths):
        for b, b_right in enumerate(right):
            problem = (moments[b][index], b_right, strength)
            theta[s, b], status[s, b] = coordinate_descent(
                *problem, tolerance, most_sweeps, theta[s, b]
            )
            worst[s, b] = violation(*problem, theta[s, b])
    return theta, worst, status
