"""Rows of a combined catalogue: one scale, all surveys (Nandakumar+2022, table A1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Column as TableColumn
from astropy.table import Table

from . import labels
from .cuts import get_column, get_numbers
from .distance import DISTANCE_LABELS, distance_limit, training_distance
from .errors import InputError
from .repeats import final_errors
from .result import STAR_STATUS
from .surveys import apogee

# Bits of flag_fastcannon; the first four are those of every inference.
FLAGS = STAR_STATUS | {
    "SEVERAL_MINIMA": 16,  # another minimum of chi2 lies within 9 of the lowest
    "CHI2_OUTLIER": 32,  # r_chi_sq is above the limit of its survey and scale
    "NOT_CATALOGUED": 64,  # the survey's catalogue has no such spectrum
    "FORMAL_ERRORS": 128,  # no repeats: the error of a label is the formal one
}
_UNUSABLE = sum(
    FLAGS[name] for name in ("NO_DATA", "NOT_CONVERGED", "SINGULAR", "CHI2_OUTLIER")
)

GALAH, APOGEE = 0, 1  # flag_id
MUST_BE_ZERO = ("flag_Cannon_dist", "flag_survey", "flag_snr")  # of a clean row
SURVEY_BITS = ("flag_spectra", "flag_sp_aspcap")  # of which some must be clear
# What `clean` reads.
FLAG_COLUMNS = ("flag_id", *MUST_BE_ZERO, *SURVEY_BITS, "flag_fastcannon")
ID_LENGTH = 64  # characters of survey_id; APOGEE's longest ids have about 45

_STARS, _LABELS = "the stars", "the label table"


class Column(NamedTuple):
    """A column: name, NumPy type, unit ("" for none), UCD1+ and description."""

    name: str
    dtype: str
    unit: str
    ucd: str
    description: str


_HEAD = (
    Column("survey_id", f"U{ID_LENGTH}", "", "meta.id;meta.main", "Survey's unique id"),
    Column("dr2_source_id", "i8", "", "meta.id.cross", "Gaia DR2 source id; 0: none"),
    Column("dr3_source_id", "i8", "", "meta.id.cross", "Gaia DR3 source id; 0: none"),
    Column("ra", "f8", "deg", "pos.eq.ra;meta.main", "Right ascension"),
    Column("dec", "f8", "deg", "pos.eq.dec;meta.main", "Declination"),
)
_BITS = ", ".join(f"{value} {name}" for name, value in FLAGS.items())
_QUALITY = (
    Column(
        "r_chi_sq", "f4", "", "stat.fit.chi2", "Cannon chi2 / (pixels - labels - 1)"
    ),
    Column("snrCann", "f4", "", "stat.snr", "Cannon: median of flux / error per pixel"),
    Column("Cannon_distance", "f4", "", "stat.value", "Distance to the training set"),
    Column(
        "flag_id",
        "i2",
        "",
        "meta.code.class",
        f"{GALAH}: GALAH, {APOGEE}: APOGEE spectrum",
    ),
    Column(
        *("flag_Cannon_dist", "i2", "", "meta.code.qual"),
        "1: Cannon_distance is large or unknown",
    ),
    Column(
        *("flag_spectra", "i8", "", "meta.code.qual"),
        "APOGEE: bits of STARFLAG; GALAH: 1: bad spectrum",
    ),
    Column(
        *("flag_sp_aspcap", "i8", "", "meta.code.qual"),
        "Survey's flag: ASPCAPFLAG of APOGEE, flag_sp of GALAH",
    ),
    Column("flag_survey", "i2", "", "meta.code.qual", "1: invalid survey labels"),
    Column("flag_training", "i2", "", "meta.code.member", "0: in the training set"),
    Column("flag_snr", "i2", "", "meta.code.qual", "1: low signal-to-noise ratio"),
    Column("flag_fastcannon", "i4", "", "meta.code.qual", f"Sum of: {_BITS}"),
)
_TAIL = (
    Column("snr", "f4", "", "stat.snr", "Survey's signal-to-noise ratio per pixel"),
    Column("r_est", "f4", "pc", "pos.distance", "Distance (Bailer-Jones+2021)"),
    Column("r_lo", "f4", "pc", "pos.distance;stat.min", "Lower bound of r_est"),
    Column("r_hi", "f4", "pc", "pos.distance;stat.max", "Upper bound of r_est"),
    Column("parallax", "f8", "mas", "pos.parallax.trig", "Gaia parallax"),
    Column(
        *("e_parallax", "f4", "mas", "stat.error;pos.parallax.trig"),
        "Error of parallax",
    ),
)


class Scale(NamedTuple):
    """What turns the labels of one case (survey on scale) into catalogue rows.

    Attributes
    ----------
    label_names : sequence of K str
        Labels of the model.
    training : (N, L) array, label units
        Labels of the training stars: those of DISTANCE_LABELS that the model has, in
        that order.
    rms : (L,) array, label units
        Their rms in the cross-validation.
    factors : (K,) array
        Of the formal errors; NaN where there are no repeats.
    decays : list of K
        Precision against S/N of each label, or None.
    r_chi2_limit : float
        Spectra above it get CHI2_OUTLIER.
    """

    label_names: Sequence[str]
    training: np.ndarray
    rms: np.ndarray
    factors: np.ndarray
    decays: list
    r_chi2_limit: float


def catalogue_name(label):
    """Return the name of a label in catalogues: without underscores."""
    return label.replace("_", "")


def columns(label_names):
    """Return the columns of a catalogue (Nandakumar+2022, table A1).

    Parameters
    ----------
    label_names : sequence of str
        Labels of the model, in the order wanted.

    Returns
    -------
    list of Column

    Raises
    ------
    InputError
        Two columns would have one name.
    """
    cannon, survey = [], []
    for label in label_names:
        cannon += _label_columns(label, "Cann", ";meta.main", "Cannon")
        survey += _label_columns(label, "", "", "Survey")
    found = [*_HEAD, *cannon, *_QUALITY, *survey, *_TAIL]
    names = [column.name for column in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"the labels {', '.join(label_names)} give the catalogue two columns "
            f"{', '.join(twice)}; rename a label (names lose their underscores)"
        )
    return found


def _label_columns(label, end, main, whose):
    """Return the columns of a label's value and error."""
    name, known = catalogue_name(label) + end, labels.describe(label)
    unit, ucd = known.unit, known.ucd
    return [
        Column(name, "f4", unit, ucd + main, f"{whose}: {known.words}"),
        Column(f"e_{name}", "f4", unit, f"stat.error;{ucd}", f"Error of {name}"),
    ]


