"""Star clusters: their members in the catalogues, with the labels of all scales.

Members of a cluster were born together: their metallicities should be one value and
their temperatures and gravities one line. Nandakumar+2022, section 4.1.
"""

import numpy as np
from astropy.table import Table

from .catalogue import APOGEE, FLAG_COLUMNS, GALAH, catalogue_name, clean
from .cluster_files import IDS
from .errors import InputError
from .packed import as_bytes

THRESHOLD = 0.5  # members have a larger probability (Nandakumar+2022, 4.1.1)
# S/N above which spectra of clusters count: those of the training set (4.1.1), lower
# than flag_snr for GALAH. Surveys that are not named here keep flag_snr.
SNR_LIMITS = {GALAH: 25.0, APOGEE: 80.0}
PIPELINES = "pipelines"  # beside the scales: the surveys' own labels
OPEN, GLOBULAR = "open", "globular"


def members(catalogue, table, threshold=THRESHOLD):
    """Return the rows of a catalogue that belong to each cluster.

    A star that is listed with two clusters belongs to both; a star of both surveys
    has a row for each.

    Parameters
    ----------
    catalogue : dict of str to (N,) array, or astropy Table
        With the ids that ``table`` has.
    table : astropy Table
        As `read_members` returns.
    threshold : float
        Members have a larger probability (Nandakumar+2022, 4.1.1).

    Returns
    -------
    dict of str to (M,) int array
        For each cluster with such members, in the order of the table: increasing rows,
        each once; none where no member is in the catalogue.
    """
    table = table[np.asarray(table["probability"]) > threshold]
    wanted, rows = [], []
    for name in IDS:
        if name in table.colnames:
            found = _same(_key(table[name], name), _key(catalogue[name], name))
            wanted.append(found[0])
            rows.append(found[1])
    cluster = np.asarray(table["cluster"])[np.concatenate(wanted)]
    row = np.concatenate(rows)
    names = dict.fromkeys(np.asarray(table["cluster"]).tolist())
    return {name: np.unique(row[cluster == name]) for name in names}


def _key(values, name):
    """Return ids as int64 or bytes."""
    values = getattr(values, "value", values)
    if name == "survey_id":
        return as_bytes(np.ma.filled(np.ma.asarray(values), ""))
    return np.ma.filled(np.ma.asarray(values), 0).astype(np.int64)


def _same(a, b):
    """Return the places in a and b (P,), (P,) of all pairs of equal ids that are."""
    order = np.argsort(b, kind="stable")
    ordered = b[order]
    first = np.searchsorted(ordered, a, side="left")
    count = np.searchsorted(ordered, a, side="right") - first
    count[a == np.zeros(1, a.dtype)] = 0  # no id
    which = np.repeat(np.arange(len(a)), count)
    step = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    return which, order[first[which] + step]


def clean_members(catalogue, snr_limits=None):
    """Return which rows of a catalogue are clean enough for clusters.

    As `catalogue.clean`, but S/N as in the training set (Nandakumar+2022, 4.1.1).

    Parameters
    ----------
    catalogue : dict of str to (N,) array, or astropy Table
        ``snr`` and the flags.
    snr_limits : dict of int to float, optional
        For a ``flag_id`` the S/N per pixel to exceed; flag_snr for those not named.
        Default: SNR_LIMITS.

    Returns
    -------
    (N,) bool array
    """
    limits = SNR_LIMITS if snr_limits is None else snr_limits
    flags = {name: np.asarray(catalogue[name]) for name in FLAG_COLUMNS}
    low, snr = flags["flag_snr"] != 0, np.asarray(catalogue["snr"], dtype=float)
    for number, limit in limits.items():
        low = np.where(flags["flag_id"] == number, ~(snr > limit), low)
    return clean(flags | {"flag_snr": low})


def catalogue_columns(names, ids):
    """Return the columns of a catalogue that clusters need.

    Parameters
    ----------
    names : sequence of str
        Labels: teff, logg and those to be compared.
    ids : sequence of str
        Columns of a table of members; those that are ids are added.
    """
    found = [
        "survey_id",
        *(name for name in IDS[:2] if name in ids),
        *FLAG_COLUMNS,
        "snr",
    ]
    for name in names:
        short = catalogue_name(name)
        found += [f"{short}Cann", f"e_{short}Cann", short]
    return found


