"""Pack the many small files of a survey into a few large spectra files.

Groups of files (one star each) are sorted by their key and cut into parts of a
fixed number of groups; each part is one spectra file, written atomically by one
process. A part carries the digest of its plan: its inputs (path, size, time of
change) and the options of reading. A second run keeps the parts whose plan is
unchanged and writes the others, so that a run can be killed at any moment and
ends in the same bytes. Inputs that cannot be used are listed, with the reason,
in the part they belong to.
"""

import fcntl
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from . import fitsheaders, surveys
from .digests import digest, file_state
from .errors import FastcannonError, InputError, WriteError, check_whole
from .locks import locked
from .parallel import ranges
from .scheduler import open_workers
from .spectra import KIND, REFUSED_COLUMNS, VERSION, SpectraFile
from .spectrawriter import SpectraWriter
from .textfiles import write_ecsv

STARS_PER_PART = 4096
PLAN_VERSION = 2  # to be raised when the same inputs give other bytes
REFUSED_LIST = "refused.ecsv"
TEMPORARY = ".part-*.tmp"  # what `atomic_path` writes to
RETRY = "RETRY"  # keyword: an input could not be read, but perhaps another time
SHOWN_IDS = 3
_BLOCK = 64  # groups in memory at a time


class Part(NamedTuple):
    """What one packed file is made from."""

    path: str
    survey: str
    options: dict
    groups: list
    refused: list  # inputs refused by their name, listed in the first part
    number: int
    n_parts: int


@dataclass(frozen=True)
class Packing:
    """What a packing did.

    Attributes
    ----------
    paths : list of Path
        The packed files in order.
    n_spectra, n_groups : int
        Spectra written; groups of files they came from.
    kept : int
        Parts that an earlier run had finished.
    refused : list of surveys.Refused
        Inputs that were left out, and why.
    """

    paths: list[Path]
    n_spectra: int
    n_groups: int
    kept: int
    refused: list


def pack(
    survey,
    files,
    folder,
    options=None,
    stars_per_part=STARS_PER_PART,
    processes=None,
    progress=None,
    run=None,
):
    """Pack the spectra of a survey.

    Parameters
    ----------
    survey : str
        "apogee", "galah".
    files : sequence of str or Path
        The survey's spectrum files, in any order.
    folder : str or Path
        Gets ``part-00000.fits``, ...; made if absent.
    options : dict, optional
        Of the survey's ``read_group``.
    stars_per_part : int
        Groups of files in one part.
    processes : int, optional
        Default: as many as cores; the bytes do not depend on it.
    progress : callable, optional
        Called with the number of groups done.
    run : callable, optional
        Workers that are there already, of `scheduler.open_workers`.

    Returns
    -------
    Packing

    Raises
    ------
    InputError
        No files, an unknown option, or another run is packing into the folder.
    WriteError
        A part cannot be written: the disk is full, for example. Finished parts
        are kept.
    """
    check_whole(stars_per_part, "stars_per_part")
    folder = Path(folder)
    with _locked(folder):
        parts = _plan(survey, files, folder, dict(options or {}), stars_per_part)
        _sweep(folder, parts)
        todo = [part for part in parts if not _finished(part)]
        advance = progress or (lambda count: None)
        advance(_n_groups(parts) - _n_groups(todo))
        try:
            with nullcontext(run) if run else open_workers(processes) as work:
                work(pack_part, todo, lambda part: advance(len(part.groups)))
        finally:
            _remove(folder.glob(TEMPORARY))  # of workers that were told to stop
        packing = _summary(parts, len(parts) - len(todo))
        _write_refused(folder / REFUSED_LIST, packing.refused)
    return packing


def pack_part(part):
    """Read the groups of a part and write its file.

    Parameters
    ----------
    part : Part

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    survey = surveys.get(part.survey)
    refused = list(part.refused)
    writer = SpectraWriter(
        part.path,
        survey.WAVELENGTH,
        survey.is_normalised(part.groups, **part.options),
        facts=_facts(part, survey),
    )
    try:
        with _writing(Path(part.path).parent), writer:
            for start, stop in ranges(len(part.groups), _BLOCK):
                rows = []
                groups = part.groups[start:stop]
                for found in surveys.read_groups(survey, groups, part.options):
                    if isinstance(found, list):
                        rows.extend(found)
                    else:
                        refused.append(found)
                _append(writer, survey, rows)
            writer.refuse([(_ascii(r.path), _ascii(r.reason)) for r in refused])
            writer.note(RETRY, (any(r.passing for r in refused), "read it again"))
    except OSError as error:
        raise WriteError(
            f"{part.path} cannot be written ({error.strerror or error}); free some "
            "space or mend the folder and start again: finished parts are kept"
        ) from error


def _plan(survey, files, folder, options, stars_per_part):
    """Return the parts that the files make."""
    module = surveys.get(survey)
    surveys.check_options(module, options)
    groups, refused = module.groups([str(path) for path in files])
    if not groups:
        reasons = "; ".join(f"{r.path}: {r.reason}" for r in refused[:3]) or "no files"
        raise InputError(
            f"there is nothing to pack for {survey} ({reasons}); check the paths"
        )
    module.is_normalised(groups, **options)  # refuses files of two kinds
    cuts = ranges(len(groups), stars_per_part)
    return [
        Part(
            str(folder / f"part-{number:05d}.fits"),
            survey,
            options,
            groups[start:stop],
            [] if number else refused,
            number,
            len(cuts),
        )
        for number, (start, stop) in enumerate(cuts)
    ]


def _digest(part):
    """Return the digest of a part's plan, 32 hexadecimal digits."""
    paths = [str(path) for group in part.groups for path in group.paths]
    plan = {
        "version": PLAN_VERSION,
        "survey": part.survey,
        "options": part.options,
        "refused": [list(item[:2]) for item in part.refused],
        "files": [[path, *file_state(path)] for path in paths],
        "part": [part.number, part.n_parts],
    }
    return digest(plan)


