"""Which packed spectra get a row in the catalogues, and their survey and Gaia values.

For each part of a packed survey a table ``stars/SURVEY/part-*.fits`` has the part of
table A1 of Nandakumar+2022 that does not come from the Cannon, so that catalogues are
written part by part. One spectrum stands for a star: not a visit; that of the survey's
catalogue before others; then that of the highest S/N.
"""

import hashlib
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from . import fitsfiles, surveys
from .catalogue import catalogue_name
from .config import OWN
from .digests import digest
from .errors import InputError
from .kinds import LEFT_OUT, STARS
from .match import best_entries, gaia_ids, plain_release
from .packed import rows_of
from .runfolder import PLAN, finished
from .sources import catalogue, open_survey, read_table, star_codes

OWN_FLAG_ID = 2  # flag_id of the first survey that is neither GALAH nor APOGEE
VISIT = "a visit of the star"
OTHER = "another spectrum stands for the star"
WITHOUT = "no packed spectrum"
_RELEASES = {"DR2": "dr2_source_id", "DR3": "dr3_source_id", "EDR3": "dr3_source_id"}
_GAIA_VALUES = ("parallax", "e_parallax", "r_est", "r_lo", "r_hi")


class Joined(NamedTuple):
    """The spectra of a survey and their stars.

    Attributes
    ----------
    paths : list of Path
        A table of stars for each packed part.
    counts : dict of str to int
        Spectra, stars, and what has no row, by reason.
    star, visit, snr, starts :
        Of all spectra: number of the star (-1: not known), number of the visit
        (0: combined), S/N; first spectrum of each part, and how many there are.
    """

    paths: list
    counts: dict
    star: np.ndarray
    visit: np.ndarray
    snr: np.ndarray
    starts: np.ndarray


def join_survey(config, folder, survey, training, gaia):
    """Write the tables of stars of a survey's packed parts.

    Parameters
    ----------
    config : Config
    folder : RunFolder
    survey : config.Survey
    training : astropy Table
        Of `trainingset.match_surveys`.
    gaia : astropy Table or None
        Of `read_gaia`.

    Returns
    -------
    Joined

    Raises
    ------
    InputError
        See `sources.catalogue`.
    """
    table = catalogue(survey).table
    with open_survey(config, survey) as packed:
        ids, starts = packed.column("id"), packed.starts
        visit = packed.column("visit", default=0).astype(np.int64)
        snr = packed.column("snr", default=np.nan).astype(float)
        star = star_codes(survey, packed, table)
        identities = [part.identity for part in packed.parts]
    rows = rows_of(ids, table["id"])
    chosen = _choose(star, visit, snr, rows)
    _write_left_out(folder, survey, ids, visit, chosen, rows, table)
    gaia = _sorted(gaia, _release_column(table))
    paths = []
    for number, (start, stop) in enumerate(pairwise(starts)):
        path = folder.made(f"stars/{survey.name}", f"part-{number:05d}.fits")
        here = np.flatnonzero(chosen[start:stop]) + start
        part = _survey_values(config, survey, table[rows[here]], training, gaia)
        _fill_uncatalogued(part, rows[here] < 0, ids[here], snr[here])
        part.add_column(here - start, name="row", index=0)
        part["snr_spectrum"] = snr[here]
        plan = digest(identities[number], _content(part))
        if not finished(path, STARS, plan):
            facts = {PLAN: (plan, "digest of what it is made from")}
            fitsfiles.write_table(path, part, STARS, facts)
        paths.append(path)
    counts = _counts(visit, chosen, rows, table)
    return Joined(paths, counts, star, visit, snr, starts)


