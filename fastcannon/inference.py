"""Inference: labels of spectra from a trained model.

chi^2 of a spectrum is a polynomial in its labels. For a block of spectra all its
coefficients are one matrix product; descents from many starts on the polynomial then
cost almost nothing, and a last step uses the pixels again in double precision
(kernels/README.md). For very many labels the polynomial is longer than the spectrum,
and a kernel that streams over the pixels takes over; both minimise the same chi^2.
"""

from dataclasses import dataclass

import numpy as np

from .arrays import clean_block
from .errors import InputError, check_whole
from .kernels.finish import finish_spectra
from .kernels.hull import confine_spectra, outside_hull
from .kernels.levenberg import CONVERGED, descend_spectra
from .kernels.medians import CHUNK, median_snr
from .kernels.polynomial import pair_products
from .kernels.stream import stream_spectra
from .kernels.weights import CHUNK as CHUNK_PIXELS
from .kernels.weights import chunk_theta, weigh_residuals, weigh_spectra
from .parallel import Scratch, ranges, run_blocks
from .result import STAR_STATUS, InferenceResult
from .starts import nearest_starts

SPECTRA_BLOCK = 256
ROWS_IN_CACHE = 16
MOST_STEPS = 100
STEP_TOLERANCE = 1e-6  # predicted decrease of chi^2 that ends a descent
REFINEMENTS = 20  # last steps in double precision, where one is not enough
GAUSS_NEWTON_TOLERANCE = 1e-9  # the same for its steps, which converge linearly
HULL_MARGIN = 1e-6  # scaled labels
TIE_PRECISION = 1e-5  # relative precision of chi^2 from single-precision products
RESIDUAL_PIECE = 512  # pixels at a time in double precision
TABLE_PIECE = 512  # pixels of the product table at a time, where it is not kept
# costs per pixel, in multiply-adds of a single-precision matrix product; measured
PRODUCT_COST = 1.0
TABLE_COST = 60.0
STREAM_COST = 14.0
STREAM_STEPS = 8  # evaluations in a descent
LARGEST_TABLE = 2**29  # bytes


def choose_method(terms, n_pixels, n_spectra, n_descents):
    """Choose the cheaper method, "compressed" or "streaming", by a cost model.

    Compressed: the table of products is made once (T^2 per pixel), then one product per
    spectrum. Streaming: a pass over the pixels per step of every descent. The constants
    were measured for K = 3 to 17, where compressed wins by 20 times and more; streaming
    is for models whose table would not fit the memory.

    Parameters
    ----------
    terms : Terms
        T of them.
    n_pixels, n_spectra : int
    n_descents : int
        Of each spectrum.

    Returns
    -------
    str
    """
    n_labels = terms.exponents.shape[1]
    n_terms, n_pairs = len(terms), len(terms.pairs[0])
    if n_pairs * n_pixels * 4 > LARGEST_TABLE:
        return "streaming"
    compressed = PRODUCT_COST * n_pairs + TABLE_COST * n_terms**2 / n_spectra
    per_pixel = n_terms + len(terms.derivatives[2]) + n_labels * (n_labels + 1) / 2
    streaming = STREAM_COST * STREAM_STEPS * n_descents * per_pixel
    return "compressed" if compressed <= streaming else "streaming"


@dataclass
class Minima:
    """Lowest and second lowest minimum of every spectrum of a block, scaled labels.

    Attributes
    ----------
    x, other_x : ndarray, (S, K)
        NaN where there is none.
    value, other_value : ndarray, (S,)
        Their chi^2.
    hessian : ndarray, (S, K, K)
        Of chi^2 at x.
    count : ndarray, (S,), int64
        Minima within 9 of the lowest.
    status : ndarray, (S,), int64
        Of `kernels.levenberg`.
    """

    x: np.ndarray
    value: np.ndarray
    hessian: np.ndarray
    other_x: np.ndarray
    other_value: np.ndarray
    count: np.ndarray
    status: np.ndarray

    @classmethod
    def empty(cls, n_spectra, n_labels):
        return cls(
            x=np.empty((n_spectra, n_labels)),
            value=np.empty(n_spectra),
            hessian=np.full((n_spectra, n_labels, n_labels), np.nan),
            other_x=np.empty((n_spectra, n_labels)),
            other_value=np.empty(n_spectra),
            count=np.empty(n_spectra, dtype=np.int64),
            status=np.empty(n_spectra, dtype=np.int64),
        )

    def outputs(self):
        return (
            self.x,
            self.value,
            self.hessian,
            self.other_x,
            self.other_value,
            self.count,
            self.status,
        )


