"""The model file: plain FITS tables and images, no code in it.

Primary header: kind, format version and the settings of the model. THETA (P, T) and S2,
STATUS, optional WAVELENGTH images; LABELS (name, fiducial, scale), TERMS (exponents),
STARTS (J, K), optional HULL (K, n) and CENSOR (P, K), optional table CONTINUUM (see
`normalise.Normaliser.to_table`).
"""

import numpy as np
from astropy.io import fits
from astropy.table import Table

from .checks import check_coefficients, check_label_values, check_wavelength
from .errors import parsing
from .fitsfiles import hdu_to_table, open_verified, table_to_hdu, write_hdus
from .normalise import Normaliser
from .starts import N_STARTS

KIND = "CannonModel"
VERSION = 1
CONTINUUM = "CONTINUUM"
LARGEST = 1e10  # of scaled labels and of flags


def write_model(model, path, facts=None):
    """Write a trained `CannonModel`; see `CannonModel.write`."""
    primary = fits.PrimaryHDU()
    primary.header.update(facts or {})
    primary.header["L1"] = (model.l1, "strength of the penalty on theta")
    primary.header["SCATTER"] = (model.scatter, "how s2 was found")
    labels = Table()
    labels["name"] = list(model.label_names)
    labels["fiducial"] = model.fiducials
    labels["scale"] = model.scales
    images = {
        "THETA": model.theta,
        "S2": model.s2,
        "STATUS": model.status,
        "EXPONENT": model.terms.exponents,
        "STARTS": model.starts,
        "WAVE": model.wavelength,
        "HULL": model.hull,
        "CENSOR": _censor_image(model),
    }
    hdus = [primary, table_to_hdu(labels, "LABELS")]
    for name, values in images.items():
        if values is not None:
            hdus.append(fits.ImageHDU(values, name=name))
    if model.normaliser is not None:
        hdus.append(_normaliser_hdu(model.normaliser))
    write_hdus(path, hdus, KIND, VERSION)


def read_model(cls, path):
    """Read a model of class ``cls``; see `CannonModel.read`."""
    with open_verified(path, KIND, VERSION) as hdus, parsing(path, "the model"):
        labels = hdu_to_table(hdus["LABELS"])
        images = {
            hdu.name: _image(hdu)
            for hdu in hdus[1:]
            if hdu.name not in ("LABELS", CONTINUUM)
        }
        names = tuple(str(name) for name in labels["name"])
        model = cls(
            names,
            terms=images["EXPONENT"],
            l1=hdus[0].header["L1"],
            scatter=hdus[0].header["SCATTER"],
        )
        if not np.array_equal(model.terms.exponents, images["EXPONENT"]):
            raise ValueError("the first of its terms is not the constant")
        model.fiducials = check_label_values(
            labels["fiducial"], len(names), "fiducials"
        )
        model.scales = check_label_values(labels["scale"], len(names), "scales")
        if not (model.scales > 0).all():
            raise ValueError(f"scales are {model.scales}")
        model.theta, model.s2 = check_coefficients(
            images["THETA"], images["S2"], model.terms
        )
        _read_images(model, images)
        if CONTINUUM in hdus:
            model.normaliser = _read_normaliser(hdus[CONTINUUM])
            check_wavelength(model.normaliser.wavelength, len(model.s2))
    return model


def _image(hdu):
    """Return an image in the machine's byte order."""
    if not isinstance(hdu, fits.ImageHDU) or hdu.data is None:
        raise ValueError(f"{hdu.name} is no image")
    return np.ascontiguousarray(hdu.data, dtype=hdu.data.dtype.newbyteorder("="))


def _read_images(model, images):
    """Give a model the arrays that kernels index by its pixels P and labels K."""
    n_pixels, n_labels = len(model.s2), len(model.label_names)
    model.status = _shaped(images, "STATUS", (n_pixels,), "i").astype(np.int64)
    model.starts = _shaped(images, "STARTS", (None, n_labels), "f")
    if not 1 <= len(model.starts) <= N_STARTS:
        raise ValueError(
            f"STARTS holds {len(model.starts)} points, not 1 to {N_STARTS}"
        )
    if "HULL" in images:
        model.hull = _shaped(images, "HULL", (n_labels, None), "f")
        if not model.hull.size:
            raise ValueError("HULL holds no point")
    if "WAVE" in images:
        model.wavelength = check_wavelength(images["WAVE"], n_pixels)
    if "CENSOR" in images:
        mask = _shaped(images, "CENSOR", (n_pixels, n_labels), "ui") > 0
        model.censors = {
            name: mask[:, k]
            for k, name in enumerate(model.label_names)
            if mask[:, k].any()
        }


def _shaped(images, name, shape, kinds):
    """Return an image of this shape (None: any length) and kind of numbers."""
    found = images[name]
    same = found.ndim == len(shape) and all(
        length in (None, own) for length, own in zip(shape, found.shape, strict=True)
    )
    if not same or found.dtype.kind not in kinds:
        raise ValueError(f"{name} has shape {found.shape} and type {found.dtype}")
    if not (np.abs(found) <= LARGEST).all():
        raise ValueError(f"{name} holds values that are not finite or beyond {LARGEST}")
    return found.astype(np.float64) if "f" in kinds else found


def _normaliser_hdu(normaliser):
    table = normaliser.to_table()
    hdu = table_to_hdu(table, CONTINUUM)
    hdu.header.update(table.meta)
    return hdu


def _read_normaliser(hdu):
    table = hdu_to_table(hdu)
    table.meta.update(hdu.header)
    return Normaliser.from_table(table)


def _censor_image(model):
    if not model.censors:
        return None
    image = np.zeros((len(model.s2), len(model.label_names)), dtype=np.uint8)
    for k, name in enumerate(model.label_names):
        if name in model.censors:
            image[:, k] = model.censors[name]
    return image
