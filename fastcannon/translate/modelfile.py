"""The translator's file: plain FITS tables and images, no code in it.

SETTINGS (one row), INPUTS and OUTPUTS (one row per column), SUMMARY; images WEIGHTn and
BIASn of layer n, MAP arrays, what the quality flags and errors need, HISTORY. Formats
and checksums as of `fitsfiles`; memory is bounded by the size of the file.
"""

from dataclasses import asdict, fields

import numpy as np
from astropy.io import fits
from astropy.table import Table

from ..errors import parsing
from ..fitsfiles import hdu_to_table, open_verified, table_to_hdu, write_hdus
from .baselines import KINDS, term_count
from .mapping import Map
from .network import Dense, layer_shapes
from .quality import BINS, Extent, pairs
from .settings import Settings
from .trained import Side, Trained

KIND = "Translator"
VERSION = 1
_SCATTERS = (*KINDS, "networks", "blend", "bias", "share", "floor")
_ERRORS_OF = ("true", "measured")
_ARRAYS = ("SKIP", "SMOOTH", "LINEAR", "SCORES", "REFER", "HISTORY")


def write_translator(translator, path):
    """Write a trained translator; see `Translator.write`."""
    trained = translator.trained
    primary = fits.PrimaryHDU()
    primary.header["ENSEMBLE"] = (translator.ensemble, "networks")
    primary.header["SEED"] = (translator.seed, "of folds, networks and batches")
    primary.header["STARCOL"] = (translator.star or "", "column that names the stars")
    primary.header["LIMIT"] = (trained.limit, "distance beyond which a star is far")
    primary.header["NSTARS"] = (trained.n_stars, "stars trained on")
    primary.header["NLEFT"] = (trained.n_incomplete, "rows left out, incomplete")
    outputs = _side_table(trained.outputs)
    outputs["start"] = np.array(translator.starts, dtype=np.int64)
    outputs["share"] = trained.map.share
    for number, kind in enumerate(_ERRORS_OF):
        outputs[f"floor_{kind}"] = trained.floor[number]
        outputs[f"factor_{kind}"] = trained.factor[number]
    tables = {
        "SETTINGS": Table([asdict(translator.settings)]),
        "INPUTS": _side_table(trained.inputs),
        "OUTPUTS": outputs,
        "SUMMARY": trained.summary,
    }
    arrays = (
        trained.map.skip,
        trained.map.smooth,
        trained.map.linear,
        trained.scores,
        trained.reference,
        trained.history,
    )
    images = dict(zip(_ARRAYS, arrays, strict=True))
    for name, side in (("PAIRSIN", trained.inputs), ("PAIRSOUT", trained.outputs)):
        if len(side.extent.occupied):
            images[name] = side.extent.occupied.astype(np.uint8)
    for number, layer in enumerate(trained.map.layers):
        images[f"WEIGHT{number}"], images[f"BIAS{number}"] = layer
    hdus = [primary, *(table_to_hdu(table, name) for name, table in tables.items())]
    hdus += [fits.ImageHDU(values, name=name) for name, values in images.items()]
    write_hdus(path, hdus, KIND, VERSION)


def read_translator(cls, path):
    """Read a translator of class ``cls``; see `Translator.read`."""
    with open_verified(path, KIND, VERSION) as hdus, parsing(path, "the translator"):
        header = hdus[0].header
        tables = {hdu.name: hdu_to_table(hdu) for hdu in hdus[1:5]}
        images = {
            hdu.name: np.array(hdu.data, dtype=hdu.data.dtype.newbyteorder("="))
            for hdu in hdus[5:]
        }
        translator = _blank(cls, header, tables)
        translator.trained = _trained(translator, header, tables, images)
    return translator


def _side_table(side):
    table = Table()
    table["name"] = list(side.names)
    for name in ("units", "errors"):
        table[name] = np.array(getattr(side, name), dtype="U")
    for name in ("centre", "scale", "typical"):
        table[name] = getattr(side, name)
    table["low"], table["high"] = side.extent.low, side.extent.high
    return table


