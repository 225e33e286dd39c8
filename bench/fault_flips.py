"""Random bits flipped in every kind of file that is written, then read again."""

import hashlib
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from fastcannon import CannonModel, fitsfiles, parts
from fastcannon.catalogue_files import (
    CATALOGUE_VERSION,
    KIND,
    check_manifest,
    read_partition,
)
from fastcannon.errors import FastcannonError
from fastcannon.kinds import LABELS, LEFT_OUT, STARS, TRAINING, VALIDATION
from fastcannon.report.rundata import RunData
from fastcannon.spectra import SpectraFile
from fastcannon.textfiles import read_ecsv, read_json
from fastcannon.translate import Translator

DETECTED, HARMLESS, SILENT, CRASH = "detected", "harmless", "silent", "crash"
OUTCOMES = (DETECTED, HARMLESS, SILENT, CRASH)
# Of the catalogues: text, numbers, flags.
COLUMNS = ["survey_id", "ra", "teffCann", "e_fehCann", "flag_fastcannon"]
HEAD = 12_000  # bytes: every second flip is in here, where headers are


class Flip(NamedTuple):
    """A bit of a file, and what came of it when it was the other one."""

    kind: str
    file: str
    byte: int
    bit: int
    outcome: str
    said: str


def kinds(run, single):
    """Return the kinds of files: name to (paths, reader).

    Parameters
    ----------
    run : Path
        Folder of a finished run.
    single : dict of str to Path
        Files of other commands: "spectra", "translator", "table".
    """
    found = {
        "model": ("models/*.fits", _model),
        "packed spectra": ("packed/*/part-*.fits", _spectra),
        "training set": ("training.fits", _table(TRAINING)),
        "validation": ("validation/*.fits", _table(VALIDATION)),
        "labels": ("labels/*/part-*.fits", _table(LABELS)),
        "stars": ("stars/*/part-*.fits", _table(STARS)),
        "left out": ("left_out/*.fits", _table(LEFT_OUT)),
        "catalogue": ("catalogues/*.fits", _table(KIND, CATALOGUE_VERSION)),
        "Parquet": ("catalogues/*/*.parquet", read_partition),
        "Parquet, report": ("catalogues/*/*.parquet", _columns),
        "calibration": ("calibration/*.json", parts.read_scale),
        "run.json": ("run.json", read_json),
        "summary.json": ("summary.json", read_json),
        "timings.json": ("timings.json", read_json),
        "ECSV tables": ("*.ecsv", read_ecsv),
        "list of refused": ("packed/*/refused.ecsv", read_ecsv),
        "manifest": ("manifest.sha256", _manifest),
    }
    there = {
        name: (sorted(run.glob(where)), reader)
        for name, (where, reader) in found.items()
    }
    readers = {"spectra": _spectra, "translator": _translator, "table": read_ecsv}
    return there | {name: ([single[name]], readers[name]) for name in single}


def flip_all(found, count, rng):
    """Flip bits one at a time, spread evenly over the kinds of files.

    Parameters
    ----------
    found : dict
        Of `kinds`; the files end as they were.
    count : int
    rng : numpy Generator

    Returns
    -------
    list of Flip
    """
    names = [name for name, (paths, _) in found.items() if paths]
    before = {}
    flips = []
    for number in range(count):
        kind = names[number % len(names)]
        paths, reader = found[kind]
        path = paths[rng.integers(len(paths))]
        if (kind, path) not in before:
            before[kind, path] = fingerprint(reader(path))
        size = path.stat().st_size
        first = min(size, HEAD) if number // len(names) % 2 else size
        place, bit = int(rng.integers(first)), int(rng.integers(8))
        outcome, said = flip(path, reader, place, bit, before[kind, path])
        flips.append(Flip(kind, path.name, place, bit, outcome, said))
    return flips


def flip(path, reader, place, bit, before):
    """Flip a bit, read the file and flip it back; return the outcome and what was said.

    Parameters
    ----------
    path : Path
    reader : callable
    place, bit : int
    before : str
        Fingerprint of what the reader returned.
    """
    _turn(path, place, bit)
    try:
        after = fingerprint(reader(path))
    except FastcannonError as error:
        return DETECTED, str(error)
    except Exception as error:
        return CRASH, f"{type(error).__name__}: {error}"
    finally:
        _turn(path, place, bit)
    return (HARMLESS if after == before else SILENT), ""


def fingerprint(value):
    """Return the digest of values, whatever they are kept in."""
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()


def _add(digest, value):
    """Add a value to a digest, with its type and the names in it."""
    digest.update(type(value).__name__.encode())
    if isinstance(value, Table):
        for column in value.itercols():
            info = column.info
            _add(digest, (info.name, str(info.unit), str(info.description)))
            _add(digest, np.ma.getmaskarray(column))
            _add(digest, np.ma.getdata(column))
        _add(digest, dict(value.meta))
    elif isinstance(value, dict):
        for name in value:
            _add(digest, name)
            _add(digest, value[name])
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        plain = value.tolist() if value.dtype.kind == "O" else value.tobytes()
        digest.update(repr(plain).encode() if isinstance(plain, list) else plain)
    elif isinstance(value, list | tuple):
        for one in value:
            _add(digest, one)
    else:
        digest.update(repr(value).encode())


def _turn(path, place, bit):
    with open(path, "r+b") as handle:
        handle.seek(place)
        (byte,) = handle.read(1)
        handle.seek(place)
        handle.write(bytes([byte ^ 1 << bit]))


def _table(kind, version=fitsfiles.TABLE_VERSION):
    def read(path):
        with fitsfiles.open_verified(path, kind, version) as hdus:
            return fitsfiles.hdu_to_table(hdus[1]), dict(hdus[0].header)

    return read


def _spectra(path):
    """Read all of a spectra file as commands do: checksums first."""
    with SpectraFile(path) as spectra:
        spectra.verify()
        images = spectra.read_rows(0, spectra.n_stars)
        return images, spectra.wavelength, spectra.stars, dict(spectra.facts)


def _model(path):
    return _written(CannonModel.read(path))


def _translator(path):
    return _written(Translator.read(path))


def _written(model):
    """Return a model as the bytes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        model.write(Path(folder) / "model.fits")
        return (Path(folder) / "model.fits").read_bytes()


def _manifest(path):
    problems = check_manifest(path)
    if problems:
        raise FastcannonError(problems[0])


def _columns(path):
    """Read columns of a partition as the report does; its notes are refusals."""
    home = path.parents[2]
    scale = path.parent.name.removesuffix("-scaled")
    survey = path.name.partition("-")[0]
    surveys = (survey, "other")
    run = RunData(home, surveys, ("teff",), {}, partitions={scale: {survey: [path]}})
    found = run.catalogue(scale, COLUMNS)
    if run.missing:
        raise FastcannonError(run.missing[0])
    return found
