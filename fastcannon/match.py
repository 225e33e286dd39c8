"""Stars that two catalogues have in common, and the training table made of them."""

from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, Table
from astropy.time import Time
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .cuts import Cut, apply_cuts, get_column, get_numbers, report_lines, suggest
from .errors import InputError
from .labels import LABELS
from .packed import as_bytes

EPOCH = 2016.0  # Julian year to which positions are moved; that of Gaia (E)DR3
# Without a distance astropy warns; the motion on the sky does not depend on it.
_DISTANCE = 1 * u.pc
_SHOWN = 3  # examples of identifiers in errors


class Catalogue(NamedTuple):
    """A survey's catalogue with what its stars must pass.

    ``cuts`` and ``flags`` are as in `cuts.apply_cuts`; ``where`` is what the cuts are
    called in errors.
    """

    name: str
    table: Table
    cuts: dict | list
    flags: dict
    where: str = "cuts"


@dataclass(frozen=True)
class Matched:
    """Rows of two catalogues that are the same star, one to one.

    Attributes
    ----------
    pairs : astropy Table, M rows
        ``index_<name>`` of either catalogue, in the order of the first; by position
        also ``separation`` (arcsec).
    counts : list of (str, int)
        Every step and how many entries or stars it counts.
    """

    pairs: Table
    counts: list[tuple[str, int]]


@dataclass(frozen=True)
class TrainingSet:
    """Common stars that pass every cut, and how they were found.

    Attributes
    ----------
    table : astropy Table
        A row per star, see `training_table`.
    counts : list of (str, int)
        Steps of the match.
    cuts : dict of str to list of Cut
        Of each survey in turn, applied to the matched stars.
    """

    table: Table
    counts: list[tuple[str, int]]
    cuts: dict[str, list[Cut]]

    def lines(self):
        """Return every step as lines of text."""
        lines = count_lines(self.counts)
        for name, report in self.cuts.items():
            lines += ["", f"cuts of {name}", *report_lines(report)]
        return [*lines, "", *count_lines([("training stars", len(self.table))])]


def count_lines(counts):
    """Return steps and their counts as lines of text in columns."""
    width = max(len(f"{count:,}") for _, count in counts)
    return [f"{count:>{width},}  {step}" for step, count in counts]


def match(a, b, by="star_id", radius=1.0, names=("a", "b")):
    """Find the stars that two catalogues have in common, one to one.

    Several entries of one star in a catalogue are reduced to that of the highest snr
    (a missing one counts as lowest; the first of equals) before anything is compared.

    Parameters
    ----------
    a, b : astropy Table
        With the columns snr and, by what is compared: star_id (text; blanks at the
        ends do not count, empty ones match nothing); gaia_source_id (whole numbers,
        0 = missing) and the same ``meta["gaia_release"]``; or ra, dec (degrees, NaN =
        missing), where known pmra (times cos dec), pmdec (mas/yr) and epoch (Julian
        year of the position).
    by : {"star_id", "gaia", "position"}
        Positions are compared at the epoch 2016.0, unmoved where motion or epoch are
        missing; two stars are the same if each is the nearest of the other.
    radius : float
        Largest separation by position, arcsec.
    names : (str, str)
        What the catalogues are called.

    Returns
    -------
    Matched

    Raises
    ------
    InputError
        A column is missing, identifiers cannot be compared, or nothing matches.
    """
    if names[0] == names[1]:
        raise InputError(f"both catalogues are called {names[0]!r}; names must differ")
    if by == "position":
        return _match_positions(a, b, radius, names)
    readers = {"star_id": star_ids, "gaia": gaia_ids}
    if by not in readers:
        raise InputError(
            f"by is {by!r}{suggest(by, (*readers, 'position'))}; expected "
            '"star_id", "gaia" or "position"'
        )
    if by == "gaia":
        _check_release(a, b, names)
    counts, stars, keys = [], [], []
    for table, name in zip((a, b), names, strict=True):
        ids, known = readers[by](table, name)
        counts.append((f"{name}: entries", len(table)))
        counts.append((f"{name}: without identifier", int((~known).sum())))
        rows = np.flatnonzero(known)
        best = rows[best_entries(ids[rows], get_numbers(table, "snr", name)[rows])]
        counts.append((f"{name}: other entries of a star", len(rows) - len(best)))
        counts.append((f"{name}: stars", len(best)))
        stars.append(best)
        keys.append(ids[best])
    _, first, second = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    if not len(first):
        raise InputError(_nothing_in_common(keys, names, by))
    index = {names[0]: stars[0][first], names[1]: stars[1][second]}
    return _matched(index, counts)


