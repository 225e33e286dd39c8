"""The output folder of a run: its lock, its settings, its log and its names of files.

======================================== ===========================================
run.json                                 the settings that everything here was made with
run.log                                  what was said, with times
packed/SURVEY/part-*.fits                spectra, see `pack`
packed/SURVEY/refused.ecsv               files that cannot be used, and why
training.fits                            common stars that pass all cuts
differences.ecsv                         differences of the scales (`differences`)
models/SURVEY-on-SCALE.fits              trained on SURVEY's spectra, SCALE's labels
validation/SURVEY-on-SCALE.fits          given and out-of-fold labels
validation/*-own-vmicro.fits             the same with the survey's own vmicro
labels/SURVEY-on-SCALE/part-*.fits       labels of all packed spectra
stars/SURVEY/part-*.fits                 survey and Gaia values of the packed spectra
left_out/SURVEY.fits                     spectra and entries that have no row, and why
factors.ecsv, precision.ecsv             errors from repeats (`calibration`)
calibration/SURVEY-on-SCALE.json         what rows of catalogues need of a case
differences-SCALE-scaled.ecsv            what is left of the differences
catalogues/SCALE-scaled.fits             one scale, all stars of both surveys
catalogues/SCALE-scaled/*.parquet        the same in partitions
translators/A-to-B.fits                  from survey A's labels to B's (`translators`)
translators/A-to-B-held-out.fits         training stars by networks without them
translated/A-to-B.fits                   all stars of A with labels translated to B's
comparison.ecsv                          the Cannon beside the translators
timings.json                             processor time of models and translators
summary.json, manifest.sha256            counts of every step; checksums of all files
report/                                  page, figures and tables of the report
======================================== ===========================================
"""

import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path

from . import fitsfiles, fitsheaders, locks
from .digests import digest, file_state
from .errors import FastcannonError, FileFormatError, InputError
from .textfiles import read_json, write_json

STATE, LOG = "run.json", "run.log"
SUMMARY, MANIFEST = "summary.json", "manifest.sha256"
REPORT = "report"  # folder of what can be made again from the others
TIMINGS = "timings.json"  # not in the manifest: never twice the same
COMPARISON = "comparison.ecsv"
CANNON, TRANSLATOR = "cannon", "translator"  # what puts stars on a scale
STATE_VERSION = 3  # to be raised when the same settings give other bytes
PLAN = "PLAN"  # keyword of files: the digest of all that they were made from
SHOWN = 5  # changed settings that an error names
# Where runs write: files of the folder itself, and folders in it.
_TOP = (STATE, SUMMARY, MANIFEST, TIMINGS, "training.fits", "*.ecsv")
_FOLDERS = (
    *("models", "validation", "labels", "stars", "left_out", "calibration"),
    *("catalogues", "translators", "translated"),
)
# What only says how the work is done, not what comes out; and the translators, which
# are made anew when theirs change: nothing else depends on them.
_FREE = ("path", "output", "where", "folder", "processes", "translate")


class RunFolder:
    """The folder that a run writes into.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config):
        self.path = Path(config.output)
        self.config = config

    @contextmanager
    def locked(self, claim=True):
        """Hold the folder against a second run; the lock ends with the process.

        Parameters
        ----------
        claim : bool
            Keep the settings: the folder is from now on theirs.

        Raises
        ------
        InputError, WriteError
            See `locks.locked`; the folder was made with other settings.
        """
        with locks.locked(self.path):
            self._check_settings(claim)
            self.sweep()
            yield

    def _check_settings(self, claim):
        """Refuse settings that differ from the ones kept; keep them, if asked to."""
        path = self.path / STATE
        before = _read_state(path) if path.exists() else {}
        now = settings(self.config) | _files(self.config, before)
        if before:
            changed = _changes(before, now)
            if changed:
                raise InputError(
                    f"{path}: this folder was made with other settings: "
                    f"{'; '.join(changed)}. Old and new parts are not mixed: put the "
                    "settings back, or choose another output.folder (its packed/ can "
                    "be moved there)"
                )
        if claim:
            write_json(path, now)

    def sweep(self):
        """Remove what killed runs left half written; `pack` does it for its own.

        Only in folders of runs: a report may be written at the same time.
        """
        left = [path for name in _TOP for path in self.path.glob(f".{name}.*.tmp")]
        for kind in _FOLDERS:
            left += (self.path / kind).rglob(".*.tmp")
        for path in left:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def log(self, text):
        """Append lines to the log, with the time."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        with open(self.path / LOG, "a", encoding="utf-8") as handle:
            handle.writelines(f"{stamp} {line}\n" for line in text.splitlines())

    def spent(self, case, method, **seconds):
        """Keep the processor time that a method took for a case.

        Parameters
        ----------
        case : str
            SURVEY-on-SCALE.
        method : {CANNON, TRANSLATOR}
        **seconds : float
            ``training``, with the test on stars left out, and ``per_1000`` stars.
        """
        found = read_timings(self.path)
        found.setdefault(case, {}).setdefault(method, {}).update(seconds)
        write_json(self.path / TIMINGS, found)

    def packed(self, survey):
        """Return the folder of a survey's packed spectra."""
        return self.path / "packed" / survey.name

    def made(self, kind, name):
        """Return the path of a file to be written, its folder made."""
        path = self.path / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def settings(config):
    """Return all settings that a result depends on: dict of key to plain value.

    Catalogues count with their size and time of change.
    """
    found = {"version": STATE_VERSION}
    _flatten(config, "", found)
    return found


