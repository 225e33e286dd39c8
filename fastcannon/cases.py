"""The cases of a run: the spectra of either survey with the labels of either.

Nandakumar+2022, table 2: apogee-on-galah is a model trained on APOGEE's spectra with
GALAH's labels, which puts APOGEE's stars on GALAH's scale.
"""

import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from . import fitsfiles, kinds, surveys
from .arrays import label_array
from .catalogue import columns
from .censors import censors, default_windows, read_windows
from .config import OWN
from .digests import digest
from .distance import DISTANCE_LABELS, NEIGHBOURS
from .errors import InputError, TrainingWarning
from .model import CannonModel
from .modelfile import KIND, VERSION
from .normalise import ERROR_FLOOR, Normaliser, refine
from .result import UNKNOWN
from .runfolder import CANNON, PLAN, finished
from .sources import open_survey

ORDER = 4  # of the continuum of a detector, unless the configuration says otherwise
PASSES = 5  # rounds of finding continuum pixels
PLAN_VERSION = 1  # to be raised when the same settings give another model
STARS_PER_TERM = 10  # fewer training stars than this are worth a warning
GIVEN = "_given"  # ends the name of a label's column of a training set or validation


class TrainingSpectra(NamedTuple):
    """Normalised spectra of the training stars: (N, P), (N, P) and how they came."""

    flux: np.ndarray
    ivar: np.ndarray
    wavelength: np.ndarray
    medium: str
    normaliser: Normaliser


class Case(NamedTuple):
    """A model trained on a survey's spectra with a scale's labels, and its test.

    Attributes
    ----------
    name, survey, scale : str
    model : Path
    validation : astropy Table
        Of the training stars: <label>_given, <label> by the model without the star.
    """

    name: str
    survey: str
    scale: str
    model: Path
    validation: Table

    def difference(self, names):
        """Return inferred minus given labels, (N, K); NaN without convergence."""
        return _difference(self.validation, names)


def check(config, survey):
    """Find mistakes of the configuration that would show only while training.

    Parameters
    ----------
    config : Config
    survey : config.Survey

    Raises
    ------
    InputError
        A list of continuum pixels or a table of line windows cannot be used.
    """
    if survey.format == OWN:
        return  # its grid is not known before its files are opened
    module = surveys.get(survey.format)
    _censors(config, survey, module.WAVELENGTH, module.MEDIUM)
    if survey.continuum.pixels is not None:
        _listed_pixels(survey.continuum.pixels, len(module.WAVELENGTH))


def check_labels(config):
    """Find sets of labels of which no catalogue can be made.

    Parameters
    ----------
    config : Config

    Raises
    ------
    InputError
        None of them tells the distance to the training set, or two have one name in
        catalogues.
    """
    names = config.labels.names
    if not set(names) & set(DISTANCE_LABELS):
        raise InputError(
            f"{config.path}: labels.names are {', '.join(names)}; the distance to the "
            f"training set needs at least one of {', '.join(DISTANCE_LABELS)}"
        )
    columns(names)


def check_training(config, training):
    """Find labels and numbers of stars that no model can be trained on.

    Parameters
    ----------
    config : Config
    training : astropy Table
        Of `trainingset.match_surveys`.

    Raises
    ------
    InputError
        There are fewer stars than neighbours in the distance to the training set, or a
        label is the same for all stars of a survey.
    """
    names = config.labels.names
    if len(training) < NEIGHBOURS:
        raise InputError(
            f"{config.path}: {len(training)} common stars pass all cuts; {NEIGHBOURS} "
            "are the fewest that the distance to the training set can be measured "
            "with: loosen cuts"
        )
    for survey in config.pair():
        for name, values in zip(
            names, labels_of(training, names, survey.name).T, strict=True
        ):
            if np.ptp(values) == 0:
                raise InputError(
                    f"{survey.where}: {name} is {values[0]:g} for all "
                    f"{len(values)} training stars; leave it out of labels.names, or "
                    "name another column in columns"
                )


def warn_of_few(config, training):
    """Warn of fewer training stars than `STARS_PER_TERM` for each term of the model.

    Parameters
    ----------
    config : Config
    training : astropy Table
        Of `trainingset.match_surveys`.
    """
    model = CannonModel(config.labels.names, degree=config.model.degree)
    needed = STARS_PER_TERM * len(model.terms)
    if len(training) < needed:
        warnings.warn(
            f"{len(training)} training stars for {len(model.terms)} terms of the "
            f"model; {needed} or more are needed for labels that can be trusted: "
            "loosen cuts or use fewer labels",
            TrainingWarning,
            stacklevel=2,
        )


