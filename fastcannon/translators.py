"""The translators of a run: one survey's labels to the other's, beside the Cannon.

For both directions a `translate.Translator` learns from the training set, the whole
survey is translated, and both methods are compared on the same stars (`comparison`).
A translator's inputs have the names that the survey's labels have in the catalogues.
"""

import time
from dataclasses import asdict
from itertools import permutations
from typing import NamedTuple

import fitsio
import numpy as np
from astropy.table import Column, Table

from . import catalogue_files, fitsfiles, fitsheaders, kinds
from .catalogue import catalogue_name
from .comparison import comparison_lines, comparison_table, own_label
from .config import Survey
from .digests import digest, file_digest
from .errors import FastcannonError, InputError
from .extras import missing
from .labels import unit
from .runfolder import COMPARISON, PLAN, TRANSLATOR, finished
from .textfiles import write_ecsv

FOLDER, TRANSLATED = "translators", "translated"
# Columns of the catalogues that stand before the translated labels.
KEPT = ("survey_id", "dr2_source_id", "dr3_source_id", "ra", "dec", "r_est")
MODEL = "MODEL"  # keyword: digest of the translator


class Direction(NamedTuple):
    """From the labels of a survey to the scale of the other.

    Attributes
    ----------
    survey, scale : config.Survey
    """

    survey: Survey
    scale: Survey

    @property
    def names(self):
        """Names of survey and scale."""
        return self.survey.name, self.scale.name

    @property
    def name(self):
        """A-to-B, of its files."""
        return "-to-".join(self.names)

    @property
    def case(self):
        """The case of the Cannon that does the same from spectra."""
        return "-on-".join(self.names)


def directions(config):
    """Return both directions of a configuration."""
    return [Direction(*two) for two in permutations(config.pair())]


def check(config, training):
    """Find what would keep translators from being trained; nothing without networks.

    Parameters
    ----------
    config : Config
    training : astropy Table
        Of `trainingset.match_surveys`.

    Raises
    ------
    InputError
        A library is not installed, stars are too few, or see `Translator.train`.
    """
    if not config.translate.networks:
        return
    if lacking := missing("translate"):
        raise InputError(
            f"{config.path}: translate.networks is {config.translate.networks}, which "
            f"needs {', '.join(lacking)}: install fastcannon[translate], or set it to 0"
        )
    from .translate.fitting import read_sample

    for way in directions(config):
        table = training_columns(*way.names, config.labels.names, training)
        try:
            read_sample(_new_translator(config, way), table)
        except InputError as error:
            raise InputError(
                f"{config.path}: no translator {way.name} can be trained ({error}); "
                "set translate.networks to 0 to do without"
            ) from error


def run_translators(config, folder, training, made, calibrated, say, bar, run):
    """Train translators, translate both surveys and compare with the Cannon.

    What is finished is kept; what other settings of translators made is made anew.

    Parameters
    ----------
    config : Config
        With networks.
    folder : RunFolder
    training : astropy Table, N rows
        Of `trainingset.match_surveys`.
    made : list of cases.Case
    calibrated : list of calibration.Calibrated
        Of these cases.
    say, bar :
        As in `run.run_all`.
    run : callable
        Of `scheduler.open_workers`.

    Returns
    -------
    dict of str to dict
        Counts of each direction: training stars, stars translated, flagged ones.

    Raises
    ------
    InputError, WriteError
        See `Translator.train`, `translate.stream.translate_file`.
    """
    counts, held = {}, {}
    for way in directions(config):
        path, held[way.case] = train_translator(config, folder, way, training, bar)
        out = translate_survey(config, folder, way, path, bar, run)
        counts[way.name] = {"training stars": len(held[way.case]), **_flags(out)}
        rows, flagged = (counts[way.name][name] for name in ("rows", "flagged"))
        say(f"{out}: {rows:,} stars, {flagged:,} of them flagged")
    table = comparison_table(
        config.labels.names,
        training,
        held,
        {case.name: case for case in made},
        {case.name: one.scale for case, one in zip(made, calibrated, strict=True)},
    )
    write_ecsv(folder.path / COMPARISON, table)
    say(f"\n{folder.path / COMPARISON}: left-out stars minus given labels")
    for line in comparison_lines(table):
        say(line)
    return counts


def train_translator(config, folder, way, training, bar):
    """Train a translator on the training set, or keep the one that is finished.

    Writes the translator and its values of training stars that it has not seen.

    Returns
    -------
    path : Path
        Of the translator.
    held : astropy Table
        ``star_id``, and each output with its error ``e_<output>``.
    """
    path = folder.made(FOLDER, f"{way.name}.fits")
    out = folder.made(FOLDER, f"{way.name}-held-out.fits")
    table = training_columns(*way.names, config.labels.names, training)
    translator = _new_translator(config, way)
    plan = _plan(translator, table)
    if not _trained(path, out, plan):
        start = time.process_time()
        with bar(None, "epochs") as progress:
            translator.train(table, lambda done: progress.update(1))
        folder.spent(way.case, TRANSLATOR, training=time.process_time() - start)
        translator.write(path)
        held = _held_out(table, translator)
        folder.spent(way.case, TRANSLATOR, per_1000=_seconds(translator, table))
        facts = {
            PLAN: (plan, "digest of stars and settings"),
            MODEL: (file_digest(path), "digest of the translator"),
        }
        fitsfiles.write_table(
            out, fitsfiles.without_odd_units(held), kinds.HELD_OUT, facts
        )
    return path, fitsfiles.read_table(out, kinds.HELD_OUT)


