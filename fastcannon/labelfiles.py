"""Rows of the tables of labels that the packed parts of a run have.

Parts are read whole, one at a time, and their checksums looked at: a mapped file that
is cut short under its reader ends the process.
"""

import numpy as np
from astropy.table import Table, vstack

from .errors import parsing
from .fitsfiles import TABLE_VERSION, open_verified
from .kinds import LABELS
from .packed import as_bytes, rows_of
from .result import UNKNOWN

# Columns of a label table that nobody here asks for.
_NOT_READ = ("id", "covariance", "chi2", "chi2_inside", "n_pixels")


def read_rows(paths, starts, rows):
    """Read rows of the label tables of a packed survey, one part after the other.

    Parameters
    ----------
    paths : list of Path
    starts : (n_parts + 1,) int array
        Number of the first row of each part.
    rows : (R,) int array
        In any order.

    Returns
    -------
    astropy Table
        R rows in the order asked for: labels, errors, r_chi2, minima, status.

    Raises
    ------
    FileFormatError
        A table is damaged.
    """
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    cuts = np.searchsorted(ordered, starts)
    pieces = []
    for number, path in enumerate(paths):
        here = ordered[cuts[number] : cuts[number + 1]] - starts[number]
        if not len(here) and pieces:
            continue
        data = _rows_of_part(path)
        columns = [
            n for n in data.dtype.names if n not in _NOT_READ and "_inside" not in n
        ]
        with parsing(path, "the labels"):
            piece = Table({n: data[n][here].astype(float) for n in columns})
            for name in ("status", "minima"):
                piece[name] = piece[name].astype(np.int64)
        pieces.append(piece)
    found = vstack(pieces)
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return found[back]


def read_columns(paths, names):
    """Read columns of the label tables of a packed survey.

    Parameters
    ----------
    paths : list of Path
    names : sequence of str

    Returns
    -------
    dict of str to (S,) array
        Text as bytes.

    Raises
    ------
    FileFormatError
        A table is damaged, or lacks a column.
    """
    pieces = {name: [] for name in names}
    for path in paths:
        data = _rows_of_part(path)
        with parsing(path, "the labels"):
            for name, own in pieces.items():
                values = data[name]
                own.append(np.array(values, dtype=values.dtype.newbyteorder("=")))
    return {name: np.concatenate(pieces.pop(name)) for name in list(pieces)}


def scaled_labels(paths, ids, names):
    """Return the labels of some spectra, NaN where they cannot be trusted.

    Parameters
    ----------
    paths : list of Path
        Label tables of a packed survey on one scale.
    ids : (N,) sequence of str
        Of the spectra; of several with one id the first is taken.
    names : sequence of str
        Labels.

    Returns
    -------
    dict of str to (N,) array, label units
        NaN where there is no such spectrum, or the descent gave no labels.
    """
    ids = as_bytes(ids)
    found = {name: np.full(len(ids), np.nan) for name in names}
    missing = np.ones(len(ids), dtype=bool)
    for path in paths:
        part = read_columns([path], ("id", "status", *names))
        rows = rows_of(ids, part["id"])
        new = np.flatnonzero(missing & (rows >= 0))
        missing[new] = False
        new = new[part["status"][rows[new]] & UNKNOWN == 0]
        for name in names:
            found[name][new] = part[name][rows[new]]
    return found


def _rows_of_part(path):
    """Return the rows of a label table as a structured array, text as bytes."""
    with (
        open_verified(path, LABELS, TABLE_VERSION) as hdus,
        parsing(path, "the labels"),
    ):
        return np.asarray(hdus[LABELS].data.view(np.ndarray))
