"""The way from a configuration to two catalogues, restartable at any moment.

Pack, match, train and cross-validate the four cases, infer all spectra, find errors
from repeats, write the catalogues (Nandakumar+2022, sections 3.2 to 3.7). What is
finished is on disk with a checksum and the digest of what it was made from, and is
kept by the next run. `runfolder` lists the files.
"""

import os
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from astropy.table import Table

from . import (
    calibration,
    cases,
    fitsheaders,
    jobs,
    kinds,
    parts,
    translators,
)
from .catalogue_files import write_manifest
from .config import OWN
from .differences import difference_lines, difference_table
from .digests import digest, file_digest
from .joining import join_survey, read_gaia
from .labelfiles import scaled_labels
from .pack import REFUSED_LIST, pack
from .publish import write_catalogues
from .runfolder import (
    CANNON,
    MANIFEST,
    REPORT,
    SUMMARY,
    TIMINGS,
    RunFolder,
    finished,
    settings,
)
from .scheduler import open_workers
from .sources import open_survey
from .spread import half_range
from .textfiles import write_ecsv, write_json
from .trainingset import common_stars, replace_vmicro, report_match

SHOWN = 5  # refused files that are printed


def run_all(config, say, bar, workers=None, address=None):
    """Make the two catalogues of a configuration, or go on where a run ended.

    Parameters
    ----------
    config : Config
    say : callable
        Called with lines of text for the user.
    bar : callable
        Called with a total and a unit; returns a context manager with ``update``.
    workers : int, optional
        Processes on this machine. Default: every core.
    address : str, optional
        Of a Dask scheduler, which then has the workers.

    Returns
    -------
    dict
        The summary that is written as ``summary.json``.

    Raises
    ------
    InputError
        See `pack_surveys`, `trainingset.match_surveys`, `runfolder.RunFolder.locked`,
        `scheduler.open_workers`.
    WriteError
        A file cannot be written.
    """
    common = check(config)
    folder = RunFolder(config)
    with open_workers(workers, address) as run, folder.locked():
        (folder.path / MANIFEST).unlink(missing_ok=True)  # until all is as it says

        def tell(line):
            say(line)
            folder.log(line)

        packings = pack_surveys(config, tell, bar, run=run)
        found, counts = report_match(config, tell, common)
        translators.check(config, found)  # again: not all stars have spectra
        summary = {
            "configuration": digest(settings(config)),
            "refused": {name: len(one.refused) for name, one in packings.items()},
            "match": counts,
            "spectra": _own_spectra(config, folder),
        }
        made = train_cases(config, folder, found, tell, bar, workers)
        summary["cross-validation"] = _validation_numbers(config, made)
        labels = infer_all(config, folder, made, bar, run)
        summary["bad pixels"] = count_bad_pixels(made, labels, tell)
        joined = join_surveys(config, folder, found, tell)
        summary["stars"] = {name: one.counts for name, one in joined.items()}
        calibrated = calibrate_cases(config, folder, made, labels, joined, tell)
        summary["repeats"] = {
            case.name: one.counts for case, one in zip(made, calibrated, strict=True)
        }
        summary["chi2 limits"] = {
            case.name: one.scale.r_chi2_limit
            for case, one in zip(made, calibrated, strict=True)
        }
        compare_scales(config, folder, found, labels, tell)
        summary["catalogues"] = write_catalogues(
            config, folder, made, calibrated, labels, joined, tell, bar, run
        )
        if config.translate.networks:
            summary["translators"] = translators.run_translators(
                config, folder, found, made, calibrated, tell, bar, run
            )
        write_json(folder.path / SUMMARY, summary)
        tell(f"{folder.path / SUMMARY}: all counts")
        folder.sweep()  # what lost workers left behind
        without = [REPORT, TIMINGS]
        write_manifest(folder.path / MANIFEST, folder.path, without, run)
    return summary


def check(config):
    """Find mistakes that would show only after hours of packing.

    Catalogues are read, matched and cut, continuum pixels and line windows read, the
    training labels looked at, libraries that translators need looked for.

    Parameters
    ----------
    config : Config

    Returns
    -------
    match.TrainingSet
        Common stars that pass all cuts, whether or not they have spectra.

    Raises
    ------
    InputError
        See `trainingset.match_surveys`, `cases.check_labels`, `cases.check_training`,
        `cases.check`, `joining.read_gaia`, `translators.check`.
    """
    cases.check_labels(config)
    common = common_stars(config)
    training = common.table.copy()
    replace_vmicro(config, training)
    cases.check_training(config, training)
    translators.check(config, training)
    read_gaia(config)
    for survey in config.pair():
        cases.check(config, survey)
    return common


