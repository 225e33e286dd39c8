"""Simulated spectra: the physics points the right way and the noise is as told."""

import numpy as np
import pytest
from scipy.special import voigt_profile

from fastcannon.errors import InputError
from fastcannon.simulate import (
    LINE_DTYPE,
    SUN,
    add_noise,
    central_depth,
    damping_parameter,
    draw_lines,
    draw_stars,
    equivalent_width,
    model_flux,
    pseudo_voigt,
    simulate_spectra,
    wavelength_grid,
)

GRID = wavelength_grid(300)


def sun_like(**changes):
    """Stars like the Sun but for the parameters given, each (S,)."""
    size = max((len(values) for values in changes.values()), default=1)
    return {
        name: np.asarray(changes.get(name, np.full(size, value)), dtype=float)
        for name, value in SUN.items()
    }


def one_line(**changes):
    """A neutral iron line of medium strength in the middle of GRID."""
    line = np.zeros(1, LINE_DTYPE)
    line["wavelength"], line["element"] = GRID[150], "Fe"
    line["mass"], line["ionisation"], line["damping"] = 55.85, 7.9, 0.03
    line["excitation"] = 2.0
    for name, value in changes.items():
        line[name] = value
    return line


def absorbed(stars, line):
    """Flux removed from each star, summed over the pixels."""
    return (1.0 - model_flux(stars, GRID, line)).sum(axis=1)


def test_metals_deepen_every_line():
    stars = sun_like(fe_h=[-1.0, -0.5, 0.0, 0.5])
    lines = draw_lines(wavelength_grid(2000))
    assert (np.diff(central_depth(stars, lines), axis=0) > 0).all()
    assert (np.diff(absorbed(stars, one_line())) > 0).all()


def test_alpha_moves_only_lines_of_alpha_elements():
    stars = sun_like(alpha_fe=[0.0, 0.3])
    assert np.diff(absorbed(stars, one_line())) == 0.0
    assert np.diff(absorbed(stars, one_line(alpha=True))) > 0.0


def test_heat_weakens_neutral_lines_and_those_of_low_excitation_most():
    stars = sun_like(teff=[5000.0, 5500.0, 6000.0, 6500.0])
    low = absorbed(stars, one_line(excitation=0.0, strength=-0.5))
    high = absorbed(stars, one_line(excitation=4.5, strength=-0.5))
    assert (np.diff(low) < 0).all()
    assert (np.diff(low / high) < 0).all()


def test_low_gravity_strengthens_ionised_lines():
    stars = sun_like(logg=[4.4, 3.0, 1.5])
    assert (np.diff(absorbed(stars, one_line(ionised=True, strength=-0.5))) > 0).all()


def test_pressure_widens_strong_lines():
    stars = sun_like(logg=[1.5, 3.0, 4.5])
    line = one_line(strength=2.5)
    assert (np.diff(damping_parameter(stars, line)[:, 0]) > 0).all()
    wing = 1.0 - model_flux(stars, GRID, line)[:, 150 + 12]
    assert (np.diff(wing) > 0).all()


def test_curve_of_growth_has_its_three_parts():
    weak, strong = 1e-4, 1e6
    np.testing.assert_allclose(
        equivalent_width(weak, 0.01), np.sqrt(np.pi) * weak, rtol=1e-4
    )
    damped = 2.0 * np.pi**0.25 * np.sqrt(0.01 * strong)
    np.testing.assert_allclose(equivalent_width(strong, 0.01), damped, rtol=0.01)
    # Between them a factor of 100 in depth is less than a factor of 2 in width.
    flat = equivalent_width(np.array([10.0, 1000.0]), 1e-4)
    assert 1.0 < flat[1] / flat[0] < 2.0


@pytest.mark.parametrize("damping", [1e-3, 0.03, 0.2])
def test_curve_of_growth_follows_the_integral_of_the_true_profile(damping):
    # Largest difference measured: 10 % (depth 2, damping 0.2).
    velocity = np.linspace(-300.0, 300.0, 60001)
    profile = voigt_profile(velocity, np.sqrt(0.5), damping) * np.sqrt(np.pi)
    for depth in (0.01, 0.5, 2.0, 10.0, 100.0):
        exact = np.trapezoid(1.0 - np.exp(-depth * profile), velocity)
        assert abs(equivalent_width(depth, damping) / exact - 1.0) < 0.12


