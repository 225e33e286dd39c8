"""The printed numbers of Nandakumar+2022, and a run on the real surveys beside them.

Cases are named as in the paper's table 2: spectra Cannon labels, A: APOGEE with ASPCAP,
G: GALAH with SME; ACGS is apogee-on-galah here. NaN stands for what cannot be read with
certainty in the copy at hand.
"""

import math

import numpy as np
from astropy.table import Table

from .. import labels
from ..cluster_tables import mean_scatter

# Spectra, labels.
CASES = {
    "ACGS": ("apogee", "galah"),
    "GCGS": ("galah", "galah"),
    "GCAA": ("galah", "apogee"),
    "ACAA": ("apogee", "apogee"),
}
# APOGEE - GALAH: mean and scatter of all, giants, dwarfs. The print has -1.21 for the
# scatter of the giants' vbroad, which cannot be.
TABLE_1 = {
    "teff": (14, 84, 35, 68, 0, 94),
    "logg": (0.06, 0.12, 0.03, 0.13, 0.08, 0.10),
    "fe_h": (0.02, 0.08, 0.05, 0.10, 0.00, 0.06),
    "alpha_fe": (-0.03, 0.05, -0.04, 0.06, -0.02, 0.05),
    "vmicro": (-0.05, 0.37, 0.07, 0.30, -0.14, 0.40),
    "vbroad": (-2.80, 1.50, -3.08, 1.21, -2.59, 1.62),
}
# Mean and scatter of ACGS - GCGS, then of ACAA - GCAA.
TABLE_3 = {
    "teff": (2, 66, -4, 73),
    "logg": (0.03, 0.12, 0.02, 0.12),
    "fe_h": (0.00, 0.05, 0.00, 0.05),
    "alpha_fe": (0.01, 0.04, 0.00, 0.02),
    "vmicro": (0.00, 0.03, -0.06, 0.34),
    "vbroad": (-0.01, 1.78, -0.06, 1.07),
}
# Factors in the order of CASES, times the scale of the label: the paper's errors were
# those of scaled labels (eq. 2). For [alpha/Fe] of ACGS and ACAA the text says "close
# to 1": 1.2. Of two in vmicro, 53 and 12, the decimal point is doubtful.
TABLE_4 = {
    "teff": (12200, 7200, 6925, 11325),
    "logg": (18, 8.6, 8.5, 19),
    "fe_h": (8.9, 6.4, 7.7, 9),
    "alpha_fe": (1.2, 0.5, 0.4, 1.2),
    "vmicro": (3.8, 2.1, math.nan, math.nan),
    "vbroad": (52.1, 31.5, 29, 56),
}
# [Fe/H] of clusters: case, N, median and standard deviation of the Cannon, and of the
# pipeline. Cases without stars are left out.
TABLE_5 = {
    "IC 4665": (
        ("GCGS", 13, -0.05, 0.13, -0.03, 0.10),
        ("GCAA", 13, 0.03, 0.10, -0.03, 0.10),
    ),
    "Melotte 22": (
        ("GCGS", 36, -0.05, 0.15, -0.03, 0.09),
        ("ACGS", 62, 0.00, 0.10, -0.01, 0.04),
        ("GCAA", 36, 0.00, 0.05, -0.03, 0.09),
        ("ACAA", 62, 0.00, 0.04, -0.01, 0.04),
    ),
    # The median of GCGS has lost a digit or its sign ("0.0").
    "Blanco 1": (
        ("GCGS", 35, math.nan, 0.09, -0.05, 0.07),
        ("GCAA", 35, -0.01, 0.06, -0.05, 0.07),
    ),
    "Ruprecht 147": (
        ("GCGS", 16, 0.05, 0.06, 0.03, 0.06),
        ("ACGS", 29, 0.07, 0.08, 0.12, 0.03),
        ("GCAA", 16, 0.11, 0.07, 0.03, 0.06),
        ("ACAA", 29, 0.10, 0.05, 0.12, 0.03),
    ),
    "NGC 2682": (
        ("GCGS", 85, -0.05, 0.09, -0.06, 0.07),
        ("ACGS", 109, -0.06, 0.07, 0.00, 0.03),
        ("GCAA", 85, -0.02, 0.07, -0.06, 0.07),
        ("ACAA", 109, 0.00, 0.05, 0.00, 0.03),
    ),
}
TABLE_6 = {
    "NGC 104": (
        ("GCGS", 181, -0.66, 0.08, -0.73, 0.07),
        ("ACGS", 90, -0.73, 0.09, -0.71, 0.04),
        ("GCAA", 181, -0.67, 0.07, -0.73, 0.07),
        ("ACAA", 90, -0.76, 0.04, -0.71, 0.04),
    ),
    "NGC 2808": (
        ("ACGS", 31, -1.10, 0.06, -1.10, 0.05),
        ("ACAA", 31, -1.12, 0.05, -1.10, 0.05),
    ),
    "NGC 6121": (
        ("ACGS", 72, -1.03, 0.04, -1.01, 0.04),
        ("ACAA", 72, -1.07, 0.03, -1.01, 0.04),
    ),
    "NGC 288": (
        ("GCGS", 19, -1.12, 0.05, -1.07, 0.04),
        ("ACGS", 33, -1.24, 0.06, -1.24, 0.04),
        ("GCAA", 19, -1.26, 0.09, -1.07, 0.04),
        ("ACAA", 33, -1.26, 0.07, -1.24, 0.04),
    ),
    "NGC 6809": (
        ("ACGS", 31, -1.67, 0.04, -1.67, 0.07),
        ("ACAA", 31, -1.71, 0.06, -1.67, 0.07),
    ),
}
# Literature of tables 5 (Heiter+2014) and 6 (VandenBerg+2013): [Fe/H] and its error.
LITERATURE = {
    "IC 4665": (-0.03, 0.04),
    "Melotte 22": (-0.01, 0.05),
    "Blanco 1": (0.03, 0.07),
    "Ruprecht 147": (0.16, 0.08),
    "NGC 2682": (0.0, 0.06),
    "NGC 104": (-0.76, math.nan),
    "NGC 2808": (-1.18, math.nan),
    "NGC 6121": (-1.18, math.nan),
    "NGC 288": (-1.32, math.nan),
    "NGC 6809": (-1.93, math.nan),
}
# Section 4.1.2: label and survey whose scale it is on.
MEAN_SCATTER = {
    ("fe_h", "apogee"): 0.06,
    ("fe_h", "galah"): 0.065,
    ("alpha_fe", "apogee"): 0.03,
    ("alpha_fe", "galah"): 0.03,
}
# Sections 3.2, 3.5 and 5.3.
COUNTS = {"matched": 14406, "training stars": 4418}
SPECTRA = {"apogee": 437445, "galah": 576390}
CLEAN = {"apogee": 170000, "galah": 280000}  # about

