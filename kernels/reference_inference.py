"""Plain NumPy twins of the kernels of inference; the convention is in `reference`.

A spectrum is its polynomial: coefficients (Q,) of the monomials ``pairs`` (Q, K) of
`polynomial.pair_table`.
"""

import numpy as np

from .levenberg import CONVERGED, NOT_CONVERGED
from .reference import label_jacobian, monomial_values

HALVINGS = 50  # of a step, after which rounding alone keeps it from descending


def gather_hessian(coefficients, gather, n_monomials, n_entries):
    """Arrange the coefficients of one polynomial for evaluation.

    Parameters
    ----------
    coefficients : ndarray, (Q,)
    gather : ndarray, (G, 4), int64
        Of `polynomial.hessian_table`.
    n_monomials, n_entries : int
        B and R.

    Returns
    -------
    ndarray, (B, R)
    """
    rows = np.zeros((n_monomials, n_entries))
    b, r, q, factor = gather.T
    rows[b, r] = coefficients[q] * factor
    return rows


def evaluate(x, coefficients, pairs):
    """Evaluate a polynomial at x (K,): its value, gradient (K,) and Hessian (K, K)."""
    jacobian = label_jacobian(x, pairs)
    hessian = np.empty((len(x), len(x)))
    for k in range(len(x)):
        lower = pairs.copy()
        lower[:, k] = np.maximum(lower[:, k] - 1, 0)
        hessian[k] = (coefficients * pairs[:, k]) @ label_jacobian(x, lower)
    return coefficients @ monomial_values(x, pairs), coefficients @ jacobian, hessian


def _shorten(step, objective, value):
    """Halve a step until the objective after it is below a value."""
    shortest = step * 2.0**-HALVINGS
    while not objective(step) < value and abs(step).max() > abs(shortest).max():
        step = step / 2
    return step


def descend(coefficients, pairs, max_steps, tolerance, x):
    """Descend to a minimum of one polynomial: Newton's method with a line search.

    Negative eigenvalues of the Hessian are turned round, so that every step descends.

    Parameters
    ----------
    coefficients : ndarray, (Q,)
    pairs : ndarray, (Q, K), int64
    max_steps : int
    tolerance : float
        Predicted decrease that ends the descent.
    x : ndarray, (K,)
        Start.

    Returns
    -------
    x : ndarray, (K,)
    hessian : ndarray, (K, K)
    value : float
    status : int
    """
    value, gradient, hessian = evaluate(x, coefficients, pairs)
    for _ in range(max_steps):
        size, axes = np.linalg.eigh(hessian)
        size = np.maximum(abs(size), 1e-10 * abs(size).max() + 1e-300)
        step = -axes @ ((axes.T @ gradient) / size)
        predicted = -0.5 * gradient @ step
        if predicted > tolerance:
            step = _shorten(
                step, lambda d, x=x: evaluate(x + d, coefficients, pairs)[0], value
            )
        x = x + step
        value, gradient, hessian = evaluate(x, coefficients, pairs)
        if predicted <= tolerance and hessian.any():
            return x, hessian, value, CONVERGED
    return x, hessian, value, NOT_CONVERGED


def choose_starts(values, neighbours, order, n_chosen):
    """Return n_chosen starts: those below all their neighbours first, then the lowest.

    Parameters
    ----------
    values : ndarray, (J,)
    neighbours : ndarray, (J, n), int64
    order : ndarray, (J,), int64
    n_chosen : int
    """
    lowest = (values[neighbours] >= values[:, None]).all(axis=1)[order]
    return np.concatenate([order[lowest], order[~lowest]])[:n_chosen]


def is_known(x, metric, found_x):
    """Tell whether x (K,) is within a tenth of a formal error of a row of found_x."""
    dx = found_x - x
    return bool((0.5 * np.einsum("dk,kj,dj->d", dx, metric, dx) < 0.01).any())


def rank_minima(found_x, found_value):
    """Return the two lowest of minima (D, K), (D,), and how many are within 9.

    Returns
    -------
    x, other_x : ndarray, (K,)
    value, other_value : float
    minima : int
    """
    none = np.full(found_x.shape[1], np.nan)
    order = np.argsort(found_value, kind="stable")
    x = [*found_x[order], none, none][:2]
    value = found_value[order[0]] if len(order) else np.nan
    other_value = found_value[order[1]] if len(order) > 1 else np.inf
    return *x, value, other_value, np.count_nonzero(found_value <= value + 9)


