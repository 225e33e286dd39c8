"""Inference and training as a whole, by labels K, pixels P, stars N and threads."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.kernel_cases import Case
from bench.survey import make_survey
from fastcannon import CannonModel

STARTS = 8  # of inference
MOST_PIXELS, MOST_SPECTRA, MOST_STARS = 8575, 512, 4418


@dataclass(frozen=True)
class Size:
    """What is inferred or trained.

    Attributes
    ----------
    labels, pixels, stars, threads : int
        K, P, spectra or stars of the training set, and threads, of BLAS for the unit.
    """

    labels: int
    pixels: int
    stars: int
    threads: int = 1

    def __str__(self):
        text = f"K = {self.labels}, P = {self.pixels}, N = {self.stars}"
        return f"{text}, {self.threads} threads" if self.threads > 1 else text


INFERENCE = (
    Size(3, 8575, 512),
    Size(6, 8575, 512),
    Size(6, 8575, 512, threads=2),
    Size(6, 2048, 512),
    Size(6, 8575, 64),
    Size(10, 8575, 128),
)
TRAINING = (
    Size(3, 512, 1000),
    Size(6, 512, 1000),
    Size(6, 512, 4418),
    Size(6, 2048, 1000),
    Size(6, 2048, 1000, threads=2),
    Size(10, 512, 1000),
)


@cache
def survey(n_labels):
    """The survey of so many labels, of which each size takes a part."""
    return make_survey(n_labels, MOST_SPECTRA)


@cache
def stars_of(n_labels):
    """Labels (N, K), flux and ivar (N, P) of a training set of few pixels."""
    made = make_survey(n_labels, MOST_STARS, n_pixels=2048)
    return made.labels, made.flux, made.ivar


def inference(size):
    """Labels of prepared spectra; each row is a spectrum."""
    made, spectra, pixels = survey(size.labels), size.stars, slice(0, size.pixels)
    old = made.model
    model = CannonModel.from_coefficients(
        *(old.label_names, old.theta[pixels], old.s2[pixels]),
        *(old.fiducials, old.scales),
        training_labels=made.labels,
    )
    flux, ivar = made.flux[:spectra, pixels], made.ivar[:spectra, pixels]
    flux, ivar = np.ascontiguousarray(flux), np.ascontiguousarray(ivar)
    inferrer = model.inferrer(STARTS, spectra)
    double = model.infer(flux[:20], ivar[:20], STARTS, precision="double")

    def check(found):
        away = abs(found.labels[:20] - double.labels) / double.errors
        assert away.max() < 1e-3

    return Case(lambda: inferrer.infer(flux, ivar, size.threads), check)


def training(size):
    """A model of stars; each row is a pixel."""
    labels, flux, ivar = stars_of(size.labels)
    stars, pixels = slice(0, size.stars), slice(0, size.pixels)
    given = labels[stars], flux[stars, pixels].copy(), ivar[stars, pixels].copy()
    names = [f"label_{k}" for k in range(size.labels)]

    def check(model):
        v = model.terms.vectors(model.scale_labels(given[0]))
        for p in range(0, size.pixels, 100):
            f, iv = given[1][:, p].astype(float), given[2][:, p].astype(float)
            w = iv / (1.0 + iv * model.s2[p])
            theta = np.linalg.solve((v.T * w) @ v, (v.T * w) @ f)
            assert abs(theta - model.theta[p]).max() < 1e-7

    return Case(lambda: CannonModel(names).train(*given, threads=size.threads), check)


# name -> (rows of a call, threads, maker of the `Case`)
WHOLE = {
    f"{make.__name__}, {size}": (
        size.stars if make is inference else size.pixels,
        size.threads,
        lambda make=make, size=size: make(size),
    )
    for make, sizes in ((inference, INFERENCE), (training, TRAINING))
    for size in sizes
}
