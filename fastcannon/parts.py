"""The work on one packed part, as functions that any process or machine can run.

A task names files; its result is small. What is written is complete or not there.
"""

import time
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from . import fitsfiles, jobs, kinds
from .catalogue import FLAGS, MUST_BE_ZERO, Scale, catalogue_rows, clean
from .catalogue_files import read_partition, write_partition
from .digests import file_digest
from .errors import FastcannonError, parsing
from .model import CannonModel
from .repeats import Decay
from .runfolder import PLAN
from .spectra import SpectraFile
from .textfiles import read_json, write_json

# How many spectra inference prepares for: fixed, so that bytes do not depend on it.
MANY = 100_000
_MODELS = 4  # a worker keeps those of two surveys


class Inference(NamedTuple):
    """Labels of a packed part by some models.

    Attributes
    ----------
    spectra : str
        Packed part.
    models : tuple of (path, digest)
    paths : tuple of str
        Tables of labels to be written.
    plans : tuple of str
        Digests of all that they are made from.
    starts : int
        Descents per spectrum.
    n_spectra : int
        For the progress bar.
    """

    spectra: str
    models: tuple
    paths: tuple
    plans: tuple
    starts: int
    n_spectra: int


class Partition(NamedTuple):
    """Catalogue rows of a packed part on one scale.

    Attributes
    ----------
    stars, labels : str
        Tables of the part.
    calibration : (path, digest)
        File of `write_scale`.
    path : str
        Parquet file to be written.
    facts : dict
        Provenance.
    """

    stars: str
    labels: str
    calibration: tuple
    path: str
    facts: dict


def infer_part(task):
    """Infer the labels of a packed part and write the tables.

    Parameters
    ----------
    task : Inference

    Returns
    -------
    float
        Seconds of processor time.
    """
    start = time.process_time()
    prepared = [_prepared(*model, task.starts) for model in task.models]
    facts = [{PLAN: (plan, "digest of spectra and model")} for plan in task.plans]
    with SpectraFile(task.spectra) as spectra:
        jobs.infer_all(prepared, spectra, task.paths, facts, threads=1)
    return time.process_time() - start


def catalogue_part(task):
    """Write the catalogue rows of a packed part.

    Parameters
    ----------
    task : Partition

    Returns
    -------
    dict
        See `counts_of`.
    """
    tables = []
    for path, kind in ((task.stars, kinds.STARS), (task.labels, kinds.LABELS)):
        tables.append(fitsfiles.read_table(path, kind))
    table = catalogue_rows(*tables, _scale(*task.calibration))
    write_partition(task.path, table, task.facts)
    return counts_of(table)


def finished_partition(task):
    """Return the counts of a partition that is there, undamaged; None if it is not.

    Parameters
    ----------
    task : Partition
    """
    try:
        table, facts = read_partition(task.path)
    except (FastcannonError, OSError):
        return None
    return counts_of(table) if facts == task.facts else None


def counts_of(table):
    """Return the numbers of rows of a catalogue: all, clean, and with each flag."""
    counts = {"rows": len(table), "clean": int(clean(table).sum())}
    for name in MUST_BE_ZERO:
        counts[name] = int((np.asarray(table[name]) != 0).sum())
    counts["training stars"] = int((np.asarray(table["flag_training"]) == 0).sum())
    ours = np.asarray(table["flag_fastcannon"])
    for name, bit in FLAGS.items():
        counts[name] = int((ours & bit > 0).sum())
    return counts


def add_counts(found):
    """Return the sums of `counts_of` of several partitions."""
    total = Counter()
    for counts in found:
        total.update(counts)
    return dict(total)


def write_scale(path, scale):
    """Write what catalogue rows of a case need as JSON; return its digest.

    Parameters
    ----------
    path : Path
    scale : catalogue.Scale
    """
    content = scale._asdict()
    for name in ("training", "rms", "factors"):
        content[name] = np.asarray(content[name]).tolist()
    write_json(path, content)
    return file_digest(path)


def read_scale(path):
    """Return the `catalogue.Scale` that `write_scale` wrote.

    Raises
    ------
    FileFormatError
        It is damaged.
    """
    found = read_json(path)
    with parsing(path, "calibration"):
        arrays = {
            # JSON has null for NaN.
            name: np.array(found[name], dtype=float)
            for name in ("training", "rms", "factors")
        }
        decays = [
            None if d is None else Decay(*np.array(d, dtype=float).tolist())
            for d in found["decays"]
        ]
        limit = float(np.array(found["r_chi2_limit"], dtype=float))
        return Scale(**(found | arrays | {"decays": decays, "r_chi2_limit": limit}))


@lru_cache(_MODELS)
def _prepared(path, digest, starts):
    """Return a model made ready; the digest tells a file that was replaced."""
    model = CannonModel.read(path)
    return jobs.Prepared(model, model.inferrer(starts, MANY))


@lru_cache(_MODELS)
def _scale(path, digest):
    """Return the calibration of a case; the digest tells a file that was replaced."""
    return read_scale(path)
