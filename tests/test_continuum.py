"""Continuum normalisation: against the reference, by its laws, and its bias."""

import numpy as np
import pytest

from fastcannon import continuum
from fastcannon.errors import BadPixelWarning, InputError
from fastcannon.kernels import continuum as kernels
from fastcannon.kernels import reference_continuum as reference

REGIONS = [(5000, 5400), (5410, 5700), (5750, 6000)]


def example(n=11, p=400, snr=100, seed=0):
    """Return wavelength, flux, ivar, true continuum and continuum pixels."""
    rng = np.random.default_rng(seed)
    wavelength = np.sort(rng.uniform(5000, 6000, p))
    wavelength[0] = 5000  # from which the methods below scale their lengths
    x = (wavelength - 5500) / 500
    shape = rng.normal(0, [[0.2], [0.1]], (n, 2, 1))
    level = 10 ** rng.uniform(-3, 4, (n, 1))
    truth = level * (1 + shape[:, 0] * x + shape[:, 1] * x**2)
    lines = rng.random(p) < 0.3
    flux = truth * np.where(lines, rng.uniform(0.3, 1, p), 1)
    ivar = (snr / truth) ** 2 * rng.uniform(0.5, 1.5, (n, p))
    flux += rng.normal(0, 1, (n, p)) / np.sqrt(ivar)
    ivar[:, 50:60] = 0
    return wavelength, flux, ivar, truth, ~lines


def smooth(wavelength, flux, ivar, pixels, **options):
    return continuum.smooth(
        wavelength, flux, ivar, 50 * wavelength[0] / 5000, **options
    )


def sines(wavelength, flux, ivar, pixels, **options):
    scale = wavelength[0] / 5000
    return continuum.sines_and_cosines(
        wavelength,
        flux,
        ivar,
        pixels,
        regions=[(a * scale, b * scale) for a, b in REGIONS],
        length=1400 * scale,
        order=2,
        **options,
    )


def chebyshev(wavelength, flux, ivar, pixels, **options):
    scale = wavelength[0] / 5000
    regions = [(a * scale, b * scale) for a, b in REGIONS]
    return continuum.chebyshev(
        wavelength, flux, ivar, pixels, regions=regions, **options
    )


METHODS = pytest.mark.parametrize("method", [smooth, sines, chebyshev])


@pytest.mark.parametrize("width", [0.5, 50, 1e5])
def test_smooth_agrees_with_its_reference(width):
    wavelength, flux, ivar, *_ = example()
    got, got_ivar = continuum.smooth(wavelength, flux, ivar, width)
    level = reference.gaussian_smooth(wavelength, flux, ivar, width)
    expected, expected_ivar, _ = reference.divide_continuum(flux, ivar, level)
    # Where only pixels beyond 6.07 widths have information the reference, which
    # keeps their weights, finds a continuum.
    found = got_ivar > 0
    assert found.sum() == (ivar > 0).sum()
    # float32 rounds at 6e-8; the dropped weights measured below that.
    np.testing.assert_allclose(got[found], expected[found], rtol=2e-7)
    np.testing.assert_allclose(got_ivar[found], expected_ivar[found], rtol=2e-7)


@pytest.mark.parametrize("name", ["sines", "chebyshev"])
def test_region_fits_agree_with_lstsq_on_the_plain_functions(name):
    wavelength, flux, ivar, _, pixels = example()
    expected, expected_ivar = np.ones(flux.shape), np.zeros(flux.shape)
    for start, end in REGIONS:
        inside = (wavelength >= start) & (wavelength <= end)
        x = wavelength[inside]
        if name == "chebyshev":
            functions = np.array([x**0, x - start, (x - start) ** 2])
        else:
            phase = 2 * np.pi * x / 1400
            functions = [x**0] + [
                f(k * phase) for k in (1, 2) for f in (np.sin, np.cos)
            ]
        functions = np.array(functions)
        used = pixels[inside]
        for s in range(len(flux)):
            sigma = np.sqrt(ivar[s, inside][used])
            design = (functions[:, used] * sigma).T
            solution = np.linalg.lstsq(design, flux[s, inside][used] * sigma)[0]
            level = solution @ functions
            expected[s, inside] = flux[s, inside] / level
            expected_ivar[s, inside] = ivar[s, inside] * level**2
    method = chebyshev if name == "chebyshev" else sines
    got, got_ivar = method(wavelength, flux, ivar, pixels, weights="ivar")
    np.testing.assert_allclose(got, expected, rtol=2e-7)
    np.testing.assert_allclose(got_ivar, expected_ivar, rtol=4e-7)
    outside = (wavelength > 5700) & (wavelength < 5750)
    assert (got[:, outside] == 1).all() and (got_ivar[:, outside] == 0).all()


