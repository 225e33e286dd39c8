"""The tables of the paper, filled with the numbers of a run (Nandakumar+2022).

Each function turns a table of the run into a `PrintedTable` in the paper's form.
"""

import math

import numpy as np
from astropy.table import vstack

from .. import labels
from ..cluster_tables import LEAST_STARS, YOUNG, mean_scatter
from ..clusters import GLOBULAR, OPEN, PIPELINES
from ..differences import GROUPS
from .tables import (
    Cell,
    PrintedTable,
    decimals,
    label_cell,
    number,
    number_cell,
    plain_symbol,
    text_cell,
)

_MU_SIGMA = "mu: mean; sigma: (P84 - P16) / 2; +- standard errors."


def table1(found):
    """Return the differences of the pipelines in the form of table 1.

    Parameters
    ----------
    found : astropy Table
        As `difference_table` returns.

    Returns
    -------
    PrintedTable
    """
    first, second = found.meta["surveys"]
    rows, groups, heads = [], [("", 1)], ["Parameter (unit)"]
    for group in GROUPS:
        count = max(found[f"n_{group}"], default=0)
        groups.append((f"{group.capitalize()} ({count:,})", 2))
        heads += ["mu", "sigma"]
    for row in found:
        cells = [label_cell(row["parameter"])]
        for group in GROUPS:
            cells += _mu_sigma(row, group)
        rows.append(cells)
    cut, reference = found.meta["logg_cut"], found.meta["reference"] or second
    notes = [
        _MU_SIGMA,
        f"Giants: log g of {reference} < {cut:g}; dwarfs: the others with a log g.",
    ]
    caption = f"Mean and scatter of {first} - {second} in the training set"
    return PrintedTable("table1", caption, groups, heads, rows, notes, found)


def _mu_sigma(row, group):
    """Return the cells of mean and scatter, with as many digits as both deserve."""
    unit = row["unit"]
    return [
        number_cell(
            row[f"{name}_{group}"],
            decimals(unit, row[f"e_{name}_{group}"]),
            row[f"e_{name}_{group}"],
        )
        for name in ("mean", "scatter")
    ]


def table3(found):
    """Return what is left of the differences on each scale, in the form of table 3.

    Parameters
    ----------
    found : dict of str to astropy Table
        For each scale a table of `difference_table`, with the same labels.

    Returns
    -------
    PrintedTable
    """
    first = next(iter(found.values()))
    groups, heads = [("", 1)], ["Parameter (unit)"]
    for scale, table in found.items():
        one, other = table.meta["surveys"]
        groups.append((f"{one}-on-{scale} - {other}-on-{scale}", 2))
        heads += ["mu", "sigma"]
    rows = []
    for k, name in enumerate(first["parameter"]):
        cells = [label_cell(name)]
        for table in found.values():
            cells += _mu_sigma(table[k], "all")
        rows.append(cells)
    parts = [table.copy() for table in found.values()]
    for scale, part in zip(found, parts, strict=True):
        part.add_column([scale] * len(part), name="scale", index=0)
        part.meta.clear()
    one, other = first.meta["surveys"]
    caption = f"Mean and scatter of {one} - {other} on each scale, training stars"
    data = vstack(parts)
    return PrintedTable("table3", caption, groups, heads, rows, [_MU_SIGMA], data)


def table4(factors):
    """Return the factors of the formal errors in the form of table 4.

    Parameters
    ----------
    factors : astropy Table
        Of a run's factors.ecsv.

    Returns
    -------
    PrintedTable
    """
    cases = list(dict.fromkeys(factors["case"].tolist()))
    groups, heads = [("", 1)], ["Parameter (unit)"]
    for case in cases:
        groups.append((case, 2))
        heads += ["f", "robust"]
    rows = []
    for name in dict.fromkeys(factors["label"].tolist()):
        cells = [label_cell(name)]
        for case in cases:
            own = (factors["case"] == case) & (factors["label"] == name)
            for kind in ("factor", "robust"):
                value, error = (
                    float(factors[column][own][0]) if own.any() else math.nan
                    for column in (kind, f"e_{kind}")
                )
                cells.append(number_cell(value, min(2, decimals("", error)), error))
        rows.append(cells)
    notes = [
        "f: standard deviation of the differences of repeated spectra over their "
        "formal errors (eq. 6); robust: half their 16 to 84 % range, which the "
        "catalogues use; +- bootstrap over stars.",
    ]
    caption = "Factors of the formal errors, from repeated spectra"
    return PrintedTable("table4", caption, groups, heads, rows, notes, factors)


_CLUSTER_TABLES = (
    ("table5", OPEN, "open clusters"),
    ("table6", GLOBULAR, "globular clusters"),
    ("clusters", None, "clusters of unknown kind"),
)


def cluster_forms(found):
    """Return the labels of clusters in the form of tables 5 and 6.

    Parameters
    ----------
    found : astropy Table
        As `cluster_table` returns.

    Returns
    -------
    list of PrintedTable
        For open and globular clusters and those of unknown kind, as far as there are.
    """
    if not len(found):
        return []
    kind = np.asarray(found["kind"])
    forms = []
    for name, own, words in _CLUSTER_TABLES:
        rows = ~np.isin(kind, (OPEN, GLOBULAR)) if own is None else kind == own
        if rows.any():
            forms.append(_cluster_form(name, words, found[rows], found))
    return forms


