"""The way from a configuration to labels: pack, match, train, cross-validate, infer.

What it writes into the output folder:

======================================== ===========================================
packed/SURVEY/part-*.fits                spectra, see `pack`
training.fits                            common stars that pass all cuts
differences.ecsv                         differences of the scales (`differences`)
models/SURVEY-on-SCALE.fits              trained on SURVEY's spectra, SCALE's labels
validation/SURVEY-on-SCALE.fits          given and out-of-fold labels
labels/SURVEY-on-SCALE.fits              labels of all packed spectra
======================================== ===========================================
"""

from typing import NamedTuple

import numpy as np
from astropy.table import Table

from . import fitsfiles, jobs, surveys
from .arrays import label_array
from .censors import censors, default_windows, read_windows
from .config import OWN
from .cuts import Cut, suggest
from .differences import difference_lines, difference_table
from .errors import InputError
from .match import Catalogue, TrainingSet, training_table
from .model import CannonModel
from .normalise import ERROR_FLOOR, Normaliser, refine
from .pack import REFUSED_LIST, pack
from .packed import PackedSurvey
from .validation import CrossValidation

ORDER = 4  # of the continuum of a detector, unless the configuration says otherwise
PASSES = 5  # rounds of finding continuum pixels
SHOWN = 5  # refused files that are printed


class TrainingSpectra(NamedTuple):
    """Normalised spectra of the training stars: (N, P), (N, P) and how they came."""

    flux: np.ndarray
    ivar: np.ndarray
    wavelength: np.ndarray
    medium: str
    normaliser: Normaliser


class Case(NamedTuple):
    """A model trained on a survey's spectra with a scale's labels, and its test."""

    name: str
    model: CannonModel
    validation: CrossValidation


def pack_surveys(config, say, bar, processes=None):
    """Pack all surveys of a configuration that come in the surveys' own files.

    Parameters
    ----------
    config : Config
    say : callable
        Called with lines of text for the user.
    bar : callable
        Called with a total and a unit; returns a context manager with ``update``.
    processes : int, optional
        Default: as configured.

    Returns
    -------
    list of pack.Packing
    """
    packings = []
    for survey in config.surveys.values():
        if survey.format == OWN:
            continue
        with bar(None, f"{survey.name} files") as progress:
            packing = pack_survey(config, survey, processes, progress.update)
        packings.append(packing)
        for line in _packing_lines(survey.name, packing):
            say(line)
    return packings


def report_match(config, say):
    """Match the surveys and say how many stars each step left; see `match_surveys`.

    Parameters
    ----------
    config : Config
    say : callable

    Returns
    -------
    astropy Table, the training set
    """
    found, differences = match_surveys(config)
    for line in [*found.lines(), "", *difference_lines(differences), ""]:
        say(line)
    return found.table


def run_cases(config, training, say, bar, threads=None):
    """Train, cross-validate and infer for the spectra and labels of either survey.

    Parameters
    ----------
    config : Config
    training : astropy Table
        Of `match_surveys`.
    say, bar :
        As in `pack_surveys`.
    threads : int, optional

    Returns
    -------
    list of Case
    """
    cases = []
    for survey in config.pair():
        spectra = training_spectra(config, survey, training, threads)
        say(f"{survey.name}: continuum {jobs.continuum_text(spectra.normaliser)}")
        for scale in config.pair():
            with bar(len(training), "stars") as progress:
                case = train_case(
                    config, survey, scale, training, spectra, threads, progress.update
                )
            say(f"\n{case.name}: cross-validation, inferred minus given labels")
            names, difference = config.labels.names, case.validation.difference
            for line in jobs.summary_lines(names, difference):
                say(line)
            with bar(None, "spectra") as progress:
                path, flags = infer_case(config, survey, case, threads, progress.update)
            say(f"{path}: labels of all spectra; flagged: {jobs.flags_text(flags)}")
            cases.append(case)
    return cases