def _facts(part, survey):
    """Return the keywords of a part's primary header."""
    return {
        "SURVEY": (part.survey, "survey that the spectra are from"),
        "MEDIUM": (survey.MEDIUM, "of the wavelengths"),
        "PART": (part.number, "number of this part, from 0"),
        "PARTS": (part.n_parts, "number of parts"),
        "PACKING": (_packing_digest(part), "digest of what all parts share"),
        "PLAN": (_digest(part), "digest of inputs and options"),
        RETRY: (False, "read it again"),
    }


def _packing_digest(part):
    """Return the digest of what all parts of a packing have in common."""
    return digest(PLAN_VERSION, part.survey, part.options, part.n_parts)


def _finished(part):
    """Return whether the file of a part is there, undamaged, and of the same plan.

    A part with inputs that could not be read for a reason that may pass is not.
    """
    try:
        primary = fitsheaders.check_layout(part.path, KIND, VERSION)[0].header
        if primary.get("PLAN") != _digest(part) or primary.get(RETRY, False):
            return False
        fitsheaders.verify_checksums(part.path)
    except (FastcannonError, OSError):
        return False
    return True


def _append(writer, survey, rows):
    """Write rows as a block; an empty one still tells the columns."""
    shape = (len(rows), len(survey.WAVELENGTH))
    flux = np.array([row.flux for row in rows], np.float32).reshape(shape)
    ivar = np.array([row.ivar for row in rows], np.float32).reshape(shape)
    facts = [
        {
            name: _ascii(value) if isinstance(value, str) else value
            for name, value in row.facts.items()
        }
        for row in rows
    ]
    writer.append(flux, ivar, surveys.facts_table(survey, facts))


def _ascii(text):
    """Return text as FITS can keep it."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def _sweep(folder, parts):
    """Remove what killed runs left behind, and parts of an earlier, longer plan."""
    there = set(folder.glob("part-*.fits"))
    for path in there:
        _check_own(path, parts[0].survey)
    _remove(folder.glob(TEMPORARY))
    _remove(there - {Path(part.path) for part in parts})


def _remove(paths):
    for path in paths:
        path.unlink(missing_ok=True)


def _check_own(path, survey):
    """Refuse a folder with packed spectra of another survey."""
    try:
        facts = fitsheaders.scan(path)[0].header
    except FastcannonError:
        return  # damaged: it is written again
    if facts.get("SURVEY") != survey:
        raise InputError(
            f"{path} is not of {survey} (SURVEY is {facts.get('SURVEY')}) and would be "
            "lost; pack into another folder"
        )


def _summary(parts, kept):
    """Return what all parts hold now."""
    n_spectra, refused, ids = 0, [], []
    for part in parts:
        with SpectraFile(part.path) as spectra:
            n_spectra += spectra.n_stars
            ids.append(spectra.column("id"))
            refused.extend(
                surveys.Refused(str(path), str(reason))
                for path, reason in spectra.refused.iterrows()
            )
    refused.extend(_repeated(ids))
    paths = [Path(part.path) for part in parts]
    return Packing(paths, n_spectra, _n_groups(parts), kept, refused)


def _repeated(ids):
    """Say which ids stand for more than one packed spectrum, in one sentence."""
    names, counts = np.unique(np.concatenate(ids), return_counts=True)
    if (counts > 1).any():
        examples = ", ".join(names[counts > 1][:SHOWN_IDS].astype(str))
        reason = (
            f"{np.sum(counts > 1)} ids stand for more than one spectrum ({examples}); "
            "the first of each is used: give one file for each"
        )
        yield surveys.Refused("ids", reason)


def _write_refused(path, refused):
    """Write all that was left out as a text table."""
    rows = [tuple(item[:2]) for item in refused] or None
    table = Table(rows=rows, names=REFUSED_COLUMNS, dtype=("U", "U"))
    write_ecsv(path, table)


def _n_groups(parts):
    return sum(len(part.groups) for part in parts)


@contextmanager
def _locked(folder):
    """Hold a folder against a second run, and against what is left of one before."""
    with locked(folder):
        with open(folder / ".writing", "w") as writing:
            # Processes of a run that was killed may live for some milliseconds.
            fcntl.flock(writing, fcntl.LOCK_EX)
        yield


@contextmanager
def _writing(folder):
    """Hold a folder while a part is written, against the next run."""
    with open(folder / ".writing", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
