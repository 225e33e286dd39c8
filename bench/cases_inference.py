"""Cases of inference: starts, descents, streaming, the last step."""

import numba
import numpy as np
from numpy.testing import assert_array_equal

from bench.kernel_cases import (
    N_LABELS,
    N_SPECTRA,
    STEPS,
    Case,
    assert_close,
    case,
    refill,
)
from fastcannon.inference import Minima
from fastcannon.kernels import finish, levenberg, stream, weights

N_STREAM = 8  # spectra of the streaming kernel, which is slow
N_DESCENTS = 8


@numba.njit
def choose_starts_each(values, neighbours, order, chosen_out):
    for s in range(values.shape[0]):
        levenberg.choose_starts(values[s], neighbours, order[s], chosen_out[s])


@case(levenberg, N_SPECTRA)
def choose_starts(world):
    values, neighbours = world.start_values, world.neighbours
    order = np.argsort(values, axis=1)
    chosen = np.empty((N_SPECTRA, N_DESCENTS), dtype=np.int64)

    def check(_):
        for value, by_value, found in zip(values, order, chosen, strict=True):
            lowest = (value[neighbours] >= value[:, None]).all(axis=1)[by_value]
            expected = np.append(by_value[lowest], by_value[~lowest])
            assert_array_equal(found, expected[:N_DESCENTS])

    return Case(lambda: choose_starts_each(values, neighbours, order, chosen), check)


@numba.njit
def is_known_each(x, metric, found_x, known_out):
    for s in range(x.shape[0]):
        known_out[s] = levenberg.is_known(x[s], metric[s], found_x, found_x.shape[0])


@case(levenberg, N_SPECTRA)
def is_known(world):
    x, found_x = world.x[:N_SPECTRA], world.x[:N_DESCENTS] + 1e-6
    metric = world.expand(x)[-1]
    known = np.empty(N_SPECTRA, dtype=bool)

    def check(_):
        dx = x[:, None] - found_x
        distance = np.einsum("sdk,skj,sdj->sd", dx, 0.5 * metric, dx)
        assert_array_equal(known, (distance < 0.01).any(axis=1))
        assert known.sum() == N_DESCENTS

    return Case(lambda: is_known_each(x, metric, found_x, known), check)


@numba.njit
def descend_each(
    rows, program, degree, max_steps, tolerance, work, work_matrix, x_inout, value_out
):
    failed = 0
    for s in range(x_inout.shape[0]):
        value_out[s], status = levenberg.descend(
            rows[s],
            program,
            degree,
            max_steps,
            tolerance,
            work,
            work_matrix,
            x_inout[s],
        )
        failed += status
    return failed


@case(levenberg, N_SPECTRA)
def descend(world):
    program, _, degree = world.terms.hessian
    rows = world.hessian_rows
    start = 0.5 * world.x[:N_SPECTRA]
    x, value = start.copy(), np.empty(N_SPECTRA)
    work = np.empty(rows.shape[1] + rows.shape[2] + 4 * N_LABELS)
    work_matrix = np.empty((3, N_LABELS, N_LABELS))

    def check(failed):
        assert failed == 0
        world.assert_minima(x, value)

    return Case(
        lambda: descend_each(
            rows, program, degree, *STEPS, work, work_matrix, x, value
        ),
        check,
        refill((x, start)),
    )


@numba.njit
def rank_minima_each(x, value, x_out, value_out, other_x_out, other_out, minima_out):
    for s in range(x.shape[0]):
        value_out[s], other_out[s], minima_out[s] = levenberg.rank_minima(
            x[s], value[s], x.shape[1], x_out[s], other_x_out[s]
        )