def star_ids(table, name):
    """Return star_id as bytes without blanks at the ends, and which are not empty."""
    values = get_column(table, "star_id", name)
    if values.dtype.kind not in "OSU":
        raise InputError(f"{name}: star_id has type {values.dtype}; expected text")
    known = ~np.ma.getmaskarray(values)
    values = np.ma.getdata(values)
    if values.dtype.kind == "O":
        known &= np.array([isinstance(value, (str, bytes)) for value in values], bool)
    if values.dtype.kind != "S":
        values = as_bytes(np.where(known, values, "").astype(str))
    ids = np.char.strip(np.where(known, values, b""))
    return ids, ids != b""


def _as_text(ids):
    return np.char.decode(ids, "ascii", "replace") if ids.dtype.kind == "S" else ids


def gaia_ids(table, name):
    """Return gaia_source_id as int64, and which are not missing."""
    values = get_column(table, "gaia_source_id", name)
    if values.dtype.kind not in "iu":
        raise InputError(
            f"{name}: gaia_source_id has type {values.dtype}; expected "
            "64-bit whole numbers (identifiers of 19 digits do not survive as floats)"
        )
    ids = np.ma.filled(values, 0).astype(np.int64)
    return ids, ids > 0


def best_entries(keys, snr):
    """Return the row of the highest S/N of every key, sorted.

    Parameters
    ----------
    keys : (N,) array of str or int
        Rows with the same key are one star.
    snr : (N,) float array
        NaN counts as lowest; the first of equals is taken.

    Returns
    -------
    (M,) int array
    """
    codes = np.unique(keys, return_inverse=True)[1]
    order = np.lexsort((-np.where(np.isnan(snr), -np.inf, snr), codes))
    first = np.r_[True, np.diff(codes[order]) > 0] if len(order) else []
    return np.sort(order[first])


def _match_positions(a, b, radius, names):
    """Match by position; see `match`."""
    if not (isinstance(radius, Real) and 0 < radius < np.inf):
        raise InputError(f"radius is {radius!r}; a positive number of arcsec is needed")
    counts, stars, places = [], [], []
    for table, name in zip((a, b), names, strict=True):
        rows = _single_positions(table, name, counts)
        if not len(rows):
            raise InputError(
                f"{name}: not one of {len(table):,} entries has a finite "
                "position (ra, dec in degrees)"
            )
        place, still = _at_epoch(table[rows], name)
        counts.append((f"{name}: not moved, no proper motion or epoch", still))
        kept = _best_of_places(table[rows], place, radius, name)
        counts.append(
            (f"{name}: unnamed entries at a better one", len(rows) - len(kept))
        )
        stars.append(rows[kept])
        places.append(place[kept])
    nearest, apart, _ = places[0].match_to_catalog_sky(places[1])
    back, _, _ = places[1].match_to_catalog_sky(places[0])
    apart = apart.to_value(u.arcsec)
    near = apart <= radius
    mutual = near & (back[nearest] == np.arange(len(nearest)))
    counts.append(
        (f"{names[0]}: within {radius:g} arcsec of the other", int(near.sum()))
    )
    if not mutual.any():
        examples = [place[:_SHOWN].to_string(precision=5) for place in places]
        raise InputError(
            f"no star of {names[0]} is within {radius:g} arcsec of one of {names[1]}; "
            f"the nearest are {apart.min():.3g} arcsec apart. {names[0]} has (ra dec) "
            f"{', '.join(examples[0])}; {names[1]} has {', '.join(examples[1])}. Check "
            "that both are in degrees, with right proper motions and epochs, and "
            "[match] radius"
        )
    index = {names[0]: stars[0][mutual], names[1]: stars[1][nearest[mutual]]}
    return _matched(index, counts, apart[mutual])


def _single_positions(table, name, counts):
    """Return one row for each star with a position, and count the others."""
    ra, dec = get_numbers(table, "ra", name), get_numbers(table, "dec", name)
    known = np.isfinite(ra) & np.isfinite(dec)
    if (abs(dec[known]) > 90).any():
        row = np.flatnonzero(known & (abs(dec) > 90))[0]
        raise InputError(
            f"{name}: dec is {dec[row]} in row {row}; expected degrees, "
            "-90 to 90, NaN where missing"
        )
    rows = np.flatnonzero(known)
    counts.append((f"{name}: entries", len(table)))
    counts.append((f"{name}: without position", len(table) - len(rows)))
    total = len(rows)
    snr = get_numbers(table, "snr", name)
    if "star_id" in table.colnames:
        ids, named = star_ids(table, name)
        without = rows[~named[rows]]
        rows = rows[named[rows]]
        rows = np.sort(np.r_[rows[best_entries(ids[rows], snr[rows])], without])
    # What has no identifier, or two of them, may still be one place.
    rows = rows[best_entries(ra[rows] + 1j * dec[rows], snr[rows])]
    counts.append((f"{name}: other entries of a star", total - len(rows)))
    counts.append((f"{name}: stars", len(rows)))
    return rows


