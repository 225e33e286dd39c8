"""A catalogue translated in blocks of rows, each a task for any worker.

A task reads its rows from the user's table and writes a Parquet partition; one FITS
file is then made from them, if asked for. Memory does not grow with the table.
"""

import os
import shutil
import uuid
from collections import Counter
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from .. import __version__
from ..catalogue import dress
from ..catalogue_files import write_catalogue, write_partition
from ..digests import digest, file_digest
from ..errors import InputError
from ..parallel import ranges
from ..scheduler import open_workers
from .apply import BLOCK, apply_trained
from .columns import check_units, read_columns, read_errors
from .dressing import is_ascii, kept_column, plain_values, result_columns, widest
from .intervals import half_width
from .quality import BIT
from .tables import Part, check_there, open_table, read_rows, table_files
from .translator import Translator

# A multiple of the blocks of `apply_trained`: the last bits then do not depend on
# where a task begins.
ROWS = 98 * BLOCK
FITS_NAMES = (".fits", ".fit")
FOLDER_NAMES = ("", ".parquet")
_MODELS = 2  # that a worker keeps


class Block(NamedTuple):
    """Rows to be translated.

    Attributes
    ----------
    part : tables.Part
    start, stop : int
        Rows of it.
    keep : tuple of str
        Columns of the table that are passed on.
    columns : dict of str to str
        Columns of the model that have another name in the table: that name.
    model : (path, digest)
    level : float
        Of the intervals.
    path : str
        Parquet file to be written.
    ascii : bool
        Whether text must be ASCII, as FITS demands.
    facts : dict
        Provenance.
    """

    part: Part
    start: int
    stop: int
    keep: tuple
    columns: dict
    model: tuple
    level: float
    path: str
    ascii: bool
    facts: dict


class Written(NamedTuple):
    """What has become of a catalogue: rows, flagged rows of each kind, columns lost."""

    rows: int
    flags: dict
    left_out: tuple


def translate_file(
    model,
    table,
    path,
    level=0.68,
    keep=None,
    columns=None,
    run=None,
    progress=None,
):
    """Translate a table on disk into another.

    Parameters
    ----------
    model : str or Path
        Of `Translator.write`.
    table : str, Path or sequence of them
        See `tables.table_files`.
    path : str or Path
        A FITS file (.fits, .fit), replaced if it exists; else a new folder of Parquet
        partitions. The same bytes for any number of workers.
    level : float
        Of the prediction intervals.
    keep : sequence of str, optional
        Columns of the table that stand before the results. Default: all that hold one
        number or text per row and have not the name of a result.
    columns : dict of str to str, optional
        Columns of the model that have another name in the table: that name.
    run : callable, optional
        Workers, of `scheduler.open_workers`. Default: this process.
    progress : callable, optional
        Called with the number of all rows; returns a context manager with ``update``.

    Returns
    -------
    Written

    Raises
    ------
    InputError
        The table has no such columns, its units are wrong, or the path cannot be
        written; see also `tables.table_files`.
    FileFormatError
        The model or the table is damaged or something else.
    """
    path, model = Path(path), Path(model).absolute()
    files = [file.absolute() for file in table_files(table)]  # as workers need them
    as_fits = _check_output(path, model, files)
    translator = Translator.read(model)
    half_width(translator.trained.scores, level)  # refuses what is no level
    parts = open_table(files)
    columns = check_columns(translator.trained, columns or {})
    _check_input(translator.trained, parts[0], columns)
    kept, left_out = _kept_names(translator, parts[0], keep)
    source = digest(*(file_digest(part.path) for part in parts))
    facts = _facts(model, source, level)
    with _temporary_folder(path) as folder:
        fixed = (kept, columns, (str(model), facts["model"]), level)
        tasks = [
            task._replace(ascii=as_fits) for task in _tasks(parts, fixed, folder, facts)
        ]
        done = _run(tasks, run, progress)
        rows = sum(part.rows for part in parts)
        flags = Counter()
        for _, counts in done:
            flags.update(counts)
        if as_fits:
            columns = widest([columns for columns, _ in done])
            names = [task.path for task in tasks]
            write_catalogue(path, names, columns, _header(facts))
        else:
            os.replace(folder, path)
    return Written(rows, dict(flags), left_out)


def translate_block(task):
    """Translate the rows of a task and write them.

    Parameters
    ----------
    task : Block

    Returns
    -------
    columns : list of Column
    flags : dict of str to int
        Rows with each flag.
    """
    translator = _translator(*task.model)
    needed = _needed(translator.trained, task.columns)
    names = dict.fromkeys([*task.keep, *needed.values()])
    rows = read_rows(task.part, names, task.start, task.stop)
    given = renamed(rows, needed)
    found = apply_trained(translator.trained, given, task.level, threads=1)
    table, columns = Table(), []
    for name in task.keep:
        values = plain_values(rows[name])
        if task.ascii and not is_ascii(values):
            raise InputError(
                f"{task.part.path}, column {name}: text that is not ASCII, which FITS "
                "cannot hold; leave it out (--keep), or write Parquet"
            )
        table[name] = values
        columns.append(kept_column(rows[name], values))
    for column in result_columns(translator, task.level):
        values = plain_values(found[column.name])
        table[column.name] = values
        columns.append(column._replace(dtype=values.dtype.str[1:]))
    write_partition(task.path, dress(table, columns), task.facts)
    flag = np.asarray(found["translate_flag"])
    flags = {name: int(((flag & bit) > 0).sum()) for name, bit in BIT.items()}
    return columns, flags | {"any": int((flag > 0).sum())}


