"""Resampling to a common grid: accuracy, noise, bad pixels and ends."""

import numpy as np
import pytest

from fastcannon.kernels import reference_resample as reference
from fastcannon.kernels import resample

GRIDS = pytest.mark.parametrize(
    "grid",
    [
        (0.0, 1.0, 400),
        (7.3, 1.0, 380),
        (-9.0, 0.9991, 420),
        (20.0, 1.003, 350),
        (-3.2, 0.31, 1300),
        (2.0, 2.7, 160),
    ],
    ids=["equal", "shifted", "finer", "coarser", "third", "triple"],
)


def resampled(flux, ivar, first, step, grid):
    """Resample with a grid (first, step, pixels)."""
    flux_out, ivar_out = np.full((2, grid[2]), np.nan, np.float32)
    work = np.full((2, len(flux)), np.nan, np.float32)
    # without the compiler, NumPy warns of 1 / 0 and numbers beyond float32
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        resample.resample_row(
            flux, ivar, first, step, grid[0], grid[1], work, flux_out, ivar_out
        )
    return flux_out, ivar_out


def places(grid):
    return grid[0] + grid[1] * np.arange(grid[2])


def spectrum(n=400, seed=0):
    """Noise with a twentieth of the pixels bad."""
    rng = np.random.default_rng(seed)
    flux, ivar = rng.normal(1, 0.3, n), rng.gamma(4.0, 100.0, n)
    ivar[rng.random(n) < 0.05] = 0
    return flux.astype(np.float32), ivar.astype(np.float32)


@GRIDS
def test_resampled_row_agrees_with_reference(grid):
    flux, ivar = spectrum()
    found = resampled(flux, ivar, 0.0, 1.0, grid)
    expected = reference.resample_row(flux, ivar, 0.0, 1.0, places(grid))
    np.testing.assert_array_equal(found[1] > 0, expected[1] > 0)
    assert 0.5 < np.mean(found[1] > 0) < 1
    # single precision: measured 3e-7 and 4e-7
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=2e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=3e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_real_units_and_types(dtype, scale):
    flux, ivar = spectrum()
    flux, ivar = flux.astype(dtype) * dtype(scale), ivar.astype(dtype) / dtype(scale**2)
    grid = (4716.7, 0.046, 300)
    found = resampled(flux, ivar, 4713.5, 0.04601, grid)
    expected = reference.resample_row(flux, ivar, 4713.5, 0.04601, places(grid))
    good = expected[1] > 0
    np.testing.assert_array_equal(found[1] > 0, good)
    error = abs(found[0] - expected[0])[good].max()
    assert error < 2e-6 * scale  # measured: 3e-7


def test_order_of_accuracy_is_four():
    errors = []
    for step in (0.4, 0.2, 0.1):
        flux = np.sin(step * np.arange(-5, 200)).astype(np.float32)
        grid = (1.0, 0.00937, 600)
        found, ivar = resampled(flux, np.ones_like(flux), -5 * step, step, grid)
        assert ivar.all()
        errors.append(abs(found - np.sin(places(grid))).max())
    ratios = np.divide(errors[:-1], errors[1:])
    assert errors[0] < 0.0235 * 0.4**4  # kernels/README.md: 0.0234 h^4 |f''''|
    assert ((ratios > 14) & (ratios < 18)).all(), ratios  # measured: 15.5, 15.5


def test_line_of_hermes_keeps_its_shape():
    # kernels/README.md: 0.34 % of the depth for a full width of 4.7 pixels
    x = np.arange(-40.0, 41.0)
    sigma = 4.7 / np.sqrt(8 * np.log(2))
    grid = (-30.0, 0.01, 6000)
    found, _ = resampled(np.exp(-0.5 * (x / sigma) ** 2), x**0, -40.0, 1.0, grid)
    error = abs(found - np.exp(-0.5 * (places(grid) / sigma) ** 2)).max()
    assert 0.0033 < error < 0.0035


@GRIDS
def test_cubics_are_exact_and_constants_kept(grid):
    x = np.arange(400.0)
    ones = np.ones(400)
    for coefficients in ([3.0], [1.0, -2.0], [2.0, -1.0, 0.5], [0.3, 1.0, -1.0, 0.7]):
        cubic = np.polynomial.Polynomial(coefficients, domain=[0, 400])
        found, ivar = resampled(cubic(x), ones, 0.0, 1.0, grid)
        good = ivar > 0
        assert good.sum() > 140
        # measured: 7e-7 of numbers up to 5
        np.testing.assert_allclose(
            found[good], cubic(places(grid))[good], rtol=0, atol=4e-6
        )


def test_equal_grids_give_the_same_bytes():
    flux, ivar = spectrum()
    found, weight = resampled(flux, ivar, 4713.5, 0.046, (4713.5, 0.046, 400))
    inner = slice(1, -2)  # where all four pixels exist
    good = ivar[inner] > 0
    np.testing.assert_array_equal(found[inner][good], flux[inner][good])
    np.testing.assert_allclose(weight[inner], ivar[inner], rtol=2e-7)
    assert not weight[[0, -2, -1]].any()


