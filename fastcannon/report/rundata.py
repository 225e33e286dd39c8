"""What a report needs of a run's folder: whatever is there, and what is missing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from .. import catalogue, fitsfiles, kinds, parts
from ..config import is_survey_name
from ..errors import FastcannonError, InputError
from ..runfolder import (
    COMPARISON,
    MANIFEST,
    STATE,
    SUMMARY,
    TIMINGS,
    read_timings,
)
from ..textfiles import read_ecsv, read_json

PIPELINES = "pipelines"  # key of the differences between the surveys' own labels
# Damaged bytes of Parquet can also name no type that there is, or ask for absurd sizes.
_DAMAGED = (
    *(FastcannonError, OSError, ValueError, TypeError, LookupError),
    *(RuntimeError, MemoryError),
)
_AGAIN = "fastcannon run CONFIG makes it"


@dataclass
class RunData:
    """The results of a run, read from its folder.

    What is not there, or cannot be read, is None or left out of its dict, and
    ``missing`` has a sentence about it.

    Attributes
    ----------
    folder : Path
    surveys : (str, str)
        Differences are the first minus the second.
    names : tuple of str
        Labels of the models.
    formats : dict of survey to str
        As in the configuration.
    training : astropy Table or None
        Common stars that passed all cuts.
    validation : dict of case to astropy Table
        Given and out-of-fold labels.
    differences : dict of PIPELINES or scale to astropy Table
        See `fastcannon.differences.difference_table`.
    factors, precision : astropy Table or None
    fits : dict of case to dict of label to [a, b, c]
        Precision against S/N, ``repeats.Decay``; cases and labels without one lack.
    models : dict of case to Path
    scales : dict of case to `fastcannon.catalogue.Scale`
    packed : dict of survey to list of Path
        Packed parts, for `PackedSurvey`.
    labels : dict of case to list of Path
        Label tables of the parts, as many as there are parts.
    partitions : dict of scale to dict of survey to list of Path
        Of the catalogues; see `catalogue`.
    comparison : astropy Table or None
        The Cannon beside the translators; None also for runs without.
    translators : dict of (survey, scale) to Path
    held_out : dict of (survey, scale) to astropy Table
        Training stars by translators that have not seen them.
    timings : dict of case to dict of method to dict
        Processor time; see `runfolder.RunFolder.spent`.
    summary : dict
        Of summary.json; empty if there is none.
    missing : list of str
    """

    folder: Path
    surveys: tuple[str, str]
    names: tuple[str, ...]
    formats: dict[str, str]
    training: Table | None = None
    validation: dict[str, Table] = field(default_factory=dict)
    differences: dict[str, Table] = field(default_factory=dict)
    factors: Table | None = None
    precision: Table | None = None
    fits: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    models: dict[str, Path] = field(default_factory=dict)
    scales: dict[str, catalogue.Scale] = field(default_factory=dict)
    packed: dict[str, list[Path]] = field(default_factory=dict)
    labels: dict[str, list[Path]] = field(default_factory=dict)
    partitions: dict[str, dict[str, list[Path]]] = field(default_factory=dict)
    comparison: Table | None = None
    translators: dict[tuple[str, str], Path] = field(default_factory=dict)
    held_out: dict[tuple[str, str], Table] = field(default_factory=dict)
    timings: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder):
        """Read all of a run's folder but the rows of its catalogues.

        Parameters
        ----------
        folder : str or Path
            Also of a run that is not finished.

        Returns
        -------
        RunData

        Raises
        ------
        InputError
            The folder is not that of a run.
        """
        folder = Path(folder)
        run = cls(folder, *_settings(folder))
        run._read_tables()
        run._read_cases()
        run._read_translators()
        summary = run._read(SUMMARY, read_json)
        run.summary = {} if summary is None else summary
        run._list_parts()
        if not (folder / MANIFEST).is_file():
            run.missing.append(
                f"{MANIFEST}: not there, so the run is not finished; the same "
                "fastcannon run CONFIG goes on where it stopped"
            )
        return run

    @property
    def cases(self):
        """Names of the four cases, SURVEY-on-SCALE, in the order of the surveys."""
        return [f"{one}-on-{scale}" for one in self.surveys for scale in self.surveys]

    def catalogue(self, scale, columns):
        """Return columns of a catalogue; memory grows with these columns only.

        Partitions that cannot be read are left out; ``missing`` says so.

        Parameters
        ----------
        scale : str
            A key of ``partitions``.
        columns : sequence of at least one str
            Names as in `fastcannon.catalogue.columns`.

        Returns
        -------
        dict of str to (N,) array
            As in the files, text as bytes; and ``survey``, 0 or 1: which of
            ``surveys`` the spectrum is from.

        Raises
        ------
        InputError
            The catalogue is not there, or lacks a column.
        """
        if scale not in self.partitions:
            raise InputError(
                f"{self.folder}: there is no catalogue {scale}-scaled, only "
                f"{', '.join(self.partitions) or 'none'}; {_AGAIN}"
            )
        pieces: dict[str, list] = {name: [] for name in (*columns, "survey")}
        for number, survey in enumerate(self.surveys):
            for path in self.partitions[scale].get(survey, []):
                found = self._partition(path, columns)
                if found is None:
                    continue
                rows = len(found[columns[0]])
                found["survey"] = np.full(rows, number, dtype=np.int8)
                for name, one in found.items():
                    pieces[name].append(one)
        # Popped one by one, so that only one column is there twice.
        return {name: _joined(pieces.pop(name)) for name in list(pieces)}

    def _partition(self, path, columns):
        """Return columns of a partition, or None if it cannot be read."""
        try:
            return _read_columns(path, columns)
        except InputError:
            raise
        except _DAMAGED as error:
            self.note(path, error)
            return None

    def note(self, path, error):
        """Keep a sentence in ``missing`` about a file that cannot be read, once."""
        name, why = path.relative_to(self.folder), " ".join(str(error).split())
        # The error of a file begins with its path, which is nobody's business here.
        why = why.replace(str(path), path.name)
        text = f"{name} cannot be read ({why}); remove it, and {_AGAIN} again"
        if text not in self.missing:
            self.missing.append(text)

    def _read(self, name, reader: Callable):
        """Return what a reader makes of a file, or None with a note."""
        path = self.folder / name
        if not path.is_file():
            self.missing.append(f"{name}: not there yet; {_AGAIN}")
            return None
        try:
            return reader(path)
        except _DAMAGED as error:
            self.note(path, error)
            return None

    def _read_tables(self):
        """Read the tables of the whole run."""
        self.training = self._read("training.fits", _reader(kinds.TRAINING))
        names = {PIPELINES: "differences.ecsv"}
        names |= {s: f"differences-{s}-scaled.ecsv" for s in self.surveys}
        for key, name in names.items():
            table = self._read(name, read_ecsv)
            if table is not None:
                self.differences[key] = table
        self.factors = self._read("factors.ecsv", read_ecsv)
        self.precision = self._read("precision.ecsv", read_ecsv)
        meta = {} if self.precision is None else self.precision.meta
        for key, fit in dict(meta.get("fits", {})).items():
            case, _, label = key.partition(" ")
            self.fits.setdefault(case, {})[label] = fit

    def _read_cases(self):
        """Read what there is of each case; other validations are taken as they are."""
        for case in self.cases:
            path = self.folder / "models" / f"{case}.fits"
            if path.is_file():
                self.models[case] = path
            else:
                self.missing.append(f"models/{case}.fits: not there yet; {_AGAIN}")
            scale = self._read(f"calibration/{case}.json", parts.read_scale)
            if scale is not None:
                self.scales[case] = scale
        there = (self.folder / "validation").glob("*.fits")
        for case in dict.fromkeys((*self.cases, *sorted(p.stem for p in there))):
            table = self._read(f"validation/{case}.fits", _reader(kinds.VALIDATION))
            if table is not None:
                self.validation[case] = table

    def _read_translators(self):
        """Read what there is of translators; a run need not have any."""
        if (self.folder / TIMINGS).is_file():
            self._read(TIMINGS, read_json)  # says so, if it is damaged
            self.timings = read_timings(self.folder)
        if (self.folder / COMPARISON).is_file():
            self.comparison = self._read(COMPARISON, read_ecsv)
        for way in permutations(self.surveys):
            name = f"translators/{'-to-'.join(way)}"
            if (self.folder / f"{name}.fits").is_file():
                self.translators[way] = self.folder / f"{name}.fits"
                held = self._read(f"{name}-held-out.fits", _reader(kinds.HELD_OUT))
                if held is not None:
                    self.held_out[way] = held

    def _own_spectra(self, survey):
        """Return the spectra files of a survey that is not packed, or none."""
        try:
            return [Path(name) for name in self.summary.get("spectra", {})[survey]]
        except KeyError:
            return []
        except (AttributeError, TypeError) as error:
            self.note(self.folder / SUMMARY, error)
            return []

    def _list_parts(self):
        """List the packed parts and the partitions of the catalogues."""
        for survey in self.surveys:
            folder = self.folder / "packed" / survey
            found = [self.folder / name for name in self._own_spectra(survey)]
            if found or (found := sorted(folder.glob("part-*.fits"))):
                self.packed[survey] = found
            else:
                self.missing.append(f"packed/{survey}: no spectra; {_AGAIN}")
        for case in self.cases:
            folder = self.folder / "labels" / case
            if found := sorted(folder.glob("part-*.fits")):
                self.labels[case] = found
            else:
                self.missing.append(f"labels/{case}: none yet; {_AGAIN}")
        for scale in self.surveys:
            home = self.folder / "catalogues" / f"{scale}-scaled"
            own = {s: sorted(home.glob(f"{s}-[0-9]*.parquet")) for s in self.surveys}
            if any(own.values()):
                self.partitions[scale] = {s: found for s, found in own.items() if found}
            for survey in (s for s, found in own.items() if not found):
                self.missing.append(
                    f"catalogues/{scale}-scaled: no stars of {survey} yet; {_AGAIN}"
                )


def _settings(folder):
    """Return the surveys and the labels of a run, from its settings."""
    path = folder / STATE
    if not path.is_file():
        raise InputError(
            f"{folder} is not the output folder of a run: it has no {STATE}; give "
            "the output.folder of a configuration that fastcannon run has started"
        )
    try:
        found = read_json(path)
        surveys, names = found["match.surveys"], found["labels.names"]
        texts = [isinstance(name, str) for name in (*surveys, *names)]
        if len(surveys) != 2 or not names or not all(texts):
            raise ValueError(f"surveys {surveys}, labels {names}")
        if not all(map(is_survey_name, surveys)):  # they are names of files
            raise ValueError(f"surveys {surveys}, labels {names}")
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise InputError(
            f"{path} does not name two surveys and their labels ({error}); it is "
            "damaged: remove it, and fastcannon run CONFIG writes it again"
        ) from error
    formats = {s: str(found.get(f"surveys.{s}.format", "")) for s in surveys}
    return tuple(surveys), tuple(names), formats


def _reader(kind):
    """Return the function that reads a table of a kind after checking it."""

    def read(path):
        return fitsfiles.read_table(path, kind)

    return read


def _read_columns(path, columns):
    """Return columns of a Parquet file, its pages checked."""
    from pyarrow import parquet

    with parquet.ParquetFile(path, page_checksum_verification=True) as file:
        absent = sorted(set(columns) - set(file.schema_arrow.names))
        if absent:
            raise InputError(
                f"{path} has no column {', '.join(absent)}; it has "
                f"{', '.join(file.schema_arrow.names)}"
            )
        found = file.read(columns=list(columns), use_threads=False)
        values = {name: found[name].to_numpy() for name in columns}
    kinds = {"O": f"S{catalogue.ID_LENGTH}"}
    return {
        name: v.astype(kinds.get(v.dtype.kind, v.dtype)) for name, v in values.items()
    }


def _joined(pieces):
    """Return arrays as one; of none, an empty one."""
    return np.concatenate(pieces) if pieces else np.empty(0)
