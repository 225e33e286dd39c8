"""Small problems of known solution, on which kernels and their twins are compared."""

from types import SimpleNamespace

import numpy as np

from ..kernels import reference, reference_inference
from ..kernels.monomials import complete_exponents, derivative_tables
from ..kernels.polynomial import hessian_table, pair_table


def training_set(n_labels=3, n_stars=60, n_pixels=8, degree=2, seed=0):
    """Return stars of known labels, pixel by pixel as training sees them.

    With unequal ivar, some masked pixels and true scatter.

    Parameters
    ----------
    n_labels, n_stars, n_pixels : int
        K, N and P.
    degree, seed : int

    Returns
    -------
    SimpleNamespace
        exponents (T, K), with their pairs (Q, K) and index (T, T) as `pair_table`;
        labels x (N, K), label vectors v (N, T) and moments (N, Q), those of the pairs;
        theta (P, T) and s2 (P,); flux and ivar (P, N), float32.
    """
    rng = np.random.default_rng(seed)
    exponents = complete_exponents(n_labels, degree)
    x = rng.uniform(-0.8, 0.8, (n_stars, n_labels))
    v = reference.label_vectors(x, exponents)
    theta = rng.normal(0, 0.1, (n_pixels, len(exponents)))
    theta[:, 0] = 1
    s2 = rng.uniform(0.005, 0.03, n_pixels) ** 2
    ivar = rng.uniform(3e3, 3e4, (n_pixels, n_stars))
    flux = theta @ v.T + rng.normal(0, np.sqrt(1 / ivar + s2[:, None]))
    ivar[rng.random(ivar.shape) < 0.05] = 0
    pairs, index = pair_table(exponents)
    return SimpleNamespace(
        exponents=exponents,
        pairs=pairs,
        index=index,
        x=x,
        v=v,
        moments=reference.label_vectors(x, pairs),
        theta=theta,
        s2=s2,
        flux=flux.astype(np.float32),
        ivar=ivar.astype(np.float32),
    )


def spectra(n_labels=3, n_pixels=40, n_spectra=6, degree=2, seed=1):
    """Return spectra of known labels, with chi^2 as polynomials in the labels.

    Pixel 7 has no ivar, pixel 3 infinite scatter.

    Parameters
    ----------
    n_labels, n_pixels, n_spectra : int
        K, P and S.
    degree, seed : int

    Returns
    -------
    SimpleNamespace
        exponents (T, K), with their pairs (Q, K) and index (T, T) as `pair_table`,
        derivatives as `derivative_tables`, and hessian: gather table, program and
        degree, as kernels take them; labels x (S, K), theta (P, T), s2 (P,); flux and
        ivar (S, P), float32; weights w (S, P); coefficients (S, Q) of chi^2; starts
        (8, K), their neighbours (8, 3), and start_values (S, 8), chi^2 there.
    """
    rng = np.random.default_rng(seed)
    exponents = complete_exponents(n_labels, degree)
    x = rng.uniform(-0.5, 0.5, (n_spectra, n_labels))
    theta = rng.normal(0, 0.1, (n_pixels, len(exponents)))
    theta[:, 0] = 1
    theta[:, 1 + n_labels :] *= 0.5
    s2 = rng.uniform(0.002, 0.01, n_pixels) ** 2
    ivar = rng.uniform(2e4, 1e5, (n_spectra, n_pixels))
    flux = reference.label_vectors(x, exponents) @ theta.T
    flux += rng.normal(0, np.sqrt(1 / ivar + s2))
    ivar[:, 7] = 0
    s2[3] = np.inf
    flux, ivar = flux.astype(np.float32), ivar.astype(np.float32)
    pairs, index = pair_table(exponents)
    program, gather, degree_of_chi2 = hessian_table(pairs)
    w, coefficients = expand_chi2(flux, ivar, s2, theta, index, len(pairs))
    starts = np.vstack([np.zeros(n_labels), rng.uniform(-0.7, 0.7, (7, n_labels))])
    distance = np.linalg.norm(starts[:, None] - starts, axis=2)
    return SimpleNamespace(
        exponents=exponents,
        pairs=pairs,
        index=index,
        derivatives=derivative_tables(exponents),
        hessian=(gather, program, degree_of_chi2),
        x=x,
        theta=theta,
        s2=s2,
        flux=flux,
        ivar=ivar,
        w=w,
        coefficients=coefficients,
        starts=starts,
        neighbours=np.argsort(distance, axis=1)[:, 1:4],
        start_values=coefficients @ reference.label_vectors(starts, pairs).T,
    )


def hessians(problem, x):
    """Return the Hessians (S, K, K) of chi^2 of `spectra` at labels x (S, K)."""
    found = [
        reference_inference.evaluate(some, c, problem.pairs)[2]
        for some, c in zip(x, problem.coefficients, strict=True)
    ]
    return np.array(found)


def expand_chi2(flux, ivar, s2, theta, index, n_pairs):
    """Return weights (S, P), and chi^2 as polynomials (S, Q), in double precision.

    Parameters
    ----------
    flux, ivar : ndarray, (S, P)
    s2 : ndarray, (P,)
    theta : ndarray, (P, T)
        Its first column is subtracted before anything is squared.
    index : ndarray, (T, T)
        Of the products of terms, as `pair_table`.
    n_pairs : int
        Q.
    """
    w, wr, constant, _ = reference.weigh_spectra(flux, ivar, s2, theta[:, 0])
    pivoted = theta.copy()
    pivoted[:, 0] = 0
    coefficients = w @ reference.accumulate_pairs(pivoted, index, n_pairs)
    coefficients[:, index[0]] -= 2 * wr @ pivoted
    coefficients[:, 0] += constant
    return w, coefficients
