"""Sections on labels: who the stars are, what the scales do, how exact it all is."""

import numpy as np
from astropy.table import Table

from ..catalogue import FLAG_COLUMNS, catalogue_name
from ..distance import DISTANCE_LABELS, distance_limit
from ..figures.diagnostics import Quality, convergence_figure, flag_counts
from ..figures.labels import (
    cross_validation_figure,
    differences_figure,
    kiel_figure,
    precision_figure,
)
from ..labelfiles import read_columns, scaled_labels
from .forms import table1, table3, table4
from .page import Section
from .rundata import PIPELINES

KIEL = ("teff", "logg")


def stars_section(book):
    """Return the section of Kiel diagrams (Nandakumar+2022, fig. 1)."""
    run = book.run
    section = Section(
        "Stars and training set",
        "kiel",
        "Where the stars of each survey lie in temperature and gravity, and where the "
        "stars lie that the models have learned from (contours: 68 and 95 % of them)."
        "\n\n"
        "Labels are good where the training set is. Beyond it they are extrapolated, "
        "and flag_Cannon_dist says so.",
        figures=[],
        notes=[],
    )
    if not set(KIEL) <= set(run.names):
        section.notes.append("There are no Kiel diagrams: they need teff and logg.")
        return section
    if not book.catalogues:
        section.notes.append("There is no catalogue yet.")
    trained = {}
    if run.training is not None:
        trained = {
            survey: tuple(np.asarray(run.training[f"{name}_{survey}"]) for name in KIEL)
            for survey in run.surveys
        }
    for scale in book.catalogues:
        on_scale = {s: trained[scale] for s in run.surveys} if trained else {}
        for end, words, contours in (
            ("", "the surveys' own labels", trained),
            ("Cann", f"the scale of {scale}", on_scale),
        ):
            if end == "" and section.figures:
                continue  # the same in each catalogue
            stars = {}
            for number, survey in enumerate(run.surveys):
                names = [catalogue_name(name) + end for name in KIEL]
                columns = book.of_survey(scale, number, names)
                stars[survey] = tuple(columns.values())
            name = f"kiel-{scale if end else PIPELINES}"
            section.figures.append(
                book.figure(
                    name,
                    f"Kiel diagrams of all stars, {words}. Contours: training stars.",
                    f"Two panels of log g against Teff with {words}, stars as density "
                    "from the main sequence to the giants, training set as lines.",
                    kiel_figure,
                    stars,
                    contours,
                )
            )
    return section


def differences_section(book):
    """Return the section of differences (figs 2, 7, 8; tables 1, 3)."""
    run = book.run
    section = Section(
        "Before and after",
        "differences",
        "The labels of the same stars by both surveys: first as their pipelines give "
        "them, then from both surveys' spectra on the scale of one of them.\n\n"
        "A common scale has no offset, no trend with temperature, and a smaller "
        "scatter. Where the scatter does not shrink, nothing is gained.",
        figures=[],
        tables=[],
        notes=[],
    )
    if run.training is None:
        section.notes.append("There is no training set yet, so no star to compare.")
        return section
    tables = {"Pipelines": run.training} | _scaled(run, section.notes)
    section.figures.append(
        book.figure(
            "differences",
            f"{' minus '.join(run.surveys)} for the training stars against "
            "Teff; lines: running median and 16 to 84 %; mu and sigma: mean and half "
            "the 16 to 84 % range. Left: the pipelines. Then: both on one scale.",
            "Columns of two-dimensional histograms, a row for each label: the "
            "differences of the pipelines are wide, those on one scale narrow.",
            differences_figure,
            tables,
            run.surveys,
            run.names,
        )
    )
    if PIPELINES in run.differences:
        section.tables.append(book.table(table1(run.differences[PIPELINES])))
    after = {s: run.differences[s] for s in run.surveys if s in run.differences}
    if after:
        section.tables.append(book.table(table3(after)))
    return section


def _scaled(run, notes):
    """Return the labels of the training stars on each scale, as far as there are."""
    found = {}
    for scale in run.surveys:
        table = Table()
        for survey in run.surveys:
            case = f"{survey}-on-{scale}"
            if case not in run.labels:
                notes.append(f"There are no labels {case} yet.")
                break
            ids = run.training[f"id_{survey}"]
            values = scaled_labels(run.labels[case], ids, run.names)
            for name in run.names:
                table[f"{name}_{survey}"] = values[name]
        else:
            found[f"{scale.upper()}-scaled"] = table
    return found


