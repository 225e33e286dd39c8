"""The translator on real tables of common stars: how good, how fast, how large.

Quarter of the stars held out, seeds 1 to 8; robust sigma (1.4826 MAD) of the residuals.
Ratios are to maps fitted on the same stars; their errors are of a bootstrap over stars,
which the seeds have in common.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from fastcannon.spread import robust_sigma
from fastcannon.translate import Settings, Translator
from fastcannon.translate.baselines import fit_baselines, term_values
from fastcannon.translate.columns import read_columns
from fastcannon.translate.quality import BIT

from .realdata import data_folder
from .results import Row, at_most, only

SEEDS = range(1, 9)
BOOTSTRAPS = 200
LEVELS = (0.68, 0.95)
ROWS = 1_000_000
APOKASC = "apokasc_logg_cal.csv"
# of the seismic log g and of the calibrated labels, whose errors the raw ones share
ERRORS = {
    "LOGG_SEIS": "SIG_LOGG_SEIS",
    "TEFF_FIT": "TEFF_COR_ERR",
    "LOGG_FIT": "LOGG_COR_ERR",
    "FE_H_RAW": "FE_H_ADOP_COR_ERR",
    "ALP_FE_ADOP_FIT": "ALP_FE_ADOP_COR_ERR",
}


class Case(NamedTuple):
    """A table of common stars; output i starts from input i."""

    file: str
    inputs: tuple
    outputs: tuple


CASES = (
    Case(
        APOKASC,
        ("LOGG_FIT", "TEFF_FIT", "FE_H_RAW", "ALP_FE_ADOP_FIT", "C_M_RAW", "N_M_RAW"),
        ("LOGG_SEIS",),
    ),
    Case(
        "apogee_dr12_x_dr13.csv",
        ("TEFF_dr12", "LOGG_dr12", "FE_H_dr12", "MG_H_dr12", "PARAM_ALPHA_M_dr12"),
        ("teff_dr13", "logg_dr13", "fe_dr13", "mg_dr13"),
    ),
    Case(
        "kic_photometric_x_aspcap_apokasc71.csv",
        ("KIC TEFF (K)", "KIC LOGG", "KIC [FE/H]", "KIC E(B-V)"),
        ("CORR_ASPCAP TEFF", "CORR_ASPCAP LOGG", "CORR_ASPCAP METALS"),
    ),
    Case(
        "apogee_dr13_x_dr17.csv",
        ("teff_dr13", "logg_dr13", "fe_h_dr13", "alpha_m_dr13"),
        ("teff_dr17", "logg_dr17", "fe_h_dr17", "alpha_m_dr17"),
    ),
    Case(
        "apogee_dr12_x_irfm_teff.csv",
        ("TEFF_dr12", "LOGG_dr12", "FE_H_dr12"),
        ("irfm",),
    ),
)


def bench_translate(threads):
    """Scatter, ratios, coverage; then times, memory and equal bytes."""
    folder = data_folder()
    if folder is None:
        print("no test data: the translator is left out", file=sys.stderr)
        return []
    rows = []
    for case in CASES:
        rows += bench_case(case, read(folder, case), threads)
    table = read(folder, CASES[0])
    rows += bench_options(CASES[0], table)
    rows += bench_empty(CASES[1], read(folder, CASES[1]))
    rows += bench_cost(CASES[0], table, threads)
    return rows + bench_errors(CASES[1], read(folder, CASES[1]), threads)


def read(folder, case):
    """Rows of a case without a missing value."""
    table = Table.read(folder / "catalogues" / case.file)
    names = [*case.inputs, *case.outputs]
    values = read_columns(table, names)
    used = np.isfinite(values).all(axis=1) & (abs(values) < 9000).all(axis=1)
    return table[used]


class Test(NamedTuple):
    """Residuals of one seed's test stars: rows (M,), of each map (M, O), coverage."""

    rows: np.ndarray
    translator: np.ndarray
    identity: np.ndarray
    quadratic: np.ndarray
    inside: np.ndarray
    pulls: np.ndarray


