"""A translator on stars whose values on both scales are known."""

import numpy as np
from astropy.table import Table

from ..errors import InputError
from ..spread import robust_sigma
from .baselines import KINDS, fit_baselines
from .columns import check_units, read_columns, read_errors
from .fitting import FOLDS, start_slopes
from .intervals import coverage
from .quality import BIT

LEVELS = (0.68, 0.95)
LEAST = 50  # stars; fewer say little


def compare(translator, table, threads=None):
    """Compare translated values with those that survey B has.

    Parameters
    ----------
    translator : Translator
        Trained.
    table : astropy Table
        Columns of both surveys, of stars that were not trained on; errors of survey B
        where it was trained with them (without: those of a typical training star).
    threads : int, optional

    Returns
    -------
    table : astropy Table
        A row per output, of the stars with all inputs and this output: ``output``,
        ``unit``, ``stars``; ``bias`` (median of translated minus given), its robust
        ``scatter``, and that of the ``identity`` with offset and of ``linear`` and
        ``quadratic`` maps, label units; ``inside_68`` and ``inside_95``, share of the
        given values in their intervals; ``pull``, robust width of difference / error.
        The three maps are fitted anew to four fifths of these very stars in turn.
    flags : dict of str to int
        Rows with each flag, and ``any``.

    Raises
    ------
    InputError
        Columns are missing or fewer than 50 stars have the values.
    """
    trained = translator.trained
    sides = (trained.inputs, trained.outputs)
    x, y = (read_columns(table, side.names) for side in sides)
    check_units(y, trained.outputs.names)
    found = [translator.apply(table, level, threads) for level in LEVELS]
    e_y = _given_errors(trained.outputs, table)
    starts = np.array(translator.starts)
    ratios = start_slopes(starts, *sides)[1]
    standard = trained.inputs.standardise(x), trained.outputs.standardise(y)
    rows = []
    for k, name in enumerate(trained.outputs.names):
        used = np.isfinite(x).all(axis=1) & np.isfinite(y[:, k])
        if used.sum() < LEAST:
            raise InputError(
                f"{used.sum()} of {len(table)} rows have all inputs and {name}; "
                f"{LEAST} or more are needed to compare"
            )
        given = y[used, k]
        value, error = (np.asarray(found[0][n])[used] for n in (name, f"e_{name}"))
        row = {
            "output": name,
            "unit": trained.outputs.units[k],
            "stars": len(given),
            "bias": np.median(value - given),
            "scatter": robust_sigma(value - given),
        }
        row |= _smooth_maps(
            *(part[used] for part in standard), k, starts, ratios, trained.outputs.scale
        )
        for level, one in zip(LEVELS, found, strict=True):
            bounds = (np.asarray(one[f"{name}_{end}"])[used] for end in ("low", "high"))
            share, _ = coverage(given[:, None], *(b[:, None] for b in bounds))
            row[f"inside_{100 * level:.0f}"] = share[0]
        total = np.sqrt(error**2 + e_y[used, k] ** 2)
        row["pull"] = robust_sigma((value - given) / total)
        rows.append(row)
    flag = np.asarray(found[0]["translate_flag"])
    flags = {name: int(((flag & bit) > 0).sum()) for name, bit in BIT.items()}
    return Table(rows), flags | {"any": int((flag > 0).sum())}


def _given_errors(side, table):
    """Errors of survey B, (S, O); those of a typical training star where missing."""
    names = [name if name in table.colnames else "" for name in side.errors]
    errors = read_errors(table, names)
    there = np.array([bool(name) for name in names])
    return np.where(np.isnan(errors) | ~there, side.typical, errors)


def _smooth_maps(x, y, k, starts, ratios, scale):
    """Scatter of output k by maps fitted to four fifths of the stars in turn."""
    folds = np.random.default_rng(0).permutation(len(x)) % FOLDS
    made = fit_baselines(x, y[:, [k]], starts[[k]], ratios[[k]], folds)
    away = {kind: made[kind].held[:, 0] - y[:, k] for kind in KINDS}
    return {kind: robust_sigma(values) * scale[k] for kind, values in away.items()}
