"""What the cases of the kernels share: their registry, their data, NumPy's answers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull

from bench.clock import STARS
from fastcannon import inference, training
from fastcannon.kernels import weights
from fastcannon.selftest.speed import PIXELS
from fastcannon.starts import make_starts, nearest_starts
from fastcannon.terms import Terms

N_STARS, N_PIXELS, N_LABELS, N_TERMS = STARS, PIXELS, 6, 28
N_SPECTRA = inference.SPECTRA_BLOCK
N_BLOCK = training.PIXEL_BLOCK
STEPS = inference.MOST_STEPS, inference.STEP_TOLERANCE  # of a descent


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
        return make_starts(self.x)

    @cached_property
    def neighbours(self):
        return nearest_starts(self.starts)

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


def definite(size, n):
    """Positive definite matrices (n, size, size)."""
    a = np.random.default_rng(3).normal(size=(n, 4 * size, size))
    return a.swapaxes(1, 2) @ a


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