def _best_of_places(table, place, radius, name):
    """Return the rows that remain when unnamed entries of one place are one star.

    Entries with a star_id are stars of their own, however near.
    """
    named = np.zeros(len(table), bool)
    if "star_id" in table.colnames:
        named = star_ids(table, name)[1]
    rows = np.flatnonzero(~named)
    if len(rows) < 2:
        return np.arange(len(table))
    first, second, _, _ = place[rows].search_around_sky(place[rows], radius * u.arcsec)
    near = coo_array((np.ones(len(first)), (first, second)), (len(rows), len(rows)))
    star = connected_components(near, directed=False)[1]
    best = rows[best_entries(star, get_numbers(table, "snr", name)[rows])]
    return np.sort(np.r_[np.flatnonzero(named), best])


def _at_epoch(table, name):
    """Return the positions at `EPOCH`, and of how many the motion is not known."""
    place = SkyCoord(
        ra=get_numbers(table, "ra", name),
        dec=get_numbers(table, "dec", name),
        unit="deg",
    )
    motion = ("pmra", "pmdec", "epoch")
    if not set(motion) <= set(table.colnames):
        return place, len(table)
    pmra, pmdec, epoch = (get_numbers(table, key, name) for key in motion)
    moves = np.isfinite(pmra) & np.isfinite(pmdec) & np.isfinite(epoch)
    still = len(table) - int(moves.sum())
    moving = SkyCoord(
        ra=place.ra,
        dec=place.dec,
        distance=_DISTANCE,
        pm_ra_cosdec=np.where(moves, pmra, 0.0) * u.mas / u.yr,
        pm_dec=np.where(moves, pmdec, 0.0) * u.mas / u.yr,
        obstime=_time(np.where(moves, epoch, EPOCH)),
    )
    moved = moving.apply_space_motion(new_obstime=_time(EPOCH))
    return SkyCoord(ra=moved.ra, dec=moved.dec), still


def _time(epoch):
    """Return Julian years as times; TDB, as any other scale is slow to convert."""
    return Time(epoch, format="jyear", scale="tdb")


def _matched(index, counts, separation=None):
    """Return the pairs in the order of the first catalogue."""
    first = next(iter(index.values()))
    order = np.argsort(first)
    pairs = Table({f"index_{name}": rows[order] for name, rows in index.items()})
    if separation is not None:
        pairs["separation"] = separation[order] * u.arcsec
    return Matched(pairs, [*counts, ("matched", len(pairs))])


def plain_release(table):
    """Return which release the Gaia identifiers of a table are of: "DR2", "" ..."""
    text = str(table.meta.get("gaia_release", "")).upper()
    text = text.replace("GAIA", "").strip(" _-")
    return "" if text == "UNKNOWN" else text


def _check_release(a, b, names):
    """Refuse Gaia identifiers that cannot be compared."""
    found = [str(table.meta.get("gaia_release", "")) for table in (a, b)]
    plain = [plain_release(table) for table in (a, b)]
    # EDR3 and DR3 have the same sources.
    same = {text.removeprefix("E") for text in plain}
    if len(same) > 1 or same == {""}:
        said = (
            f"{name} has {text or 'no release'}"
            for name, text in zip(names, found, strict=True)
        )
        raise InputError(
            'by is "gaia", but the Gaia identifiers are not known to be of one '
            f"release: {', '.join(said)} (meta['gaia_release']). An identifier may be "
            "another star in EDR3 than in DR2: name the columns of one release as "
            'columns.gaia_source_id, or match by "star_id" or "position"'
        )


def _nothing_in_common(keys, names, by):
    """Return what to say when no identifier is in both catalogues."""
    said = []
    for ids, name in zip(keys, names, strict=True):
        examples = ", ".join(repr(key) for key in _as_text(ids[:_SHOWN]).tolist())
        said.append(f"{name} has {len(ids):,} stars ({examples or 'no identifiers'})")
    text = f"no {by} is in both catalogues: {'; '.join(said)}. "
    if by == "gaia":
        return text + "Check that both columns hold Gaia source identifiers"
    return text + (
        "Check that they are written alike: APOGEE_ID has the prefix 2M that the "
        "star_id of GALAH lacks"
    )