def cluster_stars(catalogues, table, surveys, names, threshold=THRESHOLD):
    """Return the clean members of clusters with their labels on all scales.

    Only stars that are clean on every scale are taken, so that each case has the same
    (Nandakumar+2022, figs 10 to 14).

    Parameters
    ----------
    catalogues : dict of str to (dict of str to (N,) array, or astropy Table)
        For each scale the columns `catalogue_columns`, of the same rows.
    table : astropy Table
        As `read_members` returns.
    surveys : dict of str to int
        Names of the surveys in their order and their ``flag_id``.
    names : sequence of str
        Labels: teff, logg and those to be compared.
    threshold : float
        Of the probability of membership.

    Returns
    -------
    astropy Table
        A row for each member, in the order of the clusters: cluster, survey,
        survey_id, snr and for each label ``<label>_pipelines`` (the survey's value),
        ``<label>_<scale>`` and ``e_<label>_<scale>``, in label units. Its ``meta`` has
        surveys, scales and names.

    Raises
    ------
    InputError
        There is no catalogue, or they are of different stars.
    """
    if not catalogues:
        raise InputError("there is no catalogue; cluster_stars needs one or more")
    one = next(iter(catalogues.values()))
    found = members(one, table, threshold)
    rows = np.concatenate([np.empty(0, int), *found.values()])
    cluster = np.repeat(list(found), [len(own) for own in found.values()])
    parts = {scale: _taken(columns, rows) for scale, columns in catalogues.items()}
    ids = [as_bytes(part["survey_id"]) for part in parts.values()]
    sizes = {len(columns["survey_id"]) for columns in catalogues.values()}
    if len(sizes) > 1 or any(not np.array_equal(ids[0], other) for other in ids):
        raise InputError(
            f"the catalogues of {', '.join(catalogues)} do not have the same stars in "
            "the same rows; give those of one run"
        )
    good = np.logical_and.reduce([clean_members(part) for part in parts.values()])
    number = parts[next(iter(parts))]["flag_id"]
    good &= np.isin(number, list(surveys.values()))
    first = next(iter(parts.values()))
    stars = Table({"cluster": np.asarray(cluster, dtype=str)})
    stars["survey"] = _survey_names(number, surveys)
    stars["survey_id"] = np.char.decode(ids[0], "ascii")
    stars["snr"] = np.asarray(first["snr"], dtype=float)
    for name in names:
        short = catalogue_name(name)
        stars[f"{name}_{PIPELINES}"] = first[short]
        for scale, part in parts.items():
            stars[f"{name}_{scale}"] = part[f"{short}Cann"]
            stars[f"e_{name}_{scale}"] = part[f"e_{short}Cann"]
    stars = stars[good]
    stars.meta = {
        "surveys": list(surveys),
        "scales": list(catalogues),
        "names": list(names),
    }
    return stars


def _taken(columns, rows):
    """Return rows of a catalogue as a dict, masked numbers as NaN or 0."""
    names = getattr(columns, "colnames", None) or list(columns)
    found = {}
    for name in names:
        values = getattr(columns[name], "value", columns[name])
        values = np.ma.asarray(values[rows])
        kind = values.dtype.kind
        if kind == "f":
            values = values.astype(np.float64)
        empty = {"f": np.nan, "i": 0, "u": 0}.get(kind, "")
        found[name] = np.ma.filled(values, empty)
    return found


def _survey_names(number, surveys):
    """Return the names of the surveys of flag_id (N,); "" where there is none."""
    found = np.full(len(number), "", dtype=f"U{max(map(len, surveys), default=1)}")
    for name, own in surveys.items():
        found[number == own] = name
    return found


def sources(stars):
    """Return where the labels of `cluster_stars` are from: pipelines and scales."""
    return [PIPELINES, *stars.meta["scales"]]


def ordered(stars, literature=None):
    """Return the clusters that have stars: open, then globular, then others.

    Open clusters by age, globular ones by falling metallicity (Nandakumar+2022, figs
    10 and 11); those of which it is not known come last, by name.

    Parameters
    ----------
    stars : astropy Table
        As `cluster_stars` returns.
    literature : astropy Table, optional
        As `read_literature` returns.

    Returns
    -------
    list of str
    """
    rank = {OPEN: 0, GLOBULAR: 1}

    def key(cluster):
        known = known_of(literature, cluster)
        value = -known["fe_h"] if known["kind"] == GLOBULAR else known["age"]
        unknown = not np.isfinite(value)
        return rank.get(known["kind"], 2), unknown, 0.0 if unknown else value, cluster

    return sorted(set(np.asarray(stars["cluster"]).tolist()), key=key)


def known_of(literature, cluster):
    """Return what is known of a cluster.

    Parameters
    ----------
    literature : astropy Table or None
        As `read_literature` returns.
    cluster : str

    Returns
    -------
    dict
        kind, reference ("" where not known), age (Gyr), fe_h, e_fe_h, alpha_fe,
        e_alpha_fe (dex; NaN where not known).
    """
    known = dict.fromkeys(("kind", "reference"), "") | dict.fromkeys(
        ("age", "fe_h", "e_fe_h", "alpha_fe", "e_alpha_fe"), np.nan
    )
    if literature is not None:
        rows = np.flatnonzero(np.asarray(literature["cluster"]) == cluster)
        if len(rows):
            row = literature[int(rows[0])]
            known = {name: row[name] for name in known}
            known["kind"] = str(known["kind"]).lower()
    return known
