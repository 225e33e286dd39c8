"""Training kernels: moments, scatter, folds and the L1 penalty."""

import numpy as np
import pytest
from gradients import gradient_of

from fastcannon.kernels import folds, lasso, least_squares, scatter
from fastcannon.kernels import reference_training as reference
from fastcannon.selftest import calls
from fastcannon.selftest.examples import training_set

TOLERANCE = 1e-11


def weights_of(problem, s2):
    return calls.train_weights(problem.ivar, s2)


def normal_factors(problem, s2):
    """Factors and dropped terms by the kernels, normal matrices (B, T, T)."""
    moments = weights_of(problem, s2) @ problem.moments
    lower, dropped = calls.factor_normal(moments, problem.index, TOLERANCE)
    return lower, dropped, moments[:, problem.index]


def right_side(problem, s2):
    return (weights_of(problem, s2) * problem.flux) @ problem.v


def gradients(problem, theta, s2):
    """Sums of `scatter_sums` and its products with the label vectors."""
    model = theta @ problem.v.T
    wr, w2r, sums = calls.scatter_sums(problem.flux, problem.ivar, s2, model)
    return sums, wr @ problem.v, w2r @ problem.v


def step(problem, theta, s2, tolerance=1e-7):
    """One joint step with a fresh normal matrix; changes theta and s2."""
    lower, _, _ = normal_factors(problem, s2)
    sums, gradient, cross = gradients(problem, theta, s2)
    status = np.zeros(len(s2), np.int64)
    scale = np.full(len(s2), 1e-4)
    scatter.joint_step(
        sums, gradient, cross, lower, scale, tolerance, theta, s2, status
    )
    return status


def fit(problem, steps=30):
    s2 = np.full(len(problem.flux), 1e-4)
    lower, _, _ = normal_factors(problem, s2)
    theta = right_side(problem, s2)
    least_squares.solve_rows(lower, theta)
    for _ in range(steps):
        status = step(problem, theta, s2)
    return theta, s2, status


def test_gather_pixels_takes_what_indexing_takes():
    rng = np.random.default_rng(0)
    spectra = rng.normal(size=(37, 11)).astype(np.float32)
    stars, pixels = rng.permutation(37)[:33], np.array([4, 0, 9])
    block = np.empty((3, 33), np.float32)
    least_squares.gather_pixels(spectra, stars, pixels, block)
    expected = reference.gather_pixels(spectra, stars, pixels)
    np.testing.assert_array_equal(block, expected)


def test_train_weights_agree_with_reference():
    problem = training_set()
    w = weights_of(problem, problem.s2)
    expected = reference.train_weights(problem.ivar.astype(float), problem.s2)
    # One division: measured 3e-16.
    np.testing.assert_allclose(w, expected, rtol=1e-14)
    assert (w[problem.ivar == 0] == 0).all()


def test_least_squares_agree_with_reference_and_lstsq():
    problem = training_set()
    lower, dropped, normal = normal_factors(problem, problem.s2)
    moments = weights_of(problem, problem.s2) @ problem.moments
    expected, none = reference.factor_normal(moments, problem.index, TOLERANCE)
    # Condition numbers near 1e3: measured 1e-16 of the largest element.
    atol = 1e-13 * abs(expected).max()
    np.testing.assert_allclose(lower, expected, rtol=0, atol=atol)
    assert not dropped.any() and not none.any()
    rows = right_side(problem, problem.s2)
    solved = rows.copy()
    least_squares.solve_rows(lower, solved)
    np.testing.assert_allclose(
        solved, reference.solve_rows(normal, rows), rtol=0, atol=1e-12
    )
    for b, w in enumerate(weights_of(problem, problem.s2)):
        design = problem.v * np.sqrt(w)[:, None]
        theta = np.linalg.lstsq(design, problem.flux[b] * np.sqrt(w))[0]
        np.testing.assert_allclose(solved[b], theta, rtol=0, atol=1e-12)  # 8e-15


