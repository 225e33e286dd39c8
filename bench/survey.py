"""Simulated surveys for the benchmarks: quadratic spectra with scatter and noise."""

from dataclasses import dataclass

import numpy as np

from fastcannon import CannonModel

N_STARS = 4418
N_PIXELS = 8575


@dataclass
class Survey:
    """A model with known truth and spectra drawn from it."""

    model: CannonModel
    labels: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray


def make_survey(n_labels, n_spectra=N_STARS, n_pixels=N_PIXELS, seed=0):
    """Spectra of a random sparse quadratic model, S/N 30 to 300, 1 % bad pixels.

    Labels are correlated normal deviates, as those of stars are.
    """
    rng = np.random.default_rng(seed)
    names = tuple(f"label_{k}" for k in range(n_labels))
    mixing = np.eye(n_labels) + 0.3 * rng.normal(size=(n_labels, n_labels))
    train = rng.normal(size=(N_STARS, n_labels)) @ mixing
    low, fiducials, high = np.percentile(train, (2.5, 50, 97.5), axis=0)
    exponents = CannonModel(names).terms.exponents
    theta = 0.03 * rng.normal(size=(n_pixels, len(exponents)))
    theta *= rng.random(theta.shape) < 0.4
    theta[:, exponents.sum(axis=1) > 1] *= 0.3
    theta[:, 0] = 1.0 - 0.3 * rng.random(n_pixels) ** 3
    s2 = 10 ** rng.uniform(-6, -3.6, n_pixels)
    model = CannonModel.from_coefficients(
        names, theta, s2, fiducials, high - low, training_labels=train
    )
    labels = train[np.arange(n_spectra) % N_STARS]
    flux, ivar = draw_spectra(
        model, labels, 10 ** rng.uniform(1.5, 2.5, n_spectra), rng
    )
    return Survey(model, labels, flux, ivar)


def draw_spectra(model, labels, snr, rng):
    """Draw noisy spectra of stars from a model, (S, P) float32 flux and ivar."""
    shape = (len(labels), len(model.s2))
    flux, ivar = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for start in range(0, len(labels), 256):
        rows = slice(start, start + 256)
        clean = model.predict_flux(labels[rows])
        sigma = np.sqrt(model.s2 + 1.0 / snr[rows, None] ** 2)
        flux[rows] = clean + sigma * rng.normal(size=clean.shape)
        ivar[rows] = snr[rows, None] ** 2
        ivar[rows][rng.random(clean.shape) < 0.01] = 0.0
    return flux, ivar
