"""The work of the command line as functions: from spectra files to result files.

Inference goes through a file in blocks of rows and writes its table as it goes,
so that memory does not grow with the number of spectra.
"""

import os
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from . import fitsfiles, fitsheaders
from .arrays import count_unusable, warn_bad
from .atomic import atomic_path, check_target
from .errors import InputError
from .inference import Inferrer
from .kinds import BAD_PIXELS, LABELS, VALIDATION
from .labels import unit
from .model import CannonModel
from .parallel import ahead
from .preparation import Preparation
from .result import STAR_STATUS
from .spread import half_range, robust_sigma

BLOCK = 1024  # spectra in memory at a time: 70 MB for 8575 pixels


def check_output(path, *inputs):
    """Refuse a result file that could not be written after all the work.

    Parameters
    ----------
    path : str or Path
        The file to be written.
    *inputs : str or Path
        Files that it must not replace.

    Raises
    ------
    InputError
        See `atomic.check_target`; the path is one of the inputs.
    """
    target = check_target(path)
    if any(target == Path(os.path.realpath(name)) for name in inputs):
        raise InputError(f"{path} is also an input and would be lost; choose another")


def train(model, spectra, threads=None, progress=None):
    """Train a model on all stars of a spectra file.

    Parameters
    ----------
    model : CannonModel
        Trained in place.
    spectra : SpectraFile
        With a column for each label of the model.
    threads : int, optional
    progress : callable, optional
        Called with the number of pixels done.

    Raises
    ------
    InputError
        The flux is not normalised, or the stars cannot be trained on.
    """
    model.train(
        *_training_set(model, spectra),
        wavelength=spectra.wavelength,
        threads=threads,
        progress=progress,
    )


def validate(model, spectra, folds=12, seed=0, threads=None, progress=None):
    """Cross-validate a model on all stars of a spectra file.

    Parameters
    ----------
    model : CannonModel
        Its settings are used; it ends trained on all stars.
    spectra : SpectraFile
        With a column for each label of the model.
    folds, seed : int
    threads : int, optional
    progress : callable, optional
        Called with the number of stars done.

    Returns
    -------
    CrossValidation

    Raises
    ------
    InputError
        The flux is not normalised, or the stars cannot be trained on.
    """
    return model.cross_validate(
        *_training_set(model, spectra),
        folds=folds,
        seed=seed,
        threads=threads,
        progress=progress,
    )


def infer(model, spectra, path, starts=8, block=BLOCK, threads=None, progress=None):
    """Infer the labels of all spectra of a file and write them as a table.

    Parameters
    ----------
    model : CannonModel
    spectra : SpectraFile or PackedSurvey
    path : str or Path
        Of the table of labels, a row for each spectrum with its id.
    starts : int
        Descents per spectrum.
    block : int
        Spectra in memory at a time.
    threads : int, optional
    progress : callable, optional
        Called with the number of spectra done.

    Returns
    -------
    collections.Counter
        Number of spectra for each name of STAR_STATUS.

    Raises
    ------
    InputError
        The flux is not normalised and the model does not know how to, or it is on
        other wavelengths than the model's.
    FileFormatError
        The spectra file is damaged.
    """
    prepared = Prepared(model, model.inferrer(starts, spectra.n_stars))
    (flags,), bad = infer_all(
        [prepared], spectra, [path], [{}], block, threads, progress
    )
    warn_bad(bad, spectra.n_stars * spectra.n_pixels)
    return flags


class Prepared(NamedTuple):
    """A model, and its inference made ready."""

    model: CannonModel
    inferrer: Inferrer


def infer_all(
    prepared, spectra, paths, facts, block=BLOCK, threads=None, progress=None
):
    """Infer the labels of all spectra of a file with several models.

    Spectra are read once, while those before are worked on, and normalised once where
    the models agree on how.

    Parameters
    ----------
    prepared : list of Prepared
    spectra : SpectraFile or PackedSurvey
    paths : list of str or Path
        A table of labels for each model.
    facts : list of dict
        Keywords of the primary headers.
    block, threads, progress :
        As in `infer`.

    Returns
    -------
    flags : list of collections.Counter
        As of `infer`, for each model.
    bad : int
        Pixels that held no usable number; also the keyword `BAD_PIXELS` of the tables.

    Raises
    ------
    InputError
        See `infer`.
    """
    if block < 1:
        raise InputError(f"block is {block}; at least 1 spectrum at a time is needed")
    spectra.verify()
    steps = [Preparation(one.model, spectra) for one in prepared]
    flags, found = [Counter() for _ in prepared], {BAD_PIXELS: 0}
    with ExitStack() as stack:
        writes = [
            stack.enter_context(_table(path, spectra.n_stars, keywords, found))
            for path, keywords in zip(paths, facts, strict=True)
        ]
        for start, *given in ahead(_blocks(spectra, block)):
            # Ids are read by a handle of their own: the thread has the file's.
            ids = spectra.ids(start, start + len(given[0]))
            ready, bad = {}, count_unusable(*given)
            for one, step, write, count in zip(
                prepared, steps, writes, flags, strict=True
            ):
                if step not in ready:
                    ready[step] = step(*given, threads)
                result = one.inferrer.infer(*ready[step], threads, progress)
                write(_labels_table(result, ids))
                count.update(count_flags(result.status, STAR_STATUS))
                bad = max(bad, result.bad_pixels)  # flux 1e20 is no number either
            found[BAD_PIXELS] += bad
    return flags, found[BAD_PIXELS]


