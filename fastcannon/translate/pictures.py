"""Figures of a translator on stars whose values on both scales are known, in files."""

from pathlib import Path

import numpy as np

from ..figures import style
from ..figures.networks import history_figure, importance_figure
from ..figures.translation import Residuals, kiel_figure, residual_figure, split_name
from .columns import check_units, read_columns
from .shapley import MOST_INPUTS

_KIEL = ("teff", "logg", "fe_h")


def write_pictures(translator, table, folder):
    """Write the figures of a validation as PNG and PDF, those that can be made.

    Parameters
    ----------
    translator : Translator
        Trained.
    table : astropy Table
        S common stars that were not trained on, with the columns of both surveys.
    folder : str or Path
        Made where it is not there.

    Returns
    -------
    list of Path
        ``residuals``, ``history``, ``importance`` (two stars or more have all inputs,
        of which there are at most 12) and ``kiel`` (inputs and outputs have columns of
        Teff and log g), each .png and .pdf.

    Raises
    ------
    InputError
        The translator is not trained, or columns are missing or in a wrong unit.
    """
    translated = translator.apply(table)
    x, y = (read_columns(table, n) for n in (translator.inputs, translator.outputs))
    check_units(y, translator.outputs)
    made = np.column_stack([np.asarray(translated[n]) for n in translator.outputs])
    made[np.isnan(x).any(axis=1)] = np.nan  # means stand for inputs that are missing
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in _figures(translator, table, x, made, y):
        paths += style.save(figure, folder / name)
    return paths


def _figures(translator, table, x, made, y):
    """Make the figures one after the other: name, figure."""
    yield "residuals", residual_figure(_residuals(translator, x, made, y))
    yield "history", history_figure(translator.trained.history)
    complete = np.isfinite(x).all(axis=1).sum()
    if complete > 1 and len(translator.inputs) <= MOST_INPUTS:
        yield "importance", importance_figure(translator.importance(table))
    columns = find_kiel(translator.inputs), find_kiel(translator.outputs)
    if all({"teff", "logg"} <= set(found) for found in columns):
        yield "kiel", kiel_figure(_kiel(translator, columns, x, made, y))


def _residuals(translator, x, made, y):
    """Return what `residual_figure` shows of every output."""
    side = translator.trained.outputs
    found = []
    for k, start in enumerate(translator.starts):
        before = x[:, start] - y[:, k] if start >= 0 else None
        found.append(
            Residuals(
                side.names[k], side.units[k], y[:, k], before, made[:, k] - y[:, k]
            )
        )
    return found


def find_kiel(names):
    """Find the columns of a Kiel diagram by the beginning of their names.

    Parameters
    ----------
    names : sequence of str
        Case is ignored.

    Returns
    -------
    dict of str to int
        "teff", "logg" and "fe_h" to the first column that begins so; those found.
    """
    found = {}
    for label in _KIEL:
        for k, name in enumerate(names):
            if name.lower().startswith(label):
                found.setdefault(label, k)
    return found


def _kiel(translator, columns, x, made, y):
    """Return what `kiel_figure` shows, thrice the stars that have all of it.

    Where one survey has no [Fe/H] its stars have the colours of the other's.
    """
    first, second = columns
    sources = {
        "Before": (translator.inputs, first, x),
        "Translated": (translator.outputs, second, made),
        "Given": (translator.outputs, second, y),
    }
    parts = {}
    for title, (names, found, values) in sources.items():
        survey = split_name(names[found["teff"]])[1].upper()
        title = title if title == "Translated" or not survey else f"{title}: {survey}"
        parts[title] = {label: values[:, k] for label, k in found.items()}
    every = [column for part in parts.values() for column in part.values()]
    used = np.isfinite(every).all(axis=0)
    other = next((part["fe_h"] for part in parts.values() if "fe_h" in part), None)
    shown = {}
    for title, part in parts.items():
        found = (part["teff"], part["logg"], part.get("fe_h", other))
        shown[title] = tuple(None if one is None else one[used] for one in found)
    return shown