_COLUMNS = (
    *("table", "what", "label", "group", "unit"),
    *("paper", "ours", "e_ours", "difference", "ratio"),
)


def beside(
    names, pipelines=None, scales=None, factors=None, label_scales=None, clusters=None
):
    """Put the tables of a run on APOGEE and GALAH beside those of the paper.

    What is None or lacks a label is left out.

    Parameters
    ----------
    names : dict of str to str
        The names in the run of "apogee" and "galah".
    pipelines : astropy Table, optional
        As `difference_table` returns (table 1).
    scales : dict of str to astropy Table, optional
        The same on each scale (table 3).
    factors : astropy Table, optional
        Of factors.ecsv (table 4).
    label_scales : dict of str to dict of str to float, optional
        For each case and label the scale of the model, label units. The paper's factors
        are divided by it, as its errors are those of scaled labels; without it they are
        left out.
    clusters : astropy Table, optional
        As `cluster_table` returns (tables 5 and 6).

    Returns
    -------
    astropy Table
        table, what (mean, scatter, factor, n, median, std, ...), label, group, unit,
        paper, ours, e_ours, difference (ours - paper) and ratio (ours / paper; NaN for
        what may be negative or is 0 in the paper).
    """
    rows = []
    if pipelines is not None:
        rows += _differences(
            "1", TABLE_1, ("all", "giants", "dwarfs"), names, pipelines
        )
    for k, scale in enumerate(("galah", "apogee")):
        found = (scales or {}).get(names[scale])
        if found is not None:
            printed = {name: row[2 * k : 2 * k + 2] for name, row in TABLE_3.items()}
            title = f"{names[scale]}-scaled"
            rows += _differences("3", printed, ("all",), names, found, title)
    if factors is not None and label_scales is not None:
        rows += _factors(names, factors, label_scales)
    if clusters is not None and len(clusters):
        rows += _clusters(names, clusters)
    table = Table(rows=rows or None, names=_COLUMNS)
    return table