def _cluster_form(name, words, own, found):
    """Return the form of some clusters; notes are on all of them."""
    groups, heads = [("", 3)], ["Cluster", "Case", "N"]
    for label in found.meta["names"]:
        groups.append((plain_symbol(label), 3))
        heads += ["literature", "Cannon", "survey"]
    rows = []
    for row in own:
        cells = [text_cell(row["cluster"]), text_cell(row["case"])]
        cells.append(number_cell(row["n"], 0))
        for label in found.meta["names"]:
            cells += [
                _pair(label, row[label], row[f"e_{label}"]),
                _pair(label, row[f"median_{label}"], row[f"std_{label}"]),
                _pair(
                    label,
                    row[f"median_{label}_{PIPELINES}"],
                    row[f"std_{label}_{PIPELINES}"],
                ),
            ]
        rows.append(cells)
    notes = ["Literature: value, error; others: median, standard deviation."]
    notes += _scatter_notes(found)
    caption = f"Labels of the members of {words}"
    return PrintedTable(name, caption, groups, heads, rows, notes, own)


def _pair(label, value, spread):
    """Return a cell "value, spread" with the paper's digits."""
    digits = decimals(labels.unit(label), math.nan)
    if not math.isfinite(spread):
        return number_cell(value, digits)
    return Cell(f"{number(value, digits)}, {number(spread, digits)}", float(value))


def _scatter_notes(found):
    """Return a sentence on the mean scatter of each label, and what it is of."""
    notes = []
    for label in found.meta["names"]:
        unit = labels.unit(label)
        means = [
            f"{source if source == PIPELINES else f'{source}-scaled'} "
            f"{number(value, decimals(unit, 0.01))} {unit} ({count})"
            for source, (value, count) in mean_scatter(found, label).items()
            if count
        ]
        if means:
            notes.append(f"Mean scatter of {plain_symbol(label)}: {', '.join(means)}.")
    if notes:
        notes.append(
            f"In brackets: how many, each of a cluster and survey with {LEAST_STARS} "
            f"stars or more; open clusters younger than {YOUNG} Gyr do not count."
        )
    return notes


def trend_form(found):
    """Return the trends of labels in clusters.

    Parameters
    ----------
    found : astropy Table
        As `trend_table` returns.

    Returns
    -------
    PrintedTable
    """
    heads = ["Cluster", "Spectra", "Labels", "Of", "With", "N", "Slope", "Sigma"]
    rows = []
    for row in found:
        digits = decimals(labels.unit(row["label"]), row["e_slope"])
        rows.append(
            [
                *(text_cell(row[name]) for name in ("cluster", "survey", "source")),
                text_cell(plain_symbol(row["label"])),
                text_cell(plain_symbol(row["with"])),
                number_cell(row["n"], 0),
                number_cell(row["slope"], digits, row["e_slope"]),
                number_cell(row["significance"], 1),
            ]
        )
    notes = [
        "Slopes are per 1000 K or per dex, by least squares; their errors are those of "
        "the residuals (HC3); sigma: their significance, Student's t as standard "
        "deviations of a Gaussian."
    ]
    caption = "Trends of labels with temperature and gravity in clusters"
    groups = [("", len(heads))]
    return PrintedTable("trends", caption, groups, heads, rows, notes, found)


def distance_form(found):
    """Return how far the stars of clusters are from isochrones.

    Parameters
    ----------
    found : astropy Table
        As `isochrone_table` returns.

    Returns
    -------
    PrintedTable
    """
    heads = ["Cluster", "Spectra", "Labels", "N", "Median", "P84"]
    rows = [
        [
            *(text_cell(row[name]) for name in ("cluster", "survey", "source")),
            number_cell(row["n"], 0),
            number_cell(row["median"], 2),
            number_cell(row["p84"], 2),
        ]
        for row in found
    ]
    notes = ["Distance to the nearest place on the line; 1 is 100 K or 0.1 dex."]
    caption = "Distances of cluster members to their isochrones in the Kiel diagram"
    groups = [("", len(heads))]
    return PrintedTable("isochrones", caption, groups, heads, rows, notes, found)


def beside_form(found, name="paper"):
    """Return the numbers of the paper beside those of a run.

    Parameters
    ----------
    found : astropy Table
        As `paper.beside` or `paper.beside_counts` returns.
    name : str
        Of the files.

    Returns
    -------
    PrintedTable
    """
    heads = ["Table", "What", "Of", "", "Paper", "Run", "Run - paper", "Run / paper"]
    rows = []
    for row in found:
        digits = 2 if row["what"] == "factor" else decimals(row["unit"], row["e_ours"])
        cells = [text_cell(row["table"]), text_cell(row["what"])]
        cells.append(label_cell(row["label"]) if row["label"] else text_cell(""))
        cells += [
            text_cell(row["group"]),
            number_cell(row["paper"], digits),
            number_cell(row["ours"], digits, row["e_ours"]),
            number_cell(row["difference"], digits),
            number_cell(row["ratio"], 2),
        ]
        rows.append(cells)
    notes = [
        "Factors of the paper are divided by the scale of the label: its errors were "
        "those of scaled labels."
    ]
    caption = "Nandakumar+2022 beside this run"
    groups = [("", len(heads))]
    return PrintedTable(name, caption, groups, heads, rows, notes, found)
