"""The catalogues of the two surveys' pipelines, as tables without spectra.

Labels are those of the survey's scale (scales.py) with errors that are stated
honestly: (label - scale) / error has mean 0 and width 1, and is normal but for
vmicro and vbroad, except for failures and for labels flagged as bad. Column names,
flags and missing values are the surveys'.

References
----------
https://www.sdss.org/dr16/irspec/catalogs/ (allStar),
https://www.galah-survey.org/dr3/the_catalogues/ (allstar, allspec) and
https://www.galah-survey.org/dr3/flags/ (flag_sp, flag_fe_h, flag_X_fe).
"""

import numpy as np
from astropy.table import Table

from ..surveys.bitmasks import ASPCAPFLAG, EXTRATARG, STARFLAG
from . import apogee_spectra, galah_spectra
from .gaia import dr2_source_id
from .instruments import dimmed
from .parameters import parameters
from .scales import LEAST, empirical_vmicro, label_errors, label_scales
from .sky import barycentric, galactic, positions_at

MISSING = -9999.0  # APOGEE's
SPEED_ERROR = 0.5  # largest error of vmicro and vbroad, over their scale
PERSISTENCE = ("PERSIST_HIGH", "PERSIST_MED", "PERSIST_LOW")
ASPCAP_LABELS = {
    "TEFF": "teff",
    "LOGG": "logg",
    "VMICRO": "vmicro",
    "M_H": "fe_h",
    "ALPHA_M": "alpha_fe",
}


# APOGEE


def observe_apogee(stars, rng):
    """Observe the stars that are in APOGEE.

    Parameters
    ----------
    stars : astropy Table
        From `galaxy.draw`.
    rng : numpy Generator

    Returns
    -------
    entries : astropy Table
        A row per star and field in the columns of DR16's allStar, -9999 where
        missing; besides, star: the row in ``stars``, and VMICRO_ERR, VBROAD_ERR (km/s),
        which allStar has in PARAM_COV only.
    visits : astropy Table
        entry (row in ``entries``), visit (1, 2, ...), jd (day), snr, vhelio, bc
        (km/s), fiber, flag (STARFLAG of the visit), bad_fibre, persistence (bool);
        by entry and time. The S/N of an entry is the root of the sum of squares.
    """
    values = parameters()["apogee"]
    rows = np.flatnonzero(stars["in_apogee"])
    twice = rows[rng.random(len(rows)) < values["duplicate_share"]]
    second = np.repeat([False, True], [len(rows), len(twice)])
    rows = np.concatenate([rows, twice])
    order = np.argsort(rows, kind="stable")
    rows, second = rows[order], second[order]
    of = stars[rows]
    scales = label_scales(of)
    visits = _visits(of, np.asarray(scales["rv_apogee_scale"]), rng)
    entries = _entry_names(of, second)
    entries.add_column(np.asarray(of["star"]), name="star", index=0)
    _add_visit_columns(entries, visits)
    entries["EXTRATARG"] = _duplicates(rows, np.asarray(entries["SNR"]))
    _add_aspcap_columns(entries, of, scales, rng)
    noise = values["magnitude_error"] * rng.standard_normal((3, len(of)))
    for name, each in zip("JHK", noise, strict=True):
        magnitude = np.asarray(of[f"{name.lower()}mag"])
        entries[name] = (magnitude + each).astype(np.float32)
    return entries, visits


def _entry_names(stars, second):
    """Return names and places of entries: stars of (E,) rows, in their second field."""
    values = parameters()["apogee"]
    size, south = values["field_size"], values["south_of"]
    ra, dec = positions_at(stars, parameters()["gaia"]["two_mass_epoch"])
    longitude, latitude = galactic(ra, dec)
    column = (np.floor(longitude / size) + second) % np.floor(360.0 / size)
    column, row = column * size, np.floor(latitude / size) * size
    field = [f"{each:03.0f}{up:+03.0f}" for each, up in zip(column, row, strict=True)]
    named = (np.asarray(stars["cluster"]) != "") & ~second
    field = np.where(named, np.strings.replace(stars["cluster"], " ", ""), field)
    found = Table({"TELESCOPE": np.where(dec < south, "lco25m", "apo25m")})
    found["FIELD"] = field
    found["APOGEE_ID"] = np.strings.add("2M", np.asarray(stars["tmass"]))
    found["RA"], found["DEC"] = ra, dec
    found["GLON"], found["GLAT"] = longitude, latitude
    found["GAIA_SOURCE_ID"] = dr2_source_id(stars["source_id"])
    found["GAIA_PMRA"], found["GAIA_PMDEC"] = stars["pmra"], stars["pmdec"]
    return found