class Inferrer:
    """Everything of a model that inference of many spectra needs, prepared once.

    Parameters
    ----------
    label_names : sequence of str
    terms : Terms
    theta, s2 : ndarray, (P, T), (P,)
    fiducials, scales : ndarray, (K,)
    starts : ndarray, (J, K)
        Scaled labels; the first is the fiducial point.
    hull : ndarray (K, n) or None
        Vertices of the hull of the training labels, scaled.
    n_starts : int
        Descents per spectrum; 1 descends from the fiducial point alone.
    n_spectra : int
        Number of spectra to come, for the choice of method.
    precision : {"single", "double"}
        Of the large matrix products. The last step is in double precision always.
    method : {"auto", "compressed", "streaming"}
    """

    def __init__(
        self,
        label_names,
        terms,
        theta,
        s2,
        fiducials,
        scales,
        starts,
        hull,
        n_starts=8,
        n_spectra=1,
        precision="single",
        method="auto",
    ):
        if precision not in ("single", "double"):
            raise InputError(
                f"precision is {precision!r}; 'single' or 'double' expected"
            )
        if method not in ("auto", "compressed", "streaming"):
            raise InputError(
                f"method is {method!r}; 'auto', 'compressed' or 'streaming' expected"
            )
        n_starts = check_whole(n_starts, "starts")
        self.label_names = tuple(label_names)
        self.terms = terms
        self.fiducials, self.scales = fiducials, scales
        self.theta = np.ascontiguousarray(theta, dtype=np.float64)
        self.s2 = np.asarray(s2, dtype=np.float64)
        self.dtype = np.float32 if precision == "single" else np.float64
        self.starts = starts if n_starts > 1 else starts[:1]
        self.n_descents = min(n_starts, len(self.starts))
        self.neighbours = nearest_starts(self.starts)
        self.hull = hull
        if hull is not None:
            _, outside = self._project(starts)
            self.inside_starts = starts[~outside]
            self._inside_pairs = terms.pair_vectors(self.inside_starts).T
        if method == "auto":
            method = choose_method(terms, len(self.s2), n_spectra, self.n_descents)
        self.method = method
        self._scratch = Scratch()
        self._prepare_products()

    def infer(self, flux, ivar, threads=None, progress=None):
        """Infer the labels of spectra that `arrays.check_spectra` let pass, (S, P)."""
        result = InferenceResult.empty(self.label_names, len(flux))

        def task(start, stop):
            rows = slice(start, stop)
            # cleaned here, because the block is in the cache when it is weighed
            clean_flux, clean_ivar, n_bad = clean_block(flux[rows], ivar[rows])
            result.put(rows, self._infer_block(clean_flux, clean_ivar))
            return n_bad

        def advance(block):
            progress(block[1] - block[0])

        # fixed cuts: equal bytes whether spectra come at once or in parts
        blocks = ranges(len(flux), SPECTRA_BLOCK)
        advance = None if progress is None else advance
        result.bad_pixels = sum(run_blocks(task, blocks, threads, advance))
        return result

    def _infer_block(self, flux, ivar):
        found = InferenceResult.empty(self.label_names, len(flux))
        w, wr, constant = self._weigh(flux, ivar, found)
        if self.method == "compressed":
            coefficients = self._coefficients(w, wr, constant)
            minima = self._descend(coefficients)
        else:
            minima = self._stream(flux, w, wr, constant)
        status = self._refine(flux, ivar, minima, found)
        if self.method == "compressed" and self.dtype == np.float32:
            self._settle_ties(flux, ivar, coefficients, constant, minima, found, status)

        inside_x, outside = minima.x.copy(), np.zeros(len(flux), dtype=bool)
        found.inside_chi2[:] = found.chi2
        if self.hull is not None:
            inside_x, outside = self._project(minima.x)
            if outside.any():
                rows = np.flatnonzero(outside)
                if self.method == "streaming":
                    # Of all of the block, which costs up to a block's products for
                    # one star: products of fewer rows may round in another way.
                    coefficients = self._coefficients(w, wr, constant)
                inside_x[rows], found.inside_chi2[rows] = self._confine(
                    coefficients[rows], inside_x[rows]
                )
        status |= np.where(outside, STAR_STATUS["OUTSIDE_HULL"], 0)
        found.minima[:] = minima.count
        found.labels[:] = minima.x * self.scales + self.fiducials
        found.inside_labels[:] = inside_x * self.scales + self.fiducials
        self._finish(found, status)
        return found

    def _prepare_products(self):
        """Tables whose products with the weights give chi^2 as polynomials."""
        self._theta_t = np.ascontiguousarray(self.theta.T)
        pairs, index = self.terms.pairs
        pivoted = self.theta.copy()
        pivoted[:, 0] = 0.0
        self._linear = index[0, 1:]
        self._tail = np.ascontiguousarray(self.theta[:, 1:], dtype=self.dtype)
        self._columns = None
        if self.method == "compressed":
            self._columns = pair_products(pivoted, index, len(pairs), self.dtype)
            self._start_pairs = self.terms.pair_vectors(self.starts).T
        else:
            n_chunks = -(-len(self.s2) // CHUNK_PIXELS)
            self._chunks = np.empty((n_chunks, len(self.terms), CHUNK_PIXELS))
            chunk_theta(self.theta, self._chunks)
            self._start_flux = pivoted @ self.terms.vectors(self.starts).T
        self._pivoted = pivoted

    def _weigh(self, flux, ivar, found):
        """Return weights and weighted pivoted flux (S, P), and their constant (S,).

        ``found`` gets signal to noise and the number of pixels.
        """
        w = self._scratch.array("w", flux.shape, self.dtype)
        wr = self._scratch.array("wr", flux.shape, self.dtype)
        constant = np.empty(len(flux))
        s2, pivot = self.s2.astype(self.dtype), self.theta[:, 0].astype(self.dtype)
        padded = -(-flux.shape[1] // CHUNK) * CHUNK
        work_y = self._scratch.array("y", (padded,), np.float32)
        work_kept = self._scratch.array("kept", (padded + 1,), np.float32)
        # few rows at a time, so that the median finds them in the cache
        for start, stop in ranges(len(flux), ROWS_IN_CACHE):
            rows = slice(start, stop)
            weigh_spectra(
                flux[rows],
                ivar[rows],
                s2,
                pivot,
                w[rows],
                wr[rows],
                constant[rows],
                found.n_pixels[rows],
            )
            median_snr(flux[rows], w[rows], work_y, work_kept, found.snr[rows])
        return w, wr, constant

    def _coefficients(self, w, wr, constant):
        """chi^2 of a block of spectra as polynomials, (S, Q)."""
        if self._columns is not None:
            coefficients = (w @ self._columns).astype(np.float64, copy=False)
        else:
            # few spectra, long polynomials: the table a piece at a time
            pairs, index = self.terms.pairs
            coefficients = np.zeros((len(w), len(pairs)))
            for start, stop in ranges(w.shape[1], TABLE_PIECE):
                piece = pair_products(
                    self._pivoted[start:stop], index, len(pairs), self.dtype
                )
                coefficients += w[:, start:stop] @ piece
        coefficients[:, self._linear] -= 2.0 * (wr @ self._tail)
        coefficients[:, 0] += constant
        return coefficients

    def _descend(self, coefficients):
        minima = Minima.empty(len(coefficients), len(self.scales))
        program, gather, degree = self.terms.hessian
        descend_spectra(
            coefficients,
            coefficients @ self._start_pairs,
            self.starts,
            self.neighbours,
            self.n_descents,
            gather,
            program,
            degree,
            MOST_STEPS,
            STEP_TOLERANCE,
            *minima.outputs(),
        )
        return minima

    def _stream(self, flux, w, wr, constant):
        minima = Minima.empty(len(flux), len(self.scales))
        program, where, first, _ = self.terms.derivatives
        start_values = constant[:, None] - 2.0 * (wr @ self._start_flux)
        start_values += w @ np.square(self._start_flux)
        stream_spectra(
            flux,
            w.astype(np.float64, copy=False),
            self._chunks,
            start_values,
            self.starts,
            self.neighbours,
            self.n_descents,
            program,
            where,
            first,
            MOST_STEPS,
            STEP_TOLERANCE,
            *minima.outputs(),
        )
        return minima

    def _refine(self, flux, ivar, minima, found):
        """Newton steps with residuals in double precision; covariance and chi2."""
        status = np.where(minima.status == CONVERGED, 0, STAR_STATUS["NOT_CONVERGED"])
        program, _, first, second = self.terms.derivatives
        tolerance = STEP_TOLERANCE
        if self.method == "streaming":
            second = second[:0]  # its Hessian is 2 J^T W J already
            tolerance = GAUSS_NEWTON_TOLERANCE
        rows = np.arange(len(flux))
        for _ in range(REFINEMENTS):
            x, hessian = minima.x[rows], minima.hessian[rows]
            chi2, projected = self._residuals(flux, ivar, x)
            decrease = np.empty(len(rows))
            covariance = np.empty(hessian.shape)
            singular = np.empty(len(rows), dtype=np.int64)
            finish_spectra(
                projected,
                hessian,
                program,
                first,
                second,
                self.scales,
                x,
                chi2,
                decrease,
                covariance,
                singular,
            )
            minima.x[rows], found.chi2[rows] = x, chi2
            found.covariance[rows] = covariance
            status[rows] &= ~STAR_STATUS["SINGULAR"]
            status[rows] |= singular * STAR_STATUS["SINGULAR"]
            again = decrease > tolerance
            rows, flux, ivar = rows[again], flux[again], ivar[again]
            if not len(rows):
                break
        status[rows] |= STAR_STATUS["NOT_CONVERGED"]
        return status

    def _residuals(self, flux, ivar, x):
        """chi2 at x and the weighted residuals times theta, (S,) and (S, T)."""
        vectors = self.terms.vectors(x)
        chi2, projected = np.zeros(len(x)), np.zeros(vectors.shape)
        # a piece of the pixels at a time, so that the model stays in the cache
        for start, stop in ranges(flux.shape[1], RESIDUAL_PIECE):
            piece = self._scratch.array("piece", (len(x), stop - start), np.float64)
            np.matmul(vectors, self._theta_t[:, start:stop], out=piece)
            weigh_residuals(flux, ivar, self.s2, start, piece, chi2)
            projected += piece @ self.theta[start:stop]
        return chi2, projected

    def _settle_ties(self, flux, ivar, coefficients, constant, minima, found, status):
        """Let double precision choose between minima that single cannot tell apart."""
        doubt = minima.other_value < minima.value + TIE_PRECISION * constant
        rows = np.flatnonzero(doubt)
        if not len(rows):
            return
        other_chi2, _ = self._residuals(flux[rows], ivar[rows], minima.other_x[rows])
        rows = rows[other_chi2 < found.chi2[rows]]
        program, gather, degree = self.terms.hessian
        for row in rows:
            again = Minima.empty(1, len(self.scales))
            descend_spectra(
                coefficients[row : row + 1],
                np.zeros((1, 1)),
                minima.other_x[row : row + 1].copy(),
                np.zeros((1, 0), dtype=np.int64),
                1,
                gather,
                program,
                degree,
                MOST_STEPS,
                STEP_TOLERANCE,
                *again.outputs(),
            )
            one = InferenceResult.empty(self.label_names, 1)
            status[row] = self._refine(
                flux[row : row + 1], ivar[row : row + 1], again, one
            )[0]
            minima.x[row] = again.x[0]
            found.chi2[row], found.covariance[row] = one.chi2[0], one.covariance[0]

    def _project(self, x):
        """Nearest points of the hull and which stars lie outside."""
        nearest = np.empty(x.shape)
        outside = np.empty(len(x), dtype=bool)
        outside_hull(x, self.hull, HULL_MARGIN, nearest, outside)
        return nearest, outside

    def _confine(self, coefficients, x):
        """Lowest point of every spectrum inside the hull and its chi2."""
        x = x.copy()
        value = np.empty(len(x))
        program, gather, degree = self.terms.hessian
        best = np.argmin(coefficients @ self._inside_pairs, axis=1)
        confine_spectra(
            coefficients,
            self.inside_starts[best],
            gather,
            program,
            degree,
            self.hull,
            MOST_STEPS,
            STEP_TOLERANCE,
            x,
            value,
        )
        return x, value

    def _finish(self, found, status):
        """Reduced chi2, and NaN for spectra without enough pixels."""
        n_labels = len(self.label_names)
        freedom = found.n_pixels - n_labels - 1
        found.r_chi2[:] = np.divide(
            found.chi2, freedom, out=np.full(len(freedom), np.nan), where=freedom > 0
        )
        empty = found.n_pixels <= n_labels
        for name in ("labels", "inside_labels", "covariance", "chi2", "inside_chi2"):
            getattr(found, name)[empty] = np.nan
        found.r_chi2[empty] = np.nan
        found.minima[empty] = 0
        found.status[:] = np.where(empty, STAR_STATUS["NO_DATA"], status)
