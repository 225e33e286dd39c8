"""What a file of this package holds, in words: ``fastcannon info``."""

import numpy as np

from . import fitsfiles, fitsheaders
from .errors import FileFormatError, parsing
from .jobs import count_flags, flags_text
from .kinds import HELD_OUT, LABELS, LEFT_OUT, STARS, TRAINING, VALIDATION
from .labels import unit
from .model import CannonModel
from .modelfile import KIND as MODEL
from .result import STAR_STATUS
from .spectra import KIND as SPECTRA
from .spectra import SpectraFile
from .training import PIXEL_STATUS


def describe(path):
    """Say what a file of this package holds.

    Parameters
    ----------
    path : str or Path
        A model, a translator, a spectra file, or a table of this package.

    Returns
    -------
    list of (str, str)
        Names and values, in the order of reading.

    Raises
    ------
    FileFormatError
        The file is not one of these, or damaged.
    """
    from .catalogue_files import KIND as CATALOGUE  # here: they load much
    from .translate.modelfile import KIND as TRANSLATOR

    kind, version = fitsheaders.read_kind(path)
    describers = {
        MODEL: _describe_model,
        SPECTRA: _describe_spectra,
        LABELS: _describe_table,
        VALIDATION: _describe_table,
        TRANSLATOR: _describe_translator,
        **dict.fromkeys(
            (TRAINING, CATALOGUE, STARS, LEFT_OUT, HELD_OUT), _describe_rows
        ),
    }
    if kind not in describers:
        raise FileFormatError(
            f"{path} is a fastcannon file of kind {kind!r}, which this version does "
            f"not know; it knows {', '.join(describers)}"
        )
    return [("kind", f"{kind}, format version {version}"), *describers[kind](path)]


def _describe_model(path):
    model = CannonModel.read(path)
    labels = zip(model.label_names, model.fiducials, model.scales, strict=True)
    return [
        *(
            (
                f"label {name}",
                f"fiducial {fiducial:.6g}, scale {scale:.6g} {unit(name)}",
            )
            for name, fiducial, scale in labels
        ),
        ("terms", f"{len(model.terms)}: {' '.join(model.terms.names)}"),
        ("pixels", _pixels_text(len(model.s2), model.wavelength)),
        ("flagged", flags_text(count_flags(model.status, PIXEL_STATUS)) + " (pixels)"),
        ("scatter", model.scatter),
        ("l1", f"{model.l1:g}"),
        ("censored", ", ".join(model.censors) or "none"),
        ("continuum", continuum_text(model.normaliser)),
    ]


def continuum_text(normaliser):
    """Return how a model's spectra are normalised, as text."""
    if normaliser is None:
        return "as given"
    floor = f"error floor {normaliser.error_floor:g}"
    if normaliser.order is None:
        return f"as given by the survey; {floor}"
    return (
        f"Chebyshev polynomials of order {normaliser.order} in "
        f"{len(normaliser.regions)} regions through {normaliser.pixels.sum():,} "
        f"pixels; {floor}"
    )


def _describe_translator(path):
    from .translate import Translator

    translator = Translator.read(path)
    trained = translator.trained
    pairs = ", ".join(
        f"{name} (from {translator.inputs[start]})" if start >= 0 else name
        for name, start in zip(translator.outputs, translator.starts, strict=True)
    )
    return [
        ("inputs", ", ".join(translator.inputs)),
        ("outputs", pairs),
        ("networks", f"{translator.ensemble}"),
        ("stars", f"{trained.n_stars:,}; {trained.n_incomplete:,} incomplete left out"),
        *(
            (f"scatter {row['output']}", f"{row['blend']:.4g} {row['unit']}".strip())
            for row in trained.summary
        ),
    ]


def _describe_spectra(path):
    with SpectraFile(path) as spectra:
        spectra.verify()
        stars = spectra.stars
        columns = [
            name + (f" [{stars[name].unit}]" if stars[name].unit else "")
            for name in stars.colnames
        ]
        return [
            ("normalised", "yes" if spectra.normalised else "no"),
            ("spectra", f"{spectra.n_stars:,}"),
            ("pixels", _pixels_text(spectra.n_pixels, spectra.wavelength)),
            *(
                (name.lower(), str(spectra.facts[name]))
                for name in ("SURVEY", "MEDIUM", "PART", "PARTS")
                if name in spectra.facts
            ),
            ("refused", f"{len(spectra.refused):,} inputs"),
            ("columns", ", ".join(columns)),
        ]


def _describe_rows(path):
    """Describe a table of which nothing more is to be said."""
    kind, version = fitsheaders.read_kind(path)
    spans = fitsheaders.check_layout(path, kind, version)
    fitsheaders.verify_checksums(path)
    header = spans[-1].header
    if len(spans) != 2 or header["XTENSION"] != "BINTABLE":
        raise FileFormatError(f"{path}: one table is expected; copy or write it again")
    names = [header[f"TTYPE{n}"] for n in range(1, header["TFIELDS"] + 1)]
    return [("rows", f"{header['NAXIS2']:,}"), ("columns", ", ".join(names))]


def _describe_table(path):
    kind, _ = fitsheaders.read_kind(path)
    table = fitsfiles.read_table(path, kind)
    with parsing(path, f"HDU {kind}"):
        return _table_facts(table)


def _table_facts(table):
    """Return what there is to say of a table of labels."""
    errors = [name for name in table.colnames if name.startswith("e_")]
    return [
        ("spectra", f"{len(table):,}"),
        ("labels", ", ".join(name.removeprefix("e_") for name in errors)),
        *(
            (f"median {name}", _median_text(table[name]))
            for name in [*errors, "r_chi2", "snr"]
        ),
        (
            "flagged",
            flags_text(count_flags(table["status"], STAR_STATUS)) + " (spectra)",
        ),
        ("columns", ", ".join(table.colnames)),
    ]


def _median_text(values):
    """Return the median of the finite values as text."""
    finite = values[np.isfinite(values)]
    return f"{np.median(finite):.4g}" if len(finite) else "none"


def _pixels_text(count, wavelength):
    """Return the number of pixels and their range, where it is known."""
    if wavelength is None:
        return f"{count:,}"
    return f"{count:,}, {wavelength[0]:.2f} to {wavelength[-1]:.2f} Angstrom"
