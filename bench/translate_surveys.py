"""The translator on simulated surveys, where the truth is known.

GALAH's labels are translated to APOGEE's scale, as by Thomas+2024: how far they are
from the truth, whether a velocity's offset and trend come back, and what the two
catalogues on one scale say of an asymmetry that the simulated Galaxy has or has not.
"""

from typing import NamedTuple

import numpy as np
from astropy.table import Table

from fastcannon.figures.combined import asymmetry_slope
from fastcannon.figures.galaxy import asymmetry_table, positions
from fastcannon.simulator import gaia
from fastcannon.spread import robust_sigma
from fastcannon.translate import Translator

from .results import at_least, at_most, only
from .simulated_catalogues import LABELS, make_catalogues

INPUTS = tuple(f"{name}_galah" for name in LABELS)
OUTPUTS = tuple(f"{name}_apogee" for name in LABELS)
PAIRS = 16 | 4  # flags of empty bins of pairs; in few training stars many are empty

LEAST = 400  # stars in a bin, of training and of test
TEFF_EDGES = np.arange(3500.0, 7501.0, 250.0)
LOGG_EDGES = np.arange(0.0, 5.01, 0.5)
MEDIAN_ERROR = np.sqrt(np.pi / 2)  # of a median over that of a mean, normal errors

# Of GALAH's velocity: km/s at 5000 K and [Fe/H] = 0, per 1000 K, per dex.
INJECTED = np.array([0.5, 0.3, 0.2])

ASYMMETRY = 0.1  # dex/kpc
EDGES = np.arange(4.0, 12.1, 0.5), np.arange(0.0, 2.01, 0.1)  # kpc
# The thin disc by its abundances: [alpha/Fe] below this line in [Fe/H].
THIN_LINE = (0.09, -0.14)
TWO_SIGMA = 4.55  # % of normal values that are beyond


def bench_translate_surveys(threads):
    """Labels against the truth, the extrinsic network, the asymmetry of the Galaxy."""
    large = make_catalogues(100_000, 60_000, 1)
    rows = bench_labels(large, train(large.common), threads)
    rows += bench_velocity(make_catalogues(60_000, 24_000, 2), threads)
    for asymmetry, seed in ((0.0, 3), (ASYMMETRY, 4)):
        surveys = make_catalogues(60_000, 24_000, seed, asymmetry)
        combined = combine(surveys, train(surveys.common), threads)
        rows += bench_asymmetry(combined, asymmetry)
    return rows


def train(common, **options):
    """Train a translator of GALAH's labels on common stars."""
    return Translator(INPUTS, OUTPUTS, star="star", **options).train(common)


def only_galah(surveys):
    """GALAH's stars without an entry of APOGEE, columns named as in training."""
    others = surveys.catalogues["galah"]
    others = others[~np.isin(others["star"], surveys.catalogues["apogee"]["star"])]
    return renamed(others)


def renamed(catalogue):
    """A catalogue of GALAH with its name at the end of labels and errors."""
    table = Table({"star": catalogue["star"]})
    for name in (*LABELS, "rv"):
        for column in (name, f"e_{name}"):
            table[f"{column}_galah"] = catalogue[column]
    return table


def usable(found):
    """Translated stars that no flag but of pairs warns of, (S,) bool."""
    return np.asarray(found["translate_flag"]) & ~PAIRS == 0


# Labels against the truth


class Bins(NamedTuple):
    """Every bin of Teff and of log g with enough stars: bias over scatter, its error.

    pull : float
        Robust width of (translated - true) / error of all stars.
    """

    bias: np.ndarray
    error: np.ndarray
    pull: float


def bench_labels(surveys, translator, threads):
    """Bias in bins of Teff and log g, and pulls, of stars that only GALAH has."""
    stars = only_galah(surveys)
    found = translator.apply(stars, threads=threads)
    what = f"translator, simulated, {len(surveys.common):,} training stars"
    rows = [only(f"{what}: stars translated", usable(found).sum())]
    for name in LABELS:
        true = surveys.stars[f"{name}_apogee_scale"][stars["star"]]
        bins = bias_in_bins(found, name, np.asarray(true), surveys.common)
        size = abs(bins.bias)
        beyond = max(size - 2 * bins.error)
        rows += [
            only(f"{what}, {name}: bias / scatter in bins, largest", max(size)),
            only(f"{what}, {name}: bins where it exceeds 0.1", (size > 0.1).sum()),
            only(f"{what}, {name}: bins", len(size)),
            at_most(f"{what}, {name}: largest less two standard errors", beyond, 0.1),
            at_most(
                f"{what}, {name}: width of pulls, off 1 by", abs(bins.pull - 1), 0.1
            ),
        ]
    return rows


