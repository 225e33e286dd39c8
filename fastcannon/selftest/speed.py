"""Speed of inference and training, as ratios to a matrix product of this machine."""

import json
import os
import time
from importlib.resources import files

import numpy as np
from threadpoolctl import threadpool_limits

from ..model import CannonModel
from ..parallel import thread_count

PIXELS, TERM_PAIRS = 8575, 406  # of the unit: those of APOGEE and of six labels
LABELS, SPECTRA, STARTS = 6, 512, 8
STARS, TRAINING_PIXELS = 1000, 1024
BASELINE = "speed.json"  # in the folder data, written by the benchmarks
SLOW = 2.0  # times the baseline, beyond which a line warns
SLOW_BLAS = 4e9  # multiply-adds per second and core; the plainest BLAS makes 1e9


def unit_task(threads, n_spectra=512):
    """The product of unit U: (S x 8575) @ (8575 x 406) in double precision.

    Parameters
    ----------
    threads : int
        Of BLAS.
    n_spectra : int
        S.

    Returns
    -------
    task : callable
    per_unit : int
        Spectra in one call: U is the time of a call divided by it.
    """
    rng = np.random.default_rng(0)
    left, right = rng.random((n_spectra, PIXELS)), rng.random((PIXELS, TERM_PAIRS))
    out = np.empty((n_spectra, TERM_PAIRS))

    def task():
        with threadpool_limits(threads, user_api="blas"):
            np.matmul(left, right, out=out)

    return task, n_spectra


def interleave(tasks, rounds=5):
    """Run tasks in turns, once unmeasured, and return the median seconds of each.

    Parameters
    ----------
    tasks : dict of name to callable without arguments
    rounds : int
        Measured runs of each.

    Returns
    -------
    dict of name to float
    """
    for task in tasks.values():
        task()
    seconds = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            time.sleep(0.2)  # idle BLAS workers of the task before still spin
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def measure(threads=None, rounds=5):
    """Measure inference and training beside the unit, in turns.

    Parameters
    ----------
    threads : int, optional
        Default: all cores this process may use.
    rounds : int
        As in `interleave`.

    Returns
    -------
    unit : float
        U in seconds: one row of the product.
    ratios : dict of str to float
        "inference": a spectrum (8,575 pixels, 6 labels, 8 starts) in U. "training": of
        1,000 stars, in passes over them (pixels x stars, stars x 406) at the speed of
        the product.
    """
    threads = thread_count(threads)
    model, labels, flux, ivar = _survey()
    inferrer = model.inferrer(STARTS, SPECTRA)
    narrow = slice(0, TRAINING_PIXELS)
    stars = np.arange(STARS) % SPECTRA
    training = labels, flux[stars, narrow], ivar[stars, narrow]
    product, rows = unit_task(threads)
    tasks = {
        "unit": product,
        "inference": lambda: inferrer.infer(flux, ivar, threads),
        "training": lambda: CannonModel(model.label_names).train(
            *training, threads=threads
        ),
    }
    seconds = interleave(tasks, rounds)
    unit = seconds["unit"] / rows
    one_pass = unit / PIXELS * STARS * TRAINING_PIXELS
    return unit, {
        "inference": seconds["inference"] / SPECTRA / unit,
        "training": seconds["training"] / one_pass,
    }


def _survey():
    """A model of six labels, labels of stars, and spectra of the first of them."""
    rng = np.random.default_rng(0)
    names = [f"label_{k}" for k in range(LABELS)]
    labels = rng.normal(size=(STARS, LABELS))
    exponents = CannonModel(names).terms.exponents
    theta = 0.03 * rng.normal(size=(PIXELS, len(exponents)))
    theta[:, exponents.sum(axis=1) > 1] *= 0.3
    theta[:, 0] = 1.0 - 0.3 * rng.random(PIXELS) ** 3
    s2 = 10 ** rng.uniform(-6.0, -3.6, PIXELS)
    given = names, theta, s2, np.zeros(LABELS), np.full(LABELS, 4.0)
    model = CannonModel.from_coefficients(*given, training_labels=labels)
    flux = model.predict_flux(labels[:SPECTRA])
    flux += np.sqrt(s2 + 1e-4) * rng.normal(size=flux.shape)
    ivar = np.full(flux.shape, 1e4, np.float32)
    return model, labels, flux.astype(np.float32), ivar


def speed():
    """Yield (kind, text): the speed here beside that of the benchmarks."""
    source = files("fastcannon") / "data" / BASELINE
    baseline = json.loads(source.read_text(encoding="utf-8"))
    unit, ratios = measure()
    rate = PIXELS * TERM_PAIRS / unit / thread_count()
    yield (
        "warn" if rate < SLOW_BLAS else "note",
        f"U, a row of a matrix product (8575 x 406): {1e6 * unit:.0f} us, "
        f"{rate / 1e9:.1f} billion multiply-adds per second and core",
    )
    for name, ratio in ratios.items():
        usual = baseline["ratios"][name]
        yield (
            "warn" if ratio > SLOW * usual else "note",
            f"{name}: {ratio:.2f} {baseline['units'][name]}; {usual:.2f} on "
            f"{baseline['machine']}",
        )
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > thread_count() + 1:
        yield (
            "warn",
            f"{os.getloadavg()[0]:.0f} processes want {thread_count()} cores: the "
            "speed is not that of this machine at rest",
        )
