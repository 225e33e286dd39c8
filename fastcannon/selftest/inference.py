"""The kernels of inference and of spectra beside their twins, on small spectra.

`CASES` is as in `training`.
"""

import numpy as np

from ..kernels import (
    continuum,
    gate,
    reference,
    reference_continuum,
    reference_inference,
    reference_resample,
    resample,
    weights,
)
from . import calls, examples

STEPS = 200, 1e-9  # of a descent
# Measured: 4e-14 in double precision, 2e-7 in single.
DOUBLE, SINGLE = 1e-7, 1e-5
MINIMUM = 0, 1, 2, 6  # of what descents return: x, value, hessian, status


def make():
    """Return spectra of known labels."""
    return examples.spectra()


def _accumulate_pairs(spectra):
    given = spectra.theta, spectra.index, len(spectra.pairs)
    return [(calls.accumulate_pairs(*given), reference.accumulate_pairs(*given))]


def _weigh_spectra(spectra):
    given = spectra.flux, spectra.ivar, spectra.s2, spectra.theta[:, 0]
    found = calls.weigh_spectra(*given, np.float32)
    return zip(found, reference.weigh_spectra(*given), strict=True)


def _weigh_residuals(spectra):
    v = reference.label_vectors(spectra.x, spectra.exponents)
    model, chi2 = v @ spectra.theta.T, np.zeros(len(v))
    given = spectra.flux, spectra.ivar, spectra.s2, 0
    expected = reference.weigh_residuals(*given, model, chi2)
    weights.weigh_residuals(*given, model, chi2)
    return zip((model, chi2), expected, strict=True)


def _descend_spectra(spectra):
    given = spectra.coefficients, spectra.start_values, spectra.starts
    given = *given, spectra.neighbours, 4, spectra.pairs, *STEPS
    found = calls.descend_spectra(*given)
    expected = reference_inference.descend_spectra(*given)
    return [(found[i], expected[i]) for i in MINIMUM]


def _stream_spectra(spectra):
    given = spectra.flux, spectra.w, spectra.theta, spectra.start_values
    settings = spectra.starts, spectra.neighbours, 2, spectra.exponents, *STEPS
    found = calls.stream_spectra(*given, *settings)
    expected = reference_inference.stream_spectra(*given, *settings)
    return [(found[i], expected[i]) for i in MINIMUM]


def _finish_spectra(spectra):
    x, scales = spectra.x + 1e-3, np.array([500.0, 0.7, 0.2])
    hessian = examples.hessians(spectra, x)
    given = spectra.flux, spectra.w, spectra.theta, spectra.exponents
    expected = reference_inference.finish_spectra(*given, hessian, scales, x)
    *found, _ = calls.finish_spectra(*given, hessian, scales, x)
    return zip(found, expected, strict=True)


def _nearest_in_hull(spectra):
    vertices = np.ascontiguousarray(spectra.starts.T)
    given = np.full(len(vertices), 0.9), np.diag([1.0, 2.0, 3.0]), vertices
    expected = reference_inference.nearest_in_hull(*given)
    return zip(calls.nearest_in_hull(*given), expected, strict=True)


def _median_snr(spectra):
    given = spectra.flux, spectra.w.astype(np.float32)
    return [(calls.median_snr(*given), reference.median_snr(*given))]


def _clean_rows(spectra):
    flux, ivar = spectra.flux.copy(), spectra.ivar.copy()
    flux[0, 1], ivar[1, 2], ivar[2, 3], ivar[3, 4] = np.nan, np.inf, -1.0, np.nan
    expected = reference.clean_rows(flux, ivar)
    gate.clean_rows(flux, ivar)
    return zip((flux, ivar), expected, strict=True)


def _fit_region(spectra):
    pixels = np.arange(spectra.flux.shape[1])
    u = np.linspace(-1.0, 1.0, len(pixels))
    basis = np.array([np.ones(len(u)), u, 1.5 * u**2 - 0.5])
    given = spectra.flux, spectra.ivar, pixels, basis, 0.1, 2.0
    n_spectra = len(spectra.flux)
    found, status = np.empty((n_spectra, 3)), np.empty(n_spectra, np.int64)
    work = np.empty((4, 3)), np.empty((5, len(pixels)))
    continuum.fit_region(*given, *work, found, status)
    expected = reference_continuum.fit_region(*given)
    return zip((found, status), expected, strict=True)


def _divide_continuum(spectra):
    level = np.full(spectra.flux.shape, 1.3)
    out = np.empty((2, *level.shape), np.float32)
    given = spectra.flux, spectra.ivar, level
    bad = continuum.divide_continuum(*given, 0, np.inf, *out)
    expected = reference_continuum.divide_continuum(*given)
    return zip((*out, bad), expected, strict=True)


def _resample_row(spectra):
    flux, ivar = spectra.flux[0], spectra.ivar[0]
    out, work = np.empty((2, 45), np.float32), np.empty((2, len(flux)), np.float32)
    resample.resample_row(flux, ivar, 0.0, 1.0, 1.3, 0.8, work, *out)
    grid = 1.3 + 0.8 * np.arange(45)
    expected = reference_resample.resample_row(flux, ivar, 0.0, 1.0, grid)
    return zip(out, expected, strict=True)


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
