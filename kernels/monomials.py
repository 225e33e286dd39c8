"""Label vectors: tables of monomials, their values and derivatives.

A model is a table of exponents (T, K), one row per term: term t is
``prod_k x_k ** exponents[t, k]``. Monomials are evaluated along a *program*: an
int array (E, 2) whose row e says "monomial e is monomial ``program[e, 0]`` times
label ``program[e, 1]``"; row 0 is the constant 1.
"""

from itertools import combinations_with_replacement

import numpy as np

from .compile import kernel


def complete_exponents(n_labels, degree):
    """Return every monomial up to a degree: 1; linear; products row by row.

    Parameters
    ----------
    n_labels : int
        Number of labels K.
    degree : int
        Largest total degree.

    Returns
    -------
    ndarray, (T, K), int64
    """
    rows = []
    for total in range(degree + 1):
        for members in combinations_with_replacement(range(n_labels), total):
            rows.append([members.count(k) for k in range(n_labels)])
    return np.array(rows, dtype=np.int64).reshape(len(rows), n_labels)


def monomial_program(exponents):
    """Return the multiplications that evaluate a set of monomials.

    Parameters
    ----------
    exponents : ndarray, (T, K), int64

    Returns
    -------
    program : ndarray, (E, 2), int64
        Parent monomial and label of each step; E >= T where parents are missing.
    where : ndarray, (T,), int64
        Row of each wanted monomial in the program.
    """
    wanted = [tuple(int(e) for e in row) for row in exponents]
    closed = {tuple([0] * exponents.shape[1])}
    for row in wanted:
        while row not in closed:
            closed.add(row)
            row = _divide(row, _last_label(row))
    order = sorted(closed, key=lambda row: (sum(row), tuple(-e for e in row)))
    index = {row: i for i, row in enumerate(order)}
    program = np.zeros((len(order), 2), dtype=np.int64)
    for i, row in enumerate(order[1:], start=1):
        k = _last_label(row)
        program[i] = index[_divide(row, k)], k
    return program, np.array([index[row] for row in wanted], dtype=np.int64)


def derivative_tables(exponents):
    """Return the derivatives of every term as lists of non-zero entries.

    Parameters
    ----------
    exponents : ndarray, (T, K), int64

    Returns
    -------
    program : ndarray, (E, 2), int64
        Evaluates the terms and every monomial that a derivative needs.
    where : ndarray, (T,), int64
        Program row of each term.
    first : ndarray, (J, 4), int64
        Rows (label k, term t, factor, program row): d v_t / d x_k is factor times
        that monomial. Sorted by label.
    second : ndarray, (J2, 5), int64
        Rows (label k, label j >= k, term t, factor, program row) of the second
        derivatives.
    """
    rows = [tuple(int(e) for e in row) for row in exponents]
    needed = list(rows)
    first, second = [], []
    for k in range(exponents.shape[1]):
        for t, row in enumerate(rows):
            if row[k] == 0:
                continue
            slope = _divide(row, k)
            first.append((k, t, row[k], len(needed)))
            needed.append(slope)
            for j in range(k, exponents.shape[1]):
                if slope[j] > 0:
                    second.append((k, j, t, row[k] * slope[j], len(needed)))
                    needed.append(_divide(slope, j))
    program, where = monomial_program(np.array(needed, dtype=np.int64))
    first = np.array(first, dtype=np.int64).reshape(len(first), 4)
    second = np.array(second, dtype=np.int64).reshape(len(second), 5)
    first[:, 3] = where[first[:, 3]]
    second[:, 4] = where[second[:, 4]]
    return program, where[: len(rows)], first, second


def _last_label(row):
    return max(k for k, e in enumerate(row) if e > 0)


def _divide(row, k):
    return (*row[:k], row[k] - 1, *row[k + 1 :])


@kernel
def monomial_values(x, program, m_out):
    """Evaluate a program at one point.

    Parameters
    ----------
    x : ndarray, (K,)
        Scaled labels.
    program : ndarray, (E, 2), int64
    m_out : ndarray, (E,)
        Result.
    """
    m_out[0] = 1.0
    for e in range(1, program.shape[0]):
        m_out[e] = m_out[program[e, 0]] * x[program[e, 1]]


@kernel
def label_vectors(x, program, where, work_m, v_out):
    """Evaluate the label vector of many stars (Ness+2015 eq. 9).

    Parameters
    ----------
    x : ndarray, (N, K)
        Scaled labels.
    program : ndarray, (E, 2), int64
    where : ndarray, (T,), int64
        Program row of each term.
    work_m : ndarray, (E,)
        Scratch.
    v_out : ndarray, (N, T)
        Result.
    """
    for n in range(x.shape[0]):
        monomial_values(x[n], program, work_m)
        for t in range(where.shape[0]):
            v_out[n, t] = work_m[where[t]]


@kernel
def label_jacobian(x, program, first, work_m, jacobian_out):
    """Evaluate d v_t / d x_k at one point.

    Parameters
    ----------
    x : ndarray, (K,)
        Scaled labels.
    program : ndarray, (E, 2), int64
    first : ndarray, (J, 4), int64
        Of `derivative_tables`.
    work_m : ndarray, (E,)
        Scratch.
    jacobian_out : ndarray, (T, K)
        Result.
    """
    monomial_values(x, program, work_m)
    jacobian_out[:, :] = 0.0
    for j in range(first.shape[0]):
        jacobian_out[first[j, 1], first[j, 0]] = first[j, 2] * work_m[first[j, 3]]
