"""Checks of what a model is made from and trained on; each raises InputError."""

import numpy as np

from .errors import InputError

MOST_LABELS = 100  # results hold a matrix of this size for each spectrum
SCATTERS = ("likelihood", "median")  # ways to find s2
LARGEST_FLUX = 1e10  # of a coefficient, as of normalised flux
FURTHEST = 1e4  # a training label, in widths of its distribution
# Columns of tables of results: for each label, and for each spectrum.
RESULT_COLUMNS = ("{}", "e_{}", "{}_inside", "{}_given")
RESULT_NAMES = (
    *("id", "chi2", "r_chi2", "snr", "n_pixels", "minima", "status"),
    *("chi2_inside", "covariance", "fold"),
)


def check_names(label_names):
    """Return names of labels or columns as a tuple after checking them.

    Parameters
    ----------
    label_names : str or sequence of K str

    Returns
    -------
    tuple of K str

    Raises
    ------
    InputError
        There are none, one is no text or is empty, or one is there twice.
    """
    if isinstance(label_names, str):
        label_names = (label_names,)
    try:
        names = tuple(label_names)
    except TypeError:
        names = ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(
            f"label_names are {label_names!r}; expected one or more strings"
        )
    if len(set(names)) < len(names):
        raise InputError(f"label_names {names} hold a name twice")
    return names


def check_label_names(label_names):
    """Return the names of a model's labels after checking them.

    Parameters
    ----------
    label_names : str or sequence of K str

    Returns
    -------
    tuple of K str

    Raises
    ------
    InputError
        As `check_names`; there are too many, or a table of results would have two
        columns of one name.
    """
    names = check_names(label_names)
    if len(names) > MOST_LABELS:
        raise InputError(
            f"{len(names)} label_names; at most {MOST_LABELS} are possible"
        )
    columns = [form.format(name) for name in names for form in RESULT_COLUMNS]
    columns += RESULT_NAMES
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        raise InputError(
            f"label_names {names} would give a table of results two columns "
            f"{', '.join(sorted(twice))}: call the label otherwise"
        )
    return names


def check_censors(censors, names):
    """Return censors as a dict of label name to (P,) bool array.

    Parameters
    ----------
    censors : dict of str to (P,) bool array, or None
        True where a label must not be used.
    names : sequence of str
        The labels.

    Raises
    ------
    InputError
        A name is no label, or a mask no array of booleans.
    """
    if censors is None:
        return {}
    unknown = [name for name in censors if name not in names]
    if unknown:
        raise InputError(
            f"censors name {', '.join(unknown)}; the labels are {', '.join(names)}"
        )
    checked = {}
    for name, mask in censors.items():
        mask = np.array(mask)
        if mask.dtype != bool or mask.ndim != 1:
            raise InputError(
                f"the censor of {name!r} has type {mask.dtype} and shape {mask.shape}; "
                "expected a boolean per pixel, True where the label is not used"
            )
        checked[name] = mask
    return checked