def _visits(stars, rv, rng):
    """Return the visits to entries: stars of (E,) rows, rv (E,) in km/s."""
    values, n_entries = parameters()["apogee"], len(stars)
    share = np.array(values["visits"])
    number = 1 + rng.choice(len(share), n_entries, p=share / share.sum())
    entry = np.repeat(np.arange(n_entries), number)
    n_visits = len(entry)
    start = np.cumsum(number) - number
    found = Table({"entry": entry, "visit": np.arange(n_visits) - start[entry] + 1})
    jd = rng.uniform(*values["jd"], n_visits)
    jd = jd[np.lexsort((jd, entry))]
    level, at, scatter, most = values["visit_snr"]
    snr = level * 10.0 ** (-0.2 * (np.asarray(stars["hmag"])[entry] - at))
    snr = np.minimum(snr * np.exp(scatter * rng.standard_normal(n_visits)), most)
    bad_fibre = rng.random(n_visits) < values["bad_fibre"]
    snr = np.where(bad_fibre, _in_bad_fibres(snr, apogee_spectra), snr)
    found["jd"], found["snr"] = jd, snr
    error = values["visit_rv_error"] * np.hypot(0.5, 100.0 / snr)
    found["vhelio"] = rv[entry] + error * rng.standard_normal(n_visits)
    found["bc"] = barycentric(*(np.asarray(stars[x])[entry] for x in ("ra", "dec")), jd)
    found["fiber"] = rng.integers(1, 301, n_visits)
    found["bad_fibre"] = bad_fibre
    flag = np.zeros(n_visits, np.int64)
    for name, chance in values["visit_flags"].items():
        flag |= STARFLAG.value(name) * (rng.random(n_visits) < chance)
    flag |= STARFLAG.value("LOW_SNR") * (snr < values["low_snr"])
    flag |= STARFLAG.value("BAD_PIXELS") * bad_fibre
    broad = np.asarray(stars["vbroad"])[entry] > values["broad_lines"]
    flag |= STARFLAG.value("SUSPECT_BROAD_LINES") * broad
    found["flag"] = flag
    found["persistence"] = flag & STARFLAG.value(PERSISTENCE) != 0
    found["jd"].unit = "day"
    found["vhelio"].unit = found["bc"].unit = "km / s"
    return found


def _in_bad_fibres(snr, survey):
    """Return the S/N (S,) of the little light in bad fibres; survey: its spectra."""
    return dimmed(snr, survey.BAD_FIBRE_LEVEL, survey.READ_VARIANCE)


def _add_visit_columns(entries, visits):
    """Add NVISITS, SNR, STARFLAG and the velocities, from the visits."""
    entry, snr = np.asarray(visits["entry"]), np.asarray(visits["snr"])
    number = np.bincount(entry, minlength=len(entries))
    weight = np.bincount(entry, snr**2)
    velocity = np.asarray(visits["vhelio"])
    mean = np.bincount(entry, snr**2 * velocity) / weight
    off = np.where(number > 1, 1.0, 0.0)[entry] * (velocity - mean[entry])
    spread = np.bincount(entry, off**2) / np.maximum(number - 1, 1)
    error = parameters()["apogee"]["visit_rv_error"] * np.hypot(0.5, 100.0 / snr)
    entries["NVISITS"] = number.astype(np.int32)
    entries["SNR"] = np.sqrt(weight).astype(np.float32)
    start = np.cumsum(number) - number
    flags = np.bitwise_or.reduceat(np.asarray(visits["flag"]), start)
    entries["STARFLAG"] = flags.astype(np.int32)
    entries["VHELIO_AVG"] = mean.astype(np.float32)
    entries["VSCATTER"] = np.sqrt(spread).astype(np.float32)
    of_mean = np.sqrt(np.bincount(entry, (snr**2 * error) ** 2)) / weight
    entries["VERR"] = of_mean.astype(np.float32)


def _duplicates(rows, snr):
    """Return EXTRATARG (E,): DUPLICATE but for the best entry of a star (row)."""
    order = np.lexsort((-snr, rows))
    again = np.zeros(len(rows), bool)
    again[order[1:]] = rows[order[1:]] == rows[order[:-1]]
    return again.astype(np.int32) * EXTRATARG.value("DUPLICATE")