def validation_section(book):
    """Return the section of cross-validations (figs 3, 4, A1 to A3)."""
    run = book.run
    section = Section(
        "How well the models give back labels",
        "validation",
        "Each training star was inferred by a model that had not seen it. The scatter "
        "is what spectra, labels and a quadratic model together allow; a bias or a "
        "bend would be a fault of the model.",
        figures=[],
        notes=[],
    )
    if not run.validation:
        section.notes.append("There is no cross-validation yet.")
    for case, table in run.validation.items():
        section.figures.append(
            book.figure(
                f"validation-{case}",
                f"{case}: inferred against given labels of {len(table):,} left-out "
                "stars. Numbers: mean difference and half the 16 to 84 % range.",
                f"A panel for each label of {case}; points lie along the diagonal.",
                cross_validation_figure,
                table,
                run.names,
                case,
            )
        )
    return section


def errors_section(book):
    """Return the section of precision and factors (fig. 9, table 4)."""
    run = book.run
    section = Section(
        "Errors",
        "errors",
        "From repeated spectra of the same stars: how far labels scatter at a given "
        "signal-to-noise ratio, and by which factor formal errors are too small.\n\n"
        "The error in the catalogue is the larger of the two. It knows the noise, not "
        "how far the model is from the other survey's scale: for that see the scatter "
        "of the cross-validation in the table.",
        figures=[],
        tables=[],
        notes=[],
    )
    if run.precision is None:
        section.notes.append("precision.ecsv is not there yet.")
    elif not len(run.precision):
        section.notes.append(
            "There are no repeated spectra with which to find a precision: errors are "
            "the formal ones, and flag_fastcannon says so (FORMAL_ERRORS)."
        )
    else:
        fits = {
            f"{case} {name}": fit
            for case, own in run.fits.items()
            for name, fit in own.items()
        }
        for scale in run.surveys:
            section.figures.append(
                book.figure(
                    f"precision-{scale}",
                    f"Precision against S/N on the scale of {scale}: half the 16 to "
                    "84 % range of repeats, and the exponential fitted to it.",
                    "A panel for each label; points fall with the S/N and level off, "
                    "curves follow them.",
                    precision_figure,
                    run.precision,
                    fits,
                    run.names,
                    run.surveys,
                    scale,
                )
            )
    if run.factors is not None and len(run.factors):
        section.tables.append(book.table(table4(run.factors)))
    return section


def quality_section(book):
    """Return the section of minima, chi2, distances and flags."""
    run = book.run
    section = Section(
        "Convergence and flags",
        "quality",
        "Every spectrum is fitted from several starting points. Several minima of "
        "nearly equal chi2 mean labels that cannot be told apart; a large chi2 means a "
        "spectrum that no star of the training set has; a large D: labels far from "
        "all training stars.",
        figures=[],
        notes=[],
    )
    for scale in book.catalogues:
        qualities = {}
        for number, survey in enumerate(run.surveys):
            if f"{survey}-on-{scale}" in run.labels:
                qualities[survey] = _quality(book, survey, number, scale)
            else:
                section.notes.append(f"There are no labels {survey}-on-{scale} yet.")
        if not qualities:
            continue
        section.figures.append(
            book.figure(
                f"quality-{scale}",
                f"On the scale of {scale}: number of minima, chi2, D, and how many "
                "spectra carry each flag. Dashed: limits beyond which a flag is set.",
                "Bars of minima, histograms of chi2 and D, chi2 against S/N, and bars "
                "with the number of spectra with each flag.",
                convergence_figure,
                qualities,
                scale,
            )
        )
    if not section.figures and not section.notes:
        section.notes.append("There is no catalogue yet.")
    return section


def _quality(book, survey, number, scale):
    """Return a `Quality` of a case."""
    run, case = book.run, f"{survey}-on-{scale}"
    rows = book.of_survey(scale, number, (*FLAG_COLUMNS, "Cannon_distance"))
    found = read_columns(run.labels[case], ("minima", "r_chi2", "snr"))
    near = [name for name in DISTANCE_LABELS if name in run.names]
    limit = run.scales[case].r_chi2_limit if case in run.scales else np.nan
    return Quality(
        **found,
        distance=rows["Cannon_distance"],
        flags=flag_counts(rows),
        r_chi2_limit=limit,
        distance_limit=distance_limit(len(near)),
    )
