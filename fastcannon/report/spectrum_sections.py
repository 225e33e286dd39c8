"""Sections on spectra: how well models fit, what they have learned, and the viewer."""

from typing import NamedTuple

import numpy as np
from astropy.table import Table

from ..catalogue import FLAG_COLUMNS, catalogue_name
from ..censors import default_windows
from ..config import OWN
from ..errors import FastcannonError
from ..figures.arms import arms, element_spans
from ..figures.spectra import coefficients_figure, residual_figure, twins_figure
from ..packed import PackedSurvey
from ..spread import half_range
from .page import Section
from .samples import residuals, spectra, sunlike, viewer_sample
from .twins import read_synthetic, synthetic_difference, twins


class Trained(NamedTuple):
    """The training stars of a survey in its packed spectra.

    Attributes
    ----------
    packed : PackedSurvey
    windows : astropy Table or None
        Of elements, where the survey has some.
    rows : (N,) int array
        Of the packed spectra.
    given, inferred : dict of case to (N, K) array, label units
        Of the cross-validation.
    scatter : (K,) array, label units
        Of the cross-validation on the survey's own scale.
    snr : (N,) array
        The smaller of both surveys.
    """

    packed: PackedSurvey
    windows: Table | None
    rows: np.ndarray
    given: dict
    inferred: dict
    scatter: np.ndarray
    snr: np.ndarray


def spectrum_sections(book, synthetic=None):
    """Return the sections on spectra and what the viewer shows.

    Parameters
    ----------
    book : Book
    synthetic : str or Path, optional
        See `twins.read_synthetic`.

    Returns
    -------
    sections : list of Section
        Of residuals, coefficients and twins.
    stars : list of ViewerStar
    windows : dict of survey to dict of element to (n, 2) array, Angstrom
    """
    fit = Section(
        "Observed minus model",
        "residuals",
        "Each pixel's difference between observed spectra of the training stars and "
        "their models, above the spectrum of a star like the Sun. A good model leaves "
        "noise about zero; what stands out is a line that labels do not explain, or "
        "the sky.",
        figures=[],
        notes=[],
    )
    learned = Section(
        "What the models have learned",
        "coefficients",
        "How the flux changes with each label over the range of the training set, and "
        "the scatter that the model leaves. Labels should act where the lines of "
        "their elements are (shaded).",
        figures=[],
        notes=[],
    )
    alike = Section(
        "Two stars with nearly the same labels",
        "twins",
        "If two stars have the same labels, their spectra should be the same. What "
        "differs is noise, or something that the labels do not tell.",
        figures=[],
        notes=[],
    )
    stars, windows, own = [], {}, book.run
    pair = _synthetic(alike, synthetic)
    for survey in own.surveys:
        if survey not in own.packed:
            fit.notes.append(f"{survey}: its packed spectra are not in this folder.")
            continue
        try:
            with PackedSurvey(own.packed[survey]) as packed:
                trained = _trained(book, survey, packed)
                _add_residuals(book, survey, trained, fit)
                _add_coefficients(book, survey, trained, learned)
                _add_twins(book, survey, trained, alike, pair)
                stars += _viewer_stars(book, survey, packed)
                grid = packed.wavelength
                windows[survey] = element_spans(
                    trained.windows, packed.medium, grid[0], grid[-1]
                )
        except (FastcannonError, OSError) as error:
            fit.notes.append(f"{survey}: {error}")
    return [fit, learned, alike], stars, windows


def _synthetic(section, path):
    """Return a pair of synthetic spectra, or None; what is wrong with it is noted."""
    try:
        return None if path is None else read_synthetic(path)
    except (FastcannonError, OSError) as error:
        section.notes.append(str(error))
        return None


def _trained(book, survey, packed):
    """Return what the figures of a survey need, of all its cases that there are."""
    run = book.run
    form = run.formats.get(survey, OWN)
    windows = None if form == OWN else default_windows(form)
    given, inferred, scatter = {}, {}, np.empty(0)
    training = run.training
    for scale in run.surveys:
        case = f"{survey}-on-{scale}"
        table = run.validation.get(case)
        if case not in book.models or table is None or not _same_stars(table, training):
            continue
        given[case] = np.column_stack([table[f"{n}_given"] for n in run.names])
        inferred[case] = np.column_stack([table[n] for n in run.names])
        if scale == survey or not len(scatter):
            scatter = half_range(inferred[case] - given[case])
    if not given:
        return Trained(packed, windows, np.empty(0, int), {}, {}, scatter, scatter)
    rows = packed.rows(training[f"id_{survey}"])
    snr = [np.asarray(training[f"snr_{one}"], dtype=float) for one in run.surveys]
    return Trained(packed, windows, rows, given, inferred, scatter, np.minimum(*snr))