def _add_aspcap_columns(entries, stars, scales, rng):
    """Add the labels, their errors and ASPCAPFLAG to entries (E rows)."""
    values, n_entries = parameters()["apogee"], len(entries)
    snr, logg = np.asarray(entries["SNR"], float), np.asarray(stars["logg"])
    failed = _without_labels(stars, rng)
    flag = np.zeros(n_entries, np.int64)
    for column, label in ASPCAP_LABELS.items():
        value, error = _observe(label, "apogee", scales, logg, snr, rng)
        bad = rng.random(n_entries) < values["bad_share"]
        warned = bad | (rng.random(n_entries) < values["warn_share"])
        wrong = value + values["wrong_by"] * rng.choice([-1.0, 1.0], n_entries) * error
        value = np.where(bad, np.maximum(wrong, LEAST.get(label, -np.inf)), value)
        flag |= ASPCAPFLAG.value(f"{column}_BAD") * bad
        flag |= ASPCAPFLAG.value(f"{column}_WARN") * warned
        entries[column] = _or_missing(value, failed)
        entries[f"{column}_ERR"] = _or_missing(error, failed)
    # [Fe/H] is from iron lines, [M/H] from all: the same scale, another error.
    for column, label, missing in (
        ("FE_H", "fe_h", failed),
        ("MG_FE", "mg_fe", failed | (rng.random(n_entries) < values["missing_mg"])),
    ):
        value, error = _observe(label, "apogee", scales, logg, snr, rng)
        entries[column] = _or_missing(value, missing)
        entries[f"{column}_ERR"] = _or_missing(error, missing)
    value, error = _observe("vbroad", "apogee", scales, logg, snr, rng)
    entries["VBROAD_ERR"] = _or_missing(error, failed)
    giant = np.asarray(entries["LOGG"]) < parameters()["scales"]["class_logg"]
    entries["VSINI"] = _or_missing(value, failed | giant)
    entries["VMACRO"] = _or_missing(value, failed | ~giant)
    flag |= ASPCAPFLAG.value(["SN_WARN", "STAR_WARN"]) * (snr < values["snr_warn"])
    flag |= ASPCAPFLAG.value("SN_BAD") * (snr < values["snr_bad"])
    bad = failed | (flag & ASPCAPFLAG.value(["TEFF_BAD", "LOGG_BAD", "SN_BAD"]) != 0)
    flag |= ASPCAPFLAG.value("STAR_BAD") * bad
    entries["ASPCAPFLAG"] = flag.astype(np.int32)
    entries["ASPCAP_CLASS"] = _aspcap_class(stars)


def _without_labels(stars, rng):
    """Return which stars (S,) ASPCAP finds no labels for."""
    values = parameters()["apogee"]
    teff, chance = np.asarray(stars["teff"]), rng.random(len(stars))
    dwarf = np.asarray(stars["logg"]) > parameters()["scales"]["class_logg"]
    failed = (chance < values["failed"]) | (teff > values["hottest"])
    return failed | (dwarf & (teff < values["coolest_dwarf"]) & (chance < 0.5))


def _aspcap_class(stars):
    """Return the names (S,) of the grids that ASPCAP fits stars with."""
    teff, logg = np.asarray(stars["teff"]), np.asarray(stars["logg"])
    giant = logg < parameters()["scales"]["class_logg"]
    name = np.select(
        [teff > 8000, teff > 6000, teff > 4000], ["BA", "Fd_a", "GKd_a"], "Md_a"
    )
    return np.where(giant & (teff < 6000), np.where(teff > 4000, "GKg_a", "Mg_a"), name)


def _observe(label, survey, scales, logg, snr, rng):
    """Return a label and its error, (S,) each: scales of S rows, logg, snr (S,)."""
    error = label_errors(label, survey, logg, snr)
    scale = np.asarray(scales[f"{label}_{survey}_scale"])
    if label not in LEAST:
        return scale + error * rng.standard_normal(len(scale)), error
    # Not normal, as speeds are positive, but symmetric: so their mean is the scale.
    error = np.minimum(error, SPEED_ERROR * scale)
    shape = 0.5 * ((scale / error) ** 2 - 1.0)
    return 2.0 * scale * rng.beta(shape, shape), error


def _or_missing(value, missing):
    """Return float32 values (E,), -9999 where missing (E,)."""
    return np.where(missing, MISSING, value).astype(np.float32)


