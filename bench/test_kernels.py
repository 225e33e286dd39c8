"""Time of every public kernel, in units of one matrix product.

    python -m pytest bench/test_kernels.py --benchmark-only --benchmark-json NEW.json
    python bench/compare.py NEW.json

The unit (`bench.clock.unit_task`) is measured between the rounds of each kernel;
``extra_info["ratio"]`` is the time per row of a kernel (spectrum, pixel, ...) over
that of the unit, which travels between machines better than times.

Every answer is checked against NumPy before the clock starts. One BLAS thread.
"""

import importlib
import itertools
import pkgutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.spatial import ConvexHull

from bench.clock import PIXELS, STARS, unit_task
from fastcannon import inference, kernels, training
from fastcannon.kernels import (
    cholesky,
    continuum,
    finish,
    folds,
    gate,
    hull,
    lasso,
    least_squares,
    levenberg,
    medians,
    polynomial,
    scatter,
    stream,
    weights,
)
from fastcannon.kernels import monomials as label_terms
from fastcannon.parallel import single_threaded_blas
from fastcannon.terms import Terms

N_STARS, N_PIXELS, N_LABELS, N_TERMS = STARS, PIXELS, 6, 28
N_SPECTRA = inference.SPECTRA_BLOCK
N_BLOCK = training.PIXEL_BLOCK
N_STREAM = 8  # spectra of the streaming kernel, which is slow
N_DESCENTS = 8
N_FOLDS = 12
N_CONTINUUM, N_FUNCTIONS = 800, 7
SECONDS = 0.3  # of rounds per kernel
ROUNDS = 9, 2000  # at least, at most
UNIT_SAMPLES = 4  # per kernel