@pytest.mark.parametrize("snr", [20, 50, 200])
@METHODS
def test_bias_is_below_a_thousandth_at_any_signal_to_noise(method, snr):
    # Spectra without lines, so that the truth is the continuum itself. Measured: at
    # most 2e-4 at S/N = 20, the noise of the mean. The 0.9 quantile of the pixels,
    # which follows the noise, is off by 6e-2 there.
    n = 150
    rng = np.random.default_rng(snr)
    wavelength = np.linspace(5000, 6000, 400)
    x = (wavelength - 5500) / 500
    truth = 1 + 0.1 * rng.normal(size=(n, 1)) * x
    ivar = np.full(truth.shape, float(snr) ** 2)
    flux = truth + rng.normal(0, 1 / snr, truth.shape)
    got, got_ivar = method(wavelength, flux, ivar, np.ones(400, bool))
    inside = (got_ivar > 0) & (wavelength > 5150) & (wavelength < 5850)
    ratio = (flux / got / truth)[inside]  # recovered over true continuum
    assert abs(ratio.mean() - 1) < 1e-3
    assert abs(got[inside].mean() - 1) < 1e-3


@METHODS
def test_permuting_stars_permutes_rows(method):
    wavelength, flux, ivar, _, pixels = example(n=150, p=150)
    order = np.random.default_rng(1).permutation(len(flux))
    for a, b in zip(
        method(wavelength, flux, ivar, pixels),
        method(wavelength, flux[order], ivar[order], pixels),
        strict=True,
    ):
        # BLAS sums the rows of a block in an order of its own: rounding only.
        np.testing.assert_allclose(a[order], b, rtol=2e-7)


@METHODS
def test_threads_do_not_change_a_bit(method):
    wavelength, flux, ivar, _, pixels = example(n=200, p=150)
    one = method(wavelength, flux, ivar, pixels, threads=1)
    two = method(wavelength, flux, ivar, pixels, threads=2)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True))


@METHODS
@pytest.mark.parametrize("how", ["mask", "flux", "ivar", "minus", "inf"])
def test_a_masked_pixel_is_a_pixel_of_weight_zero(method, how):
    wavelength, flux, ivar, _, pixels = example()
    chosen = np.random.default_rng(2).random(flux.shape) < 0.2
    weightless = np.where(chosen, 0, ivar)
    expected, expected_ivar = method(wavelength, flux, weightless, pixels)
    if how == "mask":
        flux = np.ma.masked_array(flux, mask=chosen)
    elif how == "flux":
        flux = np.where(chosen, np.nan, flux)
    else:
        wrong = {"ivar": np.nan, "minus": -1.0, "inf": np.inf}[how]
        ivar = np.where(chosen, wrong, ivar)
    # A pixel that has ivar 0 already needs no warning, whatever its flux.
    count = np.sum(chosen & (ivar != 0))
    with pytest.warns(BadPixelWarning, match=f"{count} pixels") as caught:
        got, got_ivar = method(wavelength, flux, ivar, pixels)
    assert len(caught) == 1 and caught[0].filename == __file__
    np.testing.assert_array_equal(got[~chosen], expected[~chosen])
    np.testing.assert_array_equal(got_ivar, expected_ivar)
    assert (got[chosen] == 1).all() and (got_ivar[chosen] == 0).all()


