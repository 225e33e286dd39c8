"""The hull of the training labels: nearest points, vertices, descents inside."""

import numpy as np
import pytest
from numba.core.config import DISABLE_JIT

from fastcannon.kernels import hull as kernels
from fastcannon.kernels import reference_inference as reference
from fastcannon.selftest.calls import nearest_in_hull
from fastcannon.selftest.examples import spectra

MARGIN = 1e-6


def cloud(n_labels, n_points=30, seed=0):
    """Points as columns."""
    points = np.random.default_rng(seed).normal(0, 0.3, (n_points, n_labels))
    return np.ascontiguousarray(points.T)


def vertices_of(points, tolerance=1e-16):
    found = np.zeros(points.shape[1], bool)
    kernels.hull_vertices(points, tolerance, found)
    return found


@pytest.mark.parametrize("n_labels", [1, 2, 3, 6])
def test_nearest_points_agree_with_reference(n_labels):
    rng = np.random.default_rng(n_labels)
    vertices = cloud(n_labels)
    outside = 0
    for _ in range(25):
        target = rng.normal(0, 0.5, n_labels)
        design = rng.normal(size=(n_labels + 2, n_labels))
        metric = design.T @ design
        x, distance = nearest_in_hull(target, metric, vertices)
        expected, expected_distance = reference.nearest_in_hull(
            target, metric, vertices
        )
        # Both are exact but for rounding: measured 4e-15.
        np.testing.assert_allclose(distance, expected_distance, rtol=1e-8, atol=1e-12)
        if expected_distance > 1e-10:
            outside += 1
            np.testing.assert_allclose(x, expected, rtol=0, atol=1e-9)
            # The law of the nearest point: every vertex is on its far side.
            slope = metric @ (x - target)
            assert (slope @ vertices - slope @ x).min() > -1e-9
        else:
            np.testing.assert_allclose(x, target, atol=1e-5)
    assert outside >= 5


def test_a_point_of_the_hull_is_its_own_nearest():
    vertices = cloud(3)
    rng = np.random.default_rng(1)
    for weights in (np.eye(30)[4], rng.dirichlet(np.ones(30)), np.full(30, 1 / 30)):
        target = vertices @ weights
        x, distance = nearest_in_hull(target, np.eye(3), vertices)
        assert distance < 1e-15
        np.testing.assert_allclose(x, target, atol=1e-7)


def test_degenerate_hulls():
    target = np.array([1.0, 2.0, 0.5])
    point = np.array([[0.1], [0.2], [0.3]])
    for vertices in (point, np.repeat(point, 4, axis=1)):  # one point, also 4 times
        x, distance = nearest_in_hull(target, np.eye(3), vertices)
        np.testing.assert_allclose(x, point[:, 0], atol=1e-12)
        np.testing.assert_allclose(distance, np.sum((target - point[:, 0]) ** 2))
    flat = cloud(3)
    flat[2] = 0.3  # a constant label
    x, distance = nearest_in_hull(target, np.eye(3), flat)
    expected, expected_distance = reference.nearest_in_hull(target, np.eye(3), flat)
    np.testing.assert_allclose(x, expected, atol=1e-7)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-9)
    line = np.linspace(0, 1, 9) * np.ones((3, 1))
    x, _ = nearest_in_hull(np.array([0.2, 0.9, 0.1]), np.eye(3), line)
    np.testing.assert_allclose(x, 0.4, atol=1e-9)


@pytest.mark.parametrize("n_labels", [1, 2, 3])
def test_vertices_agree_with_reference(n_labels):
    points = cloud(n_labels)
    found = vertices_of(points)
    np.testing.assert_array_equal(found, reference.hull_vertices(points, 1e-16))
    assert found.sum() == 2 or n_labels > 1
    # Which points they are does not depend on their order.
    order = np.random.default_rng(2).permutation(points.shape[1])
    shuffled = np.ascontiguousarray(points[:, order])
    np.testing.assert_array_equal(vertices_of(shuffled), found[order])


def test_vertices_hold_all_points_of_a_grid_with_duplicates():
    axis = np.linspace(0, 1, 3)
    grid = np.array(np.meshgrid(axis, axis, axis)).reshape(3, -1)
    points = np.ascontiguousarray(np.hstack([grid, grid]))
    found = vertices_of(points, 1e-12)
    corners = np.unique(points[:, found], axis=1)
    inside = np.empty(len(points.T), bool)
    kernels.outside_hull(
        np.ascontiguousarray(points.T),
        np.ascontiguousarray(points[:, found]),
        MARGIN,
        np.empty(points.T.shape),
        inside,
    )
    assert not inside.any()
    for corner in np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T:
        assert (abs(corners.T - corner).max(axis=1) < 1e-9).any()


def test_rounding_does_not_make_a_known_vertex_new():
    # A duplicate lies some 1e-17 outside; no tolerance forgives that.
    points = cloud(3)
    points = np.ascontiguousarray(np.hstack([points, points + 1e-17, 0.5 * points]))
    found = vertices_of(points, 0.0)
    expected = vertices_of(cloud(3))
    assert found[:30].sum() + found[30:60].sum() >= expected.sum()
    assert found.sum() < 60