def finished(path, kind, plan, version=fitsfiles.TABLE_VERSION):
    """Return whether a file of this kind and plan is there, undamaged.

    Parameters
    ----------
    path : Path
    kind : str
    plan : str
        Digest of all that the file is made from.
    version : int
        Of the format of the file.

    Raises
    ------
    InputError
        It is there and undamaged, but made from something else.
    """
    try:
        primary = fitsheaders.check_layout(path, kind, version)[0].header
        fitsheaders.verify_checksums(path)
    except (FastcannonError, OSError):
        return False
    refuse_other(path, primary.get(PLAN), plan)
    return True


def refuse_other(path, found, plan):
    """Refuse a file that was made from something else.

    Raises
    ------
    InputError
        The two digests differ.
    """
    if found != plan:
        raise InputError(
            f"{path} was made from other spectra, labels, settings or models ({PLAN} "
            f"is {found}; {plan} expected) and is not mixed with new parts: remove "
            "models, validation, labels, stars and catalogues from the output folder, "
            "or choose another output.folder"
        )


def read_timings(folder):
    """Return what `RunFolder.spent` has kept: case, method, what; empty if nothing."""
    try:
        found = read_json(Path(folder) / TIMINGS)
        return {
            case: {k: dict(v) for k, v in own.items()} for case, own in found.items()
        }
    except (OSError, FastcannonError, ValueError, TypeError, AttributeError):
        return {}


def _read_state(path):
    try:
        return read_json(path)
    except (OSError, FileFormatError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); remove it if the folder is to be used"
        ) from error


def _changes(before, now):
    """Return what differs between two sets of settings, as texts."""
    now = json.loads(json.dumps(now, default=str))
    changed = [
        f"{key} was {before.get(key)!r} and is {now.get(key)!r}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    more = [f"and {len(changed) - SHOWN} more"] if len(changed) > SHOWN else []
    return changed[:SHOWN] + more


def _flatten(value, key, found):
    """Put the plain values below a value into a dict, by their keys."""
    if is_dataclass(value):
        value = {
            field.name: getattr(value, field.name)
            for field in fields(value)
            if field.name not in _FREE
        }
    if isinstance(value, dict):
        for name, item in value.items():
            _flatten(item, f"{key}.{name}" if key else str(name), found)
    elif isinstance(value, Path):
        found[key] = [value.name, *file_state(value)]
    elif isinstance(value, list | tuple) and any(isinstance(v, dict) for v in value):
        for number, item in enumerate(value):
            _flatten(item, f"{key}[{number}]", found)
    else:
        found[key] = value


def _files(config, before):
    """Return how many files of spectra each survey has, and the digest of their names.

    Packing would replace what it can no longer make. Of a survey without any files
    they are as before: packing says what is wrong.
    """
    found = {}
    for name, survey in config.surveys.items():
        key = f"surveys.{name}.files"
        try:
            paths = survey.files()
        except InputError:
            found[key] = before.get(key)
            continue
        top = os.path.commonpath(paths)
        names = [os.path.relpath(path, top) for path in paths]
        found[key] = [len(names), digest(names)]
    return found