@METHODS
def test_the_unit_of_wavelength_is_free(method):
    wavelength, flux, ivar, _, pixels = example()
    angstrom = method(wavelength, flux, ivar, pixels)
    nanometre = method(wavelength / 8, flux, ivar, pixels)
    for a, b in zip(angstrom, nanometre, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@METHODS
def test_the_unit_of_flux_is_free(method):
    wavelength, flux, ivar, _, pixels = example()
    plain = method(wavelength, flux, ivar, pixels)
    for unit in (1e-17, 1e20):
        scaled = method(wavelength, flux * unit, ivar / unit**2, pixels)
        for a, b in zip(plain, scaled, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("method", [sines, chebyshev])
def test_normalising_twice_changes_little(method):
    wavelength, flux, ivar, _, pixels = example(snr=1e4)
    flux = np.where(pixels, flux, np.nan)
    with pytest.warns(BadPixelWarning):
        once = method(wavelength, flux, ivar, pixels)
    twice = method(wavelength, *once, pixels)
    np.testing.assert_allclose(twice[0], once[0], atol=2e-3)


@METHODS
def test_one_spectrum_alone(method):
    wavelength, flux, ivar, _, pixels = example()
    rows = method(wavelength, flux, ivar, pixels)
    alone = method(wavelength, flux[3], ivar[3], pixels)
    for a, b in zip(rows, alone, strict=True):
        assert b.shape == (len(wavelength),) and b.dtype == np.float32
        np.testing.assert_allclose(a[3], b, rtol=2e-7)
    none = method(wavelength, flux[:0], ivar[:0], pixels)
    assert none[0].shape == (0, len(wavelength))


@METHODS
def test_types_and_layouts_of_arrays(method):
    wavelength, flux, ivar, _, pixels = example()
    flux = np.round(flux * 1000 / np.abs(flux).max(axis=1, keepdims=True))
    ivar = np.where(ivar > 0, 1.0, 0.0)
    expected = method(wavelength, flux, ivar, pixels)
    for dtype, order in ((">f4", "C"), ("f2", "C"), ("i2", "F"), (">i4", "C")):
        given = [np.array(a, dtype=dtype, order=order) for a in (flux, ivar)]
        for array in given:
            array.flags.writeable = False
        for a, b in zip(
            expected, method(wavelength, *given, pixels.nonzero()[0]), strict=True
        ):
            np.testing.assert_array_equal(a, b)


@METHODS
def test_arrays_of_the_caller_are_not_changed(method):
    wavelength, flux, ivar, _, pixels = example()
    flux[2, 5], ivar[3, 7] = np.nan, -1
    given = (wavelength, flux, ivar, pixels)
    copies = [a.copy() for a in given]
    with pytest.warns(BadPixelWarning, match="2 pixels"):
        method(*given)
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@METHODS
def test_a_hopeless_star_never_disturbs_its_neighbours(method):
    wavelength, flux, ivar, _, pixels = example()
    good = method(wavelength, flux, ivar, pixels)
    bad_flux, bad_ivar = flux.copy(), ivar.copy()
    bad_ivar[0] = 0
    bad_flux[2] = np.nan
    bad_flux[4] = -bad_flux[4]
    bad_ivar[6] = np.inf
    bad_flux[8, 9], bad_ivar[8, 9] = 1e20, 1e30
    bad_flux[9] *= 1e150
    with pytest.warns(BadPixelWarning):
        got = method(wavelength, bad_flux, bad_ivar, pixels)
    others = [1, 3, 5, 7, 10]
    for a, b in zip(good, got, strict=True):
        np.testing.assert_array_equal(a[others], b[others])
        assert np.isfinite(b).all()
    for star in (0, 2, 4, 6):
        assert (got[1][star] == 0).all()
    for star in (2, 4, 6):
        assert (got[0][star] == 1).all()


@pytest.mark.parametrize("method", [sines, chebyshev])
def test_too_few_pixels_cost_a_star_one_region_only(method):
    wavelength, flux, ivar, _, pixels = example()
    good = method(wavelength, flux, ivar, pixels)
    inside = (wavelength >= REGIONS[1][0]) & (wavelength <= REGIONS[1][1])
    few = ivar.copy()
    few[3, np.flatnonzero(inside & pixels)[2:]] = 0
    with pytest.warns(BadPixelWarning, match="1 times a star has too few"):
        got = method(wavelength, flux, few, pixels)
    assert (got[1][3, inside] == 0).all() and (got[0][3, inside] == 1).all()
    changed = np.zeros(flux.shape, bool)
    changed[3, inside] = True
    for a, b in zip(good, got, strict=True):
        np.testing.assert_array_equal(a[~changed], b[~changed])


def test_smooth_has_no_continuum_far_from_every_pixel():
    wavelength, flux, ivar, *_ = example()
    gap = (wavelength > 5300) & (wavelength < 5700)
    ivar[:, gap] = 0
    got, got_ivar = continuum.smooth(wavelength, flux, ivar, 10)
    middle = (wavelength > 5400) & (wavelength < 5600)
    assert (got[:, middle] == 1).all() and (got_ivar[:, middle] == 0).all()


def test_a_pixel_in_two_regions_belongs_to_the_first():
    wavelength, flux, ivar, _, pixels = example()
    regions = [(wavelength[0], wavelength[200]), (wavelength[200], wavelength[-1])]
    both = continuum.chebyshev(wavelength, flux, ivar, pixels, regions)
    first = continuum.chebyshev(wavelength, flux, ivar, pixels, regions[:1])
    assert (both[1] > 0).sum() == (ivar > 0).sum()
    np.testing.assert_array_equal(both[0][:, :201], first[0][:, :201])
    assert (first[1][:, 201:] == 0).all()


def test_default_is_one_region():
    wavelength, flux, ivar, _, pixels = example()
    ends = [(wavelength[0], wavelength[-1])]
    for function in (continuum.chebyshev, continuum.sines_and_cosines):
        one = function(wavelength, flux, ivar, pixels)
        given = function(wavelength, flux, ivar, pixels, regions=ends)
        np.testing.assert_array_equal(one[0], given[0])
        assert (one[1] > 0).sum() == (ivar > 0).sum()


def test_a_constant_is_the_mean_of_the_chosen_weights():
    wavelength, flux, ivar, _, pixels = example()
    ivar[2, 100:120] /= 50  # errors beyond three times the median
    for function in (continuum.chebyshev, continuum.sines_and_cosines):
        for weights in ("ivar", "equal"):
            got, _ = function(wavelength, flux, ivar, pixels, order=0, weights=weights)
            weight = ivar[2, pixels]
            if weights == "equal":
                weight = weight > np.median(weight[weight > 0]) / 9
            mean = np.average(flux[2, pixels], weights=weight)
            np.testing.assert_allclose(got[2], flux[2] / mean, rtol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(flux=np.ones((2, 9))), "flux has shape"),
        (dict(ivar=np.ones((3, 10))), "flux has shape .* ivar"),
        (dict(flux=np.ones((1, 2, 10))), "flux has shape"),
        (dict(flux=np.full((2, 10), "a")), "real numbers"),
        (dict(ivar=np.ones((2, 10), complex)), "real numbers"),
        (dict(wavelength=np.ones(10)), "increase"),
        (dict(wavelength=np.ones((2, 10))), "wavelength has shape"),
        (dict(continuum_pixels=np.ones(9, bool)), "continuum_pixels has type bool"),
        (dict(continuum_pixels=[0.0, 1.0]), "continuum_pixels has type float64"),
        (dict(continuum_pixels=[0, 1, 10]), "from 0 to 9"),
        (dict(continuum_pixels=[-1, 1, 5]), "from 0 to 9"),
        (dict(continuum_pixels=[1, 5]), "has 2 continuum pixels for 3"),
        (dict(regions=[(20, 30)]), "20.* to 30.* holds no pixel"),
        (dict(regions=(1, 5)), "list of .start, end."),
        (dict(regions=[]), "list of .start, end."),
        (dict(order=1.5), "order is 1.5"),
        (dict(order=-1), "order is -1"),
        (dict(threads=0), "threads"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = dict(
        wavelength=np.arange(10.0),
        flux=np.ones((2, 10)),
        ivar=np.ones((2, 10)),
        continuum_pixels=np.arange(10),
        order=1,
    )
    with pytest.raises(InputError, match=message):
        continuum.sines_and_cosines(**(arguments | {"length": 20} | change))
    if "has 2 continuum pixels" not in message:
        with pytest.raises(InputError, match=message):
            continuum.chebyshev(**(arguments | change))


def test_bad_scales_are_refused():
    spectra = np.arange(10.0), np.ones(10), np.ones(10)
    for wrong in (0, -1, np.nan, np.inf, "2", None):
        with pytest.raises(InputError, match="width is"):
            continuum.smooth(*spectra, width=wrong)
        with pytest.raises(InputError, match="length is"):
            continuum.sines_and_cosines(*spectra, np.arange(10), length=wrong)
    with pytest.raises(InputError, match="cannot be told apart"):
        continuum.sines_and_cosines(*spectra, np.arange(10), order=3, length=1e5)


def kernel_input(seed=0):
    """Return flux, ivar and basis of rows of which some cannot be fitted."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(60, 5)))[0].T.copy()
    flux = rng.normal(1, 0.1, (8, 60))
    ivar = rng.uniform(0, 1e4, (8, 60))
    ivar[1, 4:] = 0  # too few pixels
    ivar[2] = 0
    ivar[3, 5:] = 0  # just enough
    basis[:, 7:13] = basis[:, 6:7]
    ivar[4] = 0
    ivar[4, 6:13] = 1  # seven pixels of which the basis is the same
    return flux, ivar, basis


def version(function, plain):
    """The kernel as it is compiled, or as plain Python."""
    return getattr(function, "py_func", function) if plain else function


def run_fit(flux, ivar, pixels, basis, faintest, clip, plain):
    """Run `fit_region`, compiled or as plain Python."""
    n_terms, n_pixels = basis.shape
    coefficients = np.empty((len(flux), n_terms))
    status = np.empty(len(flux), np.int64)
    work = np.empty((n_terms + 1, n_terms)), np.empty((5, n_pixels))
    version(kernels.fit_region, plain)(
        flux, ivar, pixels, basis, faintest, clip, *work, coefficients, status
    )
    return coefficients, status


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "faintest, clip", [(0, np.inf), (0, 2), (0.1, np.inf), (0.1, 2)]
)
def test_fit_kernel_agrees_with_its_twin(faintest, clip, plain):
    flux, ivar, basis = kernel_input()
    ivar[7, 20:40] = 0.1  # fainter than most, and outliers among the rest
    flux[5:, 40:46] += 5
    pixels = np.random.default_rng(3).permutation(60)
    flux[6, 2], ivar[6, 3], ivar[6, 4], ivar[6, 5] = np.nan, np.nan, np.inf, -1
    given = flux, ivar, pixels, basis[:, pixels].copy(), faintest, clip
    coefficients, status = run_fit(*given, plain)
    expected, expected_status = reference.fit_region(*given)
    np.testing.assert_array_equal(status, expected_status)
    few, dependent = kernels.TOO_FEW_PIXELS, kernels.DEPENDENT
    assert list(status) == [0, few, few, 0, dependent, 0, 0, 0]
    assert np.isnan(coefficients[status > 0]).all()
    np.testing.assert_allclose(
        coefficients[status == 0], expected[status == 0], rtol=1e-9
    )


@pytest.mark.parametrize("plain", [False, True])
def test_single_fit_kernel_agrees_with_its_twin(plain):
    function = version(kernels.fit_linear, plain)
    for flux, ivar in zip(*kernel_input()[:2], strict=True):
        basis = kernel_input()[2]
        coefficients = np.empty(5)
        status = function(
            flux, ivar, basis, np.empty((5, 5)), np.empty(60), coefficients
        )
        expected, expected_status = reference.fit_linear(flux, ivar, basis)
        assert status == expected_status
        np.testing.assert_allclose(coefficients, expected, rtol=1e-9)


@pytest.mark.parametrize("plain", [False, True])
def test_weight_kernels_agree_with_their_twins(plain):
    rng = np.random.default_rng(5)
    basis = rng.normal(size=(3, 60))
    for n_good in (0, 1, 2, 31, 60):
        ivar = np.where(np.arange(60) < n_good, 10 ** rng.uniform(-2, 2, 60), 0)
        ivar = rng.permutation(ivar)
        weight = ivar.copy()
        version(kernels.equal_weights, plain)(0.1, np.empty(60), weight)
        np.testing.assert_array_equal(weight, reference.equal_weights(ivar, 0.1))
        if n_good:
            flux, found = rng.normal(size=60), rng.normal(size=3)
            expected, n_expected = reference.clip_outliers(flux, basis, found, 1, ivar)
            weight = ivar.copy()
            n_clipped = version(kernels.clip_outliers, plain)(
                flux, basis, found, 1, np.empty((2, 60)), weight
            )
            assert n_clipped == n_expected
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("n", [1, 2, 7, 200])
@pytest.mark.parametrize("plain", [False, True])
def test_the_value_of_a_rank(n, plain):
    rng = np.random.default_rng(n)
    for values in (rng.normal(size=n), rng.integers(0, 3, n) * 1.0, np.arange(n) * 1.0):
        for rank in {0, n // 2, n - 1}:
            found = version(kernels._select, plain)(values.copy(), n, rank)
            assert found == np.sort(values)[rank]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # plain Python divides by zero
@pytest.mark.parametrize("plain", [False, True])
def test_division_kernel_agrees_with_its_twin(plain):
    values = np.array([0.0, 1, -1, 2.5, 1e-150, 1e30, 1e150, np.nan, np.inf, -np.inf])
    flux, ivar, level = (
        g.reshape(10, 100) for g in np.meshgrid(values, values, values)
    )
    got = np.full((2, 10, 100), 7, np.float32)
    n_bad = version(kernels.divide_continuum, plain)(
        flux, ivar, level[:, 10:90].copy(), 10, 2.0, got[0], got[1]
    )
    inside = (slice(None), slice(10, 90))
    expected = reference.divide_continuum(
        flux[inside], ivar[inside], level[inside], 2.0
    )
    np.testing.assert_array_equal(got[0][inside], expected[0])
    np.testing.assert_array_equal(got[1][inside], expected[1])
    assert n_bad == expected[2] > 0 and expected[1].max() == 2
    assert (got[:, :, :10] == 7).all() and (got[:, :, 90:] == 7).all()
    assert np.isfinite(got).all()
