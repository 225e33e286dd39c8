"""The convex hull of the training labels: is a star inside, and the best point inside.

The hull is given by its vertices alone. The nearest point of the hull in any metric
follows by Wolfe's method (Mathematical Programming 11, 128, 1976): keep a small
simplex of vertices, move to the nearest point of its affine span, drop vertices
whose weight would turn negative, add the vertex furthest along the descent
direction, until none helps. Minimising chi^2 inside the hull is a sequence of such
problems in the metric of its (damped) Hessian.
"""

import numpy as np

from .cholesky import factor, factor_dropping, solve
from .compile import kernel
from .polynomial import evaluate, gather_hessian

MOST_STEPS = 1000


@kernel
def _lowest_vertex(vertices, direction, work_score):
    """Return the vertex lowest along a direction; vertices are (K, n)."""
    n_labels, n_vertices = vertices.shape
    threes = n_labels // 3 * 3
    work_score[:] = 0.0
    # three labels at a time: the scores are loaded and stored once for all
    for k in range(0, threes, 3):
        d0 = direction[k]
        d1 = direction[k + 1]
        d2 = direction[k + 2]
        for i in range(n_vertices):
            work_score[i] += (
                d0 * vertices[k, i] + d1 * vertices[k + 1, i] + d2 * vertices[k + 2, i]
            )
    for k in range(threes, n_labels):
        d0 = direction[k]
        for i in range(n_vertices):
            work_score[i] += d0 * vertices[k, i]
    # np.argmin by pairs, whose lower members are found without waiting for each other
    lowest = 0
    score = work_score[0]
    for i in range(0, n_vertices - 1, 2):
        lower = min(work_score[i], work_score[i + 1])
        if lower < score:
            score = lower
            lowest = i if work_score[i] <= work_score[i + 1] else i + 1
    if work_score[n_vertices - 1] < score:
        lowest = n_vertices - 1
    return lowest


@kernel
def _add_corner(vertices, new, target, metric, n, corners, moved, gram):
    """Put a vertex into row n of the simplex, with its products with the others."""
    n_labels = vertices.shape[0]
    for k in range(n_labels):
        corners[n, k] = vertices[k, new] - target[k]
    for k in range(n_labels):
        total = 0.0
        for j in range(n_labels):
            total += metric[k, j] * corners[n, j]
        moved[n, k] = total
    for a in range(n + 1):
        total = 0.0
        for k in range(n_labels):
            total += moved[n, k] * corners[a, k]
        gram[n, a] = total
        gram[a, n] = total


@kernel
def _drop_corner(lightest, n, weights, corners, moved, gram):
    """Take a row out of the simplex of n rows."""
    for a in range(lightest, n - 1):
        weights[a] = weights[a + 1]
        corners[a] = corners[a + 1]
        moved[a] = moved[a + 1]
        for b in range(n):
            gram[a, b] = gram[a + 1, b]
    for b in range(lightest, n - 1):
        for a in range(n - 1):
            gram[a, b] = gram[a, b + 1]


@kernel
def _affine_weights(gram, n, lower, weights_out):
    """Weights of the point of the simplex' affine span nearest to the target."""
    # (G + 1 1^T) u = 1, weights = u / sum u (Wolfe 1976)
    largest = gram[0, 0]
    for a in range(n):
        largest = max(largest, gram[a, a])
    for a in range(n):
        for b in range(a + 1):
            lower[a, b] = gram[a, b] + largest
        weights_out[a] = 1.0
    factor_dropping(lower, n, 1e-14, lower)
    solve(lower, n, weights_out)
    total = 0.0
    for a in range(n):
        total += weights_out[a]
    for a in range(n):
        weights_out[a] /= total