def bias_in_bins(found, name, true, common, least=LEAST):
    """Compare a translated label with the truth on APOGEE's scale.

    Bins are of *translated* Teff and log g: in bins of true ones any estimate of least
    scatter regresses to the mean. Bias is the median, as networks of least absolute
    error give medians.

    Parameters
    ----------
    found : astropy Table
        Of `Translator.apply`, S stars.
    name : str
        Label.
    true : (S,) array, label unit
    common : astropy Table
        Training stars.
    least : int
        Training stars, and stars, in a bin that counts.

    Returns
    -------
    Bins
    """
    used = usable(found)
    away = np.asarray(found[f"{name}_apogee"]) - true
    bias, error = [], []
    for label, edges in (("teff", TEFF_EDGES), ("logg", LOGG_EDGES)):
        place = np.searchsorted(edges, found[f"{label}_apogee"])
        trained = np.searchsorted(edges, common[f"{label}_galah"])
        for i in range(1, len(edges)):
            inside = away[used & (place == i)]
            if min(len(inside), (trained == i).sum()) >= least:
                bias.append(np.median(inside) / robust_sigma(inside))
                error.append(MEDIAN_ERROR / np.sqrt(len(inside)))
    pull = robust_sigma((away / np.asarray(found[f"e_{name}_apogee"]))[used])
    return Bins(np.array(bias), np.array(error), float(pull))


def rms(values):
    """Root of the mean square."""
    return np.sqrt(np.mean(np.square(values)))


# The extrinsic network


def bench_velocity(surveys, threads):
    """Recover what was added to GALAH's velocity, of stars that only GALAH has."""
    recovered, errors = recover_velocity(surveys, threads)
    rows = []
    for k, unit in enumerate(("km/s", "km/s per 1000 K", "km/s per dex")):
        what = f"translator, simulated, velocity, {INJECTED[k]:g} {unit}"
        sigmas = abs(recovered[k] - INJECTED[k]) / errors[k]
        rows.append(only(f"{what}: recovered", recovered[k], unit))
        rows.append(at_most(f"{what}: off by", sigmas, 3, "sigma"))
    return rows


def recover_velocity(surveys, threads=None, **options):
    """Inject into GALAH's velocity, learn APOGEE's, and fit what translation took away.

    Returns
    -------
    recovered, errors : (3,) arrays
        Of `INJECTED`; errors are those of the same fit to the training stars'
        differences: the translator knows no more than these.
    """
    scale = surveys.stars["rv_galah_scale"] - surveys.stars["rv_apogee_scale"]
    common, others = surveys.common.copy(), only_galah(surveys)
    for table in (common, others):
        injected = terms(table) @ INJECTED
        table["rv_galah"] += injected - np.asarray(scale)[table["star"]]
    translator = Translator(
        (*INPUTS, "rv_galah"),
        ("rv_apogee",),
        start={"rv_apogee": "rv_galah"},
        star="star",
        **options,
    ).train(common)
    found = translator.apply(others, threads=threads)
    shift = np.asarray(others["rv_galah"] - found["rv_apogee"])
    used = usable(found) & np.isfinite(shift)
    recovered, _ = fit_terms(others[used], shift[used])
    known = np.isfinite(common["rv_galah"] - common["rv_apogee"])
    given = np.asarray(common["rv_galah"] - common["rv_apogee"])
    _, errors = fit_terms(common[known], given[known])
    return recovered, errors


def terms(table):
    """What the injected velocity is linear in, (S, 3)."""
    teff, fe_h = (np.asarray(table[f"{name}_galah"]) for name in ("teff", "fe_h"))
    return np.column_stack([np.ones(len(table)), (teff - 5000) / 1000, fe_h])


def fit_terms(table, values):
    """Coefficients (3,) of `terms` and White's errors, without 4-sigma outliers."""
    design = terms(table)
    away = values - np.median(values)
    for _ in range(3):
        used = abs(away) < 4 * robust_sigma(away)
        found = np.linalg.lstsq(design[used], values[used], rcond=None)[0]
        away = values - design @ found
    inverse = np.linalg.inv(design[used].T @ design[used])
    middle = design[used].T * away[used] ** 2 @ design[used]
    return found, np.sqrt(np.diag(inverse @ middle @ inverse))


# Two catalogues on one scale


