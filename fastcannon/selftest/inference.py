"""The kernels of inference and of spectra, and their twins, on spectra made here.

`CASES` is as in `training`.
"""

from types import SimpleNamespace

import numpy as np

from ..kernels import (
    continuum,
    finish,
    gate,
    hull,
    levenberg,
    medians,
    polynomial,
    reference,
    reference_continuum,
    reference_inference,
    reference_resample,
    resample,
    stream,
    weights,
)
from ..starts import nearest_starts
from ..terms import Terms

LABELS, SPECTRA, PIXELS, STARTS = 3, 6, 40, 8
STEPS = 200, 1e-9  # of a descent
# Measured: 4e-14 in double precision, 2e-7 in single.
DOUBLE, SINGLE = 1e-7, 1e-5


def make():
    """Return spectra of known labels, with chi^2 as polynomials in the labels."""
    rng = np.random.default_rng(1)
    terms = Terms.complete([f"l{k}" for k in range(LABELS)], 2)
    x = rng.uniform(-0.5, 0.5, (SPECTRA, LABELS))
    theta = rng.normal(0, 0.1, (PIXELS, len(terms)))
    theta[:, 0] = 1.0
    theta[:, 1 + LABELS :] *= 0.5
    s2 = rng.uniform(0.002, 0.01, PIXELS) ** 2
    ivar = rng.uniform(2e4, 1e5, (SPECTRA, PIXELS))
    flux = reference.label_vectors(x, terms.exponents) @ theta.T
    flux += rng.normal(0, np.sqrt(1 / ivar + s2))
    ivar[:, 7], s2[3] = 0.0, np.inf
    flux, ivar = flux.astype(np.float32), ivar.astype(np.float32)
    pairs, index = terms.pairs
    w, wr, constant, _ = reference.weigh_spectra(flux, ivar, s2, theta[:, 0])
    pivoted = theta.copy()
    pivoted[:, 0] = 0.0
    coefficients = w @ reference.accumulate_pairs(pivoted, index, len(pairs))
    coefficients[:, index[0]] -= 2.0 * wr @ pivoted
    coefficients[:, 0] += constant
    starts = np.vstack([np.zeros(LABELS), rng.uniform(-0.7, 0.7, (STARTS - 1, LABELS))])
    return SimpleNamespace(
        terms=terms,
        exponents=terms.exponents,
        pairs=pairs,
        index=index,
        x=x,
        theta=theta,
        pivoted=pivoted,
        s2=s2,
        flux=flux,
        ivar=ivar,
        w=w,
        coefficients=coefficients,
        starts=starts,
        neighbours=nearest_starts(starts),
        start_values=coefficients @ reference.label_vectors(starts, pairs).T,
    )


def _accumulate_pairs(spectra):
    columns = np.zeros((len(spectra.theta), len(spectra.pairs)))
    polynomial.accumulate_pairs(spectra.pivoted, spectra.index, columns)
    expected = reference.accumulate_pairs(
        spectra.pivoted, spectra.index, len(spectra.pairs)
    )
    return [(columns, expected)]


def _weigh_spectra(spectra):
    given = spectra.flux, spectra.ivar, spectra.s2, spectra.theta[:, 0].copy()
    single = [given[0], given[1], *(g.astype(np.float32) for g in given[2:])]
    w, wr = np.empty((2, *spectra.flux.shape), np.float32)
    constant, used = np.empty(SPECTRA), np.empty(SPECTRA, np.int64)
    weights.weigh_spectra(*single, w, wr, constant, used)
    expected = reference.weigh_spectra(*given)
    return list(zip((w, wr, constant, used), expected, strict=True))


def _weigh_residuals(spectra):
    v = reference.label_vectors(spectra.x, spectra.exponents)
    model, chi2 = v @ spectra.theta.T, np.zeros(SPECTRA)
    given = spectra.flux, spectra.ivar, spectra.s2, 0
    expected = reference.weigh_residuals(*given, model, chi2)
    weights.weigh_residuals(*given, model, chi2)
    return list(zip((model, chi2), expected, strict=True))


def _minima():
    """Arrays for the results of the descents of all spectra."""
    return (
        np.empty((SPECTRA, LABELS)),
        np.empty(SPECTRA),
        np.empty((SPECTRA, LABELS, LABELS)),
        np.empty((SPECTRA, LABELS)),
        np.empty(SPECTRA),
        np.empty(SPECTRA, np.int64),
        np.empty(SPECTRA, np.int64),
    )


def _descend_spectra(spectra):
    given = spectra.coefficients, spectra.start_values, spectra.starts
    program, gather, degree = spectra.terms.hessian
    found = _minima()
    levenberg.descend_spectra(
        *given, spectra.neighbours, 4, gather, program, degree, *STEPS, *found
    )
    expected = reference_inference.descend_spectra(
        *given, spectra.neighbours, 4, spectra.pairs, *STEPS
    )
    return [(found[i], expected[i]) for i in (0, 1, 2, 6)]