def real_array(values, name):
    """Return a new float64 array of the same shape, NaN where masked.

    Parameters
    ----------
    values : array_like
    name : str
        For the error.

    Raises
    ------
    InputError
        They are no real numbers.
    """
    try:
        found = np.ma.array(values, copy=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is no array ({error})") from error
    if found.dtype.kind not in "fiu":
        raise InputError(f"{name} has type {found.dtype}; expected real numbers")
    return np.ma.filled(found.astype(np.float64), np.nan)


def check_wavelength(wavelength, n_pixels=None):
    """Return wavelengths as a float64 array after checking them.

    Parameters
    ----------
    wavelength : (P,) array, Angstrom
    n_pixels : int, optional
        P, where spectra tell.

    Raises
    ------
    InputError
        Not one dimension, empty, not finite, not increasing or of another length.
    """
    grid = real_array(wavelength, "wavelength")
    if grid.ndim != 1 or grid.size == 0:
        raise InputError(f"wavelength has shape {grid.shape}; (P,) is needed")
    if n_pixels is not None and len(grid) != n_pixels:
        raise InputError(
            f"wavelength has shape {grid.shape}; the spectra have {n_pixels} pixels"
        )
    if not (np.isfinite(grid).all() and (np.diff(grid) > 0).all()):
        raise InputError(
            "wavelength must be finite and increase from pixel to pixel; "
            "sort the pixels of wavelength, flux and ivar together"
        )
    return grid


def check_label_values(values, n_labels, name):
    """Return one number for each label after checking them.

    Parameters
    ----------
    values : array_like, (K,)
    n_labels : int
        K.
    name : str
        For the error.

    Returns
    -------
    (K,) float64 array

    Raises
    ------
    InputError
        Not one finite number for each label.
    """
    values = real_array(values, name)
    if values.shape != (n_labels,) or not np.isfinite(values).all():
        raise InputError(f"{name} are {values}; expected {n_labels} finite numbers")
    return values


def check_coefficients(theta, s2, terms):
    """Return theta (P, T) and s2 (P,) as float64 arrays after checking them.

    Parameters
    ----------
    theta : array_like, (P, T)
        Coefficients of normalised flux in scaled labels.
    s2 : array_like, (P,)
        Scatter (variance), inf where a pixel is not used.
    terms : Terms
        The T terms.

    Raises
    ------
    InputError
        A shape, or a value that no model of normalised flux has.
    """
    theta, s2 = real_array(theta, "theta"), real_array(s2, "s2")
    if theta.ndim != 2 or theta.shape[1] != len(terms) or not len(theta):
        raise InputError(
            f"theta has shape {theta.shape}; expected (pixels, {len(terms)}) "
            f"for the terms {', '.join(terms.names)}"
        )
    if s2.shape != theta.shape[:1] or not (s2 >= 0).all():
        raise InputError(
            f"s2 has shape {s2.shape}; expected ({len(theta)},), all >= 0 "
            "(a variance; square a published scatter)"
        )
    if (s2[np.isfinite(s2)] > LARGEST_FLUX**2).any():
        raise InputError(
            f"s2 holds values beyond {LARGEST_FLUX**2:.0e}, which no normalised flux "
            "has: give inf for a pixel that is not to be used"
        )
    if not (np.abs(theta) <= LARGEST_FLUX).all():
        raise InputError(
            f"theta holds values that are not finite, or beyond {LARGEST_FLUX:.0e}, "
            "which no normalised flux has"
        )
    return theta, s2


def percentile_scaling(labels, names):
    """Return median and 2.5 to 97.5 percentile range of labels (Nandakumar+2022 eq. 2).

    Parameters
    ----------
    labels : (N, K) array, label units
        Finite.
    names : sequence of K str

    Returns
    -------
    fiducials, scales : (K,) float64 arrays, label units

    Raises
    ------
    InputError
        A label is the same for (nearly) all stars, or absurd for one.
    """
    low, first, fiducials, third, high = np.percentile(
        labels, (2.5, 25.0, 50.0, 75.0, 97.5), axis=0
    )
    scales = high - low
    for k, name in enumerate(names):
        if not scales[k] > 0:
            raise InputError(
                f"label {name!r} is (nearly) constant over the training stars "
                f"({labels[:, k].min()} to {labels[:, k].max()}): leave it out"
            )
    # One absurd label among few stars is part of their 2.5 to 97.5 percentile range.
    widths = np.where(third > first, third - first, scales)
    check_extent(labels, names, fiducials, widths)
    return fiducials, scales


def check_extent(labels, names, centres, widths):
    """Refuse labels so far from the others that products of them would overflow.

    Parameters
    ----------
    labels : (N, K) array, label units
        Finite.
    names : sequence of K str
    centres, widths : (K,) arrays, label units

    Raises
    ------
    InputError
        A label is further than FURTHEST widths from its centre.
    """
    rows, which = np.nonzero(np.abs(labels - centres) > FURTHEST * widths)
    if len(rows):
        row, k = rows[0], which[0]
        raise InputError(
            f"label {names[k]!r} of row {row} is {labels[row, k]:g}, more than "
            f"{FURTHEST:g} widths of its distribution ({widths[k]:g}) from the middle "
            f"({centres[k]:g}): no star has it; remove this star"
        )


def check_independent(terms, x):
    """Refuse labels whose terms cannot be told apart on the training stars.

    Parameters
    ----------
    terms : Terms
        T of them.
    x : (N, K) array
        Scaled labels, N > T.

    Raises
    ------
    InputError
        A column of the label vectors depends on earlier ones.
    """
    v = terms.vectors(x)
    norms = np.linalg.norm(v, axis=0)
    v /= np.where(norms > 0, norms, 1.0)  # a product of labels may be zero throughout
    r = np.abs(np.diag(np.linalg.qr(v, mode="r")))
    dependent = [
        name for name, pivot in zip(terms.names, r, strict=True) if pivot < 1e-7
    ]
    if dependent:
        raise InputError(
            f"on these {len(x)} stars the terms {', '.join(dependent)} depend on "
            "earlier terms: are two labels identical, or has one too few values?"
        )