# GALAH


def observe_galah(stars, rng):
    """Observe the stars that are in GALAH, some of them several times.

    Parameters
    ----------
    stars : astropy Table
        From `galaxy.draw`.
    rng : numpy Generator

    Returns
    -------
    astropy Table
        A row per spectrum in the columns of DR3's allspec, NaN where missing, by
        sobject_id; besides, star: the row in ``stars``, missing_arm: the arm without
        a file (1-4, 0: none) and bad_fibre (bool).
    """
    values = parameters()["galah"]
    rows = np.flatnonzero(stars["in_galah"])
    share = np.array(values["repeats"])
    number = 1 + rng.choice(len(share), len(rows), p=share / share.sum())
    epoch = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    rows = np.repeat(rows, number)
    of = stars[rows]
    spectra = Table({"star": np.asarray(of["star"])})
    field = _galah_fields(of)
    spectra["sobject_id"] = _sobject_ids(field, epoch, rng)
    spectra["star_id"] = np.asarray(of["tmass"])
    spectra["source_id"] = dr2_source_id(of["source_id"])
    spectra["dr3_source_id"] = np.asarray(of["source_id"])
    bright = np.asarray(of["gmag"]) < 12.0
    spectra["survey_name"] = np.where(bright, "galah_bright", "galah_main")
    spectra["field_id"] = field
    _add_galah_quality(spectra, of, rng)
    _add_sme_columns(spectra, of, rng)
    ra, dec = positions_at(of, parameters()["gaia"]["dr2_epoch"])
    spectra["ra"], spectra["dec"] = ra, dec
    spectra["pmra"], spectra["pmdec"] = of["pmra"], of["pmdec"]
    for name, unit in GALAH_UNITS.items():
        spectra[name].unit = unit
    spectra.sort("sobject_id")
    return spectra


GALAH_UNITS = dict.fromkeys(("teff", "e_teff"), "K")
GALAH_UNITS |= dict.fromkeys(("vmic", "vbroad", "e_vbroad"), "km / s")
GALAH_UNITS |= dict.fromkeys(("rv_galah", "e_rv_galah"), "km / s")
GALAH_UNITS |= {"ra": "deg", "dec": "deg", "pmra": "mas / yr", "pmdec": "mas / yr"}


def galah_allstar(spectra):
    """Return the rows of the best spectrum of each star, as DR3's allstar has them.

    Parameters
    ----------
    spectra : astropy Table
        From `observe_galah`.
    """
    return spectra[np.asarray(spectra["flag_repeat"]) == 0]


def _galah_fields(stars):
    """Return the numbers (S,) of the fields that stars lie in."""
    size = parameters()["galah"]["field_size"]
    row = np.floor((np.asarray(stars["dec"]) + 90.0) / size)
    width = size / np.cos(np.radians(np.clip((row + 0.5) * size - 90.0, -88.0, 88.0)))
    column = np.floor(np.asarray(stars["ra"]) / width)
    return (row * 180 + column).astype(np.int64)


