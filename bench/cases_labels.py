"""Cases of the terms of the labels, of their polynomials and of Cholesky factors.

A kernel of less than some ten microseconds is called in a compiled loop, because the
way from Python into one takes about as long.
"""

import numba
import numpy as np
from numpy.testing import assert_array_equal

from bench.kernel_cases import (
    N_BLOCK,
    N_LABELS,
    N_PIXELS,
    N_SPECTRA,
    N_STARS,
    N_TERMS,
    Case,
    assert_close,
    assert_solved,
    case,
    definite,
    pack,
    refill,
    term_derivatives,
)
from fastcannon.kernels import cholesky, polynomial
from fastcannon.kernels import monomials as label_terms
from fastcannon.training import PIVOT_TOLERANCE


@numba.njit
def factor_each(matrices, lower_out):
    for i in range(matrices.shape[0]):
        cholesky.factor(matrices[i], matrices.shape[1], lower_out[i])


@case(cholesky, N_SPECTRA)
def factor(world):
    matrices = definite(N_LABELS, N_SPECTRA)
    lower = np.zeros(matrices.shape)

    def check(_):
        assert_close(pack(lower), np.linalg.cholesky(matrices), 1e-12)

    return Case(lambda: factor_each(matrices, lower), check)


@numba.njit
def factor_dropping_each(matrices, tolerance, lower_out):
    dropped = 0
    for i in range(matrices.shape[0]):
        n = matrices.shape[1]
        dropped += cholesky.factor_dropping(matrices[i], n, tolerance, lower_out[i])
    return dropped


@case(cholesky, N_BLOCK)
def factor_dropping(world):
    matrices = world.normal.copy()
    matrices[:, -1], matrices[:, :, -1] = matrices[:, 1], matrices[:, :, 1]
    matrices[:, -1, -1] = matrices[:, 1, 1]  # the last term copies the second
    lower = np.zeros(matrices.shape)

    def check(dropped):
        assert dropped == N_BLOCK
        kept = matrices[:, :-1, :-1]
        assert_close(pack(lower[:, :-1, :-1]), np.linalg.cholesky(kept), 1e-9)
        assert not lower[:, -1].any()

    return Case(lambda: factor_dropping_each(matrices, PIVOT_TOLERANCE, lower), check)


@numba.njit
def solve_each(lower, x_inout):
    for i in range(x_inout.shape[0]):
        cholesky.solve(lower[i], x_inout.shape[1], x_inout[i])


@case(cholesky, N_SPECTRA)
def solve(world):
    lower = pack(np.linalg.cholesky(definite(N_LABELS, N_SPECTRA)))
    right = world.x[:N_SPECTRA]
    x = right.copy()
    return Case(
        lambda: solve_each(lower, x),
        lambda _: assert_solved(lower, x, right),
        refill((x, right)),
    )


@numba.njit
def invert_each(lower, work_x, inverse_out):
    for i in range(lower.shape[0]):
        cholesky.invert(lower[i], lower.shape[1], work_x, inverse_out[i])


@case(cholesky, N_SPECTRA)
def invert(world):
    matrices = definite(N_LABELS, N_SPECTRA)
    lower = pack(np.linalg.cholesky(matrices))
    inverse, work = np.empty(matrices.shape), np.empty(N_LABELS)
    return Case(
        lambda: invert_each(lower, work, inverse),
        lambda _: assert_close(inverse, np.linalg.inv(matrices), 1e-12),
    )


@numba.njit
def monomials_each(x, program, m_out):
    for n in range(x.shape[0]):
        label_terms.monomial_values(x[n], program, m_out[n])


@case(label_terms, N_STARS)
def monomial_values(world):
    program, where, _, _ = world.terms.derivatives
    m = np.empty((N_STARS, len(program)))
    return Case(
        lambda: monomials_each(world.x, program, m),
        lambda _: assert_close(m[:, where], world.v, 1e-12),
    )


@case(label_terms, N_STARS)
def label_vectors(world):
    program, where, _, _ = world.terms.derivatives
    work, v = np.empty(len(program)), np.empty(world.v.shape)
    return Case(
        lambda: label_terms.label_vectors(world.x, program, where, work, v),
        lambda _: assert_close(v, world.v, 1e-12),
    )


@numba.njit
def label_jacobian_each(x, program, first, work_m, jacobian_out):
    for n in range(x.shape[0]):
        label_terms.label_jacobian(x[n], program, first, work_m, jacobian_out[n])


@case(label_terms, N_SPECTRA)
def label_jacobian(world):
    program, _, first, _ = world.terms.derivatives
    x = world.x[:N_SPECTRA]
    work, jacobian = np.empty(len(program)), np.empty((N_SPECTRA, N_TERMS, N_LABELS))
    expected, _ = term_derivatives(x, world.terms.exponents)
    return Case(
        lambda: label_jacobian_each(x, program, first, work, jacobian),
        lambda _: assert_close(jacobian, expected, 1e-12),
    )


@case(polynomial, N_PIXELS)
def accumulate_pairs(world):
    columns = np.zeros(world.columns.shape)
    index = world.terms.pairs[1]
    return Case(
        lambda: polynomial.accumulate_pairs(world.pivoted, index, columns),
        lambda _: assert_close(columns, world.columns, 1e-12),
    )


@numba.njit
def gather_hessian_each(coefficients, gather, rows_out):
    for s in range(coefficients.shape[0]):
        polynomial.gather_hessian(coefficients[s], gather, rows_out[s])


@case(polynomial, N_SPECTRA)
def gather_hessian(world):
    rows = np.empty(world.hessian_rows.shape)
    gather = world.terms.hessian[1]
    return Case(
        lambda: gather_hessian_each(world.coefficients, gather, rows),
        lambda _: assert_array_equal(rows, world.hessian_rows),
    )


@numba.njit
def evaluate_each(
    x, rows, program, degree, work_m, work_h, value_out, gradient_out, hessian_out
):
    for s in range(x.shape[0]):
        value_out[s] = polynomial.evaluate(
            x[s],
            rows[s],
            program,
            degree,
            work_m,
            work_h,
            gradient_out[s],
            hessian_out[s],
        )


@case(polynomial, N_SPECTRA)
def evaluate(world):
    program, _, degree = world.terms.hessian
    rows = world.hessian_rows
    work_m, work_h = np.empty(rows.shape[1]), np.empty(rows.shape[2])
    value, gradient = np.empty(N_SPECTRA), np.empty((N_SPECTRA, N_LABELS))
    hessian = np.empty((N_SPECTRA, N_LABELS, N_LABELS))

    def check(_):
        chi2, _, expected_gradient, _, expected_hessian = world.expand(world.near)
        assert_close(value, chi2, 1e-9)
        assert_close(gradient, expected_gradient, 1e-8)
        assert_close(hessian, expected_hessian, 1e-9)

    return Case(
        lambda: evaluate_each(
            world.near, rows, program, degree, work_m, work_h, value, gradient, hessian
        ),
        check,
    )
