"""Levenberg-Marquardt descents on the compressed chi^2 of many spectra.

Each spectrum is a polynomial of a few hundred numbers (`polynomial`), so that a
step costs less than a microsecond and descents from several starts are cheap.
The curvature is the exact Hessian of chi^2: damping makes it positive definite
far from a minimum, and near one the steps are Newton's.
"""

import numpy as np

from .cholesky import factor, solve
from .compile import kernel
from .polynomial import evaluate, gather_hessian

CONVERGED = 0
NOT_CONVERGED = 1


@kernel
def descend(
    hessian_rows, program, degree, max_steps, tolerance, work, work_matrix, x_inout
):
    """Descend from one start to a minimum of one polynomial.

    Parameters
    ----------
    hessian_rows : ndarray, (B, R)
        Of `polynomial.gather_hessian`.
    program : ndarray, (B, 2), int64
    degree : int
    max_steps : int
        Evaluations allowed.
    tolerance : float
        Stop when the predicted decrease of chi^2 is below it (the last step is
        taken).
    work : ndarray, (B + R + 4 K,)
        Scratch.
    work_matrix : ndarray, (3, K, K)
        Scratch; on return ``work_matrix[0]`` holds the Hessian at the minimum.
    x_inout : ndarray, (K,)
        Start on entry, minimum on return.

    Returns
    -------
    value : float
        chi^2 at the minimum.
    status : int
        CONVERGED or NOT_CONVERGED.
    """
    n_labels = x_inout.shape[0]
    n_monomials, n_entries = hessian_rows.shape
    work_m = work[:n_monomials]
    work_h = work[n_monomials : n_monomials + n_entries]
    offset = n_monomials + n_entries
    gradient = work[offset : offset + n_labels]
    trial_gradient = work[offset + n_labels : offset + 2 * n_labels]
    step = work[offset + 2 * n_labels : offset + 3 * n_labels]
    trial = work[offset + 3 * n_labels : offset + 4 * n_labels]
    hessian = work_matrix[0]
    lower = work_matrix[1]
    trial_hessian = work_matrix[2]

    value = evaluate(
        x_inout, hessian_rows, program, degree, work_m, work_h, gradient, hessian
    )
    damping = 0.0
    for _ in range(max_steps):
        failed = 1
        while failed:
            for i in range(n_labels):
                for j in range(i):
                    lower[i, j] = hessian[i, j]
                lower[i, i] = hessian[i, i] + damping * abs(hessian[i, i])
            failed = factor(lower, n_labels, lower)
            if failed:
                damping = max(10.0 * damping, 0.1)
                if damping > 1e20:
                    return value, NOT_CONVERGED
        for i in range(n_labels):
            step[i] = -gradient[i]
        solve(lower, n_labels, step)
        predicted = 0.0
        for i in range(n_labels):
            predicted -= 0.5 * gradient[i] * step[i]
            trial[i] = x_inout[i] + step[i]
        trial_value = evaluate(
            trial,
            hessian_rows,
            program,
            degree,
            work_m,
            work_h,
            trial_gradient,
            trial_hessian,
        )
        small = predicted <= tolerance and damping <= 1e-3
        if trial_value < value or small:
            for i in range(n_labels):
                x_inout[i] = trial[i]
                gradient[i] = trial_gradient[i]
                for j in range(n_labels):
                    hessian[i, j] = trial_hessian[i, j]
            gain = (value - trial_value) / predicted
            value = trial_value
            if small:
                return value, CONVERGED
            if gain > 0.25:
                damping = 0.1 * damping if damping > 1e-4 else 0.0
        else:
            damping = max(10.0 * damping, 1e-3)
            if damping > 1e20:
                return value, NOT_CONVERGED
    return value, NOT_CONVERGED


@kernel
def choose_starts(values, neighbours, order, chosen_out):
    """Choose the starts to descend from: lowest first, one per basin while any is left.

    A start that lies below all its neighbours sits in a basin of its own; those come
    first, then the lowest of the rest.

    Parameters
    ----------
    values : ndarray, (J,)
        chi^2 at every start.
    neighbours : ndarray, (J, n), int64
        Nearest other starts of each.
    order : ndarray, (J,), int64
        Starts by increasing value.
    chosen_out : ndarray, (D,), int64
        D <= J starts.
    """
    n_chosen = 0
    for lowest in (True, False):
        for j in order:
            if n_chosen == chosen_out.shape[0]:
                return
            below = True
            for i in neighbours[j]:
                if values[i] < values[j]:
                    below = False
            if below == lowest:
                chosen_out[n_chosen] = j
                n_chosen += 1