def write_validation(path, validation, spectra):
    """Write the given and the out-of-fold labels of a cross-validation as a table.

    Parameters
    ----------
    path : str or Path
    validation : CrossValidation
    spectra : SpectraFile
        The file it was made from.
    """
    table = _with_units(validation.to_table(), validation.label_names)
    table.add_column(spectra.stars["id"], name="id", index=0)
    fitsfiles.write_table(path, table, VALIDATION)


def summary_lines(names, difference):
    """Return how well labels agree, as lines of text.

    Parameters
    ----------
    names : sequence of K str
    difference : (N, K) array
        Inferred minus given labels; values that are not finite are left out.

    Returns
    -------
    list of str
        A header, then one line for each label: mean difference, half the 16 to
        84 percentile range, 1.4826 times the median absolute deviation from the
        median, number of stars.
    """
    lines = [
        f"{'label':<10} {'unit':<5} {'bias':>9} {'16-84':>9} {'MAD':>9} {'stars':>9}"
    ]
    for name, values in zip(names, difference.T, strict=True):
        values = values[np.isfinite(values)]
        if not len(values):
            lines.append(f"{name:<10} {unit(name):<5} {'no star has a label':>39}")
            continue
        scatter = half_range(values)
        digits = 1 if scatter >= 5 else 4
        numbers = (f"{x:>9.{digits}f}" for x in (scatter, robust_sigma(values)))
        lines.append(
            f"{name:<10} {unit(name):<5} {values.mean():>+9.{digits}f} "
            f"{' '.join(numbers)} {len(values):>9,}"
        )
    return lines


def _training_set(model, spectra):
    """Return (labels, flux, ivar) of all stars of a spectra file."""
    spectra.require_normalised()
    spectra.verify()
    labels = spectra.labels(model.label_names)
    return labels, *spectra.read_rows(0, spectra.n_stars)


def _blocks(spectra, size):
    """Yield blocks of spectra; one without rows where there are none."""
    if spectra.n_stars == 0:
        nothing = np.empty((0, spectra.n_pixels), np.float32)
        return iter([(0, nothing, nothing)])
    return spectra.blocks(size)


def _labels_table(result, ids):
    """Return the table of one block of an inference."""
    table = _with_units(result.to_table(), result.label_names)
    table.add_column(ids, name="id", index=0)
    return table


def _with_units(table, label_names):
    """Give the columns of labels their units; returns the table."""
    for name in label_names:
        for column in (name, f"e_{name}", f"{name}_inside", f"{name}_given"):
            # FITS does not know dex: astropy would warn whenever it reads the file.
            if column in table.colnames and unit(name) not in ("", "dex"):
                table[column].unit = unit(name)
    return table


@contextmanager
def _table(path, n_rows, facts, found):
    """Give a function that writes the next rows of a table of known length.

    ``found`` are keywords whose values are known when the last row is written.
    """
    with atomic_path(path) as temporary:
        with open(temporary, "wb") as handle:

            def write(table):
                _append(handle, table, n_rows, facts | found)

            yield write
            handle.write(bytes(-handle.tell() % fitsheaders.BLOCK))
        fitsheaders.stamp_checksums(temporary, found)


def _append(handle, table, n_rows, facts):
    """Write rows of a table in FITS binary form, with the headers before the first."""
    hdu = fitsfiles.table_to_hdu(table, LABELS)
    if handle.tell() == 0:
        hdu.header["NAXIS2"] = n_rows
        primary = fits.PrimaryHDU().header
        primary.update(facts)
        fitsheaders.identify(primary, LABELS, fitsfiles.TABLE_VERSION, 2)
        for header in (primary, hdu.header):
            fitsheaders.reserve_checksum(header)
            handle.write(fitsheaders.header_bytes(header))
    rows = np.empty(len(table), hdu.columns.dtype.newbyteorder(">"))
    for name in rows.dtype.names:
        rows[name] = table[name]
    handle.write(rows.tobytes())


def count_flags(status, names):
    """Return how many members of ``status`` have each bit of ``names`` set."""
    counts = {name: np.count_nonzero(status & bit) for name, bit in names.items()}
    return {name: int(count) for name, count in counts.items() if count}


def flags_text(flags):
    """Return counts of flags as text: "3 NO_DATA, 5 OUTSIDE_HULL", or "none"."""
    return ", ".join(f"{count:,} {name}" for name, count in flags.items()) or "none"