def check(config):
    """Find mistakes that would show only after hours of packing.

    Catalogues are read, matched and cut, continuum pixels and line windows read.

    Parameters
    ----------
    config : Config

    Raises
    ------
    InputError
        See `match_surveys`; a list of pixels or a table of windows cannot be used.
    """
    pair = config.pair()
    _common_stars(config, pair)
    for survey in pair:
        if survey.format == OWN:
            continue  # its grid is not known before its files are opened
        module = surveys.get(survey.format)
        _censors(config, survey, module.WAVELENGTH, module.MEDIUM)
        if survey.continuum.pixels is not None:
            _listed_pixels(survey.continuum.pixels, len(module.WAVELENGTH))


def pack_survey(config, survey, processes=None, progress=None):
    """Pack the spectra of one survey.

    Parameters
    ----------
    config : Config
    survey : config.Survey
        Not one of the project's own spectra files, which need no packing.
    processes : int, optional
        Default: as configured.
    progress : callable, optional
        Called with the number of groups of files done.

    Returns
    -------
    pack.Packing

    Raises
    ------
    InputError, WriteError
        See `pack.pack`.
    """
    return pack(
        survey.format,
        survey.files(),
        _packed_folder(config, survey),
        survey.options,
        config.pack.stars_per_part,
        processes or config.pack.processes,
        progress,
    )


def open_survey(config, survey):
    """Open the packed spectra of a survey, or its own spectra files."""
    if survey.format == OWN:
        return PackedSurvey(survey.files())
    return PackedSurvey.open(_packed_folder(config, survey))


def match_surveys(config):
    """Find the training set: common stars with spectra and labels that pass all cuts.

    Writes ``training.fits`` and ``differences.ecsv``.

    Parameters
    ----------
    config : Config
        Its surveys are packed.

    Returns
    -------
    match.TrainingSet
    differences : astropy Table
        See `differences.difference_table`.

    Raises
    ------
    InputError
        No common star, or none is left.
    """
    pair = config.pair()
    names = config.labels.names
    for survey in pair:
        open_survey(config, survey).close()  # before the work, not after
    found = _with_spectra(config, pair, _common_stars(config, pair))
    scales = tuple(survey.name for survey in pair)
    differences = difference_table(found.table, scales, names)
    table = fitsfiles.without_odd_units(found.table)
    fitsfiles.write_table(config.output / "training.fits", table, jobs.TRAINING)
    with fitsfiles.atomic_path(config.output / "differences.ecsv") as path:
        differences.write(path, format="ascii.ecsv")
    return found, differences


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
            _labels(training, names, survey.name),
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


def train_case(config, survey, scale, training, spectra, threads=None, progress=None):
    """Train and cross-validate a model; writes both.

    Parameters
    ----------
    config : Config
    survey, scale : config.Survey
        Whose spectra, whose labels.
    training : astropy Table
        Of `match_surveys`.
    spectra : TrainingSpectra
        Of `training_spectra` for ``survey``.
    threads : int, optional
    progress : callable, optional
        Called with the number of stars cross-validated.

    Returns
    -------
    Case
    """
    name = f"{survey.name}-on-{scale.name}"
    names, settings = config.labels.names, config.model
    model = CannonModel(
        names,
        degree=settings.degree,
        censors=_censors(config, survey, spectra.wavelength, spectra.medium),
        scatter=settings.scatter,
    )
    model.wavelength = spectra.wavelength
    labels = _labels(training, names, scale.name)
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
    model.write(_made(config, "models", name))
    table = validation.to_table()
    table.add_column(training["star_id"], name="id", index=0)
    fitsfiles.write_table(_made(config, "validation", name), table, jobs.VALIDATION)
    return Case(name, model, validation)


def infer_case(config, survey, case, threads=None, progress=None):
    """Infer the labels of all packed spectra of a survey; writes the table.

    Parameters
    ----------
    config : Config
    survey : config.Survey
    case : Case
    threads : int, optional
    progress : callable, optional
        Called with the number of spectra done.

    Returns
    -------
    path : Path
    flags : collections.Counter
        See `jobs.infer`.
    """
    path = _made(config, "labels", case.name)
    with open_survey(config, survey) as spectra:
        flags = jobs.infer(
            case.model,
            spectra,
            path,
            starts=config.model.starts,
            threads=threads,
            progress=progress,
        )
    return path, flags