def run_seed(case, table, seed, threads):
    """Train on three quarters of the stars, translate the last."""
    order = np.random.default_rng(seed).permutation(len(table))
    test, train = order[: len(table) // 4], order[len(table) // 4 :]
    translator = Translator(case.inputs, case.outputs, seed=seed).train(table[train])
    true = np.column_stack([table[test][name] for name in case.outputs])
    inside = []
    for level in LEVELS:
        found = translator.apply(table[test], level=level, threads=threads)
        values, errors, low, high = (
            np.column_stack([found[pattern.format(name)] for name in case.outputs])
            for pattern in ("{}", "e_{}", "{}_low", "{}_high")
        )
        inside.append((true >= low) & (true <= high))
    away = values - true
    others = baseline_residuals(case, table, train, test, true)
    return Test(test, away, *others, np.array(inside), away / errors)


def baseline_residuals(case, table, train, test, true):
    """Residuals of the identity with offset and of the quadratic ridge."""
    x = np.column_stack([table[name] for name in case.inputs])
    y = np.column_stack([table[name] for name in case.outputs])
    centre, scale = x[train].mean(axis=0), x[train].std(axis=0)
    middle, size = y[train].mean(axis=0), y[train].std(axis=0)
    starts = np.arange(y.shape[1])
    x = (x - centre) / scale
    folds = np.arange(len(train)) % 5
    found = fit_baselines(
        x[train], (y[train] - middle) / size, starts, scale[starts] / size, folds
    )
    terms = term_values(x[test])
    return [
        terms @ found[kind].coefficients * size + middle - true
        for kind in ("identity", "quadratic")
    ]


def bench_case(case, table, threads):
    """Rows of one table, every label."""
    tests = [run_seed(case, table, seed, threads) for seed in SEEDS]
    rows = []
    for k, name in enumerate(case.outputs):
        what = f"translator, {case.file.split('.')[0]}, {name}"
        sigma = np.mean([robust_sigma(t.translator[:, k]) for t in tests])
        limited = case.file == APOKASC
        rows.append(
            at_most(f"{what}: scatter", sigma, 0.038, "dex")
            if limited
            else only(f"{what}: scatter", sigma)
        )
        for kind in ("identity", "quadratic"):
            ratio, error = ratios(tests, kind, [k], len(table))
            limit = 1 + 2 * error
            rows.append(at_most(f"{what}: ratio to {kind}", ratio, round(limit, 4)))
        for number, level in enumerate(LEVELS):
            rows.append(covered(what, tests, k, number, level, len(table)))
        pull = np.mean([robust_sigma(t.pulls[:, k]) for t in tests])
        rows.append(only(f"{what}: width of the pulls", pull))
    if case.file.startswith("apogee_dr12_x_dr13"):
        ratio, _ = ratios(tests, "quadratic", range(len(case.outputs)), len(table))
        what = "translator, apogee_dr12_x_dr13, mean of labels: ratio to quadratic"
        rows.append(at_most(what, ratio, 0.93))
    return rows


def ratios(tests, kind, labels, n_stars):
    """Mean over seeds and labels of the ratio of scatters, and its standard error."""
    rng = np.random.default_rng(0)

    def mean(times):
        found = []
        for t in tests:
            again = np.repeat(np.arange(len(t.rows)), times[t.rows])
            ours, theirs = t.translator[again], getattr(t, kind)[again]
            found.append([robust_sigma(a[:, labels]) for a in (ours, theirs)])
        ours, theirs = np.swapaxes(found, 0, 1)
        return (ours / theirs).mean()

    drawn = [
        mean(np.bincount(rng.integers(n_stars, size=n_stars), minlength=n_stars))
        for _ in range(BOOTSTRAPS)
    ]
    return mean(np.ones(n_stars, dtype=int)), np.std(drawn)


def covered(what, tests, k, number, level, n_stars):
    """Coverage of the test stars of all seeds, within three errors of one set."""
    share = np.mean([t.inside[number, :, k].mean() for t in tests])
    error = np.sqrt(level * (1 - level) / (n_stars // 4))
    must = f"{level:g} within {3 * error:.3f}"
    met = abs(share - level) <= 3 * error
    return Row(f"{what}: coverage", float(share), "", must, bool(met))


OPTIONS = {
    "as it comes": {},
    "weighted by the errors": {"weighted": True},
    "redrawn within the errors": {"redraw": True},
    "sparse regions weighted up": {"sparse": 0.5},
    "networks alone": {"blend": False},
}
OPTION_SEEDS = (1, 2)


def bench_options(case, table):
    """Scatter with each option: all test stars, and the tenth of least density."""
    rows = []
    for name, change in OPTIONS.items():
        sigmas = [option_scatter(case, table, seed, change) for seed in OPTION_SEEDS]
        everywhere, sparse = np.mean(sigmas, axis=0)
        what = f"translator, {case.outputs[0]}, {name}"
        rows.append(only(f"{what}: scatter", everywhere))
        rows.append(only(f"{what}: scatter of the loneliest tenth", sparse))
    return rows


def option_scatter(case, table, seed, change):
    """Robust sigma of all test stars and of those farthest from training stars."""
    order = np.random.default_rng(seed).permutation(len(table))
    test, train = order[: len(table) // 4], order[len(table) // 4 :]
    translator = Translator(
        case.inputs, case.outputs, seed=seed, errors=ERRORS, settings=Settings(**change)
    ).train(table[train])
    found = translator.apply(table[test])
    away = np.asarray(found[case.outputs[0]] - table[test][case.outputs[0]])
    distance = np.asarray(found["translate_distance"])
    lonely = distance > np.quantile(distance, 0.9)
    return robust_sigma(away), robust_sigma(away[lonely])


# The tenth of the stars with the lowest value of a column is not trained on.
EMPTY = {"metal-poor": "FE_H_dr12", "low log g": "LOGG_dr12"}


def bench_empty(case, table):
    """Mean absolute residual far outside: with the linear map over networks alone."""
    rows = []
    for what, name in EMPTY.items():
        out = np.asarray(table[name]) < np.quantile(table[name], 0.1)
        translator = Translator(case.inputs, case.outputs, seed=1).train(table[~out])
        far_out, sizes = None, []
        for smooth_far in (True, False):
            translator.trained = translator.trained._replace(smooth_far=smooth_far)
            found = translator.apply(table[out])
            if smooth_far:
                far_out = (np.asarray(found["translate_flag"]) & BIT["SMOOTH"]) > 0
            away = [found[n] - table[out][n] for n in case.outputs]
            sizes.append(abs(np.array(away)[:, far_out]).mean(axis=1))
        ratio = np.exp(np.log(sizes[0] / sizes[1]).mean())
        text = f"translator, {far_out.sum()} {what} stars far from those trained on"
        rows.append(only(f"{text}: linear map / networks alone", ratio))
    return rows


def bench_cost(case, table, threads):
    """Seconds of training and applying, memory, and whether bytes repeat."""
    with tempfile.TemporaryDirectory() as name:
        first, second = Path(name) / "first.fits", Path(name) / "second.fits"
        seconds = []
        for path in (first, second):
            start = time.perf_counter()
            Translator(case.inputs, case.outputs, seed=1).train(table).write(path)
            seconds.append(time.perf_counter() - start)
        differ = first.read_bytes() != second.read_bytes()
        applied, peak = apply_million(first, threads)
    what = "translator"
    return [
        at_most(
            f"{what}: training 10 networks on {len(table):,} stars",
            np.median(seconds),
            180,
            "s",
        ),
        at_most(f"{what}: models of one seed that differ", float(differ), 0),
        at_most(f"{what}: {ROWS:,} rows applied, {threads} threads", applied, 20, "s"),
        at_most(f"{what}: memory of {ROWS:,} rows", peak, 2, "GiB"),
    ]


def bench_errors(case, table, threads):
    """Seconds of applying a model of four outputs with errors of all inputs."""
    table = table.copy()
    rng = np.random.default_rng(0)
    for name in case.inputs:  # made up: the cost does not depend on them
        table[f"e_{name}"] = 0.1 * np.std(table[name]) * rng.uniform(0.5, 2, len(table))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.fits"
        settings = Settings(epochs=1)
        Translator(case.inputs, case.outputs, settings=settings).train(table).write(
            path
        )
        applied, peak = apply_million(path, threads)
    what = f"translator, {len(case.outputs)} outputs with errors"
    return [
        at_most(f"{what}: {ROWS:,} rows applied, {threads} threads", applied, 20, "s"),
        at_most(f"{what}: memory of {ROWS:,} rows", peak, 2, "GiB"),
    ]


APPLY = """
import sys, time
import numpy as np
from astropy.table import Table
from fastcannon.translate import Settings, Translator
model = Translator.read(sys.argv[1])
rng = np.random.default_rng(0)
stars = model.trained.reference[rng.integers(len(model.trained.reference), size=ROWS)]
stars = stars + 0.05 * rng.standard_normal(stars.shape)
side = model.trained.inputs
table = Table(side.restore(stars), names=model.inputs)
for name, typical in zip(side.errors, side.typical):
    if name:
        table[name] = typical * rng.uniform(0.5, 2, ROWS)
start = time.perf_counter()
found = model.apply(table, threads=int(sys.argv[2]))
seconds = time.perf_counter() - start
assert len(found) == ROWS and np.isfinite(found[model.outputs[0]]).all()
assert not {"jax", "equinox", "optax"} & set(sys.modules)
peak = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
print(seconds, int(peak) / 2**20)
"""


def apply_million(path, threads):
    """Seconds and GiB of applying a model in a process of its own, without JAX."""
    code = APPLY.replace("ROWS", str(ROWS))
    command = [sys.executable, "-c", code, str(path), str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return map(float, done.stdout.split())
