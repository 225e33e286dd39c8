"""Inference kernels: descents, streaming over pixels, the last step."""

import numpy as np
import pytest
from gradients import gradient_of

from fastcannon.kernels import levenberg, reference, stream
from fastcannon.kernels import polynomial as polynomials
from fastcannon.kernels import reference_inference as twins
from fastcannon.selftest import calls
from fastcannon.selftest.examples import expand_chi2, hessians, spectra

NAMES = ("x", "value", "hessian", "other_x", "other_value", "minima", "status")


def descend_spectra(problem, n_descents=4, max_steps=100, rows=slice(None)):
    found = calls.descend_spectra(
        np.ascontiguousarray(problem.coefficients[rows]),
        np.ascontiguousarray(problem.start_values[rows]),
        *(problem.starts, problem.neighbours, n_descents),
        *(problem.pairs, max_steps, 1e-9),
    )
    return dict(zip(NAMES, found, strict=True))


def stream_spectra(problem, n_descents=2, max_steps=100, rows=slice(None)):
    found = calls.stream_spectra(
        *(problem.flux[rows], problem.w[rows], problem.theta),
        *(problem.start_values[rows], problem.starts, problem.neighbours, n_descents),
        *(problem.exponents, max_steps, 1e-9),
    )
    return dict(zip(NAMES, found, strict=True))


METHODS = pytest.mark.parametrize("method", [descend_spectra, stream_spectra])


def descend(problem, s, start, max_steps=100):
    """Descend on the polynomial of one spectrum; x, Hessian, value, status."""
    gather, program, degree = problem.hessian
    n_labels = len(start)
    n_entries = (n_labels + 1) * (n_labels + 2) // 2
    rows = np.empty((len(program), n_entries))
    polynomials.gather_hessian(problem.coefficients[s], gather, rows)
    work = np.empty(len(program) + n_entries + 4 * n_labels)
    matrices = np.empty((3, n_labels, n_labels))
    x = start.copy()
    value, status = levenberg.descend(
        rows, program, degree, max_steps, 1e-9, work, matrices, x
    )
    return x, matrices[0], value, status


def test_descents_agree_with_reference_from_every_start():
    problem = spectra()
    same = 0
    for s in range(3):
        for start in problem.starts:
            x, hessian, value, status = descend(problem, s, start)
            assert status == levenberg.CONVERGED
            gradient = gradient_of(
                lambda y, s=s: twins.evaluate(
                    y, problem.coefficients[s], problem.pairs
                )[0],
                x,
            )
            # The last Newton step squares what is left: measured 1e-9, and 1e-6 by the
            # differences themselves.
            assert abs(gradient).max() < 1e-4
            twin = twins.descend(
                problem.coefficients[s], problem.pairs, 200, 1e-9, start
            )
            assert twin[3] == levenberg.CONVERGED
            if abs(x - twin[0]).max() < 1e-3:  # not another minimum
                same += 1
                # Newton's method both times: measured 1e-16, 8e-12 and 1e-12.
                np.testing.assert_allclose(x, twin[0], rtol=0, atol=1e-9)
                np.testing.assert_allclose(hessian, twin[1], rtol=1e-7, atol=1e-6)
                np.testing.assert_allclose(value, twin[2], rtol=0, atol=1e-9)
    assert same >= 20  # of 24


def test_a_descent_reports_when_its_steps_run_out_or_nothing_curves():
    problem = spectra()
    far = np.full(3, 5.0)
    *_, value, status = descend(problem, 0, far, max_steps=2)
    assert status == levenberg.NOT_CONVERGED
    assert value < twins.evaluate(far, problem.coefficients[0], problem.pairs)[0]
    twin = twins.descend(problem.coefficients[0], problem.pairs, 2, 1e-9, far)
    assert twin[3] == levenberg.NOT_CONVERGED
    problem.coefficients[1] = 0
    x, _, value, status = descend(problem, 1, far)
    assert (x == far).all() and value == 0 and status == levenberg.NOT_CONVERGED
    twin = twins.descend(problem.coefficients[1], problem.pairs, 100, 1e-9, far)
    assert (twin[0] == far).all() and twin[3] == levenberg.NOT_CONVERGED