class World:
    """A quadratic model of six labels with its stars; made once, never changed."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self.terms = Terms.complete([f"l{k}" for k in range(N_LABELS)], 2)
        self.scales = np.linspace(0.5, 2.0, N_LABELS)
        self.x = rng.normal(scale=0.25, size=(N_STARS, N_LABELS))
        self.v = powers(self.x, self.terms.exponents)
        degree = self.terms.exponents.sum(axis=1)
        lines = rng.exponential(size=(N_PIXELS, 1))
        self.theta = rng.normal(size=(N_PIXELS, N_TERMS)) * lines
        self.theta *= np.array([0.0, 0.05, 0.02])[degree]
        self.theta[:, 0] = 1.0 - 0.1 * lines[:, 0]
        self.s2 = 0.005**2 * rng.exponential(size=N_PIXELS)

        self.flux, self.ivar = self.observe(rng, self.v[:N_SPECTRA], slice(None))
        self.pixels = np.linspace(0, N_PIXELS - 1, N_BLOCK).astype(np.int64)
        flux, ivar = self.observe(rng, self.v, self.pixels)
        self.block = training.PixelBlock(flux.T.copy(), ivar.T.copy())

    def observe(self, rng, v, pixels):
        """Flux and ivar of stars at some pixels, float32, 3 % without information."""
        model = v @ self.theta[pixels].T
        ivar = rng.gamma(4.0, 2500.0, size=model.shape)
        noise = rng.normal(size=model.shape) * np.sqrt(1 / ivar + self.s2[pixels])
        lost = rng.random(model.shape) < 0.03
        flux = np.where(lost, 1.0, model + noise)
        return flux.astype(np.float32), np.where(lost, 0.0, ivar).astype(np.float32)

    @cached_property
    def w(self):
        """Weights of the spectra, (S, P)."""
        return self.ivar / (1.0 + self.ivar * self.s2)

    @cached_property
    def outer(self):
        """Products of the coefficients of a pixel, (P, T T)."""
        return np.einsum("pi,pj->pij", self.theta, self.theta).reshape(N_PIXELS, -1)

    @cached_property
    def gram(self):
        """Normal matrices of the spectra in the space of the terms, (S, T, T)."""
        return (self.w @ self.outer).reshape(-1, N_TERMS, N_TERMS)

    @cached_property
    def columns(self):
        """Products of the coefficients without the pivot, added by monomial, (P, Q)."""
        pairs, index = self.terms.pairs
        outer = self.outer.reshape(-1, N_TERMS, N_TERMS).copy()
        outer[:, 0], outer[:, :, 0] = 0.0, 0.0
        return outer.reshape(N_PIXELS, -1) @ np.eye(len(pairs))[index.ravel()]

    @cached_property
    def pivoted(self):
        pivoted = self.theta.copy()
        pivoted[:, 0] = 0.0
        return pivoted

    @cached_property
    def chunks(self):
        """Coefficients in chunks of pixels, (C, T, CHUNK)."""
        lacking = -N_PIXELS % weights.CHUNK
        padded = np.vstack([self.theta, np.zeros((lacking, N_TERMS))])
        chunks = padded.reshape(-1, weights.CHUNK, N_TERMS).swapaxes(1, 2)
        return np.ascontiguousarray(chunks)

    @cached_property
    def coefficients(self):
        """chi^2 of the spectra as polynomials, (S, Q)."""
        r = self.flux - self.theta[:, 0]
        coefficients = self.w @ self.columns
        coefficients[:, self.terms.pairs[1][0]] -= 2.0 * (self.w * r) @ self.pivoted
        coefficients[:, 0] += (self.w * r * r).sum(axis=1)
        return coefficients

    @cached_property
    def hessian_rows(self):
        """The polynomials as `polynomial.evaluate` reads them, (S, B, R)."""
        program, gather, _ = self.terms.hessian
        n_entries = (N_LABELS + 1) * (N_LABELS + 2) // 2
        b, r, q, factor = gather.T
        rows = np.zeros((N_SPECTRA, len(program), n_entries))
        rows[:, b, r] = self.coefficients[:, q] * factor
        return rows

    @cached_property
    def near(self):
        """Labels of the spectra a little off the optimum, (S, K)."""
        rng = np.random.default_rng(2)
        return self.x[:N_SPECTRA] + rng.normal(scale=0.003, size=(N_SPECTRA, N_LABELS))

    @cached_property
    def starts(self):
        return inference.make_starts(self.x)

    @cached_property
    def neighbours(self):
        return inference.nearest_starts(self.starts)

    @cached_property
    def start_values(self):
        """chi^2 of the spectra at the starts, (S, J)."""
        return self.coefficients @ powers(self.starts, self.terms.pairs[0]).T

    @cached_property
    def facets(self):
        """The hull of the first thousand stars by Qhull."""
        return ConvexHull(self.x[:1000])

    @cached_property
    def vertices(self):
        return np.ascontiguousarray(self.x[self.facets.vertices].T)

    @cached_property
    def design(self):
        return training.Design.of(self.terms, self.x)

    @cached_property
    def fit(self):
        """theta (B, T) and s2 (B,) of the block of pixels by maximum likelihood."""
        theta, s2, status = training.JointFit()(self.block, self.design)
        assert not status.any()
        return theta, s2

    @cached_property
    def block_w(self):
        """Weights of the block of pixels, (B, N)."""
        return self.block.ivar / (1.0 + self.block.ivar * self.fit[1][:, None])

    @cached_property
    def moments(self):
        return self.block_w @ self.design.moments

    @cached_property
    def normal(self):
        """Normal matrices of the block of pixels, (B, T, T)."""
        return self.moments[:, self.design.index]

    @cached_property
    def right(self):
        """Right sides of the block of pixels, (B, T)."""
        return (self.block_w * self.block.flux) @ self.v

    @cached_property
    def lower(self):
        """Factors of the normal matrices, inverse diagonal, (B, T, T)."""
        return pack(np.linalg.cholesky(self.normal))

    def expand(self, x):
        """chi^2 of the spectra at x and its derivatives, straight from the pixels.

        Returns
        -------
        chi2 : ndarray, (S,)
        y : ndarray, (S, T)
            Weighted residuals times theta.
        gradient : ndarray, (S, K)
        normal, hessian : ndarray, (S, K, K)
            J^T W J, and the Hessian of chi^2.
        """
        rows = slice(len(x))
        r = self.flux[rows] - powers(x, self.terms.exponents) @ self.theta.T
        y = (self.w[rows] * r) @ self.theta
        slope, curvature = term_derivatives(x, self.terms.exponents)
        normal = np.einsum("stk,stu,suj->skj", slope, self.gram[rows], slope)
        hessian = 2.0 * (normal - np.einsum("st,stkj->skj", y, curvature))
        gradient = -2.0 * np.einsum("st,stk->sk", y, slope)
        return (self.w[rows] * r * r).sum(axis=1), y, gradient, normal, hessian

    def assert_minima(self, x, value):
        """Check chi^2 (S,) at x (S, K), and that it cannot be lower nearby."""
        chi2, _, gradient, normal, _ = self.expand(x)
        assert_close(value, chi2, 1e-9)
        step = np.linalg.solve(normal, gradient[:, :, None])[:, :, 0]
        assert (gradient * step).sum(axis=1).max() < 1e-4


def powers(x, exponents):
    """Monomials (N, T) of labels (N, K)."""
    return np.prod(x[:, None, :] ** exponents, axis=2)


def term_derivatives(x, exponents):
    """First (N, T, K) and second (N, T, K, K) derivatives of every term."""
    slope = np.empty((*x.shape[:1], *exponents.shape))
    curvature = np.empty((*slope.shape, x.shape[1]))
    unit = np.eye(x.shape[1], dtype=np.int64)
    for k in range(x.shape[1]):
        once = np.maximum(exponents - unit[k], 0)
        slope[:, :, k] = exponents[:, k] * powers(x, once)
        for j in range(x.shape[1]):
            twice = np.maximum(once - unit[j], 0)
            curvature[:, :, k, j] = exponents[:, k] * once[:, j] * powers(x, twice)
    return slope, curvature


def pack(lower):
    """Cholesky factors as the kernels keep them: the diagonal inverted; and back."""
    packed = np.tril(lower)
    i = np.arange(lower.shape[-1])
    packed[..., i, i] = 1.0 / lower[..., i, i]
    return packed


def assert_close(actual, expected, tolerance):
    """Check arrays to a fraction of the largest expected number."""
    expected = np.asarray(expected)
    assert np.isfinite(expected).all()
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def assert_solved(lower, x, expected):
    """Check that x (B, T) solves the factored equations with right sides (B, T)."""
    factors = pack(lower)
    product = factors @ (factors.swapaxes(1, 2) @ x[:, :, None])
    assert_close(product[:, :, 0], expected, 1e-10)


def assert_sparse(world, strength, theta):
    """Check the sub-gradient conditions of penalised fits theta (B, T)."""
    slope = 2.0 * (np.einsum("bij,bj->bi", world.normal, theta) - world.right)
    limit = np.full(N_TERMS, strength)
    limit[0] = 0.0
    error = np.abs(slope + limit * np.sign(theta))
    error[theta == 0.0] = np.maximum(np.abs(slope) - limit, 0.0)[theta == 0.0]
    assert error.max() <= 1e-9 * np.abs(2.0 * world.right).max()


def assert_nearest(world, gradient, x):
    """Check that no vertex lies downhill of x (S, K), where the gradient is (S, K)."""
    ahead = gradient @ world.vertices - (gradient * x).sum(axis=1)[:, None]
    assert ahead.min() >= -1e-6 * np.abs(gradient).max()


def assert_member(world, x):
    """Check that points x (S, K) are weighted means of the vertices."""
    mean = np.vstack([world.vertices, np.ones(world.vertices.shape[1])])
    for point in x:
        assert nnls(mean, np.append(point, 1.0))[1] < 1e-7


@dataclass
class Case:
    """One kernel ready to run.

    Attributes
    ----------
    call : callable
        Runs the kernel.
    check : callable
        Given what `call` returned, asserts that it and the outputs are right.
    reset : callable
        Puts arguments that the kernel overwrites back; not on the clock.
    """

    call: Callable
    check: Callable
    reset: Callable = lambda: None


CASES = {}  # "file.kernel" -> (rows of a call, maker of the `Case`)


def case(module, rows):
    """Register a function of the world as the maker of the `Case` of its namesake."""

    def register(make):
        file = module.__name__.rpartition(".")[2]
        CASES[f"{file}.{make.__name__}"] = rows, make
        return make

    return register


def refill(*pairs):
    """Return a function that copies the second array of every pair into the first."""

    def reset():
        for array, original in pairs:
            np.copyto(array, original)

    return reset


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread():
    with single_threaded_blas():
        yield


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def unit():
    """A function that returns the seconds per row of one product."""
    task, rows = unit_task(threads=1)
    task()  # the first call is slower
    return lambda: clock(task) / rows


@pytest.mark.parametrize("name", CASES)
def test_kernel(name, world, unit, benchmark):
    rows, make = CASES[name]
    made = make(world)
    made.reset()
    made.check(made.call())
    if benchmark.disabled:
        benchmark(lambda: None)  # the check was all that was asked for
        return
    benchmark.group = name.partition(".")[0]
    made.reset()
    rounds = int(np.clip(SECONDS / clock(made.call), *ROUNDS))
    units = []
    counter = itertools.count()

    def prepare():
        if next(counter) % -(-rounds // UNIT_SAMPLES) == 0:
            units.append(unit())
        made.reset()

    benchmark.pedantic(made.call, setup=prepare, rounds=rounds)
    row = benchmark.stats.stats.median / rows
    benchmark.extra_info["rows"] = rows
    benchmark.extra_info["unit"] = float(np.median(units))
    benchmark.extra_info["ratio"] = row / benchmark.extra_info["unit"]


def test_every_public_kernel_has_a_case():
    public = set()
    for file in pkgutil.iter_modules(kernels.__path__):
        module = importlib.import_module(f"{kernels.__name__}.{file.name}")
        for name, value in vars(module).items():
            here = getattr(value, "__module__", None) == module.__name__
            if here and hasattr(value, "py_func") and not name.startswith("_"):
                public.add(f"{file.name}.{name}")
    assert public == set(CASES)


def clock(call):
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# A kernel of less than some ten microseconds is called in a compiled loop, because
# the way from Python into one takes about as long.


def definite(size, n):
    """Positive definite matrices (n, size, size)."""
    a = np.random.default_rng(3).normal(size=(n, 4 * size, size))
    return a.swapaxes(1, 2) @ a


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
    tolerance = training.PIVOT_TOLERANCE

    def check(dropped):
        assert dropped == N_BLOCK
        kept = matrices[:, :-1, :-1]
        assert_close(pack(lower[:, :-1, :-1]), np.linalg.cholesky(kept), 1e-9)
        assert not lower[:, -1].any()

    return Case(lambda: factor_dropping_each(matrices, tolerance, lower), check)


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


@case(continuum, N_SPECTRA)
def fit_linear_rows(world):
    flux, ivar, basis, expected = continuum_fit(world, N_SPECTRA)
    gram, weighted = np.empty((N_FUNCTIONS, N_FUNCTIONS)), np.empty(N_CONTINUUM)
    found, status = np.empty(expected.shape), np.empty(N_SPECTRA, dtype=np.int64)

    def check(_):
        assert (status == continuum.FITTED).all()
        assert_close(found, expected, 1e-10)

    return Case(
        lambda: continuum.fit_linear_rows(
            flux, ivar, basis, gram, weighted, found, status
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
        lambda: continuum.divide_continuum(flux, ivar, level, flux_out, ivar_out), check
    )


@case(finish, N_SPECTRA)
def finish_spectra(world):
    program, _, first, second = world.terms.derivatives
    chi2, y, gradient, normal, hessian = world.expand(world.near)
    x, value, decrease = world.near.copy(), chi2.copy(), np.empty(N_SPECTRA)
    covariance = np.empty(normal.shape)
    status = np.empty(N_SPECTRA, dtype=np.int64)

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
            y,
            hessian,
            program,
            first,
            second,
            world.scales,
            x,
            value,
            decrease,
            covariance,
            status,
        ),
        check,
        refill((x, world.near), (value, chi2)),
    )


def fold_edges():
    return np.linspace(0, N_STARS, N_FOLDS + 1).astype(np.int64)


def fold_arrays(world):
    """Powers (3, B, N) of the weights and, times the residuals, (3, B, N); sums."""
    theta, _ = world.fit
    w = world.block_w
    r = world.block.flux - theta @ world.v.T
    power = np.array([w, w**2, w**3])
    terms = np.array([w, w**2, w**3, w**2 * r**2, w**3 * r**2, w**4 * r**2])
    sums = np.add.reduceat(terms, fold_edges()[:-1], axis=2).transpose(1, 2, 0)
    return power, power * r, np.ascontiguousarray(sums)


@case(folds, N_BLOCK)
def weight_powers(world):
    theta, s2 = world.fit
    flux, ivar, edges = world.block.flux, world.block.ivar, fold_edges()
    model = theta @ world.v.T
    out = [model.copy(), *(np.empty(model.shape) for _ in range(5))]
    sums = np.empty((N_BLOCK, N_FOLDS, 6))
    power, weighted, expected = fold_arrays(world)

    def check(_):
        wr, w, w2, w3, w2r, w3r = out
        assert_close([w, w2, w3], power, 1e-12)
        assert_close([wr, w2r, w3r], weighted, 1e-12)
        assert_close(sums, expected, 1e-12)

    return Case(
        lambda: folds.weight_powers(flux, ivar, s2, edges, *out, sums),
        check,
        refill((out[0], model)),
    )


@case(folds, N_BLOCK)
def leave_folds_out(world):
    theta, s2 = world.fit
    power, weighted, sums = fold_arrays(world)
    parts = list(itertools.pairwise(fold_edges()))
    design = world.design
    moments = np.stack([power[:, :, a:b] @ design.moments[a:b] for a, b in parts], 1)
    vectors = np.stack([weighted[:, :, a:b] @ design.v[a:b] for a, b in parts], 1)
    theta_out = np.empty((N_FOLDS, *theta.shape))
    s2_out, shift = np.empty((N_FOLDS, N_BLOCK)), np.empty((N_FOLDS, N_BLOCK))

    def check(_):
        # the first fold left out for good
        stars = slice(parts[0][1], None)
        block = training.PixelBlock(
            world.block.flux[:, stars].copy(), world.block.ivar[:, stars].copy()
        )
        expected, expected_s2, _ = training.JointFit()(block, design.rows(stars))
        error = np.sqrt(np.linalg.inv(world.normal).diagonal(axis1=1, axis2=2))
        assert (abs(theta_out[0] - expected) / error).max() < 1e-3
        assert_close(s2_out[0], expected_s2, 1e-3)

    return Case(
        lambda: folds.leave_folds_out(
            moments,
            vectors,
            sums,
            design.index,
            training.PIVOT_TOLERANCE,
            theta,
            s2,
            theta_out,
            s2_out,
            shift,
        ),
        check,
    )


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
        np.testing.assert_array_equal(flux, np.where(lost, 1, dirty_flux))
        np.testing.assert_array_equal(ivar, np.where(lost, 0, dirty_ivar))

    return Case(
        lambda: gate.clean_rows(flux, ivar),
        check,
        refill((flux, dirty_flux), (ivar, dirty_ivar)),
    )


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
        np.testing.assert_array_equal(np.flatnonzero(is_vertex), expected)

    return Case(lambda: hull.hull_vertices(points, 1e-12, is_vertex), check)


@case(hull, N_SPECTRA)
def outside_hull(world):
    x = 1.5 * world.x[-N_SPECTRA:]
    nearest, outside = np.empty(x.shape), np.empty(N_SPECTRA, dtype=bool)
    margin = inference.HULL_MARGIN

    def check(_):
        height = x @ world.facets.equations[:, :-1].T + world.facets.equations[:, -1]
        np.testing.assert_array_equal(outside, height.max(axis=1) > margin)
        np.testing.assert_array_equal(nearest[~outside], x[~outside])
        assert_nearest(world, (nearest - x)[outside], nearest[outside])

    return Case(
        lambda: hull.outside_hull(x, world.vertices, margin, nearest, outside), check
    )


@case(hull, N_SPECTRA)
def confine_spectra(world):
    program, gather, degree = world.terms.hessian
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
            world.coefficients,
            starts,
            gather,
            program,
            degree,
            vertices,
            inference.MOST_STEPS,
            inference.STEP_TOLERANCE,
            x,
            value,
        ),
        check,
        refill((x, begin)),
    )


STRENGTHS = np.geomspace(1e5, 1e2, 7)


@numba.njit
def violation_each(normal, right, strength, theta, out):
    for i in range(normal.shape[0]):
        out[i] = lasso.violation(normal[i], right[i], strength, theta[i])


@case(lasso, N_BLOCK)
def violation(world):
    theta = 1.01 * world.fit[0]
    strength = STRENGTHS[3]
    found = np.empty(N_BLOCK)

    def check(_):
        slope = 2.0 * (np.einsum("bij,bj->bi", world.normal, theta) - world.right)
        slope[:, 1:] += strength * np.sign(theta[:, 1:])
        largest = np.abs(2.0 * world.right).max(axis=1)
        assert_close(found, np.abs(slope).max(axis=1) / largest, 1e-10)

    return Case(
        lambda: violation_each(world.normal, world.right, strength, theta, found), check
    )


@numba.njit
def coordinate_descent_each(
    normal, right, strength, tolerance, rounds, lower, work, active, theta_inout
):
    failed = 0
    for i in range(normal.shape[0]):
        failed += lasso.coordinate_descent(
            normal[i],
            right[i],
            strength,
            tolerance,
            rounds,
            lower,
            work,
            active,
            theta_inout[i],
        )
    return failed


@case(lasso, N_BLOCK)
def coordinate_descent(world):
    theta, start = np.empty(world.right.shape), np.zeros(world.right.shape)
    lower, work = np.empty((N_TERMS, N_TERMS)), np.empty(N_TERMS)
    active = np.empty(N_TERMS, dtype=np.int64)
    strength = STRENGTHS[3]

    def check(failed):
        assert failed == 0
        assert (theta == 0.0).any()
        assert_sparse(world, strength, theta)

    return Case(
        lambda: coordinate_descent_each(
            world.normal,
            world.right,
            strength,
            training.LASSO_TOLERANCE,
            training.LASSO_ROUNDS,
            lower,
            work,
            active,
            theta,
        ),
        check,
        refill((theta, start)),
    )


@case(lasso, N_BLOCK)
def lasso_path(world):
    shape = len(STRENGTHS), N_BLOCK
    theta, worst = np.empty((*shape, N_TERMS)), np.empty(shape)
    status = np.empty(shape, dtype=np.int64)

    def check(_):
        assert not status.any()
        for strength, fit in zip(STRENGTHS, theta, strict=True):
            assert_sparse(world, strength, fit)

    return Case(
        lambda: lasso.lasso_path(
            world.moments,
            world.design.index,
            world.right,
            STRENGTHS,
            training.LASSO_TOLERANCE,
            training.LASSO_ROUNDS,
            theta,
            worst,
            status,
        ),
        check,
    )


@case(least_squares, N_BLOCK)
def gather_pixels(world):
    # the rows are as far apart as in a whole training set, the memory is not used
    spectra = np.zeros((N_STARS, N_PIXELS), dtype=np.float32)
    pixels = np.arange(1000, 1000 + N_BLOCK)
    spectra[:, pixels] = world.block.flux.T
    stars = np.arange(N_STARS)
    block = np.empty((N_BLOCK, N_STARS), dtype=np.float32)
    return Case(
        lambda: least_squares.gather_pixels(spectra, stars, pixels, block),
        lambda _: np.testing.assert_array_equal(block, world.block.flux),
    )


@case(least_squares, N_BLOCK)
def train_weights(world):
    w = np.empty((N_BLOCK, N_STARS))
    return Case(
        lambda: least_squares.train_weights(world.block.ivar, world.fit[1], w),
        lambda _: assert_close(w, world.block_w, 1e-12),
    )


@case(least_squares, N_BLOCK)
def factor_normal(world):
    lower = np.zeros((N_BLOCK, N_TERMS, N_TERMS))
    dropped = np.empty(N_BLOCK, dtype=np.int64)

    def check(_):
        assert not dropped.any()
        assert_close(pack(lower), pack(world.lower), 1e-9)

    return Case(
        lambda: least_squares.factor_normal(
            world.moments, world.design.index, training.PIVOT_TOLERANCE, lower, dropped
        ),
        check,
    )


@case(least_squares, N_BLOCK)
def solve_rows(world):
    theta = world.right.copy()
    return Case(
        lambda: least_squares.solve_rows(world.lower, theta),
        lambda _: assert_solved(world.lower, theta, world.right),
        refill((theta, world.right)),
    )


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
    work = np.empty(rows.shape[1] + rows.shape[2] + 5 * N_LABELS)
    work_matrix = np.empty((3, N_LABELS, N_LABELS))

    def check(failed):
        assert failed == 0
        world.assert_minima(x, value)

    return Case(
        lambda: descend_each(
            rows,
            program,
            degree,
            inference.MOST_STEPS,
            inference.STEP_TOLERANCE,
            work,
            work_matrix,
            x,
            value,
        ),
        check,
        refill((x, start)),
    )


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
            np.testing.assert_array_equal(found, expected[:N_DESCENTS])

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
        np.testing.assert_array_equal(known, (distance < 0.01).any(axis=1))
        assert known.sum() == N_DESCENTS

    return Case(lambda: is_known_each(x, metric, found_x, known), check)


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
            np.testing.assert_array_equal(at, x[rows, order[:, place]])
            np.testing.assert_array_equal(found, value[rows, order[:, place]])
        near = value <= value.min(axis=1, keepdims=True) + 9.0
        np.testing.assert_array_equal(minima, near.sum(axis=1))

    return Case(
        lambda: rank_minima_each(x, value, best_x, best, other_x, other, minima), check
    )


@case(levenberg, N_SPECTRA)
def descend_spectra(world):
    program, gather, degree = world.terms.hessian
    found = inference.Minima.empty(N_SPECTRA, N_LABELS)

    def check(_):
        assert (found.status == levenberg.CONVERGED).all()
        world.assert_minima(found.x, found.value)
        assert (found.value <= world.start_values.min(axis=1)).all()
        assert_close(found.hessian, world.expand(found.x)[-1], 1e-8)

    return Case(
        lambda: levenberg.descend_spectra(
            world.coefficients,
            world.start_values,
            world.starts,
            world.neighbours,
            N_DESCENTS,
            gather,
            program,
            degree,
            inference.MOST_STEPS,
            inference.STEP_TOLERANCE,
            *found.outputs(),
        ),
        check,
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
        lambda _: np.testing.assert_array_equal(rows, world.hessian_rows),
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


@case(scatter, N_BLOCK)
def scatter_sums(world):
    theta, s2 = world.fit
    flux, ivar, w = world.block.flux, world.block.ivar, world.block_w
    model = theta @ world.v.T
    wr, w2r, sums = model.copy(), np.empty(model.shape), np.empty((N_BLOCK, 5))

    def check(_):
        r = flux - model
        assert_close(wr, w * r, 1e-12)
        assert_close(w2r, w**2 * r, 1e-12)
        terms = w, w**2, w**3, (w * r) ** 2, w * (w * r) ** 2
        assert_close(sums.T, [term.sum(axis=1) for term in terms], 1e-12)

    return Case(
        lambda: scatter.scatter_sums(flux, ivar, s2, wr, w2r, sums),
        check,
        refill((wr, model)),
    )


@case(scatter, N_BLOCK)
def start_scatter(world):
    flux, ivar = world.block.flux, world.block.ivar
    model = world.fit[0] @ world.v.T
    grid, steps = training.SCATTER_GRID, training.SCATTER_STEPS
    work, s2 = np.empty(len(grid)), np.empty(N_BLOCK)

    def check(_):
        # the slope of the likelihood in s2 vanishes; the error of s2 is (2 / w2)^1/2
        w = ivar / (1.0 + ivar * s2[:, None])
        slope = (w**2 * (flux - model) ** 2 - w).sum(axis=1)
        w2 = (w**2).sum(axis=1)
        off = np.where((s2 == 0.0) & (slope < 0.0), 0.0, slope / w2)
        assert (abs(off) / np.sqrt(2.0 / w2)).max() < 0.01

    return Case(
        lambda: scatter.start_scatter(flux, ivar, model, grid, steps, work, s2), check
    )


@case(scatter, N_BLOCK)
def joint_step(world):
    theta, s2 = world.fit
    begin_theta, begin_s2 = 1.001 * theta, 0.9 * s2 + 1e-6
    scale = training.typical_variance(world.block)
    sums, g, q = training.likelihood_gradient(
        world.block, begin_theta, begin_s2, world.design
    )
    gradient, cross = g.copy(), q.copy()
    new_theta, new_s2 = begin_theta.copy(), begin_s2.copy()
    status = np.empty(N_BLOCK, dtype=np.int64)
    tolerance = training.STEP_TOLERANCE

    def check(_):
        step = np.linalg.solve(world.normal, g[:, :, None])[:, :, 0]
        cross_step = np.linalg.solve(world.normal, q[:, :, None])[:, :, 0]
        w1, w2, w3, r2, r3 = sums.T
        psi = r2 - w1 - 2.0 * (q * step).sum(axis=1)
        curvature = (q * cross_step).sum(axis=1)
        slope = (w2 - 2.0 * r3 + 2.0 * curvature) / w2 + 2.0 * psi * w3 / w2**2
        newton = (slope > -5.0) & (slope < -0.2)
        delta = psi / w2 / np.where(newton, -slope, 1.0)
        delta = np.maximum(delta, -begin_s2)
        assert_close(new_s2, begin_s2 + delta, 1e-9)
        expected = begin_theta + step - delta[:, None] * cross_step
        assert_close(new_theta, expected, 1e-9)
        assert not status.any()

    return Case(
        lambda: scatter.joint_step(
            sums,
            gradient,
            cross,
            world.lower,
            scale,
            tolerance,
            new_theta,
            new_s2,
            status,
        ),
        check,
        refill((gradient, g), (cross, q), (new_theta, begin_theta), (new_s2, begin_s2)),
    )


@case(scatter, N_BLOCK)
def median_scatter(world):
    flux, ivar = world.block.flux, world.block.ivar
    model = 0.98 * world.fit[0] @ world.v.T  # poor, so that s2 is not 0
    work, s2 = np.empty(N_STARS), np.empty(N_BLOCK)

    def check(_):
        variance = 1.0 / np.where(ivar > 0, ivar, np.nan).astype(np.float64)
        excess = (flux - model) ** 2 - variance
        assert_close(s2, np.maximum(np.nanmedian(excess, axis=1), 0.0), 1e-6)
        assert s2.min() > 0.0

    return Case(lambda: scatter.median_scatter(flux, ivar, model, work, s2), check)


@case(stream, 1)
def normal_equations(world):
    program, where, first, _ = world.terms.derivatives
    x, flux, w = world.near[0], world.flux[0], world.w[0]
    work_m, work_rows = np.empty(len(program)), np.empty((N_LABELS + 2, weights.CHUNK))
    gradient, normal = np.empty(N_LABELS), np.empty((N_LABELS, N_LABELS))

    def check(value):
        chi2, _, expected, expected_normal, _ = world.expand(world.near[:1])
        assert_close(value, chi2[0], 1e-10)
        assert_close(gradient, -0.5 * expected[0], 1e-9)
        assert_close(normal, expected_normal[0], 1e-10)

    return Case(
        lambda: stream.normal_equations(
            x,
            flux,
            w,
            world.chunks,
            program,
            where,
            first,
            work_m,
            work_rows,
            gradient,
            normal,
        ),
        check,
    )


@case(stream, N_STREAM)
def stream_spectra(world):
    program, where, first, _ = world.terms.derivatives
    found = inference.Minima.empty(N_STREAM, N_LABELS)
    rows = slice(N_STREAM)

    def check(_):
        assert (found.status == levenberg.CONVERGED).all()
        world.assert_minima(found.x, found.value)
        assert (found.value <= world.start_values[rows].min(axis=1)).all()
        assert_close(found.hessian, 2.0 * world.expand(found.x)[3], 1e-8)

    return Case(
        lambda: stream.stream_spectra(
            world.flux[rows],
            world.w[rows],
            world.chunks,
            world.start_values[rows],
            world.starts,
            world.neighbours,
            N_DESCENTS,
            program,
            where,
            first,
            inference.MOST_STEPS,
            inference.STEP_TOLERANCE,
            *found.outputs(),
        ),
        check,
    )


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
        np.testing.assert_array_equal(used, np.count_nonzero(world.ivar, axis=1))

    return Case(
        lambda: weights.weigh_spectra(
            world.flux, world.ivar, s2, pivot, w, wr, constant, used
        ),
        check,
    )


@case(weights, N_PIXELS)
def chunk_theta(world):
    chunks = np.empty(world.chunks.shape)
    return Case(
        lambda: weights.chunk_theta(world.theta, chunks),
        lambda _: np.testing.assert_array_equal(chunks, world.chunks),
    )


@case(weights, N_SPECTRA)
def weigh_residuals(world):
    first = 1000
    piece = slice(first, first + inference.RESIDUAL_PIECE)
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