def _lowest_minimum(descents):
    """Rank descents (x, hessian, value, status) of one spectrum.

    Returns
    -------
    x, value, hessian, other_x, other_value, minima, status
    """
    distinct = descents[:1]
    for found in descents[1:]:
        if not is_known(found[0], found[1], np.array([d[0] for d in distinct])):
            distinct.append(found)
    best = min(distinct, key=lambda found: found[2])
    x, other_x, value, other_value, minima = rank_minima(
        np.array([found[0] for found in distinct]),
        np.array([found[2] for found in distinct]),
    )
    return x, value, best[1], other_x, other_value, minima, best[3]


def descend_spectra(
    coefficients,
    start_values,
    starts,
    neighbours,
    n_descents,
    pairs,
    max_steps,
    tolerance,
):
    """Find the lowest minimum of every spectrum of a block from several starts.

    Parameters
    ----------
    coefficients, start_values, starts, neighbours, n_descents, max_steps, tolerance :
        As for the kernel.
    pairs : ndarray, (Q, K), int64

    Returns
    -------
    list
        x, value, hessian, other_x, other_value, minima and status, (S, ...) each.
    """
    results = []
    for c, values in zip(coefficients, start_values, strict=True):
        chosen = choose_starts(values, neighbours, np.argsort(values), n_descents)
        results.append(
            _lowest_minimum(
                [descend(c, pairs, max_steps, tolerance, starts[j]) for j in chosen]
            )
        )
    return [np.array(column) for column in zip(*results, strict=True)]


def normal_equations(x, flux, w, theta, exponents):
    """Return chi^2, J^T W r (K,) and J^T W J (K, K) (Nandakumar+2022 eq. 4).

    Parameters
    ----------
    x : ndarray, (K,)
    flux, w : ndarray, (P,)
    theta : ndarray, (P, T)
    exponents : ndarray, (T, K), int64
    """
    r = flux - theta @ monomial_values(x, exponents)
    jacobian = theta @ label_jacobian(x, exponents)
    return w @ r**2, jacobian.T @ (w * r), (jacobian.T * w) @ jacobian


def stream_spectra(
    flux,
    w,
    theta,
    start_values,
    starts,
    neighbours,
    n_descents,
    exponents,
    max_steps,
    tolerance,
):
    """Find the lowest minimum of every spectrum by Gauss-Newton with a line search.

    Parameters
    ----------
    flux, w : ndarray, (S, P)
    theta : ndarray, (P, T)
    start_values, starts, neighbours, n_descents, max_steps, tolerance :
        As for the kernel.
    exponents : ndarray, (T, K), int64

    Returns
    -------
    list
        As `descend_spectra`; the Hessian is 2 J^T W J.
    """

    def descend_from(x, *spectrum):
        chi2, gradient, normal = normal_equations(x, *spectrum, theta, exponents)
        for _ in range(max_steps):
            step = np.linalg.lstsq(normal, gradient)[0]
            predicted = gradient @ step
            if predicted > tolerance:
                step = _shorten(
                    step,
                    lambda d, x=x: normal_equations(x + d, *spectrum, theta, exponents)[
                        0
                    ],
                    chi2,
                )
            x = x + step
            chi2, gradient, normal = normal_equations(x, *spectrum, theta, exponents)
            if predicted <= tolerance:
                return x, 2 * normal, chi2, CONVERGED
        return x, 2 * normal, chi2, NOT_CONVERGED

    results = []
    for f, ww, values in zip(flux, w, start_values, strict=True):
        chosen = choose_starts(values, neighbours, np.argsort(values), n_descents)
        results.append(
            _lowest_minimum([descend_from(starts[j], f, ww) for j in chosen])
        )
    return [np.array(column) for column in zip(*results, strict=True)]


def finish_spectra(flux, w, theta, exponents, hessian, scales, x):
    """Take the last Newton step of a block of spectra and compute the covariances.

    Parameters
    ----------
    flux, w : ndarray, (S, P)
    theta : ndarray, (P, T)
    exponents : ndarray, (T, K), int64
    hessian : ndarray, (S, K, K)
        Of chi^2 at x.
    scales : ndarray, (K,)
    x : ndarray, (S, K)

    Returns
    -------
    x : ndarray, (S, K)
    chi2, decrease : ndarray, (S,)
        After the step as the Hessian predicts it, and by how much it fell.
    covariance : ndarray, (S, K, K)
        Inverse of J^T W J in label units.
    """
    results = []
    for s in range(len(x)):
        chi2, gradient, normal = normal_equations(x[s], flux[s], w[s], theta, exponents)
        step = np.linalg.solve(hessian[s] / 2, gradient)
        covariance = np.linalg.inv(normal) * np.outer(scales, scales)
        decrease = gradient @ step
        results.append((x[s] + step, chi2 - decrease, decrease, covariance))
    return [np.array(column) for column in zip(*results, strict=True)]