COLUMNS = columns(labels.LABELS)


def catalogue_rows(stars, labels_table, scale):
    """Return the catalogue rows of one part of a survey on one scale.

    `final_errors` (section 3.7) take the S/N of the spectrum, as the precision was
    found, not the catalogue's. Where the descent did not converge or a label is NaN,
    Cannon_distance (eq. 5) is NaN and its flag is 1.

    Parameters
    ----------
    stars : astropy Table, N rows
        ``row`` (in the label table), ``catalogued``, ``snr_spectrum`` and, under their
        catalogue names, all columns that the inference does not give; units as in
        `columns`.
    labels_table : astropy Table, S rows
        Of the part's inference.
    scale : Scale

    Returns
    -------
    astropy Table
        N rows, exactly ``columns(scale.label_names)``; UCDs are in the columns' meta.

    Raises
    ------
    InputError
        A column is missing or its values do not fit, a row is not in the label table,
        or the model has none of DISTANCE_LABELS.
    """
    rows = _rows(stars, len(labels_table))
    made = _inferred(stars, labels_table, rows, scale)
    table, wanted = Table(), columns(scale.label_names)
    for column in wanted:
        source = made if column.name in made.colnames else stars
        table[column.name] = _converted(source, column)
    return dress(table, wanted)


def dress(table, described):
    """Give the columns of a table their units, UCDs and descriptions; return it.

    Parameters
    ----------
    table : astropy Table
        Changed in place.
    described : sequence of Column
    """
    for column in described:
        found = table[column.name]
        found.unit = column.unit or None
        found.description = column.description
        found.meta["ucd"] = column.ucd
    return table


def clean(table, sp_bits=None, spectra_bits=None):
    """Return which rows of a catalogue are clean (Nandakumar+2022, 4.1 and fig. 15).

    Clean: flag_Cannon_dist, flag_survey and flag_snr are 0, the selected bits of
    flag_sp_aspcap and flag_spectra are clear, and of flag_fastcannon NO_DATA,
    NOT_CONVERGED, SINGULAR and CHI2_OUTLIER.

    Parameters
    ----------
    table : astropy Table or dict of name to (N,) array
        A catalogue, or its columns of flags.
    sp_bits, spectra_bits : dict of int to int, optional
        For a ``flag_id`` the bits that must be clear; all bits for those not named.
        Default: APOGEE's as in its cuts (section 3.2).

    Returns
    -------
    (N,) bool array
    """
    survey = np.asarray(table["flag_id"])
    good = (np.asarray(table["flag_fastcannon"]) & _UNUSABLE) == 0
    for name in MUST_BE_ZERO:
        good &= np.asarray(table[name]) == 0
    sp_bits = _apogee_bits("ASPCAPFLAG") if sp_bits is None else sp_bits
    spectra_bits = _apogee_bits("STARFLAG") if spectra_bits is None else spectra_bits
    for name, bits in (("flag_sp_aspcap", sp_bits), ("flag_spectra", spectra_bits)):
        flags = np.asarray(table[name]).astype(np.int64)
        selected = np.full(len(flags), -1)  # every bit
        for number, value in bits.items():
            selected[survey == number] = value
        good &= (flags & selected) == 0
    return good


