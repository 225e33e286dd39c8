"""The run on a simulated Galaxy, as large as it is told; python -m bench.galaxy FOLDER.

Simulates two surveys of one Galaxy if the folder has none, makes the catalogues with
``fastcannon run`` and compares them with the truth: differences of the scales, labels,
flags of the stars planted outside the training set, and errors.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from fastcannon import CannonModel
from fastcannon.arrays import label_array
from fastcannon.calibration import repeated, unflagged
from fastcannon.catalogue import FLAGS, catalogue_name
from fastcannon.config import read_config
from fastcannon.demo import TRUTH, read_labels, true_labels, truth_stars
from fastcannon.distance import DISTANCE_LABELS, distance_limit, training_distance
from fastcannon.fitsfiles import hdu_to_table
from fastcannon.labels import LABELS
from fastcannon.parts import read_scale
from fastcannon.repeats import final_errors
from fastcannon.run import run_all
from fastcannon.simulator import instruments, simulate
from fastcannon.sources import open_survey
from fastcannon.spread import half_range, robust_sigma
from fastcannon.surveys import galah

from .peaks import WorkerPeak, own_peak
from .results import at_least, at_most, only, table

STARS, OVERLAP = 20_000, 6_500  # a third of the overlap passes the paper's cuts
OUTSIDE = ("cool", "hot")  # stages of stars that are planted outside the overlap
GATED = ("fe_h", "alpha_fe")  # labels that the paper brings together
SAMPLE = 1500  # spectra whose noise-free twins are inferred
UNUSABLE = sum(
    FLAGS[name] for name in ("NO_DATA", "NOT_CONVERGED", "SINGULAR", "CHI2_OUTLIER")
)


def main():
    """Simulate, run, compare; exit code 1 where a number is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench.galaxy", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stars", type=int, default=STARS)
    parser.add_argument("--overlap", type=int, default=OVERLAP)
    options = parser.parse_args()
    if not (options.folder / "fastcannon.toml").exists():
        simulate(options.folder, options.stars, options.overlap, seed=4)
    config = read_config(options.folder / "fastcannon.toml")
    workers, start = WorkerPeak(), time.perf_counter()
    run_all(config, print, _bar)
    rows = [
        only("the run", (time.perf_counter() - start) / 60, "min"),
        at_most("memory of the run", own_peak(), 2, "GiB"),
        at_most("memory of a worker", workers.gib, 2, "GiB"),
    ]
    rows += compare(config, options.folder / TRUTH)
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


def compare(config, truth):
    """Compare the catalogues of a finished run with the truth."""
    names = config.labels.names
    pair = [survey.name for survey in config.pair()]
    rows = differences(config, names, pair)
    for scale in pair:
        found = Table.read(
            config.output / "catalogues" / f"{scale}-scaled.fits",
            unit_parse_strict="silent",
        )
        rows += flags_and_labels(config, found, truth, scale, names)
    for survey in config.pair():
        for scale in pair:
            rows += errors(config, survey, scale, truth, names)
    return rows


def differences(config, names, pair):
    """Scatter and trend of the differences on either scale, training stars."""
    rows, before = [], _scatters(config.output / "differences.ecsv")
    training = Table.read(config.output / "training.fits")
    for scale in pair:
        after = _scatters(config.output / f"differences-{scale}-scaled.ecsv")
        labels = {s: _training_labels(config, s, scale, training) for s in pair}
        for k, name in enumerate(names):
            what = f"{scale}-scaled {name}, differences"
            gate = at_most if name in GATED else _ungated
            ratio = after[name] / before[name]
            rows.append(gate(f"{what}: scatter / the pipelines'", ratio, 0.65, ""))
            teff = np.asarray(training[f"teff_{scale}"]) / 1000.0
            slope, error = _slope(teff, labels[pair[0]][:, k] - labels[pair[1]][:, k])
            given = [np.asarray(training[f"{name}_{survey}"], float) for survey in pair]
            own, _ = _slope(teff, given[0] - given[1])
            rows += [
                gate(f"{what}: |slope with Teff|", abs(slope / error), 2.0, "sigma"),
                only(f"{what}: slope per 1000 K", slope),
                only(f"{what}: the pipelines' slope per 1000 K", own),
            ]
    return rows


def flags_and_labels(config, found, truth, scale, names):
    """How flags tell the planted stars; catalogue against truth for the clean ones."""
    names, rows = list(names), []
    with fits.open(truth) as hdus:
        stage = hdu_to_table(hdus["STARS"])["stage"]
    for number, survey in enumerate(("galah", "apogee")):
        part = found[found["flag_id"] == number]
        star = truth_stars(truth, survey, part["survey_id"])
        planted = np.isin(stage[star], OUTSIDE)
        flagged = part["flag_Cannon_dist"] != 0
        what = f"{survey} on {scale}:"
        rows.append(
            at_least(f"{what} planted stars flagged", 100 * flagged[planted].mean(), 95)
        )
        hidden = true_labels(truth, survey, scale, names, part["survey_id"])
        well = (part["flag_snr"] == 0) & (part["flag_survey"] == 0) & ~planted
        well &= part["flag_fastcannon"] & UNUSABLE == 0
        case = f"{survey}-on-{scale}"
        own = read_scale(config.output / "calibration" / f"{case}.json")
        near = [names.index(name) for name in DISTANCE_LABELS]
        true_distance = training_distance(hidden[:, near], own.training, own.rms)
        limit = distance_limit(len(near))
        for share, row in (
            (0.5, at_most),
            (1.0, lambda w, v, _, unit: only(w, v, unit)),
        ):
            inside = well & (true_distance <= share * limit)
            text = f"{what} false alarms, true labels within {share:g} of the limit"
            rows.append(row(text, 100 * flagged[inside].mean(), 5, "%"))
        good = inside & ~flagged
        for k, name in enumerate(names):
            ours = catalogue_name(name)
            away = np.asarray(part[f"{ours}Cann"]) - hidden[:, k]
            rows.append(only(f"{what} {name} - truth: mean", away[good].mean()))
            width = half_range(away[good])
            rows.append(only(f"{what} {name} - truth: (P84 - P16) / 2", width))
    return rows