def _same_stars(table, training):
    """Return whether a cross-validation is of the training stars, in their order."""
    if training is None or len(table) != len(training):
        return False
    return np.array_equal(table["id"].astype(str), training["star_id"].astype(str))


def _add_residuals(book, survey, trained, section):
    """Add the figure of observed minus model spectra (figs 5 and 6)."""
    if not trained.inferred:
        section.notes.append(f"{survey}: no cross-validation of the training set yet.")
        return
    names, found = book.run.names, {}
    for case, labels in trained.inferred.items():
        model = book.models[case]
        found[case] = residuals(model, trained.packed, trained.rows, labels)
    case, given = next(iter(trained.given.items()))
    star = sunlike(given, names, trained.scatter)
    spectrum, labels = np.full(trained.packed.n_pixels, np.nan), {}
    if star is not None and trained.rows[star] >= 0:
        model = book.models[case]
        one = spectra(model, trained.packed, trained.rows[[star]], given[[star]])
        spectrum, labels = one.observed[0], dict(zip(names, given[star], strict=True))
    section.figures.append(
        book.figure(
            f"residuals-{survey}",
            f"{survey.upper()}: a star like the Sun, and below it, for the models of "
            "both scales, the median and the 16 to 84 % range of observed minus model "
            "flux of the training stars.",
            "For each arm the spectrum with named lines and, below, bands of residuals "
            "about zero.",
            residual_figure,
            found,
            spectrum,
            labels,
            trained.windows,
            trained.packed.medium,
        )
    )


def _add_coefficients(book, survey, trained, section):
    """Add the linear coefficients and the scatter on the survey's own scale."""
    case = f"{survey}-on-{survey}"
    if case not in book.models:
        section.notes.append(f"{survey}: no model on its own scale yet.")
        return
    model = book.models[case]
    for number, part in enumerate(arms(model.wavelength, np.isfinite(model.s2))):
        title = f"{case}, arm {number + 1}"
        section.figures.append(
            book.figure(
                f"coefficients-{survey}-{number + 1}",
                f"{title}: change of the flux over the range of each label, and the "
                "scatter of the model. Shaded: windows of elements.",
                "A curve for each label against wavelength, with peaks at its lines.",
                coefficients_figure,
                model,
                part,
                trained.windows,
                trained.packed.medium,
                title,
            )
        )


def _add_twins(book, survey, trained, section, synthetic):
    """Add the spectra of two stars with nearly the same labels (figs A4 and A5)."""
    case = f"{survey}-on-{survey}"
    if case not in trained.given:
        section.notes.append(f"{survey}: no cross-validation on its own scale yet.")
        return
    usable = np.where(trained.rows >= 0, trained.snr, np.nan)
    pair = twins(trained.given[case], trained.scatter, usable)
    if pair is None:
        section.notes.append(f"{survey}: there are no two stars to compare.")
        return
    rows, pair = trained.rows[list(pair)], list(pair)
    model = book.models[case]
    two = spectra(model, trained.packed, rows, trained.given[case][pair])
    ids = np.asarray(book.run.training[f"id_{survey}"]).astype(str)[pair]
    grid, extra, words = trained.packed.wavelength, None, ""
    if synthetic is not None:
        extra = synthetic_difference(synthetic, grid)
        words = ", with the synthetic difference"
    section.figures.append(
        book.figure(
            f"twins-{survey}",
            f"{survey.upper()}: {ids[0]} and {ids[1]}, their difference, and its mean "
            f"in each arm{words}.",
            "Two spectra over each other and, below, their difference about zero.",
            twins_figure,
            *(grid, two.observed[0], two.observed[1], tuple(ids), extra),
            trained.windows,
            trained.packed.medium,
        )
    )


def _viewer_stars(book, survey, packed):
    """Return the spectra of a survey that the viewer shows, on its own scale."""
    case = f"{survey}-on-{survey}"
    if case not in book.models or survey not in book.catalogues:
        return []
    number = book.run.surveys.index(survey)
    labels = [f"{catalogue_name(name)}Cann" for name in book.run.names]
    names = ["survey_id", "r_chi_sq", *labels, *FLAG_COLUMNS]
    rows = book.of_survey(survey, number, names)
    if not len(rows["survey_id"]):
        return []
    model = book.models[case]
    return viewer_sample(model, packed, rows, survey)
