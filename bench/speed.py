"""Speed of inference and training, in units of the matrix product."""

from copy import copy

import numpy as np

from fastcannon import CannonModel
from fastcannon.selftest.speed import interleave, unit_task
from fastcannon.training import pixel_blocks, train_path

from .clock import gram_task
from .peer_runs import run_peer
from .results import at_least, at_most, only
from .survey import make_survey

PEER_SPECTRA = 40
PEER_ROUNDS = 3


def bench_inference(survey, threads):
    """Inference of normalised spectra against U and against the peers."""
    model, flux, ivar = survey.model, survey.flux, survey.ivar
    check_labels(model, flux[:20], ivar[:20])
    unit, per_unit = unit_task(threads)
    ours = {
        "one": lambda: model.infer(flux, ivar, starts=1, threads=threads),
        "eight": lambda: model.infer(flux, ivar, starts=8, threads=threads),
        "one thread": lambda: model.infer(flux, ivar, starts=1, threads=1),
    }
    seconds = interleave(
        {
            "unit": unit,
            **ours,
            "double": lambda: model.infer(
                flux, ivar, starts=8, threads=threads, precision="double"
            ),
        }
    )
    unit_seconds = seconds["unit"] / per_unit
    units = {name: value / len(flux) / unit_seconds for name, value in seconds.items()}
    rows = [
        only("U on all threads", unit_seconds * 1e6, "us"),
        at_most("inference, 1 start", units["one"], 1.4, "U"),
        at_most("inference, 8 starts", units["eight"], 1.8, "U"),
        only("inference, 8 starts, double precision", units["double"], "U"),
    ]
    for peer, limit in (("annieslasso", 200), ("thecannon", 100)):
        rows += bench_peer(peer, limit, survey, ours)
    return rows


def bench_peer(peer, limit, survey, ours):
    """How many times faster than a peer, labels compared first, runs interleaved."""
    model = survey.model
    flux, ivar = survey.flux[:PEER_SPECTRA], survey.ivar[:PEER_SPECTRA]
    found = model.infer(flux, ivar)
    peer_seconds, seconds = [], {name: [] for name in ours}
    for _ in range(PEER_ROUNDS):
        labels, taken, version = run_peer(peer, model, survey.labels, flux, ivar)
        away = abs(labels - found.labels) / found.errors
        away = np.median(away.max(axis=1))
        if not away < 0.05:
            raise AssertionError(f"{peer} finds other labels: {away} formal errors")
        peer_seconds.append(taken / len(flux))
        for name, value in interleave(ours, rounds=1).items():
            seconds[name].append(value / len(survey.flux))
    theirs = np.median(peer_seconds)
    ratio = {name: theirs / np.median(values) for name, values in seconds.items()}
    return [
        only(f"{version}, inference", theirs * 1e3, "ms"),
        at_least(f"{version} / ours, 1 start", ratio["one"], limit, "x"),
        only(f"{version} / ours, 8 starts", ratio["eight"], "x"),
        only(f"{version} / ours, 1 start on 1 thread", ratio["one thread"], "x"),
    ]


def check_labels(model, flux, ivar):
    """The answer before the clock: both precisions agree."""
    single = model.infer(flux, ivar)
    double = model.infer(flux, ivar, precision="double")
    away = abs(single.labels - double.labels) / double.errors
    if not away.max() < 1e-3:
        raise AssertionError(f"precisions differ by {away.max()} formal errors")


def bench_methods(threads):
    """The automatic choice of method against the faster of the two."""
    rows = []
    for n_labels, n_spectra in ((3, 2048), (4, 2048), (6, 1024), (10, 256), (17, 96)):
        survey = make_survey(n_labels, n_spectra)
        seconds = {}
        for method in ("auto", "compressed", "streaming"):
            few = slice(0, 32 if method == "streaming" else n_spectra)
            flux, ivar = survey.flux[few], survey.ivar[few]
            prepared = survey.model.inferrer(8, n_spectra, method=method)
            if method == "auto":
                few = slice(0, 32 if prepared.method == "streaming" else n_spectra)
                chosen = prepared.method
                continue

            def task(prepared=prepared, flux=flux, ivar=ivar):
                prepared.infer(flux, ivar, threads)

            seconds[method] = interleave({"it": task}, rounds=3)["it"] / len(flux)
        faster = min(seconds.values())
        rows.append(
            at_most(
                f"K = {n_labels}: time of the method chosen ({chosen}) / the faster",
                seconds[chosen] / faster,
                1.1,
            )
        )
        rows.append(
            only(
                f"K = {n_labels}: streaming / compressed",
                seconds["streaming"] / seconds["compressed"],
            )
        )
    return rows