def test_a_pixel_with_a_dropped_term_disturbs_no_neighbour():
    problem = training_set()
    lower, _, _ = normal_factors(problem, problem.s2)
    problem.ivar[2, problem.x[:, 0] > -0.7] = 0  # a few stars are left
    problem.ivar[5] = 0
    again, dropped, _ = normal_factors(problem, problem.s2)
    rest = [0, 1, 3, 4, 6, 7]
    # The matrix product sums in the same order for every row.
    np.testing.assert_allclose(again[rest], lower[rest], rtol=1e-12, atol=1e-12)
    assert dropped[5] == 10 and 0 < dropped[2] < 10 and not dropped[rest].any()
    rows = right_side(problem, problem.s2)
    least_squares.solve_rows(again, rows)
    assert np.isfinite(rows).all() and not rows[5].any()


def test_scatter_sums_agree_with_reference():
    problem = training_set()
    given = problem.flux, problem.ivar, problem.s2, problem.theta @ problem.v.T
    found, expected = calls.scatter_sums(*given), reference.scatter_sums(*given)
    for got, want in zip(found, expected, strict=True):
        # Sums in another order: measured 1e-15.
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12 * abs(want).max())


def test_gradients_are_those_of_the_likelihood():
    problem = training_set()
    s2 = problem.s2.copy()
    sums, gradient, _ = gradients(problem, problem.theta, s2)
    for b in range(3):
        data = problem.flux[b].astype(float), problem.ivar[b].astype(float)

        def q(theta, s, data=data):
            return reference.likelihood(*data, problem.v @ theta, s)[0]

        slope = gradient_of(lambda t, b=b, q=q: q(t, s2[b]), problem.theta[b], 1e-6)
        # Differences of Q, near 1e3: measured 1e-7, and 3e-6 of the slope in s2.
        np.testing.assert_allclose(-2 * gradient[b], slope, rtol=1e-5, atol=1e-4)
        h = 1e-3 * s2[b]
        slope = (q(problem.theta[b], s2[b] + h) - q(problem.theta[b], s2[b] - h)) / 2
        np.testing.assert_allclose(sums[b, 0] - sums[b, 3], slope / h, rtol=1e-4)


def test_start_scatter_agrees_with_the_deepest_minimum():
    problem = training_set(n_pixels=20)
    problem.flux[3] = (problem.theta[3] @ problem.v.T).astype(np.float32)  # no noise
    model = problem.theta @ problem.v.T
    model[4] += 0.3
    s2 = calls.start_scatter(problem.flux, problem.ivar, model)
    expected = reference.start_scatter(problem.flux, problem.ivar, model)
    # Single precision after three Newton steps: measured 2e-6.
    np.testing.assert_allclose(s2, expected, rtol=1e-4, atol=1e-9)
    assert s2[3] < 1e-9  # the boundary


def test_start_scatter_finds_its_way_in_pixels_far_from_the_model():
    # ivar over seven decades and residuals with heavy tails: phi is far from linear
    rng = np.random.default_rng(0)
    ivar = 10 ** rng.uniform(0, 7, (30, 60)).astype(np.float32)
    flux = 0.01 * rng.standard_t(1, (30, 60)).astype(np.float32)
    flux[4], ivar[4] = 0, 1e4  # no residual at all, one star much better
    ivar[4, 0] = 1.5e5
    model = np.zeros(flux.shape)
    s2 = calls.start_scatter(flux, ivar, model)
    expected = reference.start_scatter(flux.astype(float), ivar.astype(float), model)
    # Three Newton steps: measured 5e-8 in all pixels but one, which is at 1e-3.
    away = np.sort(abs(s2 - expected) / np.maximum(expected, 1e-30))
    assert away[-3] < 1e-6 and away[-1] < 1e-2


@pytest.mark.parametrize(
    "weight, tolerance",
    # With the last the grid is too coarse for more than a start.
    [(1e-20, 1e-4), (1e-12, 1e-4), (1e8, 1e-4), (1e30, np.inf)],
)
def test_start_scatter_stands_absurd_weights(weight, tolerance):
    # Their powers underflow or overflow in single precision.
    rng = np.random.default_rng(0)
    flux = rng.standard_normal((2, 60)).astype(np.float32)
    ivar = np.full((2, 60), weight, dtype=np.float32)
    ivar[1, ::2] *= 1e-8
    model = np.zeros(flux.shape)
    with np.errstate(over="ignore"):  # that of NumPy, where kernels are not compiled
        s2 = calls.start_scatter(flux, ivar, model)
    expected = reference.start_scatter(flux.astype(float), ivar.astype(float), model)
    assert (abs(s2 - expected) <= tolerance * expected).all()
    assert ((s2 >= 0) & (s2 < 2)).all()


