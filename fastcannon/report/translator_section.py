"""The section on translators: labels from labels, beside the Cannon's from spectra."""

import numpy as np

from .. import labels
from ..arrays import label_array
from ..catalogue import catalogue_name
from ..comparison import AGAINST, held_out_labels, own_label
from ..errors import FastcannonError
from ..figures.comparison import comparison_figure
from ..figures.networks import history_figure, importance_figure
from ..figures.translation import Residuals, residual_figure
from ..runfolder import CANNON, TRANSLATOR
from ..translate import Translator
from ..translate.shapley import MOST_INPUTS
from ..translators import training_columns
from .page import Section
from .tables import (
    PrintedTable,
    decimals,
    label_cell,
    number_cell,
    plain_symbol,
    text_cell,
)

_EXPLAINED = 50, 30  # stars and background of the importance: a second or two
_TEXT = (
    "The same training stars on the other survey's scale, once from spectra (the "
    "Cannon, cross-validated) and once from the survey's labels alone (networks that "
    "have not seen the star), beside the labels as they are.\n\n"
    "All scatter holds the noise of the given labels, the same for each method. Take "
    "the Cannon where there are spectra and its scatter is the smaller one, and for "
    "stars that the survey's pipeline failed on. Take the translator where there are "
    "labels only, where many stars cost too much, or where its scatter is smaller: "
    "then the labels hold what this model of the spectra misses. It cannot undo what "
    "the survey's pipeline confuses."
)


def translator_section(book):
    """Return the section in a list, empty for runs without translators."""
    run = book.run
    if run.comparison is None and not run.translators:
        return []
    section = Section(
        "Spectra or labels: the Cannon beside the translator",
        "translators",
        "\n\n".join([_TEXT, *cost_sentences(run.timings)]),
        figures=[],
        tables=[],
        notes=[],
    )
    if run.comparison is not None:
        section.figures.append(
            book.figure(
                "comparison",
                "Scatter of left-out stars about the given labels, over that of the "
                "survey's labels with their offset taken out. Bars: standard errors.",
                "A panel for each case and a row for each label: circles of the Cannon "
                "and triangles of the translator, mostly left of the line at 1.",
                comparison_figure,
                run.comparison,
            )
        )
        section.tables.append(book.table(comparison_form(run.comparison)))
    else:
        section.notes.append("There is no comparison with the Cannon yet.")
    for way, path in run.translators.items():
        _add_figures(book, section, way, path)
    return [section]


def _add_figures(book, section, way, path):
    """Add residuals, losses and importance of one translator."""
    run, name = book.run, "-to-".join(way)
    try:
        translator = Translator.read(path)
        shares = _importance(run, way, translator)
    except (FastcannonError, OSError) as error:  # damaged, or of other labels
        run.note(path, error)
        return
    words = " to ".join(way)
    if run.training is not None and way in run.held_out:
        section.figures.append(
            book.figure(
                f"translator-residuals-{name}",
                f"{words}: labels minus those given by {way[1]}, before and after "
                "translation, of stars that the networks have not seen.",
                "Two columns of residuals with bands of 1 to 3 sigma and histograms, a "
                "row for each label: narrower and without trends after translation.",
                residual_figure,
                _residuals(run, way),
            )
        )
    if shares is not None:
        section.figures.append(
            book.figure(
                f"translator-importance-{name}",
                f"{words}: what each label of the first gives to each of the second.",
                "Stacked bars of percentages, a bar for each output.",
                importance_figure,
                shares,
            )
        )
    section.figures.append(
        book.figure(
            f"translator-history-{name}",
            f"{words}: loss of the networks in training.",
            "Losses that fall with the epoch, of trained and of held-out stars.",
            history_figure,
            translator.trained.history,
        )
    )


def _importance(run, way, translator):
    """Return what `importance_figure` shows; None without stars or of many inputs."""
    if run.training is None or len(run.names) > MOST_INPUTS:
        return None
    table = training_columns(*way, run.names, run.training)
    shares = translator.importance(table, *_EXPLAINED)
    words = {catalogue_name(label): f"{label}_{way[0]}" for label in run.names}
    shares["input"] = [words.get(name, name) for name in shares["input"]]
    return shares


def _residuals(run, way):
    """Return what `residual_figure` shows, of the training stars held out."""
    survey, scale = way
    outputs = [f"{label}_{scale}" for label in run.names]
    made = held_out_labels(run.held_out[way], run.training, outputs)
    every = label_array(run.training, outputs)
    every[np.isnan(made)] = np.nan  # the same stars before and after
    found = []
    for k, label in enumerate(run.names):
        given = every[:, k]
        before = np.asarray(own_label(run.training, label, survey), float) - given
        unit = labels.unit(label)
        found.append(Residuals(outputs[k], unit, given, before, made[:, k] - given))
    return found


def cost_sentences(timings):
    """Return what both methods cost, in a sentence for each case that is known.

    Parameters
    ----------
    timings : dict of case to dict of method to dict
        Of `runfolder.read_timings`.

    Returns
    -------
    list of str
    """
    words = {CANNON: "the Cannon", TRANSLATOR: "the translator"}
    found = []
    for case, methods in timings.items():
        costs = [
            f"{words[method]} {_seconds(methods[method].get('training'))} for training "
            "and its test on left-out stars, "
            f"{_seconds(methods[method].get('per_1000'))} for 1,000 stars"
            for method in words
            if method in methods
        ]
        if TRANSLATOR in methods:
            found.append(f"Processor time of {case}: {'; '.join(costs)}.")
    return found


def _seconds(value):
    return "an unknown time" if value is None else f"{value:.3g} s"


def comparison_form(found):
    """Return the comparison of the methods as a table.

    Parameters
    ----------
    found : astropy Table
        Of `comparison.comparison_table`.

    Returns
    -------
    PrintedTable
    """
    slopes = [name for name in AGAINST if f"slope_{name}" in found.colnames]
    heads = ["Parameter (unit)", "Case", "Method", "N", "Scatter", "Bias"]
    heads += [_slope_head(name) for name in slopes] + ["Stated error"]
    rows = []
    for row in found:
        digits = decimals(row["unit"], row["e_scatter"])
        cells = [label_cell(row["label"]), text_cell(row["case"])]
        cells += [text_cell(row["method"]), number_cell(row["stars"], 0)]
        cells.append(number_cell(row["scatter"], digits, row["e_scatter"]))
        cells.append(number_cell(row["bias"], digits))
        for name in slopes:
            slope, error = row[f"slope_{name}"], row[f"e_slope_{name}"]
            cells.append(number_cell(slope, decimals(row["unit"], error), error))
        cells.append(number_cell(row["error"], digits))
        rows.append(cells)
    notes = [
        "Method minus given label of stars left out, the same stars for each method; "
        "identity: the survey's own labels, their median difference taken out. "
        "Scatter: (P84 - P16) / 2; bias: median; slopes with the given labels, whose "
        "own noise lowers them. Stated error: median; the Cannon's knows the noise of "
        "the spectra only.",
    ]
    caption = "The Cannon beside the translator, training stars"
    return PrintedTable(
        "comparison", caption, [("", len(heads))], heads, rows, notes, found
    )


def _slope_head(name):
    per = {"teff": "1000 K"}.get(name, "dex")
    return f"Slope with {plain_symbol(name)} (per {per})"