def _packing_lines(name, packing):
    """Return what a packing did, as lines of text."""
    n_parts, refused = len(packing.paths), len(packing.refused)
    kept = f", {packing.kept} of them kept from an earlier run" if packing.kept else ""
    yield (
        f"{name}: {packing.n_spectra:,} spectra packed into {n_parts} "
        f"file{'s' * (n_parts > 1)}{kept}; {refused:,} inputs refused"
    )
    for path, reason, _ in packing.refused[:SHOWN]:
        yield f"  {path}: {reason}"
    if len(packing.refused) > SHOWN:
        yield f"  ... all of them: {packing.paths[0].parent / REFUSED_LIST}"


def _packed_folder(config, survey):
    return config.output / "packed" / survey.name


def _made(config, kind, name):
    """Return the path of a file to be written, its folder made."""
    folder = config.output / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.fits"


def _common_stars(config, pair):
    """Return the common stars that pass all cuts, whether or not they are packed."""
    return training_table(
        *(_catalogue(survey) for survey in pair),
        labels=config.labels.names,
        by=config.match.by,
        radius=config.match.radius,
    )


def _catalogue(survey):
    """Read the catalogue of a survey with the cuts that are to be applied."""
    if survey.format == OWN:
        table, flags = _own_catalogue(survey), {}
    else:
        module = surveys.get(survey.format)
        table = module.read_catalogue(survey.catalogue, survey.columns)
        flags = module.FLAGS
    return Catalogue(survey.name, table, survey.cuts, flags, f"{survey.where}.cuts")


def _own_catalogue(survey):
    """Read a table with our names, but for the columns that the survey names."""
    try:
        table = Table.read(survey.catalogue)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{survey.where}.catalogue: {survey.catalogue} cannot be read as a table "
            f"({error})"
        ) from error
    for ours, theirs in survey.columns.items():
        if theirs not in table.colnames:
            hint = suggest(theirs, table.colnames)
            raise InputError(
                f"{survey.where}.columns.{ours}: {survey.catalogue} has no column "
                f"{theirs!r}{hint}; it has {', '.join(table.colnames)}"
            )
    # Copied, not renamed: one column may serve two purposes.
    for ours, theirs in survey.columns.items():
        table[ours] = table[theirs]
    return table


def spectra_stars(config, survey):
    """Return the star_id of every packed spectrum, for `packed.best_and_others`.

    Parameters
    ----------
    config : Config
    survey : config.Survey
        Where packed spectra do not know their star (GALAH), its catalogue of repeats,
        else its catalogue, tells.

    Returns
    -------
    (S,) array of str
        Empty where it is not known.
    """
    with open_survey(config, survey) as spectra:
        stars = spectra.stars
    if "star_id" in stars.colnames and np.any(stars["star_id"] != ""):
        return np.asarray(stars["star_id"])
    source = survey.catalogue_repeats or survey.catalogue
    catalogue = surveys.get(survey.format).read_catalogue(source, survey.columns)
    star_of = dict(zip(catalogue["id"], catalogue["star_id"], strict=True))
    return np.array([str(star_of.get(name, "")) for name in stars["id"]])


def _with_spectra(config, pair, found):
    """Keep the training stars of which both surveys have packed a spectrum."""
    table, cuts = found.table, []
    for survey in pair:
        with open_survey(config, survey) as spectra:
            there = spectra.rows(table[f"id_{survey.name}"]) >= 0
        table = table[there]
        cuts.append(Cut(survey.name, "packed", int((~there).sum()), len(table)))
    if not len(table):
        steps = "; ".join(f"{cut.column}: {cut.removed} without" for cut in cuts)
        raise InputError(
            f"none of {len(found.table)} training stars has packed spectra in both "
            f"surveys ({steps}); check that catalogues and spectra are of one release"
        )
    return TrainingSet(table, found.counts, found.cuts | {"spectra": cuts})


def _labels(training, names, scale):
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
