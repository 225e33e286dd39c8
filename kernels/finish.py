"""Last step of an inference in double precision, and the covariance.

With the residuals at the minimum, ``y_t = sum_p w r theta_pt`` is the gradient of
chi^2 / -2 in the space of the terms. It gives the exact gradient in the labels
and the term by which the Hessian of chi^2 differs from ``J^T W J``.
"""

import numpy as np

from .cholesky import factor, invert, solve
from .compile import kernel
from .monomials import monomial_values


@kernel
def finish_spectra(
    projected,
    hessian,
    program,
    first,
    second,
    scales,
    x_inout,
    chi2_inout,
    decrease_out,
    covariance_out,
    status_out,
):
    """Take the last Newton step of a block of spectra and compute the covariances.

    Parameters
    ----------
    projected : ndarray, (S, T)
        y, weighted residuals times theta summed over pixels, at x.
    hessian : ndarray, (S, K, K)
        Of chi^2 at x.
    program : ndarray, (E, 2), int64
    first : ndarray, (J, 4), int64
        Derivatives of the terms (`monomials.derivative_tables`).
    second : ndarray, (J2, 5), int64
        Second derivatives (same table).
    scales : ndarray, (K,)
        Label units per scaled unit.
    x_inout : ndarray, (S, K)
        Scaled labels.
    chi2_inout : ndarray, (S,)
        chi^2 at x on entry, after the step on return.
    decrease_out : ndarray, (S,)
        The decrease of chi^2 by this step.
    covariance_out : ndarray, (S, K, K)
        Inverse of J^T W J in label units; NaN where it is singular.
    status_out : ndarray, (S,), int64
        1 where the covariance does not exist, else 0.
    """
    n_labels = x_inout.shape[1]
    work_m = np.zeros(program.shape[0])
    normal = np.zeros((n_labels, n_labels))
    step = np.zeros(n_labels)
    work = np.zeros(n_labels)
    for s in range(x_inout.shape[0]):
        monomial_values(x_inout[s], program, work_m)
        for k in range(n_labels):
            step[k] = 0.0
            for j in range(n_labels):
                normal[k, j] = 0.5 * hessian[s, k, j]
        for e in range(first.shape[0]):
            slope = first[e, 2] * work_m[first[e, 3]]
            step[first[e, 0]] += slope * projected[s, first[e, 1]]
        # half the Hessian times step = J_v^T y
        decrease_out[s] = 0.0
        if factor(normal, n_labels, normal) == 0:
            for k in range(n_labels):
                work[k] = step[k]
            solve(normal, n_labels, step)
            for k in range(n_labels):
                decrease_out[s] += step[k] * work[k]
        else:
            for k in range(n_labels):
                step[k] = 0.0
        chi2_inout[s] -= decrease_out[s]
        for k in range(n_labels):
            for j in range(n_labels):
                normal[k, j] = 0.5 * hessian[s, k, j]
        for e in range(second.shape[0]):
            slope = second[e, 3] * work_m[second[e, 4]] * projected[s, second[e, 2]]
            normal[second[e, 0], second[e, 1]] += slope
            if second[e, 0] != second[e, 1]:
                normal[second[e, 1], second[e, 0]] += slope
        for k in range(n_labels):
            x_inout[s, k] += step[k]
        status_out[s] = factor(normal, n_labels, normal)
        if status_out[s] == 0:
            invert(normal, n_labels, work, covariance_out[s])
            for k in range(n_labels):
                for j in range(n_labels):
                    covariance_out[s, k, j] *= scales[k] * scales[j]
        else:
            for k in range(n_labels):
                for j in range(n_labels):
                    covariance_out[s, k, j] = np.nan