def read_gaia(config):
    """Read the Gaia table of a configuration under our names.

    Returns
    -------
    astropy Table or None
        None where the configuration names none.

    Raises
    ------
    InputError
        It cannot be read, a column is missing, or ids are no whole numbers.
    """
    path, columns = config.gaia.table, config.gaia.columns
    if path is None:
        return None
    table = read_table(path, f"{config.path}: gaia.table")
    missing = [name for name in columns.values() if name not in table.colnames]
    if missing:
        raise InputError(
            f"{config.path}: gaia.table: {path} has no column {', '.join(missing)}; it "
            f"has {', '.join(table.colnames)}: name them in [gaia.columns]"
        )
    for ours in set(_RELEASES.values()):
        kind = table[columns[ours]].dtype
        if kind.kind not in "iu":
            raise InputError(
                f"{config.path}: gaia.table: {path}, column {columns[ours]} has type "
                f"{kind}; expected 64-bit whole numbers (identifiers of 19 digits do "
                "not survive as floats)"
            )
    return Table({ours: table[theirs] for ours, theirs in columns.items()})


def _choose(star, visit, snr, rows):
    """Return which spectra stand for their stars, (S,) mask."""
    combined = np.flatnonzero(visit == 0)
    # A spectrum of an unknown star is one of its own.
    star = np.where(star < 0, len(star) + np.arange(len(star)), star)
    # A spectrum of the catalogue comes before all others of the star.
    known = np.unique(star[combined][rows[combined] >= 0])
    passed = (rows[combined] >= 0) | ~np.isin(star[combined], known)
    candidates = combined[passed]
    chosen = np.zeros(len(star), bool)
    if len(candidates):
        chosen[candidates[best_entries(star[candidates], snr[candidates])]] = True
    return chosen


def _survey_values(config, survey, table, training, gaia):
    """Return table A1's columns of some entries of the survey's catalogue."""
    ids = np.asarray(table["id"]).astype(str)
    found = Table({"survey_id": ids})
    _add_gaia(found, table, gaia)
    found["ra"], found["dec"] = (_column(table, name, np.nan) for name in ("ra", "dec"))
    found["flag_id"] = np.full(len(table), _flag_id(config, survey), np.int16)
    spectra, pipeline = _quality(survey, table)
    found["flag_spectra"], found["flag_sp_aspcap"] = spectra, pipeline
    names = config.labels.names
    labels = [np.asarray(_column(table, name, np.nan), float) for name in names]
    found["flag_survey"] = (~np.isfinite(labels).all(axis=0)).astype(np.int16)
    trained = np.asarray(training[f"id_{survey.name}"]).astype(str)
    found["flag_training"] = (~np.isin(ids, trained)).astype(np.int16)
    snr = np.asarray(_column(table, "snr", np.nan), float)
    found["flag_snr"] = (~(snr > _good_snr(survey))).astype(np.int16)
    for name, values in zip(names, labels, strict=True):
        ours = catalogue_name(name)
        found[ours] = values
        found[f"e_{ours}"] = np.asarray(_column(table, f"e_{name}", np.nan), float)
    found["snr"] = snr
    found["catalogued"] = np.ones(len(table), bool)
    return found


def _release_column(table):
    """Return our column of Gaia's table for the release of a catalogue's ids."""
    return _RELEASES.get(plain_release(table), "dr3_source_id")


def _sorted(gaia, key):
    """Return Gaia's table sorted by whole ids, or None where there is none."""
    if gaia is None or not len(gaia):
        return None
    ids = _whole(gaia[key])
    order = np.argsort(ids, kind="stable")
    found = gaia[order]
    found[key] = ids[order]
    return found


def _add_gaia(found, table, gaia):
    """Add ids, parallaxes and distances by the Gaia id of the survey's catalogue."""
    ids = np.zeros(len(table), np.int64)
    if "gaia_source_id" in table.colnames:
        ids, known = gaia_ids(table, "the catalogue")
        ids = np.where(known, ids, 0)  # not the surveys' numbers for "none"
    key = _release_column(table)
    for name in _RELEASES.values():
        found[name] = ids if name == key else np.zeros(len(ids), np.int64)
    for name in _GAIA_VALUES:
        found[name] = np.full(len(ids), np.nan)
    if gaia is None:
        return
    own = np.asarray(gaia[key])
    place = np.minimum(np.searchsorted(own, ids), len(own) - 1)
    there = (own[place] == ids) & (ids > 0)
    rows = place[there]
    for name in set(_RELEASES.values()) - {key}:
        found[name][there] = _whole(gaia[name][rows])
    for name in _GAIA_VALUES:
        values = np.ma.filled(np.ma.asarray(gaia[name][rows], float), np.nan)
        found[name][there] = values


