"""Inference by streaming over the pixels: eq. 4 of Nandakumar+2022 directly.

Model, Jacobian and normal matrix J^T W J are formed in one pass over the pixels for
every Gauss-Newton step. It is the better way for few spectra or very many labels,
where the polynomial of `levenberg` has more coefficients than there are pixels.
"""

import numpy as np

from .cholesky import factor, solve
from .compile import kernel
from .levenberg import (
    CONVERGED,
    NOT_CONVERGED,
    choose_starts,
    is_known,
    rank_minima,
)
from .monomials import monomial_values
from .weights import CHUNK


@kernel
def normal_equations(
    x,
    flux,
    w,
    chunks,
    program,
    where,
    first,
    work_m,
    work_rows,
    gradient_out,
    normal_out,
):
    """Compute chi^2, J^T W r and J^T W J of one spectrum at one point.

    Parameters
    ----------
    x : ndarray, (K,)
        Scaled labels.
    flux, w : ndarray, (P,), float32 and float64
        Flux and weights.
    chunks : ndarray, (C, T, CHUNK)
        Of `weights.chunk_theta`.
    program, where, first :
        Of `monomials.derivative_tables`.
    work_m : ndarray, (E,)
        Scratch.
    work_rows : ndarray, (K + 2, CHUNK)
        Scratch.
    gradient_out : ndarray, (K,)
        J^T W (flux - model).
    normal_out : ndarray, (K, K)

    Returns
    -------
    float
        chi^2.
    """
    n_labels = x.shape[0]
    n_pixels = flux.shape[0]
    monomial_values(x, program, work_m)
    gradient_out[:] = 0.0
    normal_out[:, :] = 0.0
    rest = work_rows[n_labels]
    weighted = work_rows[n_labels + 1]
    chi2 = 0.0
    for k in range(chunks.shape[0]):
        start = k * CHUNK
        n = min(CHUNK, n_pixels - start)
        # slices, because an index start + c might be negative for all the compiler
        # knows, and the loop is then not vectorised
        weight = w[start : start + n]
        part = flux[start : start + n]
        # rest = flux - theta v; rows of work_rows = theta dv/dx
        for c in range(n):
            rest[c] = part[c]
        for t in range(where.shape[0]):
            v = work_m[where[t]]
            for c in range(n):
                rest[c] -= v * chunks[k, t, c]
        work_rows[:n_labels] = 0.0
        for e in range(first.shape[0]):
            slope = first[e, 2] * work_m[first[e, 3]]
            i = first[e, 0]
            t = first[e, 1]
            for c in range(n):
                work_rows[i, c] += slope * chunks[k, t, c]
        for c in range(n):
            wr = weight[c] * rest[c]
            chi2 += wr * rest[c]
            rest[c] = wr
        for i in range(n_labels):
            total = 0.0
            for c in range(n):
                total += work_rows[i, c] * rest[c]
                weighted[c] = weight[c] * work_rows[i, c]
            gradient_out[i] += total
            for j in range(i + 1):
                total = 0.0
                for c in range(n):
                    total += weighted[c] * work_rows[j, c]
                normal_out[i, j] += total
    for k in range(n_labels):
        for j in range(k):
            normal_out[j, k] = normal_out[k, j]
    return chi2