@pytest.mark.parametrize("lorentz", [0.01, 1.0, 5.0, 30.0])
def test_profile_is_a_voigt_profile(lorentz):
    # Measured: 1.2 % of the peak at lorentz = 5, less elsewhere.
    velocity = np.linspace(-3000.0, 3000.0, 60001)
    found = pseudo_voigt(velocity, np.array([[7.0]]), np.array([[lorentz]]))[0]
    exact = voigt_profile(velocity, 7.0, lorentz)
    assert np.abs(found - exact).max() < 0.015 * exact.max()
    assert abs(np.trapezoid(found, velocity) - 1.0) < 0.01


def test_flux_is_no_quadratic_of_the_labels():
    rng = np.random.default_rng(3)
    stars = draw_stars(500, rng)
    wavelength = wavelength_grid(400)
    flux = model_flux(stars, wavelength, draw_lines(wavelength))
    names = ("teff", "logg", "fe_h", "alpha_fe")
    x = np.array([(stars[n] - stars[n].mean()) / stars[n].std() for n in names]).T
    pairs = [x[:, i] * x[:, j] for i in range(4) for j in range(i, 4)]
    terms = np.column_stack([np.ones(500), x, *pairs])
    residual = flux - terms @ np.linalg.lstsq(terms, flux, rcond=None)[0]
    # Yet close to one: 0.5 % rms, 2 % in the worst pixels.
    assert residual.std() < 0.01
    assert residual.std(axis=0).max() > 0.01


def test_stars_are_dwarfs_and_giants_of_plausible_labels():
    stars = draw_stars(2000, np.random.default_rng(0))
    assert len(set(stars["id"])) == 2000
    dwarfs, giants = stars[stars["logg"] > 4.0], stars[stars["logg"] < 3.2]
    assert min(len(dwarfs), len(giants)) > 600
    assert giants["teff"].max() < 5600.0 < dwarfs["teff"].max()
    assert np.corrcoef(giants["teff"], giants["logg"])[0, 1] > 0.7
    assert -1.5 <= stars["fe_h"].min() and stars["fe_h"].max() <= 0.5
    assert np.corrcoef(stars["fe_h"], stars["alpha_fe"])[0, 1] < -0.5


def test_equal_seeds_give_equal_bytes_and_others_other_stars():
    first, again, other = (simulate_spectra(20, 100, seed=s) for s in (5, 5, 6))
    for name in ("wavelength", "flux", "ivar"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert (first.stars == again.stars).all()
    assert not np.isclose(first.stars["teff"], other.stars["teff"]).any()
    assert first.flux.dtype == first.ivar.dtype == np.float32


def test_noise_is_as_the_inverse_variance_says():
    clean = np.full((400, 300), 0.8)
    snr = np.repeat([30.0, 200.0], 200)
    flux, ivar = add_noise(clean, snr, np.random.default_rng(1))
    good = ivar > 0
    pulls = ((flux - clean) * np.sqrt(ivar))[good]
    # 120,000 pulls: 1 sigma of the mean is 0.003, of the variance 0.004.
    assert abs(pulls.mean()) < 0.012
    assert abs(pulls.var() - 1.0) < 0.016
    np.testing.assert_allclose(ivar[good[:, 0], 0], snr[good[:, 0]] ** 2 / 0.8, 1e-6)
    assert 0.004 < 1.0 - good.mean() < 0.006


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"n_stars": 0}, "at least 1 star"),
        ({"n_stars": 3, "n_pixels": 1}, "2 pixels"),
        ({"n_stars": 3, "snr": (0.0, 10.0)}, "0 < low"),
        ({"n_stars": 3, "snr": (20.0, 10.0)}, "low <= high"),
    ],
)
def test_impossible_requests_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        simulate_spectra(**arguments)