def _blank(cls, header, tables):
    """The translator as it was before it was trained."""
    row = tables["SETTINGS"][0]
    values = {field.name: _plain(row[field.name]) for field in fields(Settings)}
    inputs, outputs = tables["INPUTS"], tables["OUTPUTS"]
    names = [str(name) for name in inputs["name"]]
    if not (outputs["start"] < len(names)).all():
        raise ValueError(f"start is beyond the {len(names)} inputs")
    starts = {
        str(name): names[start] if start >= 0 else None
        for name, start in zip(outputs["name"], outputs["start"], strict=True)
    }
    return cls(
        names,
        [str(name) for name in outputs["name"]],
        ensemble=header["ENSEMBLE"],
        seed=header["SEED"],
        start=starts,
        star=header["STARCOL"] or None,
        settings=Settings(**values),
    )


def _plain(value):
    """Return a cell as a plain number or tuple of numbers."""
    return tuple(value.tolist()) if np.ndim(value) else value.item()


def _trained(translator, header, tables, images):
    outputs, count = tables["OUTPUTS"], len(translator.outputs)
    side_in = _side(tables["INPUTS"], images.get("PAIRSIN"))
    side_out = _side(outputs, images.get("PAIRSOUT"))
    trained_map = Map(
        _layers(translator, images),
        _image(images, "SKIP", (len(translator.inputs), count)),
        _image(images, "SMOOTH", (term_count(len(translator.inputs)), count)),
        _image(images, "LINEAR", (term_count(len(translator.inputs)), count)),
        _numbers(outputs, "share"),
    )
    floor, factor = (
        np.array([_numbers(outputs, f"{name}_{kind}") for kind in _ERRORS_OF])
        for name in ("floor", "factor")
    )
    return Trained(
        side_in,
        side_out,
        trained_map,
        floor,
        factor,
        _image(images, "SCORES", (None, count)),
        _image(images, "REFER", (None, len(translator.inputs))),
        _card(header, "LIMIT", (float, int)),
        translator.settings.smooth_far,
        # NaN of networks that were done before the others.
        _shaped(images, "HISTORY", (None, 2, translator.ensemble)),
        _summary(tables["SUMMARY"], side_out),
        _card(header, "NSTARS", int),
        _card(header, "NLEFT", int),
    )


def _layers(translator, images):
    shapes = layer_shapes(
        len(translator.inputs),
        len(translator.outputs),
        translator.settings.width,
        translator.settings.doublings,
    )
    return tuple(
        Dense(
            _image(images, f"WEIGHT{number}", (translator.ensemble, *shape)),
            _image(images, f"BIAS{number}", (translator.ensemble, 1, shape[1])),
        )
        for number, shape in enumerate(shapes)
    )


def _card(header, name, kind):
    """Return the value of a keyword, a number of this kind and not below zero."""
    value = header[name]
    if isinstance(value, bool) or not isinstance(value, kind) or not value >= 0:
        raise ValueError(f"{name} is {value!r}")
    return value


def _image(images, name, shape):
    """Return an image of this shape and finite numbers, or raise ValueError."""
    return _finite(_shaped(images, name, shape), name)


def _shaped(images, name, shape):
    """Return an image of this shape, None for any number, or raise ValueError."""
    found = images[name].shape
    if len(found) != len(shape) or any(
        wanted not in (None, n) for n, wanted in zip(found, shape, strict=True)
    ):
        raise ValueError(f"{name} has shape {found}, not {shape}")
    return images[name]


def _numbers(table, name):
    """Return a column as (S,) finite numbers, or raise ValueError."""
    values = np.asarray(table[name])
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds no numbers")
    return _finite(values.astype(np.float64), name)


def _finite(values, name):
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds values that are not finite")
    return values


def _summary(table, side):
    """Return the table of scatters, or raise ValueError or KeyError."""
    if tuple(map(str, table["output"])) != side.names:
        raise ValueError("output of SUMMARY and name of OUTPUTS are not the same")
    if table["unit"].dtype.kind not in "US":
        raise ValueError("unit of SUMMARY is no text")
    for name in _SCATTERS:
        _numbers(table, name)
    return table


def _side(table, occupied):
    count = len(pairs(len(table)))
    if occupied is None:
        occupied = np.zeros((0, BINS, BINS), dtype=bool)
    if occupied.shape != (count, BINS, BINS):
        raise ValueError(f"pair histograms have shape {occupied.shape}")
    names, units, errors = (
        tuple(str(text) for text in table[name]) for name in ("name", "units", "errors")
    )
    centre, scale, typical, low, high = (
        _numbers(table, name) for name in ("centre", "scale", "typical", "low", "high")
    )
    if not (scale > 0).all():
        raise ValueError("scale holds values that are not positive")
    extent = Extent(low, high, occupied > 0)
    return Side(names, units, centre, scale, errors, typical, extent)