def pack_surveys(config, say, bar, processes=None, run=None):
    """Pack all surveys of a configuration that come in the surveys' own files.

    Parameters
    ----------
    config : Config
    say, bar :
        As in `run_all`.
    processes : int, optional
        Default: as configured.
    run : callable, optional
        Workers that are there already, of `scheduler.open_workers`.

    Returns
    -------
    dict of str to pack.Packing
    """
    packings = {}
    for survey in config.surveys.values():
        if survey.format == OWN:
            continue
        with bar(None, f"{survey.name} files") as progress:
            packings[survey.name] = pack(
                survey.format,
                survey.files(),
                RunFolder(config).packed(survey),
                survey.options,
                config.pack.stars_per_part,
                processes or config.pack.processes,
                progress.update,
                run,
            )
        for line in _packing_lines(survey.name, packings[survey.name]):
            say(line)
    return packings


def train_cases(config, folder, training, say, bar, threads=None):
    """Train and cross-validate models for the spectra and labels of either survey.

    Parameters
    ----------
    config : Config
    folder : RunFolder
    training : astropy Table
        Of `trainingset.match_surveys`.
    say, bar :
        As in `run_all`.
    threads : int, optional

    Returns
    -------
    list of cases.Case
    """
    made, names = [], config.labels.names
    for survey in config.pair():
        spectra = _spectra_once(config, survey, training, threads)
        for scale in config.pair():
            given = (config, survey, scale, training, spectra, threads)
            with bar(len(training), "stars") as progress:
                case = cases.train_case(folder, *given, progress.update)
            made.append(case)
            say(f"\n{case.name}: cross-validation, inferred minus given labels")
            for line in jobs.summary_lines(names, case.difference(names)):
                say(line)
            if scale.name in config.labels.empirical_vmicro:
                with bar(len(training), "stars") as progress:
                    own = cases.validate_given(folder, *given, progress.update)
                say(f"\n{case.name}: the same with {scale.name}'s own vmicro")
                for line in jobs.summary_lines(names, own):
                    say(line)
    return made


def infer_all(config, folder, made, bar, run):
    """Infer the labels of all packed spectra, each survey with its two models.

    Parameters
    ----------
    config : Config
    folder : RunFolder
    made : list of cases.Case
    bar :
        As in `run_all`.
    run : callable
        Of `scheduler.open_workers`.

    Returns
    -------
    dict of str to list of Path
        Of each case, the tables of labels of the packed parts.

    Raises
    ------
    InputError
        A part there was made from another model.
    """
    paths, tasks, n_done = {case.name: [] for case in made}, [], 0
    for survey in config.pair():
        own = [case for case in made if case.survey == survey.name]
        models = tuple((str(one.model), file_digest(one.model)) for one in own)
        with open_survey(config, survey) as packed:
            for number, part in enumerate(packed.parts):
                out = [
                    folder.made(f"labels/{case.name}", f"part-{number:05d}.fits")
                    for case in own
                ]
                for case, path in zip(own, out, strict=True):
                    paths[case.name].append(path)
                starts, source = config.model.starts, part.identity
                plans = tuple(digest(source, model[1], starts) for model in models)
                if all(map(_labels_finished, out, plans)):
                    n_done += part.n_stars
                    continue
                texts = tuple(map(str, out))
                tasks.append(
                    parts.Inference(
                        str(part.path), models, texts, plans, starts, part.n_stars
                    )
                )
    total = n_done + sum(task.n_spectra for task in tasks)
    with bar(total, "spectra") as progress:
        progress.update(n_done)
        seconds = run(
            parts.infer_part, tasks, lambda task: progress.update(task.n_spectra)
        )
    _keep_rates(folder, tasks, seconds)
    return paths


