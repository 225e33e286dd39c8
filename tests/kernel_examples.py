"""Small problems of known solution for the tests of the kernels."""

from types import SimpleNamespace

import numpy as np

from fastcannon.kernels import reference
from fastcannon.kernels.monomials import complete_exponents, derivative_tables
from fastcannon.kernels.polynomial import hessian_table, pair_table
from fastcannon.kernels.weights import CHUNK


def training_set(n_labels=3, n_stars=60, n_pixels=8, degree=2, seed=0):
    """Stars of known labels with unequal ivar, some masked pixels and true scatter."""
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
        x=x,
        v=v,
        theta=theta,
        s2=s2,
        flux=flux.astype(np.float32),
        ivar=ivar.astype(np.float32),
        pairs=pairs,
        index=index,
        moments=reference.label_vectors(x, pairs),
    )


def spectra(n_labels=3, n_pixels=40, n_spectra=6, degree=2, seed=1):
    """Spectra of known labels and their chi^2 as polynomials in double precision."""
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
    program, gather, polynomial_degree = hessian_table(pairs)
    w, wr, constant, _ = reference.weigh_spectra(flux, ivar, s2, theta[:, 0])
    pivoted = theta.copy()
    pivoted[:, 0] = 0
    coefficients = w @ reference.accumulate_pairs(pivoted, index, len(pairs))
    coefficients[:, index[0]] -= 2 * wr @ pivoted
    coefficients[:, 0] += constant
    starts = np.vstack([np.zeros(n_labels), rng.uniform(-0.7, 0.7, (7, n_labels))])
    distance = np.linalg.norm(starts[:, None] - starts, axis=2)
    return SimpleNamespace(
        exponents=exponents,
        derivatives=derivative_tables(exponents),
        x=x,
        theta=theta,
        s2=s2,
        flux=flux,
        ivar=ivar,
        w=w,
        pairs=pairs,
        index=index,
        hessian=(gather, program, polynomial_degree),
        coefficients=coefficients,
        starts=starts,
        neighbours=np.argsort(distance, axis=1)[:, 1:4],
        start_values=coefficients @ reference.label_vectors(starts, pairs).T,
    )


def chunks_of(theta):
    """Coefficients (P, T) as the kernels that stream over pixels take them."""
    return np.ascontiguousarray(reference.chunk_theta(theta, CHUNK))


def gradient_of(function, x, step=1e-5):
    """Central differences of a function of x (K,)."""
    shifts = step * np.eye(len(x))
    return np.array([(function(x + d) - function(x - d)) / (2 * step) for d in shifts])