def test_whole_grid_may_lie_elsewhere():
    flux, ivar = spectrum()
    for first in (-1000.0, 1000.0, -99.5):
        found, weight = resampled(flux, ivar, 0.0, 1.0, (first, 1.0, 100))
        assert not weight.any() and (found == 1).all()
    for first, step in ((np.nan, 1.0), (0.0, 1e-300), (1e300, 1.0), (0.0, np.inf)):
        found, weight = resampled(flux, ivar, first, step, (5.0, 1.0, 100))
        assert not weight.any() and (found == 1).all()
    short = resampled(flux[:3], ivar[:3], 0.0, 1.0, (-5.0, 0.5, 30))
    assert not short[1].any()


@pytest.mark.parametrize("step", [1.0, 0.98, 0.5, 2.0])
def test_ends_have_no_information_and_nothing_else_lacks_it(step):
    ones = np.ones(100, np.float32)
    grid = (-7.21, step, int(115 / step))
    _, weight = resampled(ones, ones, 0.0, 1.0, grid)
    x = places(grid)
    np.testing.assert_array_equal(weight > 0, (x >= 1) & (x < 98))


def test_bad_pixel_spoils_the_stencils_it_is_in_and_no_other():
    clean = np.sin(0.1 * np.arange(60)).astype(np.float32)
    ivar = np.full(60, 100.0, np.float32)
    grid = (5.0, 0.25, 200)
    x = places(grid)
    expected = resampled(clean, ivar, 0.0, 1.0, grid)
    inside = (x > 28) & (x < 32) & (x != 29) & (x != 31)
    bad_values = (0, np.nan, -1, np.inf, -np.inf)
    for value, weight in [*((7.0, bad) for bad in bad_values), (np.nan, 100.0)]:
        flux, bad = clean.copy(), ivar.copy()
        flux[30], bad[30] = value, weight
        found = resampled(flux, bad, 0.0, 1.0, grid)
        np.testing.assert_array_equal(found[1] == 0, inside)
        assert (found[0][inside] == 1).all()
        for now, before in zip(found, expected, strict=True):
            np.testing.assert_array_equal(now[~inside], before[~inside])


def test_huge_and_tiny_numbers_become_no_information():
    flux, ivar = np.ones(40), np.ones(40)
    flux[10], flux[20], ivar[30] = 1e300, -1e39, 1e-300
    found, weight = resampled(flux, ivar, 0.0, 1.0, (1.5, 1.0, 36))
    assert np.isfinite(found).all() and np.isfinite(weight).all()
    lost = np.flatnonzero(weight == 0)
    stencils = [8, 9, 10, 11, 18, 19, 20, 21, 28, 29, 30, 31]
    np.testing.assert_array_equal(lost + 1, stencils)


def test_noise_has_the_errors_it_claims_and_the_known_correlations():
    rng = np.random.default_rng(3)
    n = 4096
    sigma = rng.uniform(0.5, 2.0, n)
    clean = np.sin(0.05 * np.arange(n))
    grid = (2.5, 1.0, n - 6)  # t = 1/2, the strongest correlations
    noise = np.empty((20, grid[2]))
    for row in noise:
        noisy = resampled(clean + rng.normal(0, sigma), sigma**-2, 0.0, 1.0, grid)
        quiet = resampled(clean, sigma**-2, 0.0, 1.0, grid)
        row[:] = (noisy[0] - quiet[0]) * np.sqrt(noisy[1])
    # of 82,000 correlated numbers: statistical error 0.3 %
    assert abs(noise.std() - 1) < 0.012
    even = resampled(np.ones(n), np.ones(n), 0.0, 1.0, grid)[1]
    np.testing.assert_allclose(1 / even, 0.640625, rtol=1e-6)
    sigma[:] = 1
    noise = [
        resampled(rng.normal(size=n), sigma, 0.0, 1.0, grid)[0] / 0.640625**0.5
        for _ in range(20)
    ]
    for lag, expected in ((1, 0.384), (2, -0.110), (3, 0.006), (4, 0.0)):
        found = np.mean([np.mean(row[lag:] * row[:-lag]) for row in noise])
        assert abs(found - expected) < 0.015, lag  # statistical error 0.004


@pytest.mark.parametrize("drift", [0.0, 1e-4, -1e-4, 0.013])
def test_pulls_at_all_phases(drift):
    rng = np.random.default_rng(4)
    pulls = []
    for _ in range(30):
        ivar = rng.uniform(10, 1000, 2000)
        grid = (rng.uniform(2, 3), 1 + drift, 1900)
        noise = rng.normal(0, ivar**-0.5)
        found, weight = resampled(noise, ivar, 0.0, 1.0, grid)
        pulls.append(found[weight > 0] * np.sqrt(weight[weight > 0]))
    pulls = np.concatenate(pulls)
    assert abs(pulls.std() - 1) < 0.015  # 57,000 correlated numbers: 0.4 %
    assert abs(pulls.mean()) < 0.02


def test_inputs_stay_as_they_are():
    flux, ivar = spectrum()
    flux[5] = np.nan
    before = flux.copy(), ivar.copy()
    flux.flags.writeable = ivar.flags.writeable = False
    resampled(flux, ivar, 0.0, 1.0, (0.5, 1.0, 300))
    np.testing.assert_array_equal(flux, before[0])
    np.testing.assert_array_equal(ivar, before[1])