@kernel
def _descend(
    flux,
    w,
    chunks,
    program,
    where,
    first,
    max_steps,
    tolerance,
    work_m,
    work_rows,
    work,
    work_matrix,
    x_inout,
):
    """Descend from one start to a minimum of chi^2 of one spectrum.

    Arguments as in `normal_equations` and `levenberg.descend`, but for the scratch:
    work (4, K), and work_matrix (3, K, K), whose first is J^T W J on return.

    Returns
    -------
    value : float
        chi^2 at the minimum.
    status : int
        CONVERGED or NOT_CONVERGED.
    """
    n_labels = x_inout.shape[0]
    gradient = work[0]
    trial_gradient = work[1]
    step = work[2]
    trial = work[3]
    normal = work_matrix[0]
    lower = work_matrix[1]
    trial_normal = work_matrix[2]
    value = np.inf
    damping = 0.0
    predicted = np.inf  # of the start, which is taken as it is
    trial[:] = x_inout
    for _ in range(max_steps + 1):
        trial_value = normal_equations(
            trial,
            flux,
            w,
            chunks,
            program,
            where,
            first,
            work_m,
            work_rows,
            trial_gradient,
            trial_normal,
        )
        small = predicted <= tolerance and damping <= 1e-3
        if trial_value < value or small:
            value = trial_value
            x_inout[:] = trial
            gradient[:] = trial_gradient
            normal[:, :] = trial_normal
            if small:
                return value, CONVERGED
            damping = 0.1 * damping if damping > 1e-4 else 0.0
        else:
            damping = max(10.0 * damping, 1e-3)
        if not np.isfinite(value):
            break
        while True:
            for i in range(n_labels):
                for j in range(i):
                    lower[i, j] = normal[i, j]
                lower[i, i] = normal[i, i] * (1.0 + damping)
            if damping > 1e20 or not factor(lower, n_labels, lower):
                break
            damping = max(10.0 * damping, 1e-3)
        if damping > 1e20:
            break
        step[:] = gradient
        solve(lower, n_labels, step)
        predicted = 0.0
        for i in range(n_labels):
            predicted += gradient[i] * step[i]
            trial[i] = x_inout[i] + step[i]
    return value, NOT_CONVERGED


@kernel
def stream_spectra(
    flux,
    w,
    chunks,
    start_values,
    starts,
    neighbours,
    n_descents,
    program,
    where,
    first,
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
    flux : ndarray, (S, P), float32
    w : ndarray, (S, P), float64
        Weights.
    chunks : ndarray, (C, T, CHUNK)
        Of `weights.chunk_theta`.
    start_values, starts, neighbours, n_descents :
        As in `levenberg.descend_spectra`.
    program, where, first :
        Of `monomials.derivative_tables`.
    max_steps, tolerance :
        As in `levenberg.descend`.
    hessian_out : ndarray, (S, K, K)
        Twice J^T W J at the minimum.
    x_out, value_out, other_x_out, other_value_out, minima_out, status_out :
        As in `levenberg.descend_spectra`.
    """
    n_labels = starts.shape[1]
    work_m = np.zeros(program.shape[0])
    work_rows = np.zeros((n_labels + 2, CHUNK))
    chosen = np.zeros(n_descents, dtype=np.int64)
    found_x = np.zeros((n_descents, n_labels))
    found_value = np.zeros(n_descents)
    x = np.zeros(n_labels)
    work = np.zeros((4, n_labels))
    work_matrix = np.zeros((3, n_labels, n_labels))
    hessian = work_matrix[0]
    for s in range(flux.shape[0]):
        choose_starts(start_values[s], neighbours, np.argsort(start_values[s]), chosen)
        n_found = 0
        lowest = np.inf
        status_out[s] = NOT_CONVERGED
        for d in range(n_descents):
            x[:] = starts[chosen[d]]
            value, status = _descend(
                flux[s],
                w[s],
                chunks,
                program,
                where,
                first,
                max_steps,
                tolerance,
                work_m,
                work_rows,
                work,
                work_matrix,
                x,
            )
            for i in range(n_labels):
                for j in range(n_labels):
                    hessian[i, j] *= 2.0
            if not np.isfinite(value) or is_known(x, hessian, found_x, n_found):
                continue
            found_x[n_found] = x
            found_value[n_found] = value
            n_found += 1
            if value < lowest:
                lowest = value
                status_out[s] = status
                hessian_out[s] = hessian
        value_out[s], other_value_out[s], minima_out[s] = rank_minima(
            found_x, found_value, n_found, x_out[s], other_x_out[s]
        )