def test_start_scatter_keeps_the_deepest_of_two_minima():
    # Precise stars of little scatter against many imprecise ones that want a lot.
    rng = np.random.default_rng(4)
    ivar = np.where(np.arange(60) < 20, 1e6, 4.0)[None].astype(np.float32)
    flux = rng.normal(0, np.where(np.arange(60) < 20, 1e-3, 3.0))[None]
    flux = flux.astype(np.float32)
    model = np.zeros(flux.shape)
    s2 = calls.start_scatter(flux, ivar, model)

    def q(s):
        return reference.likelihood(flux[0], ivar[0], model[0], s)[0]

    scan = np.append(0, np.geomspace(1e-8, 30, 400))
    lowest = min(q(s) for s in scan)
    others = q(10.0)
    assert q(s2[0]) - lowest < 0.1 * (others - lowest)


def test_joint_step_agrees_with_reference():
    problem = training_set()
    # far below, near and far above the optimum; the last are bounded by s2 >= 0
    s2 = problem.s2 * np.array([0.01, 0.5, 1, 1.5, 3, 30, 300, 1])
    problem.flux[7] = (problem.theta[7] @ problem.v.T).astype(np.float32)
    problem.s2[7] = 1e-9
    s2[7] = 1e-9
    theta = problem.theta.copy()
    _, _, normal = normal_factors(problem, s2)
    arguments = gradients(problem, theta, s2)
    scale = np.full(8, 1e-4)
    expected = reference.joint_step(*arguments, normal, scale, 1e-7, theta, s2)
    status = step(problem, theta, s2)
    # Sums of 60 stars, condition numbers near 1e3: measured 1e-15.
    np.testing.assert_allclose(theta, expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(s2, expected[1], rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(status, expected[2])
    assert (s2 >= 0).all() and s2[7] == 0


# Slope of phi with s2, and what it is held at.
SLOPES = [(0.2, -0.2), (-0.1, -0.2), (-1.0, -1.0), (-7.0, -5.0)]


def test_steps_neither_run_away_nor_creep():
    """Sums that give phi = 0.01 and any slope; theta stays."""
    for slope, held in SLOPES:
        sums = np.array([[1.0, 1.0, 0.0, 1.01, 0.5 - 0.5 * slope]])
        nothing, s2, theta = np.zeros((1, 1)), np.ones(1), np.full((1, 1), 0.5)
        status = np.zeros(1, np.int64)
        scatter.joint_step(
            sums,
            nothing,
            nothing.copy(),
            np.ones((1, 1, 1)),
            s2,
            1e-7,
            theta,
            s2,
            status,
        )
        np.testing.assert_allclose(s2, 1.0 - 0.01 / held, rtol=1e-14)
        assert theta == 0.5


def test_steps_without_a_fold_are_held_alike():
    """The same with phi = 0.01 + slope d, for one of two folds."""
    for slope, held in SLOPES:
        sums = np.zeros((1, 2, 6))
        sums[0, 1, :5] = 1.0, 1.0, 0.0, 1.01, 0.5 - 0.5 * slope
        sums[0, 0, :4] = 1.0, 1.0, 0.0, 1.0
        moments = np.zeros((3, 2, 1, 1))
        moments[0] = 1.0
        theta, s2, shift = np.zeros((2, 1, 1)), np.zeros((2, 1)), np.zeros((2, 1))
        folds.leave_folds_out(
            *(moments, np.zeros((3, 2, 1, 1)), sums, np.zeros((1, 1), np.int64)),
            *(TOLERANCE, np.full((1, 1), 0.5), np.ones(1), theta, s2, shift),
        )
        d = 0.0
        for _ in range(folds.STEPS):
            d -= (0.01 + slope * d) / held
        np.testing.assert_allclose(s2[0], 1.0 + d, rtol=1e-14)
        np.testing.assert_allclose(theta, 0.5)


def test_joint_steps_end_at_the_optimum_of_the_likelihood():
    problem = training_set()
    problem.flux[5] = (problem.theta[5] @ problem.v.T).astype(np.float32)
    theta, s2, status = fit(problem)
    assert (status == scatter.CONVERGED).all() and s2[5] == 0
    for b in range(8):
        flux, ivar = problem.flux[b].astype(float), problem.ivar[b].astype(float)
        expected_theta, expected_s2 = reference.fit_pixel(flux, ivar, problem.v)
        # Bisection to the last digits of psi: measured 3e-15 and 9e-14.
        np.testing.assert_allclose(theta[b], expected_theta, rtol=0, atol=1e-11)
        np.testing.assert_allclose(s2[b], expected_s2, rtol=1e-9, atol=1e-12)


def test_fits_have_unit_pulls_and_the_scatter_that_was_put_in():
    problem = training_set(n_labels=2, n_stars=300, n_pixels=60, seed=3)
    theta, s2, _ = fit(problem)
    _, _, normal = normal_factors(problem, s2)
    sigma = np.sqrt(np.linalg.inv(normal)[:, range(6), range(6)])
    pulls = (theta - problem.theta) / sigma
    # 360 pulls: their variance is known to 0.075.
    assert abs(pulls.var() - 1) < 0.25 and abs(pulls.mean()) < 0.2
    # The maximum likelihood loses T of N stars, 2 %; 60 pixels at 8 % each.
    assert abs(np.median(s2 / problem.s2) - 1) < 0.06


def test_permuting_stars_and_blocks_do_not_change_a_fit():
    problem = training_set()
    theta, s2, _ = fit(problem)
    order = np.random.default_rng(5).permutation(len(problem.x))
    for name in ("x", "v", "moments"):
        setattr(problem, name, getattr(problem, name)[order])
    problem.flux, problem.ivar = problem.flux[:, order], problem.ivar[:, order]
    again, s2_again, _ = fit(problem)
    # Rounding alone: measured 2e-16 and 1e-14.
    np.testing.assert_allclose(again, theta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(s2_again, s2, rtol=1e-10)
    problem.flux, problem.ivar = problem.flux[3:4], problem.ivar[3:4]
    alone, s2_alone, _ = fit(problem)
    np.testing.assert_allclose(alone[0], theta[3], rtol=0, atol=1e-12)
    np.testing.assert_allclose(s2_alone[0], s2[3], rtol=1e-10)


def test_masked_stars_are_stars_left_out():
    problem = training_set()
    problem.ivar[:, 10:15] = 0
    problem.flux[:, 10:15] = 1
    theta, s2, _ = fit(problem)
    left = np.r_[0:10, 15:60]
    for name in ("x", "v", "moments"):
        setattr(problem, name, getattr(problem, name)[left])
    problem.flux, problem.ivar = problem.flux[:, left], problem.ivar[:, left]
    again, s2_again, _ = fit(problem)
    np.testing.assert_allclose(again, theta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(s2_again, s2, rtol=1e-10)


def test_a_pixel_without_information_stays_alone():
    problem = training_set()
    theta, s2, _ = fit(problem, steps=3)
    problem.ivar[2] = 0
    problem.flux[4], problem.ivar[4] = 9e14, 9e14
    with np.errstate(all="ignore"):  # plain Python warns where kernels do not
        again, s2_again, _ = fit(problem, steps=3)
    rest = [0, 1, 3, 5, 6, 7]
    np.testing.assert_allclose(again[rest], theta[rest], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(s2_again[rest], s2[rest], rtol=1e-12)


def test_median_scatter_agrees_with_reference_and_its_definition():
    problem = training_set()
    problem.ivar[2] = 0
    problem.ivar[3] *= 1e-6  # all scatter is noise
    model = problem.theta @ problem.v.T
    s2 = np.empty(8)
    scatter.median_scatter(problem.flux, problem.ivar, model, np.empty(60), s2)
    expected = reference.median_scatter(problem.flux, problem.ivar, model)
    # 1 / ivar is rounded in single precision: measured 3e-8.
    np.testing.assert_allclose(s2, expected, rtol=1e-6, atol=1e-10)
    assert s2[2] == 0 and s2[3] == 0
    known = problem.ivar[0] > 0
    w = problem.ivar[0, known] / (1 + problem.ivar[0, known] * s2[0])
    chi2 = w * (problem.flux[0, known] - model[0, known]) ** 2
    # Half of an even number of stars lie on either side.
    assert abs(np.mean(chi2 < 1) - 0.5) <= 1 / known.sum()


EDGES = np.array([0, 12, 24, 36, 48, 60])


def weight_powers(problem, theta, s2, edges):
    """Powers of the weights (B, N), and their sums, by the kernel."""
    wr = theta @ problem.v.T
    rest = tuple(np.empty((5, *wr.shape)))
    sums = np.empty((len(s2), len(edges) - 1, 6))
    folds.weight_powers(problem.flux, problem.ivar, s2, edges, wr, *rest, sums)
    return wr, *rest, sums


def leave_out(problem, theta, s2, edges=EDGES):
    powers = weight_powers(problem, theta, s2, edges)
    products = calls.fold_products(problem, powers, edges)
    return calls.leave_folds_out(
        *products, powers[-1], problem.index, TOLERANCE, theta, s2
    )


def test_weight_powers_agree_with_reference():
    problem = training_set()
    model = problem.theta @ problem.v.T
    got = weight_powers(problem, problem.theta, problem.s2, EDGES)
    expected = reference.weight_powers(
        problem.flux, problem.ivar, problem.s2, EDGES, model
    )
    for a, b in zip(got, expected, strict=True):
        # Products of three factors: measured 5e-16.
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * abs(b).max())


def test_leaving_folds_out_agrees_with_fits_from_scratch():
    problem = training_set(n_stars=240, n_pixels=5)
    edges = np.linspace(0, 240, 13).astype(np.int64)
    problem.flux[3] = (problem.theta[3] @ problem.v.T).astype(np.float32)  # s2 = 0
    theta, s2, _ = fit(problem)
    theta_out, s2_out, shift = leave_out(problem, theta, s2, edges)
    expected, expected_s2 = reference.leave_folds_out(
        problem.flux.astype(float), problem.ivar.astype(float), edges, problem.v
    )
    _, _, normal = normal_factors(problem, s2)
    sigma = np.sqrt(np.linalg.inv(normal)[:, range(10), range(10)])
    assert (shift < 0.1).mean() > 0.8  # the driver fits the others again
    small = shift < 0.1
    # The expansion errs by the cube of the shift: measured 3e-4 formal errors,
    # and 9e-4 of s2.
    away = abs(theta_out - expected) / sigma
    assert away[small].max() < 2e-3
    np.testing.assert_allclose(s2_out[small], expected_s2[small], rtol=5e-3, atol=1e-9)
    # It is not the full fit that agrees: the folds move theta by much more.
    assert (abs(expected - theta) / sigma)[small].max() > 0.3
    assert (s2_out >= 0).all() and (s2_out[:, 3] == 0).all()


def test_a_fold_that_holds_every_star_of_a_pixel_disturbs_no_neighbour():
    problem = training_set()
    theta, s2, _ = fit(problem)
    before = leave_out(problem, theta, s2)
    problem.ivar[2, 12:] = 0
    problem.ivar[5] = 0
    with np.errstate(all="ignore"):  # plain Python warns where kernels do not
        after = leave_out(problem, theta, s2)
    rest = [0, 1, 3, 4, 6, 7]
    for a, b in zip(after, before, strict=True):
        np.testing.assert_allclose(a[:, rest], b[:, rest], rtol=1e-9, atol=1e-12)
    assert not (after[2][0, 2] < 0.1)  # NaN or large: to be fitted again


STRENGTHS = np.array([1e5, 3e3, 300.0, 10.0, 0.0])


def path_of(problem, s2, strengths=STRENGTHS, rounds=1000):
    moments = weights_of(problem, s2) @ problem.moments
    given = moments, problem.index, right_side(problem, s2), strengths, 1e-11
    return moments, given[2], *calls.lasso_path(*given, rounds)


def test_lasso_path_agrees_with_plain_coordinate_descent():
    problem = training_set(n_pixels=3)
    moments, right, theta, worst, status = path_of(problem, problem.s2)
    expected, _, converged = reference.lasso_path(
        moments, problem.index, right, STRENGTHS, 1e-11, 20000
    )
    assert (status == lasso.CONVERGED).all() and (converged == lasso.CONVERGED).all()
    assert worst.max() <= 1e-11
    # Both certificates 1e-11, condition numbers near 1e3: measured 2e-10.
    np.testing.assert_allclose(theta, expected, atol=1e-8)
    np.testing.assert_array_equal(theta == 0, expected == 0)
    n_zero = (theta == 0).sum(axis=(1, 2))
    assert n_zero[0] == 27 and n_zero[-1] == 0 and (np.diff(n_zero) <= 0).all()
    assert (theta[:, :, 0] != 0).all()  # the constant term is free


def test_lasso_without_penalty_is_least_squares():
    problem = training_set(n_pixels=3)
    *_, theta, _, _ = path_of(problem, problem.s2, np.zeros(1))
    lower, _, _ = normal_factors(problem, problem.s2)
    expected = right_side(problem, problem.s2)
    least_squares.solve_rows(lower, expected)
    np.testing.assert_allclose(theta[0], expected, atol=1e-9)


def test_violation_agrees_with_reference_and_is_the_slope_of_the_objective():
    rng = np.random.default_rng(0)
    problem = training_set(n_pixels=1)
    moments, right, theta, _, _ = path_of(problem, problem.s2, np.array([300.0]))
    normal, b, best = moments[0][problem.index], right[0], theta[0, 0]

    def objective(t):
        return t @ normal @ t - 2 * b @ t + 300 * abs(t[1:]).sum()

    for _ in range(20):
        other = best + rng.normal(0, 0.01, 10) * (rng.random(10) < 0.5)
        got = lasso.violation(normal, b, 300.0, other)
        expected = reference.violation(normal, b, 300.0, other)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-13)
        assert objective(other) >= objective(best)
    away = best + 0.01
    slope = gradient_of(objective, away, 1e-6)
    np.testing.assert_allclose(
        lasso.violation(normal, b, 300.0, away),
        abs(slope).max() / abs(2 * b).max(),
        rtol=1e-6,
    )
    nothing = np.zeros(10)
    assert lasso.violation(np.zeros((10, 10)), nothing, 1.0, nothing) == 0


def test_coordinate_descent_reports_what_it_could_not_finish():
    problem = training_set(n_pixels=2)
    *_, status = path_of(problem, problem.s2, np.array([30.0]), rounds=0)
    assert (status == lasso.NOT_CONVERGED).all()
    normal = (weights_of(problem, problem.s2) @ problem.moments)[0][problem.index]
    right = right_side(problem, problem.s2)[0]
    scratch = np.zeros((10, 10)), np.zeros(10), np.zeros(10, np.int64)
    theta = np.zeros(10)
    code = lasso.coordinate_descent(normal, right, 30.0, 1e-11, 1000, *scratch, theta)
    expected, expected_code = reference.coordinate_descent(
        normal, right, 30.0, 1e-11, 20000, np.zeros(10)
    )
    assert code == expected_code == lasso.CONVERGED
    _, unfinished = reference.coordinate_descent(
        normal, right, 30.0, 1e-11, 1, np.zeros(10)
    )
    assert unfinished == lasso.NOT_CONVERGED
    np.testing.assert_allclose(theta, expected, atol=1e-8)


def test_exact_solution_drops_coefficients_that_change_sign():
    # From a start of the wrong sign everywhere the way to the minimum crosses zero.
    rng = np.random.default_rng(7)
    for _ in range(30):
        design = rng.normal(size=(20, 6)) + 2 * rng.normal(size=(20, 1))
        normal, right = design.T @ design, design.T @ rng.normal(size=20)
        theta = -np.linalg.solve(normal, right) * rng.uniform(0, 5, 6)
        scratch = np.zeros((6, 6)), np.zeros(6), np.zeros(6, np.int64)
        strength = 0.3 * abs(right).max()
        lasso.coordinate_descent(normal, right, strength, 1e-12, 100, *scratch, theta)
        expected, _ = reference.coordinate_descent(
            normal, right, strength, 1e-12, 20000, np.zeros(6)
        )
        np.testing.assert_allclose(theta, expected, atol=1e-8)


def test_lasso_pixels_of_nothing_disturb_no_neighbour():
    problem = training_set(n_pixels=3)
    *_, before, _, _ = path_of(problem, problem.s2)
    problem.ivar[1] = 0
    *_, after, worst, status = path_of(problem, problem.s2)
    np.testing.assert_allclose(after[:, [0, 2]], before[:, [0, 2]], atol=1e-12)
    assert not after[:, 1].any() and not worst[:, 1].any() and not status.any()
