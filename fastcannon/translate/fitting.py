"""From a table of common stars to a trained translator, step by step."""

import numpy as np
from astropy.table import Column, Table
from scipy.spatial import cKDTree

from ..distance import NEIGHBOURS, training_distance
from ..errors import InputError
from ..interrupts import interrupts_later
from ..spread import robust_sigma
from .baselines import KINDS, fit_baselines
from .columns import check_sample, check_units, read_columns, read_errors
from .intervals import as_ensemble, calibrate
from .mapping import Map
from .network import Dense, forward
from .quality import Extent
from .trained import Side, Trained

FOLDS = 5
FAR_SHARE = 0.001  # of held-out training stars that lie beyond the limit
MOST_REFERENCE = 3_000  # training stars that the distance is measured to
_SHARES = np.linspace(0, 1, 21)
_SPARSE_RANGE = (0.25, 4.0)  # of the weight of one star


def fit(translator, table, progress=None):
    """Train on a table; see `Translator.train`.

    Parameters
    ----------
    translator : Translator
        What was asked for.
    table : astropy Table
    progress : callable, optional

    Returns
    -------
    Trained
    held_out : astropy Table
        See `Translator.held_out`.
    """
    (side_in, x, e_x), (side_out, y, e_y), complete = read_sample(translator, table)
    star = _stars(translator.star, table, complete)
    folds = make_folds(star, translator.ensemble, translator.seed)
    skip, ratios = start_slopes(translator.starts, side_in, side_out)
    baselines = fit_baselines(x, y, np.array(translator.starts), ratios, folds[0])
    weight = star_weights(x, e_x, y, e_y, baselines["linear"], translator.settings)
    layers, history = _networks(
        x, y, e_x, e_y, skip, weight, folds, translator, progress
    )
    held, excess = held_out(layers, x, folds)
    held += x @ skip
    watched = np.isfinite(held).all(axis=1)
    smooth, best = best_baseline(baselines, y)
    share = np.ones(y.shape[1])
    if translator.settings.blend:
        share = blend_shares(held[watched], best[watched], y[watched])
    blended = share * held + (1 - share) * best
    linear = baselines["linear"].coefficients
    trained_map = Map(tuple(layers), skip, smooth, linear, share)
    residual = as_ensemble(blended - y, watched, share**2 * excess)
    floor, factor, scores = calibrate(trained_map, x, e_x, residual, e_y, watched)
    floor *= side_out.scale
    trained = Trained(
        side_in,
        side_out,
        trained_map,
        floor,
        factor,
        scores.astype(np.float32),
        *reference_stars(x, folds[0], translator.seed),
        translator.settings.smooth_far,
        history,
        summarise(side_out, baselines, held, blended, y, watched, share, floor[0]),
        len(x),
        int((~complete).sum()),
    )
    return trained, held_out_table(side_out, complete, blended)


def read_sample(translator, table):
    """Read and check the training columns.

    Returns
    -------
    inputs, outputs : (Side, values, errors)
        Values and errors (N, F) and (N, O), standardised, of the complete rows.
    complete : (S,) bool array
    """
    names = (*translator.inputs, *translator.outputs)
    values = read_columns(table, names)
    check_units(values, names)
    complete = np.isfinite(values).all(axis=1)
    check_sample(values, names, complete)
    values = values[complete]
    error_names = tuple(translator.error_column(name, table) for name in names)
    errors = read_errors(table, error_names)[complete]
    sides = []
    cut = len(translator.inputs)
    for part in (slice(None, cut), slice(cut, None)):
        sides.append(
            _side(
                names[part], error_names[part], values[:, part], errors[:, part], table
            )
        )
    return sides[0], sides[1], complete


def _side(names, error_names, values, errors, table):
    """Standardise one side; errors that are missing become the typical ones."""
    for name, column in zip(error_names, errors.T, strict=True):
        if not np.isfinite(column).any():
            raise InputError(
                f"column {name} has no error of 0 or more in any complete row; repair "
                "it, or train with errors=False"
            )
    typical = np.nanmedian(errors, axis=0)
    errors = np.where(np.isnan(errors), typical, errors)
    units = tuple(str(getattr(table[name], "unit", None) or "") for name in names)
    centre, scale = values.mean(axis=0), values.std(axis=0)
    side = Side(
        tuple(names), units, centre, scale, error_names, typical, Extent.of(values)
    )
    return side, side.standardise(values), errors / scale