@pytest.mark.skipif(not DISABLE_JIT, reason="a compiled kernel keeps its constants")
def test_a_search_cut_short_still_returns_a_point_of_the_hull(monkeypatch):
    monkeypatch.setattr(kernels, "MOST_STEPS", 1)
    vertices = cloud(3)
    x, distance = nearest_in_hull(np.array([0.5, 0.1, -0.4]), np.eye(3), vertices)
    assert reference.nearest_in_hull(x, np.eye(3), vertices)[1] < 1e-12
    assert distance > 0


def test_outside_agrees_with_reference_and_nan_disturbs_no_neighbour():
    points = cloud(3)
    vertices = np.ascontiguousarray(points[:, vertices_of(points)])
    x = np.vstack([points.T[:5], np.random.default_rng(3).normal(0, 0.5, (10, 3))])
    x[2] = np.nan
    x[7] = 100.0
    out, outside = np.empty(x.shape), np.empty(len(x), bool)
    kernels.outside_hull(x, vertices, MARGIN, out, outside)
    expected, expected_outside = reference.outside_hull(x, vertices, MARGIN)
    np.testing.assert_array_equal(outside, expected_outside)
    np.testing.assert_allclose(out, expected, atol=1e-7)
    assert not outside[:5].any() and outside[7] and 3 < outside.sum() < 11
    x[7] = 1e15  # from there the hull is a point
    again = np.empty(x.shape)
    kernels.outside_hull(x, vertices, MARGIN, again, outside)
    rest = np.delete(np.arange(15), 7)
    assert outside[7] and np.isfinite(again[7]).all()
    np.testing.assert_array_equal(again[rest], out[rest])
    alone, none = np.empty((1, 3)), np.empty(1, bool)
    kernels.outside_hull(x[9:10], vertices, MARGIN, alone, none)
    np.testing.assert_array_equal(alone[0], out[9])


def confine(problem, vertices, x, starts, rows=slice(None), max_steps=200):
    x, value = x[rows].copy(), np.empty(len(x[rows]))
    kernels.confine_spectra(
        np.ascontiguousarray(problem.coefficients[rows]),
        starts[rows],
        *problem.hessian,
        vertices,
        max_steps,
        1e-9,
        x,
        value,
    )
    return x, value


def confined_problem():
    """Spectra whose optimum is partly outside a small hull, and starts inside."""
    problem = spectra()
    points = cloud(3)
    vertices = np.ascontiguousarray(points[:, vertices_of(points)]) * 0.6
    rng = np.random.default_rng(4)
    starts = rng.dirichlet(np.ones(vertices.shape[1]), (2, 6)) @ vertices.T
    return problem, vertices, starts[0], starts[1]


def test_confined_minima_agree_with_reference():
    problem, vertices, x, starts = confined_problem()
    got, value = confine(problem, vertices, x, starts)
    expected, expected_value = reference.confine_spectra(
        problem.coefficients, starts, problem.pairs, vertices, 500, 1e-9, x
    )
    # Both stop where 1e-9 of chi^2 is left: measured 7e-13 and 7e-9.
    np.testing.assert_allclose(value, expected_value, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    bound = 0
    for s in range(6):
        here, slope, _ = reference.evaluate(
            got[s], problem.coefficients[s], problem.pairs
        )
        np.testing.assert_allclose(here, value[s], rtol=1e-9)
        _, distance = nearest_in_hull(got[s], np.eye(3), vertices)
        assert distance < 1e-10
        # Optimal: no vertex lies downhill, in units of chi^2.
        assert (slope @ vertices - slope @ got[s]).min() > -1e-2
        bound += abs(slope).max() > 1
    assert bound >= 2


def test_confined_spectra_stay_alone():
    problem, vertices, x, starts = confined_problem()
    expected, expected_value = confine(problem, vertices, x, starts)
    got, value = confine(problem, vertices, x, starts, rows=slice(3, 5))
    np.testing.assert_array_equal(got, expected[3:5])
    np.testing.assert_array_equal(value, expected_value[3:5])
    problem.coefficients[1] = 0  # no information: it stays where it was
    problem.coefficients[2] = np.nan
    with np.errstate(all="ignore"):  # plain Python warns where kernels do not
        got, value = confine(problem, vertices, x, starts)
    rest = [0, 3, 4, 5]
    np.testing.assert_array_equal(got[rest], expected[rest])
    np.testing.assert_array_equal(value[rest], expected_value[rest])
    assert (got[1] == x[1]).all() and value[1] == 0 and np.isnan(value[2])


def test_steps_that_do_not_descend_are_damped():
    # A steep model: the Hessian at the start promises what the quartic does not keep.
    problem, vertices, x, starts = confined_problem()
    quartic = problem.pairs.sum(axis=1) >= 3
    problem.coefficients[:, quartic] *= 500
    vertices = 5 * vertices
    got, value = confine(problem, vertices, 5 * x, 5 * starts)
    for s in range(6):
        first = reference.evaluate(5 * x[s], problem.coefficients[s], problem.pairs)[0]
        assert value[s] <= first
        here = reference.evaluate(got[s], problem.coefficients[s], problem.pairs)[0]
        np.testing.assert_allclose(here, value[s], rtol=1e-9)
    twin = reference.confine_spectra(
        problem.coefficients, 5 * starts, problem.pairs, vertices, 1, 1e-9, 5 * x
    )
    assert (twin[1] >= value - 1e-6 * abs(value)).all()
    short, more = confine(problem, vertices, 5 * x, 5 * starts, max_steps=1)
    assert (more >= value).all() and short.shape == got.shape
