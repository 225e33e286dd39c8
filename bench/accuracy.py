"""Is the optimum found, and is it the global one? On real and simulated spectra."""

from copy import copy

import numpy as np
from scipy.optimize import least_squares

from fastcannon import CannonModel

from .realdata import apstar_spectra, bovy_model, miles_spectra
from .results import at_least, at_most, only
from .survey import draw_spectra

RANDOM_STARTS = 200


def bench_global(folder, threads, n_spectra=4000):
    """Share of spectra whose chi2 is that of the best of 200 random starts."""
    rng = np.random.default_rng(4)
    model = bovy_model(folder)
    box = model.hull * model.scales[:, None] + model.fiducials[:, None]
    labels = rng.uniform(box.min(axis=1), box.max(axis=1), size=(n_spectra, 4))
    snr = 10 ** rng.uniform(1.0, np.log10(200.0), n_spectra)
    flux, ivar = draw_spectra(model, labels, snr, rng)
    rows = _compare(
        "Bovy's model, labels anywhere in its box", model, flux, ivar, threads
    )
    _, flux, ivar = apstar_spectra(folder, model)
    rows += _compare("the real apStar spectra", model, flux, ivar, threads)[1:]
    labels, flux, ivar, wavelength = miles_spectra(folder)
    miles = CannonModel(("teff", "logg", "fe_h"))
    miles.train(labels, flux, ivar, wavelength)
    return rows + _compare("the real MILES spectra", miles, flux, ivar, threads)[1:]


def _compare(what, model, flux, ivar, threads):
    found = model.infer(flux, ivar, threads=threads)
    single = model.infer(flux, ivar, starts=1, threads=threads)
    rng = np.random.default_rng(5)
    low, high = model.hull.min(axis=1), model.hull.max(axis=1)
    starts = rng.uniform(low, high, size=(RANDOM_STARTS, len(low)))
    anywhere = copy(model)
    anywhere.starts, anywhere.hull = starts, None
    best = anywhere.infer(
        flux, ivar, RANDOM_STARTS, threads, precision="double", method="compressed"
    )
    lowest = np.fmin(best.chi2, found.chi2)
    share = 100 * np.mean(found.chi2 <= lowest + 1e-3)
    alone = 100 * np.mean(single.chi2 > lowest + 1e-3)
    return [
        only(f"single start fails, {what} ({len(flux)})", alone, "%"),
        at_least(f"global optimum found, {what} ({len(flux)})", share, 99.9, "%"),
    ]


def bench_optimum(model, flux, ivar, what):
    """Labels against scipy's least squares, started at our answer's neighbourhood."""
    found = model.infer(flux, ivar)
    worst = 0.0
    for s in range(len(flux)):
        w = ivar[s] / (1.0 + ivar[s].astype(float) * model.s2)
        root = np.sqrt(np.where(np.isfinite(w), w, 0.0))
        # unit of the parameters: the formal error, so that its steps are well scaled
        error, start = found.errors[s], found.labels[s]

        def residual(x, s=s, root=root, error=error, start=start):
            return root * (model.predict_flux(start + x * error) - flux[s])

        fit = least_squares(
            residual,
            np.full(len(start), 0.3),
            jac="3-point",
            method="lm",
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-12,
        )
        worst = max(worst, abs(fit.x).max())
    return at_most(
        f"labels - scipy's, formal errors, {what} ({len(flux)})", worst, 1e-3
    )


APSTAR_CHI2 = {"2M17335483-2753043": 5.3, "2M19485057+5005279": 3.5}


def bench_apstar(folder):
    """Labels and reduced chi2 of the two real apStar spectra by Bovy's model.

    Pixel mask bits are the reader's, error floor, order and continuum pixels those of
    the normaliser; none is set here.
    """
    model = bovy_model(folder)
    names, flux, ivar = apstar_spectra(folder, model)
    found = model.infer(flux, ivar)
    rows = []
    for s, name in enumerate(names):
        for k, label in enumerate(model.label_names):
            rows.append(only(f"{name}: {label}", found.labels[s, k]))
        limit = APSTAR_CHI2[name.rpartition("-dr17-")[2]]
        rows.append(at_most(f"{name}: reduced chi2", found.r_chi2[s], limit))
    return rows


def bench_miles(folder, threads, seeds=10):
    """12-fold cross-validation of MILES, mean over fold seeds."""
    labels, flux, ivar, _ = miles_spectra(folder)
    model = CannonModel(("teff", "logg", "fe_h"))
    folds = [
        model.cross_validate(labels, flux, ivar, seed=seed, threads=threads)
        for seed in range(seeds)
    ]
    mad = np.mean([fold.mad for fold in folds], axis=0)
    scatter = np.mean([fold.scatter for fold in folds], axis=0)
    units, limits = ("K", "dex", "dex"), (112, 0.26, 0.162)
    rows = []
    for k, name in enumerate(model.label_names):
        rows += [
            at_most(f"MILES {name}, 1.4826 MAD", mad[k], limits[k], units[k]),
            only(f"MILES {name}, 16-84 half-width", scatter[k], units[k]),
        ]
    return rows