def start_slopes(starts, side_in, side_out):
    """Return what outputs start from, in standardised values.

    Parameters
    ----------
    starts : sequence of O int
        The input of every output, -1 for none.
    side_in, side_out : Side

    Returns
    -------
    skip : (F, O) array
        One at the input that an output starts from, as Thomas+2024.
    ratios : (O,) array
        Slope of the identity in label units.
    """
    skip = np.zeros((len(side_in.names), len(starts)))
    ratios = np.zeros(len(starts))
    for k, start in enumerate(starts):
        if start >= 0:
            skip[start, k] = 1.0
            ratios[k] = side_in.scale[start] / side_out.scale[k]
    return skip, ratios


def _stars(column, table, complete):
    """Return a code of the star for every complete row."""
    if column is None:
        return np.arange(complete.sum())
    if column not in table.colnames:
        raise InputError(
            f"the table has no column {column} to tell stars by; it has "
            f"{', '.join(table.colnames)}"
        )
    names = np.ma.getdata(np.ma.asarray(table[column]))[complete]
    return np.unique(names, return_inverse=True)[1].reshape(-1)


def make_folds(star, ensemble, seed):
    """Assign stars to folds, anew for each group of networks.

    Network e is trained without fold e % F of group e // F, F folds (5, or as many as
    there are networks): with 10 networks each star is held out by two. All rows
    of a star are in one fold.

    Parameters
    ----------
    star : (N,) int array
    ensemble, seed : int

    Returns
    -------
    (groups, N) int array
    """
    rng = np.random.default_rng(seed)
    count = min(FOLDS, ensemble) if ensemble > 1 else FOLDS
    n_stars = star.max() + 1
    if n_stars < count:
        raise InputError(
            f"the rows are of {n_stars} different stars; {count} or more are needed to "
            "hold some out: does the column of stars hold their names?"
        )
    groups = -(-ensemble // count)
    return np.array([(rng.permutation(n_stars) % count)[star] for _ in range(groups)])


def star_weights(x, e_x, y, e_y, linear, settings):
    """Return the weight of every star's absolute residual, (N, O), of mean one.

    With ``weighted`` one over the expected residual: the errors of both surveys, the
    inputs' through the linear map, and the scatter that they leave. With ``sparse`` by
    the distance to the nearest neighbours to that power.
    """
    weight = np.ones_like(y)
    if settings.weighted:
        slopes = linear.coefficients[1 : 1 + x.shape[1]]
        known = e_y**2 + e_x**2 @ slopes**2
        scatter = robust_sigma(linear.held - y) ** 2
        rest = np.maximum(scatter - np.median(known, axis=0), 0.1 * scatter)
        weight /= np.sqrt(rest + known)
    if settings.sparse:
        away, _ = cKDTree(x).query(x, k=min(NEIGHBOURS + 1, len(x)))
        size = away[:, 1:].mean(axis=1)
        ratio = (size / np.median(size)) ** settings.sparse
        weight *= np.clip(ratio, *_SPARSE_RANGE)[:, None]
    return weight / weight.mean(axis=0)


def _networks(x, y, e_x, e_y, skip, weight, folds, translator, progress):
    """Train the ensemble on what the skip leaves, in units of its own scatter.

    The corrections of all outputs are then of the size that the learning rates and
    first weights are made for, however small they are.
    """
    with interrupts_later():  # which callbacks of JAX would lose
        from .training import Sample, train_networks  # JAX only now

    count = folds.max() + 1
    out = [folds[e // count] == e % count for e in range(translator.ensemble)]
    size = np.maximum((y - x @ skip).std(axis=0), 1e-9)
    parts = [x, (y - x @ skip) / size, weight]
    if translator.settings.redraw:
        parts += [e_x, e_y / size, skip / size]
    layers, history = train_networks(
        Sample(*(part.astype(np.float32) for part in parts)),
        [np.flatnonzero(~held) for held in out],
        [np.flatnonzero(held) for held in out],
        translator.settings,
        translator.seed,
        progress,
    )
    layers[-1] = Dense(*(part * size.astype(np.float32) for part in layers[-1]))
    return layers, history


def held_out(layers, x, folds):
    """Mean correction by the networks that did not see a star.

    Returns
    -------
    held : (N, O) array
        NaN for stars that every network has seen.
    excess : (O,) array
        By how much its variance exceeds that of the whole ensemble, whose mean is of
        more networks; 0 where no star is held out twice.
    """
    ensemble, count = len(layers[0].weight), folds.max() + 1
    parts = np.full((len(folds), len(x), layers[-1].weight.shape[2]), np.nan)
    for e in range(ensemble):
        group, fold = divmod(e, count)
        out = folds[group] == fold
        one = [type(layer)(*(a[e : e + 1] for a in layer)) for layer in layers]
        parts[group, out] = forward(one, x[out].astype(np.float32))[0]
    times = np.isfinite(parts[:, :, :1]).sum(axis=0)
    held = np.nansum(parts, axis=0) / np.where(times > 0, times, np.nan)
    if len(folds) < 2:
        return held, np.zeros(parts.shape[2])
    # two networks differ by sqrt(2) of what one is off the mean of many
    pair = (parts[0] - parts[1])[np.isfinite(parts[:2]).all(axis=(0, 2))]
    one = robust_sigma(pair) ** 2 / 2 if len(pair) else np.zeros(parts.shape[2])
    return held, one * (1 / len(folds) - 1 / ensemble)


def best_baseline(baselines, y):
    """Return coefficients (T, O) and held-out values (N, O), each output's best."""
    loss = [abs(baselines[kind].held - y).mean(axis=0) for kind in KINDS]
    best = np.argmin(loss, axis=0)
    chosen = [baselines[KINDS[kind]] for kind in best]
    smooth = [base.coefficients[:, k] for k, base in enumerate(chosen)]
    held = [base.held[:, k] for k, base in enumerate(chosen)]
    return np.column_stack(smooth), np.column_stack(held)


def blend_shares(held, smooth, y):
    """Return the part of the networks that is best on held-out stars, (O,).

    Parameters
    ----------
    held, smooth, y : (N, O) arrays
        Held-out values of the networks and of the smooth map, and the truth.
    """
    loss = [abs(s * held + (1 - s) * smooth - y).mean(axis=0) for s in _SHARES]
    return _SHARES[np.argmin(loss, axis=0)]


def reference_stars(x, folds, seed):
    """Return the stars that distances are measured to, and the limit of being far.

    One in a thousand training stars exceeds the limit when its fold is held out.
    """
    rng = np.random.default_rng(seed)
    if len(x) > MOST_REFERENCE:
        kept = np.sort(rng.choice(len(x), MOST_REFERENCE, replace=False))
    else:
        kept = np.arange(len(x))
    unit = np.ones(x.shape[1])
    away = np.empty(len(x))
    for fold in range(folds.max() + 1):
        out = folds == fold
        away[out] = training_distance(x[out], x[kept[~out[kept]]], unit)
    return x[kept], float(np.quantile(away, 1 - FAR_SHARE))


def summarise(side, baselines, held, blended, y, watched, share, floor):
    """Return the scatter of held-out stars by every map, a row per output."""
    table = Table()
    table["output"] = list(side.names)
    table["unit"] = np.array(side.units, dtype="U")
    for kind in KINDS:
        away = (baselines[kind].held - y)[watched]
        table[kind] = robust_sigma(away) * side.scale
    table["networks"] = robust_sigma((held - y)[watched]) * side.scale
    table["blend"] = robust_sigma((blended - y)[watched]) * side.scale
    table["bias"] = np.median((blended - y)[watched], axis=0) * side.scale
    table["share"] = share
    table["floor"] = floor
    return table


def held_out_table(side, complete, blended):
    """Return the values of training stars by networks that have not seen them.

    Parameters
    ----------
    side : Side
        Of the outputs.
    complete : (S,) bool array
        Rows of the table that were trained on.
    blended : (N, O) array, standardised
    """
    values = side.restore(blended)
    table = Table({"row": np.flatnonzero(complete)})
    for k, (name, unit) in enumerate(zip(side.names, side.units, strict=True)):
        table[name] = Column(values[:, k], unit=unit or None)
    return table