@kernel
def is_known(x, metric, found_x, n_found):
    """Tell whether a minimum was found before: within a tenth of a formal error.

    Parameters
    ----------
    x : ndarray, (K,)
    metric : ndarray, (K, K)
        Hessian of chi^2 at x.
    found_x : ndarray, (D, K)
    n_found : int
        Rows of found_x in use.

    Returns
    -------
    bool
    """
    for i in range(n_found):
        distance = 0.0
        for k in range(x.shape[0]):
            for j in range(x.shape[0]):
                dx = x[k] - found_x[i, k]
                distance += 0.5 * dx * metric[k, j] * (x[j] - found_x[i, j])
        if distance < 0.01:
            return True
    return False


@kernel
def rank_minima(found_x, found_value, n_found, x_out, other_x_out):
    """Sort out the minima of one spectrum.

    Parameters
    ----------
    found_x, found_value : ndarray, (D, K), (D,)
    n_found : int
        Rows in use.
    x_out : ndarray, (K,)
        The lowest; NaN where there is none.
    other_x_out : ndarray, (K,)
        The second lowest; NaN where there is none.

    Returns
    -------
    value : float
        The lowest chi^2; NaN where there is none.
    other_value : float
        The second lowest, else inf.
    minima : int
        How many lie within 9 of the lowest.
    """
    best = -1
    second = -1
    for i in range(n_found):
        if best < 0 or found_value[i] < found_value[best]:
            second = best
            best = i
        elif second < 0 or found_value[i] < found_value[second]:
            second = i
    minima = 0
    for k in range(x_out.shape[0]):
        x_out[k] = found_x[best, k] if best >= 0 else np.nan
        other_x_out[k] = found_x[second, k] if second >= 0 else np.nan
    if best < 0:
        return np.nan, np.inf, minima
    for i in range(n_found):
        minima += 1 if found_value[i] <= found_value[best] + 9.0 else 0
    return found_value[best], found_value[second] if second >= 0 else np.inf, minima


@kernel
def descend_spectra(
    coefficients,
    start_values,
    starts,
    neighbours,
    n_descents,
    gather,
    program,
    degree,
    max_steps,
    tolerance,
    x_out,
    value_out,
    hessian_out,
    other_x_out,
    other_value_out,
    minima_out,
    status_out,
):
    """Find the lowest minimum of every spectrum of a block from several starts.

    Parameters
    ----------
    coefficients : ndarray, (S, Q)
        chi^2 of every spectrum as a polynomial.
    start_values : ndarray, (S, J)
        chi^2 at every start.
    starts : ndarray, (J, K)
        Scaled labels.
    neighbours : ndarray, (J, n), int64
        Nearest other starts of each.
    n_descents : int
        Descents per spectrum, at most J.
    gather, program, degree :
        Of `polynomial.hessian_table`.
    max_steps, tolerance :
        Of `descend`.
    x_out : ndarray, (S, K)
        Lowest minimum; NaN where there is none.
    value_out : ndarray, (S,)
        chi^2 there.
    hessian_out : ndarray, (S, K, K)
        Its Hessian there.
    other_x_out, other_value_out : ndarray, (S, K), (S,)
        The second lowest distinct minimum; NaN and inf where there is none.
    minima_out : ndarray, (S,), int64
        Distinct minima found within 9 of the lowest.
    status_out : ndarray, (S,), int64
        CONVERGED or NOT_CONVERGED (of the lowest minimum).
    """
    n_labels = starts.shape[1]
    n_entries = (n_labels + 1) * (n_labels + 2) // 2
    rows = np.zeros((program.shape[0], n_entries))
    work = np.zeros(program.shape[0] + n_entries + 4 * n_labels)
    work_matrix = np.zeros((3, n_labels, n_labels))
    chosen = np.zeros(n_descents, dtype=np.int64)
    found_x = np.zeros((n_descents, n_labels))
    found_value = np.zeros(n_descents)
    x = np.zeros(n_labels)
    for s in range(coefficients.shape[0]):
        gather_hessian(coefficients[s], gather, rows)
        choose_starts(start_values[s], neighbours, np.argsort(start_values[s]), chosen)
        n_found = 0
        lowest = np.inf
        status_out[s] = NOT_CONVERGED
        for d in range(n_descents):
            for k in range(n_labels):
                x[k] = starts[chosen[d], k]
            value, status = descend(
                rows, program, degree, max_steps, tolerance, work, work_matrix, x
            )
            if not np.isfinite(value) or is_known(x, work_matrix[0], found_x, n_found):
                continue
            found_x[n_found] = x
            found_value[n_found] = value
            n_found += 1
            if value < lowest:
                lowest = value
                status_out[s] = status
                hessian_out[s] = work_matrix[0]
        value_out[s], other_value_out[s], minima_out[s] = rank_minima(
            found_x, found_value, n_found, x_out[s], other_x_out[s]
        )
