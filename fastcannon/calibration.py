"""Errors and limits of a case from its own results (Nandakumar+2022, 3.6 and 3.7).

Repeated spectra give the factors of the formal errors and the precision against S/N;
the cross-validation gives the distance limit's K and the limit of chi2.
"""

from typing import NamedTuple

import numpy as np
from astropy.table import Table, vstack

from .arrays import label_array
from .cases import GIVEN
from .catalogue import DISTANCE_LABELS, Scale
from .distance import distance_limit, training_distance
from .labelfiles import read_rows
from .labels import unit
from .packed import best_and_others, independent_pairs
from .repeats import Factors, error_factors, fit_precision, precision_bins
from .result import STAR_STATUS
from .spread import half_range, robust_sigma

FEWEST_STARS = 20  # with repeats: a factor from fewer is uncertain by a fifth or more
CHI2_SIGMAS = 5.0  # of log r_chi2 in the cross-validation: beyond it is an outlier
_UNUSABLE = sum(STAR_STATUS[name] for name in ("NO_DATA", "NOT_CONVERGED", "SINGULAR"))


class Calibrated(NamedTuple):
    """The errors of a case.

    Attributes
    ----------
    scale : catalogue.Scale
    factors : repeats.Factors
    bins : astropy Table
        Precision against S/N, of `repeats.precision_bins`.
    counts : dict of str to int
        Spectra of stars with several, those of them used, pairs.
    """

    scale: Scale
    factors: Factors
    bins: Table
    counts: dict


def calibrate(config, case, label_paths, joined):
    """Find the errors of a case from the repeated spectra of its survey.

    Used are spectra without a flag: converged, one minimum, chi2 and distance to the
    training set within their limits. Factors are from visits with each other (eq. 6),
    the precision from the best spectrum of a star with each of its others (fig. 9).
    The robust factor is used, where FEWEST_STARS have repeats: wild pairs, one in a
    hundred, raise the paper's by a third, and the errors would then hold four stars of
    five, not two of three. Both are in the table of factors.

    Parameters
    ----------
    config : Config
    case : cases.Case
    label_paths : list of Path
        Tables of labels of the survey's packed parts.
    joined : joining.Joined
        Of the survey.

    Returns
    -------
    Calibrated
    """
    names = config.labels.names
    near = [name for name in DISTANCE_LABELS if name in names]
    training = label_array(case.validation, [name + GIVEN for name in near])
    rms = np.sqrt(np.nanmean(case.difference(near) ** 2, axis=0))
    limit = chi2_limit(case.validation["r_chi2"])
    rows = repeated(joined.star)
    found = read_rows(label_paths, joined.starts, rows)
    labels = label_array(found, names)
    errors = label_array(found, [f"e_{name}" for name in names])
    good = unflagged(found, training, rms, limit)
    star = np.where(good, joined.star[rows].astype(str), "")
    pairs = independent_pairs(star, joined.visit[rows])
    factors = error_factors(labels, errors, star, pairs, seed=config.model.seed)
    used = np.where(factors.n_stars >= FEWEST_STARS, factors.robust, np.nan)
    snr = joined.snr[rows]
    bins = precision_bins(labels, snr, best_and_others(star, snr), names)
    decays = [fit_precision(bins, name) for name in names]
    scale = Scale(
        label_names=tuple(names),
        training=training,
        rms=rms,
        factors=used,
        decays=decays,
        r_chi2_limit=limit,
    )
    counts = {
        "spectra of stars with several": len(rows),
        "of them without a flag": int(good.sum()),
        "pairs of independent spectra": len(pairs),
    }
    return Calibrated(scale, factors, bins, counts)


def unflagged(found, training, rms, limit):
    """Return which inferred labels can be trusted, (S,) mask.

    Parameters
    ----------
    found : astropy Table, S rows
        Labels, status, minima and r_chi2.
    training : (N, L) array, label units
        Those of DISTANCE_LABELS that the labels have, in that order.
    rms : (L,) array, label units
        Of their cross-validation.
    limit : float
        Of r_chi2.
    """
    near = [name for name in DISTANCE_LABELS if name in found.colnames]
    distance = training_distance(label_array(found, near), training, rms)
    good = (np.asarray(found["status"]) & _UNUSABLE == 0) & (found["minima"] == 1)
    good &= (found["r_chi2"] <= limit) & (distance <= distance_limit(len(near)))
    return np.asarray(good)


def chi2_limit(r_chi2):
    """Return the reduced chi2 beyond which a spectrum is an outlier.

    Parameters
    ----------
    r_chi2 : (N,) array
        Of the training stars, by models without them.

    Returns
    -------
    float
        CHI2_SIGMAS robust standard deviations above the median, in the logarithm.
    """
    values = np.log(np.asarray(r_chi2, dtype=float))
    values = values[np.isfinite(values)]
    return float(np.exp(np.median(values) + CHI2_SIGMAS * robust_sigma(values)))


def factor_table(cases, calibrated):
    """Return the factors of all cases (table 4) and what the models add to them.

    Parameters
    ----------
    cases : list of cases.Case
    calibrated : list of Calibrated

    Returns
    -------
    astropy Table
        A row for each case and label. ``cv_bias`` and ``cv_scatter``, (P84 - P16) / 2,
        are those of the cross-validation: how well the model gives the labels of its
        scale, which repeats cannot tell.
    """
    rows = []
    for case, one in zip(cases, calibrated, strict=True):
        names = one.scale.label_names
        difference = case.difference(names)
        scatter = half_range(difference)
        for k, name in enumerate(names):
            found = {field: values[k] for field, values in vars(one.factors).items()}
            rows.append(
                {"case": case.name, "label": name, "unit": unit(name)}
                | found
                | {
                    "cv_bias": np.nanmean(difference[:, k]),
                    "cv_scatter": scatter[k],
                    "cv_rms": np.sqrt(np.nanmean(difference[:, k] ** 2)),
                }
            )
    return Table(rows)


def precision_table(cases, calibrated):
    """Return the precision against S/N of all cases (fig. 9): bins, with their fits.

    Parameters
    ----------
    cases : list of cases.Case
    calibrated : list of Calibrated

    Returns
    -------
    astropy Table
        A row for each case and bin; ``meta["fits"]``: a, b, c of each case and label
        in a exp(-S/N / b) + c.
    """
    tables, found = [], {}
    for case, one in zip(cases, calibrated, strict=True):
        bins = one.bins.copy()
        bins.add_column(np.full(len(bins), case.name, dtype="U64"), 0, "case")
        tables.append(bins)
        for name, decay in zip(one.scale.label_names, one.scale.decays, strict=True):
            fit = None if decay is None else [float(value) for value in decay[:3]]
            found[f"{case.name} {name}"] = fit
    table = vstack(tables, metadata_conflicts="silent")
    table.meta = {"fits": found}
    return table


def repeated(star):
    """Return the rows of stars that have several spectra, (R,) int array.

    Parameters
    ----------
    star : (S,) int array
        Number of the star of each spectrum, -1 where it is not known.
    """
    counts = np.bincount(star + 1, minlength=1)
    counts[0] = 0
    return np.flatnonzero(counts[star + 1] > 1)