def training_spectra(config, survey, training, threads=None):
    """Read and normalise the training stars' spectra of a survey.

    Continuum pixels are found with the survey's own labels, as those describe its
    spectra best.

    Parameters
    ----------
    config : Config
    survey : config.Survey
    training : astropy Table
        Of `match_surveys`.
    threads : int, optional

    Returns
    -------
    TrainingSpectra
    """
    with open_survey(config, survey) as spectra:
        rows = spectra.rows(training[f"id_{survey.name}"])
        flux, ivar = spectra.read(rows)
        wavelength, medium = spectra.wavelength, spectra.medium
        given = spectra.normalised
    settings = survey.continuum
    floor = ERROR_FLOOR if survey.error_floor is None else survey.error_floor
    regions = _regions(survey, wavelength)
    if settings.pixels is None and (settings.order is not None or not given):
        names = config.labels.names
        found = refine(
            labels_of(training, names, survey.name),
            wavelength,
            flux,
            ivar,
            regions,
            lambda: CannonModel(names, degree=1),
            order=ORDER if settings.order is None else settings.order,
            passes=settings.passes or PASSES,
            error_floor=floor,
            threads=threads,
        )
        return TrainingSpectra(
            found.flux, found.ivar, wavelength, medium, found.normaliser
        )
    normaliser = _given_normaliser(settings, wavelength, regions, floor)
    flux, ivar = normaliser.apply(flux, ivar, threads)
    return TrainingSpectra(flux, ivar, wavelength, medium, normaliser)


def train_case(folder, config, survey, scale, training, spectra, threads, progress):
    """Train and cross-validate a model; writes both, or keeps what is finished.

    Parameters
    ----------
    folder : RunFolder
    config : Config
    survey, scale : config.Survey
        Whose spectra, whose labels.
    training : astropy Table
        Of `trainingset.match_surveys`.
    spectra : callable
        Returns the `TrainingSpectra` of the survey.
    threads : int or None
    progress : callable
        Called with the number of stars cross-validated.

    Returns
    -------
    Case

    Raises
    ------
    InputError
        The files there were made from other spectra or labels, or no star converged.
    """
    name = f"{survey.name}-on-{scale.name}"
    names = config.labels.names
    labels = labels_of(training, names, scale.name)
    model_path = folder.made("models", f"{name}.fits")
    path = folder.made("validation", f"{name}.fits")
    plan = _plan(config, survey, training, labels)
    if not (
        finished(path, kinds.VALIDATION, plan)
        and finished(model_path, KIND, plan, VERSION)
    ):
        given = spectra()  # before the clock: the other case has them too
        start = time.process_time()
        model, table = _train(config, survey, labels, given, threads, progress)
        folder.spent(name, CANNON, training=time.process_time() - start)
        model.write(model_path, {PLAN: (plan, "digest of what it is made from")})
        _write_validation(path, table, training, plan)
    table = _read_validation(path)
    if not np.isfinite(_difference(table, names)).any(axis=0).all():
        raise InputError(
            f"{path}: the cross-validation of {name} gave no training star all labels "
            f"(of {len(table)}); look at its spectra and labels, or leave labels out"
        )
    return Case(name, survey.name, scale.name, model_path, table)


def validate_given(folder, config, survey, scale, training, spectra, threads, progress):
    """Cross-validate with the survey's own vmicro where it was replaced.

    For the comparison of Nandakumar+2022, fig. A3; written beside the other one.

    Parameters
    ----------
    folder, config, survey, scale, training, spectra, threads, progress :
        As in `train_case`.

    Returns
    -------
    (N, K) float64 array
        Inferred minus given labels.
    """
    names, name = config.labels.names, f"{survey.name}-on-{scale.name}-own-vmicro"
    own = training.copy()
    own[f"vmicro_{scale.name}"] = training[f"vmicro_{scale.name}{GIVEN}"]
    labels = labels_of(own, names, scale.name)
    path = folder.made("validation", f"{name}.fits")
    plan = _plan(config, survey, training, labels)
    if not finished(path, kinds.VALIDATION, plan):
        _, table = _train(config, survey, labels, spectra(), threads, progress)
        _write_validation(path, table, training, plan)
    return _difference(_read_validation(path), names)