def bench_training(survey, threads):
    """Training, cross-validation and an L1 path against G."""
    model = CannonModel(survey.model.label_names)
    labels, flux, ivar = survey.labels, survey.flux, survey.ivar
    gram = gram_task(threads)
    seconds = interleave(
        {
            "gram": gram,
            "train": lambda: model.train(labels, flux, ivar, threads=threads),
        },
        rounds=3,
    )
    rows = [
        only("G on all threads", seconds["gram"], "s"),
        at_most("training", seconds["train"] / seconds["gram"], 8, "G"),
        *check_training(model, labels, flux, ivar),
    ]
    seconds = interleave(
        {
            "gram": gram,
            "folds": lambda: model.cross_validate(labels, flux, ivar, threads=threads),
        },
        rounds=2,
    )
    rows.append(
        at_most(
            "12-fold cross-validation with training",
            seconds["folds"] / seconds["gram"],
            24,
            "G",
        )
    )
    rows.append(check_folds(model, labels, flux, ivar, threads))
    x = model.scale_labels(labels)
    groups, designs = model.designs(x, flux.shape[1])
    strengths = np.geomspace(1e5, 1e1, 20)

    def path():
        return train_path(
            flux,
            ivar,
            designs,
            pixel_blocks(groups),
            model.theta,
            model.s2,
            strengths,
            threads,
        )

    worst = path()[1].max()
    seconds = interleave({"gram": gram, "path": path}, rounds=2)
    rows += [
        at_most(
            "path of 20 L1 strengths at fixed s2",
            seconds["path"] / seconds["gram"],
            16,
            "G",
        ),
        at_most("its violation of optimality, largest", worst, 1e-8),
    ]
    return rows


def check_training(model, labels, flux, ivar, n_pixels=40):
    """s2 and theta against a dense search on a sample of pixels."""
    v = model.terms.vectors(model.scale_labels(labels))
    s2_away, theta_away = 0.0, 0.0
    for p in np.random.default_rng(1).choice(len(model.s2), n_pixels, replace=False):
        used = ivar[:, p] > 0
        f, iv = flux[used, p].astype(float), ivar[used, p].astype(float)

        def profile(s2, f=f, iv=iv, v=v[used]):
            w = iv / (1.0 + iv * s2)
            theta = np.linalg.solve((v.T * w) @ v, (v.T * w) @ f)
            r = f - v @ theta
            return np.sum(w * r**2 - np.log(w)), np.sum((w * r) ** 2 - w), theta

        grid = np.append(0.0, np.geomspace(1e-8, 1e-1, 60))
        values = [profile(s2)[0] for s2 in grid]
        i = int(np.argmin(values))
        best = _root(profile, grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)])
        scale = max(model.s2[p], np.median(1.0 / iv))
        s2_away = max(s2_away, abs(model.s2[p] - best) / scale)
        theta_away = max(theta_away, abs(model.theta[p] - profile(best)[2]).max())
    return [
        at_most("abs(s2 - optimum) / max(s2, median 1/ivar)", s2_away, 1e-5),
        at_most("abs(theta - optimum), largest", theta_away, 1e-8),
    ]


def _root(profile, low, high):
    """Where the profile likelihood stops rising between two values of s2."""
    if profile(low)[1] <= 0:
        return low
    for _ in range(200):
        middle = 0.5 * (low + high)
        if profile(middle)[1] > 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def check_folds(model, labels, flux, ivar, threads, n_folds=2):
    """Cross-validated labels against models really trained without the fold."""
    from fastcannon.training import train_pixels

    folds = model.cross_validate(labels, flux, ivar, threads=threads)
    groups, designs = model.designs(model.scale_labels(labels), flux.shape[1])
    worst = 0.0
    for f in range(n_folds):
        rest, out = folds.fold != f, folds.fold == f
        theta, s2, _ = train_pixels(
            flux[rest],
            ivar[rest],
            [design.rows(rest) for design in designs],
            pixel_blocks(groups),
            len(model.terms),
            model.fit,
            threads,
        )
        one = copy(model)
        one.theta, one.s2 = theta, s2
        brute = one.infer(flux[out], ivar[out], threads=threads)
        away = abs(folds.result.labels[out] - brute.labels) / brute.errors
        worst = max(worst, away.max())
    return at_most("cross-validation - brute-force refits, formal errors", worst, 0.02)


def bench_threads(survey):
    """Gain of 2 threads over 1, relative to that of the matrix product."""
    labels, flux, ivar = survey.labels, survey.flux, survey.ivar
    model = CannonModel(survey.model.label_names)
    tasks = {}
    for threads in (1, 2):
        tasks[f"unit {threads}"] = unit_task(threads)[0]
        # whole blocks for each thread: no product has a tail of its own either
        tasks[f"infer {threads}"] = lambda t=threads: survey.model.infer(
            flux[:4096], ivar[:4096], threads=t
        )
        tasks[f"train {threads}"] = lambda t=threads: model.train(
            labels, flux, ivar, threads=t
        )
    seconds = interleave(tasks, rounds=5)
    gain = {
        name: seconds[f"{name} 1"] / seconds[f"{name} 2"]
        for name in ("unit", "infer", "train")
    }
    return [
        only("gain of 2 threads over 1: product", gain["unit"], "x"),
        at_least(
            "gain of 2 threads: inference / product", gain["infer"] / gain["unit"], 0.95
        ),
        at_least(
            "gain of 2 threads: training / product", gain["train"] / gain["unit"], 0.95
        ),
    ]
