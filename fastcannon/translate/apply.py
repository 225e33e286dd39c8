"""A trained translator applied to a table, in blocks."""

import numpy as np
from astropy.table import Column, Table

from ..distance import training_distance
from ..parallel import ranges, run_blocks
from .columns import read_columns, read_errors
from .intervals import half_width
from .quality import comments, flag_bits, pairs

MOST = 1e4  # standard deviations: beyond any label
BLOCK = 1_024  # rows: activations of ten networks stay near the processor


def apply_trained(trained, table, level=0.68, threads=None):
    """Translate a table; see `Translator.apply`."""
    inputs, outputs = trained.inputs, trained.outputs
    values = read_columns(table, inputs.names)
    missing = np.isnan(values)
    values = np.where(missing, inputs.centre, values)
    x = standardised(inputs, values)
    errors, no_error = _errors(inputs, table, missing)
    away = training_distance(x, trained.reference, np.ones(x.shape[1]), threads)
    far = _far_part(away, trained)
    y, low_error, high_error = _translate(trained, x, errors, far, threads)
    reasons, words = _reasons(trained, values, y, missing, no_error)
    reasons["FAR"], words["FAR"] = (away > trained.limit)[:, None], ("",)
    reasons["SMOOTH"], words["SMOOTH"] = (far > 0)[:, None], ("",)
    half = half_width(trained.scores, level) * high_error
    found = Table()
    for k, (name, unit) in enumerate(zip(outputs.names, outputs.units, strict=True)):
        columns = {
            name: y[:, k],
            f"e_{name}": low_error[:, k],
            f"{name}_low": y[:, k] - half[:, k],
            f"{name}_high": y[:, k] + half[:, k],
        }
        for column, filled in columns.items():
            found[column] = Column(filled, unit=unit or None)
    found["translate_flag"] = flag_bits(reasons)
    # not copied: words of a million stars are large
    found.add_column(
        Column(comments(reasons, words), copy=False),
        name="translate_comment",
        copy=False,
    )
    found["translate_distance"] = away
    return found


def standardised(inputs, values):
    """Return inputs in standard deviations, none so far off that floats overflow."""
    return np.clip(inputs.standardise(values), -MOST, MOST)


def _errors(inputs, table, missing):
    """Standardised errors of the inputs, and where one is missing.

    A missing value has the scatter of the training sample as its error.
    """
    errors = read_errors(table, inputs.errors)
    no_error = np.isnan(errors) & ~missing
    errors = np.where(np.isnan(errors), inputs.typical, errors) / inputs.scale
    return np.where(missing, 1.0, errors), no_error


def _far_part(away, trained):
    """Part of the linear map: none up to the limit, all of it from twice the limit."""
    if not trained.smooth_far:
        return np.zeros(len(away))
    return np.clip(away / trained.limit - 1, 0, 1)


def _translate(trained, x, errors, far, threads):
    """Values, error of the true value, error of a measured value; (S, O) each."""
    shape = (len(x), len(trained.outputs.names))
    y, low_error, high_error = np.empty(shape), np.empty(shape), np.empty(shape)

    def block(start, stop):
        part = slice(start, stop)
        used = errors[part] if errors[part].any() else None
        values, variance = trained.map(x[part], far[part], used)
        variance *= trained.outputs.scale**2
        y[part] = trained.outputs.restore(values)
        for which, out in enumerate((low_error, high_error)):
            total = np.sqrt(trained.floor[which] ** 2 + variance)
            out[part] = trained.factor[which] * total

    run_blocks(block, ranges(len(x), BLOCK), threads)
    return y, low_error, high_error


def map_values(trained_map, x, threads=None):
    """Return what a map makes of any number of stars, standardised, (S, O)."""
    parts = run_blocks(
        lambda start, stop: trained_map(x[start:stop])[0],
        ranges(len(x), BLOCK),
        threads,
    )
    return np.concatenate(parts)


def _reasons(trained, values, y, missing, no_error):
    """Which stars are flagged for what, and the words of each column."""
    reasons, words = {}, {}
    names = trained.inputs.names
    reasons["INPUT_MISSING"], words["INPUT_MISSING"] = missing, names
    for side, where, what in (
        ("INPUT", trained.inputs, values),
        ("OUTPUT", trained.outputs, y),
    ):
        ranges_out, empty = where.extent.outside(what)
        reasons[f"{side}_RANGE"], words[f"{side}_RANGE"] = ranges_out, where.names
        reasons[f"{side}_PAIR"] = empty
        words[f"{side}_PAIR"] = [
            f"({where.names[i]}, {where.names[j]})" for i, j in pairs(len(where.names))
        ]
    reasons["NO_ERROR"], words["NO_ERROR"] = no_error, names
    return reasons, words