def _apogee_bits(name):
    """Return {APOGEE: bits of a flag that its cuts remove}."""
    return {APOGEE: apogee.FLAGS[name].value(apogee.CUTS[name]["without"])}


def _rows(stars, count):
    """Return the rows of stars in the label table, (N,) int."""
    rows = np.ma.getdata(get_column(stars, "row", _STARS))
    if rows.dtype.kind not in "iu":
        raise InputError(f"{_STARS}: row has type {rows.dtype}; whole numbers expected")
    if rows.size and not (0 <= rows.min() and rows.max() < count):
        raise InputError(
            f"{_STARS}: rows {rows.min()} to {rows.max()} of the label table are asked "
            f"for; it has rows 0 to {count - 1}: is it another part's?"
        )
    return rows


def _inferred(stars, labels_table, rows, scale):
    """Return the columns that come from the inference, N rows."""

    def numbers(name):
        return get_numbers(labels_table, name, _LABELS)[rows]

    names = scale.label_names
    values = np.column_stack([numbers(name) for name in names])
    formal = np.column_stack([numbers(f"e_{name}") for name in names])
    snr = get_numbers(stars, "snr_spectrum", _STARS)
    errors = final_errors(formal, snr, scale.factors, scale.decays)
    made = Table()
    for k, name in enumerate(names):
        made[f"{catalogue_name(name)}Cann"] = values[:, k]
        made[f"e_{catalogue_name(name)}Cann"] = errors[:, k]
    r_chi2 = numbers("r_chi2")
    made["r_chi_sq"], made["snrCann"] = r_chi2, numbers("snr")
    status = numbers("status").astype(np.int64)
    distance, limit = _distances(values, scale)
    distance[(status & FLAGS["NOT_CONVERGED"]) > 0] = np.nan
    made["Cannon_distance"] = distance
    made["flag_Cannon_dist"] = np.where(distance <= limit, 0, 1)
    catalogued = np.asarray(get_column(stars, "catalogued", _STARS), dtype=bool)
    formal_only = not np.isfinite(scale.factors).all()
    made["flag_fastcannon"] = (
        status
        | FLAGS["SEVERAL_MINIMA"] * (numbers("minima") > 1)
        | FLAGS["CHI2_OUTLIER"] * (r_chi2 > scale.r_chi2_limit)
        | FLAGS["NOT_CATALOGUED"] * ~catalogued
        | FLAGS["FORMAL_ERRORS"] * formal_only
    )
    return made


def _distances(values, scale):
    """Return the distance to the training set (N,) and its limit."""
    names = list(scale.label_names)
    chosen = [names.index(name) for name in DISTANCE_LABELS if name in names]
    if not chosen:
        raise InputError(
            f"the model's labels are {', '.join(names)}; the distance to the training "
            f"set needs at least one of {', '.join(DISTANCE_LABELS)}"
        )
    found = training_distance(values[:, chosen], scale.training, scale.rms)
    return found, distance_limit(len(chosen))


def _converted(source, column):
    """Return a column in its exact type, without a mask."""
    values = get_column(source, column.name, _STARS)
    kind = np.dtype(column.dtype).kind
    allowed = {"U": "US", "i": "iub", "f": "fiu"}[kind]
    if values.dtype.kind not in allowed or values.ndim != 1:
        raise InputError(
            f"{_STARS}: column {column.name} has type {values.dtype} and shape "
            f"{values.shape}; expected one {np.dtype(column.dtype)} per row"
        )
    if kind == "f":
        # A chi2 beyond float32 is as infinite as it looks.
        with np.errstate(over="ignore"):
            return TableColumn(np.ma.filled(values.astype(column.dtype), np.nan))
    if np.ma.is_masked(values):
        raise InputError(
            f"{_STARS}: column {column.name} has masked rows; fill them (a missing "
            "Gaia id is 0)"
        )
    values = np.ma.getdata(values)
    exact = values.astype(column.dtype)
    if kind == "U":
        widest = int(np.char.str_len(values).max(initial=0))
        fits = widest <= ID_LENGTH and exact.view(np.uint32).max(initial=0) < 128
    else:
        fits = bool((exact == values).all())
    if not fits:
        raise InputError(
            f"{_STARS}: column {column.name} has values that do not fit "
            f"{np.dtype(column.dtype)} (text: ASCII of at most {ID_LENGTH} characters)"
        )
    return TableColumn(exact)
