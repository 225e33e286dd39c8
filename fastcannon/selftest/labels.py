"""A small model, trained and used: known labels come back, by any number of threads."""

import numpy as np

from ..model import CannonModel
from ..parallel import thread_count
from ..terms import Terms

NAMES = "teff", "logg", "fe_h"
CENTRES, WIDTHS = np.array([5000.0, 3.0, -0.2]), np.array([1500.0, 3.0, 1.2])
PIXELS, TRAINING, SPECTRA = 200, 600, 500
SNR, SCATTER = 150.0, 0.004
# Of 1,500 pulls the mean is known to 0.026 and the width to 0.018; the errors of the
# model itself, which formal errors do not count, widen them by 1 or 2 %.
MEAN, WIDTH = 0.1, 0.08


def recover():
    """Yield (kind, text): whether labels come back with errors that are right."""
    labels, flux, ivar = simulate()
    model = _trained(labels, flux, ivar, None)
    new = slice(TRAINING, None)
    result = model.infer(flux[new], ivar[new])
    flagged = np.count_nonzero(result.status)
    pulls = (result.labels - labels[new]) / result.errors
    mean, width = pulls.mean(), pulls.std()
    good = not flagged and abs(mean) < MEAN and abs(width - 1.0) < WIDTH
    yield (
        "PASS" if good else "FAIL",
        f"{SPECTRA} stars, {len(NAMES)} labels: pulls of mean {mean:.3f} and width "
        f"{width:.3f}, expected 0 and 1 within {MEAN:g} and {WIDTH:g}; {flagged} "
        "flagged, expected 0",
    )


def threads_agree():
    """Yield (kind, text): whether one and all threads give the same bytes."""
    labels, flux, ivar = simulate()
    most = max(thread_count(), 2)
    found = []
    for threads in (1, most):
        model = _trained(labels, flux, ivar, threads)
        result = model.infer(flux, ivar, threads=threads)
        arrays = model.theta, model.s2, result.labels, result.covariance, result.chi2
        found.append([array.tobytes() for array in arrays])
    same = found[0] == found[1]
    yield (
        "PASS" if same else "FAIL",
        f"a model and its labels by 1 and by {most} threads: "
        f"{'the same bytes' if same else 'they differ'}",
    )


def simulate(seed=0):
    """Return labels (N, K), and float32 flux and ivar (N, P) quadratic in them."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.5, 0.5, (TRAINING + SPECTRA, len(NAMES)))
    x[TRAINING:] *= 0.7  # away from the edges of the training set
    terms = Terms.complete(NAMES, 2)
    theta = rng.normal(0.0, 0.05, (PIXELS, len(terms)))
    theta[:, 0] = rng.uniform(0.5, 1.0, PIXELS)
    theta[:, 1 + len(NAMES) :] *= 0.3
    sigma = np.hypot(1.0 / SNR, SCATTER)
    flux = terms.vectors(x) @ theta.T + rng.normal(0.0, sigma, (len(x), PIXELS))
    ivar = np.full(flux.shape, SNR**2, np.float32)
    return CENTRES + WIDTHS * x, flux.astype(np.float32), ivar


def _trained(labels, flux, ivar, threads):
    """A model of the first stars, trained by so many threads."""
    old = slice(0, TRAINING)
    return CannonModel(NAMES).train(labels[old], flux[old], ivar[old], threads=threads)