def count_bad_pixels(made, labels, say):
    """Return how many pixels of each survey's spectra were no numbers, and say it.

    Parameters
    ----------
    made : list of cases.Case
    labels : dict of str to list of Path
        Of `infer_all`.
    say :
        As in `run_all`.

    Returns
    -------
    dict of str to int
    """
    counts = {}
    for case in made:
        headers = (fitsheaders.scan(path)[0].header for path in labels[case.name])
        counts[case.survey] = sum(header.get(kinds.BAD_PIXELS, 0) for header in headers)
    for survey, count in counts.items():
        if count:
            say(f"{survey}: {count:,} bad pixels (NaN, infinite) count as zero weight")
    return counts


def _keep_rates(folder, tasks, seconds):
    """Keep the processor time of inference, with one model, for 1000 spectra."""
    spectra, spent = Counter(), Counter()
    for task, each in zip(tasks, seconds, strict=True):
        for path in task.paths:
            case = Path(path).parent.name
            spectra[case] += task.n_spectra
            spent[case] += each / len(task.paths)
    for name, count in spectra.items():
        folder.spent(name, CANNON, per_1000=1000 * spent[name] / count)


def join_surveys(config, folder, training, say):
    """Write the survey and Gaia values of all packed spectra; see `joining`.

    Returns
    -------
    dict of str to joining.Joined
    """
    gaia = read_gaia(config)
    joined = {}
    for survey in config.pair():
        one = join_survey(config, folder, survey, training, gaia)
        joined[survey.name] = one
        steps = "; ".join(f"{count:,} {what}" for what, count in one.counts.items())
        say(f"\n{survey.name}: {steps}")
    return joined


def calibrate_cases(config, folder, made, labels, joined, say):
    """Find the errors of all cases; writes ``factors.ecsv`` and ``precision.ecsv``.

    Returns
    -------
    list of calibration.Calibrated
    """
    calibrated = [
        calibration.calibrate(config, case, labels[case.name], joined[case.survey])
        for case in made
    ]
    factors = calibration.factor_table(made, calibrated)
    write_ecsv(folder.path / "factors.ecsv", factors)
    bins = calibration.precision_table(made, calibrated)
    write_ecsv(folder.path / "precision.ecsv", bins)
    say("\nfactors of the formal errors, from repeated spectra")
    for row in factors:
        factor = f"{row['factor']:8.3f} +- {row['e_factor']:.3f}"
        robust = f"robust {row['robust']:8.3f} ({row['n_stars']:,} stars)"
        say(f"{row['case']:<24} {row['label']:<10} {factor} {robust}")
    for case, one in zip(made, calibrated, strict=True):
        if not np.isfinite(one.scale.factors).all():
            say(
                f"{case.name}: fewer than {calibration.FEWEST_STARS} stars have "
                "repeats: errors are the formal ones, and flag_fastcannon says so "
                "(FORMAL_ERRORS)"
            )
    return calibrated


def compare_scales(config, folder, training, labels, say):
    """Compare the surveys on each scale (table 3); writes ``differences-...``.

    For the training stars, as in the paper.
    """
    pair, names = config.pair(), config.labels.names
    for scale in pair:
        table = Table({"star_id": training["star_id"]})
        for survey in pair:
            found = scaled_labels(
                labels[f"{survey.name}-on-{scale.name}"],
                training[f"id_{survey.name}"],
                names,
            )
            for name in names:
                table[f"{name}_{survey.name}"] = found[name]
        scales = tuple(survey.name for survey in pair)
        differences = difference_table(table, scales, names)
        path = folder.path / f"differences-{scale.name}-scaled.ecsv"
        write_ecsv(path, differences)
        say(f"\non the scale of {scale.name}")
        for line in difference_lines(differences):
            say(line)


def _own_spectra(config, folder):
    """Return the spectra files of surveys that are not packed, from the folder."""
    return {
        survey.name: [os.path.relpath(path, folder.path) for path in survey.files()]
        for survey in config.pair()
        if survey.format == OWN
    }


def _spectra_once(config, survey, training, threads):
    """Return a function that reads the training spectra when they are first needed."""
    return cache(lambda: cases.training_spectra(config, survey, training, threads))


def _labels_finished(path, plan):
    return finished(path, kinds.LABELS, plan)


def _validation_numbers(config, made):
    """Return bias and scatter of the cross-validations for the summary."""
    names, found = config.labels.names, {}
    for case in made:
        difference = case.difference(names)
        scatter = half_range(difference)
        found[case.name] = {
            name: {
                "bias": float(np.nanmean(difference[:, k])),
                "scatter": float(scatter[k]),
            }
            for k, name in enumerate(names)
        }
    return found


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