class Combined(NamedTuple):
    """One row per star of the thin disc or thick, without members of clusters.

    r, z : (N,) arrays, kpc
        By Gaia's parallaxes.
    apogee : (N,) bool array
        Whether APOGEE has observed the star: its labels are taken as they are.
    given, translated, true : dicts of str to (N,) array
        Labels: GALAH's as given, translated, and without noise on APOGEE's scale.
    """

    r: np.ndarray
    z: np.ndarray
    apogee: np.ndarray
    given: dict
    translated: dict
    true: dict


def combine(surveys, translator, threads=None):
    """Put APOGEE's stars and GALAH's others into one table, on APOGEE's scale."""
    others, apogee = only_galah(surveys), surveys.catalogues["apogee"]
    found = translator.apply(others, threads=threads)
    used = usable(found)
    star = np.concatenate([apogee["star"], others["star"][used]])
    field = np.asarray(surveys.stars["cluster"])[star] == ""
    rows = surveys.stars[star[field]]
    distance = gaia.table(rows, np.random.default_rng(0))["r_est"]

    def joined(table, pattern):
        return {
            name: np.concatenate([apogee[name], table[pattern.format(name)][used]])
            for name in LABELS
        }

    columns = [joined(others, "{}_galah"), joined(found, "{}_apogee")]
    return Combined(
        *positions(rows["ra"], rows["dec"], distance),
        (np.arange(len(star)) < len(apogee))[field],
        *({name: values[field] for name, values in part.items()} for part in columns),
        {name: np.asarray(rows[f"{name}_apogee_scale"]) for name in LABELS},
    )


def thin_disc(labels):
    """Stars of the thin disc by their abundances, (N,) bool."""
    start, slope = THIN_LINE
    return labels["alpha_fe"] < start + slope * labels["fe_h"]


def asymmetry(combined, labels, name, part=None):
    """Table of the thin disc's differences north minus south.

    Parameters
    ----------
    combined : Combined
    labels : dict of str to (N,) array
        One of its sets of labels; the thin disc is told by them, too.
    name : str
        Label.
    part : (N,) bool array, optional
        Stars used; default: all.
    """
    used = thin_disc(labels) & (True if part is None else part)
    return asymmetry_table(
        combined.r[used], combined.z[used], labels[name][used], EDGES
    )


def one_on_each_side(combined):
    """Stars as if APOGEE had seen the north of the plane only, GALAH the south."""
    return combined.apogee == (combined.z > 0)


def bench_asymmetry(combined, injected):
    """Slope of the asymmetry with height, and bins beyond chance."""
    what = f"translator, simulated Galaxy with {injected:g} dex/kpc"
    found = asymmetry(combined, combined.translated, "fe_h")
    slope, error = asymmetry_slope(found)
    true, _ = asymmetry_slope(asymmetry(combined, combined.true, "fe_h"))
    rows = [
        only(f"{what}: [Fe/H] recovered", slope, "dex/kpc"),
        only(f"{what}: [Fe/H] of the same stars without noise", true, "dex/kpc"),
        at_most(f"{what}: off by", abs(slope - injected) / error, 3, "sigma"),
    ]
    if injected:
        rows.append(at_least(f"{what}: significance", slope / error, 3, "sigma"))
        return rows
    pulls = abs(np.asarray(found["difference"] / found["error"]))
    chance = TWO_SIGMA + 3 * np.sqrt(TWO_SIGMA * (100 - TWO_SIGMA) / len(pulls))
    share = 100 * (pulls > 2).mean()
    rows.append(at_most(f"{what}: bins beyond 2 sigma", share, round(chance, 1), "%"))
    return rows + bench_sides(combined, what)


def bench_sides(combined, what):
    """The asymmetry that is not there, with one survey on each side of the plane."""
    part, rows = one_on_each_side(combined), []
    what = f"{what}, one survey on each side"
    for name in ("fe_h", "mg_fe"):
        given, translated, true = (
            asymmetry_slope(asymmetry(combined, labels, name, part))
            for labels in (combined.given, combined.translated, combined.true)
        )
        rows += [
            at_least(
                f"{what}: false slope of {name} as given",
                abs(given[0] - true[0]) / np.hypot(given[1], true[1]),
                3,
                "sigma",
            ),
            at_most(
                f"{what}: false slope of {name} translated",
                abs(translated[0] - true[0]) / np.hypot(translated[1], true[1]),
                3,
                "sigma",
            ),
            only(f"{what}: slope of {name} as given", given[0], "dex/kpc"),
            only(f"{what}: slope of {name} translated", translated[0], "dex/kpc"),
        ]
    return rows