@kernel
def nearest_in_hull(target, metric, vertices, tolerance, x_out):
    """Find the point of a hull that is nearest to a target.

    Parameters
    ----------
    target : ndarray, (K,)
        Scaled labels.
    metric : ndarray, (K, K)
        Positive definite.
    vertices : ndarray, (K, n)
        Points whose convex hull is meant, one per column.
    tolerance : float
        Squared distance that does not matter.
    x_out : ndarray, (K,)
        Nearest point.

    Returns
    -------
    float
        Its squared distance, ``(x - target)^T metric (x - target)``.
    """
    n_labels, n_vertices = vertices.shape
    score = np.empty(n_vertices)
    weights = np.zeros(n_labels + 2)
    wanted = np.zeros(n_labels + 2)
    corners = np.zeros((n_labels + 2, n_labels))
    moved = np.zeros((n_labels + 2, n_labels))
    gram = np.zeros((n_labels + 2, n_labels + 2))
    lower = np.zeros((n_labels + 2, n_labels + 2))
    direction = np.zeros(n_labels)

    for k in range(n_labels):
        direction[k] = -target[k]
    first = _lowest_vertex(vertices, direction, score)
    _add_corner(vertices, first, target, metric, 0, corners, moved, gram)
    weights[0] = 1.0
    n = 1
    distance = np.inf
    for _ in range(MOST_STEPS):
        # where we are relative to the target, how far, and the gradient there
        previous = distance
        distance = 0.0
        at_x = 0.0
        for k in range(n_labels):
            offset = 0.0
            direction[k] = 0.0
            for a in range(n):
                offset += weights[a] * corners[a, k]
                direction[k] += weights[a] * moved[a, k]
            x_out[k] = target[k] + offset
            distance += direction[k] * offset
            at_x += direction[k] * x_out[k]
        if distance <= tolerance or not distance < previous:
            break
        best = _lowest_vertex(vertices, direction, score)
        if at_x - score[best] <= tolerance:
            break
        _add_corner(vertices, best, target, metric, n, corners, moved, gram)
        weights[n] = 0.0
        n += 1
        while True:
            _affine_weights(gram, n, lower, wanted)
            # go towards the wanted weights until one of them reaches zero
            part = 1.0
            for a in range(n):
                if wanted[a] < 0.0:
                    part = min(part, weights[a] / (weights[a] - wanted[a]))
            lightest = 0
            for a in range(n):
                weights[a] += part * (wanted[a] - weights[a])
                if weights[a] < weights[lightest]:
                    lightest = a
            if part == 1.0 and n <= n_labels + 1:
                break
            _drop_corner(lightest, n, weights, corners, moved, gram)
            n -= 1
            if n == 1:
                weights[0] = 1.0
                break
    return distance


@kernel
def hull_vertices(points, tolerance, is_vertex_out):
    """Find vertices whose hull holds all points.

    A point outside the hull of the vertices known so far shows a direction in which
    some point is extreme: that is a new vertex (Clarkson 1994).

    Parameters
    ----------
    points : ndarray, (K, n)
        One point per column.
    tolerance : float
        Squared distance below which a point counts as inside.
    is_vertex_out : ndarray, (n,), bool
    """
    n_labels, n_points = points.shape
    metric = np.eye(n_labels)
    score = np.empty(n_points)
    nearest = np.zeros(n_labels)
    known = np.empty((n_labels, n_points))
    is_vertex_out[:] = False
    n_known = 0
    for i in range(n_points):
        target = points[:, i].copy()
        while not is_vertex_out[i]:
            if n_known == 0:
                nearest[:] = target
                nearest[0] -= 1.0
            else:
                some = known.ravel()[: n_labels * n_known].reshape(n_labels, n_known)
                distance = nearest_in_hull(target, metric, some, tolerance, nearest)
                if distance <= tolerance:
                    break
            new = _lowest_vertex(points, nearest - target, score)
            if is_vertex_out[new]:
                break  # no further than a known vertex, but for rounding
            is_vertex_out[new] = True
            n_known = 0
            for j in range(n_points):
                n_known += 1 if is_vertex_out[j] else 0
            flat = known.ravel()
            for k in range(n_labels):
                column = 0
                for j in range(n_points):
                    if is_vertex_out[j]:
                        flat[k * n_known + column] = points[k, j]
                        column += 1