def test_a_descent_without_a_minimum_ends():
    # chi^2 = x^3 with its square absent: no step can descend for ever
    problem = spectra(n_labels=1)
    problem.coefficients[0] = 0
    problem.coefficients[0, 2] = -1.0
    problem.coefficients[0, 4] = -1.0
    with np.errstate(all="ignore"):
        *_, status = descend(problem, 0, np.array([0.5]))
    assert status == levenberg.NOT_CONVERGED
    # A minimum whose steps never pass: the Hessian is a lie of infinite curvature.
    problem.coefficients[0] = [np.inf, 1, 1, 1, 1]
    with np.errstate(all="ignore"):
        *_, status = descend(problem, 0, np.array([0.5]))
    assert status == levenberg.NOT_CONVERGED


def test_starts_are_one_per_basin_and_then_the_lowest():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.normal(size=12)
        neighbours = np.array([rng.permutation(12)[:3] for _ in range(12)])
        order = np.argsort(values)
        for n_chosen in (1, 4, 12):
            chosen = np.full(n_chosen, -1)
            levenberg.choose_starts(values, neighbours, order, chosen)
            expected = twins.choose_starts(values, neighbours, order, n_chosen)
            np.testing.assert_array_equal(chosen, expected)
            assert chosen[0] == np.argmin(values)
            assert len(set(chosen)) == n_chosen


def test_a_minimum_is_known_within_a_tenth_of_an_error():
    rng = np.random.default_rng(0)
    design = rng.normal(size=(9, 3))
    metric = design.T @ design
    found = rng.normal(size=(4, 3))
    x = found[2] + 1e-3
    assert levenberg.is_known(x, metric, found, 4)
    assert not levenberg.is_known(x, metric, found, 2)
    for scale in np.geomspace(0.01, 1, 21):
        x = found[1] + scale * np.array([0.1, -0.05, 0.02])
        got = levenberg.is_known(x, metric, found, 4)
        assert got == twins.is_known(x, metric, found)
    assert not got  # the last is far


@pytest.mark.parametrize("n_found", [0, 1, 2, 5])
def test_minima_are_ranked_as_the_reference_does(n_found):
    rng = np.random.default_rng(n_found)
    for _ in range(10):
        found_x, found_value = rng.normal(size=(6, 3)), rng.uniform(0, 30, 6)
        x, other_x = np.empty(3), np.empty(3)
        got = levenberg.rank_minima(found_x, found_value, n_found, x, other_x)
        expected = twins.rank_minima(found_x[:n_found], found_value[:n_found])
        np.testing.assert_array_equal(x, expected[0])
        np.testing.assert_array_equal(other_x, expected[1])
        np.testing.assert_array_equal(got, expected[2:])


@METHODS
def test_lowest_minima_agree_with_reference(method):
    problem = spectra()
    got = method(problem)
    settings = problem.starts, problem.neighbours
    if method is descend_spectra:
        expected = twins.descend_spectra(
            problem.coefficients,
            problem.start_values,
            *settings,
            4,
            problem.pairs,
            200,
            1e-9,
        )
    else:
        expected = twins.stream_spectra(
            problem.flux,
            problem.w,
            problem.theta,
            problem.start_values,
            *settings,
            2,
            problem.exponents,
            200,
            1e-9,
        )
    expected = dict(zip(NAMES, expected, strict=True))
    # Both stop where 1e-9 of chi^2 is left, 3e-5 of an error: measured 1e-15.
    np.testing.assert_allclose(got["x"], expected["x"], atol=1e-6)
    np.testing.assert_allclose(got["value"], expected["value"], atol=1e-7)
    size = abs(expected["hessian"]).max()
    np.testing.assert_allclose(got["hessian"], expected["hessian"], atol=1e-7 * size)
    assert (got["status"] == levenberg.CONVERGED).all()
    assert (got["minima"] >= 1).all()
    # The labels are those put in, within a few of their errors.
    sigma = np.sqrt(np.linalg.inv(got["hessian"] / 2)[:, range(3), range(3)])
    assert abs((got["x"] - problem.x) / sigma).max() < 5


def test_both_methods_find_the_same_minimum():
    problem = spectra()
    a, b = descend_spectra(problem), stream_spectra(problem)
    np.testing.assert_allclose(a["x"], b["x"], atol=1e-6)
    np.testing.assert_allclose(a["value"], b["value"], atol=1e-7)


@METHODS
def test_spectra_permute_and_blocks_do_not_matter(method):
    problem = spectra()
    expected = method(problem)
    order = np.array([4, 2, 0, 5, 3, 1])
    for rows in (order, slice(2, 4)):
        got = method(problem, rows=rows)
        for name in NAMES:
            np.testing.assert_array_equal(got[name], expected[name][rows], err_msg=name)


