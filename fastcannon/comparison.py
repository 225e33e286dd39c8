"""The Cannon beside the translator: the same stars on one scale by both methods.

Each is compared with the given labels of the scale for stars that it has not seen, and
beside them the survey's own labels with their offset taken out.
"""

import numpy as np
from astropy.table import Table

from .arrays import label_array
from .cases import GIVEN
from .cluster_tables import trend
from .differences import mean_and_scatter
from .labels import unit
from .repeats import final_errors
from .runfolder import CANNON, TRANSLATOR

IDENTITY = "identity"  # the survey's own labels
METHODS = (CANNON, TRANSLATOR, IDENTITY)
AGAINST = {"teff": 1000.0, "logg": 1.0, "fe_h": 1.0}  # slopes are per this


def comparison_table(names, training, held, made, scales):
    """Compare both methods with the given labels of the training stars.

    Parameters
    ----------
    names : sequence of K str
        Labels.
    training : astropy Table, N rows
        Of `trainingset.match_surveys`.
    held : dict of case to astropy Table
        Of the translators: ``star_id``, ``<label>_<scale>`` by networks that have not
        seen the star, and its error; label units.
    made : dict of case to cases.Case
        With the cross-validation of the training stars.
    scales : dict of case to catalogue.Scale
        Their factors and precision, for the errors.

    Returns
    -------
    astropy Table
        A row for each ``case`` of ``held``, ``label`` and ``method`` (`METHODS`), all
        of the same ``stars``: those with a value by every method. Of the differences,
        method minus given: ``bias`` (median), ``scatter`` ((P84 - P16) / 2) and
        ``e_scatter``; ``slope_<label>`` and ``e_slope_<label>`` with the given Teff
        (per 1000 K), log g and [Fe/H] of the scale, as far as they are labels, see
        `cluster_tables.trend`; and the median ``error`` that the method states, NaN
        where there is none. Label units.
    """
    rows = []
    for name, table in held.items():
        case = made[name]
        values, errors = _cannon(case, names, training, scales[name])
        outputs = [f"{label}_{case.scale}" for label in names]
        other = held_out_labels(table, training, outputs)
        stated = held_out_labels(table, training, [f"e_{one}" for one in outputs])
        own = _own(case, names, training)
        given = label_array(training, outputs)
        against = [
            (label, given[:, names.index(label)]) for label in AGAINST if label in names
        ]
        for k, label in enumerate(names):
            methods = {
                CANNON: (values[:, k], errors[:, k]),
                TRANSLATOR: (other[:, k], stated[:, k]),
                IDENTITY: (own[0][:, k], own[1][:, k]),
            }
            rows += _rows(case.name, label, methods, given[:, k], against)
    return Table(rows)


def own_label(training, name, survey):
    """Return a survey's own values of a label, also where they were replaced."""
    column = f"{name}_{survey}"
    given = f"{column}{GIVEN}"
    return training[given if given in training.colnames else column]


def held_out_labels(held, training, columns):
    """Return values of the left-out stars in the order of the training stars.

    Parameters
    ----------
    held : astropy Table
        Of a translator, in any order: ``star_id``, outputs and errors, label units.
    training : astropy Table, N rows
        With ``star_id``.
    columns : sequence of K str
        Of ``held``.

    Returns
    -------
    ndarray, (N, K), label units
        NaN for stars that were not left out.
    """
    row = {str(star): n for n, star in enumerate(held["star_id"])}
    rows = np.array([row.get(str(star), -1) for star in training["star_id"]])
    found = np.full((len(rows), len(columns)), np.nan)
    found[rows >= 0] = label_array(held, columns)[rows[rows >= 0]]
    return found


def comparison_lines(table):
    """Return a comparison as lines of text.

    Parameters
    ----------
    table : astropy Table
        Of `comparison_table`.

    Returns
    -------
    list of str
    """
    lines, before = [], None
    for row in table:
        if row["case"] != before:
            before = row["case"]
            lines += ["", f"{before}, {row['stars']:,} stars"]
            lines.append(_line("label", "unit", "method", "bias", "scatter", "error"))
        digits = 1 if row["unit"] == "K" else 4
        numbers = (f"{row[key]:.{digits}f}" for key in ("bias", "scatter", "error"))
        lines.append(_line(row["label"], row["unit"], row["method"], *numbers))
    return lines


def _line(label, unit, method, *numbers):
    words = f"{label:<10} {unit:<5} {method:<10}"
    return words + "".join(f" {one:>10}" for one in numbers)


def _rows(case, label, methods, given, against):
    """Return the rows of a label, of the stars that all methods have."""
    used = np.isfinite(given)
    for values, _ in methods.values():
        used &= np.isfinite(values)
    rows = []
    for method, (values, errors) in methods.items():
        difference = (values - given)[used]
        if method == IDENTITY and len(difference):
            difference -= np.median(difference)
        row = {"case": case, "label": label, "unit": unit(label), "method": method}
        row["stars"] = len(difference)
        row["bias"] = _median(difference)
        row["scatter"], row["e_scatter"] = mean_and_scatter(difference)[3:]
        for name, x in against:
            found = trend(x[used], difference, AGAINST[name])
            row[f"slope_{name}"], row[f"e_slope_{name}"] = found.slope, found.error
        row["error"] = _median(errors[used])
        rows.append(row)
    return rows


def _median(values):
    """Return the median of the values that are finite, NaN if there are none."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else np.nan


def _cannon(case, names, training, scale):
    """Return labels and errors of left-out stars by the Cannon, (N, K) each."""
    table = case.validation
    given = label_array(table, [name + GIVEN for name in names])
    formal = label_array(table, [f"e_{name}" for name in names])
    snr = np.asarray(training[f"snr_{case.survey}"], float)
    errors = final_errors(formal, snr, scale.factors, scale.decays)
    return given + case.difference(names), errors


def _own(case, names, training):
    """Return the survey's own labels and errors, (N, K) each; NaN where it has none."""
    values, errors = [], []
    for name in names:
        values.append(_numbers(own_label(training, name, case.survey)))
        column = f"e_{name}_{case.survey}"
        there = column in training.colnames
        errors.append(_numbers(training[column]) if there else values[-1] * np.nan)
    return np.column_stack(values), np.column_stack(errors)


def _numbers(column):
    return np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
