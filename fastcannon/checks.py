"""Checks of what a model is made from and trained on; each raises InputError."""

import numpy as np

from .errors import InputError


def check_names(label_names):
    if isinstance(label_names, str):
        label_names = (label_names,)
    names = tuple(label_names)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(
            f"label_names are {label_names!r}; expected one or more strings"
        )
    if len(set(names)) < len(names):
        raise InputError(f"label_names {names} hold a name twice")
    return names


def check_censors(censors, names):
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


def check_wavelength(wavelength, n_pixels):
    if wavelength is None:
        return None
    wavelength = np.array(wavelength, dtype=np.float64)
    if wavelength.shape != (n_pixels,):
        raise InputError(
            f"wavelength has shape {wavelength.shape}; "
            f"the spectra have {n_pixels} pixels"
        )
    return wavelength


def check_label_values(values, n_labels, name):
    values = np.array(values, dtype=np.float64)
    if values.shape != (n_labels,) or not np.isfinite(values).all():
        raise InputError(f"{name} are {values}; expected {n_labels} finite numbers")
    return values


def percentile_scaling(labels, names):
    """Median and 2.5 to 97.5 percentile range (Nandakumar+2022 eq. 2)."""
    low, fiducials, high = np.percentile(labels, (2.5, 50.0, 97.5), axis=0)
    scales = high - low
    for k, name in enumerate(names):
        if not scales[k] > 0:
            raise InputError(
                f"label {name!r} is (nearly) constant over the training stars "
                f"({labels[:, k].min()} to {labels[:, k].max()}): leave it out"
            )
    return fiducials, scales


def check_independent(terms, x):
    """Refuse labels whose terms cannot be told apart on the training stars."""
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