@METHODS
def test_pathological_spectra_disturb_no_neighbour(method):
    problem = spectra()
    expected = method(problem)
    for rows, size in ((1, 0.0), (2, 1e25), (4, np.nan)):
        problem.w[rows] *= size
        problem.coefficients[rows] *= size
        problem.start_values[rows] *= size
    with np.errstate(all="ignore"):  # plain Python warns where kernels do not
        got = method(problem)
    rest = [0, 3, 5]
    for name in NAMES:
        np.testing.assert_array_equal(got[name][rest], expected[name][rest])
    assert got["status"][1] == levenberg.NOT_CONVERGED  # no information
    assert got["value"][1] == 0
    assert got["status"][4] == levenberg.NOT_CONVERGED
    assert np.isnan(got["x"][4]).all() and got["minima"][4] == 0


@METHODS
def test_running_out_of_steps_is_reported(method):
    problem = spectra()
    got = method(problem, n_descents=1, max_steps=1)
    assert (got["status"] == levenberg.NOT_CONVERGED).all()
    twin = twins.stream_spectra(
        problem.flux,
        problem.w,
        problem.theta,
        problem.start_values,
        problem.starts,
        problem.neighbours,
        1,
        problem.exponents,
        1,
        1e-9,
    )
    assert (twin[-1] == levenberg.NOT_CONVERGED).all()


def two_minima():
    """Spectra of one label that say little about its sign: f = 1 + x^2 and noise."""
    problem = spectra(n_labels=1)
    problem.theta[:, 1] = np.random.default_rng(0).normal(0, 3e-3, 40)
    problem.theta[:, 2] = 1.0
    problem.s2[:] = 0
    problem.w = problem.ivar.astype(float)
    problem.x = np.array([[0.5], [-0.5], [0.6], [-0.4], [0.7], [-0.3]])
    model = reference.label_vectors(problem.x, problem.exponents) @ problem.theta.T
    problem.flux = model.astype(np.float32)
    _, problem.coefficients = expand_chi2(
        *(problem.flux, problem.ivar, problem.s2, problem.theta),
        *(problem.index, len(problem.pairs)),
    )
    problem.starts = np.array([[0.0], [0.8], [-0.8], [0.2], [-0.2]])
    problem.neighbours = np.array([[3, 4], [3, 0], [4, 0], [0, 1], [0, 2]])
    values = reference.label_vectors(problem.starts, problem.pairs)
    problem.start_values = problem.coefficients @ values.T
    return problem


@METHODS
def test_the_second_minimum_is_found_and_told(method):
    problem = two_minima()
    got = method(problem, n_descents=5)
    # float32 fluxes: measured 7e-9.
    np.testing.assert_allclose(got["x"], problem.x, atol=1e-5)
    np.testing.assert_allclose(got["other_x"], -problem.x, atol=2e-3)
    assert (got["other_value"] > got["value"]).all()
    near = got["other_value"] <= got["value"] + 9
    np.testing.assert_array_equal(got["minima"], 1 + near)
    assert 0 < near.sum() < 6
    if method is descend_spectra:
        expected = twins.descend_spectra(
            problem.coefficients,
            problem.start_values,
            problem.starts,
            problem.neighbours,
            5,
            problem.pairs,
            200,
            1e-9,
        )
        expected = dict(zip(NAMES, expected, strict=True))
        for name in ("x", "value", "other_x", "other_value", "minima"):
            np.testing.assert_allclose(got[name], expected[name], atol=1e-6)
    one = method(problem, n_descents=1)
    assert np.isnan(one["other_x"]).all() and np.isinf(one["other_value"]).all()


def test_stream_lowers_its_steps_until_they_descend():
    # From far away a Gauss-Newton step of a quadratic model overshoots.
    problem = spectra()
    problem.theta[:, 4:] *= 20
    program, where, first, _ = problem.derivatives
    problem.flux[:] = reference.label_vectors(problem.x, problem.exponents) @ (
        problem.theta.T
    )
    problem.starts = np.array([[0.01, -0.01, 0.01]])
    problem.neighbours = np.zeros((1, 0), np.int64)
    problem.start_values = np.zeros((6, 1))
    got = stream_spectra(problem, n_descents=1)
    for s in range(6):
        chi2, gradient, _ = twins.normal_equations(
            got["x"][s], problem.flux[s], problem.w[s], problem.theta, problem.exponents
        )
        np.testing.assert_allclose(got["value"][s], chi2, rtol=1e-9, atol=1e-9)
        if got["status"][s] == levenberg.CONVERGED:
            sigma = np.sqrt(np.diag(np.linalg.inv(got["hessian"][s] / 2)))
            assert abs(gradient * sigma).max() < 1e-2
    assert (got["status"] == levenberg.CONVERGED).sum() >= 4
    # A spectrum that the model cannot move has no step that descends.
    problem.theta[:, 1:] = 1e-200
    with np.errstate(all="ignore"):
        got = stream_spectra(problem, n_descents=1)
    assert (got["status"] == levenberg.NOT_CONVERGED).all()
    assert where.shape == (10,) and len(program) >= 10 and len(first)


