"""The one gate for arrays: what enters the kernels is native, contiguous and finite."""

import warnings

import numpy as np

from .errors import BadPixelWarning, InputError
from .kernels.gate import clean_rows, count_bad


def real_spectra(flux, ivar):
    """Return flux and ivar as masked arrays, of the type and shape given.

    Parameters
    ----------
    flux, ivar : array_like

    Raises
    ------
    InputError
        One does not hold real numbers.
    """
    flux, ivar = np.ma.asanyarray(flux), np.ma.asanyarray(ivar)
    for name, values in (("flux", flux), ("ivar", ivar)):
        if values.dtype.kind not in "fiu":
            raise InputError(
                f"{name} has type {values.dtype}; "
                "expected real numbers (float or integer)"
            )
    return flux, ivar


def check_spectra(flux, ivar):
    """Refuse arrays of spectra that cannot be used, without looking at the pixels.

    Parameters
    ----------
    flux, ivar : array_like, (S, P)
        Normalised flux and its inverse variance, of any real type, maybe masked.

    Returns
    -------
    flux, ivar : ndarray, (S, P)
        Of the type given.

    Raises
    ------
    InputError
        Where shapes or types cannot be used.
    """
    flux, ivar = real_spectra(flux, ivar)
    if flux.ndim != 2:
        raise InputError(
            f"flux has shape {flux.shape}; expected (stars, pixels): "
            "for one spectrum pass flux[None, :]"
        )
    if ivar.shape != flux.shape:
        raise InputError(
            f"flux has shape {flux.shape} but ivar has shape {ivar.shape}; "
            "they must agree"
        )
    return flux, ivar


def clean_block(flux, ivar):
    """Return spectra as the kernels need them; the caller's stay as they are.

    Masked or NaN flux, and NaN, infinite or negative ivar, become ivar 0; so do flux
    beyond 1e10 and ivar beyond 1e15, which no normalised spectrum has.

    Parameters
    ----------
    flux, ivar : ndarray, (S, P)
        Of `check_spectra`.

    Returns
    -------
    flux, ivar : ndarray, (S, P), float32
        C-contiguous and finite; the arrays given where they already are.
    n_bad : int
        Pixels that were made to count as zero weight.
    """
    flux, masked_flux = _as_float32(flux)
    ivar, masked_ivar = _as_float32(ivar)
    n_bad, n_unknown = count_bad(flux, ivar)
    masks = [mask for mask in (masked_flux, masked_ivar) if mask is not None]
    if n_bad or n_unknown or masks:
        flux, ivar = flux.copy(), ivar.copy()
        for mask in masks:
            ivar[mask] = 0.0
            n_bad += int(mask.sum())
        clean_rows(flux, ivar)
    return flux, ivar, n_bad


def clean_spectra(flux, ivar):
    """Check and clean all spectra at once; bad pixels are counted in one warning.

    Parameters
    ----------
    flux, ivar : array_like, (S, P)
        See `check_spectra`.

    Returns
    -------
    flux, ivar : ndarray, (S, P), float32
        See `clean_block`.
    """
    flux, ivar, n_bad = clean_block(*check_spectra(flux, ivar))
    warn_bad(n_bad, flux.size)
    return flux, ivar


def count_unusable(flux, ivar):
    """Return how many pixels hold no usable number, in spectra of any unit.

    Parameters
    ----------
    flux, ivar : (S, P) arrays
        A pixel of ivar 0 is one that nobody meant to be used.
    """
    bad = ~np.isfinite(flux) & (ivar != 0)
    bad |= ~np.isfinite(ivar) | (ivar < 0)
    return int(np.count_nonzero(bad))


def warn_bad(n_bad, n_pixels):
    """Warn of pixels that count as zero weight, if there are any."""
    if n_bad:
        warnings.warn(
            f"{n_bad} of {n_pixels} pixels have masked, NaN, infinite, "
            "negative or absurd values (flux beyond 1e10, ivar beyond 1e15): "
            "they count as zero weight",
            BadPixelWarning,
            stacklevel=4,
        )


def _as_float32(values):
    """Return a C-contiguous native float32 array and the mask, if the input has one."""
    mask = np.ma.getmask(values)
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(np.ma.getdata(values), dtype=np.float32)
    return values, None if mask is np.ma.nomask or not mask.any() else mask


def label_array(labels, names):
    """Return labels as an array (N, K), from an array or from a table by name.

    Parameters
    ----------
    labels : array_like (N, K), astropy Table or structured array (N,)
    names : sequence of str
        The K label names.

    Returns
    -------
    ndarray, (N, K), float64
        Masked values are NaN.

    Raises
    ------
    InputError
        Where a column is missing, or the shape or type cannot be used.
    """
    columns = getattr(labels, "colnames", None)
    if columns is None and getattr(labels, "dtype", None) is not None:
        columns = labels.dtype.names
    if columns is None and isinstance(labels, dict):
        columns = list(labels)
    if columns is not None:
        missing = [name for name in names if name not in columns]
        if missing:
            raise InputError(
                f"the table has no column {', '.join(map(repr, missing))}; "
                f"it has {', '.join(columns)}"
            )
        labels = np.ma.column_stack([_column(labels[name], name) for name in names])
    labels = labels if np.ma.isMaskedArray(labels) else np.asarray(labels)
    if labels.dtype.kind not in "fiu":
        raise InputError(f"labels have type {labels.dtype}; expected real numbers")
    if labels.ndim != 2 or labels.shape[1] != len(names):
        raise InputError(
            f"labels have shape {labels.shape}; expected (stars, {len(names)}) "
            f"for the labels {', '.join(names)}"
        )
    return np.ascontiguousarray(np.ma.filled(labels.astype(np.float64), np.nan))


def _column(column, name):
    values = np.ma.asarray(getattr(column, "value", column))
    if values.dtype.kind not in "fiu" or values.ndim != 1:
        raise InputError(
            f"label column {name!r} has type {values.dtype} and shape {values.shape}; "
            "expected one real number per star"
        )
    return values.astype(np.float64)