def _plan(config, survey, training, labels):
    """Return the digest of all that a model and its test are made from.

    Line windows and listed pixels count by what they say, wherever their files are.
    Continuum pixels are found with the survey's own labels, so that these count, too.
    """
    continuum = survey.continuum
    with open_survey(config, survey) as spectra:
        packed = [part.identity for part in spectra.parts]
        masks = _censors(config, survey, spectra.wavelength, spectra.medium) or {}
        listed = []
        if continuum.pixels is not None:
            found = _listed_pixels(continuum.pixels, len(spectra.wavelength))
            listed = np.flatnonzero(found).tolist()
    ids = list(map(str, training[f"id_{survey.name}"]))
    own = labels_of(training, config.labels.names, survey.name)
    return digest(
        PLAN_VERSION,
        packed,
        ids,
        config.labels.names,
        labels.tobytes().hex(),
        own.tobytes().hex(),
        {name: mask.tobytes().hex() for name, mask in masks.items()},
        asdict(config.model),
        (continuum.order, continuum.passes, listed, survey.error_floor),
    )


def _difference(validation, names):
    """Return inferred minus given labels, (N, K); NaN without convergence."""
    found = label_array(validation, names)
    # One star whose descent runs away would make any mean and rms.
    found[np.asarray(validation["status"]) & UNKNOWN > 0] = np.nan
    return found - label_array(validation, [name + GIVEN for name in names])


def _write_validation(path, table, training, plan):
    table.add_column(training["star_id"], name="id", index=0)
    facts = {PLAN: (plan, "digest of what it is made from")}
    fitsfiles.write_table(path, table, kinds.VALIDATION, facts)


def _read_validation(path):
    return fitsfiles.read_table(path, kinds.VALIDATION)


def _train(config, survey, labels, spectra, threads, progress):
    """Return the trained model and the table of its cross-validation."""
    settings = config.model
    model = CannonModel(
        config.labels.names,
        degree=settings.degree,
        censors=_censors(config, survey, spectra.wavelength, spectra.medium),
        scatter=settings.scatter,
    )
    model.wavelength = spectra.wavelength
    validation = model.cross_validate(
        labels,
        spectra.flux,
        spectra.ivar,
        folds=settings.folds,
        seed=settings.seed,
        threads=threads,
        progress=progress,
    )
    model.normaliser = spectra.normaliser
    return model, validation.to_table()


def labels_of(training, names, scale):
    """Return the labels of training stars on a scale, (N, K)."""
    return label_array(training, [f"{name}_{scale}" for name in names])


def _regions(survey, wavelength):
    """Return the regions of a survey: detectors, arms, or all of the spectrum."""
    if survey.format == OWN:
        return [(wavelength[0], wavelength[-1])]
    return surveys.get(survey.format).REGIONS


def _given_normaliser(settings, wavelength, regions, floor):
    """Return the normaliser of given pixels, or of flux that is normalised."""
    if settings.pixels is None:
        pixels = np.zeros(len(wavelength), bool)
        return Normaliser(wavelength, pixels, regions, None, floor)
    pixels = _listed_pixels(settings.pixels, len(wavelength))
    order = ORDER if settings.order is None else settings.order
    return Normaliser(wavelength, pixels, regions, order, floor)


def _listed_pixels(path, n_pixels):
    """Return the continuum pixels that a text file lists as a mask (P,)."""
    pixels = np.zeros(n_pixels, bool)
    try:
        listed = np.loadtxt(path, dtype=np.int64, ndmin=1)
        if listed.min() < 0:
            raise IndexError(f"{listed.min()} is no pixel")
        pixels[listed] = True
    except (OSError, ValueError, IndexError) as error:
        raise InputError(
            f"{path}: no list of continuum pixels ({error}); one whole number from 0 "
            f"to {n_pixels - 1} in each line is expected"
        ) from error
    return pixels


def _censors(config, survey, wavelength, medium):
    """Return the masks of the censored labels on a survey's grid."""
    labels = config.labels
    if not labels.censors:
        return None
    if labels.windows is None:
        windows = default_windows(survey.format)
    else:
        windows = read_windows(labels.windows)
    return censors(wavelength, medium, labels.censors, windows)