@pytest.mark.parametrize("n_pixels", [40, 128, 300])
def test_normal_equations_agree_with_reference_and_differences(n_pixels):
    problem = spectra(n_pixels=n_pixels)
    program, where, first, _ = problem.derivatives
    x = np.array([0.3, -0.2, 0.1])
    gradient, normal = np.empty(3), np.empty((3, 3))
    chi2 = stream.normal_equations(
        x,
        problem.flux[0],
        problem.w[0],
        calls.chunk_theta(problem.theta),
        program,
        where,
        first,
        np.empty(len(program)),
        np.empty((8, stream.CHUNK)),
        gradient,
        normal,
    )
    arguments = problem.flux[0], problem.w[0], problem.theta, problem.exponents
    expected = twins.normal_equations(x, *arguments)
    # Sums over pixels in another order: measured 1e-15.
    np.testing.assert_allclose(chi2, expected[0], rtol=1e-11)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(normal, expected[2], rtol=1e-9, atol=1e-8)
    slope = gradient_of(lambda y: twins.normal_equations(y, *arguments)[0], x)
    np.testing.assert_allclose(-2 * gradient, slope, rtol=1e-6, atol=1e-3)


SCALES = np.array([500.0, 0.7, 0.2])


def finish_spectra(problem, x, hessian):
    """The last step: x, chi2, decrease, covariance, status."""
    pixels = problem.flux, problem.w, problem.theta, problem.exponents
    return calls.finish_spectra(*pixels, hessian, SCALES, x)


def test_the_last_step_agrees_with_reference_and_with_the_pixels():
    problem = spectra()
    x = descend_spectra(problem)["x"] + 1e-4  # as if from single precision
    hessian = hessians(problem, x)
    *got, status = finish_spectra(problem, x, hessian)
    arguments = problem.flux, problem.w, problem.theta, problem.exponents
    expected = twins.finish_spectra(*arguments, hessian, SCALES, x)
    for a, b in zip(got, expected, strict=True):
        # Hessian less its second derivatives is J^T W J: measured 1e-11.
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * abs(b).max())
    assert not status.any()
    assert (got[2] > 0).all()
    best = descend_spectra(problem)
    # Newton's step squares what is left of 1e-4 of a scale: measured 1e-8.
    np.testing.assert_allclose(got[0], best["x"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(got[1], best["value"], rtol=0, atol=1e-6)


def test_covariance_gives_unit_pulls():
    problem = spectra(n_spectra=60, n_pixels=60, seed=5)
    best = descend_spectra(problem)
    x, *_, covariance, _ = finish_spectra(problem, best["x"], best["hessian"])
    sigma = np.sqrt(covariance[:, range(3), range(3)]) / SCALES
    pulls = (x - problem.x) / sigma
    # 180 pulls: their variance is known to 0.11.
    assert abs(pulls.var() - 1) < 0.35 and abs(pulls.mean()) < 0.25


def test_a_singular_spectrum_has_no_covariance_and_disturbs_no_neighbour():
    problem = spectra()
    best = descend_spectra(problem)
    expected = finish_spectra(problem, best["x"], best["hessian"])
    problem.w[2] = 0
    best["hessian"][2] = 0
    got = finish_spectra(problem, best["x"], best["hessian"])
    rest = [0, 1, 3, 4, 5]
    for a, b in zip(got, expected, strict=True):
        # BLAS may sum other rows of a product in another order.
        np.testing.assert_allclose(a[rest], b[rest], rtol=1e-9, atol=1e-12)
    assert got[4].tolist() == [0, 0, 1, 0, 0, 0]
    assert np.isnan(got[3][2]).all()
    assert (got[0][2] == best["x"][2]).all() and got[1][2] == 0 and got[2][2] == 0
