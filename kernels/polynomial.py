"""chi^2 of one spectrum as a polynomial in its labels.

``chi^2(x) = sum_p w_p (f_p - v(x) . theta_p)^2`` is a polynomial whose monomials
are the products of two terms. Different pairs of terms give the same monomial
(x1*x1 times x2*x2 is x1*x2 times x1*x2), so that a quadratic model of 6 labels
has 210 coefficients where the normal matrix A of the terms has 406. The
coefficients of a block of spectra are one matrix product with a table that does
not depend on the star; see README.md of this folder.

The polynomial is made homogeneous with a further variable x0 = 1. Then its
Hessian holds everything: gradient and value follow by Euler's theorem.
"""

import numpy as np

from .compile import kernel
from .monomials import monomial_program, monomial_values


def pair_table(exponents):
    """Return the distinct monomials among the products of two terms.

    Parameters
    ----------
    exponents : ndarray, (T, K), int64

    Returns
    -------
    pairs : ndarray, (Q, K), int64
        Exponents of the products, by total degree; row 0 is the constant.
    index : ndarray, (T, T), int64
        Row of term i times term j.
    """
    sums = exponents[:, None, :] + exponents[None, :, :]
    flat = sums.reshape(-1, exponents.shape[1])
    key = np.column_stack([-flat[:, ::-1], flat.sum(1)])
    _, first, inverse = np.unique(
        key[:, ::-1], axis=0, return_index=True, return_inverse=True
    )
    n_terms = exponents.shape[0]
    return flat[first].copy(), inverse.reshape(n_terms, n_terms)


def hessian_table(pairs):
    """Return how the homogeneous Hessian follows from the coefficients.

    Parameters
    ----------
    pairs : ndarray, (Q, K), int64
        Monomials of the polynomial.

    Returns
    -------
    program : ndarray, (E, 2), int64
        Evaluates the B monomials of the Hessian (all rows of the program).
    gather : ndarray, (G, 4), int64
        Rows (program row b, Hessian entry r, coefficient q, factor).
    degree : int
        Degree of the homogeneous polynomial.
    """
    n_labels = pairs.shape[1]
    degree = int(pairs.sum(1).max())
    full = np.column_stack([degree - pairs.sum(1), pairs])
    needed, rows = [], []
    r = 0
    for k in range(n_labels + 1):
        for j in range(k, n_labels + 1):
            factor = full[:, k] * (full[:, j] - (k == j))
            for q in np.flatnonzero(factor):
                left = full[q].copy()
                left[k] -= 1
                left[j] -= 1
                rows.append((len(needed), r, q, factor[q]))
                needed.append(left[1:])
            r += 1
    program, where = monomial_program(np.array(needed, dtype=np.int64))
    gather = np.array(rows, dtype=np.int64)
    gather[:, 0] = where[gather[:, 0]]
    return program, gather, degree


def pair_products(theta, index, n_pairs, dtype):
    """Return the columns whose weighted sums are the coefficients of chi^2.

    Parameters
    ----------
    theta : ndarray, (P, T)
        Coefficients with the constant term set to zero where the flux is pivoted.
    index : ndarray, (T, T), int64
        Table of `pair_table`.
    n_pairs : int
        Number Q of distinct monomials.
    dtype : dtype
        Of the result.

    Returns
    -------
    ndarray, (P, Q)
        Column q is the sum of theta_i theta_j over all pairs that give monomial q.
    """
    columns = np.zeros((theta.shape[0], n_pairs), dtype=dtype)
    accumulate_pairs(np.ascontiguousarray(theta), index, columns)
    return columns


@kernel
def accumulate_pairs(theta, index, columns_out):
    """Add theta_i theta_j of every pixel to the column of their monomial.

    Parameters
    ----------
    theta : ndarray, (P, T)
    index : ndarray, (T, T), int64
    columns_out : ndarray, (P, Q)
        Zero on entry.
    """
    n_terms = theta.shape[1]
    work = np.zeros(columns_out.shape[1])
    for p in range(theta.shape[0]):
        work[:] = 0.0
        for i in range(n_terms):
            if theta[p, i] == 0.0:
                continue
            work[index[i, i]] += theta[p, i] * theta[p, i]
            for j in range(i + 1, n_terms):
                work[index[i, j]] += 2.0 * theta[p, i] * theta[p, j]
        for q in range(work.shape[0]):
            columns_out[p, q] = work[q]


@kernel
def gather_hessian(coefficients, gather, hessian_rows_out):
    """Arrange the coefficients of one polynomial for evaluation.

    Parameters
    ----------
    coefficients : ndarray, (Q,)
    gather : ndarray, (G, 4), int64
        Table of `hessian_table`.
    hessian_rows_out : ndarray, (B, R)
        Coefficient of each monomial in each of the R = (K+1)(K+2)/2 entries of the
        homogeneous Hessian.
    """
    hessian_rows_out[:, :] = 0.0
    for g in range(gather.shape[0]):
        hessian_rows_out[gather[g, 0], gather[g, 1]] = (
            coefficients[gather[g, 2]] * gather[g, 3]
        )


@kernel
def evaluate(
    x, hessian_rows, program, degree, work_m, work_h, gradient_out, hessian_out
):
    """Evaluate the polynomial, its gradient and its Hessian at one point.

    Parameters
    ----------
    x : ndarray, (K,)
        Scaled labels.
    hessian_rows : ndarray, (B, R)
        Of `gather_hessian`.
    program : ndarray, (B, 2), int64
    degree : int
        Degree of the homogeneous polynomial, at least 2.
    work_m : ndarray, (B,)
        Scratch.
    work_h : ndarray, (R,)
        Scratch.
    gradient_out : ndarray, (K,)
    hessian_out : ndarray, (K, K)

    Returns
    -------
    float
        Value of the polynomial.
    """
    n_labels = x.shape[0]
    monomial_values(x, program, work_m)
    # h = work_m @ hessian_rows
    work_h[:] = 0.0
    for b in range(program.shape[0]):
        m = work_m[b]
        for r in range(work_h.shape[0]):
            work_h[r] += m * hessian_rows[b, r]
    # Euler: (d - 1) g_k = sum_j H_kj x_j and d * value = sum_k g_k x_k, with x_0 = 1
    first = work_h[0]
    for k in range(n_labels):
        first += work_h[k + 1] * x[k]
        gradient_out[k] = work_h[k + 1]
    r = n_labels + 1
    for k in range(n_labels):
        for j in range(k, n_labels):
            h = work_h[r]
            hessian_out[k, j] = h
            hessian_out[j, k] = h
            gradient_out[k] += h * x[j]
            if j > k:
                gradient_out[j] += h * x[k]
            r += 1
    value = first / (degree - 1)
    for k in range(n_labels):
        gradient_out[k] /= degree - 1
        value += gradient_out[k] * x[k]
    return value / degree
