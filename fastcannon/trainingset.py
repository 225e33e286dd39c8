"""The stars that models are trained on: common to both surveys, with spectra of both.

Nandakumar+2022, section 3.2. Writes ``training.fits`` and ``differences.ecsv``.
"""

from . import cases, fitsfiles, kinds
from .config import OWN
from .cuts import Cut
from .differences import difference_lines, difference_table
from .errors import InputError
from .labels import empirical_vmicro
from .match import TrainingSet, training_table
from .sources import catalogue, open_survey
from .textfiles import write_ecsv


def report_match(config, say, common=None):
    """Match the surveys and say how many stars each step left; see `match_surveys`.

    Parameters
    ----------
    config, common :
        Of `match_surveys`.
    say : callable

    Returns
    -------
    training : astropy Table
    counts : list of (str, int)
        Steps and what they left.
    """
    found, differences = match_surveys(config, common)
    for line in [*found.lines(), "", *difference_lines(differences), ""]:
        say(line)
    cuts = [
        (f"{name}: {cut.column} {cut.condition}".strip(), cut.left)
        for name, report in found.cuts.items()
        for cut in report
    ]
    return found.table, [*found.counts, *cuts, ("training stars", len(found.table))]


def match_surveys(config, common=None):
    """Find the training set: common stars with spectra and labels that pass all cuts.

    Writes ``training.fits`` and ``differences.ecsv``.

    Parameters
    ----------
    config : Config
        Its surveys are packed.
    common : match.TrainingSet, optional
        Of `common_stars`, where the catalogues have been matched already.

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
    pair, names = config.pair(), config.labels.names
    for survey in pair:
        with open_survey(config, survey) as spectra:  # before the work, not after
            if survey.format == OWN:
                spectra.verify()  # the parts of a packing are verified by `pack`
    found = _with_spectra(config, pair, common or common_stars(config))
    scales = tuple(survey.name for survey in pair)
    differences = difference_table(found.table, scales, names)
    replace_vmicro(config, found.table)
    cases.check_training(config, found.table)
    cases.warn_of_few(config, found.table)
    table = fitsfiles.without_odd_units(found.table)
    fitsfiles.write_table(config.output / "training.fits", table, kinds.TRAINING)
    write_ecsv(config.output / "differences.ecsv", differences)
    return found, differences


def common_stars(config):
    """Return the common stars that pass all cuts, whether or not they are packed.

    Parameters
    ----------
    config : Config

    Returns
    -------
    match.TrainingSet

    Raises
    ------
    InputError
        See `match.training_table` and `sources.catalogue`.
    """
    return training_table(
        *(catalogue(survey) for survey in config.pair()),
        labels=config.labels.names,
        by=config.match.by,
        radius=config.match.radius,
    )


def replace_vmicro(config, training):
    """Replace microturbulences by GALAH's relation, where the configuration says so.

    Parameters
    ----------
    config : Config
    training : astropy Table
        Of `common_stars`; changed in place. The survey's own are kept as
        ``vmicro_<survey>_given``.
    """
    for name in config.labels.empirical_vmicro:
        own = training[f"vmicro_{name}"]
        training[f"vmicro_{name}{cases.GIVEN}"] = own.copy()
        own[:] = empirical_vmicro(training[f"teff_{name}"], training[f"logg_{name}"])


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
