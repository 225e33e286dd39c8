"""Plain NumPy twins of the kernels of labels, weights and matrices: start reading here.

Convention: a twin has the name and the arguments of its kernel, but takes no scratch,
leaves its arguments as they are and returns its results in the order of the kernel's
outputs. Tables that only serve speed are replaced by the exponents they come from, and
sums that the kernels share by the spectra themselves, so that a twin is the formula.
The twins of training are in `reference_training`, those of inference in
`reference_inference`, those of continua in `reference_continuum`.
"""

import numpy as np

LARGEST_FLUX, LARGEST_IVAR = 1e10, 1e15  # beyond: no normalised spectrum


def monomial_values(x, exponents):
    """Evaluate the terms at one point.

    Parameters
    ----------
    x : ndarray, (K,)
    exponents : ndarray, (T, K), int64

    Returns
    -------
    ndarray, (T,)
    """
    return np.prod(x**exponents, axis=1)


def label_vectors(x, exponents):
    """Evaluate the label vectors (N, T) of stars x (N, K) (Ness+2015 eq. 9)."""
    return np.prod(x[:, None, :] ** exponents, axis=2)


def label_jacobian(x, exponents):
    """Return d v_t / d x_k, (T, K), at one point x (K,)."""
    columns = []
    for k in range(len(x)):
        lower = exponents.copy()
        lower[:, k] = np.maximum(lower[:, k] - 1, 0)
        columns.append(exponents[:, k] * monomial_values(x, lower))
    return np.column_stack(columns)


def accumulate_pairs(theta, index, n_pairs):
    """Add theta_i theta_j of every pixel to the column of their monomial.

    Parameters
    ----------
    theta : ndarray, (P, T)
    index : ndarray, (T, T), int64
    n_pairs : int
        Q.

    Returns
    -------
    ndarray, (P, Q)
    """
    columns = np.zeros((len(theta), n_pairs))
    for i, row in enumerate(index):
        for j, q in enumerate(row):
            columns[:, q] += theta[:, i] * theta[:, j]
    return columns


def weigh_spectra(flux, ivar, s2, theta0):
    """Return weights, weighted pivoted fluxes, their chi^2 and the pixels used.

    Parameters
    ----------
    flux, ivar : ndarray, (S, P)
    s2, theta0 : ndarray, (P,)

    Returns
    -------
    w, wr : ndarray, (S, P)
    constant : ndarray, (S,)
    used : ndarray, (S,), int64
    """
    w = _weights(ivar.astype(float), s2)
    r = flux - theta0
    return w, w * r, (w * r * r).sum(axis=1), np.count_nonzero(w, axis=1)


def chunk_theta(theta, chunk):
    """Arrange coefficients (P, T) in chunks of pixels, (C, T, chunk), padded by 0."""
    n_chunks = -(-len(theta) // chunk)
    padded = np.zeros((n_chunks * chunk, theta.shape[1]))
    padded[: len(theta)] = theta
    return padded.reshape(n_chunks, chunk, -1).swapaxes(1, 2)


def weigh_residuals(flux, ivar, s2, first, model, chi2):
    """Return the weighted residuals of some pixels, and chi2 with them added.

    Parameters
    ----------
    flux, ivar : ndarray, (S, P)
    s2 : ndarray, (P,)
    first : int
    model : ndarray, (S, B)
        Of the pixels from ``first`` on.
    chi2 : ndarray, (S,)
    """
    pixels = slice(first, first + model.shape[1])
    w = _weights(ivar[:, pixels].astype(float), s2[pixels])
    r = flux[:, pixels] - model
    return w * r, chi2 + (w * r * r).sum(axis=1)


def _weights(ivar, s2):
    known = np.isfinite(s2)
    return np.where(known, ivar / (1 + ivar * np.where(known, s2, 0)), 0)


def median_snr(flux, w):
    """Return median(flux sqrt(w)) of spectra where w > 0, (S,); NaN if nowhere."""
    values = flux * np.sqrt(w.astype(float))
    return np.array(
        [
            np.median(row[some > 0]) if (some > 0).any() else np.nan
            for row, some in zip(values, w, strict=True)
        ]
    )


def count_bad(flux, ivar):
    """Count pixels that need cleaning, and those of ivar 0 whose flux is no number."""
    good_flux = abs(flux) < LARGEST_FLUX
    good = (ivar >= 0) & (ivar < LARGEST_IVAR) & (good_flux | (ivar == 0))
    return np.count_nonzero(~good), np.count_nonzero((ivar == 0) & ~good_flux)


def clean_rows(flux, ivar):
    """Return flux and ivar with unusable pixels at flux 1 and ivar 0."""
    good = (abs(flux) < LARGEST_FLUX) & (ivar > 0) & (ivar < LARGEST_IVAR)
    return np.where(good, flux, 1), np.where(good, ivar, 0)


def keep_rows(flux, ivar, inside, limit):
    """Return the usable pixels of some regions; elsewhere flux 1 and ivar 0."""
    good = inside & np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0)
    return np.where(good, flux, 1), np.where(good, np.minimum(ivar, limit), 0)


def factor(matrix):
    """Factor a positive definite matrix by LAPACK.

    Parameters
    ----------
    matrix : ndarray, (n, n)

    Returns
    -------
    lower : ndarray, (n, n)
        With the inverse of its diagonal on the diagonal.
    status : int
        1 where the matrix is not positive definite.
    """
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return np.full(matrix.shape, np.nan), 1
    np.fill_diagonal(lower, 1 / np.diag(lower))
    return lower, 0


def factor_dropping(matrix, tolerance):
    """Factor a semi-definite matrix, dropping rows that depend on earlier ones.

    Parameters
    ----------
    matrix : ndarray, (n, n)
    tolerance : float
        Smallest accepted Schur complement relative to the diagonal element.

    Returns
    -------
    lower : ndarray, (n, n)
        As in `factor`; zero in dropped rows and columns.
    dropped : int
    """
    kept = []
    for i in range(len(matrix)):
        cross = matrix[kept, i]
        pivot = matrix[i, i] - cross @ np.linalg.solve(
            matrix[np.ix_(kept, kept)], cross
        )
        if pivot > tolerance * matrix[i, i]:
            kept.append(i)
    lower = np.zeros(matrix.shape)
    lower[np.ix_(kept, kept)] = factor(matrix[np.ix_(kept, kept)])[0]
    return lower, len(matrix) - len(kept)


def solve(matrix, b, tolerance=0.0):
    """Solve ``matrix x = b``, with 0 for the rows that `factor_dropping` drops."""
    kept = np.flatnonzero(np.diag(factor_dropping(matrix, tolerance)[0]))
    x = np.zeros(len(b))
    x[kept] = np.linalg.solve(matrix[np.ix_(kept, kept)], b[kept])
    return x


def invert(matrix):
    """Return the inverse of a matrix (n, n)."""
    return np.linalg.inv(matrix)