@case(levenberg, N_SPECTRA)
def rank_minima(world):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(N_SPECTRA, N_DESCENTS, N_LABELS))
    value = 8000.0 + rng.exponential(20.0, size=(N_SPECTRA, N_DESCENTS))
    best_x, other_x = np.empty((2, N_SPECTRA, N_LABELS))
    best, other = np.empty((2, N_SPECTRA))
    minima = np.empty(N_SPECTRA, dtype=np.int64)

    def check(_):
        rows, order = np.arange(N_SPECTRA), np.argsort(value, axis=1)
        for place, (at, found) in enumerate(((best_x, best), (other_x, other))):
            assert_array_equal(at, x[rows, order[:, place]])
            assert_array_equal(found, value[rows, order[:, place]])
        near = value <= value.min(axis=1, keepdims=True) + 9.0
        assert_array_equal(minima, near.sum(axis=1))

    return Case(
        lambda: rank_minima_each(x, value, best_x, best, other_x, other, minima), check
    )


@case(levenberg, N_SPECTRA)
def descend_spectra(world):
    program, gather, degree = world.terms.hessian
    hessian = gather, program, degree
    starts = world.start_values, world.starts, world.neighbours, N_DESCENTS
    found = Minima.empty(N_SPECTRA, N_LABELS)

    def check(_):
        assert (found.status == levenberg.CONVERGED).all()
        world.assert_minima(found.x, found.value)
        assert (found.value <= world.start_values.min(axis=1)).all()
        assert_close(found.hessian, world.expand(found.x)[-1], 1e-8)

    return Case(
        lambda: levenberg.descend_spectra(
            world.coefficients, *starts, *hessian, *STEPS, *found.outputs()
        ),
        check,
    )


@case(stream, 1)
def normal_equations(world):
    terms = world.terms.derivatives[:3]
    x, flux, w = world.near[0], world.flux[0], world.w[0]
    work = np.empty(len(terms[0])), np.empty((N_LABELS + 2, weights.CHUNK))
    gradient, normal = np.empty(N_LABELS), np.empty((N_LABELS, N_LABELS))

    def check(value):
        chi2, _, expected, expected_normal, _ = world.expand(world.near[:1])
        assert_close(value, chi2[0], 1e-10)
        assert_close(gradient, -0.5 * expected[0], 1e-9)
        assert_close(normal, expected_normal[0], 1e-10)

    return Case(
        lambda: stream.normal_equations(
            x, flux, w, world.chunks, *terms, *work, gradient, normal
        ),
        check,
    )


@case(stream, N_STREAM)
def stream_spectra(world):
    terms = world.terms.derivatives[:3]
    found = Minima.empty(N_STREAM, N_LABELS)
    flux, w, values = (
        array[:N_STREAM] for array in (world.flux, world.w, world.start_values)
    )
    starts = values, world.starts, world.neighbours, N_DESCENTS

    def check(_):
        assert (found.status == levenberg.CONVERGED).all()
        world.assert_minima(found.x, found.value)
        assert (found.value <= values.min(axis=1)).all()
        assert_close(found.hessian, 2.0 * world.expand(found.x)[3], 1e-8)

    return Case(
        lambda: stream.stream_spectra(
            flux, w, world.chunks, *starts, *terms, *STEPS, *found.outputs()
        ),
        check,
    )


@case(finish, N_SPECTRA)
def finish_spectra(world):
    program, _, first, second = world.terms.derivatives
    chi2, y, gradient, normal, hessian = world.expand(world.near)
    x, value, decrease = world.near.copy(), chi2.copy(), np.empty(N_SPECTRA)
    covariance = np.empty(normal.shape)
    status = np.empty(N_SPECTRA, dtype=np.int64)
    outputs = x, value, decrease, covariance, status

    def check(_):
        step = -np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        assert_close(x, world.near + step, 1e-9)
        assert_close(decrease, -0.5 * (gradient * step).sum(axis=1), 1e-9)
        assert_close(value, chi2 - decrease, 1e-12)
        scales = np.outer(world.scales, world.scales)
        assert_close(covariance, np.linalg.inv(normal) * scales, 1e-9)
        assert not status.any()

    return Case(
        lambda: finish.finish_spectra(
            y, hessian, program, first, second, world.scales, *outputs
        ),
        check,
        refill((x, world.near), (value, chi2)),
    )