def _sobject_ids(field, epoch, rng):
    """Return yymmddRRRR01FFF (S,): night, run and fibre of spectra, all distinct.

    Stars of one field (S,) and epoch (S,) share runs of up to 392 stars.
    """
    values = parameters()["galah"]
    order = np.lexsort((rng.random(len(field)), epoch, field))
    key = (field * 8 + epoch)[order]
    start = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    place = np.arange(len(key)) - np.repeat(start, np.diff(np.append(start, len(key))))
    run = np.cumsum((place % values["fibres"]) == 0) - 1
    night, last = (np.datetime64(day) for day in values["nights"])
    nights = np.arange(night, last)
    runs_per_night = max(50, -(-2 * (run[-1] + 1) // len(nights)))
    drawn = rng.choice(len(nights) * runs_per_night, run[-1] + 1, replace=False)
    day = nights[drawn // runs_per_night].astype(str)
    date = np.array([int(each[2:].replace("-", "")) for each in day])
    # 7 shares no factor with 400: neighbours in the list get fibres far apart.
    fibre = (place % values["fibres"]) * 7 % 400 + 1
    found = np.empty(len(key), np.int64)
    numbers = date[run] * 10**9 + (drawn[run] % runs_per_night + 10) * 10**5
    found[order] = numbers + 1000 + fibre
    return found


def _add_galah_quality(spectra, stars, rng):
    """Add S/N, flag_repeat, missing_arm, bad_fibre, chi2_sp and flag_sp (S,)."""
    values, n_spectra = parameters()["galah"], len(stars)
    level, at, scatter, most = values["snr"]
    snr = level * 10.0 ** (-0.2 * (np.asarray(stars["gmag"]) - at))
    snr = np.minimum(snr * np.exp(scatter * rng.standard_normal(n_spectra)), most)
    bad_fibre = rng.random(n_spectra) < values["bad_fibre"]
    snr = np.where(bad_fibre, _in_bad_fibres(snr, galah_spectra), snr)
    missing = rng.random(n_spectra) < values["missing_arm"]
    missing_arm = np.where(missing, rng.integers(1, 5, n_spectra), 0)
    for arm, ratio in enumerate(values["arm_snr"], start=1):
        own = snr * ratio * np.exp(0.05 * rng.standard_normal(n_spectra) * (arm != 2))
        spectra[f"snr_c{arm}_iraf"] = np.where(missing_arm == arm, np.nan, own)
    spectra["missing_arm"] = missing_arm
    spectra["bad_fibre"] = bad_fibre
    whole = np.where(missing_arm > 0, 0.0, snr)
    spectra["flag_repeat"] = (_duplicates(np.asarray(spectra["star"]), whole) > 0) * 1
    median, scatter, doubling = values["chi2"]
    chi2 = median * np.exp(scatter * rng.standard_normal(n_spectra))
    spectra["chi2_sp"] = chi2 * (1.0 + (snr / doubling) ** 2)
    spectra["flag_sp"] = _flag_sp(spectra, stars, snr, rng)


def _flag_sp(spectra, stars, snr, rng):
    """Return flag_sp (S,) of spectra with their stars and snr (S,)."""
    values, n_spectra = parameters()["galah"], len(stars)
    teff, dice = np.asarray(stars["teff"]), rng.random((4, n_spectra))
    dwarf = np.asarray(stars["logg"]) > parameters()["scales"]["class_logg"]
    flag = np.zeros(n_spectra, np.int64)
    for bit, chance in values["flags"].items():
        flag |= int(bit) * (rng.random(n_spectra) < chance)
    flag |= 2 * (np.asarray(stars["vbroad"]) > values["broad"])
    flag |= 4 * (snr < values["low_snr"])
    reduction = np.asarray(spectra["bad_fibre"]) & (dice[0] < 0.7)
    reduction |= (np.asarray(spectra["missing_arm"]) > 0) & (dice[1] < 0.5)
    flag |= 8 * reduction
    flag |= 256 * (dwarf & (teff < values["coolest_dwarf"]) & (dice[2] < 0.5))
    flag |= 512 * (dice[3] < values["unfinished"])
    return flag | 1024 * (teff > values["hottest"])


def _add_sme_columns(spectra, stars, rng):
    """Add the labels of GALAH's pipeline with errors and flags to spectra (S rows)."""
    values, n_spectra = parameters()["galah"], len(stars)
    scales, logg = label_scales(stars), np.asarray(stars["logg"])
    arms = np.array([spectra[f"snr_c{arm}_iraf"] for arm in (2, 3)])
    arms[1] /= values["arm_snr"][2]
    snr = np.where(np.isfinite(arms[0]), arms[0], arms[1])
    failed = np.asarray(spectra["flag_sp"]) & 512 != 0
    for column, label in SME_LABELS.items():
        value, error = _observe(label, "galah", scales, logg, snr, rng)
        missing = failed
        if f"flag_{column}" in values:
            chance = rng.random(n_spectra)
            missing = failed | (chance < 0.5 * values[f"flag_{column}"])
            flag = np.where(chance < values[f"flag_{column}"], 1, 0)
            unknown = 16 if column == "fe_h" else 32
            spectra[f"flag_{column}"] = np.where(missing, unknown, flag)
        spectra[column] = np.where(missing, np.nan, value).astype(np.float32)
        spectra[f"e_{column}"] = np.where(missing, np.nan, error)
    relation = empirical_vmicro(spectra["teff"], spectra["logg"])
    spectra["vmic"] = np.asarray(relation).astype(np.float32)


SME_LABELS = {
    "teff": "teff",
    "logg": "logg",
    "fe_h": "fe_h",
    "alpha_fe": "alpha_fe",
    "Mg_fe": "mg_fe",
    "vbroad": "vbroad",
    "rv_galah": "rv",
}
