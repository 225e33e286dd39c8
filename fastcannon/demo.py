"""A small survey from beginning to end: ``python -m fastcannon.demo --out demo``.

Simulates stars with known labels and a survey, trains, cross-validates, infers
and writes every file that a real run has. The same input gives the same files.
"""

import argparse
import sys
from pathlib import Path

from astropy.table import Table

from . import jobs
from .arrays import label_array
from .model import CannonModel
from .plots import one_to_one
from .simulate import simulate_spectra
from .spectra import SpectraFile, write_spectra

LABELS = ("teff", "logg", "fe_h")
TRAINING_SEED, SURVEY_SEED = 1, 2
WRITTEN = (
    "training.fits",
    "survey.fits",
    "model.fits",
    "validation.fits",
    "labels.fits",
    "one_to_one.png",
)


def run_demo(folder, n_training=1000, n_survey=4000, n_pixels=2000):
    """Simulate, train, cross-validate, infer; print what is done and how well.

    Parameters
    ----------
    folder : str or Path
        Made if absent; its files of the same names are replaced.
    n_training, n_survey, n_pixels : int
        Stars with known labels, stars to infer, pixels.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Simulating {n_training:,} training stars and a survey of {n_survey:,} ...")
    training = _simulate(folder / "training.fits", n_training, n_pixels, TRAINING_SEED)
    survey = _simulate(folder / "survey.fits", n_survey, n_pixels, SURVEY_SEED)

    print(f"Training on {', '.join(LABELS)} and cross-validating ...")
    model = CannonModel(LABELS)
    with SpectraFile(training) as spectra:
        jobs.train(model, spectra)
        model.write(folder / "model.fits")
        validation = jobs.validate(model, spectra)
        jobs.write_validation(folder / "validation.fits", validation, spectra)

    print("Inferring the labels of the survey ...")
    with SpectraFile(survey) as spectra:
        flags = jobs.infer(model, spectra, folder / "labels.fits")
        true = spectra.labels(LABELS)
    inferred = label_array(Table.read(folder / "labels.fits"), LABELS)
    one_to_one(true, inferred, LABELS).savefig(folder / "one_to_one.png")

    print("\nCross-validation, inferred minus given labels of the training stars:")
    print(*jobs.summary_lines(LABELS, validation.difference), sep="\n")
    print("\nSurvey, inferred minus true labels:")
    print(*jobs.summary_lines(LABELS, inferred - true), sep="\n")
    print(f"\nSpectra flagged: {jobs.flags_text(flags)}")
    print("\nWritten:")
    for name in WRITTEN:
        print(f"  {folder / name}")


def _simulate(path, n_stars, n_pixels, seed):
    """Write a simulated spectra file and return its path."""
    made = simulate_spectra(n_stars, n_pixels, seed)
    write_spectra(
        path, made.flux, made.ivar, made.wavelength, made.stars, normalised=True
    )
    return path


def main(argv=None):
    """Run the demonstration from the command line and return 0."""
    parser = argparse.ArgumentParser(prog="python -m fastcannon.demo")
    parser.add_argument("--out", default="demo", help="folder for the files")
    run_demo(parser.parse_args(argv).out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
