"""Cases of spectra: cleaning, weights, medians, continuum, hull of the labels."""

import numba
import numpy as np
from numpy.testing import assert_array_equal
from scipy.optimize import nnls

from bench.kernel_cases import (
    N_LABELS,
    N_PIXELS,
    N_SPECTRA,
    STEPS,
    Case,
    assert_close,
    case,
    definite,
    refill,
)
from fastcannon.inference import HULL_MARGIN, RESIDUAL_PIECE
from fastcannon.kernels import (
    continuum,
    gate,
    hull,
    medians,
    reference_continuum,
    weights,
)

N_CONTINUUM, N_FUNCTIONS = 800, 7


def dirty_spectra(world):
    """Spectra with bad pixels, and the masks of bad and of unknown pixels."""
    flux, ivar = world.flux.copy(), world.ivar.copy()
    ivar[:, ::97], ivar[:, 1::97], flux[:, 2::97] = -1.0, np.inf, np.nan
    bad = ~((ivar >= 0) & np.isfinite(ivar) & (np.isfinite(flux) | (ivar == 0)))
    return flux, ivar, bad, (ivar == 0) & ~np.isfinite(flux)


@case(gate, N_SPECTRA)
def count_bad(world):
    flux, ivar, bad, unknown = dirty_spectra(world)

    def check(counts):
        assert counts == (np.count_nonzero(bad), np.count_nonzero(unknown))

    return Case(lambda: gate.count_bad(flux, ivar), check)


@case(gate, N_SPECTRA)
def clean_rows(world):
    dirty_flux, dirty_ivar, bad, _ = dirty_spectra(world)
    flux, ivar = dirty_flux.copy(), dirty_ivar.copy()
    lost = bad | (dirty_ivar == 0)

    def check(_):
        assert_array_equal(flux, np.where(lost, 1, dirty_flux))
        assert_array_equal(ivar, np.where(lost, 0, dirty_ivar))

    return Case(
        lambda: gate.clean_rows(flux, ivar),
        check,
        refill((flux, dirty_flux), (ivar, dirty_ivar)),
    )


@case(gate, N_SPECTRA)
def keep_rows(world):
    flux, ivar, bad, _ = dirty_spectra(world)
    made, inside = (np.empty_like(flux), np.empty_like(ivar)), world.s2 > 0
    inside[:100] = False
    limit = np.float32(4e4)
    lost = bad | (ivar == 0) | ~inside

    def check(_):
        assert_array_equal(made[0], np.where(lost, 1, flux))
        assert_array_equal(made[1], np.where(lost, 0, np.minimum(ivar, limit)))

    return Case(lambda: gate.keep_rows(flux, ivar, inside, limit, *made), check)


@case(weights, N_SPECTRA)
def weigh_spectra(world):
    s2, pivot = world.s2.astype(np.float32), world.theta[:, 0].astype(np.float32)
    w, wr = np.empty_like(world.flux), np.empty_like(world.flux)
    constant, used = np.empty(N_SPECTRA), np.empty(N_SPECTRA, dtype=np.int64)

    def check(_):
        r = world.flux - world.theta[:, 0]
        assert_close(w, world.w, 1e-6)
        assert_close(wr, world.w * r, 1e-6)
        assert_close(constant, (world.w * r * r).sum(axis=1), 1e-5)
        assert_array_equal(used, np.count_nonzero(world.ivar, axis=1))

    return Case(
        lambda: weights.weigh_spectra(
            world.flux, world.ivar, s2, pivot, w, wr, constant, used
        ),
        check,
    )


@case(weights, N_SPECTRA)
def weigh_residuals(world):
    first = 1000
    piece = slice(first, first + RESIDUAL_PIECE)
    model = world.v[:N_SPECTRA] @ world.theta[piece].T
    wr, chi2, zero = model.copy(), np.zeros(N_SPECTRA), np.zeros(N_SPECTRA)

    def check(_):
        r = world.flux[:, piece] - model
        assert_close(wr, world.w[:, piece] * r, 1e-12)
        assert_close(chi2, (world.w[:, piece] * r * r).sum(axis=1), 1e-12)

    return Case(
        lambda: weights.weigh_residuals(
            world.flux, world.ivar, world.s2, first, wr, chi2
        ),
        check,
        refill((wr, model), (chi2, zero)),
    )