def translate_survey(config, folder, way, model, bar, run):
    """Translate all stars that a survey has in the catalogues; return the file."""
    from .translate.stream import translate_file

    out = folder.made(TRANSLATED, f"{way.name}.fits")
    home = folder.path / "catalogues" / f"{way.scale.name}-scaled"
    paths = sorted(home.glob(f"{way.survey.name}-[0-9]*.parquet"))
    if not _translated(out, model, paths):
        translate_file(
            model,
            paths,
            out,
            keep=KEPT,
            run=run,
            progress=lambda total: bar(total, "rows"),
        )
    return out


def training_columns(survey, scale, names, training):
    """Return what a translator is trained on, under the names of its columns.

    Inputs are called as in the catalogues, so that these can be translated; where
    vmicro was replaced the survey's own is an input, as there. A column of errors
    without any is left out.

    Parameters
    ----------
    survey, scale : str
        From the labels of the one to those of the other.
    names : sequence of str
        Labels.
    training : astropy Table, N rows
        Of `trainingset.match_surveys`.

    Returns
    -------
    astropy Table, N rows
        ``star_id``; of each label ``<catalogue's name>`` and ``<label>_<scale>``, and
        their errors, in label units.
    """
    table = Table({"star_id": training["star_id"]})
    for name in names:
        ours, output = catalogue_name(name), f"{name}_{scale}"
        columns = {ours: own_label(training, name, survey), output: training[output]}
        for to, source in ((ours, f"{name}_{survey}"), (output, output)):
            if f"e_{source}" in training.colnames:
                columns[f"e_{to}"] = training[f"e_{source}"]
        for to, values in columns.items():
            values = np.ma.filled(np.ma.asarray(values).astype(float), np.nan)
            if np.isfinite(values).any() or not to.startswith("e_"):
                table[to] = Column(values, unit=unit(name) or None)
    return table


def _new_translator(config, way):
    """Return the translator of a direction, not trained."""
    from .translate import Translator

    names = config.labels.names
    return Translator(
        [catalogue_name(name) for name in names],
        [f"{name}_{way.scale.name}" for name in names],
        ensemble=config.translate.networks,
        seed=config.translate.seed,
        star="star_id",
    )


def _plan(translator, table):
    """Return the digest of all that a translator is made from."""
    from .translate.modelfile import VERSION

    columns = {name: np.asarray(table[name]).tobytes().hex() for name in table.colnames}
    asked = (translator.ensemble, translator.seed, asdict(translator.settings))
    return digest(VERSION, asked, columns)


def _trained(path, out, plan):
    """Tell whether a translator and its values of left-out stars are finished."""
    try:
        if not finished(out, kinds.HELD_OUT, plan):
            return False
        header = fitsheaders.check_layout(out, kinds.HELD_OUT, fitsfiles.TABLE_VERSION)[
            0
        ]
        return header.header[MODEL] == file_digest(path)
    except (InputError, OSError):  # of other settings; or the translator is gone
        return False


def _held_out(table, translator):
    """Return a translator's values of training stars that it has not seen."""
    found = translator.held_out
    rows = found["row"]
    held = Table({"star_id": table["star_id"][rows]})
    errors = translator.apply(table)[rows]
    for name in translator.outputs:
        held[name] = found[name]
        held[f"e_{name}"] = errors[f"e_{name}"]
    return held


def _seconds(translator, table):
    """Return the processor time of translating 1000 stars, everything loaded."""
    start = time.process_time()
    translator.apply(table)
    return 1000 * (time.process_time() - start) / len(table)


def _translated(path, model, partitions):
    """Tell whether a survey's translation is finished, by what it is made from."""
    try:
        kind, version = catalogue_files.KIND, catalogue_files.CATALOGUE_VERSION
        header = fitsheaders.check_layout(path, kind, version)[0].header
        fitsheaders.verify_checksums(path)
    except (FastcannonError, OSError):
        return False
    made_from = file_digest(model), digest(*map(file_digest, partitions))
    return (header.get(MODEL), header.get("TABLE")) == made_from


def _flags(path):
    """Return the rows of a translated survey, and how many carry a flag."""
    with fitsio.FITS(str(path)) as file:
        flag = file[1]["translate_flag"][:]
    return {"rows": len(flag), "flagged": int((flag > 0).sum())}