def _whole(values):
    """Return ids as int64, 0 where they are missing."""
    return np.ma.filled(np.ma.asarray(values), 0).astype(np.int64)


def _quality(survey, table):
    if survey.format != OWN:
        return surveys.get(survey.format).quality_flags(table)
    return tuple(
        np.asarray(_column(table, name, 0)).astype(np.int64)
        for name in ("flag_spectra", "flag_sp_aspcap")
    )


def _flag_id(config, survey):
    """Return 0 for GALAH, 1 for APOGEE, then 2, 3, ... for others in their order."""
    if survey.format != OWN:
        return surveys.get(survey.format).FLAG_ID
    own = [name for name, one in config.surveys.items() if one.format == OWN]
    return OWN_FLAG_ID + own.index(survey.name)


def _good_snr(survey):
    return 0.0 if survey.format == OWN else surveys.get(survey.format).GOOD_SNR


def _fill_uncatalogued(part, missing, ids, snr):
    """Empty the survey's values of spectra that its catalogue does not have."""
    for name in part.colnames:
        if name == "survey_id" or not missing.any():
            continue
        column = part[name]
        if column.dtype.kind == "f":
            column[missing] = np.nan
        elif name in ("flag_survey", "flag_training", "flag_snr"):
            column[missing] = 1
        elif name != "flag_id":
            column[missing] = 0
    part["survey_id"] = np.where(missing, ids.astype(str), part["survey_id"])
    part["snr"] = np.where(missing, snr, part["snr"])


def _write_left_out(folder, survey, ids, visit, chosen, rows, table):
    """List the spectra and entries that get no row, with the reason."""
    spectra = np.flatnonzero(~chosen & (visit == 0))
    seen = np.zeros(len(table), bool)
    seen[rows[rows >= 0]] = True
    entries = np.flatnonzero(~seen)
    names = [ids[spectra], np.asarray(table["id"])[entries]]
    reasons = [OTHER] * len(spectra) + [WITHOUT] * len(entries)
    listed = Table(
        {
            "id": np.concatenate([np.asarray(part).astype(str) for part in names]),
            "reason": np.array(reasons, dtype=f"U{len(OTHER)}"),
        }
    )
    path = folder.made("left_out", f"{survey.name}.fits")
    fitsfiles.write_table(path, listed, LEFT_OUT)


def _counts(visit, chosen, rows, table):
    """Return the counts of `Joined`."""
    return {
        "spectra": len(visit),
        "stars": int(chosen.sum()),
        VISIT: int((visit > 0).sum()),
        OTHER: int((~chosen & (visit == 0)).sum()),
        "not in the survey's catalogue": int((chosen & (rows < 0)).sum()),
        f"entries of the catalogue: {WITHOUT}": int(
            len(table) - len(np.unique(rows[rows >= 0]))
        ),
    }


def _column(table, name, default):
    """Return a column, or the default for every row; masked numbers become NaN."""
    if name not in table.colnames:
        return np.full(len(table), default)
    values = table[name]
    if isinstance(default, float) and values.dtype.kind in "iuf":
        values = np.ma.asarray(values).astype(float)  # whole numbers have no NaN
    if np.ma.isMaskedArray(values):
        values = np.ma.filled(np.ma.asarray(values), default)
    return np.asarray(values)


def _content(table):
    """Return a digest of a table's values."""
    content = hashlib.sha256()
    for name in table.colnames:
        content.update(np.ascontiguousarray(table[name]).tobytes())
    return content.hexdigest()