@kernel
def _descend_inside(rows, program, degree, vertices, max_steps, tolerance, x_inout):
    """Minimise one polynomial inside the hull from a point inside; return its value."""
    n_labels = x_inout.shape[0]
    work_m = np.zeros(rows.shape[0])
    work_h = np.zeros(rows.shape[1])
    gradient = np.zeros(n_labels)
    hessian = np.zeros((n_labels, n_labels))
    metric = np.zeros((n_labels, n_labels))
    lower = np.zeros((n_labels, n_labels))
    step = np.zeros(n_labels)
    trial = np.zeros(n_labels)
    value = evaluate(x_inout, rows, program, degree, work_m, work_h, gradient, hessian)
    damping = 0.0
    for _ in range(max_steps):
        failed = 1
        while failed and damping < 1e20:
            for i in range(n_labels):
                for j in range(n_labels):
                    metric[i, j] = hessian[i, j]
                metric[i, i] += damping * abs(hessian[i, i])
            failed = factor(metric, n_labels, lower)
            if failed:
                damping = max(10.0 * damping, 0.1)
        if failed:
            break
        for k in range(n_labels):
            step[k] = -gradient[k]
        solve(lower, n_labels, step)
        for k in range(n_labels):
            step[k] += x_inout[k]
        nearest_in_hull(step, metric, vertices, tolerance, trial)
        predicted = 0.0
        for k in range(n_labels):
            dx = trial[k] - x_inout[k]
            predicted -= gradient[k] * dx
            for j in range(n_labels):
                predicted -= 0.5 * dx * metric[k, j] * (trial[j] - x_inout[j])
        if predicted <= tolerance:
            break
        trial_value = evaluate(
            trial, rows, program, degree, work_m, work_h, gradient, hessian
        )
        if trial_value < value:
            damping = 0.1 * damping if damping > 1e-4 else 0.0
            value = trial_value
            for k in range(n_labels):
                x_inout[k] = trial[k]
        else:
            damping = max(10.0 * damping, 1e-3)
            evaluate(x_inout, rows, program, degree, work_m, work_h, gradient, hessian)
    return value


@kernel
def outside_hull(x, vertices, margin, nearest_out, outside_out):
    """Tell which stars lie outside the hull.

    Parameters
    ----------
    x : ndarray, (S, K)
        Scaled labels.
    vertices : ndarray, (K, n)
    margin : float
        Distance from the hull, in scaled labels, up to which a star counts as inside.
    nearest_out : ndarray, (S, K)
        Nearest point of the hull; x itself where that is inside.
    outside_out : ndarray, (S,), bool
        NaN counts as inside.
    """
    metric = np.eye(x.shape[1])
    for s in range(x.shape[0]):
        distance = 0.0
        if np.isfinite(x[s].sum()):
            distance = nearest_in_hull(
                x[s], metric, vertices, 0.01 * margin * margin, nearest_out[s]
            )
        outside_out[s] = distance > margin * margin
        if not outside_out[s]:
            nearest_out[s] = x[s]


@kernel
def confine_spectra(
    coefficients,
    starts,
    gather,
    program,
    degree,
    vertices,
    max_steps,
    tolerance,
    x_inout,
    value_out,
):
    """Find the lowest chi^2 inside the hull for every spectrum of a block.

    Parameters
    ----------
    coefficients : ndarray, (S, Q)
        chi^2 of every spectrum as a polynomial.
    starts : ndarray, (S, K)
        A second point inside the hull for every spectrum: a start where it lies lower
        than what the first leads to.
    gather, program, degree :
        Of `polynomial.hessian_table`.
    vertices : ndarray, (K, n)
        Of the hull, scaled labels.
    max_steps, tolerance :
        Evaluations allowed, and the decrease of chi^2 that does not matter.
    x_inout : ndarray, (S, K)
        First start, inside the hull, on entry; the lowest point on return.
    value_out : ndarray, (S,)
        chi^2 there.
    """
    n_labels = x_inout.shape[1]
    n_entries = (n_labels + 1) * (n_labels + 2) // 2
    rows = np.zeros((program.shape[0], n_entries))
    other = np.zeros(n_labels)
    for s in range(x_inout.shape[0]):
        gather_hessian(coefficients[s], gather, rows)
        value_out[s] = _descend_inside(
            rows, program, degree, vertices, max_steps, tolerance, x_inout[s]
        )
        # a start that lies lower already is in a deeper basin
        other[:] = starts[s]
        value = _descend_inside(rows, program, degree, vertices, 0, tolerance, other)
        if value < value_out[s]:
            value = _descend_inside(
                rows, program, degree, vertices, max_steps, tolerance, other
            )
            value_out[s] = value
            x_inout[s] = other