def _stream_spectra(spectra):
    given = spectra.flux, spectra.w
    starts = spectra.start_values, spectra.starts, spectra.neighbours, 2
    program, where, first, _ = spectra.terms.derivatives
    chunks = reference.chunk_theta(spectra.theta, weights.CHUNK)
    found = _minima()
    stream.stream_spectra(
        *given,
        np.ascontiguousarray(chunks),
        *starts,
        program,
        where,
        first,
        *STEPS,
        *found,
    )
    expected = reference_inference.stream_spectra(
        *given, spectra.theta, *starts, spectra.exponents, *STEPS
    )
    return [(found[i], expected[i]) for i in (0, 1, 2, 6)]


def _finish_spectra(spectra):
    x, scales = spectra.x + 1e-3, np.array([500.0, 0.7, 0.2])
    program, _, first, second = spectra.terms.derivatives
    hessian = np.array(
        [
            reference_inference.evaluate(some, c, spectra.pairs)[2]
            for some, c in zip(x, spectra.coefficients, strict=True)
        ]
    )
    expected = reference_inference.finish_spectra(
        spectra.flux, spectra.w, spectra.theta, spectra.exponents, hessian, scales, x
    )
    model = reference.label_vectors(x, spectra.exponents) @ spectra.theta.T
    wr, chi2 = reference.weigh_residuals(
        spectra.flux, spectra.ivar, spectra.s2, 0, model, np.zeros(SPECTRA)
    )
    y, tables = wr @ spectra.theta, (program, first, second)
    decrease, covariance = np.empty(SPECTRA), np.empty(hessian.shape)
    finish.finish_spectra(
        y,
        hessian,
        *tables,
        scales,
        x,
        chi2,
        decrease,
        covariance,
        np.empty(SPECTRA, np.int64),
    )
    return list(zip((x, chi2, decrease, covariance), expected, strict=True))


def _nearest_in_hull(spectra):
    vertices = np.ascontiguousarray(spectra.starts.T)
    target, metric = np.full(LABELS, 0.9), np.diag([1.0, 2.0, 3.0])
    x = np.empty(LABELS)
    distance = hull.nearest_in_hull(target, metric, vertices, 1e-18, x)
    expected = reference_inference.nearest_in_hull(target, metric, vertices)
    return list(zip((x, distance), expected, strict=True))


def _median_snr(spectra):
    snr, w = np.empty(SPECTRA), spectra.w.astype(np.float32)
    padded = -(-w.shape[1] // medians.CHUNK) * medians.CHUNK
    work = np.empty(padded, np.float32), np.empty(padded + 1, np.float32)
    medians.median_snr(spectra.flux, w, *work, snr)
    return [(snr, reference.median_snr(spectra.flux, w))]


def _clean_rows(spectra):
    flux, ivar = spectra.flux.copy(), spectra.ivar.copy()
    flux[0, 1], ivar[1, 2], ivar[2, 3], ivar[3, 4] = np.nan, np.inf, -1.0, np.nan
    expected = reference.clean_rows(flux, ivar)
    gate.clean_rows(flux, ivar)
    return list(zip((flux, ivar), expected, strict=True))


def _fit_region(spectra):
    pixels = np.arange(spectra.flux.shape[1])
    u = np.linspace(-1.0, 1.0, len(pixels))
    basis = np.array([np.ones(len(u)), u, 1.5 * u**2 - 0.5])
    given = spectra.flux, spectra.ivar, pixels, basis, 0.1, 2.0
    found, status = np.empty((SPECTRA, 3)), np.empty(SPECTRA, np.int64)
    work = np.empty((4, 3)), np.empty((5, len(pixels)))
    continuum.fit_region(*given, *work, found, status)
    expected = reference_continuum.fit_region(*given)
    return list(zip((found, status), expected, strict=True))


def _divide_continuum(spectra):
    level = np.full(spectra.flux.shape, 1.3)
    out = np.empty((2, *level.shape), np.float32)
    given = spectra.flux, spectra.ivar, level
    bad = continuum.divide_continuum(*given, 0, np.inf, *out)
    expected = reference_continuum.divide_continuum(*given)
    return list(zip((*out, bad), expected, strict=True))


def _resample_row(spectra):
    flux, ivar = spectra.flux[0], spectra.ivar[0]
    out, work = np.empty((2, 45), np.float32), np.empty((2, PIXELS), np.float32)
    resample.resample_row(flux, ivar, 0.0, 1.0, 1.3, 0.8, work, *out)
    grid = 1.3 + 0.8 * np.arange(45)
    expected = reference_resample.resample_row(flux, ivar, 0.0, 1.0, grid)
    return list(zip(out, expected, strict=True))


CASES = {
    "polynomial.accumulate_pairs": (_accumulate_pairs, DOUBLE),
    "weights.weigh_spectra": (_weigh_spectra, SINGLE),
    "weights.weigh_residuals": (_weigh_residuals, DOUBLE),
    "levenberg.descend_spectra": (_descend_spectra, DOUBLE),
    "stream.stream_spectra": (_stream_spectra, DOUBLE),
    "finish.finish_spectra": (_finish_spectra, DOUBLE),
    "hull.nearest_in_hull": (_nearest_in_hull, DOUBLE),
    "medians.median_snr": (_median_snr, SINGLE),
    "gate.clean_rows": (_clean_rows, SINGLE),
    "continuum.fit_region": (_fit_region, DOUBLE),
    "continuum.divide_continuum": (_divide_continuum, SINGLE),
    "resample.resample_row": (_resample_row, SINGLE),
}