def errors(config, survey, scale, truth, names):
    """Width of repeats about noise-free labels in rescaled errors; coverage."""
    case = f"{survey.name}-on-{scale}"
    model = CannonModel.read(config.output / "models" / f"{case}.fits")
    found = read_labels(config.output / "labels" / case)
    own = read_scale(config.output / "calibration" / f"{case}.json")
    with open_survey(config, survey) as packed:
        visit, snr = np.asarray(packed.stars["visit"]), np.asarray(packed.stars["snr"])
    star = truth_stars(truth, survey.format, found["id"])
    repeats = np.isin(np.arange(len(star)), repeated(star))
    if visit.any():
        repeats &= visit > 0  # the combined spectrum holds the noise of its visits
    good = unflagged(found, own.training, own.rms, own.r_chi2_limit)
    rng = np.random.default_rng(0)
    rows = np.flatnonzero(good & repeats)
    rows = np.sort(rng.choice(rows, min(SAMPLE, len(rows)), replace=False))
    clean = noise_free(config, survey, model, found["id"][rows], rows, truth)
    away = label_array(found[rows], names) - clean.labels
    formal = label_array(found[rows], [f"e_{name}" for name in names])
    final = final_errors(formal, snr[rows], own.factors, own.decays)
    widths = half_range(away / (formal * own.factors))
    covered = 100 * np.mean(abs(away) <= final, axis=0)
    out = []
    for k, name in enumerate(names):
        what = f"{case} {name}, repeats about the noise-free"
        out.append(only(f"{what}: width in rescaled errors", widths[k]))
        out.append(at_most(f"{what}: |width - 1|", abs(widths[k] - 1), 0.1))
        out.append(at_least(f"{what}: within the final error", covered[k], 68, "%"))
    return out


def noise_free(config, survey, model, ids, rows, truth):
    """Infer the labels of spectra without noise, with the weights of the noisy ones."""
    with fits.open(truth) as hdus:
        stars = hdu_to_table(hdus["STARS"])
    star = truth_stars(truth, survey.format, ids)
    labels = {name: np.asarray(stars[name], float)[star] for name in LABELS}
    labels["mg_fe"] = np.asarray(stars["mg_fe"], float)[star]
    with open_survey(config, survey) as packed:
        flux, ivar = packed.read(rows)
    flux, ivar = model.normaliser.apply(flux, ivar)
    clean = np.empty_like(flux)
    for start in range(0, len(rows), 100):
        part = slice(start, start + 100)
        some = {name: values[part] for name, values in labels.items()}
        clean[part] = _model_flux(survey.format, some)
    clean, ivar = model.normaliser.apply(clean, ivar)
    return model.infer(clean, ivar)


def _model_flux(form, labels):
    """Return noise-free flux on the grid of the packed spectra."""
    if form == "apogee":
        return instruments.apogee_flux(labels)
    arms = zip(
        instruments.galah_flux(labels),
        instruments.arm_grids(),
        galah.REGIONS,
        strict=True,
    )
    grid = galah.WAVELENGTH
    found = np.ones((len(labels["teff"]), len(grid)), np.float32)
    for flux, own, (low, high) in arms:
        there = (grid >= low) & (grid <= high)
        for i, one in enumerate(flux):
            found[i, there] = instruments.sample(one, own, grid[there])
    return found


def _training_labels(config, survey, scale, training):
    found = read_labels(config.output / "labels" / f"{survey}-on-{scale}")
    row_of = {name: i for i, name in enumerate(found["id"])}
    rows = [row_of[name] for name in training[f"id_{survey}"]]
    return np.column_stack([found[name][rows] for name in config.labels.names])


def _ungated(what, value, limit, unit=""):
    """Return a row for information where another has a limit."""
    return only(what, value, unit)


def _scatters(path):
    found = Table.read(path)
    return dict(zip(found["parameter"], found["scatter_all"], strict=True))


def _slope(x, y):
    """Return the slope of y with x and its standard error, without 4-sigma outliers."""
    used = np.isfinite(x) & np.isfinite(y)
    middle = np.median(y[used])
    used &= abs(y - middle) < 4 * robust_sigma(y[used])
    x, y = x[used] - x[used].mean(), y[used]
    slope = (x * (y - y.mean())).sum() / (x**2).sum()
    left = y - y.mean() - slope * x
    # The scatter may change with Teff: White's error does not mind.
    return slope, np.sqrt((x**2 * left**2).sum()) / (x**2).sum()


class _bar:
    """A progress bar that shows nothing."""

    def __init__(self, total, unit):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, count):
        """Pass over what was done."""


if __name__ == "__main__":
    sys.exit(main())