@lru_cache(_MODELS)
def _translator(path, _):
    """Return a translator; the digest tells a file that was replaced."""
    return Translator.read(path)


def _check_output(path, model, files):
    """Tell whether the result is FITS; refuse what could not be written in the end."""
    from ..jobs import check_output  # not for workers: it loads the kernels

    if path.suffix in FITS_NAMES:
        check_output(path, model, *files)
        return True
    if path.suffix not in FOLDER_NAMES:
        raise InputError(
            f"{path}: a catalogue is written as FITS or as a folder of Parquet files; "
            "end its name in .fits or .parquet"
        )
    if path.exists():
        raise InputError(f"{path} exists; give the name of a new folder, or remove it")
    if not path.absolute().parent.is_dir():
        raise InputError(
            f"{path}: the folder {path.absolute().parent} does not exist; make it"
        )
    return False


def check_columns(trained, columns):
    """Refuse names of columns that a translator does not know; return them.

    Parameters
    ----------
    trained : Trained
    columns : dict of str to str
        Columns of the model that have another name in a table: that name.

    Raises
    ------
    InputError
    """
    sides = (trained.inputs, trained.outputs)
    known = {name for side in sides for name in (*side.names, *side.errors) if name}
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise InputError(
            f"the translator knows no column {', '.join(unknown)}; it was trained with "
            f"{', '.join(sorted(known))}"
        )
    empty = [name for name, column in columns.items() if not column]
    if empty:
        raise InputError(f"{', '.join(empty)}: the name of its column is missing")
    return dict(columns)


def renamed(table, names):
    """Return columns of a table under the names of the model.

    Parameters
    ----------
    table : astropy Table
    names : dict of str to str
        Name of the model to name of the table.
    """
    return Table({name: table[column] for name, column in names.items()}, copy=False)


def _needed(trained, columns):
    """Return what translating reads, inputs and errors: name to the table's name."""
    names = [*trained.inputs.names, *(name for name in trained.inputs.errors if name)]
    return {name: columns.get(name, name) for name in names}


def _check_input(trained, part, columns):
    """Refuse a table that cannot be translated, by its columns and first rows."""
    inputs = trained.inputs
    needed = _needed(trained, columns)
    advice = "say what it calls them, --columns NAME=COLUMN"
    check_there(part, [needed[name] for name in inputs.names], advice)
    errors = [needed[name] for name in inputs.errors if name]
    check_there(part, errors, f"{advice}, or train with --no-errors")
    names = dict.fromkeys(needed.values())
    rows = renamed(read_rows(part, names, 0, min(ROWS, part.rows)), needed)
    check_units(read_columns(rows, inputs.names), inputs.names)
    read_errors(rows, inputs.errors)


def _kept_names(translator, part, keep):
    """Return the columns that are passed on, and those that are not though all are."""
    results = {column.name.lower() for column in result_columns(translator, 0.5)}
    if keep is None:
        # FITS does not tell upper from lower case
        first = {name.lower(): name for name in reversed(part.names)}
        kept = [
            name
            for name in part.names
            if name.lower() not in results and first[name.lower()] == name
        ]
        lost = [name for name in part.names if name not in kept]
        return tuple(kept), (*lost, *part.left_out)
    check_there(part, keep, "keep some of these")
    double = [name for name in keep if name.lower() in results]
    if double:
        raise InputError(
            f"{', '.join(double)} cannot be kept: a result has this name; rename the "
            "table's column"
        )
    return tuple(dict.fromkeys(keep)), ()


def _tasks(parts, fixed, folder, facts):
    """Return the tasks, in the order of the rows."""
    tasks = []
    for part in parts:
        for start, stop in ranges(part.rows, ROWS) or [(0, 0)]:
            path = folder / f"part-{len(tasks):05d}.parquet"
            tasks.append(
                Block(
                    *(part, start, stop, *fixed, str(path), False),
                    facts | {"file": Path(part.path).name, "rows": [start, stop]},
                )
            )
    return tasks


def _run(tasks, run, progress):
    """Run the tasks; return what each returned."""
    # No process is started for a small table.
    here = run is None or len(tasks) == 1
    with open_workers(1) if here else nullcontext(run) as work:
        if progress is None:
            return work(translate_block, tasks)
        with progress(sum(task.stop - task.start for task in tasks)) as bar:
            return work(
                translate_block, tasks, lambda task: bar.update(task.stop - task.start)
            )


def _facts(model, source, level):
    return {
        "writer": f"fastcannon {__version__}",
        "model": file_digest(model),
        "table": source,
        "level": level,
    }


def _header(facts):
    """Return the primary header of the FITS file."""
    words = {
        "writer": "what wrote the file",
        "model": "digest of the translator",
        "table": "digest of the input table",
        "level": "of the prediction intervals",
    }
    return {name.upper(): (facts[name], text) for name, text in words.items()}


@contextmanager
def _temporary_folder(path):
    """Give a folder beside the result, where workers can write; it is removed."""
    # made like any folder, not for its owner alone as those of tempfile
    folder = path.absolute().parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
