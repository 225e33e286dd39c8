"""Spectra of a run that its report shows: read, normalised, beside their model."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..catalogue import FLAGS, MUST_BE_ZERO, SURVEY_BITS, catalogue_name, clean
from ..errors import InputError
from ..model import CannonModel
from ..packed import PackedSurvey
from ..preparation import Preparation

MOST_STARS = 1000  # of the residuals: enough for percentiles of every pixel
BLOCK = 100  # spectra in memory at a time
# What a solar-type star is like; labels that a model does not have do not count.
SUN = {"teff": 5772.0, "logg": 4.44, "fe_h": 0.0, "alpha_fe": 0.0}
DIGITS = 4  # of flux that the viewer shows
ACROSS, UP = 4, 3  # cells of the Kiel diagram that the viewer has a star of
WORST = 8  # stars of the largest chi2 beside them


class Residuals(NamedTuple):
    """Observed minus model flux of many stars: (P,) arrays, and the number of stars.

    NaN where no star has a pixel or the model is not trained.
    """

    wavelength: np.ndarray
    median: np.ndarray
    p16: np.ndarray
    p84: np.ndarray
    n_stars: int


class Spectra(NamedTuple):
    """Normalised spectra beside their model: (S, P) float32, NaN where there is none.

    ``observed`` is NaN where the spectrum has no information, ``model`` where the
    model is not trained.
    """

    observed: np.ndarray
    model: np.ndarray


class ViewerStar(NamedTuple):
    """A star of the spectrum viewer.

    Attributes
    ----------
    id, survey, title : str
        The title has id, survey and why the star was chosen.
    wavelength : (P,) float64 array, Angstrom
        One array for all stars of a survey.
    observed, model : (P,) float32 arrays
        Of `Spectra`, rounded to 4 decimals.
    labels : dict of str to float
        On the scale of the catalogue.
    r_chi2 : float
    flags : list of str
        Names of the flags that are set.
    worst : bool
        Chosen for its chi2.
    """

    id: str
    survey: str
    title: str
    wavelength: np.ndarray
    observed: np.ndarray
    model: np.ndarray
    labels: dict[str, float]
    r_chi2: float
    flags: list[str]
    worst: bool


def spectra(model: CannonModel, packed: PackedSurvey, rows, labels) -> Spectra:
    """Read spectra, normalise them as the model's were, and predict them.

    Parameters
    ----------
    model : CannonModel
        Trained.
    packed : PackedSurvey
        On the model's P pixels.
    rows : (S,) int array
        Of ``packed``.
    labels : (S, K) array, label units
        Of the model, in its order; NaN gives a model of NaN.

    Returns
    -------
    Spectra

    Raises
    ------
    InputError
        Rows and labels do not go together; see also `preparation.Preparation`.
    """
    labels = _checked(model, rows, labels)
    flux, ivar = Preparation(model, packed)(*packed.read(rows))
    used = (ivar > 0) & np.isfinite(flux)
    observed = np.where(used, flux, np.float32(np.nan))
    known = np.isfinite(labels).all(axis=1)
    predicted = np.full(observed.shape, np.nan, np.float32)
    predicted[known] = model.predict_flux(labels[known])
    predicted[:, ~np.isfinite(model.s2)] = np.nan
    return Spectra(observed, predicted)


def residuals(model: CannonModel, packed: PackedSurvey, rows, labels, seed=0):
    """Return median and percentiles over stars of observed minus model flux.

    Nandakumar+2022, section 3.5.1, figs 5 and 6: over the training stars. Of more than
    1,000 stars, 1,000 are drawn.

    Parameters
    ----------
    model : CannonModel
    packed : PackedSurvey
    rows : (S,) int array
        Of ``packed``; negative rows and stars without labels are left out.
    labels : (S, K) array, label units
    seed : int
        Of the draw.

    Returns
    -------
    Residuals

    Raises
    ------
    InputError
        See `spectra`.
    """
    labels = _checked(model, rows, labels)
    chosen = np.flatnonzero((np.asarray(rows) >= 0) & np.isfinite(labels).all(axis=1))
    if len(chosen) > MOST_STARS:
        chosen = np.random.default_rng(seed).choice(chosen, MOST_STARS, replace=False)
    # Neighbours in the files are read together.
    chosen = chosen[np.argsort(np.asarray(rows)[chosen], kind="stable")]
    found = np.empty((len(chosen), packed.n_pixels), np.float32)
    for start in range(0, len(chosen), BLOCK):
        block = chosen[start : start + BLOCK]
        pair = spectra(model, packed, np.asarray(rows)[block], labels[block])
        np.subtract(pair.observed, pair.model, out=found[start : start + len(block)])
    low, middle, high = quantiles(found, (0.16, 0.5, 0.84))
    return Residuals(packed.wavelength, middle, low, high, len(chosen))


def quantiles(values, shares) -> list[np.ndarray]:
    """Return quantiles of the finite values of each column, interpolated.

    Parameters
    ----------
    values : (N, P) array
    shares : sequence of float, 0 to 1

    Returns
    -------
    list of (P,) arrays
        NaN in columns without a finite value.
    """
    if not len(values):
        return [np.full(values.shape[1], np.nan) for _ in shares]
    ordered = np.sort(values, axis=0)  # NaN last
    last = np.maximum(np.isfinite(ordered).sum(axis=0) - 1, 0)
    found = []
    for share in shares:
        place = share * last
        below = place.astype(int)
        above = np.minimum(below + 1, last)
        low, high = (np.take_along_axis(ordered, i[None], 0)[0] for i in (below, above))
        found.append(low + (place - below) * (high - low))
    return found


def sunlike(labels, names: Sequence[str], scatter) -> int | None:
    """Return which star is most like the Sun, None if no star has the labels.

    Parameters
    ----------
    labels : (S, K) array, label units
    names : sequence of K str
    scatter : (K,) array, label units
        Of the cross-validation: the unit of distance.

    Returns
    -------
    int or None
    """
    used = [k for k, name in enumerate(names) if name in SUN]
    if not used:
        return None
    sun = np.array([SUN[names[k]] for k in used])
    away = (np.asarray(labels, float)[:, used] - sun) / np.asarray(scatter, float)[used]
    distance = (away**2).sum(axis=1)
    if not np.isfinite(distance).any():
        return None
    return int(np.nanargmin(distance))


def viewer_sample(
    model: CannonModel, packed: PackedSurvey, stars, survey: str
) -> list[ViewerStar]:
    """Choose stars of a survey for the spectrum viewer and read their spectra.

    At most 12 clean stars spread over the Kiel diagram, then the 8 of the largest chi2.

    Parameters
    ----------
    model : CannonModel
        Of the survey's spectra and the catalogue's scale.
    packed : PackedSurvey
        The survey's.
    stars : astropy Table or dict of name to (N,) array
        Rows of the catalogue that are of the survey: survey_id, r_chi_sq, all flags,
        and <label>Cann of the labels of the model (label units).
    survey : str

    Returns
    -------
    list of ViewerStar
        Empty if no star has labels and a spectrum.

    Raises
    ------
    InputError
        See `spectra`.
    """
    labels = np.column_stack(
        [np.asarray(stars[_column(name)], float) for name in model.label_names]
    )
    chi2 = np.asarray(stars["r_chi_sq"], float)
    known = np.isfinite(labels).all(axis=1) & np.isfinite(chi2)
    usual = np.flatnonzero(known & clean(stars))
    usual = usual[spread(_kiel(labels[usual], model.label_names))]
    rest = np.setdiff1d(np.flatnonzero(known), usual)
    worst = rest[np.argsort(-chi2[rest], kind="stable")][:WORST]
    chosen = np.concatenate([usual, worst])
    rows = packed.rows([id_text(stars["survey_id"][i]) for i in chosen])
    chosen, rows = chosen[rows >= 0], rows[rows >= 0]
    pair = spectra(model, packed, rows, labels[chosen])
    wavelength = packed.wavelength.round(DIGITS)
    return [
        _viewer_star(
            *(stars, int(i), survey, wavelength, observed, predicted),
            labels=dict(zip(model.label_names, labels[i], strict=True)),
            worst=bool(i in worst),
        )
        for i, observed, predicted in zip(
            chosen, pair.observed, pair.model, strict=True
        )
    ]


def spread(places) -> np.ndarray:
    """Return stars spread over a plane: one from the middle of each of its cells.

    Cells hold equal numbers of stars: 3 layers along the second axis, each cut into 4
    along the first.

    Parameters
    ----------
    places : (S, 2) array
        Finite; as Teff and log g.

    Returns
    -------
    (M,) int array
        At most 12, of few stars about as many.
    """
    layers = np.array_split(np.argsort(places[:, 1], kind="stable"), UP)
    cells = [
        cell
        for layer in layers
        for cell in np.array_split(
            layer[np.argsort(places[layer, 0], kind="stable")], ACROSS
        )
    ]
    return np.array([cell[len(cell) // 2] for cell in cells if len(cell)], dtype=int)


def set_flags(stars, row: int) -> list[str]:
    """Return the names of the flags that are set in a row of a catalogue.

    Parameters
    ----------
    stars : astropy Table or dict of name to (N,) array
    row : int

    Returns
    -------
    list of str
        Columns but for flag_id and flag_training, then bits of flag_fastcannon.
    """
    columns = [name for name in (*MUST_BE_ZERO, *SURVEY_BITS) if stars[name][row] != 0]
    ours = int(stars["flag_fastcannon"][row])
    return columns + [name for name, bit in FLAGS.items() if ours & bit]


def _viewer_star(stars, row, survey, wavelength, observed, predicted, labels, worst):
    """Return what the viewer shows of a row of the catalogue."""
    star_id, chi2 = id_text(stars["survey_id"][row]), float(stars["r_chi_sq"][row])
    why = f"reduced chi2 {chi2:.3g}" + (", among the worst" if worst else "")
    return ViewerStar(
        id=star_id,
        survey=survey,
        title=f"{survey}: {star_id} ({why})",
        wavelength=wavelength,
        observed=observed.round(DIGITS),
        model=predicted.round(DIGITS),
        labels={name: round(float(value), DIGITS) for name, value in labels.items()},
        r_chi2=round(chi2, DIGITS),
        flags=set_flags(stars, row),
        worst=worst,
    )


def _kiel(labels, names):
    """Return Teff and log g of stars, or what stands in for them, (S, 2)."""
    names = list(names)
    axes = [names.index(n) for n in ("teff", "logg") if n in names]
    axes += [k for k in range(len(names)) if k not in axes]
    return labels[:, (axes * 2)[:2]]


def _column(label):
    """Return the name of the column of a label in catalogues."""
    return f"{catalogue_name(label)}Cann"


def id_text(star_id):
    """Return an id, text or bytes as files have it, as text."""
    return star_id.decode("ascii") if isinstance(star_id, bytes) else str(star_id)


def _checked(model, rows, labels):
    """Return the labels as (S, K) floats; refuse what does not go together."""
    labels = np.asarray(labels, dtype=float)
    if labels.shape != (len(rows), len(model.label_names)):
        raise InputError(
            f"labels have shape {labels.shape}; ({len(rows)} spectra, "
            f"{len(model.label_names)} labels of the model) is needed"
        )
    return labels
