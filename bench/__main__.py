"""All benchmarks: python -m bench [part ...] [--threads N].

Answers are checked before anything is timed. With all parts, writes bench/results.json
and its tables in README.md and docs/benchmarks.md; ends with exit code 1 where a number
that must be met is not.
"""

import argparse
import sys

import numpy as np

from fastcannon.parallel import thread_count

from . import (
    accuracy,
    catalogue,
    crossrun,
    distance,
    measure,
    memory,
    pages,
    parent,
    report,
    speed,
    surveys,
    translate,
    translate_surveys,
)
from .realdata import bovy_model, data_folder
from .results import table, write
from .survey import draw_spectra, make_survey

PARTS = (
    *("accuracy", "inference", "methods", "training", "threads", "memory"),
    *("selftest", "simulation", "packing", "reading"),
    *("pipeline", "trainings", "distance", "catalogue", "parent", "report"),
    *("translate", "translated"),
)


def main():
    """Run the parts asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}")
    parser.add_argument("--threads", type=int, default=thread_count())
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}")
    rows = []
    for part in options.parts or PARTS:
        found = RUN[part](options.threads)
        print(table(found), flush=True)
        rows += found
    if not options.parts:
        write(rows, pages.RESULTS)
        pages.write_pages()
    missed = [row.what for row in rows if not row.met]
    for what in missed:
        print(f"not met: {what}", file=sys.stderr)
    return 1 if missed else 0


def run_accuracy(threads):
    """Optimum, global optimum, and the real spectra."""
    survey = make_survey(6, 40)
    rows = [accuracy.bench_optimum(survey.model, survey.flux, survey.ivar, "K = 6")]
    folder = data_folder()
    if folder is None:
        print("no test data: the real spectra are left out", file=sys.stderr)
        return rows
    model = bovy_model(folder)
    rng = np.random.default_rng(6)
    labels = (model.starts[:40] * model.scales) + model.fiducials
    flux, ivar = draw_spectra(model, labels, np.full(len(labels), 100.0), rng)
    rows.append(accuracy.bench_optimum(model, flux, ivar, "Bovy's model"))
    rows += accuracy.bench_global(folder, threads)
    rows += accuracy.bench_miles(folder, threads)
    return rows + accuracy.bench_apstar(folder) + surveys.bench_real_files(folder)


RUN = {
    "accuracy": run_accuracy,
    "inference": lambda threads: speed.bench_inference(make_survey(6, 4096), threads),
    "methods": speed.bench_methods,
    "training": lambda threads: speed.bench_training(make_survey(6), threads),
    "threads": lambda threads: speed.bench_threads(make_survey(6)),
    "memory": lambda threads: memory.bench_memory(make_survey(6)),
    "selftest": measure.bench_selftest,
    "simulation": surveys.bench_simulation,
    "packing": surveys.bench_packing,
    "reading": surveys.bench_reading,
    "pipeline": crossrun.bench_pipeline,
    "trainings": crossrun.bench_trainings,
    "distance": distance.bench_distance,
    "catalogue": lambda threads: catalogue.bench_catalogue(),
    "parent": lambda threads: parent.bench_parent(),
    "report": lambda threads: report.bench_report(),
    "translate": translate.bench_translate,
    "translated": translate_surveys.bench_translate_surveys,
}

if __name__ == "__main__":
    sys.exit(main())
