"""A small simulated survey whose spectra are exactly polynomial, for several tests."""

from dataclasses import dataclass

import numpy as np

from fastcannon.terms import Terms

NAMES = ("teff", "logg", "fe_h")
CENTRES = np.array([5000.0, 3.0, -0.2])
WIDTHS = np.array([1500.0, 3.0, 1.2])


@dataclass
class Toy:
    """Labels (N, K), float32 spectra (N, P), and the truth they were made from."""

    labels: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    theta: np.ndarray
    s2: np.ndarray
    clean: np.ndarray

    @property
    def spectra(self):
        return self.flux, self.ivar

    @property
    def training(self):
        return self.labels, self.flux, self.ivar


def toy(n=150, p=80, seed=0, snr=200.0, scatter=0.006):
    """Simulate n stars of p pixels: quadratic, noise 1 / snr, s2 = scatter^2."""
    rng = np.random.default_rng(seed)
    labels = CENTRES + WIDTHS * rng.uniform(-0.5, 0.5, (n, 3))
    low, middle, high = np.percentile(labels, (2.5, 50, 97.5), axis=0)
    terms = Terms.complete(NAMES, 2)
    theta = np.zeros((p, len(terms)))
    theta[:, 0] = rng.uniform(0.5, 1.0, p)
    theta[:, 1:4] = rng.normal(0, 0.05, (p, 3))
    theta[:, 4:] = rng.normal(0, 0.015, (p, 6))
    clean = terms.vectors((labels - middle) / (high - low)) @ theta.T
    s2 = np.full(p, scatter**2)
    sigma = np.sqrt(1 / snr**2 + s2)
    flux = (clean + sigma * rng.normal(size=(n, p))).astype(np.float32)
    ivar = np.full((n, p), snr**2, dtype=np.float32)
    return Toy(labels, flux, ivar, theta, s2, clean)


def weights(model, ivar):
    """w = ivar / (1 + ivar s2) in double precision, 0 where s2 is infinite."""
    ivar = ivar.astype(np.float64)
    s2 = np.where(np.isfinite(model.s2), model.s2, 0.0)
    return np.where(np.isfinite(model.s2), ivar / (1 + ivar * s2), 0.0)


def result_bytes(result):
    """All arrays of an inference as bytes, row by row."""
    arrays = [v for v in vars(result).values() if isinstance(v, np.ndarray)]
    return [b"".join(a[i].tobytes() for a in arrays) for i in range(len(result))]
