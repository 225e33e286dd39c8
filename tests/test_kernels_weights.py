"""Weights, residuals, signal to noise and the gate for unusable pixels."""

import numpy as np
import pytest

from fastcannon.kernels import gate, reference, weights
from fastcannon.selftest.calls import median_snr, weigh_spectra
from fastcannon.selftest.examples import spectra


@pytest.mark.parametrize("dtype, precision", [(np.float64, 1e-13), (np.float32, 1e-6)])
def test_weights_agree_with_reference(dtype, precision):
    problem = spectra()
    flux, ivar, s2, theta0 = problem.flux, problem.ivar, problem.s2, problem.theta[:, 0]
    got = weigh_spectra(flux, ivar, s2, theta0, dtype)
    expected = reference.weigh_spectra(flux, ivar, s2, theta0)
    # Relative, or to the largest: measured 4e-16 and 9e-8.
    for a, b in zip(got[:3], expected[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=precision, atol=precision * abs(b).max())
    np.testing.assert_array_equal(got[3], expected[3])
    assert (got[3] == 38).all()  # two of 40 pixels know nothing
    assert (got[0][:, [3, 7]] == 0).all() and (got[1][:, [3, 7]] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spectra_without_information_and_huge_ones_disturb_no_neighbour(dtype):
    problem = spectra()
    arguments = problem.s2, problem.theta[:, 0], dtype
    before = weigh_spectra(problem.flux, problem.ivar, *arguments)
    problem.ivar[1] = 0
    problem.flux[2], problem.ivar[2] = 9e14, 9e14  # the most that passes the gate
    after = weigh_spectra(problem.flux, problem.ivar, *arguments)
    rest = [0, 3, 4, 5]
    for a, b in zip(after, before, strict=True):
        np.testing.assert_array_equal(a[rest], b[rest])
        assert np.isfinite(a).all()
        assert not a[1].any()


def residuals(problem, size=40):
    """Weighted residuals and chi^2, a piece of so many pixels at a time."""
    v = reference.label_vectors(problem.x, problem.exponents)
    chi2, pieces = np.ones(len(v)), []
    for first in range(0, problem.flux.shape[1], size):
        piece = v @ problem.theta[first : first + size].T
        weights.weigh_residuals(
            problem.flux, problem.ivar, problem.s2, first, piece, chi2
        )
        pieces.append(piece)
    return np.hstack(pieces), chi2 - 1


def test_all_scatter_infinite_means_no_weight_and_no_nan():
    problem = spectra()
    problem.s2[:] = np.inf
    found = weigh_spectra(problem.flux, problem.ivar, problem.s2, problem.theta[:, 0])
    for values in (*found, *residuals(problem)):
        assert not values.any()


@pytest.mark.parametrize("n_pixels", [1, 128, 300])
def test_chunks_agree_with_reference(n_pixels):
    theta = np.random.default_rng(0).normal(size=(n_pixels, 7))
    chunks = np.full((-(-n_pixels // weights.CHUNK), 7, weights.CHUNK), np.nan)
    weights.chunk_theta(theta, chunks)
    np.testing.assert_array_equal(chunks, reference.chunk_theta(theta, weights.CHUNK))


@pytest.mark.parametrize("size", [40, 16, 7])
def test_residuals_agree_with_reference_in_pieces_of_any_size(size):
    problem = spectra()
    model = reference.label_vectors(problem.x, problem.exponents) @ problem.theta.T
    expected = reference.weigh_residuals(
        problem.flux, problem.ivar, problem.s2, 0, model, np.zeros(6)
    )
    # The law of a piece: chi2 grows by that of its own pixels.
    _, half = reference.weigh_residuals(
        problem.flux, problem.ivar, problem.s2, 30, model[:, 30:], expected[1]
    )
    assert (half > expected[1]).all() and (half < 2 * expected[1]).all()
    for a, b in zip(residuals(problem, size), expected, strict=True):
        # Double precision, summed in another order: measured 3e-16.
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13 * abs(b).max())


def test_residuals_of_bad_spectra_disturb_no_neighbour():
    problem = spectra()
    before = residuals(problem)
    problem.ivar[1] = 0
    problem.flux[2], problem.ivar[2] = 9e14, 9e14
    after = residuals(problem)
    for a, b in zip(after, before, strict=True):
        np.testing.assert_array_equal(a[[0, 3, 4, 5]], b[[0, 3, 4, 5]])
        assert np.isfinite(a).all() and not a[1].any()


def spectra_of_kind(kind, n_pixels, rng):
    """Fluxes and weights that drive the search for the median into its corners."""
    flux = rng.normal(1, 0.1, (3, n_pixels))
    w = rng.uniform(1e3, 1e4, (3, n_pixels))
    if kind == "outlier":
        flux[:, 0], w[:, 0] = 1e6, 1e6  # mean and deviation say nothing
    elif kind == "ties":
        flux[:], w[:] = np.where(flux > 1.02, 2, 1), 1
    elif kind == "negative":
        flux -= 1
    elif kind == "two heaps":
        flux[:, ::2] += 1000
    elif kind == "masked":
        w[rng.random(w.shape) < 0.4] = 0
    elif kind == "skewed":
        flux = rng.lognormal(0, 2, flux.shape)
    return flux.astype(np.float32), w


@pytest.mark.parametrize("n_pixels", [1, 2, 3, 40, 300, 301])
@pytest.mark.parametrize(
    "kind",
    ["plain", "outlier", "ties", "negative", "two heaps", "masked", "skewed"],
)
def test_median_snr_agrees_with_numpy(kind, n_pixels):
    flux, w = spectra_of_kind(kind, n_pixels, np.random.default_rng(n_pixels))
    got, expected = median_snr(flux, w), reference.median_snr(flux, w)
    # The median is that of float32 numbers: measured 7e-8, and the mean of two that
    # nearly cancel errs by as much of their size.
    size = np.sqrt(np.median(w)) * 1e-6
    np.testing.assert_allclose(got, expected, rtol=5e-7, atol=size)


def test_median_snr_of_an_empty_spectrum_is_nan_and_of_its_neighbours_is_not():
    flux, w = spectra_of_kind("plain", 80, np.random.default_rng(0))
    before = median_snr(flux, w)
    w[1] = 0
    after = median_snr(flux, w)
    assert np.isnan(after[1])
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])


def bad_pixels():
    rng = np.random.default_rng(0)
    flux = rng.normal(1, 0.1, (3, 12)).astype(np.float32)
    ivar = rng.uniform(1, 1e4, (3, 12)).astype(np.float32)
    flux[0, :6] = np.nan, np.inf, -np.inf, 2e15, 2e10, 0.5e10
    ivar[1, :5] = np.nan, np.inf, -1, 2e15, 0
    flux[2, :3], ivar[2, :3] = (np.nan, 1e30, 1), 0
    return flux, ivar


def test_gate_counts_and_cleans_as_the_reference():
    flux, ivar = bad_pixels()
    assert gate.count_bad(flux, ivar) == reference.count_bad(flux, ivar) == (9, 2)
    expected = reference.clean_rows(flux, ivar)
    gate.clean_rows(flux, ivar)
    np.testing.assert_array_equal(flux, expected[0])
    np.testing.assert_array_equal(ivar, expected[1])
    assert gate.count_bad(flux, ivar) == (0, 0)
    assert np.count_nonzero(ivar == 0) == 5 + 5 + 3
    again = flux.copy(), ivar.copy()
    gate.clean_rows(*again)
    np.testing.assert_array_equal(again, (flux, ivar))


def test_gate_keeps_as_the_reference():
    flux, ivar = bad_pixels()
    inside = np.arange(12) != 7
    for limit in (np.float32(500), np.float32(np.inf)):
        made = np.empty_like(flux), np.empty_like(ivar)
        gate.keep_rows(flux, ivar, inside, limit, *made)
        np.testing.assert_array_equal(
            made, reference.keep_rows(flux, ivar, inside, limit)
        )
        assert (made[0][:, 7] == 1).all() and (made[1][:, 7] == 0).all()
        assert made[1].max() <= limit and np.isfinite(made).all()
