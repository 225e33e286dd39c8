"""The model file: plain FITS tables and images, no code in it.

Primary header: kind, format version and the settings of the model. THETA (P, T) and S2,
STATUS, optional WAVELENGTH images; LABELS (name, fiducial, scale), TERMS (exponents),
STARTS (J, K), optional HULL (K, n) and CENSOR (P, K), optional table CONTINUUM (see
`normalise.Normaliser.to_table`).
"""

import numpy as np
from astropy.io import fits
from astropy.table import Table

from .errors import FileFormatError
from .fitsfiles import hdu_to_table, open_verified, table_to_hdu, write_hdus
from .terms import Terms

KIND = "CannonModel"
VERSION = 1
CONTINUUM = "CONTINUUM"


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
    with open_verified(path, KIND, VERSION) as hdus:
        try:
            labels = hdu_to_table(hdus["LABELS"])
            images = {
                hdu.name: np.ascontiguousarray(
                    hdu.data, dtype=hdu.data.dtype.newbyteorder("=")
                )
                for hdu in hdus[2:]
                if hdu.name != CONTINUUM
            }
            names = tuple(str(name) for name in labels["name"])
            model = cls(
                names,
                terms=images["EXPONENT"],
                censors=_censor_masks(images.get("CENSOR"), names),
                l1=hdus[0].header["L1"],
                scatter=hdus[0].header["SCATTER"],
            )
            model.terms = Terms(names, images["EXPONENT"])
            model.fiducials = np.array(labels["fiducial"], dtype=np.float64)
            model.scales = np.array(labels["scale"], dtype=np.float64)
            model.theta, model.s2 = images["THETA"], images["S2"]
            model.status, model.starts = images["STATUS"], images["STARTS"]
            if CONTINUUM in hdus:
                model.normaliser = _read_normaliser(hdus[CONTINUUM])
        except (KeyError, ValueError) as error:
            raise FileFormatError(
                f"{path}: the model is incomplete ({error}); train or copy it again"
            ) from error
    model.wavelength = images.get("WAVE")
    model.hull = images.get("HULL")
    return model


def _normaliser_hdu(normaliser):
    table = normaliser.to_table()
    hdu = table_to_hdu(table, CONTINUUM)
    hdu.header.update(table.meta)
    return hdu


def _read_normaliser(hdu):
    from .normalise import Normaliser  # imports models

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


def _censor_masks(image, names):
    if image is None:
        return None
    masks = {name: image[:, k] > 0 for k, name in enumerate(names)}
    return {name: mask for name, mask in masks.items() if mask.any()}