def beside_counts(names, summary):
    """Put the counts of a run on APOGEE and GALAH beside those of the paper.

    Parameters
    ----------
    names : dict of str to str
        The names in the run of "apogee" and "galah".
    summary : dict
        Of summary.json.

    Returns
    -------
    astropy Table
        As `beside`.
    """
    rows = []
    found = {line: count for line, count in summary.get("match", [])}
    for what, count in COUNTS.items():
        if what in found:
            rows.append(_row("counts", what, "", "", count, found[what]))
    for survey, count in SPECTRA.items():
        own = summary.get("stars", {}).get(names[survey])
        if own is not None:
            # The paper counts stars; each has one spectrum.
            rows.append(_row("counts", "stars", "", survey, count, own["stars"]))
    for scale, catalogue in summary.get("catalogues", {}).items():
        for survey, count in CLEAN.items():
            if names[survey] in catalogue:
                own = catalogue[names[survey]]["clean"]
                group = f"{survey}, {scale}"
                rows.append(_row("counts", "clean stars", "", group, count, own))
    return Table(rows=rows or None, names=_COLUMNS)


def _row(table, what, label, group, printed, ours, error=math.nan, size=True):
    """Return a row of the columns; ``size``: it cannot be negative."""
    ratio = ours / printed if size and printed > 0 else math.nan
    values = [float(x) for x in (printed, ours, error, ours - printed, ratio)]
    unit = labels.unit(label) if what not in ("factor", "n") else ""
    return (table, what, label, group, unit, *values)


def _differences(table, printed, groups, names, found, title=""):
    """Return rows of means and scatters; the run may subtract the other way round."""
    pair = list(found.meta["surveys"])
    ours = [names["apogee"], names["galah"]]
    if sorted(pair) != sorted(ours):
        return []
    sign = 1.0 if pair == ours else -1.0
    rows = []
    for row in found:
        name = row["parameter"]
        for k, group in enumerate(groups if name in printed else ()):
            mean, scatter = printed[name][2 * k : 2 * k + 2]
            own, error = sign * row[f"mean_{group}"], row[f"e_mean_{group}"]
            where = title or group
            rows.append(_row(table, "mean", name, where, mean, own, error, size=False))
            own, error = row[f"scatter_{group}"], row[f"e_scatter_{group}"]
            rows.append(_row(table, "scatter", name, where, scatter, own, error))
    return rows


def _case(names, short):
    """Return the name in the run of a case of the paper."""
    spectra, scale = CASES[short]
    return f"{names[spectra]}-on-{names[scale]}"


def _factors(names, factors, label_scales):
    rows = []
    for k, short in enumerate(CASES):
        case = _case(names, short)
        for row in factors[np.asarray(factors["case"]) == case]:
            name = row["label"]
            scale = label_scales.get(case, {}).get(name)
            if name in TABLE_4 and scale is not None:
                printed = TABLE_4[name][k] / scale
                values = row["factor"], row["e_factor"]
                rows.append(_row("4", "factor", name, short, printed, *values))
    return rows


def _clusters(names, clusters):
    rows = []
    own = {(row["cluster"], row["case"]): row for row in clusters}
    has_fe_h = "fe_h" in clusters.meta["names"]
    for table, printed in (("5", TABLE_5), ("6", TABLE_6)):
        for cluster, cases in printed.items():
            for short, *values in cases:
                row = own.get((cluster, _case(names, short)))
                if row is not None and has_fe_h:
                    rows += _cluster_rows(table, f"{cluster} {short}", values, row)
    for (name, scale), value in MEAN_SCATTER.items():
        if name in clusters.meta["names"]:
            found = mean_scatter(clusters, name).get(names[scale], (math.nan, 0))[0]
            group = f"clusters, {names[scale]}-scaled"
            rows.append(_row("4.1.2", "mean scatter", name, group, value, found))
    return rows


def _cluster_rows(table, group, values, row):
    """Return rows of N, medians and standard deviations of a cluster's case."""
    n, *numbers = values
    rows = [_row(table, "n", "fe_h", group, n, row["n"])]
    columns = ("median_fe_h", "std_fe_h", "median_fe_h_pipelines", "std_fe_h_pipelines")
    words = ("median", "std", "median of pipeline", "std of pipeline")
    for what, column, value in zip(words, columns, numbers, strict=True):
        size = what.startswith("std")
        rows.append(_row(table, what, "fe_h", group, value, row[column], size=size))
    return rows
