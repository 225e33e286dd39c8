"""Distance to the training set: equal to brute force, and a million stars in time."""

import time

import numpy as np

from fastcannon.distance import NEIGHBOURS, training_distance

from .clock import STARS
from .results import at_most, only

RMS = np.array([60.0, 0.1, 0.06, 0.03])  # K, dex
CHECKED, TIMED = 2_000, 1_000_000
ROUNDS = 3


def bench_distance(threads):
    """Answer against brute force, then the seconds of a million stars."""
    rng = np.random.default_rng(0)
    training = draw_labels(STARS, rng)
    labels = draw_labels(TIMED, rng)
    labels[::20] += 5 * RMS * rng.standard_normal((len(labels[::20]), 4))
    found = training_distance(labels[:CHECKED], training, RMS, threads)
    squares = (((labels[:CHECKED, None] - training) / RMS) ** 2).sum(axis=2)
    squares.sort(axis=1)
    true = squares[:, :NEIGHBOURS].mean(axis=1)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        training_distance(labels, training, RMS, threads)
        seconds.append(time.perf_counter() - start)
    what = f"distance of {TIMED:,} stars to {STARS:,}, {threads} threads"
    return [
        at_most(
            f"distance - brute force, relative ({CHECKED:,} stars)",
            abs(found / true - 1).max(),
            1e-12,
        ),
        at_most(what, np.median(seconds), 20, "s"),
        only(f"{what}: stars per second", TIMED / np.median(seconds)),
    ]


def draw_labels(n, rng):
    """Labels of giants and dwarfs about as surveys have them, (n, 4)."""
    giant = rng.random(n) < 0.6
    teff = np.where(giant, rng.normal(4700, 300, n), rng.normal(5600, 500, n))
    branch = 2.5 + (teff - 4700) / 400 + rng.normal(0, 0.3, n)
    logg = np.where(giant, branch, rng.normal(4.3, 0.15, n))
    fe_h = rng.normal(-0.15, 0.25, n)
    alpha_fe = rng.normal(0.06, 0.08, n) - 0.15 * fe_h
    return np.column_stack([teff, logg, fe_h, alpha_fe])