@case(weights, N_PIXELS)
def chunk_theta(world):
    chunks = np.empty(world.chunks.shape)
    return Case(
        lambda: weights.chunk_theta(world.theta, chunks),
        lambda _: assert_array_equal(chunks, world.chunks),
    )


@case(medians, N_SPECTRA)
def median_snr(world):
    w = world.w.astype(np.float32)
    size = -(-N_PIXELS // medians.CHUNK) * medians.CHUNK
    work_y = np.empty(size, dtype=np.float32)
    work_kept = np.empty(size + 1, dtype=np.float32)
    snr = np.empty(N_SPECTRA)

    def check(_):
        with_weight = np.where(w > 0, world.flux * np.sqrt(w), np.nan)
        assert_close(snr, np.nanmedian(with_weight, axis=1), 1e-6)

    return Case(
        lambda: medians.median_snr(world.flux, w, work_y, work_kept, snr), check
    )


def continuum_fit(world, n_spectra):
    """Inputs of a continuum fit and its coefficients by NumPy, (S, functions)."""
    flux = world.flux[:n_spectra, :N_CONTINUUM].astype(np.float64)
    ivar = world.ivar[:n_spectra, :N_CONTINUUM].astype(np.float64)
    phase = np.linspace(0.0, 3.0, N_CONTINUUM)
    functions = np.exp(1j * np.arange(1, N_FUNCTIONS // 2 + 1)[:, None] * phase)
    basis = np.vstack([np.ones(N_CONTINUUM), functions.real, functions.imag])
    basis = np.ascontiguousarray(np.linalg.qr(basis.T)[0].T)
    gram = np.einsum("tn,sn,un->stu", basis, ivar, basis, optimize=True)
    right = (flux * ivar) @ basis.T
    return flux, ivar, basis, np.linalg.solve(gram, right[:, :, None])[:, :, 0]


@case(continuum, 1)
def fit_linear(world):
    flux, ivar, basis, expected = continuum_fit(world, 1)
    gram, weighted = np.empty((N_FUNCTIONS, N_FUNCTIONS)), np.empty(N_CONTINUUM)
    found = np.empty(N_FUNCTIONS)

    def check(status):
        assert status == continuum.FITTED
        assert_close(found, expected[0], 1e-10)

    return Case(
        lambda: continuum.fit_linear(flux[0], ivar[0], basis, gram, weighted, found),
        check,
    )


@case(continuum, 1)
def equal_weights(world):
    ivar = continuum_fit(world, 1)[1][0]
    weight, kept = np.empty_like(ivar), np.empty_like(ivar)
    expected = reference_continuum.equal_weights(ivar, 0.1)

    def run():
        weight[:] = ivar
        continuum.equal_weights(0.1, kept, weight)

    return Case(run, lambda _: assert_close(weight, expected, 0))


@case(continuum, 1)
def clip_outliers(world):
    flux, ivar, basis, coefficients = continuum_fit(world, 1)
    weight, work = np.empty_like(ivar[0]), np.empty((2, N_CONTINUUM))
    given = flux[0], basis, coefficients[0], 2.0
    expected = reference_continuum.clip_outliers(*given, ivar[0])

    def run():
        weight[:] = ivar[0]
        return continuum.clip_outliers(*given, work, weight)

    def check(clipped):
        assert clipped == expected[1]
        assert_close(weight, expected[0], 0)

    return Case(run, check)


@case(continuum, N_SPECTRA)
def fit_region(world):
    flux, ivar, basis, expected = continuum_fit(world, N_SPECTRA)
    gram, work = np.empty((N_FUNCTIONS + 1, N_FUNCTIONS)), np.empty((5, N_CONTINUUM))
    found, status = np.empty(expected.shape), np.empty(N_SPECTRA, dtype=np.int64)
    pixels = np.arange(N_CONTINUUM)

    def check(_):
        assert (status == continuum.FITTED).all()
        assert_close(found, expected, 1e-10)

    return Case(
        lambda: continuum.fit_region(
            flux, ivar, pixels, basis, 0.0, np.inf, gram, work, found, status
        ),
        check,
    )


@case(continuum, N_SPECTRA)
def divide_continuum(world):
    flux, ivar = world.flux.astype(np.float64), world.ivar.astype(np.float64)
    level = np.linspace(0.5, 2.0, flux.size).reshape(flux.shape)
    level[:, 100:200] = np.nan
    flux_out, ivar_out = np.empty_like(world.flux), np.empty_like(world.ivar)

    def check(_):
        lost = np.isnan(level)
        assert_close(flux_out, np.where(lost, 1.0, flux / level), 1e-6)
        assert_close(ivar_out, np.where(lost, 0.0, ivar * level**2), 1e-6)

    return Case(
        lambda: continuum.divide_continuum(
            flux, ivar, level, 0, np.inf, flux_out, ivar_out
        ),
        check,
    )


def assert_nearest(world, gradient, x):
    """Check that no vertex lies downhill of x (S, K), where the gradient is (S, K)."""
    ahead = gradient @ world.vertices - (gradient * x).sum(axis=1)[:, None]
    assert ahead.min() >= -1e-6 * np.abs(gradient).max()


def assert_member(world, x):
    """Check that points x (S, K) are weighted means of the vertices."""
    mean = np.vstack([world.vertices, np.ones(world.vertices.shape[1])])
    for point in x:
        assert nnls(mean, np.append(point, 1.0))[1] < 1e-7


@numba.njit
def nearest_in_hull_each(targets, metric, vertices, tolerance, x_out):
    for i in range(targets.shape[0]):
        hull.nearest_in_hull(targets[i], metric, vertices, tolerance, x_out[i])


@case(hull, N_SPECTRA)
def nearest_in_hull(world):
    targets = 2.0 * world.x[-N_SPECTRA:]
    metric = definite(N_LABELS, 1)[0]
    x = np.empty(targets.shape)

    def check(_):
        assert_nearest(world, (x - targets) @ metric, x)
        assert_member(world, x[:8])

    return Case(
        lambda: nearest_in_hull_each(targets, metric, world.vertices, 1e-12, x), check
    )


@case(hull, 1000)
def hull_vertices(world):
    points = np.ascontiguousarray(world.x[:1000].T)
    is_vertex = np.empty(1000, dtype=bool)

    def check(_):
        expected = np.sort(world.facets.vertices)
        assert_array_equal(np.flatnonzero(is_vertex), expected)

    return Case(lambda: hull.hull_vertices(points, 1e-12, is_vertex), check)


@case(hull, N_SPECTRA)
def outside_hull(world):
    x = 1.5 * world.x[-N_SPECTRA:]
    nearest, outside = np.empty(x.shape), np.empty(N_SPECTRA, dtype=bool)

    def check(_):
        height = x @ world.facets.equations[:, :-1].T + world.facets.equations[:, -1]
        assert_array_equal(outside, height.max(axis=1) > HULL_MARGIN)
        assert_array_equal(nearest[~outside], x[~outside])
        assert_nearest(world, (nearest - x)[outside], nearest[outside])

    return Case(
        lambda: hull.outside_hull(x, world.vertices, HULL_MARGIN, nearest, outside),
        check,
    )


@case(hull, N_SPECTRA)
def confine_spectra(world):
    program, gather, degree = world.terms.hessian
    hessian = gather, program, degree
    begin = np.zeros((N_SPECTRA, N_LABELS))
    starts = 0.5 * world.x[N_SPECTRA : 2 * N_SPECTRA]
    vertices = 0.5 * world.vertices  # most stars lie outside
    x, value = begin.copy(), np.empty(N_SPECTRA)

    def check(_):
        chi2, _, gradient, _, _ = world.expand(x)
        assert_close(value, chi2, 1e-9)
        ahead = gradient @ vertices - (gradient * x).sum(axis=1)[:, None]
        assert ahead.min() > -1.0

    return Case(
        lambda: hull.confine_spectra(
            world.coefficients, starts, *hessian, vertices, *STEPS, x, value
        ),
        check,
        refill((x, begin)),
    )