def _nnls(a, b):
    """Minimise ``|a u - b|`` over u >= 0 (Lawson and Hanson 1974, chapter 23)."""
    u = np.zeros(a.shape[1])
    active = np.zeros(len(u), dtype=bool)
    for _ in range(10 * len(u)):
        slope = np.where(active, -np.inf, a.T @ (b - a @ u))
        if slope.max() <= 1e-13 * np.linalg.norm(a, axis=0).max():
            break
        active[np.argmax(slope)] = True
        while True:
            wanted = np.zeros(len(u))
            wanted[active] = np.linalg.lstsq(a[:, active], b)[0]
            if (wanted[active] > 0).all():
                break
            falling = active & (wanted <= 0)
            part = np.min(u[falling] / (u[falling] - wanted[falling]))
            u = u + part * (wanted - u)
            active &= u > 1e-14
            u[~active] = 0
        u = wanted
    return u


def nearest_in_hull(target, metric, vertices):
    """Find the point of a hull that is nearest to a target.

    Non-negative least squares with one more equation, "the weights sum to 1", gives
    weights in the right proportion (Lawson and Hanson 1974, chapter 23.4).

    Parameters
    ----------
    target : ndarray, (K,)
    metric : ndarray, (K, K)
    vertices : ndarray, (K, n)

    Returns
    -------
    x : ndarray, (K,)
    distance : float
        Squared.
    """
    moved = np.linalg.cholesky(metric).T @ (vertices - target[:, None])
    one = np.append(np.zeros(len(target)), 1.0)
    weights = _nnls(np.vstack([moved, np.ones(moved.shape[1])]), one)
    x = vertices @ (weights / weights.sum())
    return x, (x - target) @ metric @ (x - target)


def hull_vertices(points, tolerance):
    """Return (n,) bool: points (K, n) outside the hull of all others."""
    metric = np.eye(len(points))
    return np.array(
        [
            nearest_in_hull(points[:, i], metric, np.delete(points, i, 1))[1]
            > tolerance
            for i in range(points.shape[1])
        ]
    )


def outside_hull(x, vertices, margin):
    """Return the nearest point (S, K) of the hull, and who lies outside (S,).

    Parameters
    ----------
    x : ndarray, (S, K)
    vertices : ndarray, (K, n)
    margin : float
    """
    nearest = x.copy()
    outside = np.zeros(len(x), dtype=bool)
    for s in np.flatnonzero(np.isfinite(x).all(axis=1)):
        point, distance = nearest_in_hull(x[s], np.eye(x.shape[1]), vertices)
        outside[s] = distance > margin**2
        nearest[s] = point if outside[s] else x[s]
    return nearest, outside


def confine_spectra(coefficients, starts, pairs, vertices, max_steps, tolerance, x):
    """Find the lowest chi^2 inside the hull by projected Newton steps.

    Parameters
    ----------
    coefficients, starts, vertices, max_steps, tolerance, x :
        As for the kernel.
    pairs : ndarray, (Q, K), int64

    Returns
    -------
    x : ndarray, (S, K)
    value : ndarray, (S,)
    """

    def descend_from(x, c):
        value, gradient, hessian = evaluate(x, c, pairs)
        for _ in range(max_steps):
            size, axes = np.linalg.eigh(hessian)
            size = np.maximum(abs(size), 1e-6 * abs(size).max())
            wanted = x - axes @ ((axes.T @ gradient) / size)
            step = nearest_in_hull(wanted, (axes * size) @ axes.T, vertices)[0] - x
            if -gradient @ step <= tolerance:
                break
            x = x + _shorten(step, lambda d, x=x: evaluate(x + d, c, pairs)[0], value)
            value, gradient, hessian = evaluate(x, c, pairs)
        return value, tuple(x)

    found = []
    for s, c in enumerate(coefficients):
        lowest = descend_from(x[s], c)
        if evaluate(starts[s], c, pairs)[0] < lowest[0]:
            lowest = descend_from(starts[s], c)
        found.append(lowest)
    return np.array([f[1] for f in found]), np.array([f[0] for f in found])
