"""The one gate for arrays: what enters the kernels is native, contiguous and finite."""

import warnings

import numpy as np

from .errors import BadPixelWarning, InputError
from .kernels.gate import clean_rows, count_bad
from .parallel import ranges, run_blocks

ROWS = 256  # spectra at a time


def clean_spectra(flux, ivar, warn=True, threads=None):
    """Return flux and ivar as the kernels need them; the caller's stay as they are.

    Masked or NaN flux, and NaN, infinite or negative ivar, become ivar 0; so do flux
    beyond 1e10 and ivar beyond 1e15, which no normalised spectrum has. They are counted
    in one warning.

    Parameters
    ----------
    flux, ivar : array_like, (S, P)
        Normalised flux and its inverse variance, of any real type.
    warn : bool
        False where the same spectra were warned about before.
    threads : int, optional
        Default: all cores.

    Returns
    -------
    flux, ivar : ndarray, (S, P), float32
        C-contiguous and finite; the arrays given where they already are.

    Raises
    ------
    InputError
        Where shapes or types cannot be used.
    """
    flux, masked_flux = _as_float32(flux, "flux")
    ivar, masked_ivar = _as_float32(ivar, "ivar")
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
    n_bad, n_unknown = _count(flux, ivar, threads)
    masked = 0
    for mask in (masked_flux, masked_ivar):
        if mask is not None:
            masked += int(mask.sum())
    if n_bad or n_unknown or masked:
        flux, ivar = flux.copy(), ivar.copy()
        for mask in (masked_flux, masked_ivar):
            if mask is not None:
                ivar[mask] = 0.0
        clean_rows(flux, ivar)
    if warn and (n_bad or masked):
        warnings.warn(
            f"{n_bad + masked} of {flux.size} pixels have masked, NaN, infinite, "
            "negative or absurd values (flux beyond 1e10, ivar beyond 1e15): "
            "they count as zero weight",
            BadPixelWarning,
            stacklevel=3,
        )
    return flux, ivar


def _count(flux, ivar, threads):
    """Bad pixels, and pixels without information whose flux is not a number."""

    def task(start, stop):
        return count_bad(flux[start:stop], ivar[start:stop])

    blocks = run_blocks(task, ranges(len(flux), ROWS), threads)
    return tuple(sum(counts) for counts in zip(*blocks, strict=True)) or (0, 0)


def _as_float32(values, name):
    """Return a C-contiguous native float32 array and the mask, if the input has one."""
    mask = np.ma.getmask(values)
    values = np.asarray(np.ma.getdata(values))
    if values.dtype.kind not in "fiu":
        raise InputError(
            f"{name} has type {values.dtype}; expected real numbers (float or integer)"
        )
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(values, dtype=np.float32)
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
    if np.ma.isMaskedArray(labels):
        labels = labels.astype(np.float64).filled(np.nan)
    labels = np.asarray(labels)
    if labels.dtype.kind not in "fiu":
        raise InputError(f"labels have type {labels.dtype}; expected real numbers")
    if labels.ndim != 2 or labels.shape[1] != len(names):
        raise InputError(
            f"labels have shape {labels.shape}; expected (stars, {len(names)}) "
            f"for the labels {', '.join(names)}"
        )
    return np.ascontiguousarray(labels, dtype=np.float64)


def _column(column, name):
    values = np.ma.asarray(getattr(column, "value", column))
    if values.dtype.kind not in "fiu" or values.ndim != 1:
        raise InputError(
            f"label column {name!r} has type {values.dtype} and shape {values.shape}; "
            "expected one real number per star"
        )
    return values.astype(np.float64)
