"""Are the numbers right? python -m bench.trust. Fills its part of docs/reliability.md.

Kernels against their plain twins; pulls, (inferred - true label) / formal error, on
spectra whose labels are known; labels that AnniesLasso and TheCannon find from the same
model and spectra. The exit code is 1 if one of them is not as it must be.
"""

import json
import sys
from pathlib import Path

import numpy as np

from fastcannon import CannonModel
from fastcannon.figures import style
from fastcannon.selftest.kernels import compare_kernels

from .peer_runs import NAMES, run_peer
from .reliability import WELL, WRONG, finish_rows, legend, plain, put_part, save
from .survey import make_survey

RESULTS = Path(__file__).with_name("trust.json")
N_STARS, N_PIXELS, FOLDS = 3000, 1000, 10
PEER_STARS, PEER_LABELS = 400, 6
# Of pulls: the first know the model, the others train it on 2,700 of the same stars.
WIDTHS = {"known model": (0.96, 1.04), "cross-validation": (0.96, 1.08)}
FURTHEST = 0.05  # formal errors, of half of the stars of a peer


def main():
    """Measure, draw, and write what came of it."""
    kernels = {name: (float(d), a) for name, d, a in compare_kernels()}
    pulls = measure_pulls()
    peers = dict(measure_peer(peer) for peer in NAMES)
    figures = {
        "kernels": kernels_figure(kernels),
        "pulls": pulls_figure(pulls),
        "peers": peers_figure(peers),
    }
    for name, figure in figures.items():
        save(figure, name)
    found = {
        "kernels": kernels,
        "pulls": {case: summary(values) for case, values in pulls.items()},
        "peers": {
            peer: np.quantile(away, (0.5, 0.99, 1)).tolist()
            for peer, away in peers.items()
        },
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    put_part("trust", trust_text())
    wrong = not_well(found)
    print(*wrong, f"{len(wrong)} numbers are not as they must be", sep="\n")
    return 1 if wrong else 0


def measure_pulls():
    """Return {case: pulls (N, K)} of simulated stars, S/N 30 to 300."""
    survey = make_survey(3, N_STARS, N_PIXELS, seed=5)
    found = survey.model.infer(survey.flux, survey.ivar)
    spectra = survey.labels, survey.flux, survey.ivar
    left_out = CannonModel(survey.model.label_names).cross_validate(
        *spectra, folds=FOLDS
    )
    return {
        "known model": (found.labels - survey.labels) / found.errors,
        "cross-validation": left_out.difference / left_out.result.errors,
    }


def measure_peer(peer):
    """Return a peer's name and its labels less ours, in formal errors, largest of K."""
    survey = make_survey(PEER_LABELS, PEER_STARS, seed=6)
    given = survey.flux, survey.ivar
    found = survey.model.infer(*given)
    labels, _, version = run_peer(peer, survey.model, survey.labels, *given)
    return version, (abs(labels - found.labels) / found.errors).max(axis=1)


def summary(pulls):
    """Return stars, and of each label the mean pull and the standard deviation."""
    return {
        "stars": len(pulls),
        "mean": pulls.mean(axis=0).tolist(),
        "width": pulls.std(axis=0).tolist(),
    }


def not_well(found):
    """Return what is not as it must be, as sentences."""
    wrong = [
        f"kernel {name}: {difference:.1e} from its twin, {allowed:.0e} allowed"
        for name, (difference, allowed) in found["kernels"].items()
        if not difference <= allowed
    ]
    for case, (low, high) in WIDTHS.items():
        widths = np.array(found["pulls"][case]["width"])
        if not ((widths >= low) & (widths <= high)).all():
            wrong.append(f"pulls, {case}: widths {widths}, expected {low} to {high}")
    return wrong + [
        f"{peer}: half of the stars are beyond {middle} formal errors"
        for peer, (middle, *_) in found["peers"].items()
        if not middle <= FURTHEST
    ]


def trust_text():
    """Return the results as the lines of the page."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    kernels = found["kernels"].values()
    well = sum(difference <= allowed for difference, allowed in kernels)
    lines = [
        "",
        f"{well} of {len(kernels)} kernels agree with their twins.",
        "",
        "| pulls | stars | mean, by label | standard deviation, by label |",
        "|---|--:|--:|--:|",
    ]
    for case, row in found["pulls"].items():
        mean, width = (
            ", ".join(f"{value:.3f}" for value in row[key]) for key in ("mean", "width")
        )
        lines.append(f"| {case} | {row['stars']:,} | {mean} | {width} |")
    lines += [
        "",
        "| labels, theirs - ours, in formal errors | median | 99 % | all |",
        "|---|--:|--:|--:|",
    ]
    for peer, shares in found["peers"].items():
        lines.append(f"| {peer} | {' | '.join(f'{v:.1e}' for v in shares)} |")
    return "\n".join([*lines, ""])


def kernels_figure(kernels):
    """Return the figure of kernels: difference from the twin, and what is allowed."""
    names = list(kernels)
    difference, allowed = np.array(list(kernels.values())).T
    shown = np.maximum(difference, 1e-18)  # equal bytes have no logarithm
    figure = style.new_figure(6.4, 0.8 + 0.17 * len(names))
    axes = figure.subplots()
    rows = np.arange(len(names))
    colours = np.where(difference <= allowed, WELL, WRONG)
    axes.hlines(rows, shown, allowed, color=style.GRID, linewidth=1)
    axes.scatter(allowed, rows, marker="|", color=style.INK, s=40, label="allowed")
    axes.scatter(shown, rows, color=colours, s=16, label="measured")
    axes.set_xscale("log")
    what = "difference from the plain twin, relative (left edge: none)"
    return finish_rows(figure, axes, names, what)


def pulls_figure(pulls):
    """Return the figure of pulls: histograms against the unit normal."""
    figure = style.new_figure(6.4, 2.8)
    edges = np.linspace(-4, 4, 41)
    normal = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    panels = figure.subplots(1, len(pulls), sharey=True)
    for axes, (case, values) in zip(panels, pulls.items(), strict=True):
        for k, column in enumerate(values.T):
            axes.hist(
                column,
                edges,
                density=True,
                histtype="step",
                color=style.COLOURS[k],
                label=f"label {k + 1}",
            )
        axes.plot(edges, normal, color=style.INK, linewidth=1, label="unit normal")
        axes.set_title(case, fontsize=style.TEXT_SIZE, loc="left")
        axes.set_xlabel("(inferred - true) / formal error")
        plain(axes)
    handles, labels = panels[0].get_legend_handles_labels()
    legend(figure, handles, labels)
    return figure


def peers_figure(peers):
    """Return the figure of peers: share of the stars that are nearer."""
    figure = style.new_figure(6.4, 2.6)
    axes = figure.subplots()
    for k, (peer, away) in enumerate(peers.items()):
        share = 100 * np.arange(1, len(away) + 1) / len(away)
        axes.step(np.sort(away), share, color=style.COLOURS[k], label=peer)
    axes.set_xscale("log")
    axes.set_xlabel("labels, theirs - ours, in formal errors; largest of each star")
    axes.set_ylabel("% of the stars", fontsize=style.TEXT_SIZE)
    axes.axvline(1, color=style.FAINT, linewidth=1)
    plain(axes)
    legend(figure)
    return figure


if __name__ == "__main__":
    sys.exit(main())