def training_table(a, b, labels=LABELS, by="star_id", radius=1.0):
    """Make the table of stars with good labels on both scales (Nandakumar+2022, 3.2).

    The catalogues are matched; of the common stars, those remain whose labels are all
    finite and that pass the cuts of the first survey, then of the second.

    Parameters
    ----------
    a, b : Catalogue
        Tables as in `match`, with id and the labels; missing errors, mg_fe and rv
        become NaN.
    labels : sequence of str
    by, radius :
        As in `match`.

    Returns
    -------
    TrainingSet
        The columns of its table: star_id, ra, dec, gaia_source_id (of the first
        survey that has them); for each survey id, snr, every label, mg_fe and rv and
        the errors e_..., with ``_<survey>`` at the end.

    Raises
    ------
    InputError
        As `match` and `cuts.apply_cuts`; no star passes all cuts.
    """
    names = (a.name, b.name)
    for survey in (a, b):
        _check_values(survey, labels)
    found = match(a.table, b.table, by, radius, names)
    rows = {name: np.asarray(found.pairs[f"index_{name}"]) for name in names}
    reports = {}
    for survey in (a, b):
        passed, reports[survey.name] = apply_cuts(
            survey.table[rows[survey.name]],
            survey.cuts,
            survey.flags,
            labels,
            survey.where,
        )
        rows = {name: index[passed] for name, index in rows.items()}
    if not len(rows[a.name]):
        steps = "; ".join(
            f"{name}: {cut.column} {cut.condition} removed {cut.removed}"
            for name, report in reports.items()
            for cut in report
            if cut.removed
        )
        raise InputError(
            f"none of {len(found.pairs)} common stars passes all cuts: {steps}"
        )
    table = _common_columns(
        {survey.name: survey.table[rows[survey.name]] for survey in (a, b)}
    )
    for survey in (a, b):
        _add_survey(table, survey.table[rows[survey.name]], survey.name, labels)
    return TrainingSet(table, found.counts, reports)


def _check_values(survey, labels):
    """Refuse columns that are needed later and have no values, or not such ones."""
    if "gaia_source_id" in survey.table.colnames:
        gaia_ids(survey.table, survey.name)
    cuts = [survey.cuts] if isinstance(survey.cuts, dict) else survey.cuts
    columns = dict.fromkeys([*labels, *(column for cut in cuts for column in cut)])
    for column in columns:
        if column not in survey.table.colnames or not len(survey.table):
            continue  # the cut itself says so
        values = get_column(survey.table, column, survey.name)
        if values.dtype.kind not in "fiub":
            continue  # likewise
        # A whole number that is unknown is -1.
        known = values != -1 if values.dtype.kind in "iu" else np.isfinite(values)
        if not np.ma.filled(known, False).any():
            kind = "labels.names" if column in labels else survey.where
            raise InputError(
                f"{survey.name}: the catalogue has no value of {column}: leave it out "
                f"of {kind}, or name its column as columns.{column}"
            )


def _common_columns(matched):
    """Return a table with what does not depend on the survey.

    Each column is of the first of the matched tables {name: table} that has it; what
    none has was not needed to match, and is empty, NaN or 0.
    """
    table = Table()
    n_stars = len(next(iter(matched.values())))
    name, rows = _first_with("star_id", matched)
    none = np.full(n_stars, "", "U1")
    table["star_id"] = none if rows is None else _as_text(star_ids(rows, name)[0])
    for key in ("ra", "dec"):
        name, rows = _first_with(key, matched)
        none = np.full(n_stars, np.nan)
        table[key] = (none if rows is None else get_numbers(rows, key, name)) * u.deg
    name, rows = _first_with("gaia_source_id", matched)
    none = np.zeros(n_stars, np.int64)
    table["gaia_source_id"] = none if rows is None else gaia_ids(rows, name)[0]
    if rows is not None and "gaia_release" in rows.meta:
        table.meta["gaia_release"] = rows.meta["gaia_release"]
    return table


def _first_with(key, matched):
    """Return (name, table) of the first that has a column, or (None, None)."""
    return next(
        (one for one in matched.items() if key in one[1].colnames), (None, None)
    )


def _add_survey(table, rows, name, labels):
    """Add the columns of one survey."""
    table[f"id_{name}"] = get_column(rows, "id", name)
    table[f"snr_{name}"] = get_numbers(rows, "snr", name)
    for label in dict.fromkeys((*labels, "mg_fe", "rv")):
        for key in (label, f"e_{label}"):
            if key in rows.colnames:
                values, unit = get_numbers(rows, key, name), rows[key].unit
            else:
                values, unit = np.full(len(rows), np.nan), None
            table[f"{key}_{name}"] = Column(values, unit=unit)
